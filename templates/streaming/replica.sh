#!/bin/bash
# Runs a replica: clones the primary when the volume holds no copy, then follows it.
set -eu
. /etc/pgk/scripts/common.sh
. /etc/pgk/scripts/tell.sh
. /etc/pgk/scripts/clone.sh
. /etc/pgk/scripts/follow.sh

# What a container may have left. Nobody else runs on this volume.
rm -rf "$data.trash" "$data/postmaster.pid"
tell_what_i_hold
write_pgpass
{% if tls != "off" %}
make_certificate
{% endif %}
# A container that ended while it replaced its copy by a newer one.
if [ ! -e "$data" ] && [ -e "$data.old" ]; then mv "$data.old" "$data"; fi

{% if store %}
if [ -e "$rewinding" ]; then
	log "a rewind of this copy was not brought to its end: cloning the primary"
	clone
fi
{% endif %}
if [ -f "$data/PG_VERSION" ]; then
	log "the volume holds a copy: starting it"
else
	log "the volume holds no copy: cloning the primary"
	clone
fi

while :; do
	outdated=''{% if store %} rewind_to=''{% endif %}

	start_postgres
	status=0
	supervise follow || status=$?
	if [ -z "$outdated" ]; then
		wait_for_room "$status"
		continue
	fi
{% if store %}
	if [ -n "$rewind_to" ] && rewind "$rewind_to"; then continue; fi
{% endif %}
	clone
done
