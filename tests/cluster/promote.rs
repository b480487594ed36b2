//! Q2 on a real cluster: a new primary when the primary fails, and nothing acknowledged is lost.

use std::thread::sleep;

use crate::common::client::Client;
use crate::common::command::{eventually, expect, secs};
use crate::common::drills::{drill, kinds, runs, survives, survives_nodes};
use crate::common::figures::Figure;
use crate::common::instance::{Delete, Instance};
use crate::common::machine::{self, Repair};

#[test]
#[ignore = "needs a cluster: just cluster"]
fn the_primary_fails() {
    let pg = Instance::start_of("q2", "promote", &[]);
    eventually("a synchronous standby", secs(30), || {
        let list = pg.shell(&pg.primary_now()?, "patronictl list")?;
        expect(list.contains("Leader") && list.contains("Sync Standby"), list)
    });

    let events = "[{event: switchover}, {event: pod-delete}, {event: pod-force}, {event: postgres-kill}]";
    survives(&pg, "q2", events, &[]);
    survives_nodes(&pg, "q2", &["node-off", "node-cut"], "25s", &["--max-isolated", "20s"]);
}

/// The other failures. (`long::q2_is_lost_otherwise`; `just failures q2` has node-cut-api as well.)
pub(crate) fn is_lost_otherwise(pg: &Instance) {
    survives(pg, "q2", "[{event: volume-delete}, {event: pod-delete, target: replica}]", &[]);
    if let Some(kill) = machine::command("PGK_CONTAINER_KILL", "Q2, container-kill") {
        survives(pg, "q2", "[{event: container-kill}]", &["--container-kill", &kill]);
    }
    survives_nodes(pg, "q2", &["node-cut-peers"], "25s", &["--max-isolated", "20s"]);
    survives_nodes(pg, "q2", &["node-delete"], "240s", &[]);
    survives_nodes(pg, "q2", &["all-off"], "120s", &[]);
}

/// Without the API server nobody can renew the lease, nor take it: the primary goes on as long as every
/// member tells it to. (`long::q2_the_api_server_is_away`)
pub(crate) fn the_api_server_is_away() {
    let hook = |name| machine::command(name, "Q2 while the API server is away");
    let (Some(off), Some(on)) = (hook("PGK_API_OFF"), hook("PGK_API_ON")) else { return };
    let pg = Instance::start_of("q2", "api", &[]);
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
    client.fill();
    let load = client.load();
    let away = Repair(on);
    machine::shell(&off).expect("the API server is away");
    sleep(secs(60));
    drop(away);
    // What is late comes now.
    sleep(secs(30));
    pg.wait_until_streaming(2);
    let courses = load.stop();
    assert_eq!(before, started(&pg), "the primary was restarted");
    Figure::of("q2 api-away").courses(&courses).hold();
}

/// The primary's node is drained: it hands over before it ends.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn a_node_is_drained() {
    let pg = Instance::start_of("q2", "drain", &[]);
    let primary = pg.primary();
    let client = Client::start(&pg, "client", &pg.replicas()[0]);
    client.fill();
    let load = client.load();
    let uncordon = Repair(format!("kubectl uncordon {}", primary.node));
    let ours = "--pod-selector=app.kubernetes.io/instance=pg";
    pg.kubectl_for(secs(70), &["drain", &primary.node, ours, "--delete-emptydir-data", "--timeout=60s"])
        .expect("the disruption budget lets the primary go");
    let new = eventually("another primary", secs(30), || {
        let now = pg.primary();
        expect(now.name != primary.name, &now.name).map(|()| now)
    });
    let courses = load.stop();
    println!("a_node_is_drained: {} hands over to {}", primary.name, new.name);
    Figure::of("q2 drain").courses(&courses).hold();

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

#[test]
#[ignore = "needs a cluster: just cluster"]
fn the_lease_in_endpoints() {
    let pg = Instance::start_of("q2", "endpoints", &["q2.dcs=endpoints"]);
    survives(&pg, "q2-endpoints", "[{event: pod-delete}]", &[]);
}

/// (`long::q2_isolated_with_endpoints`)
pub(crate) fn a_limit_of_isolation(pg: &Instance) {
    // A limit that cannot hold: it answers reads until its lease has ended. All else that a drill asks for holds.
    let hook = |name| machine::command(name, "q2-endpoints node-cut");
    let (Some(cut), Some(heal)) = (hook("PGK_NODE_CUT"), hook("PGK_NODE_HEAL")) else { return };
    let cut = ["node-cut", "--node-on-after", "25s", "--node-cut", &cut, "--node-heal", &heal];
    let limits = ["--max-isolated", "1ms", "--max-write-outage", "16s"];
    let (shown, passed) = drill(pg, &[&cut[..], &limits].concat());
    assert_eq!((passed, kinds(runs(&shown)[0])), (false, vec!["isolated".to_owned()]), "{shown:#}");
}
