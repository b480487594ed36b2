# shellcheck shell=bash
# What the measurements share. Sourced by them, from the project's folder, with KUBECONFIG set. Each works in a
# namespace of its own, $namespace; that and the folder $work are gone at its end, and what it broke is whole again.
pgk=target/debug/pgk
cargo build --locked --quiet

work=$(mktemp --directory)
namespace=''
repair() { :; } # makes whole what the measurement has broken
finish() {
	local status=$?
	set +e
	repair
	if [ -n "$namespace" ]; then
		[ $status = 0 ] || evidence >&2
		kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null
	fi
	rm -rf "$work"
}
trap finish EXIT

# fail WHY: the end. Not within $(...), of which it would be the end alone.
fail() { echo "FAILED: $*"; exit 1; }

# heading COMMAND: what was run, when and on what
heading() {
	echo "# $1, $(date --utc +%Y-%m-%d), commit $(git rev-parse --short HEAD)"
	echo "# $(kubectl version | sed -n 's/^Server Version: /Kubernetes /p'), $(nproc) cores, $(kubectl get nodes --no-headers | wc -l) nodes"
}

k() { kubectl --namespace "$namespace" "$@"; }

# instance SCENARIO SETTING...: an instance in a new namespace, every member ready. With `config` set, that is
# its file; with an instance of before, `secrets` is what its Secrets were kept in.
instance() {
	local scenario=$1
	shift
	local options=(${config:+"--file=$config"} "${@/#/--set=}")
	kubectl create namespace "$namespace" >/dev/null
	if [ -n "${secrets:-}" ]; then cat "$secrets"; else $pgk secret "$scenario" ${config:+"--file=$config"}; fi |
		k create -f - >/dev/null
	$pgk gen "$scenario" "${options[@]}" | k apply -f - >/dev/null
	k get statefulsets,deployments --output name | while read -r set; do
		k rollout status "$set" --timeout 300s >/dev/null
	done
}

# primary FIELD: a field of the primary's pod, for example .spec.nodeName
primary() { k get pods --selector role=primary --output "jsonpath={.items[0]$1}"; }

in_primary() { k exec "$(primary .metadata.name)" --container postgres -- "$@"; }

# sql STATEMENT: as the superuser, in the primary's pod
sql() { in_primary psql -qAtXd app -c "$1"; }

# a_pod NAME NODE SETTINGS COMMAND...: a pod of PostgreSQL's image that knows the application's password;
# SETTINGS is YAML for its container
a_pod() {
	local name=$1 node=$2 settings=$3
	shift 3
	k create -f - <<-YAML >/dev/null
		apiVersion: v1
		kind: Pod
		metadata: {name: $name}
		spec:
		  nodeSelector: {kubernetes.io/hostname: $node}
		  terminationGracePeriodSeconds: 1
		  restartPolicy: Never
		  containers:
		    - name: $name
		      image: $(primary '.spec.containers[?(@.name=="postgres")].image')
		      imagePullPolicy: IfNotPresent
		      command: [$(printf "'%s', " "${@//\'/\'\'}")]
		      env:
		        - {name: PGHOST, value: pg-rw}
		        - {name: PGUSER, value: app}
		        - {name: PGDATABASE, value: app}
		        - name: PGPASSWORD
		          valueFrom: {secretKeyRef: {name: pg-credentials, key: app-password}}
		      $settings
	YAML
}

# client SCALE: the pod `client`, on another node than the primary's, and pgbench's tables of that scale
client() {
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | grep -vx "$(primary .spec.nodeName)" | head -n 1)
	a_pod client "$node" '' sleep infinity
	k wait pod/client --for condition=Ready --timeout 60s >/dev/null
	k exec client -- pgbench -iqs "$1" 2>/dev/null
}

# on_node COMMAND NODE: one of the environment's commands, on that node
on_node() { sh -c "${1//\{node\}/$2}"; }

# drill ARGUMENT...: `pgk drill` with the environment's commands
drill() {
	$pgk drill "$@" --namespace "$namespace" --warm-up 3s --cool-down 3s \
		--node-off "$PGK_NODE_OFF" --node-on "$PGK_NODE_ON" --node-delete "$PGK_NODE_DELETE" \
		--node-cut "$PGK_NODE_CUT" --node-heal "$PGK_NODE_HEAL" --container-kill "$PGK_CONTAINER_KILL"
}

