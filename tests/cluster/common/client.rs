//! A client inside the cluster: a pod with `psql`, which knows the application's password.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::command::{at_the_end, eventually, expect, seconds};
use super::instance::{Instance, Pod};

/// The Service that leads to the primary.
pub(crate) const RW: &str = "pg-rw";
/// The Service that leads to the replicas.
pub(crate) const RO: &str = "pg-ro";
/// How many rows there are in `numbers`.
pub(crate) const ROWS: u32 = 100;

/// The client's pod.
pub(crate) struct Client<'a> {
    instance: &'a Instance,
    name: &'static str,
}

/// A pod that does nothing until something is run in it, under the `restricted` Pod Security.
pub(crate) fn idle_pod(name: &str, labels: &Value, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 999, "runAsGroup": 999,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "client",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sleep", "infinity"],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

impl<'a> Client<'a> {
    /// Starts a pod of this name on the node of another.
    pub(crate) fn start(instance: &'a Instance, name: &'static str, beside: &Pod) -> Self {
        let mut pod = idle_pod(name, &json!({"app": name}), &beside.image);
        pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": beside.node});
        pod["spec"]["containers"][0]["env"] = json!([
            {"name": "PGUSER", "value": "app"},
            {"name": "PGDATABASE", "value": "app"},
            {"name": "PGCONNECT_TIMEOUT", "value": "2"},
            {"name": "PGPASSWORD", "valueFrom": {
                "secretKeyRef": {"name": "pg-credentials", "key": "app-password"},
            }},
        ]);
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

    /// Makes the table `numbers` anew with 1 to [`ROWS`] in it, and waits until every replica shows them.
    pub(crate) fn fill(&self) {
        self.sql(RW, "DROP TABLE IF EXISTS numbers").expect("the old table goes");
        self.sql(RW, "CREATE TABLE numbers (n int PRIMARY KEY)").expect("the table is made");
        self.sql(RW, &format!("INSERT INTO numbers SELECT generate_series(1, {ROWS})"))
            .expect("rows are written");
        for replica in self.instance.replicas() {
            eventually("the rows on each replica", Duration::from_secs(10), || {
                let count = self.sql(&replica.address, "SELECT count(*) FROM numbers")?;
                expect(count == ROWS.to_string(), count)
            });
        }
    }

    /// Reads `numbers` over and over, until told to stop; it has begun.
    pub(crate) fn keep_reading(&self) -> Repeated<'_> {
        let reading = self.repeat(RO, "SELECT count(*) FROM numbers");
        reading.goes_on();
        reading
    }

    /// The same, and writes 1, 2, … into a new table.
    pub(crate) fn load(&self) -> Load<'_> {
        let table = format!("written_by_{}", self.name);
        self.sql(RW, &format!("CREATE TABLE IF NOT EXISTS {table} (n int PRIMARY KEY)"))
            .expect("the table is made");
        self.sql(RW, &format!("TRUNCATE {table}")).expect("the table is emptied");
        let writing = self.repeat(RW, &format!("INSERT INTO {table} VALUES (%n)"));
        let load = Load { client: self, reading: self.keep_reading(), writing };
        load.goes_on();
        load
    }

    /// What this client was told is written, and is not there.
    fn lost(&self, writes: &Course) -> Vec<u32> {
        let rows = format!("SELECT n FROM written_by_{}", self.name);
        let rows = self.instance.sql(&self.instance.primary(), &rows).expect("the rows");
        let rows: BTreeSet<u32> = rows.lines().map(|n| n.parse().expect("a number")).collect();
        writes.done.iter().map(|(n, _)| *n).filter(|n| !rows.contains(n)).collect()
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
            until [ -e "$file.stop" ]; do
                [ "$SECONDS" -lt 900 ] || { now; echo expired; exit; }
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
        let command = ["delete", "pod", self.name, "--ignore-not-found", "--grace-period=0", "--force"];
        at_the_end("the client is left over", self.instance.kubectl(&command).map(drop));
    }
}

