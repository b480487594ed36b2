#!/bin/bash
# PostgreSQL's restore_command while this pod prepares to lead: fetches the WAL file $1 from the store to
# $2. Status 0: here it is; 1: there is none yet; 126: anything else, at which PostgreSQL stops. Any status
# in between it would take for the end of the WAL, and forget what comes after.
set -u
# shellcheck source-path=SCRIPTDIR source=settings.sh
. /etc/pgk/scripts/settings.sh || exit 126
# shellcheck source-path=SCRIPTDIR source=ask-store.sh
. /etc/pgk/scripts/ask-store.sh || exit 126

name=$1 path=$2
[[ $name =~ ^([0-9A-F]{24}|[0-9A-F]{8}\.history)$ ]] || exit 1
# The store may be away for a moment.
for _ in {1..30}; do
	status=0
	timeout 60 perl /etc/pgk/scripts/store.pl "$store_service" wal "$name" "$HOSTNAME" >"$path" || status=$?
	case $status in
		0)
			touch "/tmp/served/$name" || exit 126
			exit 0
			;;
		1)
			rm -f "$path"
			[[ $name = *.history ]] || touch /tmp/caught-up || exit 126
			exit 1
			;;
	esac
	sleep 1
done
exit 126
