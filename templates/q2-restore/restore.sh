# shellcheck shell=bash disable=SC2034,SC2154
# How a pod whose volume is empty becomes the primary: a base backup from the store, then all WAL, and at
# last the lead. Sourced by primary.sh.

# Returns 0 when PostgreSQL runs as the primary, 1 to begin again.
restore() {
	local began=$SECONDS
	fetch_base || return 1
	rm -rf /tmp/served /tmp/caught-up
	mkdir /tmp/served
	# A standby that reads the store's WAL as it comes, without limit, until it is promoted.
	open_door nobody
	local postgres_options=("${postgres_options[@]}" -c restore_command='bash /etc/pgk/scripts/fetch-wal.sh %f %p' -c primary_conninfo='' -c wal_retrieve_retry_interval=200ms)
	start_postgres
	if until_caught_up && until_granted && until_promoted; then
		log "restored: every acknowledged commit is here, $((SECONDS - began)) s after the restore began"
		return 0
	fi
	end_postgres
	[ -n "$ending" ] || say again "the restore failed half-way (see the lines before): beginning again"
	pause 1
	return 1
}

fetch_base() {
	rm -rf "$new" "$noted" "$missing"
	mkdir -m 700 "$new"
	log "fetching the newest base backup of the store"
	(
		set -o pipefail
		ask_store base | tar -x -C "$new"
	) &
	wait $! || {
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

# It has read all that the store had, but for what is being received now.
until_caught_up() {
	until [ -e /tmp/caught-up ]; do
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
	until [ "$last" = - ] || [ -e "/tmp/served/$last" ]; do
		runs || return 1
		# So that the store knows that this pod lives.
		claim prepared
		[ "$answer" = "granted $last" ] || log "the store answers: $answer"
		say last "replaying, until $last is here"
		pause 0.2
	done
	runs || return 1
	pg_ctl --pgdata="$data" --wait --timeout=600 --silent promote &
	wait $! || return 1
	rm "$follower"
	sync "${data%/*}"
}
