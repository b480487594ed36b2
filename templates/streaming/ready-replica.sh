#!/bin/bash
# Readiness of a replica: it streams and is not far behind; or the primary is away, and it serves reads
# all the same.
set -eu
. /etc/pgk/scripts/common.sh

# A receiver that has heard nothing for 15 s (the primary speaks every 5) streams in name only. One that
# has just connected knows no latest_end_lsn yet if there was nothing to send: it is not behind.
state=$(local_sql "SELECT coalesce((
	SELECT CASE
		WHEN coalesce(pg_wal_lsn_diff(latest_end_lsn, pg_last_wal_replay_lsn()), 0) < pg_size_bytes('$max_lag')
		THEN 'good' ELSE 'behind' END
	FROM pg_stat_wal_receiver
	WHERE status = 'streaming' AND last_msg_receipt_time > clock_timestamp() - interval '15 s'), 'alone')")
case $state in
	good) exit 0 ;;
	alone) ! pg_isready -q -h "$rw_service" -t 2 ;;
	*) exit 1 ;;
esac
