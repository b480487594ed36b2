#!/bin/bash
# Takes base backups of the holder of the lead: the first at once, then every so often. A restore begins
# with the newest; an incremental one is combined with the one before, here, so that a restore never has to.
set -eu
PGDATA=/store
. /etc/pgk/scripts/wal.sh

making=/store/base.new
change=/store/base.change
trash=/store/base.trash
rm -rf "$trash"

# The oldest first: by their position in the WAL, as a clock may have been set.
bases() { find /store/base -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sed 's/.*\(.\{16\}\)$/\1 &/' | sort | cut -d' ' -f2; }
wal_files() { find /store/wal -maxdepth 1 -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' -printf '%f\n'; }
# A name's last 16 digits are its position, whatever the timeline.
wal_since() { wal_files | cut -c9- | awk -v start="$1" '$0 >= start' | wc -l; }

# The receiver has the lock as long as it lives (receive.sh).
is_received_from() {
	local at
	at=$(cat /tmp/alive 2>/dev/null) # empty at the moment when it is written
	[ $(($(uptime) - ${at:-$(uptime)})) -le 3 ] && ! flock --nonblock /tmp/receiving.lock true
}

# So many files of WAL since the last base take a restore too long to replay: as much as the base itself is
# large, but no less than 128 MB, and no more than 1 GB or a tenth of the base: each base is read and written whole.
sized='' much_wal=''
is_due() {
	local newest=$1 age
	[ -n "$newest" ] || return 0
	if [ "$newest" != "$sized" ]; then
		sized=$newest
		much_wal=$(du -sm "/store/base/$newest" | awk '{ all = int($1 / 16); most = all > 640 ? int(all / 10) : 64
			print (all < 8 ? 8 : all > most ? most : all) }')
	fi
	age=$(($(date +%s) - $(stat -c %Y "/store/base/$newest")))
	[ "$age" -ge 0 ] && [ "$age" -lt "$backup_every" ] || return 0
	[ "$(wal_since "${newest: -16}")" -gt "$much_wal" ]
}

# backup FOLDER [OPTION]: a backup into FOLDER. PostgreSQL checks the checksum of every page on the way, and
# names the file where one is wrong.
backup() {
	local folder=$1
	shift
	ionice -c 3 pg_basebackup --dbname="host=$address port=5432 user=replicator application_name=backup $copying" \
		--pgdata="$folder" --wal-method=none --checkpoint=fast --no-password "$@" 2>/tmp/backup.log &
	wait $!
}

# has_its_wal NUMBER END: the WAL that the backup needs, from the file of this number on, is here.
has_its_wal() {
	local each=$1 end=$2 last came=''
	for _ in {1..60}; do
		came=$(holder_sql postgres "SELECT flush_lsn >= '$end' FROM pg_stat_replication WHERE application_name = 'walstore'")
		[ "$came" != t ] || break
		pause 1
	done
	[ "$came" = t ] || return 1
	last=$(($(position "$end") / segment))
	for ((; each <= last; each++)); do
		compgen -G "/store/wal/????????$(numbered "$each")*" >/dev/null || return 1
	done
}

# The files of every table and index that the catalogue has. A backup holds what is on the disk, and is
# verified against that: it does not notice that a file is missing there.
list_files() {
	local database
	while IFS= read -r database; do
		# One that the role may not connect to is not looked at.
		holder_sql "$database" "$files_of_relations" || true
	done < <(holder_sql postgres "SELECT datname FROM pg_database WHERE datallowconn")
}
holder_sql() { PGHOST=$address PGUSER=replicator PGDATABASE=$1 timeout 60 psql --no-psqlrc -qAtX -c "$2" 2>/dev/null; }

not_kept() {
	say "$1" "the base backup is not kept: $1"
	return 1
}

take() {
	local newest=$1 began first end name lacking lead
	began=$SECONDS lead=$(cut -d' ' -f1-2 /store/lead)
	rm -rf "$making" "$change"
	list_files | sort >/tmp/files-before
	if [ -n "$newest" ] && command -v pg_combinebackup >/dev/null && backup "$change" --incremental="/store/base/$newest/backup_manifest"; then
		ionice -c 3 pg_combinebackup "/store/base/$newest" "$change" --output="$making" 2>/tmp/backup.log || {
			log "the incremental backup cannot be combined with $newest: $(tail -n 1 /tmp/backup.log). Taking a full one"
			rm -rf "$making"
		}
	fi
	rm -rf "$change"
	# Not every backup can be incremental: a new primary has no summaries of the WAL before it.
	if [ ! -e "$making" ] && ! backup "$making"; then
		grep 'checksum verification failed' /tmp/backup.log | head -n 5 || true
		not_kept "it failed: $(tail -n 1 /tmp/backup.log)" || return
	fi
	ionice -c 3 pg_verifybackup --no-parse-wal --quiet "$making" >/tmp/backup.log 2>&1 ||
		not_kept "it is not what its manifest says: $(head -n 1 /tmp/backup.log)" || return
	# What was there before and is there after the backup must be in it.
	lacking=$(list_files | sort | comm -12 /tmp/files-before - | while IFS= read -r file; do
		[ -e "$making/$file" ] || echo "$file"
	done)
	if [ -n "$lacking" ]; then
		say lacking "DAMAGED: the base backup lacks files of tables, as the primary does, and is not kept: $(head -n 3 <<<"$lacking" | paste -sd ' ')"
		return 1
	fi
	first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]\{24\}\)).*/\1/p' "$making/backup_label")
	end=$(sed -n 's/.*"End-LSN": "\([0-9A-F/]*\)".*/\1/p' "$making/backup_manifest" | tail -n 1)
	has_its_wal "$(number "${first:8}")" "$end" || not_kept "its WAL did not come" || return
	[ "$(cut -d' ' -f1-2 /store/lead)" = "$lead" ] ||
		not_kept "another leads than when it began, and it may end on a timeline that nobody follows" || return
	name=$(date -u +%Y%m%dT%H%M%SZ)-$first
	sync --file-system "$making" && touch "$making" && mv "$making" "/store/base/$name" && sync /store/base || return 1
	log "base backup $name: verified, $(du -sm "/store/base/$name" | cut -f1) MB, in $((SECONDS - began)) s"
}

# prune COUNT: so many base backups are kept, and the WAL since the oldest of them.
prune() {
	local oldest
	for oldest in $(bases | head -n "-$1"); do
		log "removing $oldest: newer base backups are kept: $1"
		# Renamed first: half of one must not be taken for a base, and restored.
		mv "/store/base/$oldest" "$trash"
		rm -rf "$trash"
	done
	oldest=$(bases | head -n 1)
	pg_archivecleanup /store/wal "${oldest##*-}"
	# What was before a gap, and what was beyond a fork, is of no use to a base that came after.
	rm -rf /store/before-the-gap /store/beyond-the-fork
}

while :; do
	newest=$(bases | tail -n 1)
	# Rather one base backup than a full volume, on which no commit is acknowledged.
	if [ "$(bases | wc -l)" -gt 1 ] && [ "$(used)" -ge "$store_full" ]; then
		log "the volume is nearly full"
		prune 1
	fi
	if is_received_from && is_due "$newest"; then
		read -r _ address _ <<<"$(cat /store/lead)"
		write_pgpass
		if take "$newest"; then prune "$backups"; else rm -rf "$making"; pause 8; fi
	fi
	pause 2
done
