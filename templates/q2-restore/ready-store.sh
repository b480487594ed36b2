#!/bin/bash
# Readiness of the store: its door answers, and its volume has room.
set -eu
# shellcheck source-path=SCRIPTDIR source=settings.sh
. /etc/pgk/scripts/settings.sh
perl /etc/pgk/scripts/store.pl localhost state >/dev/null
[ "$(df -P /store | awk 'NR == 2 {sub("%", "", $5); print $5}')" -lt "$store_full" ]
