# Is the data directory damaged? Each function says what is wrong, and returns 0 if something is. When in
# doubt it is not: a restore loses nothing, but costs time, and must not hide what a human should see.
# Sourced by primary.sh.

# Before PostgreSQL is started.
damage_at_rest() {
	local control found
	[ -f "$data/PG_VERSION" ] || { echo "PG_VERSION is missing"; return 0; }
	control=$(pg_controldata -D "$data" 2>&1) || { echo "pg_control cannot be read"; return 0; }
	[[ $control != *"CRC checksum does not match"* ]] || { echo "pg_control is damaged"; return 0; }
	# Recovery would make their folders again, with what little it writes there.
	compgen -G "$data/base/*/PG_VERSION" >/dev/null || { echo "there is no database in base"; return 0; }
	# After a crash, PostgreSQL itself reads what it has to repair. After a clean end there is a moment to look.
	[[ $control =~ "Database cluster state:"\ +"shut down"$'\n' ]] || return 1
	found=$(timeout 10 pg_checksums --check -D "$data" 2>&1) && return 1
	grep -m 1 -E 'checksum verification failed|could not (open|read) (file|block)' <<<"$found"
}

# What recovery would hide: it makes a file that is missing anew, with what the WAL happens to have of it. So
# the files are noted every few seconds, and what is missing before PostgreSQL starts is looked for in its
# catalogue afterwards: still a table there, it is damaged. (After a crash of the machine, a file may be missing
# for good reason: the note is of this boot of it, or of no use.)
noted=$PGDATA.files
missing=/tmp/missing-files
boot_id() { cat /proc/sys/kernel/random/boot_id; }
list_files() { (cd "$data" && find base -type f -regextype posix-extended -regex 'base/[0-9]+/[0-9]+(\.[0-9]+)?' 2>/dev/null | sort); }

note_files() {
	noted_at=$SECONDS
	{ boot_id && list_files; } >"$noted.new"
	mv "$noted.new" "$noted"
}

look_for_missing_files() {
	rm -f "$missing"
	[ "$(head -n 1 "$noted" 2>/dev/null)" = "$(boot_id)" ] || return 0
	comm -23 <(tail -n +2 "$noted") <(list_files) | sed 's/\..*//' | sort -u >"$missing"
}

# Files of relations that PostgreSQL's catalogue has and the disk has not.
missing_files="SELECT c.oid::regclass FROM pg_class c
	WHERE c.relkind IN ('r', 'i', 'S', 't', 'm') AND c.relpersistence <> 't' AND pg_relation_filepath(c.oid) IS NOT NULL
	AND (pg_stat_file(pg_relation_filepath(c.oid), true)).size IS NULL"

# While PostgreSQL runs.
damage_in_use() {
	local database found again
	found=$(PGDATABASE=postgres look "SELECT 1") || {
		is_damage "$found"
		return
	}
	while IFS= read -r database; do
		if [ -s "$missing" ]; then
			found=$(PGDATABASE=$database look "$files_of_relations" | grep -Fxf "$missing" | head -n 3 | paste -sd ' ')
			if [ -n "$found" ]; then
				echo "in the database $database, files were missing before the start: $found"
				return 0
			fi
		fi
		found=$(PGDATABASE=$database look "$missing_files") || {
			! is_damage "$found" || return 0
			continue
		}
		[ -n "$found" ] || continue
		# A table that was dropped in this very moment is missed once, not twice.
		pause 1
		again=$(PGDATABASE=$database look "$missing_files") || continue
		found=$(comm -12 <(sort <<<"$found") <(sort <<<"$again") | head -n 3 | paste -sd ' ')
		if [ -n "$found" ]; then
			echo "in the database $database, files are missing of: $found"
			return 0
		fi
	done < <(local_sql "SELECT datname FROM pg_database WHERE datallowconn")
	return 1
}

look() { timeout 60 psql --no-psqlrc -qAtX -c "$1" 2>&1; }
# (Too many open files, or a permission, is no damage.)
is_damage() { grep -v -E 'Too many open files|Permission denied' <<<"$1" | grep -m 1 -E 'could not (open|read) file|could not read block|invalid page|subdirectory .* is missing|is not a valid data directory'; }

# lacks_wal POSITION: does this volume's WAL end before POSITION, up to which the store has it? PostgreSQL takes the
# first record that is no good for the end of its WAL, and would write over what comes after. (Not looked at where the
# WAL since the last checkpoint is of two timelines.)
lacks_wal() {
	local control redo file end
	control=$(pg_controldata -D "$data")
	redo=$(sed -n "s/^Latest checkpoint's REDO location: *//p" <<<"$control")
	file=$(sed -n "s/^Latest checkpoint's REDO WAL file: *//p" <<<"$control")
	[ "$1" != - ] && [ "${file:0:8}" = "$(newest_timeline)" ] || return 1
	end=$(pg_waldump --stats --path="$data/pg_wal" --timeline="$((16#${file:0:8}))" --start="$redo" 2>/dev/null |
		sed -n '1s|^WAL statistics between .* and \([0-9A-F]*/[0-9A-F]*\):$|\1|p')
	[ "$(position "${end:-$redo}")" -lt "$(position "$1")" ]
}
