# Roles and passwords follow the Secret: at the start, and when it changes.
applied=''
apply_roles() {
	local current
	current=$(cat "$credentials"/* | cksum)
	[ "$current" != "$applied" ] || return 0
	pg_isready -q || return 0
	if psql --no-psqlrc -qX -d postgres -f /etc/pgk/config/roles.sql; then
		applied=$current
		touch /tmp/roles-applied
		log "roles and passwords are those of the Secret{{ ("" if store else ": ready") | safe }}"
	else
		say roles "the roles could not be set as the Secret says (see the line before): trying again"
	fi
}
