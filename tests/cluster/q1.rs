//! Q1 on a real cluster.

use std::thread::sleep;
use std::time::Instant;

use crate::common::client::{RO, RW};
use crate::common::command::{eventually, expect, seconds, secs};
use crate::common::figures::Figure;
use crate::common::instance::{Delete, Instance, Pod};
use crate::common::machine::Machines;

/// One instance for all of it, since most of the time goes into making one: each part leaves it whole.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn what_q1_promises() {
    let pg = Instance::prepare("q1");
    the_namespace_is_restricted(&pg);
    apply_on_an_empty_cluster(&pg);
    replica_pod_deleted(&pg);
    primary_pod_deleted_and_postgres_killed(&pg);
    replicas_scaled_up_and_down(&pg);
    replica_loses_its_machine(&pg, "q1 replica-node-delete", "PGK_NODE_DELETE");
    parameters_changed(&pg);
    primary_volume_lost(&pg);
}

/// With a primary that keeps little WAL.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn replicas_that_lag() {
    let settings = [
        "q1.max-lag=16MB",
        "postgres.parameters.wal_keep_size=64MB",
        "postgres.parameters.max_slot_wal_keep_size=16MB",
        "postgres.parameters.min_wal_size=32MB",
        "postgres.parameters.max_wal_size=48MB",
    ];
    let pg = Instance::start("lag", &settings);
    readiness_of_replicas(&pg);
    replica_fell_behind(&pg);
}

fn apply_on_an_empty_cluster(pg: &Instance) {
    let begin = Instant::now();
    let warnings = pg.apply(&[]).stderr;
    assert!(!warnings.contains("PodSecurity"), "{warnings}");
    let replicas = pg.wait_until_streaming(2);
    let ready = begin.elapsed();

    let client = pg.client();
    client.fill();
    assert_eq!(client.sql(RO, "SELECT sum(n) FROM numbers").expect("a read"), "5050");
    let refused = client.sql(RO, "INSERT INTO numbers VALUES (0)").expect_err("a write through pg-ro");
    assert!(refused.contains("read-only transaction"), "{refused}");

    // In the client's pod, so that the time to run kubectl does not count.
    let addresses: Vec<_> = replicas.iter().map(|replica| replica.address.as_str()).collect();
    let delays = client.bash(&format!(
        r#"psql -qX --host pg-rw --command "INSERT INTO numbers VALUES (101)"
        begin=${{EPOCHREALTIME/[.,]/}}
        for replica in {}; do
            until [ "$(psql -qAtX --host $replica --command "SELECT n FROM numbers WHERE n = 101")" = 101 ]; do
                [ $SECONDS -lt 20 ]
            done
            echo $(((${{EPOCHREALTIME/[.,]/}} - begin) / 1000))
        done"#,
        addresses.join(" ")
    ));
    let delays = delays.expect("the write is seen on every replica");
    let delays: Vec<u64> = delays.lines().map(|delay| delay.parse().expect("milliseconds")).collect();
    println!(
        "apply_on_an_empty_cluster: all ready after {}; a write seen after {delays:?} ms",
        seconds(ready)
    );
    assert!(delays.len() == 2 && delays.iter().all(|delay| *delay <= 1000), "{delays:?}");
}

fn replica_pod_deleted(pg: &Instance) {
    let client = pg.client();
    client.fill();
    for (how, key) in
        [(Delete::Gracefully, "q1 replica-pod-delete"), (Delete::ByForce, "q1 replica-pod-force")]
    {
        let load = client.load();
        let lost = pg.replicas().remove(0);
        let begin = Instant::now();
        pg.delete_pod(&lost, how);
        pg.wait_until_streaming_without(2, |pod| pod.uid == lost.uid, secs(90));
        let replaced = begin.elapsed();
        Figure::of(key).time("full_strength_ms", replaced).courses(&load.stop()).hold();
    }
}

pub(crate) fn replica_loses_its_machine(pg: &Instance, key: &str, how: &str) {
    let Some(machines) = Machines::from_environment(how, key) else { return };
    let client = pg.client();
    client.fill();
    let primary = pg.primary();
    let victim = pg.replicas().into_iter().find(|replica| replica.node != primary.node);
    let victim = victim.expect("a replica on another node than the primary: this test needs three nodes");

    let load = client.load();
    let command = Instant::now();
    let lost = machines.lose(&victim.node);
    // To wipe a machine's disk takes a time of its own, which is no part of the promise.
    let (command, begin) = (command.elapsed(), Instant::now());
    let replicas = pg.wait_until_streaming_without(2, |pod| pod.node == victim.node, secs(90));
    let replaced = begin.elapsed();
    let courses = load.stop();
    for replica in &replicas {
        let rows = client.sql(&replica.address, "SELECT count(*) FROM numbers").expect("the replica answers");
        assert_eq!(rows, "100", "{replica:?}");
    }
    lost.bring_back();
    Figure::of(key).time("full_strength_ms", replaced).time("command_ms", command).courses(&courses).hold();
}

