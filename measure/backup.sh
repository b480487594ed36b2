#!/usr/bin/env bash
# What a backup and a restore take, and what they cost a primary under load: pgBackRest in Q3, and pg_basebackup of a
# single PostgreSQL. measure/backup.sh GIGABYTES
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1

work=$(mktemp --directory)
namespace=''
finish() {
	local status=$?
	set +e
	[ $status = 0 ] || [ -z "$namespace" ] || evidence "$namespace" >&2
	kubectl delete namespace "$namespace" --ignore-not-found --wait=false >/dev/null
	rm -rf "$work"
}
trap finish EXIT
fail() { echo "FAILED: $*"; exit 1; }
heading "just backup $gigabytes"
echo "# pgbench: 4 clients, on the node of no primary; transactions a second"

# begin SCENARIO SETTING...: an instance with so much data, and a client
begin() {
	namespace=pgk-backup-$1-$$
	instance "$namespace" "$@"
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | grep -vx "$(primary "$namespace" .spec.nodeName)" | head -n 1)
	a_pod "$namespace" client "$node" '' sleep infinity
	k wait pod/client --for condition=Ready --timeout 60s >/dev/null
	k exec client -- pgbench -iqs $((gigabytes * 67)) 2>/dev/null
	k exec client -- psql -qXc CHECKPOINT >/dev/null 2>&1 || true
	load &
	sleep 40
}
load() { k exec client -- timeout 900 pgbench -n -c 4 -j 2 -M prepared -T 900 --progress=1 --progress-timestamp >/dev/null 2>"$work/progress" || true; }
# tps FROM TO: transactions a second between these times
tps() { awk -v from="$1" -v to="$2" '$1 == "progress:" && $2 >= from && $2 <= to { sum += $4; n++ } END { printf "%d", n ? sum / n : 0 }' "$work/progress"; }
report() { # NAME BEGAN ENDED
	printf '%-32s %5.1f s; load %s before it, %s meanwhile\n' "$1" "$(awk "BEGIN { print $3 - $2 }")" "$(tps "$(awk "BEGIN { print $2 - 20 }")" "$2")" "$(tps "$2" "$3")"
}
end() {
	kubectl delete namespace "$namespace" >/dev/null
	wait
}
job() { # CRONJOB: runs it now, and prints its log
	k create job "now-$1" --from="cronjob/$1" >/dev/null
	within 900 "the end of $1" job_is_over "job/now-$1"
	k logs "job/now-$1" | sed -n 's/.* pgk: //p'
}
job_is_over() { k get "$1" --output 'jsonpath={.status.conditions[*].type}' | grep -Eq 'Complete|Failed'; }

begin q1 replicas=0
password=$(k get secret pg-credentials --output 'jsonpath={.data.replication-password}' | base64 -d)
began=$(now)
k exec client -- env PGPASSWORD="$password" pg_basebackup --host=pg-rw --username=replicator --pgdata=/tmp/base --checkpoint=fast
report 'pg_basebackup' "$began" "$(now)"
began=$(now)
k exec client -- bash -c 'cp -a /tmp/base /tmp/restored && sync'
report 'copied back' "$began" "$(now)"
end

begin q3
began=$(now)
said=$(job pg-backup-full)
report 'pgBackRest, full' "$began" "$(now)"
while IFS= read -r line; do echo "    $line"; done <<<"$said"
began=$(now)
said=$(job pg-restore-test)
report 'restore test' "$began" "$(now)"
while IFS= read -r line; do echo "    $line"; done <<<"$said"
end
