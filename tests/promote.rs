//! Q2 on a real cluster: a new primary when the primary fails, and nothing acknowledged is lost. Needs what
//! `cluster.rs` needs, and the image of `tp8/Q2/Containerfile` on every node.

#![cfg(feature = "drill")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "cluster/mod.rs"]
mod cluster;
mod support;

use std::thread::sleep;

use cluster::client::{Client, Repeated};
use cluster::command::{eventually, expect, secs};
use cluster::drills::{survives, survives_nodes};
use cluster::instance::{Delete, Instance};
use cluster::machine::{self, Repair};

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
