#!/bin/bash
# Receives WAL from the holder of the lead, and from nobody else. The primary's commits wait for this
# receiver: what it has on its disk is what was acknowledged.
set -eu
PGDATA=/store
. /etc/pgk/scripts/wal.sh

# Finds a peer that is gone in some 4 s.
patience="connect_timeout=3 tcp_user_timeout=3000 keepalives_idle=1 keepalives_interval=1 keepalives_count=3"

# On a connection that knows SQL and the replication commands.
holder_sql() {
	timeout 10 psql --no-psqlrc -qAtX -F ' ' -d "host=$address port=5432 user=replicator dbname=postgres replication=database $patience" -c "$1" 2>/tmp/holder-sql
}

# Older bases and WAL cannot be brought up to date any more. They are out of the way, for a look, until
# there is a new base. (If there has been none since the last time, that is what to look at.)
begin_afresh() {
	local to=/store/before-the-gap
	[ ! -e "$to" ] || to=/store/after-the-gap
	mkdir -p "$to"
	mv /store/base /store/wal "$to"
	mkdir /store/base /store/wal
	rm -rf /store/after-the-gap
}

# The last 16 digits of the name of the file that the receiver asks for: it goes on after the last whole file, or with
# an unfinished one.
next_segment() {
	local next
	next=$(number "${last:8:16}")
	[ ! -e "/store/wal/$last" ] || next=$((next + 1))
	numbered "$next"
}

# One that was lost is of no use: the WAL that it kept is gone.
make_slot="SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
	WHERE slot_name = 'walstore' AND wal_status = 'lost';
	SELECT pg_create_physical_replication_slot('walstore', true)
	WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'walstore')"

# Is the holder ready to be received from, and what is there to prepare?
prepare() {
	local why facts recovering theirs timeline last fork ends_in
	# A receiver that was killed while it made a file, or found no room for it: there are but zeros in it, and it
	# wants it empty or whole.
	find /store/wal -maxdepth 1 -name '*.partial' -size "-${segment}c" -size +0c -exec truncate --size=0 {} +
	why=''
	if ! facts=$(holder_sql "SELECT pg_is_in_recovery(), system_identifier FROM pg_control_system()"); then
		why="the holder of the lead, $name, does not answer at $address: $(head -n 1 /tmp/holder-sql)"
		! grep -q 'no pg_hba.conf entry' /tmp/holder-sql || why="waiting: $name looks at its data before it lets anybody in"
	else
		read -r recovering theirs <<<"$facts"
		if [ "$theirs" != "$(cat /store/system-id)" ]; then
			why="WAITING FOR A HUMAN: $name at $address is another database system ($theirs, not $(cat /store/system-id)): nothing is received from it"
		elif [ "$recovering" != f ]; then
			why="waiting: $name replays the WAL and is not promoted yet"
		elif ! holder_sql "$make_slot" >/dev/null; then
			why="waiting: $name gives no replication slot: $(head -n 1 /tmp/holder-sql)"
		fi
	fi
	if [ -n "$why" ]; then
		say "$why" "$why"
		return 1
	fi

	last=$(perl /etc/pgk/scripts/store.pl last)
	[ "$last" != - ] || return 0
	[[ $last =~ ^[0-9A-F]{24}$ ]] || return 1
	# On a new timeline, what was received of the old one beyond the fork is not part of the database's history: the
	# receiver would ask for more of it, in vain.
	timeline=$(holder_sql "IDENTIFY_SYSTEM" | cut -d' ' -f2) || return 1
	fork=''
	[ "$((16#${last:0:8}))" -ge "$timeline" ] || fork=$(holder_sql "TIMELINE_HISTORY $timeline" | sed 's/^[0-9A-F]*\.history //' |
		awk -v old="$((16#${last:0:8}))" '$1 == old && $2 ~ "^[0-9A-F]+/[0-9A-F]+$" {print $2; exit}')
	if [ -n "$fork" ]; then
		# The file with the last byte of the old timeline.
		ends_in=$(numbered $((($(position "$fork") - 1) / segment)))
		if [[ ${last:8:16} > $ends_in ]]; then
			log "$last lies beyond the fork of timeline $timeline at $fork: put aside"
			mkdir -p /store/beyond-the-fork
			mv "/store/wal/$last"* /store/beyond-the-fork/
			return 1
		elif [ "${last:8:16}" = "$ends_in" ] && [ -e "/store/wal/$last" ]; then
			# A record went on in the next file, which is not here, so the new timeline begins before that record;
			# or right after this file. There is nothing of the old one to come then, for which a receiver cannot
			# ask; so it asks for this file again, up to the fork.
			log "timeline $timeline begins at $fork, and $last is whole: receiving that file again"
			mv "/store/wal/$last" "/store/wal/$last.partial"
		fi
	fi
	# Has the primary thrown away WAL that is missing here?
	if [ "$(holder_sql "SELECT '$(next_segment)' < min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}\$'")" = t ]; then
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

uptime >/tmp/received
while :; do
	if ! lead=$(cat /store/lead 2>/dev/null); then
		say nobody "waiting: no primary has claimed the lead yet"
		pause 0.5
		continue
	fi
	read -r name address system phase _ <<<"$lead"
	write_pgpass
	if ! prepare; then
		uptime >/tmp/received
		pause 0.5
		continue
	fi
	say "receiving $name" "receiving WAL from $name ($address)"
	receive &
	receiver=$! began=$SECONDS
	while kill -0 "$receiver" 2>/dev/null; do
		uptime >/tmp/alive
		[ $((SECONDS - began)) -lt 5 ] || uptime >/tmp/received
		sleep 0.5 &
		wait -n "$receiver" $! || true
	done
	said_key=''
	if [ $(($(uptime) - $(cat /tmp/received))) -ge 60 ]; then
		log "WAITING FOR A HUMAN: for a minute the receiver has ended as soon as it began, and so commits wait: the lines above say why"
		uptime >/tmp/received
		pause 5
	fi
	pause 0.2
done
