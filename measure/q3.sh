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

# What may be lost, in milliseconds: q3.archive-timeout, a minute, and the time to send a file
loss=70000

# ------------------------------------------------------------------ what the rows are made of

store_away() { away=yes; sh -c "$PGK_S3_OFF"; }
store_back() { away=''; sh -c "$PGK_S3_ON"; }

# begin KIND SETTING...: an instance for this row with a table, and its first backup
begin() {
	local kind=$1
	shift
	measuring="q3 $row"
	namespace=pgk-$row-$$
	config='' secrets=''
	[ "$kind" != s3 ] || on_s3 "$namespace"
	$pgk secret q3 ${config:+"--file=$config"} >"$work/secrets.yaml"
	secrets=$work/secrets.yaml
	instance q3 "$@"
	create_written
	within 120 'the first backup' backups_are 1
}
apply() { $pgk gen q3 ${config:+"--file=$config"} "${@/#/--set=}" | k apply -f - >/dev/null; }


restore_test() {
	measuring="q3 $row restore-test"
	last_words pg-restore-test
	[[ $said = 'restore test: passed'* ]] || fail "$said"
	figure "said=$said"
}

# ------------------------------------------------------------------ the rows

# 1: every pod and volume lost, under load; then once more with all WAL in the archive
everything_lost() { # KIND SETTING...
	begin "$@"
	writer
	sleep 20
	local began primary
	destroy pg-0 pg-1 pg-2
	began=$(now)
	stop_writer
	within 180 'a primary' serves
	primary=$(since "$began")
	count_lost
	at_most 'the last commits lost' "$loss_window_ms" $loss
	figure "primary_ms=$primary" "acknowledged=$acknowledged" "lost=$lost" "loss_window_ms=$loss_window_ms"
	measuring="q3 $row switched"
	within 180 'the replicas' streaming 2
	writer
	sleep 5
	stop_writer
	switch 90
	destroy pg-0 pg-1 pg-2
	began=$(now)
	within 180 'a primary' serves
	primary=$(since "$began")
	none_lost
	figure "primary_ms=$primary" "acknowledged=$acknowledged" "lost=$lost"
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
	switch 90
	kubectl delete namespace "$namespace" >/dev/null
	local began well
	began=$(now)
	instance q3
	within 180 'a primary' serves
	well=$(since "$began")
	none_lost
	figure "full_strength_ms=$well" "acknowledged=$acknowledged" "lost=$lost"
	end
}

# 3: one member's volume is left: of the synchronous standby, and of another
one-volume() {
	begin posix
	local sync primary other began took left
	for which in sync other; do
		measuring="q3 $row $which"
		within 180 'the replicas' streaming 2
		writer
		sync=$(sql "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'")
		primary=$(primary .metadata.name)
		other=$(printf '%s\n' pg-0 pg-1 pg-2 | grep -vx -e "$sync" -e "$primary")
		sleep 10
		if [ $which = sync ]; then left=$sync; else left=$other; fi
		# shellcheck disable=SC2046 # a word each
		destroy $(printf '%s\n' pg-0 pg-1 pg-2 | grep -vx "$left")
		began=$(now)
		sleep 5
		within 180 'a primary' serves
		took=$(since "$began")
		[ "$(primary .metadata.name)" = "$left" ] || fail "$(primary .metadata.name) leads, and the volume of $left was left"
		stop_writer
		# The other one may lack the last commits, and the archive has what is older.
		if [ $which = sync ]; then none_lost; else count_lost; fi
		at_most 'the last commits lost' "$loss_window_ms" $loss
		figure "primary_ms=$took" "acknowledged=$acknowledged" "lost=$lost" "loss_window_ms=$loss_window_ms"
	done
	end
}

# 5: to a point in time
point-in-time() {
	begin s3
	local target before began primary later
	writer
	sleep 5
	stop_writer
	before=$(sql 'SELECT count(*) FROM written')
	target=$(sql 'SELECT clock_timestamp()')
	sleep 1
	sql 'INSERT INTO written SELECT 1000000 + i FROM generate_series(1, 1000) i'
	switch 90
	apply "q3.restore.target.time=$target"
	destroy pg-0 pg-1 pg-2
	began=$(now)
	within 180 'a primary' serves
	primary=$(since "$began")
	none_lost
	later=$(sql 'SELECT count(*) FROM written WHERE n > 1000000')
	[ "$later" = 0 ] || fail "$later rows are later than the point in time"
	[ "$(sql 'SELECT count(*) FROM written')" = "$before" ] || fail 'other rows than those before the point in time'
	figure "primary_ms=$primary" "acknowledged=$acknowledged" "lost=$lost" "later=$later"
	measuring="q3 $row again"
	within 180 'the replicas' streaming 2
	sql 'INSERT INTO written VALUES (2000000)'
	switch 90
	within 180 'a backup of the restored cluster' backups_are 2
	apply "q3.restore.target.time=$target"
	sleep 10
	[ "$(sql 'SELECT count(*) FROM written WHERE n = 2000000')" = 1 ] || fail 'applied again, it was restored again'
	destroy pg-0 pg-1 pg-2
	began=$(now)
	within 180 'a primary' serves
	primary=$(since "$began")
	[ "$(sql 'SELECT count(*) FROM written WHERE n = 2000000')" = 1 ] || fail 'everything lost again: restored to the former point in time'
	figure "primary_ms=$primary"
	end
}

