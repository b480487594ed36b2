# Watches a running replica and says in the log how it is. Sourced by replica.sh.
#
# A replica gives {{ ("up its copy, or a part of it," if store else "its copy up") | safe }} in {{ ("two cases" if store else "one case") | safe }} only: the primary answers, is the same database system, and no
# longer has the WAL that the replica needs. Its data is then nothing but an older state of the
# primary's.{% if store %} Or the primary was restored, and the replica had received more than the store had: nobody
# was told that this was committed.{% endif %} In every other case it keeps what it has and leaves the decision to a human.

upstream="host=$rw_service port=5432 user=replicator dbname=postgres"
upstream_sql() { timeout 10 psql --no-psqlrc -qAtX -d "$upstream${2:+ $2}" -c "$1" 2>/dev/null; }

# Where this replica is: "streaming", or the position from which it needs WAL.
where_am_i="SELECT coalesce(
	(SELECT 'streaming' FROM pg_stat_wal_receiver WHERE status = 'streaming'),
	greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text)"

# Is the segment with position %s older than the oldest that the primary has? (Names without timeline.)
is_gone="SELECT substr(pg_walfile_name('%s'), 9) < min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}\$'"

{% if store %}
# Did the primary's timeline leave this copy's before POSITION? Sets `fork`, where it did.
fork=''
is_beyond_fork() {
	local ours theirs
	# The newest timeline that it has WAL of; what it knows of a newer one is the history file alone.
	ours=$(local_sql "SELECT max(('x' || substr(name, 1, 8))::bit(32)::int) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}\$'") || return 1
	theirs=$(upstream_sql IDENTIFY_SYSTEM replication=database | cut -d'|' -f2)
	[ -n "$theirs" ] && [ "$theirs" -gt "$ours" ] || return 1
	fork=$(upstream_sql "TIMELINE_HISTORY $theirs" replication=database | sed 's/^[0-9A-F]*\.history|//' |
		awk -v old="$ours" '$1 == old && $2 ~ "^[0-9A-F]+/[0-9A-F]+$" {print $2; exit}')
	[ -n "$fork" ] && [ "$(local_sql "SELECT '$fork'::pg_lsn < '$1'::pg_lsn")" = t ]
}

{% endif %}
# A copy that has not streamed yet.
fresh=''
alone_since='' answers_since='' looked_at=0
follow() {
	local position ours theirs
	# As long as it streams, a look every five seconds is enough.
	if [ "$said_key" = streaming ] && [ $((SECONDS - looked_at)) -lt 5 ]; then return 0; fi
	looked_at=$SECONDS
	write_pgpass
	position=$(local_sql "$where_am_i") || return 0
	if [ "$position" = streaming ]; then
		say streaming "streaming from $rw_service"
		alone_since='' answers_since='' fresh=''
		return 0
	fi
	alone_since=${alone_since:-$SECONDS}
	if ! pg_isready -q -h "$rw_service" -t 2; then
		answers_since=''
		[ $((SECONDS - alone_since)) -lt 10 ] ||
			say away "the primary does not answer: serving reads from this copy, which ends at ${position:-an unknown position}, and keeping it. If the primary's volume is lost: $lost_volume_help"
		return 0
	fi
	answers_since=${answers_since:-$SECONDS}
	ours=$(local_sql "SELECT system_identifier FROM pg_control_system()") || return 0
	theirs=$(upstream_sql IDENTIFY_SYSTEM replication=database | cut -d'|' -f1)
	if [ -n "$theirs" ] && [ "$theirs" != "$ours" ]; then
		say foreign "WAITING FOR A HUMAN: the primary is another database system ($theirs, not $ours). This copy is kept. If it is not wanted, delete this pod"
	elif [ -n "$theirs" ] && [ -n "$position" ] && [ "$(upstream_sql "${is_gone//%s/$position}")" = t ]; then
		log "fell behind: this copy ends at $position, and the primary no longer has the WAL from there on. Cloning it anew"
		[ -z "$fresh" ] ||
			log "it has just been cloned: the primary keeps too little WAL: raise wal_keep_size"
		outdated=yes
		kill -INT "$postgres_pid"
{% if store %}
	elif [ -n "$theirs" ] && [ -n "$position" ] && is_beyond_fork "$position"; then
		if [ "$durability" = available ]; then
			say beyond "WAITING FOR A HUMAN: the primary was restored up to $fork, and this copy, up to $position, may have commits that the store has not: durability: available acknowledges them. It is kept, for a look. If it is not wanted, delete this pod"
			return 0
		fi
		log "the primary was restored: this copy, up to $position, has WAL beyond $fork that never was in the store, so nobody was told that it was committed. Rewinding it"
		outdated=yes rewind_to=$fork
		kill -INT "$postgres_pid"
{% endif %}
	elif [ $((SECONDS - answers_since)) -ge 30 ]; then
		say stuck "WAITING FOR A HUMAN: the primary answers, but this copy (up to $position) does not stream from it; PostgreSQL's own lines say why. It is kept. If it is not wanted, delete this pod"
	fi
}
