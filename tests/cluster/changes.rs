//! Q2 on a real cluster that is changed: parameters, passwords, the number of members, objects and volumes.

use std::time::{Duration, Instant};

use crate::common::client::{Client, RO, RW};
use crate::common::command::{eventually, expect, seconds, secs};
use crate::common::figures::Figure;
use crate::common::instance::Instance;

/// So many members, whatever `replicas` says, until it is applied again.
pub(crate) fn scale(pg: &Instance, count: u8) {
    pg.kubectl(&["scale", "statefulset", "pg", &format!("--replicas={count}")]).expect("the set is scaled");
}

pub(crate) fn wait_until_no_member_is_left(pg: &Instance) {
    eventually("no member", secs(120), || {
        let pods = pg.kubectl(&["get", "pods", "--selector=cluster-name", "--output=name"])?;
        expect(pods.is_empty(), pods)
    });
}

/// Once pg-0 says, within `limit`, that it waits for a human: the human's word.
pub(crate) fn ask_for_an_empty_database(pg: &Instance, limit: Duration) {
    eventually("a word for a human", limit, || {
        let log = pg.kubectl(&["logs", "pg-0", "--container=postgres"])?;
        expect(log.contains("WAITING FOR A HUMAN: the cluster is not new"), log)
    });
    pg.kubectl(&["exec", "pg-0", "--container=postgres", "--", "touch", "/pgdata/start-empty"])
        .expect("touch");
    pg.kubectl(&["delete", "pod", "pg-0"]).expect("the pod is deleted");
}

/// The parameters of `settings` reach every member by `kubectl apply` alone; whether PostgreSQL was restarted.
fn parameter_arrives(pg: &Instance, settings: &[&str], name: &str, value: &str) -> bool {
    let started = "SELECT pg_postmaster_start_time()";
    let starts = || pg.members().iter().map(|pod| pg.sql(pod, started).expect("a time")).collect::<Vec<_>>();
    let before = starts();
    let begin = Instant::now();
    pg.apply(settings);
    eventually(&format!("{name} = {value} on every member"), secs(90), || {
        let members = pg.members();
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
#[ignore = "needs a cluster: just cluster"]
fn a_cluster_that_is_changed() {
    let pg = Instance::start_of("q2", "changes", &[]);
    let uids = |pg: &Instance| {
        let mut all: Vec<_> = pg.members().into_iter().map(|pod| pod.uid).collect();
        all.sort();
        all
    };
    for pod in pg.members() {
        let sized = pg.sql(&pod, "SHOW shared_buffers").expect("a size");
        assert_eq!(sized, "256MB", "a quarter of the memory limit");
    }
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
    client.fill();
    let patch = r#"{"stringData": {"app-password": "x'y \"z\\", "replication-password": "new: secret"}}"#;
    pg.kubectl(&["patch", "secret", "pg-credentials", "--patch", patch]).expect("the Secret is changed");
    eventually("the new password", secs(120), || {
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
        let slots = pg.sql(&pg.primary_now()?, "SELECT count(*) FROM pg_replication_slots")?;
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
    ask_for_an_empty_database(&pg, secs(90));
    pg.wait_until_streaming(2);
    let tables = pg.sql(&pg.primary(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(tables.expect("a new database"), "0");
}

/// What a lone primary does. (`long::q2_without_a_standby`)
pub(crate) fn without_a_standby() {
    let pg = Instance::prepare_for("q2", "alone");
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
        let config = pg.shell(&pg.primary_now()?, "patronictl show-config")?;
        expect(config.contains("synchronous_mode_strict: true"), config)
    });
    pg.wait_until_streaming(1);
    scale(&pg, 1);
    eventually("the standby is gone", secs(60), || expect(pg.replicas().is_empty(), "not yet"));
    eventually("Patroni has noticed, and takes any standby", secs(60), || {
        let names = pg.sql(&pg.primary_now()?, "SHOW synchronous_standby_names")?;
        expect(names == "*", names)
    });
    a_commit_waits(&pg, &client);
    scale(&pg, 2);
    pg.wait_until_streaming(1);
    eventually("writes again", secs(30), || client.sql(RW, insert));

    pg.apply(&["replicas=1", "q2.durability=asynchronous"]);
    eventually("no synchronous standby, and no watcher", secs(120), || {
        let standbys = pg.sql(&pg.primary_now()?, "SELECT sync_state FROM pg_stat_replication")?;
        let containers = "--output=jsonpath={.items[*].spec.containers[*].name}";
        let containers = pg.kubectl(&["get", "pods", "--selector=cluster-name", containers])?;
        expect(standbys == "async" && containers == "postgres postgres", format!("{standbys}; {containers}"))
    });
    pg.wait_until_streaming(1);
    eventually("a write", secs(30), || client.sql(RW, insert));
    Figure::of("q2 without-a-standby").hold();
}

/// A commit waits for a standby, and for nothing else.
fn a_commit_waits(pg: &Instance, client: &Client) {
    let insert = format!(
        "status=0; timeout 10 psql -qX --host {RW} --command 'INSERT INTO alone VALUES (2)' || status=$?; echo $status"
    );
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'";
    let primary = pg.primary();
    let status = std::thread::scope(|scope| {
        let status = scope.spawn(|| client.bash(&insert));
        eventually("a commit that waits for a standby", secs(10), || {
            let count = pg.sql(&primary, waiting)?;
            expect(count == "1", count)
        });
        status.join().expect("the client ends")
    });
    assert_eq!(status.as_deref(), Ok("124"), "it goes on waiting until it is stopped");
}
