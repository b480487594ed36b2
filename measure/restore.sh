#!/usr/bin/env bash
# Q2 by restore: measure/restore.sh GIGABYTES RANDOM [EVENT...]. A volume lost with so much data on it, then these events,
# then so many at random.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1 random=$2
shift 2

namespace=pgk-restore-$$
heading "just restore $gigabytes $random $*"
instance q2 q2.strategy=restore
create_written

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

# by_drill EVENT: on the primary; the report of one that fails is kept
by_drill() {
	local report
	report=$(mktemp --directory)
	drill "$1" --target primary --node-on-after 150s --report "$report" || fail "$1: its report is in $report"
	rm -rf "$report"
}

# by_hand WHAT COMMAND...: what no drill does, under load
by_hand() {
	local what=$1 began took
	shift
	writer
	sleep 3
	began=$(now)
	"$@" >/dev/null 2>&1
	sleep 2
	within 180 'a primary' serves
	all_well
	took=$(since "$began")
	sleep 2
	stop_writer
	none_lost
	printf '%-24s well after %s s, longest time without a commit %s; %s\n' "$what" "$took" "$(longest_gap)" "$lost"
}
# (The primary may notice it, and end PostgreSQL, before this does.)
damage() { in_primary bash -uc "rm -rf \$PGDATA/base; kill -9 \$(head -n 1 \$PGDATA/postmaster.pid)" || true; }
# (The volume is the pod's own.)
lose_volume() { k delete pod "$(primary .metadata.name)" --grace-period=0 --force; }
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
		*) by_drill "$1" ;;
	esac
}

all_well
if [ "$gigabytes" -gt 0 ]; then
	in_primary pgbench -iqs $((gigabytes * 67)) app 2>/dev/null
	all_well
	sql "SELECT pg_size_pretty(sum(pg_database_size(oid))) || ' of data' FROM pg_database"
	by_hand 'pod and volume lost' lose_volume
fi
for event in "$@"; do event "$event"; done
events=(pod-delete pod-force postgres-kill container-kill volume-delete node-off node-delete node-cut damage store-kill store-volume)
for ((i = 0; i < random; i++)); do event "${events[RANDOM % ${#events[@]}]}"; done
