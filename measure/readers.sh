#!/usr/bin/env bash
# Readers of Q1 while a replica's node is off, until Kubernetes takes it for lost: measure/readers.sh TIMES
#
# One reader connects through pg-ro alone, another one through pg-ro or else pg-rw; each gives up an attempt after 2 s.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
namespace=pgk-readers-$$
instance q1
declare -A hosts=([pg-ro]='pg-ro' [pg-ro-or-rw]='pg-ro,pg-rw')
both_ready() { [ "$(k get pods --selector role=replica --output 'jsonpath={.items[*].status.containerStatuses[*].ready}')" = 'true true' ]; }

for ((run = 1; run <= $1; run++)); do
	measuring='q1 readers'
	within 200 'two replicas' both_ready
	here=$(primary .spec.nodeName)
	node=$(k get pods --selector role=replica --output 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}' | grep -vx "$here" | head -n 1)
	for reader in "${!hosts[@]}"; do
		# (On one line, as it becomes a YAML scalar.)
		# shellcheck disable=SC2016 # for the shell in the pod
		a_pod "$reader" "$here" '' bash -c 'while :; do began=$EPOCHREALTIME; psql "host=$0 connect_timeout=2" -qAtXc "SELECT 1" >/dev/null 2>&1 && said=answered || said=failed; echo "$began $EPOCHREALTIME $said"; sleep 0.2; done' "${hosts[$reader]}"
		k wait "pod/$reader" --for condition=Ready --timeout 60s >/dev/null
	done
	sleep 5
	undo=("${PGK_NODE_ON//\{node\}/$node}")
	off=$(now)
	on_node "$PGK_NODE_OFF" "$node" >&2
	sleep 75
	for reader in "${!hosts[@]}"; do
		measuring="q1 readers $reader"
		# shellcheck disable=SC2046 # a word each
		figure $(k logs "$reader" | awk -v off="$off" '
			$3 == "answered" { if (last && $2 >= off && $2 - last > gap) gap = $2 - last; last = $2 }
			$1 >= off { tried++; failed += $3 == "failed" }
			END { printf "tried=%d failed_attempts=%d read_ms=%d", tried, failed, 1000 * gap }')
		delete_by_force "$reader"
	done
	repair >&2
	undo=()
done
end
