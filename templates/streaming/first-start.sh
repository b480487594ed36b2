#!/bin/bash
# Run when the primary's volume is empty: creates a database if this is the first start, and waits if
# it may be a lost volume. The difference: on a first start every replica is empty, too, and says so.
# A replica that says nothing may hold the data.
set -eu
. /etc/pgk/scripts/common.sh
. /etc/pgk/scripts/replicas.sh

# The answer of one replica (tell.sh), whichever the Service picks; nothing if there is none.
ask() { timeout 3 bash -c "exec 2>/dev/null; head -n 1 </dev/tcp/$replicas_service/5433" || true; }

{% raw %}
# At least as many replicas as the configuration has say that they are empty, and nobody says otherwise.
# The Service picks at random, so that many questions reach also those beyond that number.
every_replica_is_empty() {
	local answer answers=0
	local -A empty=()
	if ! getent hosts "$replicas_service" >/dev/null; then
		say dns "waiting: the cluster's DNS does not answer, so the replicas cannot be asked whether they hold data"
		return 1
	fi
	while [ "$answers" -lt 40 ] || [ "${#empty[@]}" -lt "$replicas" ]; do
		answer=$(ask)
		case $answer in
			empty\ *) empty[$answer]=yes ;;
			data\ *)
				say data "WAITING FOR A HUMAN: this volume is empty, but the replica ${answer#data } holds data. The primary's volume was lost. No new database is made over it. To make the primary anew from a replica: $lost_volume_help"
				return 1
				;;
			*)
				[ "$replicas" -gt 0 ] || return 0
				say "doubt ${#empty[@]}" "waiting: a replica gives no answer, and it may hold data (${#empty[@]} of $replicas have said that they are empty)"
				return 1
				;;
		esac
		answers=$((answers + 1))
		if [ "$answers" -ge 400 ]; then
			say "few ${#empty[@]}" "waiting: only ${#empty[@]} of $replicas replicas have said that they are empty; another may hold data"
			return 1
		fi
	done
}
{% endraw %}

{% if store %}
# The store has heard of a primary meanwhile: there is a database.
store_knows_of_one() { [[ $(store_state 1) =~ ^(filling|ready)$ ]]; }

{% endif %}
# restore-from-replica.sh holds this lock while it works.
exec {making}>>"$PGDATA.making"
until { [ -e "$start_empty" ] || every_replica_is_empty; } && secret_is_usable &&
	flock --nonblock "$making" && [ ! -f "$data/PG_VERSION" ]; do
	pause 1
{% if store %}
	! store_knows_of_one || exit 0
{% endif %}
	# restore-from-replica.sh has done its work meanwhile.
	if [ -f "$data/PG_VERSION" ]; then
		log "a database was restored: starting it as the primary"
		exit 0
	fi
done

if [ -e "$start_empty" ]; then
	log "somebody asked for an empty database ($start_empty): creating one"
else
	log "first start, no replica holds data: creating a database"
fi
rm -rf "$new" "$start_empty"
# The builtin locale sorts the same whatever C library an image has, so indexes outlive an update of it.
initdb --pgdata="$new" --username=postgres --pwfile="$credentials/superuser-password" --encoding=UTF8 \
	--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --data-checksums \
	--auth-local=peer --auth-host=scram-sha-256 --set=huge_pages=off >/tmp/initdb.log ||
	{ cat /tmp/initdb.log; exit 1; }
mv -T "$new" "$data"
