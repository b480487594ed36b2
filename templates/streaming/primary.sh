#!/bin/bash
# Runs the primary.
set -eu
. /etc/pgk/scripts/common.sh

rm -f /tmp/roles-applied
{% if tls != "off" %}
make_certificate
{% endif %}
lock_volume "$PGDATA.lock"
# So nobody runs on this data now, whatever a crash may have left.
rm -f "$data/postmaster.pid"
if [ -f "$data/PG_VERSION" ]; then
	log "the volume holds a database: starting it as the primary"
else
	log "the volume holds no database"
	bash /etc/pgk/scripts/first-start.sh & wait $!
fi

{% include "streaming/apply-roles.sh" %}

# Without the primary there is nothing: where PostgreSQL does not take its configuration, the last one that it
# took is used. (A replica does not start then, which ends the rollout.)
choose_configuration() {
	local said last=$PGDATA.postgresql.conf
	config=/etc/pgk/config/postgresql.conf
	if said=$(postgres -D "$data" -c config_file="$config" -C shared_memory_size 2>&1 >/dev/null); then
		{ cp "$config" "$last.new" && mv "$last.new" "$last"; } || true # there may be no room
	elif [ -s "$last" ]; then
		log "THE CONFIGURATION IS NOT USED, PostgreSQL does not start with it: $said. Going on with the last one that it took"
		config=$last
	fi
}

while :; do
	choose_configuration
	start_postgres
	status=0
	supervise apply_roles || status=$?
	wait_for_room "$status"
done
