#!/bin/bash
# PostgreSQL's archive_command: hands the WAL file $1 to the archive. (pgBackRest wants to see its name in the
# command, hence this file's.)
#
# A repository that is away would hold each call for a minute. That is of no matter to the primary, but before a
# former primary may follow again, Patroni calls this for every file that waits there (with an absolute path): it
# must fail at once then. The new primary has these files, too, and archives them (tend_archive.py).
set -u
path=$1
away=/tmp/archive-away   # as in fetch-wal.sh

answer='' silent=''
while read -r number host port; do
	now=$(printf '%(%s)T' -1)
	if [ -e "$away-$number" ] && [ $((now - $(<"$away-$number"))) -lt 10 ]; then
		silent=$number
	elif timeout 0.8 bash -c ": >/dev/tcp/$host/$port" 2>/dev/null; then
		answer=$number
	else
		silent=$number
		printf '%(%s)T\n' -1 >"$away-$number"
	fi
done </tmp/repositories

if [[ $path = /* ]]; then
	[ -z "$silent" ] || exit 1
	timeout 10 pgbackrest archive-push "$path" || {
		printf '%(%s)T\n' -1 >"$away-$answer"
		exit 1
	}
elif [ -z "$answer" ]; then
	echo "pgk: no repository answers: the WAL waits on this volume" >&2
	exit 1
else
	exec pgbackrest archive-push "$path"
fi
