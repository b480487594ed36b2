# shellcheck disable=SC2034
# What the other scripts share: where things are, how to log, how to run PostgreSQL. Sourced by them.
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
# For connections that copy: a peer that is gone is noticed in 40 s, one that stalls is waited for.
copying="keepalives_idle=10 keepalives_interval=10 keepalives_count=3"
copying+=" options='-c wal_sender_timeout=60s -c tcp_user_timeout=60s'"

log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*"; }
export TZ=UTC

# say KEY MESSAGE: log a state when it begins, and every five minutes as long as it lasts.
said_key='' said_at=0
say() {
	if [ "$1" = "$said_key" ] && [ $((SECONDS - said_at)) -lt 300 ]; then return; fi
	said_key=$1 said_at=$SECONDS
	log "$2"
}

free_kilobytes() { df -Pk "${PGDATA%/*}" | awk 'NR == 2 {print $4}'; }

# Renamed first: half of a database must not be taken for one, and started.
drop_data() {
	mv "$data" "$data.trash"
	rm -rf "$data.trash"
}

# Query the server in this container as the superuser.
local_sql() { timeout 10 psql --no-psqlrc -qAtX -d postgres -c "$1" 2>/dev/null; }

# Bash acts on a signal only when a command in the foreground ends, so what lasts runs in the background.
pause() { sleep "$1" & wait $! || true; }

# A password is one line. Line breaks at its end, as editors add them, do not belong to it.
bad_key='' one_line=$'^[^\r\n]+[\r\n]*$'
secret_is_usable() {
	local key
	for key in superuser-password replication-password app-password; do
		[[ $(<"$credentials/$key") =~ $one_line ]] && continue
		[ "$key" = "$bad_key" ] ||
			log "the Secret is not used: its $key is empty, or has a line break inside"
		bad_key=$key
		return 1
	done
	bad_key=''
}

write_pgpass() {
	secret_is_usable || return 0
	(umask 077 && printf '*:*:*:replicator:%s\n' \
		"$(tr -d '\r\n' <"$credentials/replication-password" | sed 's/[\\:]/\\&/g')" >"$PGPASSFILE.new")
	mv "$PGPASSFILE.new" "$PGPASSFILE"
}

# One container a volume: after a pod was deleted by force, its container may run on beside its
# successor's. Every process that this one starts holds the lock, too; so PostgreSQL does.
lock_volume() { # FILE
	exec {lock}>>"$1"
	until flock --nonblock "$lock"; do
		say locked "waiting: another container still uses this volume"
		pause 1
	done
}

{% if tls != "off" %}
{% include "common/make-certificate.sh" %}

{% endif %}
postgres_pid='' stopping=''
# A fast shutdown (SIGINT) whatever signal the container gets; without a server there is nothing to end.
stop() {
	stopping=yes
	if [ -n "$postgres_pid" ]; then kill -INT "$postgres_pid" 2>/dev/null || true; else exit 0; fi
}
trap stop TERM INT

{% if store %}
ask_store() { perl /etc/pgk/scripts/store.pl "$store_service" "$@"; }
# One word of the store's state (see store.pl): 1 condition, 2 holder, 3 last WAL file, 4 phase.
# Nothing where it does not answer.
store_state() { ask_store state 2>/dev/null | cut -d' ' -f"$1"; }

postgres_options=()     # on the command line, for a restore
{% endif %}
config=/etc/pgk/config/postgresql.conf
start_postgres() {
	postgres -D "$data" -c config_file="$config" -c hba_file=/etc/pgk/config/pg_hba.conf \
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

volume_is_full() { [ "$(free_kilobytes)" -lt 65536 ]; }

# PostgreSQL has ended, and so does the container, unless the volume is full: then it waits for room, as
# Kubernetes would start it again after some minutes only. After one it tries in any case: perhaps that
# was not the reason.
wait_for_room() { # STATUS
	if [ -n "$stopping" ] || ! volume_is_full; then exit "$1"; fi
	for _ in {1..12}; do
		say full "THE VOLUME IS FULL: PostgreSQL starts again once there is room (README.md)"
		pause 5
		volume_is_full || break
	done
}
