#!/usr/bin/env bash
# Every failure of Q2's primary: measure/q2.sh TIMES ALL_OFF RANDOM SETTING...
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
times=$1 all_off=$2 random=$3
shift 3

namespace=pgk-measure-$$ plan=$(mktemp --suffix .yaml)
trap 'kubectl delete namespace "$namespace" --wait=false >/dev/null; rm -f "$plan"' EXIT
heading "just measure-q2 $times $all_off $random $*"
instance "$namespace" q2 "$@"

# drill TIME: the plan on stdin, with nodes that are away for at most TIME
drill() {
	cat >"$plan"
	$pgk drill "$plan" --namespace "$namespace" --warm-up 3s --cool-down 3s --node-on-after "$1" \
		--node-off "$PGK_NODE_OFF" --node-on "$PGK_NODE_ON" --node-delete "$PGK_NODE_DELETE" \
		--node-cut "$PGK_NODE_CUT" --node-heal "$PGK_NODE_HEAL" --container-kill "$PGK_CONTAINER_KILL"
}
# steps COUNT EVENT...: a plan of these events
steps() { local count=$1; shift; printf -- "- {event: %s, repeat: $count}\n" "$@"; }

if [ "$times" -gt 0 ]; then
	steps "$times" switchover pod-delete pod-force postgres-kill container-kill volume-delete node-off node-cut | drill 20s
	steps "$times" node-delete | drill 150s
fi
[ "$all_off" = 0 ] || steps "$all_off" all-off | drill 150s
[ "$random" = 0 ] || {
	events=(switchover pod-delete pod-force postgres-kill container-kill volume-delete node-off node-cut node-delete)
	for ((i = 0; i < random; i++)); do steps 1 "${events[RANDOM % ${#events[@]}]}"; done | drill 150s
}
