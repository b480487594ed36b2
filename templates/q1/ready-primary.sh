#!/bin/bash
# Readiness of the primary: it answers, and the roles are there.
set -eu
[ -e /tmp/roles-applied ]
pg_isready -q
