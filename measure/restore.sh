#!/usr/bin/env bash
# Q2 by restore: measure/restore.sh GIGABYTES RANDOM [EVENT...]. A volume lost with so much data on it, then these events,
# then so many at random.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1 random=$2
shift 2

variant=q2-restore
[ "$gigabytes" = 0 ] || variant+=-${gigabytes}GB
[ -z "${PGK_BULK:-}" ] || variant+=-bulk
namespace=pgk-restore-$$
instance q2 q2.strategy=restore
create_written
sql 'CREATE TABLE bulk (filler text); ALTER TABLE bulk OWNER TO app'

in_store() { k exec pg-store-0 --container store -- "$@"; }
# A verified base backup is there, and every commit is received.
store_is_well() {
	[[ $(in_store perl /etc/pgk/scripts/store.pl localhost state) = 'ready '* ]] &&
		[ "$(sql "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walstore'")" = sync ]
}
streaming() { [ "$(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'walstore'")" = 2 ]; }
all_well() {
	within 300 'a store that is well' store_is_well
	within 300 'the replicas' streaming
}

# bulk: with PGK_BULK=1, a pod that writes 4 MB in a transaction, twice a second at most, as a drill's --bulk does
bulk() {
	[ -n "${PGK_BULK:-}" ] || return 0
	# (On one line, as it becomes a YAML scalar.)
	a_pod bulk "$(kubectl get nodes --output name | sed 's|^node/||' | tail -n 1)" '' bash -c 'export PGCONNECT_TIMEOUT=2; while :; do timeout 9 psql -qXc "INSERT INTO bulk SELECT repeat(md5(g::text), 60) FROM generate_series(1, 2000) g" 2>/dev/null; sleep 0.5; done'
	k wait pod/bulk --for condition=Ready --timeout 60s >/dev/null
}
stop_bulk() {
	[ -n "${PGK_BULK:-}" ] || return 0
	k delete pod bulk >/dev/null
	sql 'TRUNCATE bulk'
}

# by_hand WHAT COMMAND...: what no drill does, under load
by_hand() {
	local began well
	measuring="$variant $1"
	shift
	bulk
	writer
	sleep 3
	began=$(now)
	"$@" >/dev/null 2>&1
	sleep 2
	within 180 'a primary' serves
	all_well
	well=$(since "$began")
	sleep 2
	stop_writer
	stop_bulk
	none_lost
	figure "write_ms=$(longest_gap)" "full_strength_ms=$well" "acknowledged=$acknowledged" "lost=$lost"
}
# (The primary may notice it, and end PostgreSQL, before this does.)
damage() { in_primary bash -uc "rm -rf \$PGDATA/base; kill -9 \$(head -n 1 \$PGDATA/postmaster.pid)" || true; }
# (The volume is the pod's own.)
lose_volume() { delete_by_force "$(primary .metadata.name)"; }
lose_the_store() {
	[ "$1" = pod ] || k delete pvc backup-pg-store-0 --wait=false
	delete_by_force pg-store-0
}

event() {
	all_well
	echo "# $1; members: $(k get pods --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}, {end}')" >&2
	case $1 in
		damage) by_hand "$1" damage ;;
		store-kill) by_hand "$1" lose_the_store pod ;;
		store-volume) by_hand "$1" lose_the_store volume ;;
		*) drill "$variant" "$1" --target primary --node-on-after 150s ;;
	esac
}

all_well
if [ "$gigabytes" -gt 0 ]; then
	in_primary pgbench -iqs $((gigabytes * 67)) app 2>/dev/null
	all_well
	sql "SELECT '# ' || pg_size_pretty(sum(pg_database_size(oid))) || ' of data' FROM pg_database"
	by_hand 'pod-and-volume' lose_volume
fi
for event in "$@"; do event "$event"; done
events=(pod-delete pod-force postgres-kill container-kill volume-delete node-off node-delete node-cut node-cut-peers node-cut-api damage store-kill store-volume)
for ((i = 0; i < random; i++)); do event "${events[RANDOM % ${#events[@]}]}"; done
