#!/usr/bin/env bash
# What the sizing of PostgreSQL's parameters gives: pgbench on a single PostgreSQL with 2 GB of data and a memory limit of
# 2Gi, with `postgres.sizing: none` and with the default, one after the other, so many times.
# measure/sizing.sh SECONDS TIMES
#
# Each run has a new instance: what the page cache holds of a pod that is gone would count for nobody.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
seconds=$1 times=$2
scale=137 # 15 MB of tables and indexes each

# bench SIZING WHAT OPTION...: pgbench in the client, and its figure
bench() {
	local sizing=$1 what=$2 said tps latency
	shift 2
	measuring="sizing $sizing $what"
	sql CHECKPOINT
	said=$(k exec client -- pgbench -n -c 8 -j 2 -M prepared -T "$seconds" "$@" 2>"$work/errors") ||
		fail "pgbench: $(tail -n 1 "$work/errors")"
	tps=$(sed -n 's/^tps = \([0-9]*\).*/\1/p' <<<"$said")
	latency=$(sed -n 's/^latency average = \([0-9.]*\) ms$/\1/p' <<<"$said")
	[ "${tps:-0}" -gt 0 ] || fail 'pgbench did nothing'
	[ "$(restarts)" = 0 ] || fail "the container was restarted: $(last_end)"
	figure "tps=$tps" "latency=${latency:-null}" "seconds=$seconds" "gigabytes=$gigabytes" "shared_buffers=$(sql 'SHOW shared_buffers')" \
		"work_mem=$(sql 'SHOW work_mem')" "max_wal_size=$(sql 'SHOW max_wal_size')"
}
restarts() { primary '.status.containerStatuses[?(@.name=="postgres")].restartCount'; }
gone() {
	local name
	name=$(kubectl get namespace "$1" --ignore-not-found --output name) && [ -z "$name" ]
}
last_end() { primary '.status.containerStatuses[?(@.name=="postgres")].lastState.terminated.reason'; }

echo "# pgbench: scale $scale, 8 clients, each run $seconds s; the client on another node"
for ((run = 1; run <= times; run++)); do
	for sizing in none auto; do
		measuring="sizing $sizing"
		namespace=pgk-sizing-$$-$run-$sizing
		instance q1 replicas=0 resources.limits.memory=2Gi "postgres.sizing=$sizing"
		client "$scale"
		sql 'VACUUM (ANALYZE)'
		gigabytes=$(sql "SELECT round(pg_database_size('app') / 1e9, 1)")
		# Until the caches hold what they can.
		k exec client -- pgbench -n -S -c 8 -j 2 -M prepared -T 30 >/dev/null 2>&1 || fail 'pgbench cannot read'
		bench "$sizing" read-only -S
		bench "$sizing" read-write
		end
		within 600 'the end of the instance' gone "pgk-sizing-$$-$run-$sizing"
	done
done
