#!/usr/bin/env bash
# Q2 by restore: measure/restore.sh GIGABYTES RANDOM [EVENT...]. A volume lost with so much data on it, then these events,
# then so many at random.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1 random=$2
shift 2

work=$(mktemp --directory)
namespace=pgk-restore-$$
finish() {
	local status=$?
	set +e
	[ $status = 0 ] || evidence "$namespace" >&2
	kubectl delete namespace "$namespace" --wait=false >/dev/null
	rm -rf "$work"
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
heading "just restore $gigabytes $random $*"
instance "$namespace" q2 q2.strategy=restore
sql "$namespace" 'CREATE TABLE written (n bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
	ALTER TABLE written OWNER TO app'

in_store() { k exec pg-store-0 --container store -- "$@"; }
# A verified base backup is there, and every commit is received.
store_is_well() {
	[[ $(in_store perl /etc/pgk/scripts/store.pl localhost state) = 'ready '* ]] &&
		[ "$(sql "$namespace" "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walstore'")" = sync ]
}
serves() { [ "$(sql "$namespace" 'SELECT pg_is_in_recovery() FROM (SELECT count(*) FROM written)')" = f ]; }
streaming() { [ "$(sql "$namespace" "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name <> 'walstore'")" = 2 ]; }
all_well() {
	within 300 'a store that is well' store_is_well
	within 300 'the replicas' streaming
}

# drill EVENT: on the primary
drill() {
	$pgk drill "$1" --target primary --namespace "$namespace" --warm-up 3s --cool-down 3s --node-on-after 150s \
		--node-off "$PGK_NODE_OFF" --node-on "$PGK_NODE_ON" --node-delete "$PGK_NODE_DELETE" \
		--node-cut "$PGK_NODE_CUT" --node-heal "$PGK_NODE_HEAL" --container-kill "$PGK_CONTAINER_KILL" \
		--report "$work/report" >"$work/table" || { cat "$work/table" "$work/report/report.md"; cp -r "$work/report" "$(mktemp --directory)"; fail "$1"; }
	rm -rf "$work/report"
	cat "$work/table"
}

# by_hand WHAT COMMAND...: what no drill does, under load
by_hand() {
	local what=$1 began
	shift
	writer
	sleep 3
	began=$(now)
	"$@" >/dev/null 2>&1
	sleep 2
	within 180 'a primary' serves
	all_well
	sleep 2
	stop_writer
	printf '%-24s well after %s s, longest time without a commit %s; %s\n' "$what" "$(since "$began")" "$(longest_gap)" "$(none_lost)"
}
damage() { k exec "$(primary "$namespace" .metadata.name)" --container postgres -- bash -euc "rm -rf \$PGDATA/base && kill -9 \$(head -n 1 \$PGDATA/postmaster.pid)"; }
# (The volume is the pod's own.)
lose_volume() { k delete pod "$(primary "$namespace" .metadata.name)" --grace-period=0 --force; }
lose_the_store() {
	[ "$1" = pod ] || k delete pvc backup-pg-store-0 --wait=false
	k delete pod pg-store-0 --grace-period=0 --force
}

event() {
	all_well
	echo "# $1; members: $(k get pods --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}, {end}')" >&2
	case $1 in
		damage) by_hand "$1" damage ;;
		store-kill) by_hand "$1" lose_the_store pod ;;
		store-volume) by_hand "$1" lose_the_store volume ;;
		*) drill "$1" ;;
	esac
}

all_well
if [ "$gigabytes" -gt 0 ]; then
	k exec "$(primary "$namespace" .metadata.name)" --container postgres -- pgbench -iqs $((gigabytes * 67)) app 2>/dev/null
	all_well
	sql "$namespace" "SELECT pg_size_pretty(sum(pg_database_size(oid))) || ' of data' FROM pg_database"
	by_hand 'pod and volume lost' lose_volume
fi
for event in "$@"; do event "$event"; done
events=(pod-delete pod-force postgres-kill container-kill volume-delete node-off node-delete node-cut damage store-kill store-volume)
for ((i = 0; i < random; i++)); do event "${events[RANDOM % ${#events[@]}]}"; done
