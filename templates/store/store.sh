#!/bin/bash
# Runs the store: its door (store.pl), the receiver of WAL (receive.sh) and the base backups (backup.sh).
set -eu
PGDATA=/store
. /etc/pgk/scripts/wal.sh

lock_volume /store/lock
mkdir -p /store/wal /store/base
rm -f /tmp/receiver.pid
jobs=()
# shellcheck disable=SC2317 # it is called: by the trap
stop() {
	log "stopping"
	kill "${jobs[@]}" "$(cat /tmp/receiver.pid 2>/dev/null || echo "$!")" 2>/dev/null || true
	exit 0
}
trap stop TERM INT

perl /etc/pgk/scripts/store.pl serve & jobs+=($!)
bash /etc/pgk/scripts/receive.sh & jobs+=($!)
bash /etc/pgk/scripts/backup.sh & jobs+=($!)

# Whichever of the three ends takes the container with it, and Kubernetes starts all of them again.
while kill -0 "${jobs[0]}" && kill -0 "${jobs[1]}" && kill -0 "${jobs[2]}"; do
	used=$(used)
	# Room to write down who leads (store.pl), whatever else needs some.
	[ -e /store/reserve ] || [ "$used" -ge 95 ] || head -c 1048576 /dev/zero >/store/reserve
	if [ "$used" -ge "$store_full" ]; then
		say full "THE STORE FILLS UP: $used % of its volume is used, and writes wait when it is full. Make it larger (q2.store-size), or keep fewer backups (q2.backups)"
	else
		said_key=''
	fi
	pause 2
done 2>/dev/null
log "one of the store's programs has ended"
exit 1
