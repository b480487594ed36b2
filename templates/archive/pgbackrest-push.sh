#!/bin/bash
# PostgreSQL's archive_command: hands the WAL file $1 to the archive. (pgBackRest wants to see its name in the
# command, hence this file's.)
#
# A repository that is away would hold each call, and with it all that the others are sent, for minutes. So the
# others are asked without it. The file is archived only when every repository has it.
#
# Before a former primary may follow again, Patroni calls this for every file that waits there (with an absolute
# path): it must fail at once then. The new primary has these files, too, and archives them (tend_archive.py).
set -u
. /etc/pgk/scripts/repositories.sh || exit 1

# push_without NUMBER...: all that waits, to the other repositories, and notes it in a spool of its own
push_without() (
	numbers=$(IFS='|'; echo "$*")
	spool=/pgdata/spool/without-${numbers//|/-} config=/tmp/pgbackrest-others.conf
	sed -E "/^repo($numbers)-/d" "$PGBACKREST_CONFIG" >"$config"
	for name in $(compgen -e | grep -E "^PGBACKREST_REPO($numbers)_"); do unset "$name"; done
	# A push in the background that was begun before they were away still tries them, and locks others out.
	for each in /proc/[0-9]*; do
		grep -qs 'archive-push:async' "$each/cmdline" && ! grep -qs "$spool" "$each/cmdline" &&
			kill "${each#/proc/}"
	done
	# pgBackRest sends all that waits if it is asked for a file that it did not send yet.
	for name in pg_wal/archive_status/*.ready; do
		name=${name##*/} name=${name%.ready}
		ls "$spool"/archive/*/out/"$name.ok" &>/dev/null ||
			exec pgbackrest --config="$config" --spool-path="$spool" archive-push "pg_wal/$name"
	done
)

path=$1
answer='' silent=()
seconds=5
[[ $path != /* ]] || seconds=1
while read -r number host port; do
	if is_away "$number"; then
		silent+=("$number")
	elif timeout "$seconds" bash -c ": >/dev/tcp/$host/$port" 2>/dev/null; then
		answer=$number
	else
		silent+=("$number")
		note_away "$number"
	fi
done </tmp/repositories

if [[ $path = /* ]]; then
	[ -z "${silent[*]}" ] || exit 1
	timeout 10 pgbackrest archive-push "$path" || {
		note_away "$answer"
		exit 1
	}
elif [ -z "$answer" ]; then
	echo "pgk: no repository answers: the WAL waits on this volume" >&2
	exit 1
elif [ -n "${silent[*]}" ]; then
	echo "pgk: the WAL waits on this volume for repository ${silent[*]}, which does not answer" >&2
	push_without "${silent[@]}"
	exit 1
else
	exec pgbackrest archive-push "$path"
fi
