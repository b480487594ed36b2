#!/bin/bash
# Run by Patroni in the new, empty database, before anybody can connect to it: the roles and the
# application's database. From here on the volume holds data (see first_start.py).
set -eu
psql --no-psqlrc -qX -d postgres -f /etc/pgk/config/roles.sql
rm -f /pgdata/first-start
sync /pgdata
