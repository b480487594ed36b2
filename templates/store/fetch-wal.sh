#!/bin/bash
# PostgreSQL's restore_command while this pod prepares to lead: fetches the WAL file $1 from the store to
# $2. Status 0: here it is; 1: there is none, or the store is away: a standby asks again; 126: PostgreSQL stops,
# and the restore begins again. While it is being promoted, it takes 1 for the end of the WAL, and would forget what
# comes after.
set -u
. /etc/pgk/scripts/settings.sh || exit 126

name=$1 path=$2
[[ $name =~ ^([0-9A-F]{24}|[0-9A-F]{8}\.history)$ ]] || exit 1
# While it is being promoted, the store may be away for a moment.
for _ in {1..30}; do
	timeout 60 perl /etc/pgk/scripts/store.pl "$store_service" wal "$name" "$HOSTNAME" >"$path"
	case $? in
		0)
			touch "/tmp/served/$name" || exit 126
			exit 0
			;;
		1)
			rm -f "$path"
			[[ $name = *.history ]] || touch /tmp/caught-up || exit 126
			exit 1
			;;
		3)
			echo "$name was removed from the store before it was replayed" >&2
			exit 126
			;;
	esac
	[ -e /tmp/promoting ] || exit 1
	sleep 1
done
exit 126
