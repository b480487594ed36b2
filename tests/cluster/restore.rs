//! Q2 by restore on a real cluster: the primary is restored from the store, and nothing acknowledged is lost.

use std::time::Instant;

use crate::common::client::RW;
use crate::common::command::{eventually, expect, secs, within};
use crate::common::drills::{survives, survives_nodes};
use crate::common::figures::Figure;
use crate::common::instance::{Instance, Pod};
use crate::common::machine;

/// The store has a verified base backup, and receives from the primary.
pub(crate) fn wait_for_the_store(pg: &Instance) {
    eventually("a store that is ready", secs(120), || {
        let state = store(pg, "perl /etc/pgk/scripts/store.pl localhost state")?;
        let streams = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walstore'";
        let streams = pg.sql(&pg.primary_now()?, streams)?;
        expect(state.starts_with("ready ") && streams == "sync", format!("{state}; {streams}"))
    });
}

pub(crate) fn store(pg: &Instance, script: &str) -> Result<String, String> {
    pg.kubectl(&["exec", "pg-store-0", "--container=store", "--", "bash", "-euc", script])
}

/// What a shell in the primary's pod prints.
fn in_primary(pg: &Instance, script: &str) -> String {
    pg.shell(&pg.primary(), script).expect("the primary's pod answers")
}

