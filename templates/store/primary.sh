#!/bin/bash
# Runs the primary. The store has every acknowledged commit, so what is on this pod's volume may be lost;
# what it may not do is lead without the store's word (store.pl says why).
#
#   the volume holds     the lead is        then
#   a whole database     granted            it is started as it is
#   a whole database     another's          its data is of no use any more: as with an empty volume
#   a damaged one                           it is set aside, once the store has a verified base: likewise
#   nothing              the store's ready  restored, and promoted once the lead is granted (restore.sh)
#   nothing              the store's empty  a new database, if every replica is empty, too (first-start.sh)
set -eu
. /etc/pgk/scripts/wal.sh
. /etc/pgk/scripts/damage.sh
. /etc/pgk/scripts/restore.sh

follower=$PGDATA.follower     # $data is a copy that follows the store, and not the primary yet
chosen=$PGDATA.chosen         # a human has made $data from a replica (restore-from-replica.sh)
base_seen=$PGDATA.base-seen   # the store has had a base of this database
damaged=$PGDATA.damaged       # what was damaged, for a look: the last one only

# The end of the pod: it goes on serving until another leads, then ends at once; what it still does after
# that is acknowledged to nobody.
ending=''
stop() {
	local signal=INT answer='' since=$SECONDS
	[ -z "$ending" ] || return 0
	ending=yes
	if [ -e /tmp/leading ]; then
		log "about to stop: serving on until another leads: as long as one prepares, and else for 30 s"
		until [ "$answer" = another ] || [ "$answer" = nobody ] || [ $((SECONDS - since)) -ge 30 ]; do
			ask_store ending "$HOSTNAME" >/tmp/ending 2>&1 &
			wait $! || true
			answer=$(cat /tmp/ending)
			[ "$answer" != preparing ] || since=$SECONDS
			[[ $answer =~ ^(another|preparing|nobody)$ ]] || pause 0.5 # the store is away, for a moment perhaps
		done
		log "stopping: the store's answer is: $answer"
		[ "$answer" != another ] || signal=QUIT
	fi
	[ -n "$postgres_pid" ] || exit 0
	kill -"$signal" "$postgres_pid" 2>/dev/null || true
}

end_postgres() {
	kill -QUIT "$postgres_pid" 2>/dev/null || true
	while kill -0 "$postgres_pid" 2>/dev/null; do wait "$postgres_pid" || true; done
	postgres_pid=''
}

# ALTER SYSTEM may have left out the store (see keep_durability), also in a copy of then.
forget_settings() { sed -i '/^synchronous_standby_names /d' "$1/postgresql.auto.conf" 2>/dev/null || true; }

system_id() { pg_controldata -D "$data" | sed -n 's/^Database system identifier: *//p'; }

# claim KIND: sets `answer`, which is empty where the store gives none, and `error WHY` where it cannot do it.
claim() {
	answer=$(timeout 40 perl /etc/pgk/scripts/store.pl "$store_service" claim "$HOSTNAME" "$POD_IP" "$1" "$system" "$(newest_timeline)" 2>/dev/null) || true
}
# Each promotion leaves a file that is named after the timeline it began.
newest_timeline() {
	local files=("$data"/pg_wal/????????.history) newest=00000001
	[ ! -e "${files[-1]}" ] || newest=$(basename "${files[-1]}" .history)
	echo "$newest"
}

# Returns 0 with the lead, and sets `end` to where the store's WAL ends, 1 if another has it.
end=-
claim_with_data() {
	local kind=data
	system=$(system_id)
	while [ -z "$ending" ]; do
		[ ! -e "$chosen" ] || kind=chosen
		claim "$kind"
		case $answer in
			granted*)
				end=${answer##* }
				rm -f "$chosen"
				log "the lead is this pod's: starting with the data of its volume"
				return 0
				;;
			"wait other"*)
				# A store that has just started listens for the holder before a chosen copy may lead.
				[ "$kind" = chosen ] && [ "$(store_state 1)" != ready ] || return 1
				say other "waiting: ${answer##* } has the lead, and was heard of; and the store has no base backup yet"
				;;
			"wait foreign"*) say foreign "WAITING FOR A HUMAN: the store is of another database system (${answer##* }) than this volume's data ($system). Nothing is changed" ;;
			"wait window"*) say window "waiting: the store is empty, and listens for a moment whether anybody has newer data" ;;
			"wait newer"*) say newer "WAITING FOR A HUMAN: the store is empty, and ${answer##* } has newer data, but does not come back: $lost_volume_help" ;;
			error*) say error "waiting: the store's answer is: $answer" ;;
			*) say store "waiting: the store does not answer, and without its word nobody may lead" ;;
		esac
		pause 0.5
	done
	return 1
}

