//! Q3 on a real cluster: what comes back from the archive when nothing else is left. Needs what `cluster.rs`
//! needs, and the image of `tp8/Q2/Containerfile` on every node.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::time::Instant;

use cluster::command::{eventually, expect, seconds, secs};
use cluster::instance::Instance;

#[test]
fn all_pods_and_volumes_are_lost() {
    let Some(pg) = Instance::start_of("q3", "archive", &[]) else { return };
    let client = pg.client();
    client.fill(100);
    let primary = pg.primary();
    let last = pg.sql(&primary, "SELECT pg_walfile_name(pg_switch_wal())").expect("a file of WAL");
    eventually("the rows in the archive", secs(60), || {
        let archived = pg.sql(&primary, "SELECT last_archived_wal FROM pg_stat_archiver")?;
        expect(archived >= last, archived)
    });
    eventually("the first backup", secs(60), || {
        let info = pg.shell(&primary, "pgbackrest info")?;
        expect(info.contains("full backup"), info)
    });

    let begin = Instant::now();
    let members = "--selector=cluster-name=pg-rw";
    pg.kubectl(&["delete", "pvc", members, "--wait=false"]).expect("the volumes are lost");
    pg.kubectl(&["delete", "pod", members, "--grace-period=0", "--force"]).expect("the pods are lost");
    eventually("every row on a primary that writes", secs(120), || {
        let state = "SELECT count(*), pg_is_in_recovery() FROM numbers";
        let state = pg.sql(&pg.primary(), state)?;
        expect(state == "100|f", state)
    });
    let back = begin.elapsed();
    pg.wait_until_streaming(2);
    println!(
        "all_pods_and_volumes_are_lost: a primary with every row after {}, full strength after {}",
        seconds(back),
        seconds(begin.elapsed())
    );

    // The scheduled proof that the archive can be restored from, now.
    pg.kubectl(&["create", "job", "trial", "--from=cronjob/pg-restore-test"]).expect("a restore test");
    let line = eventually("the restore test's end", secs(180), || {
        let log = pg.kubectl(&["logs", "job/trial"])?;
        log.lines().find(|line| line.contains("restore test: ")).map(str::to_owned).ok_or(log)
    });
    assert!(line.contains("restore test: passed"), "{line}");
}
