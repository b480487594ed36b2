#!/bin/bash
# A standby's restore_command: fetches the WAL file $1 from the archive to $2. It must never delay a promotion,
# at which PostgreSQL asks several times: a repository that does not answer is asked no more for 10 s.
# Status 1: the archive has it not, or is not there; PostgreSQL then streams from the primary, and asks again.
set -u
. /etc/pgk/scripts/repositories.sh || exit 1

name=$1 path=$2
end=/tmp/archive-end     # the file that every repository said it does not have

# This member is to be promoted: it has the lease.
promoted() {
	local answer
{% if tls != "off" %}
	if [ -e /tmp/tls/tls.crt ]; then
		# (Without the system's authorities, which take a while to read.)
		answer=$(timeout 0.5 openssl s_client -quiet -no-CAfile -no-CApath -no-CAstore \
			-connect 127.0.0.1:8008 2>/dev/null <<<$'OPTIONS /leader HTTP/1.0\r\n\r' | head -n 1)
		[[ $answer = *' 200 '* ]]
		return
	fi
	# This pod was started without TLS.
{% endif %}
	answer=$(timeout 0.5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8008
		printf "OPTIONS /leader HTTP/1.0\r\n\r\n" >&3; head -n 1 <&3')
	[[ $answer = *' 200 '* ]]
}

# briefly SECONDS COMMAND...: that long at most, as a repository may be far away; less than one second
# if this member is to be promoted.
briefly() {
	local pid nap ended='' status
	timeout "$@" &
	pid=$!
	sleep 0.7 &
	nap=$!
	while :; do
		status=0
		wait -n -p ended "$pid" "$nap" || status=$?
		[ "$ended" != "$pid" ] || break
		if promoted; then
			kill "$pid"
			return 124
		fi
		sleep 0.3 &
		nap=$!
	done
	kill "$nap"
	return "$status"
} 2>/dev/null

missing=yes
while read -r number host port; do
	if is_away "$number"; then
		missing=''
		continue
	fi
	get=(pgbackrest archive-get "--repo=$number" --no-archive-async --io-timeout=5
		--log-level-console=off --log-level-stderr=off)
	# Somebody takes the connection, and answers a question that is quickly answered; only then is there time
	# for a whole file.
	status=49
	if briefly 5 bash -c ": >/dev/tcp/$host/$port"; then
		status=0
		if [[ $name = *.history ]]; then
			briefly 10 "${get[@]}" "$name" "$path" || status=$?
		else
			briefly 10 "${get[@]}" FFFFFFFF.history /tmp/archive-probe || status=$?
			[ "$status" -ne 1 ] || { status=0; timeout 20 "${get[@]}" "$name" "$path" || status=$?; }
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
			# When it begins, and every five minutes as long as it lasts.
			if ! { [ -e "$away-$number" ] && is_recent "$away-said-$number" 300; }; then
				printf '%(%s)T\n' -1 >"$away-said-$number"
				echo "pgk: repository $number does not answer (status $status): asking it again every 10 s" >&2
			fi
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
