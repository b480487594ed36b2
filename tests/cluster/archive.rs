//! Q3 on a real cluster: what comes back from the archive when nothing else is left. With an S3 store, `PGK_S3` is the
//! command that prints how it is reached, as NAME=VALUE lines: `S3_ENDPOINT`, `S3_BUCKET`, `S3_REGION`, `S3_KEY`,
//! `S3_SECRET`, and `S3_CA`, a file; `PGK_S3_OFF` and `PGK_S3_ON` take it away and bring it back.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Instant;

use crate::common::client::{Client, RO, ROWS, RW};
use crate::common::command::{SOON, eventually, expect, run, secs};
use crate::common::figures::Figure;
use crate::common::instance::Instance;
use crate::common::machine::{self, Repair};

/// Every row that is there is in the archive.
pub(crate) fn archive_all(pg: &Instance) {
    let primary = pg.primary();
    let last = pg.sql(&primary, "SELECT pg_walfile_name(pg_switch_wal() - 1)").expect("a file of WAL");
    eventually("the rows in the archive", secs(60), || {
        let archived = pg.sql(&primary, "SELECT last_archived_wal FROM pg_stat_archiver")?;
        expect(archived >= last, archived)
    });
}

pub(crate) fn wait_for_a_backup(pg: &Instance) {
    eventually("the first backup", secs(60), || {
        let info = pg.shell(&pg.primary_now()?, "pgbackrest info")?;
        expect(info.contains("full backup"), info)
    });
}

/// Every member's pod and volume.
pub(crate) fn lose_everything(pg: &Instance) {
    let members = "--selector=cluster-name=pg-rw";
    pg.kubectl(&["delete", "pvc", members, "--wait=false"]).expect("the volumes are lost");
    pg.kubectl(&["delete", "pod", members, "--grace-period=0", "--force"]).expect("the pods are lost");
}

/// Waits for a primary with so many rows, not one more or less.
fn wait_for_rows(pg: &Instance, count: u32) {
    eventually(&format!("a primary that writes, with {count} rows"), secs(120), || {
        let state = pg.sql(&pg.primary_now()?, "SELECT count(*), pg_is_in_recovery() FROM numbers")?;
        expect(state == format!("{count}|f"), state)
    });
}

/// The scheduled proof that the archive can be restored from, now: its last line.
pub(crate) fn restore_test(pg: &Instance, name: &str) -> String {
    pg.kubectl(&["create", "job", name, "--from=cronjob/pg-restore-test"]).expect("a restore test");
    eventually("the restore test's end", secs(180), || {
        let log = pg.kubectl(&["logs", &format!("job/{name}")])?;
        log.lines().find(|line| line.contains("restore test: ")).map(str::to_owned).ok_or(log)
    })
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn all_pods_and_volumes_are_lost() {
    let pg = Instance::start_of("q3", "archive", &[]);
    let client = pg.client();
    client.fill();
    archive_all(&pg);
    wait_for_a_backup(&pg);

    let begin = Instant::now();
    lose_everything(&pg);
    is_back("q3 everything-lost", &pg, &client, begin);

    let line = restore_test(&pg, "good");
    assert!(line.ends_with("restore test: passed, 1 of 1 repositories"), "{line}");
    let flip = include_str!("../../measure/flip-a-bit.sh");
    let flipped = pg.kubectl(&["exec", "pg-repo-0", "--", "bash", "-euc", flip]).expect("a flipped bit");
    let line = restore_test(&pg, "bad");
    assert!(line.contains("restore test: FAILED"), "{line}");
    assert!(line.contains(&format!("'{}'", flipped.trim())), "{} is not named: {line}", flipped.trim());
}

/// Waits until all the rows are there again, to read and to write, since the loss that was then.
pub(crate) fn is_back(key: &str, pg: &Instance, client: &Client, loss: Instant) {
    wait_for_rows(pg, ROWS);
    let writes = loss.elapsed();
    eventually("reads of all the rows", secs(120), || {
        let rows = client.sql(RO, "SELECT count(*) FROM numbers")?;
        expect(rows == ROWS.to_string(), rows)
    });
    let reads = loss.elapsed();
    pg.wait_until_streaming(2);
    Figure::of(key)
        .time("write_ms", writes)
        .time("read_ms", reads)
        .time("full_strength_ms", loss.elapsed())
        .hold();
}

/// How an S3 store outside the cluster is reached, as this command prints it.
fn s3(command: &str) -> HashMap<String, String> {
    let printed = run(Command::new("sh").args(["-c", command]), "", SOON).expect("the S3 store").stdout;
    printed
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// An instance with these repositories, one of them the S3 store that the command prints; its settings.
pub(crate) fn start_with_s3(command: &str, repos: &str, test: &str) -> (Instance, Vec<String>) {
    let s3 = s3(command);
    let settings = vec![
        format!("q3.repos={repos}"),
        "q3.s3.uri-style=path".to_owned(),
        format!("q3.path=/pgk-test-{test}-{}", std::process::id()),
        format!("q3.s3.endpoint={}", s3["S3_ENDPOINT"]),
        format!("q3.s3.bucket={}", s3["S3_BUCKET"]),
        format!("q3.s3.region={}", s3["S3_REGION"]),
        format!("q3.s3.ca={}", fs::read_to_string(&s3["S3_CA"]).expect("a certificate")),
    ];
    let set: Vec<&str> = settings.iter().map(String::as_str).collect();
    let keys =
        [("AWS_ACCESS_KEY_ID", s3["S3_KEY"].as_str()), ("AWS_SECRET_ACCESS_KEY", s3["S3_SECRET"].as_str())];
    let pg = Instance::prepare_with("q3", test, &set, &keys);
    pg.apply(&set);
    pg.wait_until_streaming(2);
    (pg, settings)
}

/// Everything is lost while the store is away, and is to be as it was at a moment before.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn back_to_a_point_in_time() {
    let hook = |name| machine::command(name, "back to a point in time, from S3");
    let (Some(s3), Some(off), Some(on)) = (hook("PGK_S3"), hook("PGK_S3_OFF"), hook("PGK_S3_ON")) else {
        return;
    };
    let (pg, settings) = start_with_s3(&s3, "s3", "s3");
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    wait_for_a_backup(&pg);
    let client = pg.client();
    client.fill();
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
    is_back("q3 back-in-time", &pg, &client, begin);

    // That was done once, and is not done again.
    client.sql(RW, "INSERT INTO numbers VALUES (1000)").expect("a row after that");
    archive_all(&pg);
    pg.apply(&settings);
    wait_for_rows(&pg, ROWS + 1);
}
