//! Q2 on a real cluster that is changed: parameters, passwords, the number of members, objects and volumes. Needs what
//! `promote.rs` needs, and no command that breaks a node.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::thread::sleep;
use std::time::Instant;

use cluster::client::{RO, RW};
use cluster::command::{eventually, expect, seconds, secs};
use cluster::instance::{Instance, Pod};

fn members(pg: &Instance) -> Vec<Pod> {
    [vec![pg.primary()], pg.replicas()].concat()
}

/// So many members, whatever `replicas` says, until it is applied again.
fn scale(pg: &Instance, count: u8) {
    pg.kubectl(&["scale", "statefulset", "pg", &format!("--replicas={count}")]).expect("the set is scaled");
}

fn wait_until_no_member_is_left(pg: &Instance) {
    eventually("no member", secs(120), || {
        let pods = pg.kubectl(&["get", "pods", "--selector=cluster-name", "--output=name"])?;
        expect(pods.is_empty(), pods)
    });
}

/// The parameters of `settings` reach every member by `kubectl apply` alone; whether PostgreSQL was restarted.
fn parameter_arrives(pg: &Instance, settings: &[&str], name: &str, value: &str) -> bool {
    let started = "SELECT pg_postmaster_start_time()";
    let starts = || members(pg).iter().map(|pod| pg.sql(pod, started).expect("a time")).collect::<Vec<_>>();
    let before = starts();
    let begin = Instant::now();
    pg.apply(settings);
    eventually(&format!("{name} = {value} on every member"), secs(90), || {
        let members = members(pg);
        expect(members.len() == 3, members.len())?;
        for pod in members {
            let now = pg.sql(&pod, &format!("SHOW {name}"))?;
            expect(now == value, format!("{}: {now}", pod.name))?;
        }
        Ok(())
    });
    println!("parameter_arrives: {name} on every member after {}", seconds(begin.elapsed()));
    before != starts()
}

