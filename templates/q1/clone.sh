# shellcheck shell=bash disable=SC2154
# How a replica becomes a copy of the primary. Sourced by replica.sh.

# While a replica holds no data it says so on port 5433: the primary asks before it creates a database.
say_empty() {
	perl -MIO::Socket::IP -e '
		my @port = (LocalPort => 5433, Listen => 5, ReuseAddr => 1);
		my $door = IO::Socket::IP->new(@port, LocalHost => "::", V6Only => 0)
			|| IO::Socket::IP->new(@port, LocalHost => "0.0.0.0") || die "port 5433: $@";
		while (my $caller = $door->accept) { print $caller "empty"; close $caller }' &
	beacon=$!
}

clone() {
	local beacon='' need room
	if [ ! -e "$data" ]; then
		say_empty
	else
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
	[ -z "$beacon" ] || kill "$beacon"
	rm -rf "$data.old"
	[ ! -e "$data" ] || mv "$data" "$data.old"
	mv "$new" "$data"
	rm -rf "$data.old"
	log "cloned $rw_service"
}
