# shellcheck shell=bash disable=SC2154
# How a replica becomes a copy of the primary. Sourced by replica.sh.

clone() {
	local need room
	if [ -e "$data" ]; then
		# The old copy stays until the new one is whole, where there is room for both.
		need=$(du -sk "$data" | cut -f1)
		room=$(df -Pk "$data" | awk 'NR == 2 {print $4}')
		if [ "$room" -lt $((need + need / 4)) ]; then
			log "no room for two copies ($((room / 1024)) MB free): dropping the old one before cloning"
			rm -rf "$data"
		fi
	fi
	rm -rf "$new"
	until
		pg_basebackup --dbname="host=$rw_service port=5432 user=replicator application_name=$HOSTNAME" \
			--pgdata="$new" --wal-method=stream --checkpoint=fast --no-password &
		wait $!
	do
		say clone "cannot clone $rw_service yet (see the line before): trying again"
		rm -rf "$new"
		pause 1
	done
	touch "$new/standby.signal"
	rm -rf "$data.old"
	[ ! -e "$data" ] || mv "$data" "$data.old"
	mv "$new" "$data"
	rm -rf "$data.old"
	log "cloned $rw_service"
}
