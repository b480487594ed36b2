#!/usr/bin/env bash
# What happened to the databases of others, row by row: measure/incidents.sh ROW... (or `all`)
#
# PGK_CONTAINER_KILL, PGK_NODE_OFF and the like are those of `just cluster`; PGK_NODE_FREEZE and PGK_NODE_THAW make the
# volumes of {node} hang and go on, PGK_NODE_GROW makes them {size} GB large, PGK_NODE_SLOW and PGK_NODE_FAST delay what
# {node} sends by 250 ms and end that, PGK_NODE_POSTGRES counts the `postgres -D` on {node}.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
rows=(three-primaries three-primaries-killed store-away-roles missed-wal clone-stalls slow-checkpoint slow-archive forced
	wrong-image odd-secrets slow-reader alter-system scale-down quota disk-hangs volumes-full restore-killed backup-damaged
	repository-full)
[ "$*" = all ] || rows=("$@")

instances=0

# begin SCENARIO SETTING...: an instance for this row with a table
begin() {
	measuring=${measuring:-"incident $row"}
	namespace=pgk-$row-$$-$((++instances))
	config='' secrets=''
	[ -z "${on_s3:-}" ] || on_s3 "$namespace"
	local settings=("${@:2}")
	$pgk secret "$1" ${config:+"--file=$config"} "${settings[@]/#/--set=}" >"$work/secrets.yaml"
	secrets=$work/secrets.yaml
	instance "$@"
	create_written
	[ "$1" != q3 ] || within 180 'the first backup' backups_are 1
}

# wal COUNT: so many WAL files are written, full of what does not compress
wal() {
	in_primary bash -c "for ((i = 0; i < $1; i++)); do
		echo \"SELECT pg_logical_emit_message(false, 'x', repeat(md5(random()::text), 500000));\"
		echo 'SELECT pg_switch_wal();'
	done | psql -qAtXd app >/dev/null"
}
# signal POD SIGNAL PATTERN: to the processes whose command matches; the pattern must not match itself
signal() {
	# shellcheck disable=SC2016
	on "$1" bash -c 'for each in /proc/[0-9]*; do ! grep -qs "$1" $each/cmdline || kill "-$0" ${each#/proc/}; done; true' "$2" "$3"
}
members() { k get pods --selector cluster-name=pg-rw --output 'jsonpath={.items[*].metadata.name}'; }
# checkpoints [POD]: in every member, but for one that is off
checkpoints() { for each in $(members); do [ "$each" = "${1:-}" ] || on "$each" psql -qXc CHECKPOINT; done; }
# As Patroni has noted it: until then, only the old primary may lead. Fails while there is none.
synchronous() { k get configmap pg-rw-sync --output 'jsonpath={.metadata.annotations.sync_standby}' | grep .; }
# The member that is neither the primary nor that, of three.
asynchronous() { members | tr ' ' '\n' | grep -vx -e "$(primary .metadata.name)" -e "$(synchronous)"; }
is_synchronous() { [ "$(synchronous)" = "$1" ]; }
leads() { [ "$(primary .metadata.name)" = "$1" ] && serves; }
# lead_by POD HOW: makes it the primary, by a switchover or by a kill of the present one
lead_by() {
	local old others
	old=$(primary .metadata.name)
	within 90 'a synchronous standby' synchronous
	if ! is_synchronous "$1"; then
		# While all the others are away, it is the only one.
		read -ra others < <(members | tr ' ' '\n' | grep -vx -e "$old" -e "$1" | paste -sd ' ')
		k delete pod "${others[@]}" --wait=false >/dev/null
		within 90 "$1 as the synchronous standby" is_synchronous "$1"
		if [ "$2" = kill ]; then
			within 120 'the replicas' streaming 2
			# (One that returned may be preferred.)
			is_synchronous "$1" || { lead_by "$1" "$2"; return; }
		fi
	fi
	if [ "$2" = kill ]; then container_kill "$old"; else on "$old" patronictl switchover --leader "$old" --candidate "$1" --force >&2; fi
	within 90 "$1 as the primary" leads "$1"
	within 120 'the replicas' streaming $(($(k get statefulset pg --output 'jsonpath={.spec.replicas}') - 1))
}

