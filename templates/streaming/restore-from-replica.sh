#!/bin/bash
# Makes the primary anew from a replica after its volume was lost. Run by a human, in the waiting pod:
#   kubectl exec {{ ("deploy/NAME-primary" if store else "NAME-primary-0") | safe }} -- bash /etc/pgk/scripts/restore-from-replica.sh ADDRESS
# ADDRESS is that of the replica that has received the most WAL; what it lacks is lost.
set -eu
. /etc/pgk/scripts/common.sh

source=${1:?the address of the replica to restore from}
exec {making}>>"$PGDATA.making"
if ! flock --nonblock "$making"; then
	log "another restore, or the making of an empty database, is at work: nothing was done"
	exit 1
fi
if [ -e "$data" ]; then
	log "this volume holds a database already: nothing was done"
	exit 1
fi
{% if store %}
condition=$(store_state 1)
case $condition in
	empty | filling) ;;
	*)
		log "the store is ${condition:-not to be reached}: nothing was done. When it is ready, this pod restores by itself, and loses nothing"
		exit 1
		;;
esac
{% endif %}
write_pgpass
rm -rf "$new"
log "cloning the replica at $source"
pg_basebackup --dbname="host=$source port=5432 user=replicator $copying" --pgdata="$new" \
	--wal-method=stream --checkpoint=fast --no-password --progress
# Promoted, so that it goes on in a timeline of its own: a replica that had received more than this one
# then notices, instead of mixing two histories. Nobody can connect meanwhile.
touch "$new/standby.signal"
log "promoting the copy"
# All WAL that came with the copy is replayed, and a checkpoint written: that may take its time.
export PGCTLTIMEOUT=86400
trap 'pg_ctl --pgdata="$new" --silent --mode=immediate stop 2>/dev/null || true' EXIT
pg_ctl --pgdata="$new" --wait --silent --log=/tmp/restore.log start -o "-c listen_addresses='' \
	-c config_file=/etc/pgk/config/postgresql.conf -c hba_file=/etc/pgk/config/pg_hba.conf -c primary_conninfo=''" ||
	{ cat /tmp/restore.log; exit 1; }
pg_ctl --pgdata="$new" --wait --silent promote
pg_ctl --pgdata="$new" --wait --silent --mode=fast stop
{% if store %}
touch "$data.chosen"
{% endif %}
mv "$new" "$data"
log "done: the waiting container starts it"