# set_aside WHY KEEP: out of the way, so that a copy of the store's takes its place.
set_aside() {
	local need room
	until [ "$(store_state 1)" = ready ] || [ -n "$ending" ]; do
		say "aside $1" "waiting: $1; but the store has no verified base backup (or does not answer), so nothing is removed"
		pause 1
	done
	[ -z "$ending" ] || return 0
	need=$(du -sk "$data" | cut -f1)
	rm -rf "$damaged" "$noted" "$missing"
	room=$(free_kilobytes)
	if [ "$2" = keep ] && [ "$room" -gt $((need + need / 4)) ]; then
		log "$1: keeping the data in $damaged for a look, and restoring from the store"
		mv "$data" "$damaged"
	else
		log "$1: dropping the data, and restoring from the store"
		drop_data
	fi
}

{% include "streaming/apply-roles.sh" %}

# The store holds everything from here on: a commit of this server has been acknowledged by it, so it
# follows this server's timeline, and nobody else's. Only then do replicas get to see it: a new timeline
# that the store does not know could be made a second time.
acknowledge() {
	local said
	[ ! -e /tmp/acknowledged ] && [ -n "$streams" ] || return 0
	# A warning says that the commit was not waited for; so does no answer.
	said=$(timeout 10 psql --no-psqlrc -qAtX -d postgres -c "SELECT pg_logical_emit_message(true, 'pgk', '')" 2>&1 >/dev/null) &&
		[ -z "$said" ] || return 0
	touch /tmp/acknowledged
}

# The lead is still this pod's? Every two seconds.
lost='' asked_at=0
keep_lead() {
	local condition holder
	[ $((SECONDS - asked_at)) -ge 2 ] || return 0
	asked_at=$SECONDS
	read -r condition holder _ <<<"$(ask_store state 2>/dev/null)" || true
	case ${condition:-} in
		ready) touch "$base_seen" ;;
		filling) say filling "the store has no base backup yet: until it has one, a primary that is lost can only be made of a replica" ;;
		empty)
			# Its volume was lost.
			claim data
			[[ $answer != granted* ]] || log "the store was empty: it receives from here, and takes a base backup"
			return 0
			;;
	esac
	if [[ ${holder:--} != - ]] && [ "$holder" != "$HOSTNAME" ]; then
		log "$holder has the lead: stopping. Nothing that was done here since then was acknowledged"
		lost=yes
		kill -QUIT "$postgres_pid"
	fi
}

# What happens while the store is away.
streams='' away_since='' left_out=''
keep_durability() {
	streams=$(local_sql "SELECT 1 FROM pg_stat_replication WHERE application_name = 'walstore' AND state = 'streaming'") || return 0
	if [ -n "$streams" ]; then
		away_since=''
		if [ -n "$left_out" ]; then
			local_sql "ALTER SYSTEM RESET synchronous_standby_names" && local_sql "SELECT pg_reload_conf()" >/dev/null || return 0
			left_out=''
			log "the store is back: a commit waits for it again"
		fi
		return 0
	fi
	away_since=${away_since:-$SECONDS}
	[ $((SECONDS - away_since)) -ge 10 ] || return 0
	if [ "$durability" = available ] && [ -z "$left_out" ] && [ -e /tmp/acknowledged ]; then
		local_sql "ALTER SYSTEM SET synchronous_standby_names = ''" && local_sql "SELECT pg_reload_conf()" >/dev/null || return 0
		left_out=yes
		log "GOING ON WITHOUT THE STORE, as durability: available says: what is committed from now on is on this volume alone"
	elif [ -z "$left_out" ]; then
		say "writes wait" "writes wait: the store does not receive from this pod"
	fi
}

# Ready once it leads, with the roles, acknowledged by the store, and with a base there to restore from.
may_be_ready() {
	[ -e /tmp/roles-applied ] && [ -e /tmp/acknowledged ] && [ -e "$base_seen" ] || return 0
	[ ! -e /tmp/leading ] || return 0
	touch /tmp/leading
	log "leading, and the store has all of it: ready"
}

