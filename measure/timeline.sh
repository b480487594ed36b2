#!/usr/bin/env bash
# Where the seconds of a lost node go, in Q2: measure/timeline.sh TIMES [node-off|node-cut]
#
# The primary's node is powered off, or cut from the network, so many times. What happened when is read from the members'
# logs, from a probe on each node that is left, which connects through pg-rw again and again, from what a writer was
# acknowledged, and from what a reader of pg-ro was answered.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
event=${2:-node-off}
case $event in
	node-off) lose=$PGK_NODE_OFF return=$PGK_NODE_ON ;;
	node-cut) lose=$PGK_NODE_CUT return=$PGK_NODE_HEAL ;;
	*) fail "no such event: $event" ;;
esac
namespace=pgk-timeline-$$
instance q2
create_written
within 90 'the replicas' streaming 2

# A connection that is refused or reset is an answer of the wrong place, and none at all is one of nobody.
probe='
import socket, time
while True:
    begin = time.time()
    try:
        with socket.create_connection(("pg-rw", 5432), timeout=0.3) as door:
            door.settimeout(0.3)
            door.sendall((8).to_bytes(4, "big") + (80877103).to_bytes(4, "big"))
            print(f"{time.time():.3f}" if door.recv(1) else f"{time.time():.3f} away", flush=True)
    except OSError:
        print(f"{time.time():.3f} away", flush=True)
    time.sleep(max(0, begin + 0.1 - time.time()))
'
all_ready() { k get pods --selector cluster-name=pg-rw --output 'jsonpath={.items[*].status.containerStatuses[*].ready}' | grep -qv false; }

for ((run = 1; run <= $1; run++)); do
	measuring="q2 $event timeline"
	within 200 'the replicas' streaming 2
	within 60 'every container' all_ready
	sleep 10
	read -r old node < <(k get pods --selector role=primary --output 'jsonpath={.items[0].metadata.name} {.items[0].spec.nodeName}{"\n"}')
	survivors=$(k get pods --selector cluster-name=pg-rw --output 'jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}' | grep -v "^$old ")
	while read -r pod on; do
		a_pod "probe-$pod" "$on" '' python3 -c "import base64; exec(base64.b64decode('$(base64 --wrap 0 <<<"$probe")'))"
		k wait "pod/probe-$pod" --for condition=Ready --timeout 60s >/dev/null
	done <<<"$survivors"
	on=$(tail -n 1 <<<"$survivors" | cut -d' ' -f2)
	# A short time to connect, so that the first commit does not wait for an attempt of before.
	writer_on "$on" 1
	# (On one line, as it becomes a YAML scalar.)
	# shellcheck disable=SC2016 # for the shell in the pod
	a_pod reader "$on" '' bash -c 'export PGCONNECT_TIMEOUT=2; while :; do timeout 3 psql -h pg-ro -qAtXc "SELECT count(*) FROM written" >/dev/null 2>&1 && echo "$EPOCHREALTIME"; sleep 0.05; done'
	k wait pod/reader --for condition=Ready --timeout 60s >/dev/null
	sleep 5
	undo=("${return//\{node\}/$node}")
	off=$(now)
	on_node "$lose" "$node" >&2
	within 60 'another primary' leads_another "$old"
	sleep 6
	mkdir -p "$work/run"
	while read -r pod _; do
		k logs "$pod" --all-containers --timestamps --since 60s >"$work/run/$pod.log"
		k logs "probe-$pod" >"$work/run/$pod.probe"
		k delete pod "probe-$pod" --wait=false >/dev/null
	done <<<"$survivors"
	k logs reader >"$work/run/answered"
	delete_by_force reader
	stop_writer
	none_lost
	cp "$work/acknowledged" "$work/run/acknowledged"
	mapfile -t fields < <(measure/timeline.py "$off" "$work/run")
	[ ${#fields[@]} -gt 0 ] || fail 'the logs say too little'
	figure "${fields[@]}" "acknowledged=$acknowledged" "lost=$lost"
	rm -r "$work/run"
	repair >&2
	undo=()
done
