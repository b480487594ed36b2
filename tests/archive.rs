//! Q3 on a real cluster: what comes back from the archive when nothing else is left. Needs what `cluster.rs`
//! needs, and the image of `tp8/Q2/Containerfile` on every node. With an S3 store, `PGK_S3` is the command that
//! prints how it is reached, as NAME=VALUE lines: `S3_ENDPOINT`, `S3_BUCKET`, `S3_REGION`, `S3_KEY`, `S3_SECRET`, and
//! `S3_CA`, a file; `PGK_S3_OFF` and `PGK_S3_ON` take it away and bring it back.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Instant;

use cluster::client::RW;
use cluster::command::{SOON, eventually, expect, run, seconds, secs};
use cluster::instance::Instance;
use cluster::machine::{self, Repair};

/// Every row that is there is in the archive.
fn archive_all(pg: &Instance) {
    let primary = pg.primary();
    let last = pg.sql(&primary, "SELECT pg_walfile_name(pg_switch_wal() - 1)").expect("a file of WAL");
    eventually("the rows in the archive", secs(60), || {
        let archived = pg.sql(&primary, "SELECT last_archived_wal FROM pg_stat_archiver")?;
        expect(archived >= last, archived)
    });
}

fn wait_for_a_backup(pg: &Instance) {
    eventually("the first backup", secs(60), || {
        let info = pg.shell(&pg.primary(), "pgbackrest info")?;
        expect(info.contains("full backup"), info)
    });
}

/// Every member's pod and volume.
fn lose_everything(pg: &Instance) {
    let members = "--selector=cluster-name=pg-rw";
    pg.kubectl(&["delete", "pvc", members, "--wait=false"]).expect("the volumes are lost");
    pg.kubectl(&["delete", "pod", members, "--grace-period=0", "--force"]).expect("the pods are lost");
}

/// Waits for a primary with so many rows, not one more or less.
fn wait_for_rows(pg: &Instance, count: u32) {
    eventually(&format!("a primary that writes, with {count} rows"), secs(120), || {
        let state = pg.sql(&pg.primary(), "SELECT count(*), pg_is_in_recovery() FROM numbers")?;
        expect(state == format!("{count}|f"), state)
    });
}

/// The scheduled proof that the archive can be restored from, now: its last line.
fn restore_test(pg: &Instance, name: &str) -> String {
    pg.kubectl(&["create", "job", name, "--from=cronjob/pg-restore-test"]).expect("a restore test");
    eventually("the restore test's end", secs(180), || {
        let log = pg.kubectl(&["logs", &format!("job/{name}")])?;
        log.lines().find(|line| line.contains("restore test: ")).map(str::to_owned).ok_or(log)
    })
}

#[test]
fn all_pods_and_volumes_are_lost() {
    let Some(pg) = Instance::start_of("q3", "archive", &[]) else { return };
    pg.client().fill(100);
    archive_all(&pg);
    wait_for_a_backup(&pg);

    let begin = Instant::now();
    lose_everything(&pg);
    wait_for_rows(&pg, 100);
    let back = begin.elapsed();
    pg.wait_until_streaming(2);
    println!(
        "all_pods_and_volumes_are_lost: a primary with every row after {}, full strength after {}",
        seconds(back),
        seconds(begin.elapsed())
    );

    let line = restore_test(&pg, "good");
    assert!(line.contains("restore test: passed"), "{line}");
    let flip = include_str!("../measure/flip-a-bit.sh");
    pg.kubectl(&["exec", "pg-repo-0", "--", "bash", "-euc", flip]).expect("a flipped bit");
    let line = restore_test(&pg, "bad");
    assert!(line.contains("restore test: FAILED"), "{line}");
}

/// How an S3 store outside the cluster is reached; `None`, and a line that says so, where there is none.
fn s3() -> Option<HashMap<String, String>> {
    let command = machine::command("PGK_S3")?;
    let printed = run(Command::new("sh").args(["-c", &command]), "", SOON).expect("the S3 store").stdout;
    Some(
        printed
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    )
}

/// Everything is lost while the store is away, and is to be as it was at a moment before.
#[test]
fn back_to_a_point_in_time() {
    let (Some(s3), Some(off), Some(on)) =
        (s3(), machine::command("PGK_S3_OFF"), machine::command("PGK_S3_ON"))
    else {
        return;
    };
    let settings = [
        "q3.repos=s3".to_owned(),
        "q3.s3.uri-style=path".to_owned(),
        format!("q3.path=/pgk-test-{}", std::process::id()),
        format!("q3.s3.endpoint={}", s3["S3_ENDPOINT"]),
        format!("q3.s3.bucket={}", s3["S3_BUCKET"]),
        format!("q3.s3.region={}", s3["S3_REGION"]),
        format!("q3.s3.ca={}", fs::read_to_string(&s3["S3_CA"]).expect("a certificate")),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let keys =
        [("AWS_ACCESS_KEY_ID", s3["S3_KEY"].as_str()), ("AWS_SECRET_ACCESS_KEY", s3["S3_SECRET"].as_str())];
    let Some(pg) = Instance::prepare_with("q3", "s3", &settings, &keys) else { return };
    pg.apply(&settings);
    pg.wait_until_streaming(2);
    wait_for_a_backup(&pg);
    let client = pg.client();
    client.fill(100);
    let moment = client.sql(RW, "SELECT clock_timestamp()").expect("a time");
    client.sql(RW, "INSERT INTO numbers SELECT generate_series(101, 200)").expect("rows that are to go");
    archive_all(&pg);

    let target = format!("q3.restore.target.time={moment}");
    let settings = [&settings[..], &[&target]].concat();
    pg.apply(&settings);
    machine::shell(&off).expect("the store is away");
    let away = Repair(on);
    lose_everything(&pg);
    eventually("a member that waits for the store", secs(60), || {
        let log = pg.kubectl(&["logs", "pg-0", "--container=postgres"])?;
        expect(log.contains("waiting, and making no new database"), log)
    });
    drop(away);
    let begin = Instant::now();
    wait_for_rows(&pg, 100);
    println!("back_to_a_point_in_time: {} after the store came back", seconds(begin.elapsed()));
    pg.wait_until_streaming(2);

    // That was done once, and is not done again.
    client.sql(RW, "INSERT INTO numbers VALUES (1000)").expect("a row after that");
    archive_all(&pg);
    pg.apply(&settings);
    wait_for_rows(&pg, 101);
}
