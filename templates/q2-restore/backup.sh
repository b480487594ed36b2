#!/bin/bash
# Takes base backups of the holder of the lead: the first at once, then every so often. A restore begins
# with the newest; an incremental one is combined with the one before, here, so that a restore never has to.
set -eu
PGDATA=/store
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh
# shellcheck source-path=SCRIPTDIR source=wal.sh
. /etc/pgk/scripts/wal.sh

making=/store/base.new
change=/store/base.change

bases() { find /store/base -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort; }
wal_files() { find /store/wal -maxdepth 1 -type f -regextype posix-extended -regex '.*/[0-9A-F]{24}' -printf '%f\n'; }
# A name's last 16 digits are its position, whatever the timeline.
wal_since() { wal_files | cut -c9- | awk -v start="$1" '$0 >= start' | wc -l; }

# The receiver has the lock as long as it lives (receive.sh).
is_received_from() { [ -n "$(find /tmp/alive -newermt '-3 seconds' 2>/dev/null)" ] && ! flock --nonblock /tmp/receiving.lock true; }

# So many segments of WAL since the last base take a restore too long to replay: as much as the base itself is
# large, but no less than 128 MB and no more than 1 GB.
sized='' much_wal=''
is_due() {
	local newest=$1
	[ -n "$newest" ] || return 0
	if [ "$newest" != "$sized" ]; then
		sized=$newest
		much_wal=$(($(du -sm "/store/base/$newest" | cut -f1) / 16))
		[ "$much_wal" -ge 8 ] || much_wal=8
		[ "$much_wal" -le 64 ] || much_wal=64
	fi
	[ $(($(date +%s) - $(stat -c %Y "/store/base/$newest"))) -lt "$backup_every" ] || return 0
	[ "$(wal_since "${newest: -16}")" -gt "$much_wal" ]
}

# backup FOLDER [OPTION]: a backup into FOLDER. PostgreSQL checks the checksum of every page on the way, and
# names the file where one is wrong.
backup() {
	local folder=$1
	shift
	pg_basebackup --dbname="host=$address port=5432 user=replicator application_name=backup connect_timeout=3" \
		--pgdata="$folder" --wal-method=none --checkpoint=fast --no-password "$@" 2>/tmp/backup.log &
	wait $!
}

# The WAL that the backup needs, from its start to its end, is here.
has_its_wal() {
	local first=$1 last=$2 end=$3 segment name
	for _ in {1..60}; do
		[ "$(holder_sql postgres "SELECT flush_lsn >= '$end' FROM pg_stat_replication WHERE application_name = 'walstore'")" != t ] || break
		pause 1
	done
	for ((segment = $(number "$first"); segment <= $(number "$last"); segment++)); do
		name=$(printf '%08X%08X' $((segment / 256)) $((segment % 256)))
		compgen -G "/store/wal/????????$name*" >/dev/null || return 1
	done
}

# The files of every table and index that the catalogue has. A backup holds what is on the disk, and is
# verified against that: it does not notice that a file is missing there.
files_of_relations() {
	local database
	while IFS= read -r database; do
		# One that the role may not connect to is not looked at.
		holder_sql "$database" "SELECT pg_relation_filepath(oid) FROM pg_class
			WHERE relkind IN ('r', 'i', 'S', 't', 'm') AND relpersistence = 'p' AND pg_relation_filepath(oid) LIKE 'base/%'" || true
	done < <(holder_sql postgres "SELECT datname FROM pg_database WHERE datallowconn")
}
holder_sql() { PGHOST=$address PGUSER=replicator PGDATABASE=$1 timeout 60 psql --no-psqlrc -qAtX -c "$2" 2>/dev/null; }

take() {
	local newest=$1 began first end last name lacking
	began=$SECONDS
	rm -rf "$making" "$change"
	files_of_relations | sort >/tmp/files-before
	if [ -n "$newest" ] && command -v pg_combinebackup >/dev/null && backup "$change" --incremental="/store/base/$newest/backup_manifest"; then
		pg_combinebackup "/store/base/$newest" "$change" --output="$making" 2>/tmp/backup.log || {
			log "the incremental backup cannot be combined with $newest: $(tail -n 1 /tmp/backup.log). Taking a full one"
			rm -rf "$making"
		}
	fi
	rm -rf "$change"
	# Not every backup can be incremental: a new primary has no summaries of the WAL before it.
	if [ ! -e "$making" ] && ! backup "$making"; then
		grep 'checksum verification failed' /tmp/backup.log | head -n 5 || true
		say "failed $(tail -n 1 /tmp/backup.log)" "the base backup failed and is not kept: $(tail -n 1 /tmp/backup.log)"
		return 1
	fi
	pg_verifybackup --no-parse-wal --quiet "$making" >/tmp/backup.log 2>&1 || {
		log "the base backup is not what its manifest says, and is not kept: $(head -n 1 /tmp/backup.log)"
		return 1
	}
	# What was there before and is there after the backup must be in it.
	lacking=$(files_of_relations | sort | comm -12 /tmp/files-before - | while IFS= read -r file; do
		[ -e "$making/$file" ] || echo "$file"
	done)
	if [ -n "$lacking" ]; then
		say lacking "DAMAGED: the base backup lacks files of tables, as the primary does, and is not kept: $(head -n 3 <<<"$lacking" | paste -sd ' ')"
		return 1
	fi
	first=$(sed -n 's/^START WAL LOCATION: .*(file \([0-9A-F]\{24\}\)).*/\1/p' "$making/backup_label")
	end=$(sed -n 's/.*"End-LSN": "\([0-9A-F/]*\)".*/\1/p' "$making/backup_manifest" | tail -n 1)
	has_its_wal "${first:8}" "$(segment_of "$end")" "$end" || {
		log "the WAL of the base backup is not here, so it is not kept"
		return 1
	}
	name=$(date -u +%Y%m%dT%H%M%SZ)-$first
	sync --file-system "$making"
	mv "$making" "/store/base/$name"
	touch "/store/base/$name"
	sync /store/base
	log "base backup $name: verified, $(du -sm "/store/base/$name" | cut -f1) MB, in $((SECONDS - began)) s"
}

prune() {
	local oldest
	for oldest in $(bases | head -n "-$backups"); do
		log "removing $oldest: $backups newer base backups are kept"
		rm -rf "/store/base/$oldest"
	done
	oldest=$(bases | head -n 1)
	pg_archivecleanup /store/wal "${oldest##*-}"
	# What was before a gap, and what was beyond a fork, is of no use to a base that came after.
	rm -rf /store/before-the-gap /store/beyond-the-fork
}

while :; do
	newest=$(bases | tail -n 1)
	if is_received_from && is_due "$newest"; then
		read -r _ address _ <<<"$(cat /store/lead)"
		write_pgpass
		if take "$newest"; then prune; else rm -rf "$making"; pause 8; fi
	fi
	pause 2
done
