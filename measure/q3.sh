#!/usr/bin/env bash
# What Q3 is to survive, row by row: measure/q3.sh ROW... (or `all`)
#
# PGK_S3 is the command that prints how the S3 store is reached, as NAME=VALUE lines (S3_ENDPOINT, S3_BUCKET,
# S3_REGION, S3_KEY, S3_SECRET and S3_CA, a file); PGK_S3_OFF and PGK_S3_ON take it away and bring it back;
# PGK_CLUSTER_ANEW makes an empty cluster, with the image, in the place of this one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
rows=(lost-posix lost-s3 lost-endpoints objects-gone one-volume point-in-time second-system backup-and-failover flipped-byte store-away cluster-gone)
[ "$*" = all ] || rows=("$@")

away=''
repair() { [ -z "$away" ] || store_back; }
heading "just measure-q3 $*"

# ------------------------------------------------------------------ what the rows are made of

say() { printf '%-22s %s\n' "$row" "$*"; }
fail() { say "FAILED: $*"; exit 1; }
store_away() { away=yes; sh -c "$PGK_S3_OFF"; }
store_back() { away=''; sh -c "$PGK_S3_ON"; }

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

# begin KIND SETTING...: an instance for this row with a table, and its first backup
begin() {
	local kind=$1
	shift
	namespace=pgk-$row-$$
	config='' secrets=''
	[ "$kind" != s3 ] || on_s3 "$namespace"
	$pgk secret q3 ${config:+"--file=$config"} >"$work/secrets.yaml"
	secrets=$work/secrets.yaml
	instance q3 "$@"
	create_written
	within 120 'the first backup' backups_are 1
}
end() { k delete pods,persistentvolumeclaims --all --grace-period=1 --wait=false >/dev/null; kubectl delete namespace "$namespace" --wait=false >/dev/null; namespace=''; }
apply() { $pgk gen q3 ${config:+"--file=$config"} "${@/#/--set=}" | k apply -f - >/dev/null; }

backups_are() { [ "$(in_primary pgbackrest info --output=json | grep -o '"label"' | wc -l)" -ge "$1" ]; }
# switched FILE: that WAL file is in the archive
switched() {
	local newest
	newest=$(sql 'SELECT last_archived_wal FROM pg_stat_archiver') && [[ ! $newest < $1 ]]
}
# switch: every row that is there is in the archive
switch() { within 90 'the WAL in the archive' switched "$(sql 'SELECT pg_walfile_name(pg_switch_wal() - 1)')"; }
streaming() { [ "$(sql "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name LIKE 'pg-_'")" = "$1" ]; }

