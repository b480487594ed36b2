#!/usr/bin/env bash
# What replication costs: pgbench through pg-rw on a single PostgreSQL, and on Q2 with each durability.
# measure/pgbench.sh SECONDS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
seconds=$1

heading "just pgbench $seconds"
echo "# pgbench: scale 10, 8 clients, each run $seconds s, best of 3; the client on the node of no primary"
bench() { # NAME SCENARIO SETTING...
	local name=$1 run tps best=0
	shift
	namespace=pgk-pgbench-$$
	instance "$@"
	sleep 10
	client 10
	for run in 1 2 3; do
		tps=$(k exec client -- pgbench -c 8 -j 2 -M prepared -T "$seconds" 2>/dev/null |
			sed -n 's/^tps = \([0-9]*\).*/\1/p')
		echo "$name, run $run: $tps" >&2
		[ "$tps" -le "$best" ] || best=$tps
	done
	[ -n "${single:-}" ] || single=$best
	printf '%-40s %6d transactions a second, %3d %%\n' "$name" "$best" $((best * 100 / single))
	kubectl delete namespace "$namespace" >/dev/null
}
bench 'a single PostgreSQL (Q1, no replica)' q1 replicas=0
bench 'Q2, durability: asynchronous' q2 q2.durability=asynchronous
bench 'Q2, durability: synchronous' q2
