# How a pod whose volume is empty becomes the primary: a base backup from the store, then all WAL, and at
# last the lead. Sourced by primary.sh.

# takes_configuration FOLDER PARAMETER: does PostgreSQL take its configuration, as far as it needs it for that parameter?
takes_configuration() {
	local said
	said=$(postgres -D "$1" -c config_file=/etc/pgk/config/postgresql.conf -C "$2" 2>&1 >/dev/null) && return
	say config "waiting: PostgreSQL does not take its configuration: $said"
	return 1
}

# Returns 0 when PostgreSQL runs as the primary, 1 to begin again.
restore() {
	local began=$SECONDS
	takes_configuration /tmp shared_buffers || { pause 2; return 1; }
	fetch_base || return 1
	rm -rf /tmp/served /tmp/caught-up /tmp/promoting
	mkdir /tmp/served
	# A standby that reads the store's WAL as it comes, without limit, until it is promoted. (One that answered
	# queries would not start with a smaller max_connections than at the time of the base.)
	open_door nobody
	local postgres_options=("${postgres_options[@]}" -c hot_standby=off
		-c restore_command='bash /etc/pgk/scripts/fetch-wal.sh %f %p' -c primary_conninfo='' -c wal_retrieve_retry_interval=200ms)
	start_postgres
	if until_caught_up && until_granted && until_promoted; then
		base_failures=0
		log "restored: every acknowledged commit is here, $((SECONDS - began)) s after the restore began"
		return 0
	fi
	end_postgres
	if [ -z "$ending" ]; then
		base_failures=$((base_failures + 1))
		say again "the restore failed half-way (see the lines before): beginning again"
	fi
	pause 1
	return 1
}

# After every other failure, an older base: the newest may be of no use. After the oldest, the newest again.
base_failures=0
fetch_base() {
	local age=$((base_failures / 2))
	rm -rf "$new" "$noted" "$missing"
	mkdir -m 700 "$new"
	log "fetching a base backup of the store: $([ "$age" = 0 ] && echo "the newest" || echo "number $((age + 1)) from the newest on")"
	(set -o pipefail; ask_store base "$age" | tar -x -C "$new") &
	wait $! || {
		[ "$age" = 0 ] || base_failures=0
		[ -n "$ending" ] || say base "the base backup could not be fetched (see the line before): trying again"
		pause 1
		return 1
	}
	touch "$new/standby.signal"
	forget_settings "$new"
	# From here on $data is a copy that is not the primary: to be dropped if this container ends (primary.sh).
	touch "$follower"
	mv "$new" "$data"
}

runs() { [ -z "$ending" ] && kill -0 "$postgres_pid" 2>/dev/null; }

# It has read all that the store had, but for what is being received now. (For who has the lead already, after a
# restore that was interrupted, nothing is received, and nothing is missing.)
until_caught_up() {
	until [ -e /tmp/caught-up ] || [ "$(store_state 2)" = "$HOSTNAME" ]; do
		runs || return 1
		say replay "replaying the store's WAL"
		pause 0.2
	done
}

until_granted() {
	system=$(system_id)
	while runs; do
		claim prepared
		case $answer in
			granted\ *)
				last=${answer#granted }
				log "the lead is this pod's: replaying up to $last, the last that the store has received"
				return 0
				;;
			"wait alive"*) say "alive ${answer##* }" "prepared, and following: ${answer##* } leads, and lives" ;;
			"wait nobody"*) say nobody "waiting: the store is empty. The primary, if it lives, will claim the lead; if it is lost: $lost_volume_help" ;;
			*) say claim "waiting for the lead: ${answer}" ;;
		esac
		pause 0.3
	done
	return 1
}

# PostgreSQL ends its recovery where the WAL ends: so the last file must have come before it is promoted.
until_promoted() {
	local came='' before since=$SECONDS
	until [ "$last" = - ] || [ -e "/tmp/served/$last" ]; do
		runs || return 1
		claim prepared # so that the store knows that this pod lives
		case $answer in
			"granted $last") say last "replaying, until $last is here" ;;
			"wait alive"*) log "the lead has gone to ${answer##* }" && return 1 ;;
			*) say unclear "replaying, until $last is here; the store's answer is: $answer" ;;
		esac
		before=$came
		came=$(find /tmp/served -newer /tmp/caught-up -printf x | wc -c)
		[ "$came" = "$before" ] || since=$SECONDS
		if [ $((SECONDS - since)) -ge 600 ]; then
			log "no WAL has come for 10 minutes, and $last is not here"
			return 1
		fi
		pause 0.2
	done
	runs || return 1
	touch /tmp/promoting
	pg_ctl --pgdata="$data" --wait --timeout=600 --silent promote &
	wait $! || return 1
	rm "$follower"
	sync "${data%/*}"
}
