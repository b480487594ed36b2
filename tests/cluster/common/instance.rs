//! An instance of PostgreSQL rendered by `pgk`, in a namespace of its own.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::Client;
use super::command::{Printed, SOON, at_the_end, eventually, expect, output, run, within};

/// The tests lose nodes and measure outages, so they run one after another.
static TURN: Mutex<()> = Mutex::new(());

/// A namespace with one instance. Deleted at the end of the test, also when the test fails.
pub(crate) struct Instance {
    pub(crate) namespace: String,
    scenario: &'static str,
    began: Instant,
    _turn: MutexGuard<'static, ()>,
}

/// A pod as it was when asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) address: String,
    pub(crate) node: String,
    pub(crate) image: String,
    pub(crate) ready: bool,
    pub(crate) restarts: u64,
    terminating: bool,
}

/// How to delete a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delete {
    /// As a node drain or a rollout does.
    Gracefully,
    /// Without waiting for its end: `--grace-period=0 --force`.
    ByForce,
}

impl Instance {
    /// A new, empty namespace that enforces the `restricted` Pod Security level, with the Secret in it.
    pub(crate) fn prepare(test: &str) -> Self {
        Self::prepare_for("q1", test)
    }

    /// The same, for an instance of another scenario than Q1.
    pub(crate) fn prepare_for(scenario: &'static str, test: &str) -> Self {
        Self::prepare_with(scenario, test, &[], &[])
    }