fn replica_fell_behind(pg: &Instance) {
    let client = pg.client();
    client.fill();
    let replica = pg.replicas().remove(0);
    let holds = |last| pg.sql(&replica, "SELECT max(n) FROM numbers").and_then(|n| expect(n == last, n));
    let receiver = pg.signal(&replica, "walreceiver", "STOP");
    // At once, while the hung replica still has its connection: it must not hold up a checkpoint.
    pg.write_wal(12);
    client.sql(RW, "INSERT INTO numbers VALUES (101)").expect("a write");
    holds("100").expect("the replica has nothing new");
    let before = pg.log(&replica).expect("the replica's log");
    assert!(!before.contains("fell behind"), "too early: {before}");
    let begin = Instant::now();
    pg.shell(&replica, &format!("kill -CONT {receiver}")).expect("the receiver goes on");

    let line = pg.wait_for_log(&replica, "fell behind", secs(60));
    eventually("the newest row on the replica", secs(60), || holds("101"));
    pg.wait_until_streaming(2);
    let healed = begin.elapsed();
    let now = pg.look_at(&replica).expect("the pod is there");
    assert_eq!(now.uid, replica.uid, "it is another pod");
    println!(
        "replica_fell_behind: streams again after {}, same pod, {} restarts; it said: {line}",
        seconds(healed),
        now.restarts
    );
}

fn primary_pod_deleted_and_postgres_killed(pg: &Instance) {
    let client = pg.client();
    client.fill();
    for key in ["q1 primary-pod-delete", "q1 primary-postgres-kill"] {
        let load = client.load();
        let primary = pg.primary();
        let gone = |now: &Pod| now.uid != primary.uid || now.restarts > primary.restarts;
        let begin = Instant::now();
        if key == "q1 primary-pod-delete" {
            pg.delete_pod(&primary, Delete::Gracefully);
        } else {
            let kill = "kill -9 $(head -1 $PGDATA/postmaster.pid)";
            pg.shell(&primary, kill).expect("PostgreSQL is killed");
        }
        eventually("the primary's restart", secs(60), || {
            let now = pg.look_at(&primary)?;
            expect(gone(&now) && now.ready, format!("{now:?}"))
        });
        pg.wait_until_streaming(2);
        Figure::of(key).time("full_strength_ms", begin.elapsed()).courses(&load.stop()).hold();
    }
}

fn primary_volume_lost(pg: &Instance) {
    let client = pg.client();
    client.fill();
    let (primary, replicas) = (pg.primary(), pg.replicas());
    let claim = || pg.kubectl(&["get", "pvc", "data-pg-primary-0", "--output=jsonpath={.metadata.uid}"]);
    let lost = claim().expect("the primary's volume");
    pg.kubectl(&["delete", "pvc", "data-pg-primary-0", "--wait=false"]).expect("the volume is lost");
    pg.delete_pod(&primary, Delete::Gracefully);
    eventually("a new volume", secs(60), || claim().and_then(|now| expect(now != lost, now)));
    let primary = eventually("a new pod that runs", secs(60), || {
        let now = pg.primary();
        pg.log(&now).and_then(|log| expect(now.uid != primary.uid && !log.is_empty(), log)).map(|()| now)
    });

    // It waits, and the replicas serve all the rows.
    let reading = client.keep_reading();
    let begin = Instant::now();
    while begin.elapsed() < secs(60) {
        let now = pg.look_at(&primary).expect("the pod is there");
        assert!(!now.ready && now.uid == primary.uid, "{now:?}");
        let database = pg.shell(&primary, "ls $PGDATA 2>&1 || true").expect("the pod answers");
        assert!(database.contains("No such file"), "a database was made: {database}");
        sleep(secs(2));
    }
    let reads = reading.stop();
    let line = pg.logged(&primary, "WAITING FOR A HUMAN").expect("it says so");
    assert!(line.contains("holds data"), "{line}");
    for replica in &replicas {
        pg.logged(replica, "the primary does not answer").expect("it says so");
    }

    // The way back.
    let received = |replica: &&Pod| -> u64 {
        let bytes =
            pg.sql(replica, "SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn").expect("the replica answers");
        bytes.parse().expect("a position in the WAL")
    };
    let newest = replicas.iter().max_by_key(received).expect("a replica");
    let begin = Instant::now();
    let restore = ["bash", "/etc/pgk/scripts/restore-from-replica.sh", &newest.address];
    pg.kubectl_for(secs(90), &[&["exec", "pg-primary-0", "--"], &restore[..]].concat()).expect("a restore");
    let same = pg.wait_until_streaming(2).iter().all(|now| replicas.iter().any(|then| then.uid == now.uid));
    let restored = begin.elapsed();
    assert!(same, "the replicas are not those that were there before");
    client.sql(RW, "INSERT INTO numbers VALUES (101)").expect("a write");
    for host in [RW, &replicas[0].address, &replicas[1].address] {
        eventually("the new row everywhere", secs(5), || {
            let sum = client.sql(host, "SELECT sum(n) FROM numbers")?;
            expect(sum == "5151", format!("{host}: {sum}"))
        });
    }
    // Writes wait for the human.
    Figure::of("q1 primary-volume-lost").reads(&reads).time("full_strength_ms", restored).hold();
}

