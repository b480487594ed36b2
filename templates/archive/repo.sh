#!/bin/bash
# Runs pgBackRest's TLS server: with `server` beside a member's PostgreSQL, which is backed up through it; otherwise
# beside the repository in the cluster, and with it what looks after that (repository.py).
set -eu
export TZ=UTC
log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*"; }

server_pid='' watch_pid=''
# shellcheck disable=SC2086
stop() {
	kill -TERM $server_pid $watch_pid 2>/dev/null || true
	wait
	exit 0
}
trap stop TERM INT

# pgBackRest listens at one address; where this pod has IPv6, at the one that takes both.
if [[ $(hostname -i) = *:* ]]; then export PGBACKREST_TLS_SERVER_ADDRESS=::; fi
pgbackrest server &
server_pid=$!
if [ "${1:-}" != server ]; then
	python3 /etc/pgk/scripts/repository.py watch &
	watch_pid=$!
fi

certificates() { cat /etc/pgk/tls/* | sha256sum; }
loaded=$(certificates)
while kill -0 "$server_pid" 2>/dev/null && kill -0 "${watch_pid:-$server_pid}" 2>/dev/null; do
	sleep 10 &
	wait -n || true
	if [ "$(certificates)" != "$loaded" ]; then
		loaded=$(certificates)
		kill -HUP "$server_pid"
		log "the certificates have changed: the server has been told"
	fi
done
log "pgBackRest's server or repository.py has ended: the container begins again"
false
