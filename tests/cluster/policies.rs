//! Network policies on a real cluster: what must get through does, and nothing else. A cluster whose network enforces
//! none lets everything through, so `PGK_POLICIES=1` has to say that it does (in the lab, `measure/enforce.py`).

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::archive::{restore_test, wait_for_a_backup};
use crate::common::client::{RO, RW, idle_pod};
use crate::common::command::{SOON, at_the_end, eventually, expect, run, secs, within};
use crate::common::instance::{Delete, Instance, Pod};
use crate::restore::wait_for_the_store;

/// Whether the cluster is said to enforce policies; if not, what is not tried.
fn enforced(what: &str) -> bool {
    let is = std::env::var_os("PGK_POLICIES").is_some_and(|value| value == "1");
    if !is {
        println!(
            "not tried: network policies of {what} (PGK_POLICIES=1 says that the cluster enforces policies)"
        );
    }
    is
}

/// The settings of every test here. The pod of [`Instance::client`] carries this label.
const POLICIES: [&str; 3] =
    ["network-policy.enabled=true", "network-policy.egress=true", "network-policy.clients=app=client"];

/// A namespace with pods that must not get in, or should. Deleted at the end.
struct Strangers<'a> {
    pg: &'a Instance,
    /// Another namespace.
    elsewhere: String,
}

/// A pod that knocks.
struct Stranger {
    namespace: String,
    name: &'static str,
}

impl Stranger {
    /// Which of these ports answer it, of 2 s each.
    fn knock(&self, ports: &[String]) -> Result<BTreeSet<String>, String> {
        let script = "for to in \"$@\"; do
            (timeout 2 bash -c \": >/dev/tcp/${to%:*}/${to##*:}\" 2>/dev/null && echo \"$to\" || true) &
        done; wait";
        let mut kubectl = Command::new("kubectl");
        kubectl.args([
            "--namespace",
            &self.namespace,
            "exec",
            self.name,
            "--",
            "bash",
            "-c",
            script,
            "knock",
        ]);
        let answers = run(kubectl.args(ports), "", SOON)?.stdout;
        Ok(answers.lines().map(str::to_owned).collect())
    }
}

impl<'a> Strangers<'a> {
    /// Three pods: one of another namespace with the labels of a client, one with those of a member of another instance,
    /// and one that is on no list.
    fn start(pg: &'a Instance) -> (Self, [Stranger; 3]) {
        let elsewhere = format!("{}-elsewhere", pg.namespace);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}}).to_string();
        pg.send(&["create", "-f", "-"], &namespace);
        let strangers = Self { pg, elsewhere };
        let member = json!({
            "app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": "other",
            "cluster-name": "other-rw",
        });
        let elsewhere = strangers.elsewhere.as_str();
        let pods = [
            strangers.pod(elsewhere, "elsewhere", &json!({"app": "client"})),
            strangers.pod(&pg.namespace, "member-of-another", &member),
            strangers.pod(&pg.namespace, "stranger", &json!({"app": "stranger"})),
        ];
        for pod in &pods {
            let ready = ["wait", &format!("pod/{}", pod.name), "--for=condition=Ready", "--timeout=35s"];
            let mut kubectl = Command::new("kubectl");
            run(kubectl.args(["--namespace", &pod.namespace]).args(ready), "", SOON).expect("a pod is ready");
        }
        (strangers, pods)
    }

    fn pod(&self, namespace: &str, name: &'static str, labels: &Value) -> Stranger {
        let pod = idle_pod(name, labels, &self.pg.primary().image);
        let mut kubectl = Command::new("kubectl");
        let create = ["--namespace", namespace, "create", "-f", "-"];
        run(kubectl.args(create), &pod.to_string(), SOON).expect("a pod is made");
        Stranger { namespace: namespace.to_owned(), name }
    }
}

impl Drop for Strangers<'_> {
    fn drop(&mut self) {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["delete", "namespace", &self.elsewhere, "--wait=false", "--ignore-not-found"]);
        at_the_end("a namespace is left over", run(&mut kubectl, "", SOON).map(drop));
    }
}

/// The pods of the instance with their ports, `container PORT…`: each answers the pod itself, which no policy keeps from it.
fn doors(pg: &Instance, of: &[(&str, &str, &[u16])]) -> Vec<String> {
    let mut all = Vec::new();
    for (labels, container, ports) in of {
        let pods = pg.select(&format!("app.kubernetes.io/instance=pg,{labels}")).expect("pods");
        assert!(!pods.is_empty(), "no pod has {labels}");
        for Pod { name, address, .. } in &pods {
            for port in *ports {
                let knock = format!("timeout 2 bash -c ': >/dev/tcp/{address}/{port}'");
                let own =
                    ["exec", name, &format!("--container={container}"), "--", "bash", "-c", knock.as_str()];
                eventually(&format!("{name} itself gets in to {port}"), secs(20), || pg.kubectl(&own));
                all.push(format!("{address}:{port}"));
            }
        }
    }
    all
}