# evidence: what there is to read of an instance that did not recover, kept in a folder of its own
evidence() {
	local folder pod
	folder=$(mktemp --directory)
	{
		kubectl get nodes --output wide
		k get pods,persistentvolumeclaims --output wide
		k get events --sort-by .lastTimestamp
	} >"$folder/objects.txt" 2>&1
	k get pods,endpoints,configmaps --output yaml >"$folder/objects.yaml" 2>&1
	for pod in $(k get pods --output 'jsonpath={.items[*].metadata.name}'); do
		k logs "$pod" --all-containers --prefix --timestamps >"$folder/$pod.log" 2>&1
		k logs "$pod" --container postgres --previous --timestamps >"$folder/$pod.previous.log" 2>&1
	done
	echo "what there is to read: $folder"
}

# ------------------------------------------------------------------ for what is broken by hand, instead of by a drill

now() { date +%s.%N; }
since() { awk "BEGIN { printf \"%.1f\", $(now) - $1 }"; }

# within SECONDS WHAT COMMAND...: waits until the command succeeds
within() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || fail "not in time: $what"
		sleep 1
	done
}

# job CRONJOB [SECONDS]: runs it now, and sets `said` to its log
# shellcheck disable=SC2034 # whoever sources this reads it
job() {
	local name
	name=$1-$(date +%s)
	k create job "$name" --from="cronjob/$1" >/dev/null
	within "${2:-300}" "the end of $name" job_is_over "$name"
	said=$(k logs "job/$name" | sed -n 's/.* pgk: //p')
}
job_is_over() { k get "job/$1" --output 'jsonpath={.status.conditions[*].type}' | grep -Eq 'Complete|Failed'; }

# What the writer writes to.
create_written() {
	sql 'CREATE TABLE written (n bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
		ALTER TABLE written OWNER TO app'
}
serves() { [ "$(sql 'SELECT pg_is_in_recovery() FROM (SELECT count(*) FROM written)')" = f ]; }

# writer: a pod that inserts numbered rows, each on a new connection, and prints the time of each acknowledged one
writer() {
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | tail -n 1)
	# (On one line, as it becomes a YAML scalar.)
	# shellcheck disable=SC2016 # for the shell in the pod
	a_pod writer "$node" '' bash -c 'export PGCONNECT_TIMEOUT=2; for ((n = $(psql -qAtXc "SELECT coalesce(max(n), 0) FROM written") + 1; ; n++)); do [ ! -e /tmp/enough ] || exit 0; timeout 3 psql -qXc "INSERT INTO written VALUES ($n)" 2>/dev/null && echo "$EPOCHREALTIME $n" || sleep 0.05; done'
	k wait pod/writer --for condition=Ready --timeout 60s >/dev/null
}
stop_writer() {
	k exec writer -- touch /tmp/enough 2>/dev/null || true # its container may end first
	k wait pod/writer --for jsonpath='{.status.phase}'=Succeeded --timeout 60s >/dev/null
	k logs writer >"$work/acknowledged"
	k delete pod writer >/dev/null
}
# longest_gap: the longest time between two acknowledged rows
longest_gap() { awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { printf "%.1f s", gap }' "$work/acknowledged"; }
# lost: sets `lost` to how many acknowledged rows are not there, and over which time they were acknowledged
lost() {
	sql 'SELECT n FROM written ORDER BY n' >"$work/kept"
	lost=$(awk 'NR == FNR { kept[$1]; next } !($2 in kept) { lost++; if (!first) first = $1; last = $1 }
		END { printf "%d of %d acknowledged rows lost", lost, FNR; if (lost) printf " (of %.1f s)", last - first }' "$work/kept" "$work/acknowledged")
}
# none_lost: the same, and it is the end if any is lost, or none was written
none_lost() {
	lost
	case $lost in
		'0 of 0 '*) fail "nothing was written" ;;
		'0 of '*) ;;
		*) fail "$lost" ;;
	esac
}