# destroy POD...: the volumes of these members, and the pods themselves, at once. All that runs in them is killed
# first, with PGK_CONTAINER_KILL: a PostgreSQL that is still asked to stop archives what it has.
destroy() {
	local pod node container
	for pod in "$@"; do
		read -r node container < <(k get pod "$pod" --output 'jsonpath={.spec.nodeName} {.status.containerStatuses[?(@.name=="postgres")].containerID}{"\n"}')
		on_node "${PGK_CONTAINER_KILL//\{container\}/${container#*://}}" "$node" &
	done
	wait
	k delete pvc "${@/#/data-}" --wait=false >/dev/null
	k delete pod "$@" --grace-period=0 --force >/dev/null 2>&1
}
# last_words CRONJOB: runs it now, and sets `said` to its last line
last_words() {
	job "$1"
	said=${said##*$'\n'}
}
restore_test() {
	last_words pg-restore-test
	[[ $said = 'restore test: passed'* ]] || fail "$said"
	say "$said"
}

# ------------------------------------------------------------------ the rows

# 1: every pod and volume lost, under load; then once more with all WAL in the archive
everything_lost() { # KIND SETTING...
	begin "$@"
	writer
	sleep 20
	local began
	destroy pg-0 pg-1 pg-2
	began=$(now)
	stop_writer
	within 180 'a primary' serves
	took=$(since "$began")
	lost
	say "all pods and volumes lost under load: a primary after $took s; $lost"
	within 180 'the replicas' streaming 2
	writer
	sleep 5
	stop_writer
	switch
	destroy pg-0 pg-1 pg-2
	began=$(now)
	within 180 'a primary' serves
	took=$(since "$began")
	none_lost
	say "the same once the WAL was switched: a primary after $took s; $lost"
	within 180 'the replicas' streaming 2
	restore_test
	end
}
lost-posix() { everything_lost posix; }
lost-s3() { everything_lost s3; }
lost-endpoints() { everything_lost posix q2.dcs=endpoints; }

# 3: Patroni's objects gone as well: the whole namespace
objects-gone() {
	begin s3
	writer
	sleep 5
	stop_writer
	switch
	kubectl delete namespace "$namespace" >/dev/null
	local began
	began=$(now)
	instance q3
	within 180 'a primary' serves
	took=$(since "$began")
	none_lost
	say "the namespace deleted, applied again: every member ready after $took s; $lost"
	end
}

# 3: one member's volume is left: of the synchronous standby, and of another
one-volume() {
	begin posix
	local sync primary other began
	writer
	for which in sync other; do
		within 180 'the replicas' streaming 2
		sync=$(sql "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")
		primary=$(primary .metadata.name)
		other=$(printf '%s\n' pg-0 pg-1 pg-2 | grep -vx -e "$sync" -e "$primary")
		sleep 10
		if [ $which = sync ]; then destroy "$primary" "$other"; else destroy "$primary" "$sync"; fi
		began=$(now)
		sleep 5
		within 180 'a primary' serves
		say "all volumes lost but the $which replica's: $(primary .metadata.name) leads ($sync was synchronous, $other not), seen after $(since "$began") s"
	done
	stop_writer
	lost
	say "$lost"
	end
}

# 5: to a point in time
point-in-time() {
	begin s3
	local target before began
	writer
	sleep 5
	stop_writer
	before=$(sql 'SELECT count(*) FROM written')
	target=$(sql 'SELECT clock_timestamp()')
	sleep 1
	sql 'INSERT INTO written SELECT 1000000 + i FROM generate_series(1, 1000) i'
	switch
	apply "q3.restore.target.time=$target"
	destroy pg-0 pg-1 pg-2
	began=$(now)
	within 180 'a primary' serves
	took=$(since "$began")
	none_lost
	say "restored to $target: a primary after $took s; $lost, $(sql 'SELECT count(*) FROM written WHERE n > 1000000') of 1000 later ones there"
	[ "$(sql 'SELECT count(*) FROM written')" = "$before" ] || fail 'other rows than those before the point in time'
	within 180 'the replicas' streaming 2
	sql 'INSERT INTO written VALUES (2000000)'
	switch
	within 180 'a backup of the restored cluster' backups_are 2
	apply "q3.restore.target.time=$target"
	sleep 10
	[ "$(sql 'SELECT count(*) FROM written WHERE n = 2000000')" = 1 ] || fail 'applied again, it was restored again'
	destroy pg-0 pg-1 pg-2
	within 180 'a primary' serves
	[ "$(sql 'SELECT count(*) FROM written WHERE n = 2000000')" = 1 ] || fail 'everything lost again: restored to the former point in time'
	say 'applied again: nothing restored; everything lost again: back with the row written since'
	end
}

# 6: another system on the same stanza
second-system() {
	begin s3
	local first=$namespace line
	writer
	sleep 3
	stop_writer
	switch
	in_primary pgbackrest info >"$work/info"
	namespace=pgk-$row-2-$$ secrets=$work/secrets.yaml
	# It has a database of its own before the repository is the other's: a cluster that is begun on an archive
	# restores that.
	config=''
	instance q3 q3.repos=posix
	on_s3 "$first"
	apply
	within 180 'a line about the stanza' stanza_is_refused
	line=$(k logs "$(primary .metadata.name)" --container postgres | grep -m 1 'another database system')
	say "the second says: ${line#* pgk: }"
	sql 'CREATE TABLE x (); SELECT pg_switch_wal()' >/dev/null
	sleep 20
	end
	namespace=$first
	in_primary pgbackrest info | diff "$work/info" - >&2 || fail "what the repository holds has changed"
	say "what the repository holds is as before"
	restore_test
	end
}
stanza_is_refused() { k logs "$(primary .metadata.name)" --container postgres | grep 'another database system'; }

# 7: the primary fails while a backup is running
backup-and-failover() {
	begin posix
	local job=now-full
	in_primary pgbench -iqs 40 app 2>/dev/null
	k create job $job --from=cronjob/pg-backup-full >/dev/null
	within 60 'the running backup' backup_runs
	k delete pod "$(primary .metadata.name)" --grace-period=0 --force >/dev/null 2>&1
	sleep 3
	within 60 'another primary' serves
	within 400 "the end of $job" job_is_over $job
	say "the job whose primary failed: $(k get job/$job --output 'jsonpath={.status.failed} attempts failed, {.status.succeeded} succeeded')"
	within 180 'the replicas' streaming 2
	last_words pg-backup-full
	say "the next one: $said"
	restore_test
	end
}
backup_runs() { k logs job/now-full | grep 'backup begins' && sleep 2; }

# 8: a byte of a backup's file is another
flipped-byte() {
	begin posix
	in_primary pgbench -iqs 5 app 2>/dev/null
	last_words pg-backup-full
	say "before: $said"
	restore_test
	k exec pg-repo-0 -- bash -euc "$(<measure/flip-a-bit.sh)"
	last_words pg-restore-test
	case $said in *FAILED*) say "after: $said" ;; *) fail "a flipped byte went unnoticed: $said" ;; esac
	end
}

