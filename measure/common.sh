# shellcheck shell=bash
# What the measurements share. Sourced by them, from the project's folder, with KUBECONFIG set; measure/record.py runs
# them and keeps what they print. Each works in a namespace of its own, $namespace; that and the folder $work are gone
# at its end, and what it broke is whole again.
# With PGK set, it is that pgk, such as one of before.
pgk=${PGK:-target/debug/pgk}
[ -n "${PGK:-}" ] || cargo build --locked --quiet

work=$(mktemp --directory)
namespace=''
measuring='' # the key of the figure that comes next
why=''       # it did not come
undo=()         # commands that make whole what the measurement has broken
repair() { local each; for each in "${undo[@]}"; do sh -c "$each" || true; done; }
finish() {
	local status=$?
	set +e
	[ $status = 0 ] || [ -z "$measuring" ] ||
		echo "figure {\"key\": $(quoted "$measuring"), \"passed\": false, \"reasons\": [$(quoted "${why:-it ended with status $status}")]}"
	repair
	if [ -n "$namespace" ]; then
		[ $status = 0 ] || evidence >&2
		kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null
	fi
	rm -rf "$work"
}
trap finish EXIT

# fail WHY: the end. Not within $(...), of which it would be the end alone.
fail() { why=$*; echo "FAILED: $why"; exit 1; }

