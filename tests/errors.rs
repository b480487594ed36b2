//! Bad input gets one clear error: what, where, what to do. Each file in `errors/` is a configuration that
//! is wrong in one way, for Q3 where its name says so; what pgk says of it, to the letter, is its snapshot.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use support::pgk_error;

#[test]
fn wrong_files() {
    insta::glob!("errors/*.yaml", |path| {
        // Relative to the crate, so that the error reads the same everywhere.
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the crate");
        let path = path.to_str().expect("UTF-8");
        let scenario = if path.contains("/q3-") { "q3" } else { "q1" };
        assert_snapshot!(pgk_error(2, ["gen", scenario, "-f", path]));
    });
}

/// What pgk says of `what` with each of these cases.
fn errors<const N: usize>(what: &[&str], cases: [&[&str]; N]) -> String {
    cases.map(|more| pgk_error(2, [what, more].concat())).join("\n")
}

/// What pgk says of `pgk gen SCENARIO --set SETTING` with each of these settings.
fn setting_errors<const N: usize>(scenario: &str, settings: [&str; N]) -> String {
    settings.map(|set| pgk_error(2, ["gen", scenario, "--set", set])).join("\n")
}

#[test]
fn no_such_file() {
    assert_snapshot!(pgk_error(2, ["gen", "q1", "-f", "nowhere.yaml"]));
}

#[test]
fn wrong_settings() {
    let settings = [
        "replicas",
        "=3",
        "replica=3",
        "replicas=many",
        "postgres=17",
        "postgres.versoin=18",
        "postgres.parameters.port=1",
        "postgres.parameters.wal_segment_size=64MB",
        "postgres.parameters.work mem=1",
        "storage.size=8 Gi",
        "namespace={{ x }}",
        "postgres.user=postgres",
    ];
    assert_snapshot!(setting_errors("q1", settings));
}

/// Each right on its own, and not together.
#[test]
fn settings_that_do_not_go_together() {
    let cases: [&[&str]; 5] = [
        &["--strategy", "restore", "--replicas", "0"],
        &["--strategy", "restore", "--set", "q2.durability=asynchronous"],
        &["--strategy", "restore", "--set", "postgres.parameters.summarize_wal=off"],
        &["--set", "q2.durability=available"],
        // The last one counts.
        &[
            "--set",
            "q2.durability=available",
            "--set",
            "q2.durability=strict",
            "--set",
            "q2.durability=available",
        ],
    ];
    assert_snapshot!(errors(&["gen", "q2"], cases));
}

#[test]
fn wrong_settings_of_an_archive() {
    let settings = [
        "q3.repos=",
        "q3.repos=nfs",
        "q3.repos=posix,s3,posix",
        "q3.repo=s3",
        "q3.path=backups",
        "q3.path=/../etc",
        "q3.cipher=aes",
        "q3.archive-timeout=60",
        "q3.archive-timeout=2h",
        "q3.retention=0",
        "q3.full=0 1 * *",
        "q3.differential=0 1 * * 7",
        "q3.incremental=@every 1h",
        "q3.restore-test=daily",
        "q3.restore.target=latest",
        "q3.restore.target.xid=1000",
        "q3.restore.target.time=2026-11-24 10:00:00",
        "q3.restore.target.time=2026-02-29 10:00:00+01",
        "q3.restore.target.lsn=16B3740",
        "q3.restore.target.name=",
        "q3.restore.target.set=latest",
        "q3.restore.target-timeline=newest",
        "q3.posix.size=0",
        "q3.posix.class=Fast",
        "q3.s3.bucket=My_Backups",
        "q3.s3.endpoint=https://s3.example",
        "q3.s3.region=eu west",
        "q3.s3.uri-style=virtual",
        "q3.s3.key-type=secret",
        "q3.s3.ca=/etc/ssl/ca.crt",
        "q3.s3.verify-tls=never",
        "q3.gcs.bucket=a/b",
        "q3.gcs.endpoint=storage.googleapis.com:0",
        "q3.gcs.key-type=token",
        "q3.azure.account=my-account",
        "q3.azure.container=a_b",
        "q3.azure.key-type=auto",
        "q3.sftp.host=backup@example",
        "q3.sftp.user=0",
        "q3.sftp.port=0",
        "q3.sftp.host-fingerprint=SHA256:AAAA",
        "q3.sftp.known-hosts=example",
    ];
    assert_snapshot!(setting_errors("q3", settings));
}

