//! Encrypted connections on a real cluster, and a running cluster that is changed to them and back.

use crate::common::client::{Client, RW};
use crate::common::command::{eventually, expect, secs};
use crate::common::instance::{Instance, Pod};
use crate::restore::wait_for_the_store;

/// Everybody who receives WAL from the primary, and whether their connection is encrypted.
fn receivers(pg: &Instance) -> Result<Vec<String>, String> {
    let query =
        "SELECT application_name, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) ORDER BY 1";
    Ok(pg.sql(&pg.primary_now()?, query)?.lines().map(str::to_owned).collect())
}

/// `encrypted`, or in the clear: so are all connections of `count` receivers.
fn replication_is(pg: &Instance, encrypted: bool, count: usize) {
    let ending = if encrypted { "|t" } else { "|f" };
    eventually(&format!("{count} receivers with ssl{ending}"), secs(60), || {
        let all = receivers(pg)?;
        expect(all.len() == count && all.iter().all(|one| one.ends_with(ending)), format!("{all:?}"))
    });
}

/// A client may ask for TLS, and need not.
fn clients_choose(client: &Client<'_>) {
    let ssl = |mode: &str| {
        let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        client.bash(&format!("PGSSLMODE={mode} psql -qAtX --host {RW} --command '{query}'"))
    };
    for (mode, encrypted) in [("prefer", "t"), ("require", "t"), ("disable", "f")] {
        assert_eq!(ssl(mode).expect("a client gets in"), encrypted, "{mode}");
    }
    // Who copies the data has no choice.
    let replicator =
        format!("PGSSLMODE=disable psql -qAtX --host {RW} --username replicator --command 'SELECT 1'");
    let refused = client.bash(&replicator).expect_err("the replication role gets in without TLS");
    assert!(refused.contains("pg_hba.conf rejects connection"), "{refused}");
    // Nobody can verify a certificate that the pod has made itself.
    assert!(ssl("verify-full").is_err());
}

/// The first line that the member's Patroni answers with, without TLS and with it.
fn patroni_answers(pg: &Instance, pod: &Pod) -> [String; 2] {
    let plain = "exec 3<>/dev/tcp/127.0.0.1/8008; printf 'GET /liveness HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3 | tr -cd '[:print:]'";
    let tls = "printf 'GET /liveness HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -connect 127.0.0.1:8008 2>/dev/null | head -n 1 | tr -d '\\r'";
    [plain, tls].map(|script| pg.shell(pod, &format!("set +e; {script}; true")).expect("a shell"))
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn connections_are_encrypted() {
    let pg = Instance::start("tls-q1", &[]);
    replication_is(&pg, true, 2);
    clients_choose(&pg.client());
    let key = pg.shell(&pg.primary(), "stat -c %a /tmp/tls/tls.key; find /pgdata -name 'tls.key'");
    assert_eq!(key.expect("a shell"), "600", "and it is nowhere on the volume");
    drop(pg);

    let pg = Instance::start_of("q2", "tls-restore", &["q2.strategy=restore"]);
    wait_for_the_store(&pg);
    replication_is(&pg, true, 3);
    clients_choose(&pg.client());
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn a_running_cluster_is_changed() {
    changed(&[("encrypted", true)]);
}

/// On a running cluster without TLS, member by member: no more than a switchover each time.
pub(crate) fn changed(course: &[(&str, bool)]) {
    let pg = Instance::start_of("q2", "tls-change", &["tls=off"]);
    replication_is(&pg, false, 2);
    let client = pg.client();
    client.fill();
    for &(tls, encrypted) in course {
        let before: Vec<_> = pg.members().into_iter().map(|pod| pod.uid).collect();
        let load = client.load();
        pg.apply(&[&format!("tls={tls}")]);
        eventually("three members that were made anew", secs(300), || {
            let now = pg.members_now()?;
            let new = now.iter().all(|pod| !before.contains(&pod.uid));
            expect(now.len() == 3 && new, format!("{now:?}"))
        });
        pg.wait_until_streaming(2);
        let courses = load.stop();
        println!("a_running_cluster_is_changed to {tls}: {courses}");
        assert!(courses.lost.is_empty(), "acknowledged and lost: {:?}", courses.lost);
        assert!(courses.writes.longest_gap < secs(20), "{}", courses.writes.at_length());
        replication_is(&pg, encrypted, 2);
        for pod in pg.members() {
            let [plain, over_tls] = patroni_answers(&pg, &pod);
            let speaks = |answer: &str| answer.starts_with("HTTP/1.0 200");
            assert_eq!([speaks(&plain), speaks(&over_tls)], [!encrypted, encrypted], "{plain}, {over_tls}");
        }
        let list = pg.shell(&pg.primary(), "patronictl list").expect("patronictl answers");
        assert!(list.contains("Leader") && list.contains("Sync Standby"), "{list}");
    }
    clients_choose(&client);
}