# ------------------------------------------------------------------ the rows

# More than 60 WAL files, and three members primary one after another
three_primaries() { # HOW
	begin q3
	local a b c
	a=$(primary .metadata.name)
	within 90 'a synchronous standby' synchronous
	b=$(synchronous)
	c=$(asynchronous)
	wal 70
	checkpoints
	for each in "$b" "$c" "$a" "$b" "$a" "$c"; do
		echo "# $each is to lead" >&2
		lead_by "$each" "$1"
		wal 2
		checkpoints
	done
	within 180 'archiving goes on' archives
	figure "archived=$(sql 'SELECT last_archived_wal FROM pg_stat_archiver')"
	end
}
three-primaries() { three_primaries switchover; }
three-primaries-killed() { three_primaries kill; }

# The repository away while 100 WAL files wait, and the roles change
store-away-roles() {
	on_s3=yes begin q3
	local began again missing
	began=$(sql 'SELECT pg_walfile_name(pg_switch_wal())')
	undo+=("$PGK_S3_ON")
	sh -c "$PGK_S3_OFF"
	wal 50
	sleep 70
	wal 50
	sleep 20
	echo "# condition: $(archiving .status) $(archiving .message)" >&2
	lead_by "$(synchronous)" switchover
	checkpoints
	wal 3
	lead_by "$(synchronous)" kill
	checkpoints
	wal 3
	k rollout restart statefulset/pg >/dev/null
	k rollout status statefulset/pg --timeout 300s >/dev/null
	within 120 'the replicas' streaming 2
	checkpoints
	sh -c "$PGK_S3_ON"
	undo=()
	began_again=$(now)
	within 400 'archiving again' archives
	again=$(since "$began_again")
	in_primary pgbackrest repo-ls --recurse archive/pg | grep -oE '/[0-9A-F]{24}-' | tr -d '/-' | sort -u >"$work/archived"
	# Of each number from the first one on, a file of some timeline
	missing=$(python3 - "$began" "$work/archived" <<-'PYTHON'
		import sys
		number = lambda name: int(name[8:16], 16) << 8 | int(name[16:], 16)
		there = {number(line.strip()) for line in open(sys.argv[2])}
		print(sum(1 for n in range(number(sys.argv[1]), max(there)) if n not in there))
	PYTHON
	)
	[ "$missing" = 0 ] || fail "$missing WAL files are missing in the archive"
	figure "archiving_again_ms=$again" "missing=$missing"
	end
}

# A replica is off while more WAL is written than is kept
missed-wal() {
	local scenario node pod took
	for scenario in q2 q3; do
		measuring="incident $row $scenario"
		begin $scenario storage.size=2Gi
		within 90 'a synchronous standby' synchronous
		pod=$(asynchronous)
		node=$(k get pod "$pod" --output 'jsonpath={.spec.nodeName}')
		undo+=("${PGK_NODE_ON//\{node\}/$node}")
		on_node "$PGK_NODE_OFF" "$node"
		wal 50
		checkpoints "$pod"
		wal 2
		on_node "$PGK_NODE_ON" "$node"
		undo=()
		began=$(now)
		within 300 "$pod streams" streaming 2
		took=$(since "$began")
		figure "streaming_again_ms=$took" "said=$(k logs "$pod" --container postgres | sed -n 's/.* pgk: \(fell behind.*\)/\1/p' | head -n 1)"
		end
	done
}

