#!/bin/bash
# Patroni's way to make a replica from the primary, which takes hours for a large database. As Patroni's
# own `basebackup`, but for the connection: it outlives a disk or a network that stalls for less than a
# minute (for other replicas: some seconds, patroni.yaml), and finds out in 40 s that the primary is gone.
set -eu
for argument; do
	case $argument in
		--datadir=*) data=${argument#*=} ;;
		--connstring=*) primary=${argument#*=} ;;
	esac
done
primary+=" keepalives_idle=10 keepalives_interval=10 keepalives_count=3"
primary+=" options='-c wal_sender_timeout=60s -c tcp_user_timeout=60s'"

pg_basebackup --pgdata="$data" --wal-method=stream --checkpoint=fast --dbname="$primary" \
	2> >(tee /tmp/base-backup.log >&2) && exit 0
# Patroni tries again; what first_start.py has kept aside must not be what this finds no room for.
! grep -q 'No space left' /tmp/base-backup.log || rm -rf "$data.incomplete"
exit 1