/// A statement that is being repeated.
pub(crate) struct Repeated<'a> {
    client: &'a Client<'a>,
    file: String,
}

impl Repeated<'_> {
    /// Waits until it has been done some more times.
    fn goes_on(&self) {
        let count = || -> Result<u32, String> {
            let count = format!("grep -c '^[0-9]* done ' {} || true", self.file);
            self.client.bash(&count)?.parse().map_err(|error| format!("no number: {error}"))
        };
        let before = eventually("how often it was done", Duration::from_secs(20), count);
        eventually("the client goes on", Duration::from_secs(60), || {
            let now = count()?;
            expect(now >= before + 10, format!("done {before} times before, {now} times now"))
        });
    }

    /// Ends it; how it went.
    pub(crate) fn stop(self) -> Course {
        let file = &self.file;
        self.client.bash(&format!("touch {file}.stop")).expect("the client is told to stop");
        Course::read(&eventually("the client's end", Duration::from_secs(20), || {
            let course = self.client.bash(&format!("cat {file}"))?;
            expect(course.ends_with("end") || course.ends_with("expired"), "it goes on").map(|()| course)
        }))
    }
}

/// Reads and writes that are being repeated.
pub(crate) struct Load<'a> {
    client: &'a Client<'a>,
    reading: Repeated<'a>,
    writing: Repeated<'a>,
}

impl Load<'_> {
    /// Waits until more was read and written.
    pub(crate) fn goes_on(&self) {
        self.reading.goes_on();
        self.writing.goes_on();
    }

    /// Waits for that, and ends them; how they went. The primary answers.
    pub(crate) fn stop(self) -> Courses {
        self.goes_on();
        let (reads, writes) = (self.reading.stop(), self.writing.stop());
        let lost = self.client.lost(&writes);
        Courses { reads, writes, lost }
    }
}

/// How reads and writes went.
pub(crate) struct Courses {
    pub(crate) reads: Course,
    pub(crate) writes: Course,
    /// What was acknowledged and is not there.
    pub(crate) lost: Vec<u32>,
}

impl fmt::Display for Courses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "writes: {}; reads: {}", self.writes, self.reads)
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
    pub(crate) fn read(output: &str) -> Self {
        assert!(!output.ends_with("expired"), "the client ended by itself: what came then is not known");
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

    /// Whether it was done often enough to tell something.
    pub(crate) fn is_enough(&self) -> bool {
        self.done.len() >= 10
    }

    /// The answers that were not [`ROWS`].
    pub(crate) fn wrong_answers(&self) -> Vec<&str> {
        let rows = ROWS.to_string();
        self.done.iter().map(|(_, answer)| answer.as_str()).filter(|answer| *answer != rows).collect()
    }

    /// How it went, and the last failures.
    pub(crate) fn at_length(&self) -> String {
        let last: Vec<_> = self.failures.iter().rev().take(20).collect();
        format!("{self}; the last failures: {last:#?}")
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, failures, longest_gap } = self;
        write!(f, "longest gap {} ({} done, {} failed)", seconds(*longest_gap), done.len(), failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_is_read() {
        let course = "1000000 begin
1200000 done 1 100
1300000 failed 2 psql: error: connection to server at \"pg-ro\"
2900000 failed 3 timeout
3000000 done 4 99
3100000 done 5 x
7400000 failed 6 psql: error
7500000 end";
        let course = Course::read(course);
        assert_eq!(course.longest_gap, Duration::from_millis(4400), "also one that has not ended");
        assert_eq!(course.done, [(1, "100".to_owned()), (4, "99".to_owned()), (5, "x".to_owned())]);
        assert_eq!(
            (course.failures.len(), course.wrong_answers(), course.is_enough()),
            (3, vec!["99", "x"], false)
        );
        assert_eq!(Course::read("1 begin\n5000001 end").longest_gap, Duration::from_secs(5));
    }

    #[test]
    #[should_panic(expected = "the client ended by itself")]
    fn a_client_that_ends_by_itself() {
        Course::read("1000000 begin\n1200000 done 1 100\n900000000 expired");
    }
}
