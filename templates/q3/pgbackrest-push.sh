#!/bin/bash
# PostgreSQL's archive_command: hands the WAL file $1 to the archive. (pgBackRest wants to see its name in the
# command, hence this file's.)
#
# A repository that is away would hold each call for a minute. That is of no matter to the primary, but before a
# former primary may follow again, Patroni calls this for every file that waits there (with an absolute path): it
# must fail at once then. The new primary has these files, too, and archives them (tend_archive.py).
set -u
# shellcheck source-path=SCRIPTDIR source=repositories.sh
. /etc/pgk/scripts/repositories.sh || exit 1

path=$1
answer='' silent=''
while read -r number host port; do
	if is_away "$number"; then
		silent=$number
	elif takes_calls "$host" "$port"; then
		answer=$number
	else
		silent=$number
		note_away "$number"
	fi
done </tmp/repositories

if [[ $path = /* ]]; then
	[ -z "$silent" ] || exit 1
	timeout 10 pgbackrest archive-push "$path" || {
		note_away "$answer"
		exit 1
	}
elif [ -z "$answer" ]; then
	echo "pgk: no repository answers: the WAL waits on this volume" >&2
	exit 1
else
	exec pgbackrest archive-push "$path"
fi
