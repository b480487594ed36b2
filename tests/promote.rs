//! Q2 on a real cluster: a new primary when the primary fails, and nothing acknowledged is lost. Needs what
//! `cluster.rs` needs, and the image of `tp8/Q2/Containerfile` on every node.

#![cfg(feature = "drill")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::thread::sleep;
use std::time::Instant;

use cluster::client::{Client, RO, RW, Repeated};
use cluster::command::{eventually, expect, seconds, secs};
use cluster::drills::{survives, survives_nodes};
use cluster::instance::{Delete, Instance, Pod};
use cluster::machine::{self, Repair};

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

#[test]
fn the_primary_fails() {
    let Some(pg) = Instance::start_of("q2", "promote", &[]) else { return };
    eventually("a synchronous standby", secs(30), || {
        let list = pg.shell(&pg.primary(), "patronictl list")?;
        expect(list.contains("Leader") && list.contains("Sync Standby"), list)
    });

    let events = "[{event: switchover}, {event: pod-delete}, {event: pod-force}, {event: postgres-kill},
        {event: volume-delete}, {event: pod-delete, target: replica}]";
    survives(&pg, events, &[], secs(8));
    if let Some(kill) = machine::command("PGK_CONTAINER_KILL") {
        survives(&pg, "[{event: container-kill}]", &["--container-kill", &kill], secs(8));
    }
    survives_nodes(&pg, &["node-off", "node-cut"], "20s", secs(15));
    survives_nodes(&pg, &["node-delete"], "150s", secs(15));
    survives_nodes(&pg, &["all-off"], "120s", secs(100));
}

/// Without the API server nobody can renew the lease, nor take it: the primary goes on as long as every
/// member tells it to.
#[test]
fn the_api_server_is_away() {
    let Some(pg) = Instance::start_of("q2", "api", &[]) else { return };
    let (Some(off), Some(on)) = (machine::command("PGK_API_OFF"), machine::command("PGK_API_ON")) else {
        return;
    };
    eventually("failsafe mode is on in every member", secs(60), || {
        let leader = pg.kubectl(&["get", "configmap", "pg-rw-leader", "--output=yaml"])?;
        expect(["pg-0", "pg-1", "pg-2"].iter().all(|one| leader.contains(&format!("\"{one}\":"))), leader)
    });
    let primary = pg.primary();
    let client = pg.client();
    let started = |pg: &Instance| {
        pg.sql(&primary, "SELECT pg_postmaster_start_time(), pg_is_in_recovery()").expect("a time")
    };
    let before = started(&pg);
    let writing = client.keep_writing();
    sleep(secs(3));
    machine::shell(&off).expect("the API server is away");
    let away = Repair(on);
    sleep(secs(60));
    drop(away);
    sleep(secs(30));
    let writes = writing.stop();
    println!("the_api_server_is_away: writes: {writes}");
    assert_eq!(before, started(&pg), "the primary was restarted");
    writes.assert_gap(secs(3));
    pg.wait_until_streaming(2);
    client.assert_kept(&writes);
}

/// The primary's node is drained: it hands over before it ends.
#[test]
fn a_node_is_drained() {
    let Some(pg) = Instance::start_of("q2", "drain", &[]) else { return };
    let primary = pg.primary();
    let client = Client::start(&pg, "client", &pg.replicas()[0]);
    let writing = client.keep_writing();
    sleep(secs(2));
    let uncordon = Repair(format!("kubectl uncordon {}", primary.node));
    let ours = "--pod-selector=app.kubernetes.io/instance=pg";
    pg.kubectl_for(secs(70), &["drain", &primary.node, ours, "--delete-emptydir-data", "--timeout=60s"])
        .expect("the disruption budget lets the primary go");
    sleep(secs(5));
    let writes = writing.stop();
    println!("a_node_is_drained: writes: {writes}");
    assert_ne!(pg.primary().name, primary.name);
    writes.assert_gap(secs(8));
    client.assert_kept(&writes);

    // With a new volume its member comes back beside another. No node has both the primary and its standby.
    pg.kubectl(&["delete", "pvc", &format!("data-{}", primary.name), "--wait=false"])
        .expect("the volume goes");
    pg.delete_pod(&primary, Delete::Gracefully);
    pg.wait_until_streaming(2);
    eventually("a synchronous standby on another node", secs(60), || {
        let primary = pg.primary();
        let standby = "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'";
        let standby = pg.sql(&primary, standby)?;
        let apart = pg.replicas().iter().any(|one| one.name == standby && one.node != primary.node);
        expect(apart, format!("{standby} of {primary:?} and {:?}", pg.replicas()))
    });
    drop(uncordon);
}

/// The primary is cut from the other members, but not from the API server. The watchers take its lease, and
/// it may get it again: one side or the other goes on soon, and neither loses what it acknowledged.
#[test]
fn a_partial_partition() {
    let (Some(cut), Some(heal)) = (machine::command("PGK_NODE_PART"), machine::command("PGK_NODE_HEAL"))
    else {
        return;
    };
    let Some(pg) = Instance::start_of("q2", "partition", &[]) else { return };
    let (primary, replicas) = (pg.primary(), pg.replicas());
    let near = Client::start(&pg, "near", &primary);
    let far = Client::start(&pg, "far", &replicas[0]);
    let others = replicas.iter().map(|replica| replica.node.as_str()).collect::<Vec<_>>().join(" ");
    let fill = |command: &str| command.replace("{node}", &primary.node).replace("{others}", &others);
    let writing = [near.keep_writing(), far.keep_writing()];
    sleep(secs(2));
    let healed = Repair(fill(&heal));
    machine::shell(&fill(&cut)).expect("the node is cut from the others");
    sleep(secs(45));
    drop(healed);
    sleep(secs(15));
    let [by_near, by_far] = writing.map(Repeated::stop);
    println!("a_partial_partition: writes beside the primary: {by_near}; on the other side: {by_far}");
    pg.wait_until_streaming(2);
    near.assert_kept(&by_near);
    far.assert_kept(&by_far);
    assert!(by_near.longest_gap.min(by_far.longest_gap) <= secs(20), "{by_near}; {by_far}");
}

#[test]
fn the_lease_in_endpoints() {
    let Some(pg) = Instance::start_of("q2", "endpoints", &["q2.dcs=endpoints"]) else { return };
    survives(&pg, "[{event: pod-delete}]", &[], secs(8));
    survives_nodes(&pg, &["node-off", "node-cut"], "20s", secs(15));
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
