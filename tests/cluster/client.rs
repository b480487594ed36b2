//! A client inside the cluster: a pod with `psql`, which knows the application's password.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use super::command::{eventually, expect, seconds};
use super::instance::{Instance, Pod};

/// The Service that leads to the primary.
pub(crate) const RW: &str = "pg-rw";
/// The Service that leads to the replicas.
pub(crate) const RO: &str = "pg-ro";

/// The client's pod.
pub(crate) struct Client<'a> {
    instance: &'a Instance,
    name: &'static str,
}

impl<'a> Client<'a> {
    /// Starts a pod of this name on the node of another.
    pub(crate) fn start(instance: &'a Instance, name: &'static str, beside: &Pod) -> Self {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": beside.node},
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "client",
                    "image": beside.image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "infinity"],
                    "env": [
                        {"name": "PGUSER", "value": "app"},
                        {"name": "PGDATABASE", "value": "app"},
                        {"name": "PGCONNECT_TIMEOUT", "value": "2"},
                        {"name": "PGPASSWORD", "valueFrom": {
                            "secretKeyRef": {"name": "pg-credentials", "key": "app-password"},
                        }},
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        });
        instance.send(&["create", "-f", "-"], &pod.to_string());
        let limit = Duration::from_secs(60);
        instance
            .kubectl_for(limit, &["wait", &format!("pod/{name}"), "--for=condition=Ready", "--timeout=55s"])
            .expect("the client is ready");
        Self { instance, name }
    }

    /// What a script in the client's pod prints.
    pub(crate) fn bash(&self, script: &str) -> Result<String, String> {
        self.instance
            .kubectl(&["exec", self.name, "--", "bash", "-euc", script])
            .map(|printed| printed.trim_end().to_owned())
    }

    /// The answer to an SQL statement sent to a host as the application.
    pub(crate) fn sql(&self, host: &str, statement: &str) -> Result<String, String> {
        let psql = ["timeout", "10", "psql", "-qAtX", "--host", host, "--command", statement];
        self.instance
            .kubectl(&[&["exec", self.name, "--"], &psql[..]].concat())
            .map(|printed| printed.trim_end().to_owned())
    }

    /// Makes the table `numbers` anew with 1 to `last` in it, and waits until every replica shows them.
    pub(crate) fn fill(&self, last: u32) {
        self.sql(RW, "DROP TABLE IF EXISTS numbers").expect("the old table goes");
        self.sql(RW, "CREATE TABLE numbers (n int PRIMARY KEY)").expect("the table is made");
        self.sql(RW, &format!("INSERT INTO numbers SELECT generate_series(1, {last})"))
            .expect("rows are written");
        for replica in self.instance.replicas() {
            eventually("the rows on each replica", Duration::from_secs(10), || {
                let count = self.sql(&replica.address, "SELECT count(*) FROM numbers")?;
                if count == last.to_string() { Ok(()) } else { Err(count) }
            });
        }
    }

    /// Reads `numbers` over and over, until told to stop.
    pub(crate) fn keep_reading(&self) -> Repeated<'_> {
        self.repeat(RO, "SELECT count(*) FROM numbers")
    }

    /// Writes 1, 2, … into a new table, until told to stop.
    pub(crate) fn keep_writing(&self) -> Repeated<'_> {
        let table = format!("written_by_{}", self.name);
        self.sql(RW, &format!("CREATE TABLE IF NOT EXISTS {table} (n int PRIMARY KEY)"))
            .expect("the table is made");
        self.sql(RW, &format!("TRUNCATE {table}")).expect("the table is emptied");
        self.repeat(RW, &format!("INSERT INTO {table} VALUES (%n)"))
    }

    /// Fails the test if a row is missing that this client was told is written.
    pub(crate) fn assert_kept(&self, writes: &Course) {
        let rows = format!("SELECT n FROM written_by_{}", self.name);
        let rows = self.instance.sql(&self.instance.primary(), &rows).expect("the rows");
        let rows: BTreeSet<u32> = rows.lines().map(|n| n.parse().expect("a number")).collect();
        let lost: Vec<_> = writes.done.iter().filter(|(n, _)| !rows.contains(n)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    /// Some ten times a second, with a new connection each time, sends a statement to a host. `%n` in it
    /// stands for 1, 2, … It is written down in the pod, so it goes on while the API server is away.
    fn repeat(&self, host: &str, statement: &str) -> Repeated<'_> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let file = format!("/tmp/course-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let script = r#"
            host=$1 statement=$2 file=$3 n=0
            now() { echo -n "${EPOCHREALTIME/[.,]/} "; }
            now; echo begin
            until [ -e "$file.stop" ] || [ "$SECONDS" -ge 400 ]; do
                n=$((n + 1)) outcome=failed
                ! answer=$(timeout 5 psql -qAtX --host "$host" --command "${statement//%n/$n}" 2>&1) || outcome=done
                now; echo "$outcome $n ${answer//$'\n'/ }"
                sleep 0.1
            done
            now; echo end"#;
        let detached = r#"script=$1; shift; setsid bash -c "$script" repeat "$@" >"$3" 2>&1 </dev/null &"#;
        self.instance
            .kubectl(
                &[
                    &["exec", self.name, "--", "bash", "-c", detached, "detached", script][..],
                    &[host, statement, &file],
                ]
                .concat(),
            )
            .expect("the client begins");
        Repeated { client: self, file }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        if let Err(error) =
            self.instance.kubectl(&["delete", "pod", self.name, "--grace-period=0", "--force"])
        {
            println!("the client {} is left over: {error}", self.name);
        }
    }
}

