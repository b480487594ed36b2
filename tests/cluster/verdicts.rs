//! Every verdict of `pgk drill`, on a cluster where it must fail: a check that cannot fail proves nothing. (Those that
//! a damaged record alone brings about are tried in `src/drill/tests.rs`.)

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::archive::wait_for_a_backup;
use crate::common::command::{eventually, expect, secs};
use crate::common::drills::{drill, kinds, measured, runs, wait_for_the_load};
use crate::common::instance::Instance;
use crate::common::machine;

/// Does a drill that must fail, and `meanwhile` as soon as its load writes; why it failed, and what it printed.
fn fails(pg: &Instance, arguments: &[&str], meanwhile: impl FnOnce()) -> (Vec<String>, Value) {
    let (shown, passed) = thread::scope(|scope| {
        let drill = scope.spawn(|| drill(pg, arguments));
        wait_for_the_load(pg);
        meanwhile();
        drill.join().expect("the drill prints its figures")
    });
    assert!(!passed, "{shown:#}");
    let [run] = runs(&shown)[..] else { panic!("one run: {shown:#}") };
    (kinds(run), shown)
}

fn on_primary(pg: &Instance, statement: &str) {
    pg.sql_in(&pg.primary(), "postgres", statement).expect("the primary answers");
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn limits_rows_and_replicas() {
    let pg = Instance::start_with_replicas("verdicts", 1);
    let limits =
        ["pod-delete", "--target", "replica", "--max-write-outage", "1ms", "--max-read-outage", "1s"];
    let (why, shown) = fails(&pg, &[&limits[..], &["--max-recovery", "1s"]].concat(), || {
        on_primary(&pg, "INSERT INTO pgk_drill.rows SELECT * FROM pgk_drill.rows LIMIT 1");
    });
    assert_eq!(why, ["twice", "write-outage", "read-outage", "full-strength"], "{shown:#}");
    pg.wait_until_streaming(1);

    // The replica's successor gets no volume, and a pod of the load is lost.
    let quota = ["create", "quota", "volumes", "--hard=persistentvolumeclaims=1"];
    pg.kubectl(&quota).expect("a quota");
    let replica = pg.replicas().remove(0);
    let (why, shown) = fails(&pg, &["pod-delete", "--target", "replica", "--timeout", "15s"], || {
        // After the event, so that the reader was heard before.
        eventually("the loss of the replica", secs(60), || {
            let there = pg.look_at(&replica);
            expect(!there.is_ok_and(|now| now.uid == replica.uid), "not yet")
        });
        let pods = pg.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=pgk-drill", "--output=name"]);
        let pods = pods.expect("the load");
        let reader = pods.lines().find(|pod| pod.contains("reader")).expect("a reader");
        pg.kubectl(&["delete", reader, "--grace-period=0", "--force"]).expect("it is lost");
    });
    assert_eq!(why, ["record-cut", "not-at-full-strength", "not-back"], "{shown:#}");
    pg.kubectl(&["delete", "quota", "volumes"]).expect("the quota goes");
    pg.wait_until_streaming(1);

    // The replica is promoted by hand, and the Service for writes leads to it, too.
    let (why, shown) = fails(&pg, &["postgres-kill", "--timeout", "10s", "--warm-up", "8s"], || {
        let replica = pg.replicas().remove(0);
        pg.sql_in(&replica, "postgres", "SELECT pg_promote()").expect("it is promoted");
        pg.kubectl(&["label", "pod", &replica.name, "role=primary", "--overwrite"]).expect("a label");
    });
    assert!(why.contains(&"two-primaries".to_owned()), "{why:?} {shown:#}");
    assert!(runs(&shown)[0]["two_primaries"]["count"].as_u64().is_some_and(|count| count > 0), "{shown:#}");
}

/// Without fsync, a power cut takes commits along that were acknowledged.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn commits_that_were_not_synced() {
    let what = "a commit that was not synced is lost in a power cut";
    let hook = |name| machine::command(name, what);
    let (Some(_), Some(off), Some(on)) =
        (hook("PGK_POWER_CUT_LOSES"), hook("PGK_NODE_OFF"), hook("PGK_NODE_ON"))
    else {
        return;
    };
    let pg = Instance::start_with_replicas("verdict-fsync", 0);
    // (PostgreSQL refuses ALTER SYSTEM.)
    pg.shell(&pg.primary(), "echo 'fsync = off' >>$PGDATA/postgresql.auto.conf").expect("a setting");
    on_primary(&pg, "SELECT pg_reload_conf()");
    let node = ["node-off", "--node-on-after", "3s", "--node-off", &off, "--node-on", &on];
    let (why, shown) = fails(&pg, &[&node[..], &["--warm-up", "10s", "--readers", "0"]].concat(), || {
        // What there is now is on the disk, so that the database starts again.
        on_primary(&pg, "CHECKPOINT");
        pg.shell(&pg.primary(), "sync").expect("sync");
    });
    // What else comes of it is chance: a file that PostgreSQL never synced may be damaged, and writes stay away with it.
    assert!(why.contains(&"lost".to_owned()), "{why:?} {shown:#}");
}

