#!/bin/bash
# Runs a member: Patroni, which runs PostgreSQL, and the program that tends both. Bash is the first process
# of the container, so that it takes in whatever process loses its parent.
set -eu
cd /etc/pgk/scripts
log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*"; }
export TZ=UTC
# Debian's psql is a Perl script that looks for this one.
PATH=$(dirname "$(command -v postgres)"):$PATH

patroni_pid='' tend_pid='' ending=''
# The end of the pod: the primary hands over first, so that nobody waits for its shutdown.
stop() {
	[ -z "$ending" ] || return 0
	ending=yes
	[ -n "$patroni_pid" ] || exit 0
	python3 handover.py || true
	kill -TERM "$patroni_pid" 2>/dev/null || true
}
trap stop TERM INT

# A machine that was made anew under its old name has lost the volume that Kubernetes believes to be there.
touch /pgdata/lock || {
	log "THIS VOLUME CANNOT BE WRITTEN TO. If its node was made anew, it is lost, and this member wants a new one: kubectl delete pvc data-$HOSTNAME --wait=false && kubectl delete pod $HOSTNAME"
	exit 1
}
# One container a volume: after a pod was deleted by force, its container may run on beside its successor's.
exec {lock}>/pgdata/lock
until flock --nonblock "$lock"; do
	log "waiting: another container still uses this volume"
	sleep 1 & wait $!
done
{% if tls != "off" %}
{% include "common/make-certificate.sh" %}
make_certificate
# The programs stay as they were when this pod was started: those that a changed configuration
# brings here may speak otherwise, and a pod that is replaced for it still has to hand over.
rm -rf /tmp/programs
mkdir /tmp/programs
cp ./* /tmp/programs
cd /tmp/programs
{% endif %}
# So nobody runs on this data now, and a crash may have left what makes Patroni wait for a PostgreSQL.
rm -f "$PGDATA/postmaster.pid"

while [ -z "$ending" ]; do
	if ! kill -0 "$patroni_pid" 2>/dev/null; then
		# A rewind or a clone that the last Patroni has left behind would write to the same files. (PostgreSQL
		# is in a session of its own.)
		[ -z "$patroni_pid" ] || kill -KILL -- "-$patroni_pid" 2>/dev/null || true
		# Not before the disk answers: tend.py ends the Patroni of a primary whose disk does not.
		{ echo >&"$lock"; sync --data /pgdata/lock; } & wait $! || true
		# The first database is made anew when its making was interrupted.
		[ ! -e /pgdata/first-start ] || pg_ctl --pgdata="$PGDATA" --mode=immediate --silent stop >/dev/null 2>&1 || true
		# PostgreSQL goes on when Patroni ends by accident: the next Patroni takes it over. Without it, what
		# this member begins with is decided as at the start, also after a first start that has failed.
		if [ -z "$ending" ] && ! pg_ctl --pgdata="$PGDATA" status >/dev/null 2>&1; then
			python3 {% if archive %}start.py{% else %}first_start.py{% endif %} &
			wait $! || [ -n "$ending" ] || exit 1
		fi
		[ -z "$ending" ] || break
		setsid python3 run_patroni.py /tmp/patroni.yaml &
		patroni_pid=$!
	fi
	if ! kill -0 "$tend_pid" 2>/dev/null; then
		python3 {% if archive %}tend_archive.py{% else %}tend.py{% endif %} "$patroni_pid" &
		tend_pid=$!
	fi
	wait -n "$patroni_pid" "$tend_pid" || true
	[ -n "$ending" ] || { log "Patroni or {% if archive %}tend_archive.py{% else %}tend.py{% endif %} has ended: starting it again"; kill "$tend_pid" 2>/dev/null || true; sleep 1; }
done
wait "$patroni_pid" || true
# Should Patroni not have done it (it was paused, or not there): a clean shutdown.
[ ! -e "$PGDATA/postmaster.pid" ] || pg_ctl --pgdata="$PGDATA" --mode=fast --silent stop || true
