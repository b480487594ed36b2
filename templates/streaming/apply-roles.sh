# Roles and passwords follow the Secret: at the start, and when it changes.
applied=''
apply_roles() {
	local current
	current=$(cat "$credentials"/* | cksum)
	[ "$current" != "$applied" ] || return 0
	pg_isready -q || return 0
	if ! secret_is_usable; then
		# The former passwords count. A database that has its roles serves on.
		[ -e /tmp/roles-applied ] || [ "$(local_sql "SELECT 1 FROM pg_roles WHERE rolname = 'replicator'")" != 1 ] ||
			touch /tmp/roles-applied
		return 0
	fi
	if psql --no-psqlrc -qX -d postgres -f /etc/pgk/config/roles.sql; then
		applied=$current
		touch /tmp/roles-applied
		log "roles and passwords are those of the Secret{{ ("" if store else ": ready") | safe }}"
	else
		say roles "the roles could not be set as the Secret says (see the line before): trying again"
	fi
}
