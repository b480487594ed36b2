//! The load: pods that write and read through the Services, and the rows that they leave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::cluster::{Cluster, Member};
use super::ledger::{self, Connection, Heard, Stream, Work};
use crate::render::Renderer;
use crate::scenario::Names;

/// Seconds between two statements of a stream that keeps its connection.
const PAUSE: &str = "0.004";
/// The longest that a load pod may take to be ready.
const START: Duration = Duration::from_secs(90);
/// The longest that a load pod may take to end its last statements.
const END: Duration = Duration::from_secs(15);

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
    streams: Vec<Plan>,
    heard: Arc<Mutex<Heard>>,
}

/// A stream as `load.sh` takes it.
#[derive(Serialize)]
struct Plan {
    name: String,
    work: Work,
    connection: Connection,
}

impl Load {
    /// Plans `writers` and `readers` pods. Nothing is created yet.
    pub(super) fn plan(writers: u8, readers: u8) -> anyhow::Result<Self> {
        let nonce = Cluster::nonce()?;
        let pod = |kind: &str, number: u8, works: &[(&str, Work)]| {
            let streams = works.iter().flat_map(|(name, work)| {
                [("kept", Connection::Kept), ("new", Connection::New)].map(|(suffix, connection)| Plan {
                    name: format!("{name}-{number}-{suffix}"),
                    work: *work,
                    connection,
                })
            });
            LoadPod {
                name: format!("pgk-drill-{nonce}-{kind}-{number}"),
                streams: streams.collect(),
                heard: Arc::default(),
            }
        };
        let mut pods: Vec<_> = (1..=writers).map(|n| pod("writer", n, &[("writer", Work::Write)])).collect();
        let reads = [("reader-rw", Work::ReadPrimary), ("reader-ro", Work::ReadReplica)];
        pods.extend((1..=readers).map(|n| pod("reader", n, &reads)));
        Ok(Self { pods, clocks_ahead: BTreeMap::new(), listeners: JoinSet::new() })
    }

    /// Makes the table and starts the pods on `nodes`, in turn.
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
            rw: &'a str,
            ro: &'a str,
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
                node,
                image: &primary.image,
                script: include_str!("../../templates/drill/load.sh"),
                pause: PAUSE,
                streams: &pod.streams,
                rw: &names.rw,
                ro: &names.ro,
                credentials: &names.credentials,
            };
            cluster.create_pod(Renderer::new(&values, Vec::new())?.render("drill/pod.yaml")?).await?;
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
            let before = wall();
            let there =
                cluster.exec(&pod.name, "load", &["bash", "-c", "echo ${EPOCHREALTIME/[.,]/}"]).await?;
            // The answer was given about half-way between the question and now.
            let here = before + (wall() - before) / 2;
            let there: i64 = there.trim().parse().context("the load pod tells no time")?;
            self.clocks_ahead.insert(pod.name.clone(), there - here);
            self.listeners.spawn(listen(cluster.clone(), pod.name.clone(), Arc::clone(&pod.heard)));
        }
        Ok(())
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
                // Whether it was told shows in what is heard of it.
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
            for Plan { name, work, connection } in &pod.streams {
                let text = heard.of(name);
                let stream = ledger::parse(name, *work, *connection, &text);
                streams.push((Stream { clock_ahead, cut: !heard.ended(), ..stream }, (name.clone(), text)));
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

const DROP: &str = "SET client_min_messages = warning; DROP SCHEMA IF EXISTS pgk_drill CASCADE";
// No primary key: a row that appears twice is to be seen.
const CREATE: &str = "CREATE SCHEMA pgk_drill; CREATE TABLE pgk_drill.rows (stream text, n bigint)";

/// Prints the ledger, and then what is added to it.
const LISTEN: &str = "exec 3</ledger/ledger && while cat <&3; do sleep 0.2; done";

/// Hears what a load pod writes down, for as long as the task lives.
async fn listen(cluster: Cluster, pod: String, heard: Arc<Mutex<Heard>>) {
    loop {
        // An end is a node or a network that went away: it starts again.
        let _ = cluster.lines(&pod, "load", &["bash", "-c", LISTEN], |line| lock(&heard).hear(line)).await;
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