# figure FIELD=VALUE...: prints the figure of what is measured, which has passed, and measures nothing any more
figure() {
	local field value line
	line="{\"key\": $(quoted "$measuring")"
	for field in "$@" passed=true; do
		value=${field#*=}
		[[ $value =~ ^(-?(0|[1-9][0-9]*)(\.[0-9]+)?|true|false|null)$ ]] || value=$(quoted "$value")
		line+=", \"${field%%=*}\": $value"
	done
	echo "figure $line}"
	measuring=''
}
# quoted TEXT: as a string of JSON
quoted() {
	local text=${1//\\/\\\\}
	text=${text//\"/\\\"}
	printf '"%s"' "$(tr '[:cntrl:]' ' ' <<<"$text" | sed 's/ *$//')"
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
	echo "figure {\"key\": \"versions\"$(version postgres --version)$(version patroni --version)$(version pgbackrest version)}"
}
# version PROGRAM ARGUMENT: its version as a field of JSON, if the primary's pod has it
version() { in_primary "$@" 2>/dev/null | sed -nE "1s/^[^0-9]*([0-9.]+).*/, \"$1\": \"\1\"/p" || true; }

# primary FIELD: a field of the primary's pod, for example .spec.nodeName
primary() { k get pods --selector role=primary --output "jsonpath={.items[0]$1}"; }

# delete_by_force POD...: at once, without a word to what runs in them
delete_by_force() { k delete pod "$@" --grace-period=0 --force >/dev/null 2>&1; }

# on POD COMMAND...: in its container of PostgreSQL
on() { k exec "$1" --container postgres -- "${@:2}"; }
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

# drill VARIANT ARGUMENT...: `pgk drill` with the environment's commands: its table, and its figures as those of that
# variant. The report of one that fails is kept. With PGK_BULK=1, some megabytes are written at a time, too.
drill() {
	local variant=$1 folder passed=yes
	shift
	[ -z "${PGK_BULK:-}" ] || set -- "$@" --bulk
	folder=$(mktemp --directory)
	$pgk drill "$@" --namespace "$namespace" --warm-up 3s --cool-down 3s --report "$folder/report" \
		--node-off "$PGK_NODE_OFF" --node-on "$PGK_NODE_ON" --node-delete "$PGK_NODE_DELETE" \
		--node-cut "$PGK_NODE_CUT" --node-cut-peers "$PGK_NODE_CUT_PEERS" --node-cut-api "$PGK_NODE_CUT_API" \
		--node-heal "$PGK_NODE_HEAL" --container-kill "$PGK_CONTAINER_KILL" || passed=no
	[ ! -e "$folder/report/report.json" ] || measure/drill_figures.py "$variant" "$folder/report/report.json"
	if [ $passed = no ]; then
		echo "what there is to read: $folder/report" >&2
		fail 'the drill did not pass'
	fi
	rm -r "$folder"
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

# end: of an instance, so that another can follow
end() {
	k delete pods,persistentvolumeclaims --all --grace-period=1 --wait=false >/dev/null
	kubectl delete namespace "$namespace" --wait=false >/dev/null
	namespace=''
}

# container_kill POD: all that runs in its container `postgres`
container_kill() {
	local node container
	read -r node container < <(k get pod "$1" --output 'jsonpath={.spec.nodeName} {.status.containerStatuses[?(@.name=="postgres")].containerID}{"\n"}')
	on_node "${PGK_CONTAINER_KILL//\{container\}/${container#*://}}" "$node"
}

now() { date +%s.%N; }
# since TIME: milliseconds
since() { awk "BEGIN { printf \"%d\", 1000 * ($(now) - $1) }"; }

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
# leads_another POD: the primary is another one than it was, and serves
leads_another() { [ "$(primary .metadata.name)" != "$1" ] && serves; }
# position: the end of the WAL, in bytes
position() { sql "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"; }

# fill_big GIGABYTES: a table of that size, in parts of 256 MB: 2,048 rows of 128 KB made of hashes
fill_big() {
	local part
	sql 'CREATE TABLE big (n bigint, filler bytea)'
	sql 'ALTER TABLE big ALTER filler SET STORAGE EXTERNAL'
	for ((part = 0; part < $1 * 4; part++)); do
		sql "INSERT INTO big SELECT n, (SELECT string_agg(sha512((n * 2048 + i)::text::bytea), '') FROM generate_series(1, 2048) i)
			FROM generate_series($((part * 2048)), $((part * 2048 + 2047))) n"
	done
}

# writer: a pod that inserts numbered rows, each on a new connection, and prints the time of each acknowledged one
writer() { writer_on "$(kubectl get nodes --output name | sed 's|^node/||' | tail -n 1)" 2; }
# writer_on NODE SECONDS: the same on that node, with so many seconds to connect
writer_on() {
	# (On one line, as it becomes a YAML scalar.)
	# shellcheck disable=SC2016 # for the shell in the pod
	a_pod writer "$1" '' bash -c 'export PGCONNECT_TIMEOUT=$0; for ((n = $(psql -qAtXc "SELECT coalesce(max(n), 0) FROM written") + 1; ; n++)); do [ ! -e /tmp/enough ] || exit 0; timeout $(($0 + 1)) psql -qXc "INSERT INTO written VALUES ($n)" 2>/dev/null && echo "$EPOCHREALTIME $n" || sleep 0.05; done' "$2"
	k wait pod/writer --for condition=Ready --timeout 60s >/dev/null
}
stop_writer() {
	k exec writer -- touch /tmp/enough 2>/dev/null || true # its container may end first
	k wait pod/writer --for jsonpath='{.status.phase}'=Succeeded --timeout 60s >/dev/null
	k logs writer >"$work/acknowledged"
	k delete pod writer >/dev/null
}
# so_far: what was acknowledged until now, without an end of the writer
so_far() { k logs writer >"$work/acknowledged"; }
# gap_since TIME: the longest time between two acknowledged rows since then, in milliseconds
gap_since() {
	awk -v from="$1" '$1 >= from { if (last && $1 - last > gap) gap = $1 - last } { last = $1 } END { printf "%d", 1000 * gap }' "$work/acknowledged"
}
longest_gap() { gap_since 0; }
# count_lost: sets `lost` to how many of the `acknowledged` rows are not there, and `loss_window_ms` to the time over
# which those were acknowledged. It is the end if none was.
count_lost() {
	sql 'SELECT n FROM written ORDER BY n' >"$work/kept"
	read -r acknowledged lost loss_window_ms < <(awk 'FILENAME == ARGV[1] { kept[$1]; next } { all++ } !($2 in kept) { lost++; if (!first) first = $1; last = $1 }
		END { printf "%d %d %d\n", all, lost, 1000 * (last - first) }' "$work/kept" "$work/acknowledged")
	[ "$acknowledged" -gt 0 ] || fail 'nothing was written'
}
# none_lost: the same, and it is the end if any is lost
none_lost() {
	count_lost
	[ "$lost" = 0 ] || fail "$lost of $acknowledged acknowledged rows lost, those of $loss_window_ms ms"
}
# at_most WHAT MILLISECONDS LIMIT: it is the end if it is more
at_most() { [ "$2" -le "$3" ] || fail "$1: $2 ms, more than $3 ms"; }

# ------------------------------------------------------------------ for an archive

# on_s3 PATH: a configuration whose archive is in the S3 store, in that folder
on_s3() {
	local S3_ENDPOINT S3_BUCKET S3_REGION S3_KEY S3_SECRET S3_CA
	# shellcheck disable=SC2154 # they are what the command prints
	eval "$(sh -c "$PGK_S3")"
	export AWS_ACCESS_KEY_ID=$S3_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET
	config=$work/s3.yaml
	{
		printf 'q3:\n  repos: [s3]\n  path: /%s\n  s3:\n' "$1"
		printf '    %s: %s\n' endpoint "$S3_ENDPOINT" bucket "$S3_BUCKET" region "$S3_REGION" uri-style path
		printf '    ca: |\n'
		sed 's/^/      /' "$S3_CA"
	} >"$config"
}
backups() { in_primary pgbackrest info --output=json | grep -o '"label"' | wc -l; }
backups_are() { [ "$(backups)" -ge "$1" ]; } # or more
# switched FILE: that WAL file is in the archive
switched() {
	local newest
	newest=$(sql 'SELECT last_archived_wal FROM pg_stat_archiver') && [[ ! $newest < $1 ]]
}
# switch SECONDS: every row that is there is in the archive
switch() { within "$1" 'the WAL in the archive' switched "$(sql 'SELECT pg_walfile_name(pg_switch_wal() - 1)')"; }
switch_now() { switched "$(sql 'SELECT pg_walfile_name(pg_switch_wal() - 1)')"; }
# archiving FIELD: of the condition pgk/archiving of the primary's pod
archiving() { k get pod "$(primary .metadata.name)" --output "jsonpath={.status.conditions[?(@.type=='pgk/archiving')]$1}"; }
archives() { [ "$(archiving .status)" = True ] && switch_now; }

# streaming COUNT: so many members stream from the primary
streaming() { [ "$(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE 'pg-%'")" = "$1" ]; }
# destroy POD...: the volumes of these members, and the pods themselves, at once. All that runs in them is killed
# first, with PGK_CONTAINER_KILL: a PostgreSQL that is still asked to stop archives what it has.
destroy() {
	local pod kill kills=()
	for pod in "$@"; do
		container_kill "$pod" &
		kills+=($!)
	done
	for kill in "${kills[@]}"; do wait "$kill"; done
	k delete pvc "${@/#/data-}" --wait=false >/dev/null
	delete_by_force "$@"
}
# last_words CRONJOB: runs it now, and sets `said` to its last line
last_words() {
	job "$1"
	said=${said##*$'\n'}
}
