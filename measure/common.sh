# shellcheck shell=bash
# What the measurements share. Sourced by them, from the project's folder, with KUBECONFIG set.
pgk=target/debug/pgk
cargo build --locked --quiet

# heading COMMAND: what was run, when and on what
heading() {
	echo "# $1, $(date --utc +%Y-%m-%d), commit $(git rev-parse --short HEAD)"
	echo "# $(kubectl version | sed -n 's/^Server Version: /Kubernetes /p'), $(nproc) cores, $(kubectl get nodes --no-headers | wc -l) nodes"
}

# instance NAMESPACE SCENARIO SETTING...: an instance in a new namespace, every member ready. With `config` set,
# that is its file; with an instance of before, `secrets` is what its Secrets were kept in.
instance() {
	local namespace=$1 scenario=$2
	shift 2
	local options=(${config:+"--file=$config"} "${@/#/--set=}")
	kubectl create namespace "$namespace" >/dev/null
	if [ -n "${secrets:-}" ]; then cat "$secrets"; else $pgk secret "$scenario" ${config:+"--file=$config"}; fi |
		kubectl --namespace "$namespace" create -f - >/dev/null
	$pgk gen "$scenario" "${options[@]}" | kubectl --namespace "$namespace" apply -f - >/dev/null
	kubectl --namespace "$namespace" get statefulsets --output name | while read -r set; do
		kubectl --namespace "$namespace" rollout status "$set" --timeout 300s >/dev/null
	done
}

# primary NAMESPACE FIELD: a field of the primary's pod, for example .spec.nodeName
primary() { kubectl --namespace "$1" get pods --selector role=primary --output "jsonpath={.items[0]$2}"; }

# sql NAMESPACE STATEMENT: as the superuser, in the primary's pod
sql() { kubectl --namespace "$1" exec "$(primary "$1" .metadata.name)" --container postgres -- psql -qAtXd app -c "$2"; }

# a_pod NAMESPACE NAME NODE SETTINGS COMMAND...: a pod of PostgreSQL's image that knows the application's
# password; SETTINGS is YAML for its container
a_pod() {
	local namespace=$1 name=$2 node=$3 settings=$4
	shift 4
	kubectl --namespace "$namespace" create -f - <<-YAML >/dev/null
		apiVersion: v1
		kind: Pod
		metadata: {name: $name}
		spec:
		  nodeSelector: {kubernetes.io/hostname: $node}
		  terminationGracePeriodSeconds: 1
		  restartPolicy: Never
		  containers:
		    - name: $name
		      image: $(primary "$namespace" '.spec.containers[?(@.name=="postgres")].image')
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

# on_node COMMAND NODE: one of the environment's commands, on that node
on_node() { sh -c "${1//\{node\}/$2}"; }

# evidence NAMESPACE: what there is to read of an instance that did not recover, kept in a folder of its own
evidence() {
	local folder pod
	folder=$(mktemp --directory)
	{
		kubectl get nodes --output wide
		kubectl --namespace "$1" get pods,persistentvolumeclaims --output wide
		kubectl --namespace "$1" get events --sort-by .lastTimestamp
	} >"$folder/objects.txt" 2>&1
	kubectl --namespace "$1" get pods,endpoints,configmaps --output yaml >"$folder/objects.yaml" 2>&1
	for pod in $(kubectl --namespace "$1" get pods --output 'jsonpath={.items[*].metadata.name}'); do
		kubectl --namespace "$1" logs "$pod" --all-containers --prefix --timestamps >"$folder/$pod.log" 2>&1
		kubectl --namespace "$1" logs "$pod" --container postgres --previous --timestamps >"$folder/$pod.previous.log" 2>&1
	done
	echo "what there is to read: $folder"
}

# ------------------------------------------------------------------ for what is broken by hand, instead of by a drill:
# in the namespace $namespace, with the folder $work, and with fail(), which says what went wrong and ends it all

k() { kubectl --namespace "$namespace" "$@"; }
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

# writer: a pod that inserts numbered rows, each on a new connection, and prints the time of each acknowledged one
writer() {
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | tail -n 1)
	# (On one line, as it becomes a YAML scalar.)
	# shellcheck disable=SC2016 # for the shell in the pod
	a_pod "$namespace" writer "$node" '' bash -c 'export PGCONNECT_TIMEOUT=2; for ((n = $(psql -qAtXc "SELECT coalesce(max(n), 0) FROM written") + 1; ; n++)); do [ ! -e /tmp/enough ] || exit 0; timeout 3 psql -qXc "INSERT INTO written VALUES ($n)" 2>/dev/null && echo "$EPOCHREALTIME $n" || sleep 0.05; done'
	k wait pod/writer --for condition=Ready --timeout 60s >/dev/null
}
# shellcheck disable=SC2154 # $work is set by whoever sources this
stop_writer() {
	k exec writer -- touch /tmp/enough 2>/dev/null || true # its container may end first
	k wait pod/writer --for jsonpath='{.status.phase}'=Succeeded --timeout 60s >/dev/null
	k logs writer >"$work/acknowledged"
	k delete pod writer >/dev/null
}
# longest_gap: the longest time between two acknowledged rows
longest_gap() { awk 'NR > 1 && $1 - last > gap { gap = $1 - last } { last = $1 } END { printf "%.1f s", gap }' "$work/acknowledged"; }
# lost: how many acknowledged rows are not there, and over which time they were acknowledged
lost() {
	sql "$namespace" 'SELECT n FROM written ORDER BY n' >"$work/kept"
	awk 'NR == FNR { kept[$1]; next } !($2 in kept) { lost++; if (!first) first = $1; last = $1 }
		END { printf "%d of %d acknowledged rows lost", lost, FNR; if (lost) printf " (of %.1f s)", last - first }' "$work/kept" "$work/acknowledged"
}
none_lost() { local what; what=$(lost); case $what in '0 of 0 '*) fail "nothing was written" ;; '0 of '*) echo "$what" ;; *) fail "$what" ;; esac; }