# A base backup stands still for 15 s
clone-stalls() {
	local scenario pod stalled
	for scenario in q1 q2; do
		measuring="incident $row $scenario"
		begin $scenario
		in_primary pgbench -iqs 60 app 2>/dev/null
		pod=$(replica)
		# (A replica of Q1 takes its volume along.)
		[ $scenario = q1 ] || k delete pvc "data-$pod" --wait=false >/dev/null
		k delete pod "$pod" --wait=false >/dev/null
		within 120 'a base backup' clones
		signal "$cloning" STOP '[p]g_basebackup'
		sleep 15
		signal "$cloning" CONT '[p]g_basebackup'
		began=$(now)
		within 120 'the replicas' streaming 2
		stalled=$(k logs "$cloning" --container postgres | grep -cE 'replication timeout|trying again|removing data directory' || true)
		figure "streaming_ms=$(since "$began")" "begun_again=$stalled"
		end
	done
}
clones() {
	for each in $(k get pods --selector app.kubernetes.io/instance=pg --output 'jsonpath={.items[*].metadata.name}'); do
		cloning=$each
		# shellcheck disable=SC2016
		on "$each" bash -c 'for each in /proc/[0-9]*; do grep -qs "[p]g_basebackup" $each/cmdline && exit 0; done; exit 1' && return 0
	done
	return 1
}

# A checkpoint that does not end, at a hand-over
slow-checkpoint() {
	begin q2
	local pod
	within 90 'a synchronous standby' synchronous
	pod=$(primary .metadata.name)
	writer
	sleep 3
	signal "$pod" STOP '[c]heckpointer'
	k delete pod "$pod" --wait=false >/dev/null
	within 120 'another primary' another_leads "$pod"
	sleep 5
	stop_writer
	within 200 'the replicas' streaming 2
	none_lost
	figure "write_ms=$(longest_gap)" "acknowledged=$acknowledged" "lost=$lost"
	end
}

# 250 ms on the way to the archive
slow-archive() {
	on_s3=yes begin q3 storage.size=2Gi
	local pod node
	within 90 'a synchronous standby' synchronous
	pod=$(asynchronous)
	node=$(k get pod "$pod" --output 'jsonpath={.spec.nodeName}')
	undo+=("${PGK_NODE_ON//\{node\}/$node}" "${PGK_NODE_FAST//\{node\}/$node}")
	on_node "$PGK_NODE_OFF" "$node"
	wal 50
	checkpoints "$pod"
	within 180 'the WAL in the archive' archives
	on_node "$PGK_NODE_ON" "$node"
	on_node "$PGK_NODE_SLOW" "$node"
	began=$(now)
	within 400 "$pod streams" streaming 2
	on_node "$PGK_NODE_FAST" "$node"
	undo=()
	figure "streaming_again_ms=$(since "$began")" "cloned=$(k logs "$pod" --container postgres | grep -c 'fell behind' || true)"
	end
}

# The primary's pod is deleted by force while its PostgreSQL takes long to stop
forced() {
	begin q1
	local pod node most=0 count
	pod=$(primary .metadata.name)
	node=$(primary .spec.nodeName)
	# A walsender that stands still holds up the shutdown.
	signal "$pod" STOP '[w]alsender'
	delete_by_force "$pod"
	for _ in {1..40}; do
		count=$(on_node "${PGK_NODE_POSTGRES:?}" "$node" || true)
		[ "$count" -le "$most" ] || most=$count
		sleep 0.5
	done
	within 180 'the primary' serves
	[ "$most" -le 1 ] || fail "$most PostgreSQL at once on the primary's volume"
	figure "at_once=$most"
	end
}

# An image that does not exist is applied, then the right one again; then requests that fit no node
wrong-image() {
	local scenario wrong
	for scenario in q1 q2 'q2 q2.strategy=restore' q3; do
		measuring="incident $row $scenario"
		# shellcheck disable=SC2086
		begin $scenario
		for wrong in postgres.image=localhost/pgk-no-such-image:1 resources.requests.cpu=900; do
			# shellcheck disable=SC2086
			apply_again $scenario $wrong
			sleep 30
			# shellcheck disable=SC2086
			apply_again $scenario
			within 200 "the primary after $wrong" serves
			within 200 "the replicas after $wrong" streaming 2
			[ "${scenario%% *}" != q3 ] || within 120 'the repository' repository_is_ready
		done
		figure
		end
	done
}
repository_is_ready() { k get pod pg-repo-0 --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True; }
# apply_again SCENARIO SETTING...
apply_again() {
	local scenario=$1
	shift
	$pgk gen "$scenario" ${config:+"--file=$config"} "${@/#/--set=}" | k apply -f - >/dev/null
}