/// A statement that is being repeated.
pub(crate) struct Repeated<'a> {
    client: &'a Client<'a>,
    file: String,
}

impl Repeated<'_> {
    /// Ends it; how it went.
    pub(crate) fn stop(self) -> Course {
        let file = &self.file;
        self.client.bash(&format!("touch {file}.stop")).expect("the client is told to stop");
        Course::read(&eventually("the client's end", Duration::from_secs(20), || {
            let course = self.client.bash(&format!("cat {file}"))?;
            expect(course.ends_with("end"), "it goes on").map(|()| course)
        }))
    }
}

/// How a repeated statement went.
pub(crate) struct Course {
    /// The number and the answer of each time that it was done.
    pub(crate) done: Vec<(u32, String)>,
    /// The longest time without one that was done.
    pub(crate) longest_gap: Duration,
    failures: Vec<String>,
}

impl Course {
    fn read(output: &str) -> Self {
        let (mut done, mut failures, mut longest_gap) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut last_done = None;
        for line in output.lines() {
            let (at, what) = line.split_once(' ').expect("a time and what happened then");
            let at = Duration::from_micros(at.parse().expect("microseconds"));
            let mut words = what.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("done"), Some(n), Some(answer)) => {
                    done.push((n.parse().expect("a number"), answer.to_owned()));
                }
                (Some("failed"), ..) => {
                    failures.push(line.to_owned());
                    continue;
                }
                (Some("begin" | "end"), ..) => {}
                _ => panic!("the client printed: {line}"),
            }
            longest_gap = longest_gap.max(at.saturating_sub(last_done.unwrap_or(at)));
            last_done = Some(at);
        }
        Self { done, longest_gap, failures }
    }

    /// Fails the test if it was not done for longer than `limit`, or if hardly anything was done at all.
    pub(crate) fn assert_gap(&self, limit: Duration) {
        let last: Vec<_> = self.failures.iter().rev().take(20).collect();
        assert!(self.longest_gap <= limit, "{self}, more than {limit:?}; the last failures: {last:#?}");
        assert!(self.done.len() >= 10, "{self}");
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, failures, longest_gap } = self;
        write!(f, "longest gap {} ({} done, {} failed)", seconds(*longest_gap), done.len(), failures.len())
    }
}
