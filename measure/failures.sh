#!/usr/bin/env bash
# Every failure of the primary: measure/failures.sh SCENARIO TIMES ALL_OFF RANDOM SETTING...
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
scenario=$1 times=$2 all_off=$3 random=$4
shift 4

# What the figures are of: the scenario, and what of it is not the default.
variant=$scenario
for setting in "$@"; do
	case $setting in
		q2.strategy=* | q2.dcs=*) variant+=-${setting#*=} ;;
		*) variant+=-${setting##*.} ;;
	esac
done
[ -z "${PGK_BULK:-}" ] || variant+=-bulk
namespace=pgk-measure-$$ plan=$work/plan.yaml
instance "$scenario" "$@"
nodes=$(kubectl get nodes --no-headers | wc -l)

# planned TIME: a drill of the plan on stdin, with nodes that are away for at most TIME
planned() {
	cat >"$plan"
	drill "$variant" "$plan" --node-on-after "$1"
}
# steps COUNT EVENT...: a plan of these events
steps() { local count=$1; shift; printf -- "- {event: %s, repeat: $count}\n" "$@"; }

# As the README has a human do once a deleted machine is replaced: of members that share a node, all but the
# first are given a new volume, and so a node of their own. (The primary comes first.)
spread() {
	local name node seen=' '
	# One that is not back yet would take none of them.
	within 300 'every node' nodes_are "$nodes"
	while read -r name node; do
		case $seen in
			*" $node "*)
				echo "spreading: $name leaves $node" >&2
				k delete pvc "data-$name" --wait=false >/dev/null
				k delete pod "$name" >/dev/null
				k wait pod "$name" --for create --timeout 60s >/dev/null
				k wait pod "$name" --for condition=Ready --timeout 300s >/dev/null
				;;
		esac
		seen+="$node "
	done < <(places)
	# Whoever reads the tables must know what the next machine takes with it.
	echo "members are at: $(places | paste -sd ',')" >&2
}
nodes_are() { [ "$(kubectl get nodes --no-headers | awk '$2 == "Ready"' | wc -l)" = "$1" ]; }
places() {
	k get pods --selector cluster-name --sort-by '{.metadata.labels.role}' \
		--output 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}'
}

# each EVENT...: one after the other; what deletes machines is a drill of its own
each() {
	local event others=()
	for event in "$@" ''; do
		case $event in
			'' | node-delete)
				[ ${#others[@]} = 0 ] || steps 1 "${others[@]}" | planned 20s
				others=()
				[ -z "$event" ] || { steps 1 node-delete | planned 150s; spread; }
				;;
			*) others+=("$event") ;;
		esac
	done
}

events=(switchover pod-delete pod-force postgres-kill container-kill volume-delete node-off node-cut node-cut-peers node-cut-api)
if [ "$times" -gt 0 ]; then
	steps "$times" "${events[@]}" | planned 20s
	for ((i = 0; i < times; i++)); do each node-delete; done
fi
[ "$all_off" = 0 ] || steps "$all_off" all-off | planned 150s
chosen=()
events+=(node-delete)
for ((i = 0; i < random; i++)); do chosen+=("${events[RANDOM % ${#events[@]}]}"); done
each ${chosen[@]+"${chosen[@]}"}
