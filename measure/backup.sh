#!/usr/bin/env bash
# What a backup and a restore take, and what they cost a primary under load: pgBackRest in Q3, and pg_basebackup of a
# single PostgreSQL. measure/backup.sh GIGABYTES
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
gigabytes=$1

echo "# pgbench: 4 clients, on the node of no primary; transactions a second"

# begin SCENARIO SETTING...: an instance with so much data, and a client
begin() {
	measuring="backup $1"
	namespace=pgk-backup-$1-$$
	instance "$@"
	client $((gigabytes * 67))
	sql CHECKPOINT
	load &
	load=$!
	sleep 40
}
load() { k exec client -- timeout 900 pgbench -n -c 4 -j 2 -M prepared -T 900 --progress=1 --progress-timestamp >/dev/null 2>"$work/progress" || true; }
# tps FROM TO: transactions a second between these times
tps() { awk -v from="$1" -v to="$2" '$1 == "progress:" && $2 >= from && $2 <= to { sum += $4; n++ } END { printf "%d", n ? sum / n : 0 }' "$work/progress"; }
# report BEGAN FIELD...: the figure of what began then and ends now, with the load in the 20 s before it and meanwhile
report() {
	local began=$1 took before meanwhile
	shift
	took=$(since "$began")
	before=$(tps "$(awk "BEGIN { printf \"%.1f\", $began - 20 }")" "$began")
	meanwhile=$(tps "$began" "$(now)")
	if ! kill -0 "$load" 2>/dev/null || [ "$before" = 0 ] || [ "$meanwhile" = 0 ]; then
		fail "the load has ended: $before transactions a second before it, $meanwhile meanwhile"
	fi
	figure "gigabytes=$gigabytes" "took_ms=$took" "tps_before=$before" "tps_meanwhile=$meanwhile" "$@"
}
end() {
	kubectl delete namespace "$namespace" >/dev/null
	wait
}
# of_job KEY CRONJOB WORDS: runs it now; its last line is to begin with these words
of_job() {
	measuring=$1
	began=$(now)
	job "$2" 900
	[[ ${said##*$'\n'} = "$3"* ]] || fail "$said"
	report "$began" "said=$said"
}

begin q1 replicas=0
password=$(k get secret pg-credentials --output 'jsonpath={.data.replication-password}' | base64 -d)
measuring='backup pg_basebackup'
began=$(now)
k exec client -- env PGPASSWORD="$password" pg_basebackup --host=pg-rw --username=replicator --pgdata=/tmp/base --checkpoint=fast
report "$began"
measuring='backup pg_basebackup copied-back'
began=$(now)
k exec client -- bash -c 'cp -a /tmp/base /tmp/restored && sync'
report "$began"
end

begin q3
of_job 'backup pgbackrest' pg-backup-full 'backup done in every repository'
of_job 'backup restore-test' pg-restore-test 'restore test: passed'
end
