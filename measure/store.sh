#!/usr/bin/env bash
# What Q2 by restore is to survive, row by row: measure/store.sh ROW... (or `all`)
#
# PGK_CONTAINER_KILL and the like are those of `just cluster`. TIMES is how often `bulk` causes each of its events (1), GIGABYTES
# how much data the rows on large databases have.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
. measure/common.sh
rows=(bulk lost-wal old-volume bad-page backup-failover slow-store available lowered hand-over store-away store-vm silent)
[ "$*" = all ] || rows=("$@")

instances=0
# begin SETTING...
begin() {
	measuring="store $row"
	namespace=pgk-$row-$$-$((++instances))
	instance q2 q2.strategy=restore "$@"
	create_written
}
store() { k exec pg-store-0 -- perl /etc/pgk/scripts/store.pl localhost "$@"; }
holder() { store state | cut -d' ' -f2; }
# What common.sh asks the primary is asked who leads by the store's word: a pod that ends may still be called the primary.
in_primary() { on "$(holder)" "$@"; }
apply_again() { $pgk gen q2 --set=q2.strategy=restore "${@/#/--set=}" | k apply -f - >/dev/null; }
last_ack() { k logs writer --tail 1 | cut -d' ' -f2; }
acknowledges_more_than() { [ "$(last_ack)" -gt "$1" ]; }
base_is_there() { store state | grep -q '^ready'; }
# ended FIELD...: the writer is, nothing is lost, and the figure of that
ended() {
	stop_writer
	within 120 'a primary' serves
	none_lost
	figure "write_ms=$(longest_gap)" "acknowledged=$acknowledged" "lost=$lost" "$@"
}
# writes_again SECONDS: within these
writes_again() { within "$1" 'writes' acknowledges_more_than $(($(last_ack) + 20)); }
# told POD PATTERN: the first line of pgk's in its log that has it
told() { k logs "$1" | sed -n "s/.* pgk: \($2.*\)/\1/p" | head -n 1 | cut -c -120; }
# logged POD TEXT: whether its log has that
logged() { k logs "$1" | grep -q "$2"; }
node_of_the_store() { k get pod pg-store-0 --output 'jsonpath={.spec.nodeName}'; }
# big_is_whole GIGABYTES: no row of fill_big's table is missing
big_is_whole() { [ "$(sql 'SELECT count(*) FROM big')" = $(($1 * 8192)) ] || fail "rows of big are missing"; }

