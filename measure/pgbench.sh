#!/usr/bin/env bash
# What replication costs: pgbench through pg-rw on a single PostgreSQL, and on Q2 with each durability; and the CPU
# that Q2 takes when nothing is asked of it.
# measure/pgbench.sh SECONDS
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
seconds=$1

# In a container, with either kind of cgroups: the microseconds of CPU that it has used, now and $1 seconds later.
# Within one `kubectl exec`, as the start of one takes some CPU there itself.
# shellcheck disable=SC2016
used='used() {
	if [ -e /sys/fs/cgroup/cpu.stat ]; then sed -n "s/^usage_usec //p" /sys/fs/cgroup/cpu.stat
	else echo $(($(cat /sys/fs/cgroup/cpuacct/cpuacct.usage) / 1000)); fi
}
used; sleep "$1"; used'

# at_rest NAME: the CPU of all pods for a minute, and of their containers by name, in percent of a core
at_rest() {
	local pod containers container fields
	measuring="pgbench $1 at-rest"
	k get pods --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.containers[*].name}{"\n"}{end}' >"$work/pods"
	rm -rf "$work/used"
	mkdir "$work/used"
	while read -r pod containers; do
		for container in $containers; do
			k exec "$pod" --container "$container" -- sh -c "$used" sh 60 </dev/null >"$work/used/$pod.$container" &
		done
	done <"$work/pods"
	wait
	fields=$(awk '
		FNR == 1 {n = split(FILENAME, path, "."); name = path[n]; files++; first = $1}
		FNR == 2 {of[name] += $1 - first; all += $1 - first; ends++}
		END {
			if (ends == 0 || files != ends) exit 1
			printf "cpu_percent=%.2f\n", all / 600000
			for (name in of) printf "%s_percent=%.2f\n", name, of[name] / 600000
		}' "$work"/used/*) || fail 'a container does not say what CPU it has used'
	# shellcheck disable=SC2086
	figure $fields "seconds=60"
}

echo "# pgbench: scale 10, 8 clients, each run $seconds s; the client on the node of no primary"
bench() { # NAME SCENARIO SETTING...
	local name=$1 tps
	shift
	measuring="pgbench $name"
	namespace=pgk-pgbench-$$
	instance "$@"
	sleep 10
	if [ "$name" = 'q2 synchronous' ]; then
		sleep 20
		for _ in 1 2 3; do at_rest "$name"; done
	fi
	client 10
	for _ in 1 2 3; do
		measuring="pgbench $name"
		tps=$(k exec client -- pgbench -c 8 -j 2 -M prepared -T "$seconds" 2>/dev/null |
			sed -n 's/^tps = \([0-9]*\).*/\1/p')
		[ "${tps:-0}" -gt 0 ] || fail 'pgbench did nothing'
		figure "tps=$tps" "seconds=$seconds"
	done
	kubectl delete namespace "$namespace" >/dev/null
}
bench single q1 replicas=0
bench 'q2 asynchronous' q2 q2.durability=asynchronous
bench 'q2 synchronous' q2
