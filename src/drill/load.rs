//! The load: pods that write and read through the Services, and the rows that they leave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::{Cluster, Member};
use super::ledger::{self, Client, Connection, Heard, Stream, Work};
use crate::render::Renderer;
use crate::scenario::Names;

/// Seconds between two statements of a stream that keeps its connection.
const PAUSE: &str = "0.01";
/// The longest that a load pod may take to be ready.
const START: Duration = Duration::from_secs(90);
/// Seconds between two transactions of megabytes: with 4 MB each, the volumes fill by at most 8 MB a second.
const PAUSE_BULK: &str = "0.5";
/// Seconds between two statements of a stream on the node that is cut off: what answers there, not how fast.
const PAUSE_INSIDE: &str = "0.1";
/// The longest that a load pod may take to end its last statements: those that fail are tried for 6 s, and one of
/// megabytes takes up to 9 s.
const END: Duration = Duration::from_secs(30);

/// How streams connect, by the ends of their names.
const BOTH: [(&str, Connection); 2] = [("kept", Connection::Kept), ("new", Connection::New)];

/// The pods of one drill and what each runs.
pub(super) struct Load {
    pods: Vec<LoadPod>,
    /// How far each pod's clock was ahead of pgk's when the load started, in microseconds.
    clocks_ahead: BTreeMap<String, i64>,
    /// Who listens to the pods; they stop with the load.
    listeners: JoinSet<()>,
}

struct LoadPod {
    name: String,
    /// The node that it must run on; `None` for any that the event leaves alone.
    node: Option<String>,
    pause: &'static str,
    streams: Vec<Plan>,
    heard: Arc<Mutex<Heard>>,
}

/// A stream as `load.sh` takes it.
#[derive(Serialize)]
struct Plan {
    name: String,
    work: Work,
    connection: Connection,
    host: String,
    #[serde(skip)]
    client: Client,
}

/// What a client on the node of the primary uses, which is to be cut off.
pub(super) struct Inside<'a> {
    pub(super) node: &'a str,
    /// The address of the Service for writes. A name would have to be looked up, and nobody there answers.
    pub(super) service: &'a str,
    /// The primary's own address.
    pub(super) primary: &'a str,
}

impl LoadPod {
    /// On the node that is to be cut off: to the Service and to the primary's address.
    fn inside(nonce: &str, inside: &Inside<'_>) -> Self {
        let mut streams = Vec::new();
        for (name, work) in [("writer", Work::Write), ("reader", Work::ReadPrimary)] {
            let hosts =
                [("", inside.service, Client::Inside), ("-address", inside.primary, Client::InsideToAddress)];
            for (to, host, client) in hosts {
                streams.extend(BOTH.map(|(suffix, connection)| Plan {
                    name: format!("inside-{name}{to}-{suffix}"),
                    work,
                    connection,
                    host: host.to_owned(),
                    client,
                }));
            }
        }
        Self {
            name: format!("pgk-drill-{nonce}-inside"),
            node: Some(inside.node.to_owned()),
            pause: PAUSE_INSIDE,
            streams,
            heard: Arc::default(),
        }
    }
}

impl Load {
    /// Plans `writers` and `readers` pods, one that writes megabytes if it is to be, and one that is cut off with the
    /// primary where there is an `inside`.
    /// Nothing is created yet.
    pub(super) fn plan(
        names: &Names,
        writers: u16,
        readers: u16,
        bulk: bool,
        inside: Option<&Inside<'_>>,
    ) -> anyhow::Result<Self> {
        let nonce = Cluster::nonce()?;
        let pod = |kind: &str, number: u16, works: &[(&str, Work, &str)]| LoadPod {
            name: format!("pgk-drill-{nonce}-{kind}-{number}"),
            node: None,
            pause: PAUSE,
            streams: works
                .iter()
                .flat_map(|(name, work, host)| {
                    BOTH.map(|(suffix, connection)| Plan {
                        name: format!("{name}-{number}-{suffix}"),
                        work: *work,
                        connection,
                        host: (*host).to_owned(),
                        client: Client::Outside,
                    })
                })
                .collect(),
            heard: Arc::default(),
        };
        let of_a_writer = [("writer", Work::Write, names.rw.as_str())];
        let of_a_reader = [
            ("reader-rw", Work::ReadPrimary, names.rw.as_str()),
            ("reader-ro", Work::ReadReplica, names.ro.as_str()),
        ];
        let mut pods: Vec<_> = (1..=writers).map(|n| pod("writer", n, &of_a_writer)).collect();
        pods.extend((1..=readers).map(|n| pod("reader", n, &of_a_reader)));
        pods.extend(bulk.then(|| LoadPod {
            name: format!("pgk-drill-{nonce}-bulk"),
            node: None,
            pause: PAUSE_BULK,
            streams: vec![Plan {
                name: "bulk-kept".to_owned(),
                work: Work::Bulk,
                connection: Connection::Kept,
                host: names.rw.clone(),
                client: Client::Outside,
            }],
            heard: Arc::default(),
        }));
        pods.extend(inside.map(|inside| LoadPod::inside(&nonce, inside)));
        Ok(Self { pods, clocks_ahead: BTreeMap::new(), listeners: JoinSet::new() })
    }