# 1: a bulk load, and in its midst each way to lose the primary or the store's pod
bulk() {
	begin
	local event n pod node try before
	sql 'CREATE TABLE bulk (x text); ALTER TABLE bulk OWNER TO app'
	writer
	node=$(kubectl get nodes --output name | sed 's|^node/||' | head -n 1)
	# (On one line, as it becomes a YAML scalar.)
	a_pod bulk "$node" '' bash -c 'while [ ! -e /tmp/enough ]; do timeout 60 psql -qXc "BEGIN; TRUNCATE bulk; INSERT INTO bulk SELECT repeat(md5(g::text), 60) FROM generate_series(1, 150000) g; COMMIT" 2>/dev/null || sleep 0.2; done'
	k wait pod/bulk --for condition=Ready --timeout 60s >/dev/null
	for ((try = 1; try <= ${TIMES:-1}; try++)); do
		for event in pod-delete pod-force postgres-kill container-kill store-kill; do
			measuring="store bulk $event"
			sleep $((5 + RANDOM % 5)).$((RANDOM % 10))
			pod=$(holder)
			before=$(now)
			case $event in
				pod-delete) k delete pod "$pod" --wait=false >/dev/null ;;
				pod-force) delete_by_force "$pod" ;;
				postgres-kill) kill_postgres "$pod" ;;
				container-kill) container_kill "$pod" ;;
				store-kill) delete_by_force pg-store-0 ;;
			esac
			sleep 2
			n=$(last_ack)
			within 240 "writes after $event" acknowledges_more_than $((n + 20))
			so_far
			within 120 'a primary' serves
			none_lost
			figure "write_ms=$(gap_since "$before")" "acknowledged=$acknowledged" "lost=$lost"
			within 240 'the replicas' streaming 2
		done
	done
	k exec bulk -- touch /tmp/enough || true
	stop_writer
	end
}
# shellcheck disable=SC2016
kill_postgres() { on "$1" bash -c 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"'; }

# 2: 200 bytes of the newest WAL of the primary are zeros when it starts again
lost-wal() {
	begin
	local pod
	within 120 'a base backup' base_is_there
	writer
	sleep 8
	pod=$(primary .metadata.name)
	# Between a commit and the next start: PostgreSQL is killed, and its newest file damaged before it.
	# shellcheck disable=SC2016
	on "$pod" bash -c 'at=$(psql -qAtXc "SELECT pg_current_wal_flush_lsn()"); sleep 3; file=$(psql -qAtXc "SELECT pg_walfile_name(\$\$$at\$\$)")
		kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"
		dd if=/dev/zero of="$PGDATA/pg_wal/$file" bs=1 seek=$((16#${at#*/} % 16777216)) count=200 conv=notrunc status=none'
	writes_again 120
	ended "said=$(told "$pod" DAMAGED)"
	end
}

# 2: the volume is what it was some time ago
old-volume() {
	begin
	local pod
	within 120 'a base backup' base_is_there
	pod=$(primary .metadata.name)
	# shellcheck disable=SC2016
	on "$pod" bash -c 'psql -qXc CHECKPOINT; kill -STOP "$(head -n 1 "$PGDATA/postmaster.pid")"; cp -a "$PGDATA" /pgdata/then; kill -CONT "$(head -n 1 "$PGDATA/postmaster.pid")"; rm /pgdata/then/postmaster.pid'
	writer
	sleep 10
	# shellcheck disable=SC2016
	on "$pod" bash -c 'kill -9 "$(head -n 1 "$PGDATA/postmaster.pid")"; mv "$PGDATA" /pgdata/newer; mv /pgdata/then "$PGDATA"'
	writes_again 120
	ended "said=$(told "$pod" DAMAGED)"
	end
}

# A base backup with a bad page is not kept; a good one is, and the one before it goes
bad-page() {
	begin q2.backups=1
	local first file
	within 120 'a base backup' base_is_there
	first=$(bases)
	# A page that has changed since, so that an incremental backup reads it, too.
	sql 'CREATE TABLE page AS SELECT generate_series(1, 100) n'
	file=$(sql "CHECKPOINT; SELECT pg_relation_filepath('page')")
	# shellcheck disable=SC2016
	in_primary bash -c 'cp "$PGDATA/$0" /tmp/page; printf xxxx | dd of="$PGDATA/$0" bs=1 seek=5000 conv=notrunc status=none' "$file"
	is_due "$first"
	within 60 'a word on the bad page' logged pg-store-0 'the base backup is not kept: '
	said=$(told pg-store-0 'the base backup is not kept')
	[ "$(bases)" = "$first" ] || fail "the base backups are $(bases)"
	# shellcheck disable=SC2016
	in_primary bash -c 'cat /tmp/page >"$PGDATA/$0"' "$file"
	within 120 'the next base backup' another_base "$first"
	within 30 'the old one removed' one_base
	figure "said=$said"
	end
}
bases() { k exec pg-store-0 -- ls /store/base; }
one_base() { [ "$(bases | wc -l)" = 1 ]; }
another_base() { bases | grep -qvx "$1"; }
# is_due BASE: another is
is_due() { k exec pg-store-0 -- touch --date='2 months ago' "/store/base/$1"; }

# 3: another leads in the midst of a base backup, and is lost in its turn
backup-failover() {
	local gigabytes=${GIGABYTES:-1} first
	begin q2.backups=1 "storage.size=$((gigabytes * 3 + 2))Gi" "q2.store-size=$((gigabytes * 4 + 2))Gi"
	within 120 'a base backup' base_is_there
	first=$(bases)
	fill_big "$gigabytes"
	writer
	is_due "$first"
	within 60 'the beginning of a base backup' backup_is_made
	k delete pod "$(holder)" --wait=false >/dev/null
	sleep 10
	writes_again 240
	said=$(told pg-store-0 'the base backup is not kept')
	within 300 'a new base backup' another_base "$first"
	within 240 'the replicas' streaming 2
	delete_by_force "$(holder)"
	writes_again 300
	big_is_whole "$gigabytes"
	ended "gigabytes=$gigabytes" "said=$said"
	end
}
backup_is_made() { k exec pg-store-0 -- ls -d /store/base.new || k exec pg-store-0 -- ls -d /store/base.change; }

# 4: one large transaction, while the store takes nothing
slow-store() {
	local gigabytes=${GIGABYTES:-1} from transaction
	begin "storage.size=$((gigabytes * 4 + 2))Gi" "q2.store-size=$((gigabytes * 5 + 2))Gi"
	within 120 'a base backup' base_is_there
	writer
	sleep 3
	from=$(position)
	# shellcheck disable=SC2016
	k exec pg-store-0 -- bash -c 'kill -STOP "$(cat /tmp/receiver.pid)"'
	fill_in_one "$gigabytes" &
	transaction=$!
	within 300 'the WAL of the transaction' has_written "$from" "$gigabytes"
	sql CHECKPOINT >/dev/null
	sleep 20
	# (The primary may have ended the connection meanwhile, and the store begun another.)
	# shellcheck disable=SC2016
	k exec pg-store-0 -- bash -c 'kill -CONT "$(cat /tmp/receiver.pid)"' || true
	wait "$transaction" || fail 'the transaction failed'
	writes_again 120
	! logged pg-store-0 'A GAP' || fail 'there is a gap in the WAL of the store'
	base_is_there || fail "the store: $(store state)"
	delete_by_force "$(holder)"
	writes_again 300
	big_is_whole "$gigabytes"
	ended "gigabytes=$gigabytes"
	end
}
has_written() { [ $(($(position) - $1)) -ge $(($2 << 30)) ]; }
fill_in_one() {
	sql "CREATE TABLE big AS SELECT n, (SELECT string_agg(sha512((n * 2048 + i)::text::bytea), '') AS filler
		FROM generate_series(1, 2048) i) FROM generate_series(1, $(($1 * 8192))) n"
}

# 5: `available`: the primary is lost while the store is away: what only the replicas have is kept
available() {
	begin q2.durability=available
	local node pod replica count
	within 120 'a base backup' base_is_there
	writer
	sleep 3
	node=$(node_of_the_store)
	pod=$(holder)
	undo+=("kubectl uncordon $node")
	kubectl cordon "$node" >/dev/null
	delete_by_force pg-store-0
	within 60 'going on without the store' logged "$pod" 'GOING ON WITHOUT THE STORE'
	sleep 10
	on "$pod" psql -qAtXd app -c 'SELECT max(n) FROM written' >"$work/last"
	delete_by_force "$pod"
	repair >/dev/null
	undo=()
	within 240 'writes' acknowledges_more_than "$(last_ack)"
	within 120 'a word of a replica' replica_waits
	replica=$(waiting_replica)
	count=$(on "$replica" psql -qAtXd app -c 'SELECT count(*) FROM written')
	[ "$count" -ge "$(<"$work/last")" ] || fail "the replica has $count rows of $(<"$work/last")"
	figure "kept=$count" "acknowledged=$(<"$work/last")" "said=$(told "$replica" 'WAITING FOR A HUMAN')"
	end
}
waiting_replica() {
	local each
	for each in $(k get pods --selector role=replica --output 'jsonpath={.items[*].metadata.name}'); do
		! logged "$each" 'WAITING FOR A HUMAN: the primary was restored' || { echo "$each"; return; }
	done
}
replica_waits() { waiting_replica | grep -q .; }

# 6: max_connections is lowered
lowered() {
	begin postgres.parameters.max_connections=200
	within 120 'a base backup' base_is_there
	writer
	sleep 3
	apply_again postgres.parameters.max_connections=100
	sleep 10
	within 150 'writes with the new limit' has_limit 100
	writes_again 60
	ended
	end
}
has_limit() { [ "$(sql 'SHOW max_connections')" = "$1" ]; }

# 7: a planned end with GIGABYTES (2) of data, by a deletion of the pod and by an apply
hand-over() {
	local gigabytes=${GIGABYTES:-2} how pod
	begin "storage.size=$((gigabytes * 3 + 2))Gi"
	fill_big "$gigabytes"
	within 300 'a base backup' base_is_there
	for how in delete apply; do
		measuring="store hand-over $how"
		writer
		sleep 3
		pod=$(holder)
		began=$(now)
		if [ $how = delete ]; then k delete pod "$pod" --wait=false >/dev/null; else apply_again "storage.size=$((gigabytes * 3 + 2))Gi" postgres.parameters.work_mem=17MB; fi
		within 600 'another leads' another_holds "$pod"
		took=$(since "$began")
		writes_again 60
		sleep 5
		ended "gigabytes=$gigabytes" "leads_ms=$took"
		within 300 'the replicas' streaming 2
	done
	end
}
another_holds() { [ "$(holder)" != "$1" ] && serves; }

# 8: the store's pod is away for two minutes in the midst of a restore
store-away() {
	local gigabytes=${GIGABYTES:-1} node
	begin "storage.size=$((gigabytes * 3 + 2))Gi" "q2.store-size=$((gigabytes * 4 + 2))Gi"
	fill_big "$gigabytes"
	within 300 'a base backup' base_is_there
	writer
	sleep 3
	node=$(node_of_the_store)
	undo+=("kubectl uncordon $node")
	delete_by_force "$(holder)"
	within 120 'a restore' is_restoring
	kubectl cordon "$node" >/dev/null
	k delete pod pg-store-0 --wait=false >/dev/null
	sleep 120
	repair >/dev/null
	undo=()
	writes_again 400
	big_is_whole "$gigabytes"
	ended "gigabytes=$gigabytes"
	end
}
is_restoring() { k logs --selector role=primary --container postgres --tail 50 | grep -q 'fetching a base backup'; }

# 8: the store's VM is lost: its pod on another node, by the README's commands
store-vm() {
	begin
	local node
	within 120 'a base backup' base_is_there
	writer
	sleep 3
	node=$(node_of_the_store)
	undo=("${PGK_NODE_ON//\{node\}/$node}")
	on_node "$PGK_NODE_OFF" "$node" >&2
	sleep 75
	k delete pvc backup-pg-store-0 --wait=false >/dev/null
	k delete pod pg-store-0 --force --grace-period=0 >/dev/null 2>&1
	within 240 'a base backup on another node' base_is_there
	writes_again 60
	repair >&2
	undo=()
	ended
	end
}

# 9: 100 silent connections to the store's door, renewed
silent() {
	begin
	writer
	local node
	node=$(kubectl get nodes --output name | sed 's|^node/||' | head -n 1)
	a_pod silent "$node" '' perl -e 'use IO::Socket::IP; my @all; while (1) { push @all, IO::Socket::IP->new(PeerHost => "pg-store", PeerPort => 5434, Timeout => 1); shift @all if @all > 100; select undef, undef, undef, 0.003 }'
	k wait pod/silent --for condition=Ready --timeout 60s >/dev/null
	sleep 5
	# The receiver begins again, and another is to lead.
	# shellcheck disable=SC2016
	k exec pg-store-0 -- bash -c 'kill "$(cat /tmp/receiver.pid)"'
	sleep 10
	k delete pod "$(primary .metadata.name)" --wait=false >/dev/null
	sleep 20
	writes_again 120
	ended
	end
}

for row in "${rows[@]}"; do "$row"; done
