#!/bin/bash
# Runs the primary.
set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. /etc/pgk/scripts/common.sh

rm -f /tmp/roles-applied
if [ -f "$data/PG_VERSION" ]; then
	log "the volume holds a database: starting it as the primary"
else
	log "the volume holds no database"
	bash /etc/pgk/scripts/first-start.sh & wait $!
fi
start_postgres

{% include "common/apply-roles.sh" %}

supervise apply_roles
