#!/bin/bash
# Run when the primary's volume is empty: creates a database if this is the first start, and waits if
# it may be a lost volume. The difference: on a first start every replica is empty too, and says so on a
# port of its own (clone.sh). Whatever does not say so may hold the data.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh

# The answer of the replica at an address: "empty", or nothing.
ask() { timeout 3 bash -c "exec 2>/dev/null; head -c 5 </dev/tcp/$1/5433" || true; }

every_replica_is_empty() {
	local address addresses
	if ! getent hosts "$rw_service" >/dev/null; then
		say dns "waiting: the cluster's DNS does not answer, so the replicas cannot be asked whether they hold data"
		return 1
	fi
	addresses=$(getent ahosts "$replicas_service" | awk '{print $1}' | sort -u)
	for address in $addresses; do
		[ "$(ask "$address")" != empty ] || continue
		if pg_isready -q -h "$address" -t 3; then
			say "data $address" "WAITING FOR A HUMAN: this volume is empty, but the replica at $address holds data. The primary's volume was lost. No new database is made over it. To make the primary anew from a replica: $lost_volume_help"
		else
			say "doubt $address" "waiting: the replica at $address has not said that it is empty, so it may hold data. If it is gone for good, delete its pod"
		fi
		return 1
	done
}

until every_replica_is_empty; do
	pause 2
	# restore-from-replica.sh has done its work meanwhile.
	if [ -f "$data/PG_VERSION" ]; then
		log "a database was restored: starting it as the primary"
		exit 0
	fi
done

log "first start, no replica holds data: creating a database"
rm -rf "$new"
# The builtin locale sorts the same whatever C library an image has, so indexes outlive an update of it.
initdb --pgdata="$new" --username=postgres --pwfile="$credentials/superuser-password" --encoding=UTF8 \
	--locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C.UTF-8 --data-checksums \
	--auth-local=peer --auth-host=scram-sha-256 >/tmp/initdb.log || { cat /tmp/initdb.log; exit 1; }
mv "$new" "$data"
