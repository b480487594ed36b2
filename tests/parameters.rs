//! PostgreSQL's parameters: what pgk refuses, what it warns of, to the letter, and that the schema takes what pgk takes.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use insta::assert_snapshot;
use pgk::config::settings::schema;
use pgk::config::types::Version;
use pgk::postgres;
use serde_json::{Value as Json, json};
use support::{pgk, pgk_error};

/// The arguments that set these, separated by spaces, as parameters or, with a dot before them, as settings.
fn arguments(scenario: &str, settings: &str) -> Vec<String> {
    let mut arguments = vec!["gen".to_owned(), scenario.to_owned()];
    for setting in settings.split(' ') {
        let setting =
            setting.strip_prefix('.').map_or_else(|| format!("postgres.parameters.{setting}"), str::to_owned);
        arguments.extend(["--set".to_owned(), setting]);
    }
    arguments
}

fn errors<const N: usize>(cases: [(&str, &str); N]) -> String {
    cases.map(|(scenario, settings)| pgk_error(2, arguments(scenario, settings))).join("\n")
}

#[test]
fn names_and_values() {
    assert_snapshot!(errors([
        ("q1", "wrok_mem=16MB log_statment=all nonsense_of_mine=1"),
        ("q2", "work_mem=16mb max_connections=lots log_statement=everything jit=maybe"),
        ("q3", "work_mem=3TB max_connections=0 random_page_cost=-1"),
        ("q2", "io_method=worker"),
        ("q2", ".postgres.version=18 composite_type_mismatch=on"),
        ("q2", "wal_segment_size=64MB include=/etc/passwd"),
        ("q2", "pg_stat_statements.maxx=100 shared_preload_libraries=pg_stat_statements"),
        // Where the version is wrong, there is no telling.
        ("q2", ".postgres.version=16 io_method=worker"),
    ]));
}

#[test]
fn what_undoes_a_promise() {
    assert_snapshot!(errors([
        ("q1", "fsync=off full_page_writes=no data_sync_retry=on zero_damaged_pages=true"),
        ("q1", "recovery_target_time=2026-11-24 ssl=on password_encryption=md5 wal_level=minimal"),
        ("q1", ".tls=off ssl=on"),
        ("q2", "ssl_cert_file=/a ssl_key_file=/b .tls=yes"),
        ("q2", "ssl_cert_file=/a ssl_key_file=/b"),
        ("q2", "standard_conforming_strings=off default_transaction_read_only=1 synchronous_standby_names=x"),
        ("q2", "synchronous_commit=local"),
        ("q2", "synchronous_commit=off .q2.durability=asynchronous"),
        ("q2", ".q2.strategy=restore synchronous_commit=remote_apply"),
        ("q2", ".q2.strategy=restore synchronous_commit=remote_write"),
    ]));
}

#[test]
fn what_leaves_no_room() {
    assert_snapshot!(errors([
        ("q1", ".resources.requests.memory=2Gi .resources.requests.cpu=4 .resources.limits.cpu=2"),
        ("q1", "shared_buffers=4GB"),
        ("q1", ".resources.limits.memory=128Mi .resources.requests.memory=128Mi .postgres.sizing=none"),
        ("q2", "max_wal_size=16GB wal_keep_size=8GB max_slot_wal_keep_size=1TB"),
        ("q2", "min_wal_size=16MB"),
        ("q2", "max_connections=10"),
        ("q2", "superuser_reserved_connections=1"),
        ("q2", "max_wal_senders=3 max_replication_slots=2"),
        (
            "q2",
            "max_wal_senders=5 max_replication_slots=4 .postgres.slots.cdc=pgoutput .postgres.slots.b=foreign"
        ),
        ("q2", "log_statement_stats=on log_parser_stats=on"),
        ("q3", ".q2.durability=strict .replicas=0"),
    ]));
}