/// The timeline that a primary writes.
pub(crate) fn timeline(pg: &Instance, primary: &Pod) -> Result<u32, String> {
    let timeline = pg.sql(primary, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")?;
    u32::from_str_radix(&timeline, 16).map_err(|error| format!("{timeline}: {error}"))
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn the_primary_is_made_anew() {
    let pg = Instance::start_of("q2", "restore", &["q2.strategy=restore"]);
    wait_for_the_store(&pg);
    let events = "[{event: postgres-kill}, {event: pod-delete}, {event: pod-force}, {event: volume-delete}]";
    survives(&pg, "q2-restore", events, &["--timeout", "120s"]);
    survives_nodes(&pg, "q2-restore", &["node-off"], "150s", &[]);
    the_store_is_lost(&pg);
}

/// (`long::restore_is_lost_otherwise`)
pub(crate) fn is_lost_otherwise(pg: &Instance) {
    survives(pg, "q2-restore", "[{event: pod-delete, target: replica}]", &["--timeout", "120s"]);
    if let Some(kill) = machine::command("PGK_CONTAINER_KILL", "q2-restore container-kill") {
        survives(pg, "q2-restore", "[{event: container-kill}]", &["--container-kill", &kill]);
    }
    survives_nodes(pg, "q2-restore", &["node-cut"], "150s", &[]);
    the_replicas_are_beyond_the_store(pg);
    the_data_is_damaged(pg);
}

/// Its pod, and then its volume as well: writes wait meanwhile, and it rebuilds itself.
fn the_store_is_lost(pg: &Instance) {
    wait_for_the_store(pg);
    let client = pg.client();
    client.fill();
    for key in ["q2-restore store-kill", "q2-restore store-volume"] {
        let load = client.load();
        let begin = Instant::now();
        if key == "q2-restore store-volume" {
            pg.kubectl(&["delete", "pvc", "backup-pg-store-0", "--wait=false"]).expect("the volume goes");
        }
        pg.kubectl(&["delete", "pod", "pg-store-0", "--grace-period=0", "--force"]).expect("the pod goes");
        wait_for_the_store(pg);
        Figure::of(key).time("full_strength_ms", begin.elapsed()).courses(&load.stop()).hold();
    }
}

/// All databases are gone from the disk; and then one, whose folder recovery makes anew. What is left of it is kept, and
/// the store's copy, on a timeline of its own, takes its place.
fn the_data_is_damaged(pg: &Instance) {
    let client = pg.client();
    client.fill();
    let folder_of = "psql -qAtX -d postgres -c \"SELECT oid FROM pg_database WHERE datname = 'postgres'\"";
    let one = format!("base/$(psql -qX -d postgres -c 'CREATE TABLE recovered (n int)'; {folder_of})");
    for (what, key) in [("base", "q2-restore damage"), (&*one, "q2-restore damage-one-database")] {
        wait_for_the_store(pg);
        let primary = pg.primary();
        let old = timeline(pg, &primary).expect("a timeline");
        let folder = in_primary(pg, "stat -c %i $PGDATA");
        let load = client.load();
        let begin = Instant::now();
        let damage = format!("rm -rf $PGDATA/{what} && kill -9 $(head -1 $PGDATA/postmaster.pid)");
        pg.shell(&primary, &damage).expect("damage");
        eventually("what was damaged, out of the way", secs(90), || {
            let kept = pg.shell(&primary, "stat -c %i $PGDATA.damaged")?;
            expect(kept == folder, format!("{kept}, not {folder}"))
        });
        eventually("a new timeline", secs(90), || {
            let now = timeline(pg, &primary)?;
            expect(now > old, now)
        });
        pg.wait_until_streaming(2);
        Figure::of(key).time("full_strength_ms", begin.elapsed()).courses(&load.stop()).hold();
    }
}

/// When the primary is lost, the replicas have WAL that the store has not, so that nobody was told of it: it is undone.
/// And the store's WAL ends where a file ends.
fn the_replicas_are_beyond_the_store(pg: &Instance) {
    wait_for_the_store(pg);
    let (primary, replicas) = (pg.primary(), pg.wait_until_streaming(2));
    pg.sql(&primary, "CREATE TABLE before AS SELECT generate_series(1, 1000)").expect("a table");
    let end = eventually("a receiver that has stopped where a file ends", secs(60), || {
        store(pg, "kill -CONT $(cat /tmp/receiver.pid)")?;
        pg.sql(&primary, "SELECT pg_switch_wal()")?;
        let received = "SELECT flush_lsn, flush_lsn = pg_current_wal_lsn() AND flush_lsn::text LIKE '%000000'
            FROM pg_stat_replication WHERE application_name = 'walstore'";
        let look = || {
            let received = pg.sql(&primary, received)?;
            received.strip_suffix("|t").map(str::to_owned).ok_or(received)
        };
        within(secs(3), look)?;
        store(pg, "kill -STOP $(cat /tmp/receiver.pid)")?;
        look()
    });
    let beyond = "SET synchronous_commit = local; CREATE TABLE beyond AS SELECT generate_series(1, 1000)";
    pg.sql(&primary, beyond).expect("a table");
    // A copy that is rewound keeps its files; another copy has others.
    let file = |pod: &Pod| {
        let path = pg.sql(pod, "SELECT pg_relation_filepath('before')").expect("a path");
        pg.shell(pod, &format!("stat -c '%i %W' $PGDATA/{path}")).expect("a file")
    };
    let mut files = Vec::new();
    for replica in &replicas {
        eventually("its copy", secs(10), || pg.sql(replica, "SELECT count(*) FROM beyond"));
        files.push((&replica.uid, file(replica)));
    }
    let begin = Instant::now();
    pg.kubectl(&["delete", "pod", &primary.name, "--grace-period=0", "--force"]).expect("the primary goes");
    store(pg, "kill -KILL $(cat /tmp/receiver.pid)").expect("the receiver goes");
    eventually("another primary, without what nobody was told of", secs(90), || {
        let now = pg.primary();
        let gone = pg.sql(&now, "SELECT to_regclass('beyond') IS NULL")?;
        expect(now.uid != primary.uid && gone == "t", format!("{now:?}: {gone}"))
    });
    let streaming = pg.wait_until_streaming(2);
    let streams = begin.elapsed();
    for pod in &streaming {
        let state = pg.sql(pod, "SELECT to_regclass('beyond') IS NULL, (SELECT count(*) FROM before)");
        assert_eq!(state.as_deref(), Ok("t|1000"), "{pod:?}");
        assert!(files.contains(&(&pod.uid, file(pod))), "not rewound: {pod:?} of {files:?}");
    }
    // The new timeline begins where the store's WAL ended, and the store receives from it.
    wait_for_the_store(pg);
    let begins = in_primary(pg, "tail -n 1 \"$(find $PGDATA/pg_wal -name '*.history' | sort | tail -n 1)\"");
    assert_eq!(begins.split('\t').nth(1), Some(&*end), "{begins}");
    pg.client().sql(RW, "CREATE TABLE after (n int)").expect("a write");
    Figure::of("q2-restore beyond-the-store").time("full_strength_ms", streams).hold();
}
