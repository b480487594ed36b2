//! Bad input gets one clear error: what, where, what to do. Each file in `errors/` is a configuration that
//! is wrong in one way, for Q2 or Q3 where its name says so; what pgk says of it, to the letter, is its snapshot.

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
        let scenario = ["q2", "q3"].into_iter().find(|it| path.contains(&format!("/{it}-"))).unwrap_or("q1");
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
        "REPLICAS=3",
        "replicas=many",
        "postgres=17",
        "postgres.versoin=18",
        "postgres.parameters.port=1",
        "postgres.parameters.wal_segment_size=64MB",
        "postgres.parameters.work mem=1",
        "storage.size=8 Gi",
        "namespace={{ x }}",
        "postgres.user=postgres",
        "network-policy=true",
        "network-policy.enabled=yes",
        "network-policy.clients=app:web",
        "network-policy.clients=app=web,app=api",
        "network-policy.monitoring=app=prometheus",
    ];
    assert_snapshot!(setting_errors("q1", settings));
}

/// Each right on its own, and not together.
#[test]
fn settings_that_do_not_go_together() {
    let cases: [&[&str]; 7] = [
        &["--set", "postgres.slots.cdc=pgoutput", "--set", "postgres.parameters.wal_level=replica"],
        &["--set", "postgres.slots.pg_0=physical", "--set", "postgres.slots.pg_x=physical"],
        &["--set", "postgres.slots.Cdc=pgoutput", "--set", "postgres.slots.cdc=pg output"],
        &["--strategy", "restore", "--replicas", "0"],
        &["--strategy", "restore", "--set", "q2.durability=asynchronous"],
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
    let cases: [&[&str]; 8] = [
        &["gen", "q1", "--strategy", "restore"],
        // Not what is wrong with the value, too.
        &["gen", "q1", "--restore-to", "now"],
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

/// A repository that is not among `q3.repos`: an error on the command line, a warning in a file.
#[test]
fn a_repository_that_is_not_asked_for() {
    let set = ["gen", "q3", "--set", "q3.s3.bucket=my-bucket", "--set", "q3.s3.region=eu-west-3"];
    assert_snapshot!(pgk_error(2, set));
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "q3:\n  repos: [s3]\n  s3: {bucket: abc, region: eu}\n  posix:\n    size: 8Gi\n")
        .expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let output = support::pgk(["gen", "q3", "-f", path]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).expect("UTF-8").replace(path, "FILE");
    assert_snapshot!(said);
    // In a file that others share, it is no error of theirs, and with the repository there is nothing to say.
    support::pgk_stdout(["gen", "q2", "-f", path]);
    support::pgk_stdout(["gen", "q3", "-f", path, "--backrest-repo", "posix,s3"]);
}

#[test]
fn every_repository_that_lacks_something() {
    assert_snapshot!(pgk_error(2, ["gen", "q3", "--backrest-repo", "gcs,azure,sftp"]));
}

/// What begins like a flag is a value, too, and as wrong as any other.
#[test]
fn values_that_begin_with_a_dash() {
    let cases: [&[&str]; 3] =
        [&["gen", "q1", "--replicas", "-1"], &["gen", "q1", "--name", "-x"], &["gen", "q1", "--set", "-x=1"]];
    assert_snapshot!(errors(&[], cases));
}

/// What undoes the promise of the store is refused; the same parameters with values that do not are taken.
#[test]
fn parameters_that_break_the_store() {
    let parameters = |of: &[&str]| -> Vec<String> {
        of.iter().map(|each| format!("--set=postgres.parameters.{each}")).collect()
    };
    let gen_restore = |durability: &str, set: &[&str]| -> Vec<String> {
        let fixed = ["gen", "q2", "--strategy", "restore", "--set", durability].map(str::to_owned);
        [fixed.to_vec(), parameters(set)].concat()
    };
    let broken = [
        "synchronous_standby_names=",
        "summarize_wal=off",
        "synchronous_commit=remote_apply",
        "fsync=off",
        "Full_Page_Writes=off",
        "restore_command=cp /wal/%f %p",
        "recovery_end_command=true",
        "recovery_min_apply_delay=1h",
        "recovery_target=immediate",
        "max_slot_wal_keep_size=1GB",
        "max_replication_slots=0",
        "max_wal_senders=0",
        "wal_keep_size=0 MB",
        "lc_messages=fr_FR.UTF-8",
        "logging_collector=on",
    ];
    assert_snapshot!(pgk_error(2, gen_restore("q2.durability=strict", &broken)));
    let harmless = [
        "hot_standby_feedback=on",
        "synchronous_commit=on",
        "fsync=true",
        "full_page_writes=y",
        "max_wal_senders=64",
        "lc_messages=en_US.UTF-8",
        "logging_collector=off",
        "allow_alter_system=off",
    ];
    support::pgk_stdout(gen_restore("q2.durability=strict", &harmless));
    support::pgk_stdout(gen_restore("q2.durability=available", &["max_slot_wal_keep_size=1GB"]));
    assert_snapshot!(pgk_error(2, gen_restore("q2.durability=available", &["allow_alter_system=off"])));
    // Patroni decides otherwise, and other scenarios have no store.
    support::pgk_stdout(["gen", "q2", "--set", "postgres.parameters.max_slot_wal_keep_size=1GB"]);
}

/// No new pass phrase, no backup left out: an empty value is no choice.
#[test]
fn an_empty_schedule() {
    assert_snapshot!(errors(&["gen", "q3"], [&["--set", "q3.full="], &["--set", "q3.restore-test=  "]]));
}

#[test]
fn standard_input_twice() {
    assert_snapshot!(pgk_error(2, ["gen", "q1", "-f", "-", "-f", "-"]));
}

/// An option that is missing is missing whatever the cluster is.
#[cfg(feature = "drill")]
#[test]
fn drills_that_lack_an_option() {
    for event in ["node-off", "total-loss", "container-kill"] {
        let error = pgk_error(2, ["drill", event]);
        assert!(!error.contains("cluster: there is no"), "{error}");
    }
}

/// A number that is out of its range is told it in words.
#[cfg(feature = "drill")]
#[test]
fn a_number_out_of_its_range() {
    for (flag, range) in
        [("--repeat", "from 1 to 1000"), ("--writers", "from 1 to 16"), ("--readers", "from 0 to 16")]
    {
        let error = pgk_error(2, ["drill", "pod-delete", flag, "17000"]);
        assert!(error.contains(range), "{error}");
    }
}

/// Q3 and Q2 by restore exclude each other, in a file as on the command line.
#[test]
fn a_strategy_that_the_scenario_excludes() {
    let ways = [
        &["--strategy", "restore"][..],
        &["--set", "q2.strategy=restore"],
        &["-f", "examples/q2-restore.yaml"],
    ];
    for way in ways {
        let error = pgk_error(2, [&["gen", "q3"], way].concat());
        assert_eq!(error.matches("error: ").count(), 1, "{error}");
        assert!(error.contains("q3 has no q2.strategy `restore`") && !error.contains("may stay"), "{error}");
    }
}

/// A file of a thousand errors is not answered by a thousand.
#[test]
fn very_many() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines: Vec<_> = (0..50_000).map(|number| format!("key{number}: 1")).collect();
    fs::write(file.path(), lines.join("\n")).expect("written");
    let error = pgk_error(2, ["gen", "q1", "-f", file.path().to_str().expect("UTF-8")]);
    assert_eq!(error.matches("error: unknown key").count(), 20);
    assert!(error.ends_with("error: more errors will be shown once these are fixed\n"), "{error}");
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