# Nobody but this script may connect before the data was looked at: what is written upon damaged data would
# be in the WAL, and so in the restored data.
open_door() { # WHO: nobody, everybody
	if [ "$1" = nobody ]; then
		grep '^local *all *postgres' /etc/pgk/config/pg_hba.conf >/tmp/pg_hba.conf
	else
		cat /etc/pgk/config/pg_hba.conf >/tmp/pg_hba.conf
		local_sql "SELECT pg_reload_conf()" >/dev/null
	fi
}

# At the start, and every 20 s.
started='' broken='' looked_at='' noted_at=0
look_at_data() {
	[ -z "$looked_at" ] || [ $((SECONDS - looked_at)) -ge 20 ] || return 0
	if broken=$(damage_in_use); then
		log "DAMAGED: $broken"
		kill -QUIT "$postgres_pid"
		return 1
	fi
	[ -n "$looked_at" ] || open_door everybody || return 1
	looked_at=$SECONDS
	rm -f "$missing"
}

watch() {
	pg_isready -q || return 0
	started=yes failed=0
	look_at_data || return 0
	[ $((SECONDS - noted_at)) -lt 10 ] || note_files
	keep_durability
	keep_lead
	[ -z "$lost" ] || return 0
	apply_roles
	acknowledge
	may_be_ready
}

# Not the data's fault: restoring would change nothing.
cannot_start_anyway() {
	# (For this parameter, it loads the libraries, too, and adds up the memory.)
	takes_configuration "$data" shared_memory_size || return 0
	[ "$(free_kilobytes)" -lt 32768 ] && say full "the volume is full"
}

# Backends may outlive a PostgreSQL that was killed, and another cannot start as long as they do.
end_leftovers() {
	local found
	while mapfile -t found < <(grep -lsx postgres /proc/[0-9]*/comm | cut -d/ -f3) && [ -n "${found[*]}" ]; do
		kill -KILL "${found[@]}" 2>/dev/null || true
		pause 0.1
	done
}

rm -rf "$data.trash"
write_pgpass
{% if tls != "off" %}
make_certificate
{% endif %}
# With `available`, it may be that nobody else has what was committed without the store.
old_data=drop
[ "$durability" != available ] || old_data=keep
postgres_options=(-c hba_file=/tmp/pg_hba.conf)
failed=0
while [ -z "$ending" ]; do
	rm -f /tmp/leading /tmp/acknowledged /tmp/roles-applied
	applied='' started='' broken='' lost='' streams='' away_since='' left_out='' looked_at='' noted_at=0
	if [ -e "$follower" ]; then
		log "a restore was not brought to its end: beginning it anew"
		rm -rf "$data"
		rm "$follower"
	fi
	if [ -e "$data" ]; then
		if why=$(damage_at_rest); then
			set_aside "DAMAGED: $why" keep
			continue
		fi
		if ! claim_with_data; then
			[ -n "$ending" ] || set_aside "another has the lead ($answer), and this volume's data is older than its" "$old_data"
			continue
		fi
		if lacks_wal "$end"; then
			set_aside "DAMAGED: the WAL of this volume ends before $end, up to where the store has it" keep
			continue
		fi
		# Nobody else can run on this volume: a container that was killed has left it.
		rm -f "$data/postmaster.pid"
		forget_settings "$data"
		look_for_missing_files
		open_door nobody
		start_postgres
	else
		condition=$(store_state 1)
		case $condition in
			ready) ;;
			empty)
				log "the volume holds no database, and the store is empty"
				bash /etc/pgk/scripts/first-start.sh &
				wait $! || pause 1
				;;
			filling) say filling "WAITING: this volume is empty, and the store has no base backup yet of the primary that it knows. If that primary does not return: $lost_volume_help"; pause 1 ;;
			*) say unreachable "waiting: the volume is empty, and the store does not answer. No new database is made: the store may hold one"; pause 1 ;;
		esac
		{ [ "$condition" = ready ] && restore; } || continue
	fi
	status=0
	supervise watch || status=$?
	[ -z "$ending" ] || exit 0
	if [ -n "$broken" ]; then
		set_aside "DAMAGED: $broken" keep
	elif [ -z "$lost" ] && [ -z "$started" ]; then
		failed=$((failed + 1))
		if [ "$failed" -ge 2 ] && ! cannot_start_anyway; then
			failed=0
			set_aside "DAMAGED: PostgreSQL did not start, twice" keep
		fi
		pause 2
	fi
	end_leftovers
done
