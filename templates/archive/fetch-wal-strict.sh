#!/bin/bash
# PostgreSQL's restore_command while a backup is restored: fetches the WAL file $1 from the archive to $2.
# Status 0: here it is; 1: every repository in PGK_REPO says that it has none; 126: anything else, at which PostgreSQL
# stops. Any status in between it would take for the end of the WAL, and be promoted too early.
set -u
export TZ=UTC
log() { printf '%(%Y-%m-%d %H:%M:%S)T UTC pgk: %s\n' -1 "$*" >&2; }

name=$1 path=$2
read -ra repositories <<<"${PGK_REPO:-}"
[ -n "${repositories[*]}" ] || exit 126
only=()
[ -n "${repositories[1]:-}" ] || only=("--repo=${repositories[0]}")
get() { pgbackrest archive-get --io-timeout=10 --log-level-console=warn "$@" "$name" "$path" 2>&1; }

# A repository may be away for a while.
said=''
while :; do
	# In the background, which fetches the next files as well. But where it finds none, one of several
	# repositories may have failed, or hold the file damaged: each is asked by itself.
	if [[ $name != *.history ]] && message=$(get "${only[@]}"); then exit 0; fi
	failed=''
	for number in "${repositories[@]}"; do
		status=0
		message=$(get "--repo=$number" --no-archive-async) || status=$?
		case $status in
			0) exit 0 ;;
			1) ;;
			*) failed+=" repository $number (status $status): ${message//$'\n'/ }" ;;
		esac
	done
	[ -n "$failed" ] || exit 1
	if [ "$failed" != "$said" ]; then
		said=$failed
		log "waiting: the archive does not give $name:$failed"
	fi
	# PostgreSQL then asks again, after start.py has looked whether somebody has decided otherwise.
	[ "$SECONDS" -lt 60 ] || exit 126
	sleep 2
done
