# shellcheck shell=bash
# Which repositories are worth asking. Sourced by fetch-wal.sh and pgbackrest-push.sh, which read their number, host
# and port in /tmp/repositories (start.py): one that did not answer is asked no more for 10 s.
away=/tmp/archive-away   # a file a repository that does not answer, with the time of that

is_away() { [ -e "$away-$1" ] && [ $(($(printf '%(%s)T' -1) - $(<"$away-$1"))) -lt 10 ]; }
note_away() { printf '%(%s)T\n' -1 >"$away-$1"; }

# Somebody takes a connection to HOST PORT.
takes_calls() { timeout 0.8 bash -c ": >/dev/tcp/$1/$2" 2>/dev/null; }
