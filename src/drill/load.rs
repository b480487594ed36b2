//! The load: pods that write and read through the Services, and the rows that they leave.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio::time::sleep;

use super::cluster::{Cluster, Member};
use super::ledger::{self, Connection, Stream, Work};
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
}

struct LoadPod {
    name: String,
    streams: Vec<(String, Work, Connection)>,
}

impl Load {
    /// Plans `writers` and `readers` pods. Nothing is created yet.
    pub(super) fn plan(writers: u8, readers: u8) -> anyhow::Result<Self> {
        let nonce = Cluster::nonce()?;
        let pod = |kind: &str, number: u8, works: &[(&str, Work)]| {
            let streams = works.iter().flat_map(|(name, work)| {
                [("kept", Connection::Kept), ("new", Connection::New)]
                    .map(|(suffix, connection)| (format!("{name}-{number}-{suffix}"), *work, connection))
            });
            LoadPod { name: format!("pgk-drill-{nonce}-{kind}-{number}"), streams: streams.collect() }
        };
        let mut pods: Vec<_> = (1..=writers).map(|n| pod("writer", n, &[("writer", Work::Write)])).collect();
        let reads = [("reader-rw", Work::ReadPrimary), ("reader-ro", Work::ReadReplica)];
        pods.extend((1..=readers).map(|n| pod("reader", n, &reads)));
        Ok(Self { pods, clocks_ahead: BTreeMap::new() })
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
            streams: Vec<String>,
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
                streams: pod.streams.iter().map(argument).collect(),
                rw: &names.rw,
                ro: &names.ro,
                credentials: &names.credentials,
            };
            cluster.create_pod(&Renderer::new(&values, Vec::new())?.render("drill/pod.yaml")?).await?;
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
        }
        Ok(())
    }

    /// How many statements each write stream has behind it, added up.
    pub(super) async fn writes(&self, cluster: &Cluster) -> anyhow::Result<u64> {
        let mut sum = 0;
        for pod in self.pods.iter().filter(|pod| pod.name.contains("-writer-")) {
            let line = cluster.exec(&pod.name, "load", &["bash", "-c", "cat /ledger/*.log | wc -l"]).await?;
            sum += line.trim().parse::<u64>().unwrap_or_default();
        }
        Ok(sum)
    }

    /// Stops the load.
    pub(super) async fn stop(&self, cluster: &Cluster) -> anyhow::Result<()> {
        for pod in &self.pods {
            cluster.exec(&pod.name, "load", &["touch", "/ledger/stop"]).await?;
        }
        Ok(())
    }

    /// Reads what the load wrote down, each stream with its name and its file; it must have been stopped.
    pub(super) async fn read(&self, cluster: &Cluster) -> anyhow::Result<Vec<(Stream, (String, String))>> {
        let mut streams = Vec::new();
        for pod in &self.pods {
            let begin = Instant::now();
            while cluster.exec(&pod.name, "load", &["test", "-e", "/ledger/ended"]).await.is_err() {
                if begin.elapsed() > END {
                    bail!("the load pod {} did not end after {END:?}", pod.name);
                }
                sleep(Duration::from_millis(300)).await;
            }
            for (name, work, connection) in &pod.streams {
                let text = cluster.exec(&pod.name, "load", &["cat", &format!("/ledger/{name}.log")]).await?;
                let clock_ahead = self.clocks_ahead.get(&pod.name).copied().unwrap_or_default();
                let stream = ledger::parse(name, *work, *connection, &text);
                streams.push((Stream { clock_ahead, ..stream }, (name.clone(), text)));
            }
        }
        Ok(streams)
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
            let primary = members.iter().find(|one| one.is_primary() && one.ready);
            let primary = primary.context("there is no primary that is ready")?;
            cluster.sql(&primary.pod, DROP).await
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

/// A stream as `load.sh` takes it.
fn argument((name, work, connection): &(String, Work, Connection)) -> String {
    let work = match work {
        Work::Write => "write",
        Work::ReadPrimary => "read-primary",
        Work::ReadReplica => "read-replica",
    };
    let connection = match connection {
        Connection::Kept => "kept",
        Connection::New => "new",
    };
    format!("{name}:{work}:{connection}")
}

/// Microseconds since 1970, by this machine's clock.
pub(super) fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
