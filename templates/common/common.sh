# shellcheck shell=bash disable=SC2034
# What the other scripts share: where things are, how to log, how to run PostgreSQL. Sourced by them.
# shellcheck source-path=SCRIPTDIR source=settings.sh
. /etc/pgk/scripts/settings.sh

data=$PGDATA                        # the database; complete, or not there
new=$PGDATA.new                     # one in the making: renamed to $data when it is whole
{% if store %}
rewinding=$PGDATA.rewinding         # $data is being rewound (clone.sh)
{% endif %}
start_empty=$PGDATA.start-empty     # made by a human who wants an empty database whatever replicas hold
credentials=/etc/pgk/credentials
export PGPASSFILE=/tmp/pgpass       # the replication password, also for primary_conninfo
export PGCONNECT_TIMEOUT=3

log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*"; }
export TZ=UTC

# say KEY MESSAGE: log a state when it begins, and every five minutes as long as it lasts.
said_key='' said_at=0
say() {
	if [ "$1" = "$said_key" ] && [ $((SECONDS - said_at)) -lt 300 ]; then return; fi
	said_key=$1 said_at=$SECONDS
	log "$2"
}

# Query the server in this container as the superuser.
local_sql() { timeout 10 psql --no-psqlrc -qAtX -d postgres -c "$1" 2>/dev/null; }

# Bash acts on a signal only when a command in the foreground ends, so what lasts runs in the background.
pause() { sleep "$1" & wait $! || true; }

write_pgpass() {
	(umask 077 && printf '*:*:*:replicator:%s\n' "$(sed 's/[\\:]/\\&/g' "$credentials/replication-password")" >"$PGPASSFILE.new")
	mv "$PGPASSFILE.new" "$PGPASSFILE"
}

postgres_pid=''
# A fast shutdown (SIGINT) whatever signal the container gets; without a server there is nothing to end.
stop() { if [ -n "$postgres_pid" ]; then kill -INT "$postgres_pid" 2>/dev/null || true; else exit 0; fi; }
trap stop TERM INT

{% if store %}
postgres_options=()     # on the command line, for a restore
{% endif %}
start_postgres() {
	postgres -D "$data" -c config_file=/etc/pgk/config/postgresql.conf -c hba_file=/etc/pgk/config/pg_hba.conf \
		-c cluster_name="$HOSTNAME"{% if store %} "${postgres_options[@]}"{% endif %} &
	postgres_pid=$!
}

# supervise WATCH: run WATCH every second until PostgreSQL ends; its exit status is PostgreSQL's.
supervise() {
	local nap ended='' status=0
	while kill -0 "$postgres_pid" 2>/dev/null; do
		"$1" || true
		sleep 1 &
		nap=$!
		status=0
		wait -n -p ended "$postgres_pid" "$nap" || status=$?
		[ "${ended:-}" != "$postgres_pid" ] || break
	done
	postgres_pid=''
	log "PostgreSQL has ended (status $status)"
	return "$status"
}