/// Each right on its own, and not together.
#[test]
fn settings_of_an_archive_that_do_not_go_together() {
    let fingerprint = format!("q3.sftp.host-fingerprint={}", "0a".repeat(32));
    let cases: [&[&str]; 17] = [
        &["--strategy", "restore"],
        &["--set", "q2.durability=available"],
        &["--name", &"a".repeat(40)],
        &["--set", "postgres.parameters.archive_mode=off"],
        &["--set", "postgres.parameters.Archive_Command=true"],
        &["--set", "postgres.parameters.recovery_target_time=2026-11-24"],
        &["--set", "q3.restore.target-timeline=3"],
        &["--set", "q3.restore.target.set=20261124-100000F", "--set", "q3.restore.target-timeline=current"],
        &["--backrest-repo", "gcs"],
        &["--backrest-repo", "posix,azure"],
        &["--set", "q3.repos=sftp"],
        &["--backrest-repo", "sftp", "--set", "q3.sftp.host=backup", "--set", "q3.sftp.user=pg"],
        &[
            "--backrest-repo",
            "sftp",
            "--set",
            "q3.sftp.host=backup",
            "--set",
            "q3.sftp.user=pg",
            "--set",
            &fingerprint,
            "--set",
            "q3.sftp.known-hosts=backup ssh-ed25519 AAAA",
        ],
        &[
            "--backrest-repo",
            "azure",
            "--set",
            "q3.azure.account=abc",
            "--set",
            "q3.azure.endpoint=blob.example:10000",
        ],
        &["--backrest-repo", "s3", "--set", "q3.s3.endpoint=10.0.0.1:9000"],
        &["--restore-to", "2026-11-24 10:00"],
        &["--backrest-repo", "posix,nfs"],
    ];
    assert_snapshot!(errors(&["gen", "q3"], cases));
}

#[test]
fn an_archive_where_there_is_none() {
    let cases: [&[&str]; 4] = [
        &["gen", "q1", "--backrest-repo", "s3"],
        &["gen", "q2", "--restore-to", "2026-11-24 10:00:00+01"],
        &["secret", "--backrest-repo", "s3"],
        &["secret", "q2", "--only", "tls"],
    ];
    assert_snapshot!(errors(&[], cases));
}

/// In a file they may be: several scenarios can share it.
#[test]
fn what_the_scenario_does_not_have() {
    let cases: [&[&str]; 7] = [
        &["gen", "q1", "--strategy", "restore"],
        &["gen", "q1", "--set", "q2.durability=strict", "--set", "q3.repos=s3"],
        &["gen", "q2", "--set", "q1.max-lag=1MB"],
        &["gen", "q2", "--set", "q2.backups=3"],
        &["gen", "q2", "--strategy", "restore", "--set", "q2.dcs=endpoints"],
        &["gen", "q3", "--set", "q2.strategy=promote"],
        &["secret", "--set", "q3.cipher=true"],
    ];
    assert_snapshot!(errors(&[], cases));
    let shared = support::pgk_stdout(["gen", "q1", "-f", "examples/q2-restore.yaml"]);
    assert_eq!(shared, support::pgk_stdout(["gen", "q1", "-f", "examples/q1.yaml"]));
}

/// A file, arguments and what they make together: all of it in one run. What could only be wrong because something
/// else is, is not said.
#[test]
fn everything_at_once() {
    let arguments = ["--set", "replicas=many", "--set", "q3.cypher=true", "--set", "q3.s3.endpoint=10.0.0.1"];
    let repository = ["--set", "q3.repos=s3,gcs", "--set", "q3.gcs.bucket=A", "--name", "Shop"];
    let file = ["gen", "q3", "-f", "tests/errors/q3-many.yaml"];
    assert_snapshot!(pgk_error(2, [&file[..], &arguments, &repository].concat()));
}

/// A file of a thousand errors is not answered by a thousand.
#[test]
fn very_many() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines: Vec<_> = (0..50_000).map(|number| format!("key{number}: 1")).collect();
    fs::write(file.path(), lines.join("\n")).expect("written");
    let error = pgk_error(2, ["gen", "q1", "-f", file.path().to_str().expect("UTF-8")]);
    assert_eq!(error.matches("error: unknown key").count(), 20);
    assert!(error.ends_with("error: there is more, which is shown once these are mended\n"), "{error}");
}

#[test]
fn colours_where_they_are_seen() {
    let line = format!("'{}' gen q1 --set replica=3", env!("CARGO_BIN_EXE_pgk"));
    let plain = pgk_error(2, ["gen", "q1", "--set", "replica=3"]);
    let Some(shown) = support::on_a_terminal(&line, &[]) else { return };
    assert!(shown.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m unknown key `replica`\n"), "{shown}");
    assert_eq!(support::on_a_terminal(&line, &[("NO_COLOR", "1")]), Some(plain));
}

#[test]
fn a_wrong_flag() {
    assert_snapshot!(pgk_error(2, ["gen", "q1", "--namespace", "Bad_Name"]));
}

#[test]
fn an_unknown_scenario() {
    assert_snapshot!(pgk_error(2, ["gen", "q9"]));
}

/// A value of a megabyte is refused in a few lines, and at once.
#[test]
fn huge_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pgk.yaml");
    let started = Instant::now();
    for key in ["name: ", "postgres:\n  parameters:\n    work_mem: ", "? "] {
        for size in [900_000, 2_000_000] {
            fs::write(&file, format!("{key}{}\n", "x".repeat(size))).expect("written");
            let error = pgk_error(2, ["gen", "q1", "-f", file.to_str().expect("UTF-8")]);
            assert!(error.len() < 1500, "{} bytes", error.len());
        }
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}