# 4: the store is away: under load, during a failover, during a bootstrap
store-away() {
	begin s3
	local began
	writer
	sleep 5
	store_away
	sleep 90
	k delete pod "$(primary .metadata.name)" --grace-period=0 --force >/dev/null 2>&1
	sleep 90
	say "while the store is away: $(k get pod "$(primary .metadata.name)" --output 'jsonpath={.status.conditions[?(@.type=="pgk/archiving")].message}')"
	store_back
	began=$(now)
	within 300 'archiving again' archives
	say "3 minutes without the store, and a failover in their midst: archiving again $(since "$began") s after it came back"
	stop_writer
	none_lost
	say "longest time without a commit: $(longest_gap); $lost"
	switch
	store_away
	destroy pg-0 pg-1 pg-2
	within 120 'a line about the wait' waits_for_the_store
	sleep 20
	! serves 2>/dev/null || fail "a primary without the repository"
	store_back
	began=$(now)
	within 180 'a primary' serves
	took=$(since "$began")
	none_lost
	say "everything lost while the store is away: it waits; a primary $took s after the store came back; $lost"
	end
}
archives() { [ "$(k get pod "$(primary .metadata.name)" --output 'jsonpath={.status.conditions[?(@.type=="pgk/archiving")].status}')" = True ] && switch_now; }
switch_now() { switched "$(sql 'SELECT pg_walfile_name(pg_switch_wal() - 1)')"; }
waits_for_the_store() { k logs pg-0 --container postgres | grep 'pgk: waiting, and making no new database'; }

# 2: the whole Kubernetes cluster is lost under load; 1 GB of data in the store
cluster-gone() {
	begin s3
	local began
	in_primary pgbench -iqs 70 app 2>/dev/null
	last_words pg-backup-full
	say "$said"
	writer
	sleep 100
	k logs writer >"$work/acknowledged"
	sh -c "$PGK_CLUSTER_ANEW" >&2
	on_s3 "$namespace" # the store has another certificate now
	began=$(now)
	kubectl create namespace "$namespace" >/dev/null
	k create -f "$secrets" >/dev/null
	apply
	within 300 'a primary' serves
	took=$(since "$began")
	lost
	say "another Kubernetes cluster, $(sql 'SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database'): a primary $took s after the apply; $lost"
	within 300 'the replicas' streaming 2
	say "every member streaming after $(since "$began") s"
	end
}

for row in "${rows[@]}"; do "$row"; done
