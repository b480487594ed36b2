#!/bin/bash
# Readiness of the store: its door answers, and its volume has room.
set -eu
PGDATA=/store
. /etc/pgk/scripts/wal.sh
perl /etc/pgk/scripts/store.pl localhost state >/dev/null
[ "$(used)" -lt "$store_full" ]