#[test]
fn a_cluster_that_is_changed() {
    let Some(pg) = Instance::start_of("q2", "changes", &[]) else { return };
    let uids = |pg: &Instance| {
        let mut all: Vec<_> = members(pg).into_iter().map(|pod| pod.uid).collect();
        all.sort();
        all
    };
    let before = uids(&pg);
    assert!(!parameter_arrives(&pg, &["postgres.parameters.work_mem=17MB"], "work_mem", "17MB"));
    let more = ["postgres.parameters.max_connections=120"];
    assert!(parameter_arrives(&pg, &more, "max_connections", "120"), "PostgreSQL reads it at its start only");
    let fewer = ["postgres.parameters.max_connections=90"];
    assert!(parameter_arrives(&pg, &fewer, "max_connections", "90"));
    pg.wait_until_streaming(2);
    assert_eq!(before, uids(&pg), "no pod was replaced");

    // A password.
    let client = pg.client();
    client.fill(100);
    let patch = r#"{"stringData": {"app-password": "x'y \"z\\", "replication-password": "new: secret"}}"#;
    pg.kubectl(&["patch", "secret", "pg-credentials", "--patch", patch]).expect("the Secret is changed");
    eventually("the new password", secs(150), || {
        client.bash(&format!(r#"PGPASSWORD="x'y \"z\\" psql -qAtX --host {RW} --command 'SELECT 1'"#))
    });
    let replica = pg.replicas().remove(0);
    pg.kubectl(&["delete", "pod", &replica.name, "--wait=false"]).expect("a replica starts anew");
    pg.wait_until_streaming_without(2, |pod| pod.uid == replica.uid, secs(120));

    // More members, and fewer: nothing of them is left.
    pg.apply(&["replicas=3"]);
    pg.wait_until_streaming(3);
    pg.apply(&["replicas=2"]);
    pg.wait_until_streaming(2);
    eventually("no slot of a member that is gone", secs(120), || {
        let slots = pg.sql(&pg.primary(), "SELECT count(*) FROM pg_replication_slots")?;
        expect(slots == "2", slots)
    });
    pg.kubectl(&["delete", "pvc", "data-pg-3"]).expect("the volume of the fourth member is left to a human");

    // The set is deleted and applied again.
    pg.kubectl(&["delete", "statefulset", "pg"]).expect("the set is deleted");
    wait_until_no_member_is_left(&pg);
    let begin = Instant::now();
    pg.apply(&[]);
    pg.wait_until_streaming(2);
    println!("a_cluster_that_is_changed: back with its volumes after {}", seconds(begin.elapsed()));
    let count = "SELECT count(*) FROM numbers";
    assert_eq!(pg.sql(&pg.primary(), count).expect("the data"), "100");

    // Patroni's objects are gone, and the volume of pg-0, which may make a new database, as well.
    scale(&pg, 0);
    wait_until_no_member_is_left(&pg);
    pg.kubectl(&["delete", "configmaps", "pg-rw-leader", "pg-rw-config", "pg-rw-sync"])
        .expect("they are deleted");
    pg.kubectl(&["delete", "pvc", "data-pg-0"]).expect("the volume is deleted");
    pg.apply(&[]);
    pg.wait_until_streaming(2);
    assert_eq!(pg.sql(&pg.primary(), count).expect("the data"), "100");

    // All volumes are gone, and Patroni's objects are left.
    scale(&pg, 0);
    wait_until_no_member_is_left(&pg);
    pg.kubectl(&["delete", "pvc", "--all"]).expect("the volumes are deleted");
    pg.apply(&[]);
    eventually("a word for a human", secs(90), || {
        let log = pg.kubectl(&["logs", "pg-0", "--container=postgres"])?;
        expect(log.contains("WAITING FOR A HUMAN: the cluster is not new"), log)
    });
    pg.kubectl(&["exec", "pg-0", "--container=postgres", "--", "touch", "/pgdata/start-empty"])
        .expect("touch");
    pg.kubectl(&["delete", "pod", "pg-0"]).expect("the pod is deleted");
    pg.wait_until_streaming(2);
    let tables = pg.sql(&pg.primary(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(tables.expect("a new database"), "0");
}

/// What a lone primary does.
#[test]
fn without_a_standby() {
    let Some(pg) = Instance::prepare_for("q2", "alone") else { return };
    pg.apply(&["replicas=1"]);
    pg.wait_until_streaming(1);
    let insert = "CREATE TABLE IF NOT EXISTS alone (n int); INSERT INTO alone VALUES (1)";
    let client = pg.client();
    // The last ordinal goes first, so the primary must be the first.
    if pg.primary().name != "pg-0" {
        pg.shell(&pg.primary(), "patronictl switchover --force").expect("a switchover");
        eventually("pg-0 as primary", secs(30), || expect(pg.primary().name == "pg-0", "not yet"));
        pg.wait_until_streaming(1);
    }
    scale(&pg, 1);
    eventually("the primary goes on alone", secs(30), || client.sql(RW, insert));
    eventually("a refusal where no replica is left", secs(30), || match client.sql(RO, "SELECT 1") {
        Err(error) => expect(error.contains("Connection refused"), error),
        Ok(_) => Err("an answer".to_owned()),
    });
    scale(&pg, 2);
    pg.wait_until_streaming(1);

    pg.apply(&["replicas=1", "q2.durability=strict"]);
    eventually("strict", secs(60), || {
        let config = pg.shell(&pg.primary(), "patronictl show-config")?;
        expect(config.contains("synchronous_mode_strict: true"), config)
    });
    pg.wait_until_streaming(1);
    scale(&pg, 1);
    eventually("the standby is gone", secs(60), || expect(pg.replicas().is_empty(), "not yet"));
    sleep(secs(5));
    let waits =
        client.bash(&format!("timeout 5 psql -qX --host {RW} --command 'INSERT INTO alone VALUES (2)'"));
    assert!(waits.is_err(), "a commit must wait for a standby: {waits:?}");
    scale(&pg, 2);
    pg.wait_until_streaming(1);
    eventually("writes again", secs(30), || client.sql(RW, insert));

    pg.apply(&["replicas=1", "q2.durability=asynchronous"]);
    eventually("no synchronous standby, and no watcher", secs(120), || {
        let standbys = pg.sql(&pg.primary(), "SELECT sync_state FROM pg_stat_replication")?;
        let containers = "--output=jsonpath={.items[*].spec.containers[*].name}";
        let containers = pg.kubectl(&["get", "pods", "--selector=cluster-name", containers])?;
        expect(standbys == "async" && containers == "postgres postgres", format!("{standbys}; {containers}"))
    });
    pg.wait_until_streaming(1);
    eventually("a write", secs(30), || client.sql(RW, insert));
}
