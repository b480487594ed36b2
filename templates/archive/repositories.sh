# Which repositories are worth asking. Sourced by fetch-wal.sh and pgbackrest-push.sh, which read their number, host
# and port in /tmp/repositories (start.py): one that did not answer is asked no more for 10 s.
away=/tmp/archive-away   # a file a repository that does not answer, with the time of that

# The time in the file $1 is less than $2 s ago. (A clock may be set back.)
is_recent() {
	local age
	[ -s "$1" ] && age=$(($(printf '%(%s)T' -1) - $(<"$1"))) && [ "$age" -ge 0 ] && [ "$age" -lt "$2" ]
}
is_away() { [ -e "$away-$1" ] && is_recent "$away-$1" 10; }
note_away() { printf '%(%s)T\n' -1 >"$away-$1"; }
