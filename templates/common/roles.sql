-- The roles and the application's database. Run by the primary at every start and when a password in the
-- Secret has changed, so every statement can be repeated.
\set ON_ERROR_STOP on
\set QUIET on
-- A password is one line; a line break at its end does not belong to it.
\set superuser_password `tr -d '\r\n' </etc/pgk/credentials/superuser-password`
\set replication_password `tr -d '\r\n' </etc/pgk/credentials/replication-password`
\set app_password `tr -d '\r\n' </etc/pgk/credentials/app-password`

SET client_min_messages = 'warning';
-- No password in the server's log, whatever the configuration logs, nor where extensions write;
-- and no waiting for a standby.
SET log_statement = 'none';
SET pg_stat_statements.track_utility = off;
SET pgaudit.log = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET synchronous_commit = 'local';

ALTER ROLE postgres PASSWORD :'superuser_password';

SELECT 'CREATE ROLE replicator LOGIN REPLICATION'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator') \gexec
ALTER ROLE replicator PASSWORD :'replication_password';
-- So that a replica can ask which WAL the primary still has (follow.sh).
GRANT pg_monitor TO replicator;
{% if store %}
-- What pg_rewind reads of the primary (clone.sh): files, which a replica gets copies of anyway.
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
	pg_read_binary_file(text, bigint, bigint, boolean) TO replicator;
{% endif %}

SELECT format('CREATE ROLE %I LOGIN', {{ postgres.user }})
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {{ postgres.user }}) \gexec
ALTER ROLE {{ postgres.user | ident }} PASSWORD :'app_password';

SELECT format('CREATE DATABASE %I OWNER %I', {{ postgres.database }}, {{ postgres.user }})
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {{ postgres.database }}) \gexec

-- The configuration's tcp_user_timeout is for walsenders, to which no role's settings apply: a client
-- may take its time to read.
{% if postgres.parameters.tcp_user_timeout is defined %}
ALTER ROLE ALL RESET tcp_user_timeout;
{% else %}
ALTER ROLE ALL SET tcp_user_timeout = 0;
{% endif %}