# Secrets as other tools make them
odd-secrets() {
	local scenario end odd key pod
	# shellcheck disable=SC2016
	odd=$(printf '%.0sp'"'"'a"s\\s%%:$(x)`é€ ' {1..10})
	for scenario in q1 q2; do
		for end in newline crlf odd; do
			measuring="incident $row $scenario $end"
			namespace=pgk-$row-$$-$((++instances))
			kubectl create namespace "$namespace" >/dev/null
			for key in superuser replication app; do
				case $end in
					newline) printf 'secret-%s\n' $key ;;
					crlf) printf 'secret-%s\r\n' $key ;;
					odd) printf '%s-%s' "$odd" $key ;;
				esac >"$work/$key-password"
			done
			k create secret generic pg-credentials --from-file="$work/superuser-password" \
				--from-file="$work/replication-password" --from-file="$work/app-password" >/dev/null
			$pgk gen $scenario | k apply -f - >/dev/null
			within 300 'a primary' answers
			within 200 'the replicas' streaming 2
			# As the README does it
			pod=$(replica)
			# shellcheck disable=SC2016
			on "$pod" bash -c 'PGPASSWORD=$(tr -d "\r\n" </etc/pgk/credentials/app-password) psql -h pg-rw -U app -d app -qAtc "CREATE TABLE t AS SELECT generate_series(1, 1000)"'
			if [ $scenario = q2 ]; then
				within 90 'a synchronous standby' synchronous
				pod=$(primary .metadata.name)
				# What was not sent parts the histories, so that the old primary must be rewound.
				# shellcheck disable=SC2016
				on "$pod" bash -c 'for each in /proc/[0-9]*; do ! grep -qs "[w]alsender" $each/cmdline || { kill -STOP ${each#/proc/}; stopped+=" ${each#/proc/}"; }; done
					psql -qXd app -c "SET synchronous_commit = local; INSERT INTO t SELECT generate_series(1, 1000)"; kill -9 $(head -1 $PGDATA/postmaster.pid) $stopped'
				within 90 'another primary' another_answers "$pod"
				within 200 'the replicas, one of them rewound' streaming 2
			fi
			figure
			end
		done
	done
}
another_answers() { [ "$(primary .metadata.name)" != "$1" ] && answers; }
replica() { k get pods --selector role=replica --output 'jsonpath={.items[0].metadata.name}'; }

# A client that takes nothing for 30 s
slow-reader() {
	local scenario service
	for scenario in q1 q2; do
		measuring="incident $row $scenario"
		begin $scenario
		client 1
		for service in pg-rw pg-ro; do
			k exec client -- bash -c "set -o pipefail; psql -qAtX -h $service -c \"COPY (SELECT repeat('x', 1000) FROM generate_series(1, 200000)) TO STDOUT\" |
				(head -c 100000 >/dev/null; sleep 30; cat >/dev/null)" || fail "a slow reader through $service was cut off"
		done
		figure
		end
	done
}

# ALTER SYSTEM of what the durability rests on
alter-system() {
	local scenario
	for scenario in q1 q2; do
		measuring="incident $row $scenario"
		begin $scenario
		! sql "ALTER SYSTEM SET synchronous_standby_names = ''" 2>"$work/refused" || fail 'it was done'
		grep -q 'ALTER SYSTEM is not allowed' "$work/refused" || fail "$(<"$work/refused")"
		figure
		end
	done
}

