#!/bin/bash
# A standby's restore_command: fetches the WAL file $1 from the archive to $2. It must never delay a promotion,
# at which PostgreSQL asks several times: a repository that does not answer is asked no more for 10 s.
# Status 1: the archive has it not, or is not there; PostgreSQL then streams from the primary, and asks again.
set -u
name=$1 path=$2
away=/tmp/archive-away   # a file a repository that does not answer, as old as that is
end=/tmp/archive-end     # the file that every repository said it does not have

missing=yes
# Written by start.py: of each repository its number, and where it is.
while read -r number host port; do
	now=$(printf '%(%s)T' -1)
	if [ -e "$away-$number" ] && [ $((now - $(<"$away-$number"))) -lt 10 ]; then
		missing=''
		continue
	fi
	status=0
	if timeout 0.8 bash -c ": >/dev/tcp/$host/$port" 2>/dev/null; then
		timeout 20 pgbackrest archive-get --repo="$number" --no-archive-async --io-timeout=1 --log-level-console=off --log-level-stderr=warn "$name" "$path" || status=$?
	else
		status=49
	fi
	case $status in
		0)
			rm -f "$end" "$away-$number"
			exit 0
			;;
		1) rm -f "$away-$number" ;;
		*)
			missing=''
			[ "$status" = 49 ] || echo "pgk: repository $number does not give $name (status $status)" >&2
			printf '%(%s)T\n' -1 >"$away-$number"
			;;
	esac
done </tmp/repositories
if [ -n "$missing" ]; then
	[[ $name != *.history ]] && echo "$name" >"$end"
else
	rm -f "$end"
fi
exit 1
