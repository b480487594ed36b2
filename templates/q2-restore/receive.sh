#!/bin/bash
# Receives WAL from the holder of the lead, and from nobody else. The primary's commits wait for this
# receiver: what it has on its disk is what was acknowledged.
set -eu
PGDATA=/store
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=wal.sh
. /etc/pgk/scripts/wal.sh

# Finds a peer that is gone in some 4 s.
patience="connect_timeout=3 tcp_user_timeout=3000 keepalives_idle=1 keepalives_interval=1 keepalives_count=3"

# On a connection that knows SQL and the replication commands.
holder_sql() {
	timeout 10 psql --no-psqlrc -qAtX -F ' ' -d "host=$address port=5432 user=replicator dbname=postgres replication=database $patience" -c "$1" 2>/tmp/holder-sql
}

# Older bases and WAL cannot be brought up to date any more. They are out of the way, for a look, until
# there is a new base.
begin_afresh() {
	rm -rf /store/before-the-gap
	mkdir /store/before-the-gap
	mv /store/base /store/wal /store/before-the-gap/
	mkdir /store/base /store/wal
}

# Would the receiver ask for WAL from POSITION on? It goes on after the last whole file, or with an unfinished one.
is_at() {
	local offset=$((16#${1#*/} % segment)) next
	next=$(number "${last:8:16}")
	[ ! -e "/store/wal/$last" ] || next=$((next + 1))
	[ "$offset" = 0 ] && [ "$(number "$(segment_of "$1")")" = "$next" ]
}

# The old timeline ends exactly where the receiver would go on with it, which it cannot: there is nothing of it
# to come. An empty file of the new timeline lets it begin with that; whoever restores needs its history, too.
begin_timeline() {
	local name
	name=$(printf '%08X' "$1")
	printf '%s\n' "$history" >"/store/wal/$name.history.new" || return 1
	mv "/store/wal/$name.history.new" "/store/wal/$name.history"
	: >"/store/wal/$name$(segment_of "$fork").partial"
	sync /store/wal/"$name"* /store/wal
	log "the WAL that is here ends with a file, and the new timeline begins there: receiving from $fork on timeline $1"
}

# Is the holder ready to be received from, and what is there to prepare?
prepare() {
	local facts recovering theirs timeline status last history fork
	facts=$(holder_sql "SELECT pg_is_in_recovery(), system_identifier FROM pg_control_system()") || {
		if grep -q 'no pg_hba.conf entry' /tmp/holder-sql; then
			say "looks $name" "waiting: $name looks at its data before it lets anybody in"
			return 1
		fi
		say "away $name" "the holder of the lead, $name, does not answer at $address: $(head -n 1 /tmp/holder-sql)"
		return 1
	}
	read -r recovering theirs <<<"$facts"
	if [ "$theirs" != "$(cat /store/system-id)" ]; then
		say foreign "WAITING FOR A HUMAN: $name at $address is another database system ($theirs, not $(cat /store/system-id)): nothing is received from it"
		return 1
	fi
	if [ "$recovering" != f ]; then
		say "promotion $name" "waiting: $name replays the WAL and is not promoted yet"
		return 1
	fi
	status=$(holder_sql "SELECT coalesce(max(wal_status), 'none') FROM pg_replication_slots WHERE slot_name = 'walstore'") || return 1
	if [ "$status" = lost ]; then
		holder_sql "SELECT pg_drop_replication_slot('walstore')" >/dev/null || return 1
		status=none
	fi
	[ "$status" != none ] || holder_sql "SELECT pg_create_physical_replication_slot('walstore', true)" >/dev/null || return 1

	# A receiver that was killed while it made a file: there are but zeros in it, and it wants it empty or whole.
	find /store/wal -maxdepth 1 -name '*.partial' -size "-${segment}c" -size +0c -exec truncate --size=0 {} +
	last=$(perl /etc/pgk/scripts/store.pl localhost state | cut -d' ' -f3)
	[ "$last" != - ] || return 0
	[[ $last =~ ^[0-9A-F]{24}$ ]] || return 1
	# On a new timeline, what was received of the old one beyond the fork, in a segment of its own, is not part
	# of the database's history. The receiver would ask for more of it, in vain.
	timeline=$(holder_sql "IDENTIFY_SYSTEM" | cut -d' ' -f2) || return 1
	if [ "$((16#${last:0:8}))" -lt "$timeline" ]; then
		history=$(holder_sql "TIMELINE_HISTORY $timeline" | sed 's/^[0-9A-F]*\.history //')
		fork=$(awk -v old="$((16#${last:0:8}))" '$1 == old && $2 ~ "^[0-9A-F]+/[0-9A-F]+$" {print $2; exit}' <<<"$history")
		if [ -n "$fork" ] && [[ ${last:8:16} > $(segment_of "$fork") ]]; then
			log "$last lies beyond the fork of timeline $timeline at $fork: put aside"
			mkdir -p /store/beyond-the-fork
			mv "/store/wal/$last"* /store/beyond-the-fork/
			return 1
		fi
		if [ -n "$fork" ] && is_at "$fork"; then begin_timeline "$timeline" || return 1; fi
	fi
	# Has the primary thrown away WAL that is missing here?
	if [ "$(holder_sql "SELECT '${last:8:16}' < min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}\$'")" = t ]; then
		log "A GAP: the primary no longer has the WAL that follows $last. Beginning afresh, with a new base backup"
		begin_afresh
	fi
}

# In a process that ends with the receiver. The lock is the receiver's as long as it lives: a claim that has
# it knows that nothing is received (store.pl, fence).
receive() (
	exec {lock}>>/tmp/receiving.lock
	flock "$lock"
	[ "$(cat /store/lead)" = "$lead" ] || exit 0
	if [ "$phase" = sealed ]; then
		printf '%s %s %s open -\n' "$name" "$address" "$system" >/store/lead.new
		sync /store/lead.new
		mv /store/lead.new /store/lead
		sync /store
	fi
	echo "$BASHPID" >/tmp/receiver.pid
	exec pg_receivewal --directory=/store/wal --slot=walstore --synchronous --no-loop --status-interval=1 --no-password \
		--dbname="host=$address port=5432 user=replicator application_name=walstore $patience"
)

while :; do
	if ! lead=$(cat /store/lead 2>/dev/null); then
		say nobody "waiting: no primary has claimed the lead yet"
		pause 0.5
		continue
	fi
	read -r name address system phase _ <<<"$lead"
	write_pgpass
	if ! prepare; then
		pause 0.5
		continue
	fi
	say "receiving $name" "receiving WAL from $name ($address)"
	receive &
	receiver=$!
	while kill -0 "$receiver" 2>/dev/null; do
		touch /tmp/alive
		sleep 0.5 &
		wait -n "$receiver" $! || true
	done
	said_key=''
	pause 0.2
done
