//! The cluster as a drill sees it: the members of one instance, and what can be done to them.
//!
//! Every call is bounded in time, as the cluster is broken on purpose while it is asked.

use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, PodSpec, PodTemplateSpec, Service};
use kube::api::{
    Api, ApiResource, AttachParams, DeleteParams, DynamicObject, ListParams, ObjectList, PostParams,
};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::record::PRIMARY;
use crate::api::{self, CALL, bounded, refusal};
use crate::manifest;
use crate::render::{Document, hex};

/// The longest that a primary may take to say how the whole is.
const ANSWER: Duration = Duration::from_secs(3);
/// The container that runs PostgreSQL.
const POSTGRES: &str = "postgres";

/// One instance in the cluster of the current context.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    /// Where the instance is.
    pub(super) namespace: String,
    /// The instance's name.
    pub(super) name: String,
}

/// A member of the instance: a pod that runs PostgreSQL.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) node: String,
    /// The pod's address; empty while it has none.
    pub(super) address: String,
    pub(super) image: String,
    /// `primary` or `replica`.
    pub(super) role: String,
    pub(super) ready: bool,
    /// It is about to end.
    pub(super) ending: bool,
    /// How often its container was started again.
    pub(super) restarts: i32,
    /// The claim of its data.
    pub(super) claim: Option<String>,
    /// The ID of the container that runs PostgreSQL; empty while there is none.
    pub(super) container: String,
    /// Whether Patroni elects the primary.
    pub(super) elected: bool,
}

/// What the primary says of the whole.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// The pod of the primary.
    pub(super) primary: String,
    pub(super) timeline: u32,
    /// The pods that stream from it.
    pub(super) streaming: Vec<String>,
    /// When it was started, and when each of them connected: another text where one was restarted.
    pub(super) since: String,
}

impl Cluster {
    /// The instance `name` in `namespace`, or in that of the current context.
    pub(super) async fn connect(name: String, namespace: Option<String>) -> anyhow::Result<Self> {
        let (client, default) = api::connect().await?;
        Ok(Self { client, namespace: namespace.unwrap_or(default), name })
    }

    /// The versions of Kubernetes and PostgreSQL, for the report.
    pub(super) async fn versions(&self) -> anyhow::Result<String> {
        let kubernetes =
            bounded(self.client.apiserver_version()).await.context("cannot ask for the version")?;
        let postgres = match self.members().await?.iter().find(|one| one.ready) {
            Some(member) => self.sql(&member.pod, "SHOW server_version").await?,
            None => "unknown".to_owned(),
        };
        let pgk = env!("CARGO_PKG_VERSION");
        Ok(format!("pgk {pgk}, PostgreSQL {postgres}, Kubernetes {}", kubernetes.git_version))
    }

