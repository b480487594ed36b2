#!/usr/bin/env bash
# What a backup and a restore take, and what they cost a primary under load: pgBackRest in Q3, and pg_basebackup of a
# single PostgreSQL. measure/backup.sh GIGABYTES
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1

heading "just backup $gigabytes"
echo "# pgbench: 4 clients, on the node of no primary; transactions a second"

# begin SCENARIO SETTING...: an instance with so much data, and a client
begin() {
	namespace=pgk-backup-$1-$$
	instance "$@"
	client $((gigabytes * 67))
	sql CHECKPOINT
	load &
	sleep 40
}
load() { k exec client -- timeout 900 pgbench -n -c 4 -j 2 -M prepared -T 900 --progress=1 --progress-timestamp >/dev/null 2>"$work/progress" || true; }
# tps FROM TO: transactions a second between these times
tps() { awk -v from="$1" -v to="$2" '$1 == "progress:" && $2 >= from && $2 <= to { sum += $4; n++ } END { printf "%d", n ? sum / n : 0 }' "$work/progress"; }
report() { # NAME BEGAN ENDED
	printf '%-32s %5.1f s; load %s before it, %s meanwhile\n' "$1" "$(awk "BEGIN { print $3 - $2 }")" "$(tps "$(awk "BEGIN { printf \"%.1f\", $2 - 20 }")" "$2")" "$(tps "$2" "$3")"
}
end() {
	kubectl delete namespace "$namespace" >/dev/null
	wait
}
# of_job NAME CRONJOB: runs it now
of_job() {
	began=$(now)
	job "$2" 900
	report "$1" "$began" "$(now)"
	while IFS= read -r line; do echo "    $line"; done <<<"$said"
}

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
of_job 'pgBackRest, full' pg-backup-full
of_job 'restore test' pg-restore-test
end
