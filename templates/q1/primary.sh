#!/bin/bash
# Runs the primary.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh

rm -f /tmp/roles-applied
if [ -f "$data/PG_VERSION" ]; then
	log "the volume holds a database: starting it as the primary"
else
	log "the volume holds no database"
	bash /etc/pgk/scripts/first-start.sh & wait $!
fi
start_postgres

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
		log "roles and passwords are those of the Secret: ready"
	else
		say roles "the roles could not be set as the Secret says (see the line before): trying again"
	fi
}

supervise apply_roles