    /// To run commands in.
    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of a type, which [`typed`] reads.
    fn api<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &ApiResource::erase::<K>(&()))
    }

    /// The labels of every object of the instance.
    fn selector(&self) -> String {
        format!("app.kubernetes.io/name=postgresql,app.kubernetes.io/instance={}", self.name)
    }

    /// How many members the instance is to have: some may be missing.
    pub(super) async fn size(&self) -> anyhow::Result<usize> {
        let params = ListParams::default().labels(&self.selector());
        let (sets, deployments) = (self.api::<StatefulSet>(), self.api::<Deployment>());
        let sets = bounded(sets.list(&params)).await.context("cannot list the StatefulSets")?;
        let sets: Vec<StatefulSet> = typed(sets)?;
        let deployments = bounded(deployments.list(&params)).await.context("cannot list the Deployments")?;
        let deployments: Vec<Deployment> = typed(deployments)?;
        let sets = sets.into_iter().filter_map(|set| set.spec).map(|spec| (spec.template, spec.replicas));
        let deployments =
            deployments.into_iter().filter_map(|one| one.spec).map(|spec| (spec.template, spec.replicas));
        let of_members = |template: &PodTemplateSpec| template.spec.as_ref().is_some_and(runs_postgres);
        Ok(sets
            .chain(deployments)
            .filter(|(template, _)| of_members(template))
            .filter_map(|(_, replicas)| usize::try_from(replicas.unwrap_or(1)).ok())
            .sum())
    }

    /// The instance's members, by name.
    pub(super) async fn members(&self) -> anyhow::Result<Vec<Member>> {
        // What keeps backups is no member: no PostgreSQL runs there.
        let selector = format!("{},role in (primary,replica)", self.selector());
        let pods = self.api::<Pod>();
        let params = ListParams::default().labels(&selector);
        let list = bounded(pods.list(&params)).await.context("cannot list the members")?;
        let mut members: Vec<_> = typed(list)?.into_iter().map(Member::read).collect();
        members.sort_by(|a, b| a.pod.cmp(&b.pod));
        Ok(members)
    }

    /// Whether there is a pod of the instance that runs PostgreSQL, or is to: one that is restored has no role yet.
    pub(super) async fn has_pods(&self) -> bool {
        let params = ListParams::default().labels(&self.selector());
        let pods = self.api::<Pod>();
        let Ok(list) = bounded(pods.list(&params)).await else { return false };
        typed(list)
            .is_ok_and(|pods: Vec<Pod>| pods.iter().filter_map(|pod| pod.spec.as_ref()).any(runs_postgres))
    }

    /// Names of the nodes, and whether each is ready and takes pods.
    pub(super) async fn nodes(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let resource = ApiResource::erase::<Node>(&());
        let nodes: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let list = bounded(nodes.list(&ListParams::default())).await.context("cannot list the nodes")?;
        let ready = |node: &Node| {
            let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let is_ready = conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True");
            is_ready && node.spec.as_ref().is_none_or(|spec| spec.taints.iter().flatten().next().is_none())
        };
        Ok(typed(list)?
            .into_iter()
            .map(|node: Node| (node.metadata.name.clone().unwrap_or_default(), ready(&node)))
            .collect())
    }

    /// The address of the Service `name` in the cluster.
    pub(super) async fn service_address(&self, name: &str) -> anyhow::Result<String> {
        let services = self.api::<Service>();
        let service = bounded(services.get(name)).await;
        let service = service.with_context(|| format!("cannot read the Service {name}"))?;
        let service: Service = serde_json::from_value(serde_json::to_value(service)?)?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).filter(|address| address != "None");
        address.with_context(|| format!("the Service {name} has no address of its own"))
    }

    /// What `command` in a pod's container prints; its failure is an error with what it printed.
    pub(super) async fn exec(&self, pod: &str, container: &str, command: &[&str]) -> anyhow::Result<String> {
        let what = || format!("cannot run a command in the pod {pod}");
        let run = async {
            let params = AttachParams::default().container(container).stdout(true).stderr(true);
            let mut process = self.pods().exec(pod, command.iter().copied(), &params).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let status = process.take_status();
            let (mut out, mut err) = (process.stdout(), process.stderr());
            let read_out = async {
                match &mut out {
                    Some(out) => out.read_to_end(&mut stdout).await.map(drop),
                    None => Ok(()),
                }
            };
            let read_err = async {
                match &mut err {
                    Some(err) => err.read_to_end(&mut stderr).await.map(drop),
                    None => Ok(()),
                }
            };
            tokio::try_join!(read_out, read_err)?;
            let status = match status {
                Some(status) => status.await,
                None => None,
            };
            let text = String::from_utf8_lossy(&stdout).into_owned();
            if status.is_some_and(|status| status.status.as_deref() == Some("Success")) {
                return Ok(text);
            }
            bail!("{}{}", text.trim_end(), String::from_utf8_lossy(&stderr).trim_end())
        };
        timeout(CALL, run)
            .await
            .with_context(|| format!("no answer in {CALL:?}"))
            .and_then(|done| done)
            .with_context(what)
    }

    /// Gives `take` each line that `command` in a pod's container prints, until it ends or is silent for
    /// long. The end of a line must have been seen: what was cut is no line.
    pub(super) async fn lines(
        &self,
        pod: &str,
        container: &str,
        command: &[&str],
        mut take: impl FnMut(String),
    ) -> anyhow::Result<()> {
        let params = AttachParams::default().container(container).stdout(true).stderr(false);
        let mut process = bounded(self.pods().exec(pod, command.iter().copied(), &params)).await?;
        let mut out = BufReader::new(process.stdout().context("the command has no stdout")?);
        loop {
            let mut line = Vec::new();
            timeout(CALL, out.read_until(b'\n', &mut line)).await??;
            if line.pop() != Some(b'\n') {
                return Ok(());
            }
            take(String::from_utf8_lossy(&line).into_owned());
        }
    }

    /// The answer to an SQL statement, asked as the superuser in the member's pod.
    pub(super) async fn sql(&self, pod: &str, statement: &str) -> anyhow::Result<String> {
        let command =
            ["timeout", "8", "psql", "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement];
        Ok(self.exec(pod, POSTGRES, &command).await?.trim_end().to_owned())
    }

    /// What the primary among `members` says of the whole. A pod on a node that was lost is still there, and
    /// labelled as it was; so each that may be the primary is asked, and of several that answer, that on the
    /// newest timeline is.
    pub(super) async fn state(&self, members: &[Member]) -> Option<State> {
        let mut asked = JoinSet::new();
        for member in members.iter().filter(|one| one.is_primary() && one.ready && !one.ending) {
            let (cluster, pod) = (self.clone(), member.pod.clone());
            asked.spawn(async move { timeout(ANSWER, cluster.ask(pod)).await });
        }
        let answers = asked.join_all().await;
        answers.into_iter().flatten().flatten().max_by_key(|state| state.timeline)
    }

    /// What `primary` says; an error if it is none.
    async fn ask(&self, primary: String) -> anyhow::Result<State> {
        let answer = self
            .sql(
                &primary,
                "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), pg_postmaster_start_time() UNION ALL
                (SELECT application_name, backend_start FROM pg_stat_replication WHERE state = 'streaming'
                ORDER BY 1)",
            )
            .await?;
        let mut names = answer.lines().filter_map(|line| line.split('|').next());
        let timeline = names.next().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        Ok(State {
            primary,
            timeline: timeline.context("the primary says no timeline")?,
            streaming: names.map(ToOwned::to_owned).collect(),
            since: answer,
        })
    }

    /// Ends a pod: in its own time, or at once.
    pub(super) async fn delete_pod(&self, pod: &str, by_force: bool) -> anyhow::Result<()> {
        let params = if by_force { DeleteParams::default().grace_period(0) } else { DeleteParams::default() };
        ignore_missing(bounded(self.api::<Pod>().delete(pod, &params)).await.map(drop))
            .with_context(|| format!("cannot delete the pod {pod}"))
    }

    /// Asks for a claim to be deleted; it goes when no pod uses it any more.
    pub(super) async fn delete_claim(&self, claim: &str) -> anyhow::Result<()> {
        let claims = self.api::<PersistentVolumeClaim>();
        ignore_missing(bounded(claims.delete(claim, &DeleteParams::default())).await.map(drop))
            .with_context(|| format!("cannot delete the claim {claim}"))
    }

    /// Creates a pod from its manifest.
    pub(super) async fn create_pod(&self, manifest: String) -> anyhow::Result<()> {
        let document = Document { path: "pod.yaml".to_owned(), text: manifest };
        let pod = manifest::objects(&document).pop().context("a template of pgk is broken")?;
        let pod: DynamicObject = serde_json::from_value(pod).context("a template of pgk is broken")?;
        bounded(self.api::<Pod>().create(&PostParams::default(), &pod))
            .await
            .context("cannot create a load pod")?;
        Ok(())
    }

    /// Pods that drills of this instance have created, by name, and whether each is ready.
    pub(super) async fn load_pods(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let selector = format!("app.kubernetes.io/name=pgk-drill,app.kubernetes.io/instance={}", self.name);
        let pods = self.api::<Pod>();
        let params = ListParams::default().labels(&selector);
        let list = bounded(pods.list(&params)).await.context("cannot list the load pods")?;
        Ok(typed(list)?
            .into_iter()
            .map(|pod: Pod| (pod.metadata.name.clone().unwrap_or_default(), is_ready(&pod)))
            .collect())
    }

    /// A short random name for this drill's pods.
    pub(super) fn nonce() -> anyhow::Result<String> {
        let mut bytes = [0; 4];
        getrandom::fill(&mut bytes).context("the operating system has no random numbers")?;
        Ok(hex(&bytes))
    }
}