    /// The same, with the Secrets that these settings need, made from these environment variables.
    pub(crate) fn prepare_with(
        scenario: &'static str,
        test: &str,
        settings: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let cluster = std::env::var("KUBECONFIG").unwrap_or_default();
        assert!(!cluster.is_empty(), "KUBECONFIG is not set: there is no cluster to test on");
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let namespace = format!("pgk-test-{}-{}", test.replace('_', "-"), std::process::id());
        let instance = Self { namespace, scenario, began: Instant::now(), _turn: turn };
        let namespace = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": instance.namespace, "labels": {
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            }},
        });
        instance.send(&["create", "-f", "-"], &namespace.to_string());
        instance.send(&["create", "-f", "-"], &instance.pgk(&["secret", scenario], settings, environment));
        instance
    }

    /// An instance with these settings (`key=value`), every member of it ready and streaming.
    pub(crate) fn start(test: &str, settings: &[&str]) -> Self {
        Self::start_of("q1", test, settings)
    }

    /// The same, of another scenario than Q1.
    pub(crate) fn start_of(scenario: &'static str, test: &str, settings: &[&str]) -> Self {
        let instance = Self::prepare_for(scenario, test);
        instance.apply(settings);
        instance.wait_until_streaming(2);
        instance
    }

    /// An instance of Q1 with so many replicas.
    pub(crate) fn start_with_replicas(test: &str, count: usize) -> Self {
        let instance = Self::prepare(test);
        instance.apply(&[&format!("replicas={count}")]);
        instance.wait_until_streaming(count);
        instance
    }

    /// Renders with these settings and applies; what kubectl printed, warnings included. The settings of `PGK_SETTINGS`,
    /// separated by commas, come before, so that all tests can be run with them.
    pub(crate) fn apply(&self, settings: &[&str]) -> Printed {
        let everywhere = std::env::var("PGK_SETTINGS").unwrap_or_default();
        let everywhere = everywhere.split(',').filter(|setting| !setting.is_empty());
        let settings: Vec<_> = everywhere.chain(settings.iter().copied()).collect();
        self.send(&["apply", "-f", "-"], &self.pgk(&["gen", self.scenario], &settings, &[]))
    }

    fn pgk(&self, arguments: &[&str], settings: &[&str], environment: &[(&str, &str)]) -> String {
        let mut pgk = Command::new(env!("CARGO_BIN_EXE_pgk"));
        pgk.envs(environment.iter().copied());
        pgk.args(arguments).args(["--namespace", &self.namespace]);
        for setting in settings {
            pgk.args(["--set", setting]);
        }
        run(&mut pgk, "", SOON).expect("pgk renders").stdout
    }

    /// `kubectl` in this namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.kubectl_for(SOON, arguments)
    }

    /// `kubectl` in this namespace, for something that takes longer.
    pub(crate) fn kubectl_for(&self, limit: Duration, arguments: &[&str]) -> Result<String, String> {
        run(Command::new("kubectl").args(["--namespace", &self.namespace]).args(arguments), "", limit)
            .map(|printed| printed.stdout)
    }

    /// The exit status of `kubectl` in this namespace, and what it printed.
    pub(crate) fn kubectl_status(&self, arguments: &[&str]) -> Result<(Option<i32>, Printed), String> {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--namespace", &self.namespace]).args(arguments);
        output(&mut kubectl, "", SOON).map(|(status, printed)| (status.code(), printed))
    }

    /// `kubectl` with an input, which must succeed.
    pub(crate) fn send(&self, arguments: &[&str], input: &str) -> Printed {
        run(Command::new("kubectl").args(["--namespace", &self.namespace]).args(arguments), input, SOON)
            .expect("kubectl succeeds")
    }

    fn pods(&self, role: &str) -> Result<Vec<Pod>, String> {
        self.select(&format!("role={role}"))
    }

    /// The pods with these labels, without those that are about to end.
    pub(crate) fn select(&self, labels: &str) -> Result<Vec<Pod>, String> {
        let list = self.kubectl(&["get", "pods", "--selector", labels, "--output=json"])?;
        let list: Value = serde_json::from_str(&list).map_err(|error| error.to_string())?;
        let pods = list["items"].as_array().into_iter().flatten().map(Pod::read);
        Ok(pods.filter(|pod| !pod.terminating).collect())
    }

    /// The primary's pod, for which it waits a little.
    pub(crate) fn primary(&self) -> Pod {
        eventually("the primary's pod", SOON, || self.primary_now())
    }

    /// The primary's pod, if there is one: for a wait that is longer.
    pub(crate) fn primary_now(&self) -> Result<Pod, String> {
        self.pods("primary")?.pop().ok_or("there is none that is not terminating".to_owned())
    }

    /// The pods of the replicas, without those that are about to end.
    pub(crate) fn replicas(&self) -> Vec<Pod> {
        eventually("the replicas' pods", SOON, || self.pods("replica"))
    }

    /// The pods of all members, without those that are about to end.
    pub(crate) fn members(&self) -> Vec<Pod> {
        [vec![self.primary()], self.replicas()].concat()
    }

    /// The same, if there is a primary: for a wait that is longer.
    pub(crate) fn members_now(&self) -> Result<Vec<Pod>, String> {
        Ok([vec![self.primary_now()?], self.replicas()].concat())
    }

    /// The pod as it is now, if it is still there.
    pub(crate) fn look_at(&self, pod: &Pod) -> Result<Pod, String> {
        let now = self.kubectl(&["get", "pod", &pod.name, "--output=json"])?;
        let now: Value = serde_json::from_str(&now).map_err(|error| error.to_string())?;
        Ok(Pod::read(&now))
    }

    /// Waits until the primary is ready and `count` replicas are, each of them streaming; their pods.
    pub(crate) fn wait_until_streaming(&self, count: usize) -> Vec<Pod> {
        self.wait_until_streaming_without(count, |_| false, Duration::from_secs(120))
    }

    /// The same, with a limit of time, and with none of the replicas that are `lost`.
    pub(crate) fn wait_until_streaming_without(
        &self,
        count: usize,
        lost: impl Fn(&Pod) -> bool,
        limit: Duration,
    ) -> Vec<Pod> {
        eventually(&format!("a primary and {count} replicas that stream"), limit, || {
            self.assert_images();
            let replicas = self.pods("replica")?;
            let [primary] = &self.pods("primary")?[..] else {
                return Err("no primary".to_owned());
            };
            let names: BTreeSet<&str> = replicas.iter().map(|pod| pod.name.as_str()).collect();
            let all_ready = replicas.iter().chain([primary]).all(|pod| pod.ready);
            let pods = || format!("{primary:?} {replicas:?}");
            expect(names.len() == count && all_ready && !replicas.iter().any(&lost), pods())?;
            // A pg_basebackup streams, too, from a slot of its own, and so does the store of Q2 by restore.
            let streaming = self.sql(
                primary,
                "SELECT application_name FROM pg_stat_replication JOIN pg_replication_slots ON active_pid = pid
                WHERE state = 'streaming' AND slot_name NOT LIKE 'pg_basebackup%' AND slot_name <> 'walstore'",
            )?;
            let streaming: BTreeSet<&str> = streaming.lines().collect();
            expect(streaming == names, format!("these stream: {streaming:?}, of these: {names:?}"))?;
            Ok(replicas)
        })
    }

    /// Fails the test at once if a node lacks an image, for which nobody need wait.
    fn assert_images(&self) {
        let why = "--output=jsonpath={..state.waiting}";
        let waiting = self.kubectl(&["get", "pods", why]).unwrap_or_default();
        let lacks = ["ErrImageNeverPull", "ImagePullBackOff"].iter().any(|why| waiting.contains(why));
        assert!(!lacks, "the cluster lacks an image: {waiting}");
    }

    /// Waits until a pod is ready, or until it is not.
    pub(crate) fn wait_until_ready(&self, pod: &Pod, ready: bool, limit: Duration) {
        eventually(&format!("{} with ready = {ready}", pod.name), limit, || {
            let now = self.look_at(pod)?;
            expect(now.ready == ready, format!("{now:?}"))
        });
    }

    /// What a shell in a pod's container prints.
    pub(crate) fn shell(&self, pod: &Pod, script: &str) -> Result<String, String> {
        self.kubectl(&["exec", &pod.name, "--container=postgres", "--", "bash", "-euc", script])
            .map(|printed| printed.trim_end().to_owned())
    }

    /// The answer to an SQL statement in the application's database, asked in the pod as the superuser.
    pub(crate) fn sql(&self, pod: &Pod, statement: &str) -> Result<String, String> {
        self.sql_in(pod, "app", statement)
    }

    /// The same, in another database.
    pub(crate) fn sql_in(&self, pod: &Pod, database: &str, statement: &str) -> Result<String, String> {
        let psql = ["--", "psql", "--no-psqlrc", "-qAtX", "--dbname", database, "--command", statement];
        self.kubectl(&[&["exec", &pod.name, "--container=postgres"], &psql[..]].concat())
            .map(|printed| printed.trim_end().to_owned())
    }

    /// What the pod's container has logged since it started.
    pub(crate) fn log(&self, pod: &Pod) -> Result<String, String> {
        self.kubectl(&["logs", &pod.name, "--container=postgres"])
    }

    /// The first line with `words` in the pod's log.
    pub(crate) fn logged(&self, pod: &Pod, words: &str) -> Result<String, String> {
        let log = self.log(pod)?;
        log.lines().find(|line| line.contains(words)).map(str::to_owned).ok_or(log)
    }

    /// Waits for such a line.
    pub(crate) fn wait_for_log(&self, pod: &Pod, words: &str, limit: Duration) -> String {
        eventually(&format!("`{words}` in the log of {}", pod.name), limit, || self.logged(pod, words))
    }

    /// Makes the primary write some 10 MB of WAL and a checkpoint, so many times.
    pub(crate) fn write_wal(&self, times: u32) {
        let script = format!(
            "sql() {{ psql --no-psqlrc -qAtX --dbname=app \"$@\"; }}
            sql --command 'CREATE TABLE IF NOT EXISTS filler (text text)'
            for _ in {{1..{times}}}; do
                sql --command 'INSERT INTO filler SELECT repeat(md5(i::text), 30) FROM generate_series(1, 10000) i' \\
                    --command 'SELECT pg_switch_wal()' --command CHECKPOINT
            done"
        );
        self.shell(&self.primary(), &script).expect("the primary writes WAL");
    }

    /// Stops (`STOP`) or continues (`CONT`) the replica's process of this type (`walreceiver` receives its WAL, `startup`
    /// replays it); its id.
    pub(crate) fn signal(&self, replica: &Pod, backend_type: &str, signal: &str) -> String {
        let find = format!("SELECT pid FROM pg_stat_activity WHERE backend_type = '{backend_type}'");
        let id = self.sql(replica, &find).expect("the replica answers");
        assert!(!id.is_empty(), "{} has no {backend_type}", replica.name);
        // Bash's own kill: the image has no procps.
        self.shell(replica, &format!("kill -{signal} {id}")).expect("the signal is sent");
        id
    }

    /// Deletes a pod, without waiting for its end.
    pub(crate) fn delete_pod(&self, pod: &Pod, how: Delete) {
        let mut command = vec!["delete", "pod", &pod.name, "--wait=false"];
        if let Delete::ByForce = how {
            command.extend(["--grace-period=0", "--force"]);
        }
        self.kubectl(&command).expect("the pod is deleted");
    }

    /// A pod from which to reach PostgreSQL through the Services, on the primary's node: the tests of Q1 lose
    /// other nodes than that one.
    pub(crate) fn client(&self) -> Client<'_> {
        Client::start(self, "client", &self.primary())
    }

    /// Deletes the namespace, once the pods and volumes in it are gone: the namespace's own deletion looks
    /// only now and then whether something is left, and need not be waited for. A pod that does not end is deleted by
    /// force: a kubelet may be late, which is nothing that these tests are about.
    fn delete(&self) -> Result<(), String> {
        let slow = "statefulsets,deployments,pods,persistentvolumeclaims";
        let begun = Instant::now();
        let ended = within(Duration::from_secs(300), || {
            self.kubectl(&["delete", slow, "--all", "--grace-period=1", "--wait=false"])?;
            if begun.elapsed() > Duration::from_secs(120) {
                self.kubectl(&["delete", "pods", "--all", "--grace-period=0", "--force", "--wait=false"])?;
            }
            let left = self.kubectl(&["get", "pods,persistentvolumeclaims", "--output=name"])?;
            expect(left.is_empty(), format!("these are left: {left}"))
        });
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"])?;
        ended
    }

    /// What somebody needs to see who has to find out why a test failed.
    fn print_everything(&self) {
        println!("---- {}", self.namespace);
        let print = |arguments: &[&str]| match self.kubectl(arguments) {
            Ok(text) => println!("---- {}\n{text}", arguments.join(" ")),
            Err(error) if error.contains("previous terminated container") => {}
            Err(error) => println!("---- {error}"),
        };
        print(&["get", "pods,persistentvolumeclaims,endpointslices", "--output=wide"]);
        print(&["get", "events", "--sort-by=.lastTimestamp"]);
        let names = self.kubectl(&["get", "pods", "--selector=role", "--output=name"]).unwrap_or_default();
        for name in names.lines() {
            print(&["logs", name, "--tail=150"]);
            print(&["logs", name, "--tail=150", "--previous"]);
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_everything();
        }
        at_the_end("the namespace is left over", self.delete());
        println!("# {} took {} s", self.namespace, self.began.elapsed().as_secs());
    }
}

impl Pod {
    fn read(pod: &Value) -> Self {
        let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let conditions = pod["status"]["conditions"].as_array();
        Self {
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            address: text("/status/podIP"),
            node: text("/spec/nodeName"),
            image: text("/spec/containers/0/image"),
            ready: conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True"),
            restarts: pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default(),
            terminating: pod["metadata"].get("deletionTimestamp").is_some(),
        }
    }
}