fn replicas_scaled_up_and_down(pg: &Instance) {
    let scale = |count: usize| {
        let begin = Instant::now();
        pg.kubectl(&["scale", "deployment", "pg-replica", &format!("--replicas={count}")])
            .expect("it is scaled");
        pg.wait_until_streaming(count);
        begin.elapsed()
    };
    let (up, down) = (scale(5), scale(2));
    let begin = Instant::now();
    eventually("nothing left of the three that went", secs(60), || {
        let left = pg.sql(
            &pg.primary(),
            "SELECT (SELECT count(*) FROM pg_stat_replication),
                count(*) FILTER (WHERE temporary), count(*) FILTER (WHERE NOT temporary)
            FROM pg_replication_slots",
        )?;
        expect(left == "2|2|0", format!("walsenders|temporary slots|other slots: {left}"))?;
        let volumes = pg.kubectl(&["get", "pvc", "--output=name"])?;
        expect(volumes.lines().count() == 3, volumes)
    });
    println!(
        "replicas_scaled_up_and_down: 5 after {}, 2 after {}, nothing left of them {} later",
        seconds(up),
        seconds(down),
        seconds(begin.elapsed())
    );
}

/// The namespace does warn: about a Deployment like this one.
fn the_namespace_is_restricted(pg: &Instance) {
    let deployment = r#"{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "bad"}, "spec": {
        "selector": {"matchLabels": {"app": "bad"}}, "template": {"metadata": {"labels": {"app": "bad"}},
        "spec": {"hostNetwork": true, "containers": [{"name": "bad", "image": "bad"}]}}}}"#;
    let warned = pg.send(&["apply", "--dry-run=server", "-f", "-"], deployment).stderr;
    assert!(warned.contains("PodSecurity"), "no warning: {warned}");
}

fn parameters_changed(pg: &Instance) {
    let client = pg.client();
    client.fill();
    let before = pg.replicas();
    let load = client.load();
    let begin = Instant::now();
    pg.apply(&["postgres.parameters.work_mem=17MB", "postgres.parameters.max_connections=150"]);
    // A new replica is ready before an old one goes, and there is no more than one new one at a time.
    let (mut fewest_ready, mut most) = (usize::MAX, 0);
    eventually("the new values on every pod", secs(180), || {
        let replicas = pg.replicas();
        fewest_ready = fewest_ready.min(replicas.iter().filter(|pod| pod.ready).count());
        most = most.max(replicas.len());
        expect(replicas.len() == 2, format!("{replicas:?}"))?;
        for pod in replicas.iter().chain([&pg.primary()]) {
            let query = "SELECT current_setting('work_mem'), current_setting('max_connections'), \
                current_setting('shared_buffers')";
            let values = pg.sql(pod, query)?;
            // The last is a quarter of the memory limit.
            expect(values == "17MB|150|256MB", format!("{}: {values}", pod.name))?;
        }
        Ok(())
    });
    let after = pg.wait_until_streaming(2);
    let rolled_out = begin.elapsed();
    assert!(
        before.iter().all(|old| after.iter().all(|new| new.uid != old.uid)),
        "a replica was not replaced"
    );
    assert_eq!((fewest_ready, most), (2, 3), "one by one: (fewest ready, most) at any time");
    Figure::of("q1 parameters").time("full_strength_ms", rolled_out).courses(&load.stop()).hold();
}

fn readiness_of_replicas(pg: &Instance) {
    let [replica, other] = &pg.replicas()[..] else { panic!("two replicas") };
    let timed = |ready| {
        let begin = Instant::now();
        pg.wait_until_ready(replica, ready, secs(40));
        assert!(pg.look_at(other).expect("the other replica").ready, "the other replica is to stay ready");
        seconds(begin.elapsed())
    };
    let receiver = pg.signal(replica, "walreceiver", "STOP");
    let unready = timed(false);
    pg.shell(replica, &format!("kill -CONT {receiver}")).expect("the receiver goes on");
    println!(
        "readiness_of_replicas: does not stream: unready after {unready}, ready again after {}",
        timed(true)
    );

    pg.sql(replica, "SELECT pg_wal_replay_pause()").expect("replay pauses");
    pg.write_wal(4);
    let unready = timed(false);
    pg.sql(replica, "SELECT pg_wal_replay_resume()").expect("replay goes on");
    println!("readiness_of_replicas: lags: unready after {unready}, ready again after {}", timed(true));
}