/// The objects as their type. They are read from trees as the check of manifests reads them: the code that reads a pod
/// from bytes, and that from YAML, would be some hundred kilobytes more each.
fn typed<K: DeserializeOwned>(list: ObjectList<DynamicObject>) -> anyhow::Result<Vec<K>> {
    list.into_iter().map(|object| Ok(K::deserialize(&serde_json::to_value(object)?)?)).collect()
}

/// It is not an error if what should be removed is already gone.
fn ignore_missing(done: anyhow::Result<()>) -> anyhow::Result<()> {
    match done {
        Err(error) if refusal(&error).is_some_and(|status| status.code == 404) => Ok(()),
        done => done,
    }
}

/// Whether it is a member's: what keeps backups runs something else.
fn runs_postgres(spec: &PodSpec) -> bool {
    spec.containers.iter().any(|container| container.name == POSTGRES)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
}

impl Member {
    /// Whether it is, by its label, the primary.
    pub(super) fn is_primary(&self) -> bool {
        self.role == PRIMARY
    }

    fn read(pod: Pod) -> Self {
        let ready = is_ready(&pod);
        let name = pod.metadata.name.unwrap_or_default();
        let spec = pod.spec.unwrap_or_default();
        let container = spec.containers.iter().find(|one| one.name == POSTGRES);
        let status = pod.status.unwrap_or_default();
        let address = status.pod_ip.unwrap_or_default();
        let status = status.container_statuses.unwrap_or_default();
        let status = status.into_iter().find(|one| one.name == POSTGRES);
        let restarts = status.as_ref().map_or(0, |one| one.restart_count);
        // It is written as `containerd://ID`.
        let id = status.and_then(|one| one.container_id).unwrap_or_default();
        let id = id.rsplit('/').next().unwrap_or_default().to_owned();
        let mut labels = pod.metadata.labels.unwrap_or_default();
        let claim = spec.volumes.iter().flatten().find(|volume| volume.name == "data").and_then(|volume| {
            let own = volume.ephemeral.as_ref().map(|_| format!("{name}-data"));
            volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone()).or(own)
        });
        Self {
            uid: pod.metadata.uid.unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            address,
            image: container.and_then(|one| one.image.clone()).unwrap_or_default(),
            role: labels.remove("role").unwrap_or_default(),
            // Patroni's own label, with the name it knows the cluster by.
            elected: labels.contains_key("cluster-name"),
            container: id,
            ready,
            ending: pod.metadata.deletion_timestamp.is_some(),
            restarts,
            claim,
            pod: name,
        }
    }
}
