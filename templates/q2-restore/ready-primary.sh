#!/bin/bash
# Readiness of the primary: see may_be_ready in primary.sh.
set -eu
[ -e /tmp/leading ]
pg_isready -q
