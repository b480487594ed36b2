#!/bin/bash
# Readiness of the primary: it answers, and {{ ("it leads (may_be_ready in primary.sh)" if store else "the roles are there") | safe }}.
set -eu
[ -e {{ "/tmp/leading" if store else "/tmp/roles-applied" }} ]
pg_isready -q
