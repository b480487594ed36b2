#!/bin/bash
# PostgreSQL's restore_command while a backup is restored: fetches the WAL file $1 from the archive to $2.
# Status 0: here it is; 1: the archive answers, and has none; 126: anything else, at which PostgreSQL stops.
# Any status in between it would take for the end of the WAL, and be promoted too early.
set -u
export TZ=UTC
log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*" >&2; }

name=$1 path=$2
repo=()
# The restore test reads one repository at a time.
[ -z "${PGK_REPO:-}" ] || repo=("--repo=$PGK_REPO")
# The repository may be away for a while.
said=''
for ((attempt = 0; attempt < 120; attempt++)); do
	status=0
	message=$(pgbackrest archive-get "${repo[@]}" --io-timeout=10 --log-level-console=warn "$name" "$path" 2>&1) || status=$?
	case $status in
		0) exit 0 ;;
		1) exit 1 ;;
	esac
	if [ "$message" != "$said" ] || [ $((attempt % 60)) -eq 0 ]; then
		said=$message
		log "waiting: the archive does not give $name (status $status): ${message//$'\n'/ }"
	fi
	sleep 2
done
exit 126