# The primary and its synchronous standby are among those that a smaller size takes away
scale-down() {
	local try
	begin q2 replicas=3
	for try in 1 2 3; do
		measuring="incident $row $try"
		within 120 'the replicas' streaming 3
		lead_by pg-3 switchover
		writer
		sleep 3
		apply_again q2 replicas=1
		sleep 40
		within 60 'a primary' serves
		stop_writer
		none_lost
		[[ $(primary .metadata.name) = pg-[01] ]] || fail "$(primary .metadata.name) leads"
		figure "write_ms=$(longest_gap)" "acknowledged=$acknowledged" "lost=$lost"
		apply_again q2 replicas=3
	done
	end
}

# A namespace with a quota and a LimitRange
quota() {
	local scenario
	for scenario in q1 q2 'q2 q2.strategy=restore' q3; do
		measuring="incident $row $scenario"
		namespace=pgk-$row-$$-$((++instances))
		config='' secrets=''
		kubectl create namespace "$namespace" >/dev/null
		k create quota q --hard=limits.cpu=40,limits.memory=20Gi,requests.cpu=8,requests.memory=10Gi,persistentvolumeclaims=10 >/dev/null
		printf '%s\n' 'apiVersion: v1' 'kind: LimitRange' 'metadata: {name: r}' 'spec: {limits: [{type: Container, min: {memory: 64Mi}}]}' | k create -f - >/dev/null
		# shellcheck disable=SC2086
		{ $pgk secret ${scenario%% *}; echo ---; $pgk gen ${scenario/ / --set=} --set=resources.limits.cpu=1; } | k apply -f - >/dev/null
		within 300 'a primary' answers
		within 200 'the replicas' streaming 2
		figure
		end
	done
}
answers() { [ "$(sql 'SELECT 1')" = 1 ]; }

# The primary's disk hangs, its network does not
disk-hangs() {
	begin q2
	local node pod
	within 90 'a synchronous standby' synchronous
	node=$(primary .spec.nodeName)
	pod=$(primary .metadata.name)
	writer
	sleep 5
	undo+=("${PGK_NODE_THAW//\{node\}/$node}")
	on_node "$PGK_NODE_FREEZE" "$node"
	began=$(now)
	within 90 'another primary' another_leads "$pod"
	took=$(since "$began")
	sleep 20
	on_node "$PGK_NODE_THAW" "$node"
	undo=()
	within 180 'the replicas' streaming 2
	sleep 5
	stop_writer
	none_lost
	figure "write_ms=$(longest_gap)" "leads_ms=$took" "acknowledged=$acknowledged" "lost=$lost"
	end
}

# The volumes of all members are full, then larger
volumes-full() {
	local scenario node nodes size=8
	for scenario in q1 q2; do
		measuring="incident $row $scenario"
		begin $scenario
		writer
		sleep 3
		nodes=$(k get pods --selector role --output 'jsonpath={.items[*].spec.nodeName}')
		# The volumes of a node share its file system.
		for pod in $(k get pods --selector role --output 'jsonpath={.items[*].metadata.name}'); do
			# shellcheck disable=SC2016
			on "$pod" bash -c 'fallocate -l "$(df --output=avail -B1 /pgdata | tail -n 1)" /pgdata/filler 2>/dev/null || dd if=/dev/zero of=/pgdata/filler bs=1M 2>/dev/null || true'
		done
		wal 40 2>/dev/null || true
		sleep 60
		size=$((size + 4))
		for node in $nodes; do on_node "${PGK_NODE_GROW//\{size\}/$size}" "$node" >&2; done
		began=$(now)
		within 240 'a primary' serves
		took=$(since "$began")
		within 240 'the replicas' streaming 2
		stop_writer
		none_lost
		figure "serves_again_ms=$took" "acknowledged=$acknowledged" "lost=$lost"
		end
	done
}