    /// Makes the table and starts the pods, those that may run anywhere on `nodes` in turn.
    pub(super) async fn start(
        &mut self,
        cluster: &Cluster,
        primary: &Member,
        nodes: &[String],
    ) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Values<'a> {
            pod: &'a str,
            namespace: &'a str,
            name: &'a str,
            node: &'a str,
            image: &'a str,
            script: &'static str,
            pause: &'static str,
            streams: &'a [Plan],
            credentials: &'a str,
        }
        cluster.sql(&primary.pod, DROP).await.context("cannot prepare the drill's table")?;
        cluster.sql(&primary.pod, CREATE).await.context("cannot prepare the drill's table")?;
        let names = Names::of(&cluster.name);
        for (pod, node) in self.pods.iter().zip(nodes.iter().cycle()) {
            let values = Values {
                pod: &pod.name,
                namespace: &cluster.namespace,
                name: &cluster.name,
                node: pod.node.as_ref().unwrap_or(node),
                image: &primary.image,
                script: include_str!("../../templates/drill/load.sh"),
                pause: pod.pause,
                streams: &pod.streams,
                credentials: &names.credentials,
            };
            cluster.create_pod(Renderer::new(&values)?.render("drill/pod.yaml")?).await?;
        }
        let begin = Instant::now();
        loop {
            let ready = cluster.load_pods().await?;
            if self.pods.iter().all(|pod| ready.contains(&(pod.name.clone(), true))) {
                break;
            }
            if begin.elapsed() > START {
                bail!("the load pods are not ready after {START:?}");
            }
            sleep(Duration::from_millis(300)).await;
        }
        for pod in &self.pods {
            self.clocks_ahead.insert(pod.name.clone(), clock_ahead(cluster, &pod.name).await?);
            self.listeners.spawn(listen(cluster.clone(), pod.name.clone(), Arc::clone(&pod.heard)));
        }
        Ok(())
    }

    /// Whether each stream was heard to succeed.
    pub(super) fn has_begun(&self) -> bool {
        self.pods.iter().all(|pod| {
            let heard = lock(&pod.heard);
            pod.streams.iter().all(|stream| heard.successes(&stream.name) > 0)
        })
    }

    /// Whether any stream was heard to succeed.
    pub(super) fn has_reached_anybody(&self) -> bool {
        self.pods.iter().any(|pod| {
            let heard = lock(&pod.heard);
            pod.streams.iter().any(|stream| heard.successes(&stream.name) > 0)
        })
    }

    /// How many successes were heard of each stream that uses the Service on the node that is cut off.
    pub(super) fn successes_inside(&self) -> Vec<usize> {
        let inside = self.pods.iter().flat_map(|pod| {
            let heard = lock(&pod.heard);
            let streams = pod.streams.iter().filter(|stream| stream.client == Client::Inside);
            streams.map(|stream| heard.successes(&stream.name)).collect::<Vec<_>>()
        });
        inside.collect()
    }

    /// How many statements of the writers were heard of.
    pub(super) fn writes(&self) -> usize {
        let writers = self.pods.iter().filter(|pod| pod.name.contains("-writer-"));
        writers.map(|pod| lock(&pod.heard).count()).sum()
    }

    /// Stops the load, and waits a little until each pod has said that it has ended.
    pub(super) async fn stop(&self, cluster: &Cluster) {
        let begin = Instant::now();
        while begin.elapsed() < END {
            let mut on = self.pods.iter().filter(|pod| !lock(&pod.heard).ended()).peekable();
            if on.peek().is_none() {
                break;
            }
            for pod in on {
                // If this failed, the stream's log shows it.
                let _ = cluster.exec(&pod.name, "load", &["touch", "/ledger/stop"]).await;
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// What was heard of the load, each stream with its name and its lines.
    pub(super) fn heard(&self) -> Vec<(Stream, (String, String))> {
        let mut streams = Vec::new();
        for pod in &self.pods {
            let clock_ahead = self.clocks_ahead.get(&pod.name).copied().unwrap_or_default();
            let heard = lock(&pod.heard);
            for Plan { name, work, connection, client, .. } in &pod.streams {
                let text = heard.of(name);
                let stream = ledger::parse(name, *work, *connection, &text);
                let stream = Stream { client: *client, clock_ahead, cut: !heard.ended(), ..stream };
                streams.push((stream, (name.clone(), text)));
            }
        }
        streams
    }

    /// Removes the pods and the table; what could not be removed, and why.
    pub(super) async fn remove(&self, cluster: &Cluster) -> Vec<String> {
        let mut left = Vec::new();
        for pod in &self.pods {
            if let Err(error) = cluster.delete_pod(&pod.name, true).await {
                left.push(format!("the pod {} is left over: {error:#}", pod.name));
            }
        }
        let dropped = async {
            let members = cluster.members().await?;
            let state = cluster.state(&members).await.context("there is no primary that answers")?;
            cluster.sql(&state.primary, DROP).await
        };
        if let Err(error) = dropped.await {
            left.push(format!("the schema pgk_drill in the database postgres is left over: {error:#}"));
        }
        left
    }
}

/// How far a pod's wall clock is ahead of pgk's, in microseconds, by the quickest of a few answers; 0 where that is no more
/// than the time that the answer took.
async fn clock_ahead(cluster: &Cluster, pod: &str) -> anyhow::Result<i64> {
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..3 {
        let before = wall();
        let there = cluster.exec(pod, "load", &["bash", "-c", "echo ${EPOCHREALTIME/[.,]/}"]).await?;
        let took = wall() - before;
        let there: i64 = there.trim().parse().context("the load pod tells no time")?;
        // The answer was given at some time between the question and now.
        let ahead = there - (before + took / 2);
        best = best.min(Some((took, ahead))).or(Some((took, ahead)));
    }
    Ok(best.filter(|(took, ahead)| ahead.abs() > took / 2).map_or(0, |(_, ahead)| ahead))
}

const DROP: &str = "SET client_min_messages = warning; DROP SCHEMA IF EXISTS pgk_drill CASCADE";
// No primary key: a row that appears twice is to be seen.
const CREATE: &str = "CREATE SCHEMA pgk_drill; CREATE TABLE pgk_drill.rows (stream text, n bigint); \
    CREATE TABLE pgk_drill.bulk (filler text)";

/// Prints the ledger, and then what is added to it.
const LISTEN: [&str; 6] = ["tail", "-n", "+1", "--follow=name", "--retry", "/ledger/ledger"];

/// Hears what a load pod writes down, for as long as the task lives.
async fn listen(cluster: Cluster, pod: String, heard: Arc<Mutex<Heard>>) {
    loop {
        // The connection ends when a node or a network is lost: connect again.
        let _ = cluster.lines(&pod, "load", &LISTEN, |line| lock(&heard).hear(line)).await;
        sleep(Duration::from_millis(300)).await;
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds since 1970, by this machine's clock.
pub(super) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_writer_of_megabytes() {
        let works = |bulk| {
            let load = Load::plan(&Names::of("pg"), 1, 1, bulk, None).unwrap();
            let streams = load.pods.iter().flat_map(|pod| &pod.streams);
            streams.map(|plan| (plan.name.clone(), plan.work, plan.host.clone())).collect::<Vec<_>>()
        };
        let bulk = ("bulk-kept".to_owned(), Work::Bulk, "pg-rw".to_owned());
        assert_eq!(works(true), [works(false), vec![bulk]].concat());
    }
}