/// The table of what must not get through: nobody but the client gets in anywhere, and it to PostgreSQL alone.
fn only_the_client_gets_in(pg: &Instance, of: &[(&str, &str, &[u16])]) {
    let doors = doors(pg, of);
    let (_strangers, pods) = Strangers::start(pg);
    for pod in &pods {
        // Whoever enforces may be a second or two late to know a new pod.
        let closed = within(secs(20), || {
            let open = pod.knock(&doors)?;
            expect(open.is_empty(), format!("{open:?}"))
        });
        assert_eq!(closed, Ok(()), "{} gets in", pod.name);
        println!("{}: none of {} ports answers {}", pg.namespace, doors.len(), pod.name);
    }
    let client = pg.client();
    let knocks = Stranger { namespace: pg.namespace.clone(), name: "client" };
    let sql: BTreeSet<_> = doors.iter().filter(|door| door.ends_with(":5432")).cloned().collect();
    eventually("the client gets in to PostgreSQL, and to nothing else", secs(20), || {
        let open = knocks.knock(&doors)?;
        expect(open == sql, format!("{open:?}, not {sql:?}"))
    });
    client.fill();
    assert_eq!(client.sql(RO, "SELECT count(*) FROM numbers").expect("a read"), "100");
}

/// The primary is lost, and another takes its place: each connection that this takes gets through.
fn the_primary_is_lost(pg: &Instance) {
    let old = pg.primary();
    pg.delete_pod(&old, Delete::ByForce);
    eventually("another primary", secs(90), || {
        let now = pg.primary_now()?;
        expect(now.uid != old.uid, format!("{now:?}"))?;
        pg.sql(&now, "CREATE TABLE IF NOT EXISTS after_that (n int)").map(drop)
    });
    pg.wait_until_streaming(2);
    let (client, write) = (pg.client(), "CREATE TABLE IF NOT EXISTS afterwards (n int)");
    eventually("a write through the Service", secs(30), || client.sql(RW, write));
}

/// Whether it was tried.
pub(crate) fn of_q1() -> bool {
    if !enforced("Q1") {
        return false;
    }
    // Clients are all pods of the namespace at first, and then a list: a running instance is changed, and restarts nothing.
    let pg = Instance::start("policies-q1", &POLICIES[..2]);
    let client = pg.client();
    eventually("a client of the same namespace gets in", secs(20), || client.sql(RW, "SELECT 1"));
    drop(client);
    let before = pg.members().into_iter().map(|pod| pod.uid).collect::<Vec<_>>();
    pg.apply(&POLICIES);
    only_the_client_gets_in(
        &pg,
        &[("role=primary", "postgres", &[5432]), ("role=replica", "postgres", &[5432, 5433])],
    );
    assert_eq!(pg.members().into_iter().map(|pod| pod.uid).collect::<Vec<_>>(), before);
    true
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn q2_lets_nobody_in_but_clients() {
    if !enforced("Q2 by promotion") {
        return;
    }
    let pg = Instance::start_of("q2", "policies-q2", &POLICIES);
    only_the_client_gets_in(&pg, &[("cluster-name=pg-rw", "postgres", &[5432, 8008, 8010])]);
    the_primary_is_lost(&pg);
}

/// The same.
pub(crate) fn of_the_store() -> bool {
    if !enforced("Q2 by restore") {
        return false;
    }
    let pg =
        Instance::start_of("q2", "policies-restore", &[&POLICIES[..], &["q2.strategy=restore"]].concat());
    wait_for_the_store(&pg);
    let of: [(&str, &str, &[u16]); 3] = [
        ("role=primary", "postgres", &[5432]),
        ("role=replica", "postgres", &[5432, 5433]),
        ("role=store", "store", &[5434]),
    ];
    only_the_client_gets_in(&pg, &of);
    the_primary_is_lost(&pg);
    true
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn q3_lets_nobody_in_but_clients() {
    if !enforced("Q3") {
        return;
    }
    let pg = Instance::start_of("q3", "policies-q3", &POLICIES);
    let of: [(&str, &str, &[u16]); 2] = [
        ("cluster-name=pg-rw", "postgres", &[5432, 8008, 8010, 8432]),
        ("role=repository", "backrest", &[8432]),
    ];
    only_the_client_gets_in(&pg, &of);
    wait_for_a_backup(&pg);
    // From the repository, and with the primary's word: the job gets to both.
    let line = restore_test(&pg, "policies");
    assert!(line.ends_with("restore test: passed, 1 of 1 repositories"), "{line}");
    pg.kubectl(&["create", "job", "backup", "--from=cronjob/pg-backup-diff"]).expect("a backup");
    eventually("the backup's end", secs(120), || {
        let log = pg.kubectl(&["logs", "job/backup"])?;
        expect(log.contains("backup done in every repository"), log)
    });
}
