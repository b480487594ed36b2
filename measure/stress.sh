#!/usr/bin/env bash
# Q2 with starved CPUs, lost packets and an API server that hangs now and then, for so many minutes: no
# failover may come of it. measure/stress.sh MINUTES
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
minutes=$1

namespace=pgk-stress-$$
mapfile -t nodes < <(kubectl get nodes --output 'jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}')
repair() {
	sh -c "$PGK_API_ON" || true
	for node in "${nodes[@]}"; do on_node "$PGK_NODE_HEAL" "$node" || true; done
}
instance q2
measuring='q2 stress'
state() {
	echo "primary $(primary .metadata.name), $(sql "SELECT 'started ' || pg_postmaster_start_time() || ', timeline ' || timeline_id
		FROM pg_control_checkpoint()")"
}
sql 'CREATE TABLE written (n bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp()); ALTER TABLE written OWNER TO app'
before=$(state)

# On every node four loops that Kubernetes grants ten times the CPU that a member asks for.
for node in "${nodes[@]}"; do
	a_pod "hog-$node" "$node" 'resources: {requests: {cpu: "1"}}' \
		bash -c 'for i in 1 2 3 4; do while :; do :; done & done; wait'
done
a_pod writer "${nodes[0]}" '' bash -c \
	"echo 'INSERT INTO written DEFAULT VALUES' >/tmp/insert; pgbench -n -c 4 -R 40 -T $((minutes * 60)) -f /tmp/insert"
for ((minute = 0; minute < minutes; minute++)); do
	node=${nodes[minute / 2 % ${#nodes[@]}]}
	[ $((minute % 2)) != 0 ] || on_node "$PGK_NODE_LOSSY" "$node"
	if [ $((minute % 4)) = 3 ]; then
		sh -c "$PGK_API_OFF"
		sleep 30
		sh -c "$PGK_API_ON"
		sleep 30
	else
		sleep 60
	fi
	[ $((minute % 2)) != 1 ] || on_node "$PGK_NODE_HEAL" "$node"
	echo "minute $((minute + 1)): 20 % of the packets to $node lost; load $(cut -d' ' -f1-3 /proc/loadavg)" >&2
done
k wait pod/writer --for jsonpath='{.status.phase}'=Succeeded --timeout 120s >/dev/null
k delete pod --grace-period 1 "${nodes[@]/#/hog-}" >/dev/null
after=$(state)
echo "# before: $before"
echo "# after:  $after"
[ "$before" = "$after" ] || fail "the primary was restarted or replaced: before, $before; after, $after"
acknowledged=$(k logs writer | sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p')
kept=$(sql 'SELECT count(*) FROM written')
[ "${acknowledged:-0}" -gt 0 ] || fail 'nothing was written'
[ "$kept" = "$acknowledged" ] || fail "$acknowledged inserts acknowledged, $kept rows kept"
gap=$(sql 'SELECT round(1000 * extract(epoch FROM max(gap))) FROM (SELECT at - lag(at) OVER (ORDER BY at) AS gap FROM written) x')
figure "minutes=$minutes" "acknowledged=$acknowledged" "kept=$kept" "asked=$((40 * 60 * minutes))" "longest_gap_ms=$gap"