#[test]
fn what_is_doubtful() {
    let cases = [
        ("q1", "logging_collector=on log_destination=csvlog log_min_messages=fatal"),
        ("q1", "autovacuum=off huge_pages=on session_replication_role=replica allow_alter_system=on"),
        ("q1", "synchronous_commit=off synchronous_standby_names=*"),
        (
            "q1",
            "recovery_min_apply_delay=1h wal_sender_timeout=0 max_slot_wal_keep_size=-1 ignore_invalid_pages=on",
        ),
        ("q1", ".postgres.version=18 io_method=io_uring"),
        ("q1", "pg_stat_statements.max=1000 pg_stat_statement.track=all"),
        ("q1", "shared_preload_libraries=auto_explian,pg_cron"),
        ("q1", "shared_buffers=900MB"),
        ("q1", "work_mem=64MB maintenance_work_mem=2GB"),
        ("q1", "max_wal_size=7GB"),
        ("q1", "temp_file_limit=100GB"),
        ("q1", ".resources.limits.cpu=2 max_parallel_workers=16"),
    ];
    let said = cases.map(|(scenario, settings)| {
        let output = pgk(arguments(scenario, settings));
        assert!(output.status.success() && !output.stdout.is_empty(), "{settings} is rendered");
        String::from_utf8(output.stderr).expect("UTF-8")
    });
    assert_snapshot!(said.join("\n"));
}

#[test]
fn what_is_right_is_taken_without_a_word() {
    for (scenario, settings) in [
        ("q1", "work_mem=16MB random_page_cost=1.1 jit=off timezone=Europe/Paris"),
        ("q2", "wal_level=logical max_connections=200 shared_buffers=256MB MAX_WAL_SIZE=2GB"),
        (
            "q2",
            "app.tenant=x pgaudit.log=ddl auto_explain.log_min_duration=5s synchronous_commit=remote_apply",
        ),
        ("q2", ".q2.durability=asynchronous synchronous_commit=local"),
        ("q2", ".resources.limits.memory=128Mi .resources.requests.memory=128Mi max_connections=400"),
        ("q3", "sort_mem=8MB shared_preload_libraries=pg_stat_statements pg_stat_statements.max=1000"),
        (
            "q2",
            ".postgres.image=r.io/pg:17 shared_preload_libraries=timescaledb timescaledb.max_background_workers=8",
        ),
        ("q2", ".q2.strategy=restore synchronous_commit=yes"),
    ] {
        let output = pgk(arguments(scenario, settings));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{settings}: {said}");
    }
    // Patroni knows no other name.
    let output = pgk(arguments("q2", "sort_mem=64MB"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("    work_mem: \"64MB\"\n") && !text.contains("sort_mem"));
}

/// A value that pgk takes is one that the schema takes, in each version.
#[test]
fn the_schema_takes_what_is_right() {
    let schema = jsonschema::validator_for(&schema()).expect("a schema");
    let is_valid =
        |name: &str, value: &Json| schema.is_valid(&json!({"postgres": {"parameters": {name: value}}}));
    let mut refused = 0;
    for version in Version::ALL {
        for parameter in postgres::all(version) {
            let (words, unseen) = parameter.words();
            let span = parameter.span().map(|(least, most)| [least, most]).unwrap_or_default();
            let mut texts = vec![
                parameter.default,
                "on",
                "TR",
                "0",
                "1.5",
                "0x10",
                "4 MB",
                "1.5GB",
                "30s",
                " 7 ",
                "nonsense",
            ];
            texts.extend(words.into_iter().chain(unseen).chain(span));
            for text in texts {
                // As YAML reads a scalar.
                let value = match serde_json::from_str(text) {
                    Ok(value @ (Json::Number(_) | Json::Bool(_))) => value,
                    _ => Json::from(text),
                };
                let name = parameter.name.to_lowercase();
                let takes =
                    postgres::find(version, &name).is_some_and(|it| !it.is_preset() && it.read(text).is_ok());
                let is_reserved = name.parse::<pgk::config::types::ParameterName>().is_err();
                if takes && !is_reserved {
                    assert!(is_valid(&name, &value), "{name}: {text}");
                }
                refused += usize::from(!is_valid(&name, &value));
            }
        }
    }
    assert!(refused > 3000, "the schema refuses {refused}");
    for (name, value) in [("wrok_mem", json!("1MB")), ("work_mem", json!(1)), ("jit", json!("maybe"))] {
        assert!(!is_valid(name, &value), "{name}");
    }
    assert!(is_valid("Work_Mem", &json!("4MB")) && is_valid("app.tenant", &json!("x")));
}
