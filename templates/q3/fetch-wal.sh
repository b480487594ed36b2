#!/bin/bash
# A standby's restore_command: fetches the WAL file $1 from the archive to $2. It must never delay a promotion,
# at which PostgreSQL asks several times: a repository that does not answer is asked no more for 10 s.
# Status 1: the archive has it not, or is not there; PostgreSQL then streams from the primary, and asks again.
set -u
# shellcheck source-path=SCRIPTDIR source=repositories.sh
. /etc/pgk/scripts/repositories.sh || exit 1

name=$1 path=$2
end=/tmp/archive-end     # the file that every repository said it does not have

# get SECONDS NUMBER NAME PATH
get() {
	timeout "$1" pgbackrest archive-get --repo="$2" --no-archive-async --io-timeout=1 --log-level-console=off --log-level-stderr=off "$3" "$4"
}

missing=yes
while read -r number host port; do
	if is_away "$number"; then
		missing=''
		continue
	fi
	# Somebody takes the connection, and answers a question that is quickly answered; only then is there time
	# for a whole file.
	status=49
	if takes_calls "$host" "$port"; then
		status=0
		if [[ $name = *.history ]]; then
			get 1 "$number" "$name" "$path" || status=$?
		else
			get 1 "$number" FFFFFFFF.history /tmp/archive-probe || status=$?
			[ "$status" -ne 1 ] || { status=0; get 20 "$number" "$name" "$path" || status=$?; }
		fi
	fi
	case $status in
		0)
			rm -f "$end" "$away-$number"
			exit 0
			;;
		1) rm -f "$away-$number" ;;
		*)
			missing=''
			[ -e "$away-$number" ] || echo "pgk: repository $number does not answer (status $status): asking it again every 10 s" >&2
			note_away "$number"
			;;
	esac
done </tmp/repositories
if [ -n "$missing" ]; then
	[[ $name != *.history ]] && echo "$name" >"$end"
else
	rm -f "$end"
fi
exit 1
