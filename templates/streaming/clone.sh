# How a replica becomes a copy of the primary. Sourced by replica.sh.

clone() {
	local need room
	if [ -e "$data" ]; then
		# The old copy stays until the new one is whole, where there is room for both.
		need=$(du -sk "$data" | cut -f1)
		room=$(free_kilobytes)
		if [ "$room" -lt $((need + need / 4)) ]; then
			log "no room for two copies ($((room / 1024)) MB free): dropping the old one before cloning"
			drop_data
		fi
	fi
	rm -rf "$new"
	until
		pg_basebackup --pgdata="$new" --wal-method=stream --checkpoint=fast --no-password \
			--dbname="host=$rw_service port=5432 user=replicator application_name=$HOSTNAME $copying" &
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
	rm -rf "$data.old"{% if store %} "$rewinding"{% endif %}

	fresh=yes
	log "cloned $rw_service"
}
{% if store %}

# rewind FORK: brings a copy that has WAL beyond the fork back to it. Fetches what differs, which is little.
# Fails where only a new copy helps, such as without the WAL since the last checkpoint before the fork.
rewind() {
	local how=(--target-pgdata="$data" --config-file=/etc/pgk/config/postgresql.conf
		--source-server="host=$rw_service port=5432 user=replicator dbname=postgres $copying")
	pg_rewind "${how[@]}" --dry-run >/tmp/rewind.log 2>&1 &
	if ! wait $! || grep -q 'no rewind required' /tmp/rewind.log; then
		log "cannot rewind: $(tail -n 1 /tmp/rewind.log)"
		return 1
	fi
	# From here to the end the copy is neither the old one nor the new one, and may not be started.
	touch "$rewinding"
	sync "$rewinding" "${data%/*}"
	pg_rewind "${how[@]}" >/tmp/rewind.log 2>&1 &
	if ! wait $!; then
		log "the rewind failed: $(tail -n 1 /tmp/rewind.log)"
		return 1
	fi
	touch "$data/standby.signal"
	sync "$data"
	rm "$rewinding"
	log "rewound to $1: this copy goes on from there"
}
{% endif %}
