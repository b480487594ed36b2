#!/usr/bin/env bash
# A database that is not small, with a steady load: measure/large.sh GIGABYTES
#
# One Q3 with so much data, and a writer of some 10 MB of WAL a second. Then a replica is off for five minutes, its volume is
# lost, the primary hands over, the primary's node is lost, a backup is taken, everything is lost and restored, and the
# restore test runs. The commands are those of `just cluster`. Each node needs room for three times the data.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1

# load: a pod that commits, ten times a second, a row and a megabyte of WAL that does not compress, and prints when
load() {
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | grep -vx "$(primary .spec.nodeName)" | head -n 1)
	# (On one line, as it becomes a YAML scalar.)
	# shellcheck disable=SC2016 # for the shell in the pod
	a_pod writer "$node" '' bash -c 'export PGCONNECT_TIMEOUT=2; head -c 750000 /dev/urandom | base64 -w 0 >/tmp/megabyte; n=$(psql -qAtXc "SELECT coalesce(max(n), 0) + 1 FROM written"); while [ ! -e /tmp/enough ]; do began=${EPOCHREALTIME/./}; { printf "BEGIN; SELECT length(pg_logical_emit_message(true, \047load\047, \047"; cat /tmp/megabyte; printf "\047)::text); INSERT INTO written VALUES (%d); COMMIT;" "$n"; } | timeout 10 psql -qX -v ON_ERROR_STOP=1 >/dev/null 2>&1 && echo "$EPOCHREALTIME $n"; n=$((n + 1)); left=$((100000 - (${EPOCHREALTIME/./} - began))); [ "$left" -le 0 ] || sleep "0.$(printf %06d "$left")"; done'
	k wait pod/writer --for condition=Ready --timeout 60s >/dev/null
}
gap_so_far() { so_far; gap_since "$1"; }
rate() { awk "BEGIN { printf \"%.1f\", $1 / 1048576 / $2 * 1000 }"; }
replica() { k get pods --selector role=replica --output "jsonpath={.items[${1:-0}].metadata.name}"; }
not_synchronous() {
	local sync
	sync=$(sql "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")
	k get pods --selector role=replica --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}' | grep -vx "$sync" | head -n 1
}
well() { serves && streaming 2; }
# event NAME: what is measured from here on
event() { measuring="large $1"; began=$(now); echo "# $1" >&2; }
# recovered: once all is well again, the figure of this event
recovered() {
	within 1800 "full strength after $measuring" well
	figure "gigabytes=$gigabytes" "full_strength_ms=$(since "$began")" "write_ms=$(gap_so_far "$began")"
}

measuring='large fill'
namespace=pgk-large-$$
config='' secrets=''
instance q3 "storage.size=$((gigabytes * 2 + 4))Gi" "q3.posix.size=$((gigabytes * 3 + 8))Gi" postgres.parameters.max_wal_size=2GB
create_written
within 180 'the first backup' backups_are 1
began=$(now) from=$(position)
fill_big "$gigabytes"
figure "gigabytes=$gigabytes" "megabytes_per_second=$(rate $((gigabytes << 30)) "$(since "$began")")"

# The yardstick: the same files, copied on the same disk
event copy
in_primary bash -c 'mkdir /pgdata/copy && cp -a /pgdata/data/base /pgdata/copy/ && sync /pgdata/copy'
took=$(since "$began")
in_primary rm -rf /pgdata/copy
figure "gigabytes=$gigabytes" "copy_ms=$took" "megabytes_per_second=$(rate $((gigabytes << 30)) "$took")"

load
event load
from=$(position)
sleep 60
figure "megabytes_per_second=$(rate $(($(position) - from)) "$(since "$began")")" "write_ms=$(gap_so_far "$began")"

event 'replica off for five minutes'
pod=$(not_synchronous)
node=$(k get pod "$pod" --output 'jsonpath={.spec.nodeName}')
undo+=("${PGK_NODE_ON//\{node\}/$node}")
on_node "$PGK_NODE_OFF" "$node"
sleep 300
on_node "$PGK_NODE_ON" "$node"
undo=()
back=$(now)
within 1800 'the replica streams' well
figure "gigabytes=$gigabytes" "streaming_again_ms=$(since "$back")" "write_ms=$(gap_so_far "$began")" \
	"cloned=$(k logs "$pod" --container postgres | grep -c 'fell behind' || true)"

event 'volume of a replica lost'
pod=$(not_synchronous)
k delete pvc "data-$pod" --wait=false >/dev/null
k delete pod "$pod" >/dev/null
sleep 5
recovered

event switchover
pod=$(primary .metadata.name)
k delete pod "$pod" --wait=false >/dev/null
within 180 'another primary' leads_another "$pod"
recovered

event "the primary's node off"
node=$(primary .spec.nodeName)
undo+=("${PGK_NODE_ON//\{node\}/$node}")
on_node "$PGK_NODE_OFF" "$node"
sleep 60
on_node "$PGK_NODE_ON" "$node"
undo=()
recovered

event backup
said=''
job pg-backup-full 3600
figure "gigabytes=$gigabytes" "backup_ms=$(since "$began")" "write_ms=$(gap_so_far "$began")" "said=${said##*$'\n'}"

event 'everything lost'
so_far
stop_writer 2>/dev/null || true
switch 300
k delete pvc data-pg-0 data-pg-1 data-pg-2 --wait=false >/dev/null
delete_by_force pg-0 pg-1 pg-2
began=$(now)
within 3600 'a primary' serves
took=$(since "$began")
none_lost
within 3600 'the replicas' streaming 2
figure "gigabytes=$gigabytes" "primary_ms=$took" "full_strength_ms=$(since "$began")" "acknowledged=$acknowledged" "lost=$lost"

event 'restore test'
job pg-restore-test 3600
[[ $said = *'restore test: passed'* ]] || fail "${said##*$'\n'}"
figure "gigabytes=$gigabytes" "restore_test_ms=$(since "$began")"