# 6: another system on the same stanza
second-system() {
	begin s3
	local first=$namespace line
	writer
	sleep 3
	stop_writer
	switch 90
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
	sql 'CREATE TABLE x (); SELECT pg_switch_wal()' >/dev/null
	sleep 20
	end
	namespace=$first
	in_primary pgbackrest info | diff "$work/info" - >&2 || fail "what the repository holds has changed"
	figure "said=${line#* pgk: }"
	restore_test
	end
}
stanza_is_refused() { k logs "$(primary .metadata.name)" --container postgres | grep 'another database system'; }

# 7: the primary fails while a backup is running
backup-and-failover() {
	begin posix
	local job=now-full attempts
	in_primary pgbench -iqs 40 app 2>/dev/null
	k create job $job --from=cronjob/pg-backup-full >/dev/null
	within 60 'the running backup' backup_runs
	delete_by_force "$(primary .metadata.name)"
	sleep 3
	within 60 'another primary' serves
	within 400 "the end of $job" job_is_over $job
	[ "$(k get job/$job --output 'jsonpath={.status.succeeded}')" = 1 ] || fail 'the backup was not made, by a second attempt either'
	attempts=$(k get job/$job --output 'jsonpath={.status.failed}')
	within 180 'the replicas' streaming 2
	last_words pg-backup-full
	[ "$said" = 'backup done in every repository' ] || fail "the next backup: $said"
	figure "failed_attempts=${attempts:-0}"
	restore_test
	end
}
backup_runs() { k logs job/now-full | grep 'backup begins' && sleep 2; }

# 8: a byte of a backup's file is another
flipped-byte() {
	begin posix
	in_primary pgbench -iqs 5 app 2>/dev/null
	last_words pg-backup-full
	[ "$said" = 'backup done in every repository' ] || fail "the backup: $said"
	restore_test
	measuring="q3 $row"
	flipped=$(k exec pg-repo-0 -- bash -euc "$(<measure/flip-a-bit.sh)")
	last_words pg-restore-test
	[[ $said = *FAILED* ]] || fail "a flipped byte went unnoticed: $said"
	[[ $said = *"'$flipped'"* ]] || fail "$flipped is not named: $said"
	figure "said=$said"
	end
}

# 4: the store is away: under load, during a failover, during a bootstrap
store-away() {
	begin s3
	local began primary condition again gap
	writer
	sleep 5
	store_away
	sleep 90
	delete_by_force "$(primary .metadata.name)"
	sleep 90
	condition=$(archiving .status)
	[ "$condition" = False ] || fail "the store is away, and the condition pgk/archiving is '$condition'"
	condition=$(archiving .message)
	store_back
	began=$(now)
	within 300 'archiving again' archives
	again=$(since "$began")
	stop_writer
	none_lost
	gap=$(longest_gap)
	at_most 'without a commit' "$gap" 10000
	figure "write_ms=$gap" "acknowledged=$acknowledged" "lost=$lost" "archiving_again_ms=$again" "said=$condition"
	measuring="q3 $row everything-lost"
	switch 90
	store_away
	destroy pg-0 pg-1 pg-2
	within 120 'a line about the wait' waits_for_the_store
	sleep 20
	! serves 2>/dev/null || fail "a primary without the repository"
	store_back
	began=$(now)
	within 180 'a primary' serves
	primary=$(since "$began")
	none_lost
	figure "primary_ms=$primary" "acknowledged=$acknowledged" "lost=$lost"
	end
}
waits_for_the_store() { k logs pg-0 --container postgres | grep 'pgk: waiting, and making no new database'; }

# 2: the whole Kubernetes cluster is lost under load; 1 GB of data in the store
cluster-gone() {
	begin s3
	local began primary size
	in_primary pgbench -iqs 70 app 2>/dev/null
	last_words pg-backup-full
	[ "$said" = 'backup done in every repository' ] || fail "the backup: $said"
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
	primary=$(since "$began")
	count_lost
	at_most 'the last commits lost' "$loss_window_ms" $loss
	size=$(sql 'SELECT sum(pg_database_size(oid)) / 1024 / 1024 FROM pg_database')
	within 300 'the replicas' streaming 2
	figure "megabytes=${size%.*}" "primary_ms=$primary" "full_strength_ms=$(since "$began")" \
		"acknowledged=$acknowledged" "lost=$lost" "loss_window_ms=$loss_window_ms"
	end
}

for row in "${rows[@]}"; do "$row"; done
