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
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=ask-store.sh
. /etc/pgk/scripts/ask-store.sh
# shellcheck source-path=SCRIPTDIR source=damage.sh
. /etc/pgk/scripts/damage.sh
# shellcheck source-path=SCRIPTDIR source=restore.sh
. /etc/pgk/scripts/restore.sh

follower=$PGDATA.follower     # $data is a copy that follows the store, and not the primary yet
chosen=$PGDATA.chosen         # a human has made $data from a replica (restore-from-replica.sh)
base_seen=$PGDATA.base-seen   # the store has had a base of this database
damaged=$PGDATA.damaged       # what was damaged, for a look: the last one only

# The end of the pod: it goes on serving until another leads, then ends at once; what it still does after
# that is acknowledged to nobody.
ending=''
stop() {
	local signal=INT
	[ -z "$ending" ] || return 0
	ending=yes
	if [ -e /tmp/leading ]; then
		log "about to stop: serving on until another leads, for 30 s at most"
		ask_store ending "$HOSTNAME" >/tmp/ending 2>&1 &
		wait $! || true
		log "stopping: the store's answer is: $(cat /tmp/ending)"
		[ "$(cat /tmp/ending)" != another ] || signal=QUIT
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

# claim KIND: sets `answer`, which is empty where the store gives none.
claim() {
	answer=$(timeout 40 perl /etc/pgk/scripts/store.pl "$store_service" claim "$HOSTNAME" "$POD_IP" "$1" "$system" "$(newest_timeline)" 2>/dev/null) || answer=''
}
# Each promotion leaves a file that is named after the timeline it began.
newest_timeline() {
	local files=("$data"/pg_wal/????????.history) newest=00000001
	[ ! -e "${files[-1]}" ] || newest=$(basename "${files[-1]}" .history)
	echo "$newest"
}

# Returns 0 with the lead, 1 if another has it.
claim_with_data() {
	local kind=data
	system=$(system_id)
	while [ -z "$ending" ]; do
		[ ! -e "$chosen" ] || kind=chosen
		claim "$kind"
		case $answer in
			granted*)
				rm -f "$chosen"
				log "the lead is this pod's: starting with the data of its volume"
				return 0
				;;
			"wait other"*) return 1 ;;
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
	room=$(df -Pk "$data" | awk 'NR == 2 {print $4}')
	if [ "$2" = keep ] && [ "$room" -gt $((need + need / 4)) ]; then
		log "$1: keeping the data in $damaged for a look, and restoring from the store"
		mv "$data" "$damaged"
	else
		log "$1: dropping the data, and restoring from the store"
		rm -rf "$data"
	fi
}

{% include "common/apply-roles.sh" %}

# The store holds everything from here on: a commit of this server has been acknowledged by it, so it
# follows this server's timeline, and nobody else's. Only then do replicas get to see it: a new timeline
# that the store does not know could be made a second time.
acknowledge() {
	[ ! -e /tmp/acknowledged ] || return 0
	[ -n "$streams" ] || return 0
	[ -z "$(timeout 10 psql --no-psqlrc -qAtX -d postgres -c "SELECT pg_logical_emit_message(true, 'pgk', '')" 2>&1 >/dev/null)" ] || return 0
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
	[ -n "$looked_at" ] || open_door everybody
	looked_at=$SECONDS
	rm -f "$missing"
}

watch() {
	pg_isready -q || return 0
	started=yes failed=0
	look_at_data || return 0
	if [ $((SECONDS - noted_at)) -ge 10 ]; then
		noted_at=$SECONDS
		note_files
	fi
	keep_durability
	keep_lead
	[ -z "$lost" ] || return 0
	apply_roles
	acknowledge
	may_be_ready
}

# Not the data's fault: restoring would change nothing.
cannot_start_anyway() {
	if ! postgres -D "$data" -c config_file=/etc/pgk/config/postgresql.conf -C shared_buffers >/dev/null 2>&1; then
		say config "PostgreSQL does not take its configuration (see the lines before)"
	elif [ "$(df -Pk "$data" | awk 'NR == 2 {print $4}')" -lt 32768 ]; then
		say full "the volume is full"
	else
		return 1
	fi
}

write_pgpass
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
			[ -n "$ending" ] || set_aside "another has the lead ($answer), and this volume's data is older than its" drop
			continue
		fi
		# Nobody else can run on this volume: a container that was killed has left it.
		rm -f "$data/postmaster.pid"
		forget_settings "$data"
		look_for_missing_files
		open_door nobody
		start_postgres
	else
		case $(store_state 1) in
			ready) restore || continue ;;
			empty)
				log "the volume holds no database, and the store is empty"
				bash /etc/pgk/scripts/first-start.sh &
				wait $! || pause 1
				continue
				;;
			filling)
				say filling "WAITING: this volume is empty, and the store has no base backup yet of the primary that it knows. If that primary does not return: $lost_volume_help"
				pause 1
				continue
				;;
			*)
				say unreachable "waiting: the volume is empty, and the store does not answer. No new database is made: the store may hold one"
				pause 1
				continue
				;;
		esac
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
	else
		# Its processes end when they notice that the first one is gone.
		pause 0.5
	fi
done