/// A commit that no standby has is lost with the primary's node. (`long::q2_commits_that_no_standby_had`)
pub(crate) fn commits_that_no_standby_had() {
    let what = "a commit that no standby has is lost with its node";
    let hook = |name| machine::command(name, what);
    let (Some(off), Some(on)) = (hook("PGK_NODE_OFF"), hook("PGK_NODE_ON")) else { return };
    let pg = Instance::start_of("q2", "verdict-local", &[]);
    on_primary(&pg, "ALTER ROLE postgres SET synchronous_commit = local");
    let node =
        ["node-off", "--warm-up", "5s", "--node-on-after", "20s", "--node-off", &off, "--node-on", &on];
    let (why, shown) = fails(&pg, &node, || {
        // Nothing is sent to the standbys any more, whose connections stand.
        let stop = "for each in /proc/[0-9]*; do ! grep -qs '[w]alsender' $each/cmdline || kill -STOP ${each#/proc/}; done";
        pg.shell(&pg.primary(), stop).expect("the walsenders stop");
    });
    assert_eq!(why, ["lost"], "{shown:#}");
}

/// What was not in the archive is lost with all pods and volumes: no more than `archive-timeout` allows, and the time to
/// send a file. With a repository that is away more is lost, and the same drill fails.
/// (`long::q3_more_than_the_archive_may_lack`)
pub(crate) fn more_than_the_archive_may_lack() {
    let pg = Instance::start_of("q3", "verdict-loss", &["q3.archive-timeout=10s"]);
    wait_for_a_backup(&pg);
    let mut loss = vec!["total-loss", "--yes", "--confirm", "pg", "--max-loss", "15s", "--warm-up"];
    let kill = machine::command("PGK_CONTAINER_KILL", "q3 total-loss without warning");
    let (shown, passed) = drill(&pg, &{
        let mut loss = [&loss[..], &["25s"]].concat();
        loss.extend(kill.iter().flat_map(|kill| ["--container-kill", kill]));
        loss
    });
    measured("q3-timeout-10s", runs(&shown)[0]).expect(passed, || format!("{shown:#}")).hold();
    pg.wait_until_streaming(2);
    wait_for_a_backup(&pg);

    loss.push("40s");
    let repository = |count| {
        let replicas = format!("--replicas={count}");
        pg.kubectl(&["scale", "statefulset", "pg-repo", &replicas]).expect("the repository is scaled");
    };
    let (why, shown) = fails(&pg, &loss, || {
        let primary = pg.primary();
        repository(0);
        eventually("the loss of all pods", secs(90), || {
            let there = pg.look_at(&primary);
            expect(!there.is_ok_and(|now| now.uid == primary.uid), "not yet")
        });
        repository(1);
    });
    assert_eq!(why, ["lost"], "{shown:#}");
    let from = runs(&shown)[0]["kept"]["lost_from_ms"].as_u64();
    assert!(from.is_some_and(|from| Duration::from_millis(from) > secs(15)), "{shown:#}");
}