# A restore to a point in time is killed again and again, a second later each time
restore-killed() {
	begin q3
	local target after step steps=''
	sql 'INSERT INTO written SELECT generate_series(1, 1000)'
	wal 10
	target=$(sql 'SELECT clock_timestamp()')
	sleep 1
	sql 'INSERT INTO written SELECT generate_series(1000001, 1001000)'
	switch 120
	apply_again q3 "q3.restore.target.time=$target"
	destroy pg-0 pg-1 pg-2
	for after in 0 1 2 3 4 5 6 7 8; do
		within 90 'pg-0 runs' runs pg-0
		sleep $after
		! is_restored || break
		step=$(k logs pg-0 --container postgres | sed -n 's/.* pgk: //p' | tail -n 1)
		container_kill pg-0 || true
		delete_by_force pg-0
		echo "# killed after: $step" >&2
		steps+="${steps:+; }${step:0:40}"
	done
	within 240 'a primary' serves
	[ "$(sql 'SELECT count(*), max(n) FROM written')" = '1000|1000' ] || fail "other rows than those before the point in time: $(sql 'SELECT count(*), max(n) FROM written')"
	# That was done once, and is not done again.
	within 240 'the replicas' streaming 2
	sql 'INSERT INTO written VALUES (2000000)'
	switch 120
	destroy pg-0 pg-1 pg-2
	within 240 'a primary' serves
	[ "$(sql 'SELECT count(*), max(n) FROM written')" = '1001|2000000' ] || fail "restored to the former point in time again: $(sql 'SELECT count(*), max(n) FROM written')"
	figure "killed_after=$steps"
	end
}
runs() { k get pod "$1" --output 'jsonpath={.status.containerStatuses[?(@.name=="postgres")].state.running.startedAt}' | grep -q .; }
is_restored() { k logs pg-0 --container postgres | grep -q 'pgk: restored up to'; }

# Everything is lost, and the newest backup, or one of two repositories, is damaged or behind
backup-damaged() {
	local which began took
	for which in newest one-of-two behind; do
		measuring="incident $row $which"
		if [ $which = newest ]; then
			begin q3
		else
			on_s3=yes begin q3 q3.repos=posix,s3
			within 180 'a backup in both repositories' backups_are 2
		fi
		sql 'INSERT INTO written SELECT generate_series(1, 1000)'
		if [ $which = newest ]; then
			job pg-backup-full
			[[ $said = *'backup done in every repository' ]] || fail "$said"
		fi
		switch 120
		sql 'INSERT INTO written SELECT generate_series(1001, 2000)'
		if [ $which = behind ]; then
			undo+=("$PGK_S3_ON")
			sh -c "$PGK_S3_OFF"
			sql 'SELECT pg_switch_wal()' >/dev/null
			sleep 1
			within 120 'the WAL in the first repository' first_repository_has "$(sql 'SELECT pg_walfile_name(pg_current_wal_lsn() - 16777216)')"
		else
			switch 120
			k exec pg-repo-0 -- bash -euc "$(<measure/flip-a-bit.sh)"
		fi
		destroy pg-0 pg-1 pg-2
		[ $which != behind ] || sh -c "$PGK_S3_ON"
		undo=()
		began=$(now)
		within 300 'a primary' serves
		took=$(since "$began")
		[ "$(sql 'SELECT count(*) FROM written')" = 2000 ] || fail "$(sql 'SELECT count(*) FROM written') of 2000 rows"
		figure "primary_ms=$took" "said=$(k logs pg-0 --container postgres | sed -n 's/.* pgk: \(.* does not lead there.*\)/\1/p' | head -n 1 | cut -c -200)"
		end
	done
}
first_repository_has() {
	local newest
	newest=$(k exec pg-repo-0 -- pgbackrest info --repo=1 --output=json | grep -o '"max":"[0-9A-F]*"' | cut -d'"' -f4) && [[ ! $newest < $1 ]]
}

