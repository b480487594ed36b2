# shellcheck disable=SC2034
# What the store's programs and primary.sh share: common.sh, and positions in the WAL, the files that they are in, time,
# files of tables, and room. Sourced by them.
. /etc/pgk/scripts/common.sh
segment=16777216     # bytes in a file

# How many files precede the one whose name has these last 16 digits (those before are the timeline), and
# the other way round. So `numbered` of a position by `segment` names the file that the position is in.
number() { echo $((16#${1:0:8} * 256 + 16#${1:8:8})); }
numbered() { printf '%08X%08X' $(($1 / 256)) $(($1 % 256)); }

# A position (such as 0/3000060) as a number.
position() { echo $(((16#${1%/*} << 32) + 16#${1#*/})); }

# Seconds since the machine was started. Nobody sets this clock.
uptime() { local up _; read -r up _ </proc/uptime; echo "${up%.*}"; }

# The files of a database's tables and indexes, as its catalogue has them.
files_of_relations="SELECT pg_relation_filepath(oid) FROM pg_class
	WHERE relkind IN ('r', 'i', 'S', 't', 'm') AND relpersistence = 'p' AND pg_relation_filepath(oid) LIKE 'base/%'"

# How much of the store's volume is used, in percent.
used() { df -P /store | awk 'NR == 2 {sub("%", "", $5); print $5}'; }
