//! Q2 by restore on a real cluster: the primary is made anew from the store, and nothing acknowledged is lost.
//! Needs what `cluster.rs` needs.

#![cfg(feature = "drill")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::thread::sleep;
use std::time::Instant;

use cluster::client::RW;
use cluster::command::{eventually, expect, seconds, secs};
use cluster::drills::survives;
use cluster::instance::Instance;
use cluster::machine;

/// The store has a verified base backup, and receives from the primary.
fn wait_for_the_store(pg: &Instance) {
    eventually("a store that is ready", secs(120), || {
        let state = store(pg, "perl /etc/pgk/scripts/store.pl localhost state")?;
        let streams = "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walstore'";
        let streams = pg.sql(&pg.primary(), streams)?;
        expect(state.starts_with("ready ") && streams == "sync", format!("{state}; {streams}"))
    });
}

fn store(pg: &Instance, script: &str) -> Result<String, String> {
    pg.kubectl(&["exec", "pg-store-0", "--container=store", "--", "bash", "-euc", script])
}

#[test]
fn the_primary_is_made_anew() {
    let Some(pg) = Instance::start_of("q2", "restore", &["q2.strategy=restore"]) else { return };
    wait_for_the_store(&pg);
    let events = "[{event: postgres-kill}, {event: pod-delete}, {event: pod-force}, {event: volume-delete},
        {event: pod-delete, target: replica}]";
    survives(&pg, events, &["--timeout", "120s"], secs(30));
    if let Some(kill) = machine::command("PGK_CONTAINER_KILL") {
        survives(&pg, "[{event: container-kill}]", &["--container-kill", &kill], secs(20));
    }
    the_store_is_lost(&pg);
    the_data_is_damaged(&pg);
    the_replicas_are_beyond_the_store(&pg);
}

/// Its pod, and then its volume as well: writes wait meanwhile, and it rebuilds itself.
fn the_store_is_lost(pg: &Instance) {
    wait_for_the_store(pg);
    let client = pg.client();
    let writing = client.keep_writing();
    for volume in [false, true] {
        sleep(secs(2));
        let begin = Instant::now();
        if volume {
            pg.kubectl(&["delete", "pvc", "backup-pg-store-0", "--wait=false"]).expect("the volume goes");
        }
        pg.kubectl(&["delete", "pod", "pg-store-0", "--grace-period=0", "--force"]).expect("the pod goes");
        wait_for_the_store(pg);
        println!("the_store_is_lost: with its volume: {volume}: ready after {}", seconds(begin.elapsed()));
    }
    let writes = writing.stop();
    println!("the_store_is_lost: writes: {writes}");
    client.assert_kept(&writes);
    pg.kubectl(&["delete", "pod", "client"]).expect("the client's end");
}

/// All databases are gone from the disk; and then one, whose folder recovery makes anew.
fn the_data_is_damaged(pg: &Instance) {
    let client = pg.client();
    client.sql(RW, "CREATE TABLE before AS SELECT generate_series(1, 1000) AS n").expect("rows");
    let folder_of = "psql -qAtX -d postgres -c \"SELECT oid FROM pg_database WHERE datname = 'postgres'\"";
    let one = format!("base/$(psql -qX -d postgres -c 'CREATE TABLE recovered (n int)'; {folder_of})");
    for (what, logged) in [("base", "DAMAGED: there is no database"), (&one, "DAMAGED: psql: error")] {
        wait_for_the_store(pg);
        let begin = Instant::now();
        let damage = format!("rm -rf $PGDATA/{what} && kill -9 $(head -1 $PGDATA/postmaster.pid)");
        pg.shell(&pg.primary(), &damage).expect("damage");
        pg.wait_for_log(&pg.primary(), logged, secs(60));
        eventually("the restored rows", secs(90), || {
            let rows = client.sql(RW, "SELECT count(*) FROM before")?;
            expect(rows == "1000", rows)
        });
        println!("the_data_is_damaged: {logged}: restored after {}", seconds(begin.elapsed()));
        pg.wait_until_streaming(2);
    }
}

/// When the primary is lost, the replicas have WAL that the store has not, so that nobody was told of it: it is undone.
/// And the store's WAL ends where a file ends.
fn the_replicas_are_beyond_the_store(pg: &Instance) {
    wait_for_the_store(pg);
    let (primary, replicas) = (pg.primary(), pg.wait_until_streaming(2));
    eventually("a receiver that has stopped where a file ends", secs(60), || {
        store(pg, "kill -CONT $(cat /tmp/receiver.pid)")?;
        pg.sql(&primary, "SELECT pg_switch_wal()")?;
        sleep(secs(1));
        store(pg, "kill -STOP $(cat /tmp/receiver.pid)")?;
        let received = "SELECT flush_lsn, flush_lsn = pg_current_wal_lsn() AND flush_lsn::text LIKE '%000000'
            FROM pg_stat_replication WHERE application_name = 'walstore'";
        let received = pg.sql(&primary, received)?;
        expect(received.ends_with("|t"), received)
    });
    let beyond = "SET synchronous_commit = local; CREATE TABLE beyond AS SELECT generate_series(1, 1000)";
    pg.sql(&primary, beyond).expect("a table");
    for replica in &replicas {
        eventually("its copy", secs(10), || pg.sql(replica, "SELECT count(*) FROM beyond"));
    }
    let begin = Instant::now();
    pg.kubectl(&["delete", "pod", &primary.name, "--grace-period=0", "--force"]).expect("the primary goes");
    store(pg, "kill -KILL $(cat /tmp/receiver.pid)").expect("the receiver goes");
    for replica in &replicas {
        pg.wait_for_log(replica, "rewound to", secs(90));
    }
    let streaming = pg.wait_until_streaming(2);
    println!("the_replicas_are_beyond_the_store: streaming again after {}", seconds(begin.elapsed()));
    for pod in streaming.iter().chain([&pg.primary()]) {
        let gone = pg.sql(pod, "SELECT to_regclass('beyond') IS NULL").expect("an answer");
        assert_eq!(gone, "t", "{pod:?}");
    }
    wait_for_the_store(pg);
    let log = pg.kubectl(&["logs", "pg-store-0"]).expect("a log");
    assert!(log.contains("ends with a file, and the new timeline begins there"), "{log}");
}