# The repository's volume fills up, and is full: on a node of its own
repository-full() {
	begin q3 replicas=1 q3.retention=3
	local node other condition size
	node=$(kubectl get nodes --output name | sed 's|^node/||' | grep -vxF "$(k get pods --selector cluster-name=pg-rw --output 'jsonpath={range .items[*]}{.spec.nodeName}{"\n"}{end}')")
	if [ "$(k get pod pg-repo-0 --output 'jsonpath={.spec.nodeName}')" != "$node" ]; then
		for other in $(kubectl get nodes --output name | grep -vx "node/$node"); do
			undo+=("kubectl uncordon $other")
			kubectl cordon "$other" >/dev/null
		done
		k delete pvc repo-pg-repo-0 --wait=false >/dev/null
		k delete pod pg-repo-0 >/dev/null
		within 120 'the repository on a node of its own' repository_is_ready
		repair >/dev/null
		undo=()
		within 180 'the first backup' backups_are 1
	fi
	for other in 2 3; do
		wal 30
		job pg-backup-full
		[[ $said = *'backup done in every repository' ]] || fail "$said"
	done
	writer
	switch 120
	fill 83
	within 150 'the condition at 80 %' archiving_says RepositoryFillsUp
	[ "$(archiving .status)" = True ] || fail 'no longer archives at 80 %'
	within 10 'a line in the log' repository_says 'is filling up'
	apply_again q3 replicas=1 q3.retention=1
	within 180 'the configuration in the repository' retention_is 1
	backups_are 3 || fail 'backups were removed too early'
	fill 92
	within 200 'the condition at 90 %' archiving_says RepositoryFull
	condition=$(archiving .message)
	within 30 'room was made, without a new backup' backups_are_only 1
	fill 100
	sleep 90
	[ "$(archiving .status)" = False ] || fail "the condition is $(archiving .status) on a full volume"
	# The volume is enlarged
	size=$(k exec pg-repo-0 -- df --block-size=1G --output=size /repo | tail -n 1)
	on_node "${PGK_NODE_GROW//\{size\}/$((size + 4))}" "$node" >&2
	began=$(now)
	within 200 'archiving again' archives
	took=$(since "$began")
	k exec pg-repo-0 -- rm -f /repo/filler
	within 150 'the condition' archiving_says Works
	stop_writer
	none_lost
	figure "write_ms=$(longest_gap)" "acknowledged=$acknowledged" "lost=$lost" "archiving_again_ms=$took" "condition=${condition:0:150}"
	end
}
# fill PERCENT: the repository's volume, as repository.py counts
fill() {
	k exec pg-repo-0 -- python3 -c '
import os, sys
disk = os.statvfs("/repo")
used, free = (disk.f_blocks - disk.f_bfree) * disk.f_frsize, disk.f_bavail * disk.f_frsize
more = min(free, (used + free) * int(sys.argv[1]) // 100 - used + (8 << 20))
with open("/repo/filler", "ab", 0) as file:
    try:
        while more > 0:
            more -= file.write(bytes(min(more, 1 << 20)))
    except OSError:  # it is full
        pass
' "$1"
}
archiving_says() { [ "$(archiving .reason)" = "$1" ]; }
repository_says() { k logs pg-repo-0 | grep -q "$1"; }
# shellcheck disable=SC2016
retention_is() { k exec pg-repo-0 -- bash -c 'grep -qx "repo1-retention-full=$0" "$PGBACKREST_CONFIG"' "$1"; }
backups_are_only() { [ "$(backups)" = "$1" ]; }

# By the lease: a pod that ends, or hangs, may still be called the primary.
another_leads() {
	local leader
	leader=$(k get configmap pg-rw-leader --output 'jsonpath={.metadata.annotations.leader}')
	[ -n "$leader" ] && [ "$leader" != "$1" ] &&
		[ "$(on "$leader" psql -qAtXd app -c 'SELECT pg_is_in_recovery() FROM (SELECT count(*) FROM written)')" = f ]
}

for row in "${rows[@]}"; do "$row"; done
