#!/bin/bash
# The load of a drill: sends statements through the Services as an application would, and writes down
# what came of each. Run as: load.sh PAUSE STREAM…, a stream being NAME:WORK:CONNECTION:HOST.
#   PAUSE       seconds between two statements of a stream that keeps its connection
#   WORK        write, bulk (4 MB in each transaction), read-primary or read-replica
#   CONNECTION  kept (one psql for as long as it lasts) or new (one a statement)
#   HOST        where to connect to: a Service's name or an address
# When the file `stop` is there, each stream ends after its next success, and after 6 s without one: so a
# stream whose last statement failed had not recovered.
# A line a statement goes to the file `ledger` (src/drill/ledger.rs says which). Nothing takes longer than
# 2 s to connect and 3 s to answer (9 s for one of megabytes).
#
# The functions leave what they find in a variable instead of printing it: a fork takes a millisecond.
set -u
trap '' PIPE
pause=$1
shift
# Debian's psql is a program that looks for the real one, which takes longer than the statement does.
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done
cd /ledger || exit 1
[ -p .never ] || mkfifo .never
exec {never}<>.never # nothing ever comes from it: a `read -t` on it is a sleep without a fork
nap() { read -r -t "$1" -u "$never"; }

ticks() { # milliseconds on the clock that only goes forward
	local uptime
	read -r uptime _ </proc/uptime
	ticks=${uptime/./}0
}

is_over() { # whether this stream is to end
	[ -e stop ] || return 1
	[[ $outcome != done\ * ]] || return 0
	ticks
	[ "$told" != 0 ] || told=$ticks
	[ $((ticks - told)) -ge 6000 ]
}

statement() { # WORK STREAM: the next statement, $number, which begins now
	ticks
	start=$ticks
	case $1 in
		write | bulk)
			sql="INSERT INTO pgk_drill.rows VALUES ('$2', $number) RETURNING 'done ' || host(inet_server_addr()) || ' ' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);"
			[ "$1" = write ] || sql="WITH bulk AS (INSERT INTO pgk_drill.bulk SELECT repeat(md5(g::text), 60) FROM generate_series(1, 2000) g) $sql"
			;;
		*) sql="SELECT 'done ' || host(inet_server_addr()) || CASE WHEN pg_is_in_recovery() THEN '' ELSE ' ' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END;" ;;
	esac
}

note() { # OUTCOME: what came of it. The number is never used again.
	ticks
	printf '%s %s %s %s %s %s\n' \
		"$name" "${EPOCHREALTIME/[.,]/}" "$start" "$ticks" "$number" "${1//$'\n'/ }" >>ledger
	number=$((number + 1))
}

# What psql said, as an outcome: nothing but an error from the server is sure to have undone the statement.
judge() {
	case $1 in
		done\ *) outcome=$1 ;;
		*ERROR:*) outcome="failed $1" ;;
		*) outcome="doubt $1" ;;
	esac
}

new_connections() { # WORK STREAM
	local said status
	until is_over; do
		statement "$1" "$2"
		status=0
		said=$(timeout -s KILL 5 psql -qAtX "$target" -c "$sql" 2>&1) || status=$?
		judge "$said"
		case $status:$said in
			137:*) outcome='doubt no answer in 5 s' ;;
			2:psql:\ error:\ connection\ *) outcome="failed $said" ;;
		esac
		note "$outcome"
		nap 0.1 # a connection costs the cluster more than a statement: it is not to suffer from the load itself
	done
}

kept_connection() { # WORK STREAM
	local line said in out psql
	until is_over; do
		coproc PSQL { exec psql -qAtX -v ON_ERROR_STOP=1 "$target" 2>&1; }
		# (One that has ended already, as nobody takes its connection, has left none of these.)
		in=${PSQL[1]:-} out=${PSQL[0]:-} psql=${PSQL_PID:-}
		statement "$1" "$2"
		said='' line=''
		if [ -n "$in" ] && [ -n "$out" ] && [ -n "$psql" ]; then
			printf '\\echo connected\n' >&"$in"
			while line='' && read -r -t 3 -u "$out" line && [ "$line" != connected ]; do said+="$line "; done
		fi
		if [ "$line" != connected ]; then
			outcome="failed could not connect: $said"
			note "$outcome"
		else
			outcome=connected
			while [[ $outcome == done\ * || $outcome == connected ]] && ! is_over; do
				statement "$1" "$2"
				printf '%s\n' "$sql" >&"$in"
				said=''
				until [[ $said == done\ * || $said == *ERROR:* ]]; do
					if ! read -r -t "$patience" -u "$out" line; then
						said="no answer in $patience s or no more connection: $said"
						break
					fi
					case $line in
						WARNING:* | NOTICE:*) ;;
						*) said+=$line ;;
					esac
				done
				judge "$said"
				note "$outcome"
				# The old primary may answer as a replica now: as after a write that it refuses, connect anew.
				[[ $1 != read-primary || $outcome == done\ *\ * ]] || break
				nap "$pause"
			done
		fi
		[ -z "$psql" ] || { kill -KILL "$psql" && wait "$psql"; } 2>/dev/null
		nap 0.05
	done
}

stream() { # NAME:WORK:CONNECTION:HOST
	local name work connection host outcome='' told=0 patience=3
	IFS=: read -r name work connection host <<<"$1" # what is left is the host: an IPv6 address has colons
	number=$first
	[ "$work" != bulk ] || patience=9
	target="host=$host port=5432 user=postgres dbname=postgres connect_timeout=2 tcp_user_timeout=3000"
	target+=" keepalives_idle=2 keepalives_interval=1 keepalives_count=2"
	case $connection in
		kept) kept_connection "$work" "$name" ;;
		new) new_connections "$work" "$name" ;;
	esac
}

# No number is used twice, even if the node lost power and with it what was noted last: each start of the
# container has a billion of its own, and a start is on the disk before anything is sent.
echo >>starts
sync starts .
first=$((($(wc -l <starts) - 1) * 1000000000 + 1))
echo >>ledger # an end for a line that was cut

for each in "$@"; do stream "$each" & done
wait
echo ended >>ledger
sleep infinity
