# shellcheck shell=bash
# What the measurements share. Sourced by them, from the project's folder, with KUBECONFIG set.
pgk=target/debug/pgk
cargo build --locked --quiet

# heading COMMAND: what was run, when and on what
heading() {
	echo "# $1, $(date --utc +%Y-%m-%d), commit $(git rev-parse --short HEAD)"
	echo "# $(kubectl version | sed -n 's/^Server Version: /Kubernetes /p'), $(nproc) cores, $(kubectl get nodes --no-headers | wc -l) nodes"
}

# instance NAMESPACE SCENARIO SETTING...: an instance in a new namespace, every member ready
instance() {
	local namespace=$1 scenario=$2
	shift 2
	kubectl create namespace "$namespace" >/dev/null
	$pgk secret | kubectl --namespace "$namespace" create -f - >/dev/null
	$pgk gen "$scenario" "${@/#/--set=}" | kubectl --namespace "$namespace" apply -f - >/dev/null
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
		      command: [$(printf '"%s", ' "$@")]
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
