//! What can be done to a cluster: each event, what it stands for, what it needs, and how it is done.

use std::fmt;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::cluster::{Cluster, Member};
use crate::error::Diagnostic;

/// An event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // each is explained where a user sees it: in `EVENTS`
pub enum Event {
    PodDelete,
    PodForce,
    PostgresKill,
    ContainerKill,
    VolumeDelete,
    Switchover,
    NodeOff,
    NodeDelete,
    NodeCut,
    NodeCutPeers,
    NodeCutApi,
    AllOff,
    TotalLoss,
}

/// Every event: its name, what it stands for, what it needs besides a cluster.
pub const EVENTS: [(Event, &str, &str, &str); 13] = [
    (Event::PodDelete, "pod-delete", "a pod that Kubernetes stops: a node drain, a rollout", ""),
    (Event::PodForce, "pod-force", "a pod that vanishes: deleted with no grace", ""),
    (Event::PostgresKill, "postgres-kill", "a crash: SIGKILL to PostgreSQL", ""),
    (
        Event::ContainerKill,
        "container-kill",
        "a crash of everything in the container: SIGKILL to all its processes",
        "--container-kill",
    ),
    (Event::VolumeDelete, "volume-delete", "a lost disk: the claim and the pod are deleted", ""),
    (
        Event::Switchover,
        "switchover",
        "a planned hand-over to a replica",
        "a scenario with an election (Q2, Q3)",
    ),
    (
        Event::NodeOff,
        "node-off",
        "a machine that loses power, its Node object stays",
        "--node-off, --node-on",
    ),
    (Event::NodeDelete, "node-delete", "a machine that is deleted with its disk", "--node-delete, --node-on"),
    (Event::NodeCut, "node-cut", "a machine that is cut from the network", "--node-cut, --node-heal"),
    (
        Event::NodeCutPeers,
        "node-cut-peers",
        "a machine that is cut from the other nodes, not from the API server",
        "--node-cut-peers, --node-heal",
    ),
    (
        Event::NodeCutApi,
        "node-cut-api",
        "a machine that is cut from the API server, not from the other nodes",
        "--node-cut-api, --node-heal",
    ),
    (Event::AllOff, "all-off", "a power cut: every node, and on again", "--node-off, --node-on"),
    (Event::TotalLoss, "total-loss", "every pod and every claim is deleted", "--yes and --confirm NAME"),
];

/// The names of the events.
pub(super) fn names() -> Vec<&'static str> {
    EVENTS.iter().map(|one| one.1).collect()
}

impl FromStr for Event {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        EVENTS.iter().find(|one| one.1 == text).map(|one| one.0).ok_or_else(|| {
            format!("there is no event `{}`: the events are {}", text.escape_debug(), names().join(", "))
        })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EVENTS.iter().find(|one| one.0 == *self).map_or("", |one| one.1))
    }
}

/// The members that an event hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// The primary.
    Primary,
    /// One replica.
    Replica,
    /// Every member.
    All,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::All => "all",
        })
    }
}

/// The platform's commands, for a shell; `{node}` in them is replaced by the node's name, and `{others}` by the names of
/// all other nodes, separated by spaces.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct NodeCommands {
    /// Powers a node off, e.g. 'docker stop {node}' (kind) or 'openstack server stop {node}'
    #[arg(long, value_name = "COMMAND")]
    pub node_off: Option<String>,
    /// Powers it on again, e.g. 'docker start {node}'
    #[arg(long, value_name = "COMMAND")]
    pub node_on: Option<String>,
    /// Deletes a node, its disk and its Node object
    #[arg(long, value_name = "COMMAND")]
    pub node_delete: Option<String>,
    /// Cuts a node from the network, e.g. 'docker network disconnect kind {node}'
    #[arg(long, value_name = "COMMAND")]
    pub node_cut: Option<String>,
    /// Cuts a node from the nodes {others}, and not from the API server
    #[arg(long, value_name = "COMMAND")]
    pub node_cut_peers: Option<String>,
    /// Cuts a node from the API server, and not from the other nodes
    #[arg(long, value_name = "COMMAND")]
    pub node_cut_api: Option<String>,
    /// Connects it again, however it was cut
    #[arg(long, value_name = "COMMAND")]
    pub node_heal: Option<String>,
    /// Kills a container without warning ({container} is its ID; total-loss does it first, if it is given), e.g. 'docker
    /// exec {node} ctr --namespace k8s.io tasks kill --signal SIGKILL {container}'
    #[arg(long, value_name = "COMMAND")]
    pub container_kill: Option<String>,
}

impl Event {
    /// Which members it hits, if `asked` was asked for.
    pub(super) fn target(self, asked: Target) -> Target {
        if matches!(self, Self::AllOff | Self::TotalLoss) { Target::All } else { asked }
    }

    /// Whether it takes whole nodes.
    pub fn takes_nodes(self) -> bool {
        matches!(self, Self::NodeOff | Self::NodeDelete | Self::AllOff) || self.cuts_nodes()
    }

    /// Whether it leaves a node running and cuts it from others: what runs there goes on, also the load.
    pub(super) fn cuts_nodes(self) -> bool {
        matches!(self, Self::NodeCut | Self::NodeCutPeers | Self::NodeCutApi)
    }

    /// The command that takes a node, and the one that brings it back.
    fn commands(self, commands: &NodeCommands) -> Result<(&str, &str), Diagnostic> {
        let off = ("--node-off", &commands.node_off);
        let on = ("--node-on", &commands.node_on);
        let heal = ("--node-heal", &commands.node_heal);
        let (take, give) = match self {
            Self::NodeDelete => (("--node-delete", &commands.node_delete), on),
            Self::NodeCut => (("--node-cut", &commands.node_cut), heal),
            Self::NodeCutPeers => (("--node-cut-peers", &commands.node_cut_peers), heal),
            Self::NodeCutApi => (("--node-cut-api", &commands.node_cut_api), heal),
            _ => (off, on),
        };
        Ok((self.given(take.0, take.1.as_ref(), "node")?, self.given(give.0, give.1.as_ref(), "node")?))
    }

    /// The command of `flag`, which must name what it hits.
    fn given<'a>(self, flag: &str, command: Option<&'a String>, what: &str) -> Result<&'a str, Diagnostic> {
        let place = format!("{{{what}}}");
        match command {
            Some(command) if command.contains(&place) => Ok(command),
            Some(_) => Err(Diagnostic::new(format!("the command of {flag} does not say which {what}"))
                .help(format!("put {place} where the {what}'s name goes"))),
            None => Err(Diagnostic::new(format!("{self} needs {flag}")).help(format!(
                "give the command of your platform, with {place} for the {what}'s name; `pgk drill --help` has examples"
            ))),
        }
    }

    /// Refuses what lacks an option, before the cluster is asked.
    ///
    /// # Errors
    /// A [`Diagnostic`] that says what is missing.
    pub(super) fn has_options(
        self,
        commands: &NodeCommands,
        yes: bool,
        confirmed: bool,
    ) -> Result<(), Diagnostic> {
        if self.takes_nodes() {
            self.commands(commands)?;
        }
        if self == Self::ContainerKill {
            self.given("--container-kill", commands.container_kill.as_ref(), "container")?;
        }
        if self == Self::TotalLoss && !(yes && confirmed) {
            return Err(Diagnostic::new("total-loss deletes every copy of the data in the cluster")
                .help("if you mean it, add --yes --confirm NAME with the instance's name"));
        }
        Ok(())
    }

    /// Refuses what cannot be done, or would destroy the last copy of the data.
    ///
    /// # Errors
    /// A [`Diagnostic`] that says why.
    pub(super) fn check(self, victims: &[Member], members: &[Member], yes: bool) -> Result<(), Diagnostic> {
        if self == Self::Switchover && !victims.iter().all(|victim| victim.elected) {
            return Err(Diagnostic::new("this instance has no election, so nothing to switch over to")
                .help("a switchover needs a scenario with Patroni (Q2, Q3)"));
        }
        let destroys = matches!(self, Self::VolumeDelete | Self::NodeDelete);
        let keeps_a_copy = members.iter().any(|one| !victims.iter().any(|victim| victim.pod == one.pod));
        if destroys && !keeps_a_copy && !yes {
            return Err(Diagnostic::new(format!("{self} would destroy the last copy of the data"))
                .help("if you mean it, add --yes"));
        }
        Ok(())
    }

    /// Makes it happen to `victims`, on the nodes `taken` where it takes nodes, which are some of `nodes`.
    pub(super) async fn trigger(
        self,
        cluster: &Cluster,
        victims: &[Member],
        taken: &[String],
        nodes: &[String],
        commands: &NodeCommands,
    ) -> anyhow::Result<()> {
        if self.takes_nodes() {
            let (take, _) = self.commands(commands)?;
            for node in taken {
                let others: Vec<_> =
                    nodes.iter().filter(|other| *other != node).map(String::as_str).collect();
                shell(take, &[("{node}", &[node]), ("{others}", &others)]).await?;
            }
            return Ok(());
        }
        if self == Self::TotalLoss && commands.container_kill.is_some() {
            // Without warning, the primary first: what is asked to stop still sends what it has to the archive.
            let mut victims: Vec<_> = victims.iter().collect();
            victims.sort_by_key(|victim| !victim.is_primary());
            for victim in victims {
                self.kill_container(victim, commands).await?;
            }
        }
        for victim in victims {
            match self {
                Self::PodForce => cluster.delete_pod(&victim.pod, true).await?,
                Self::PostgresKill => {
                    let kill = "kill -KILL \"$(head -n 1 \"$PGDATA/postmaster.pid\")\"";
                    cluster.exec(&victim.pod, "postgres", &["bash", "-c", kill]).await?;
                }
                Self::ContainerKill => {
                    self.kill_container(victim, commands).await?;
                }
                Self::Switchover => {
                    cluster.exec(&victim.pod, "postgres", &["patronictl", "switchover", "--force"]).await?;
                }
                Self::VolumeDelete | Self::TotalLoss => {
                    let claim =
                        victim.claim.as_ref().with_context(|| format!("{} has no claim", victim.pod))?;
                    cluster.delete_claim(claim).await?;
                    cluster.delete_pod(&victim.pod, self == Self::TotalLoss).await?;
                }
                _ => cluster.delete_pod(&victim.pod, false).await?,
            }
        }
        Ok(())
    }

    async fn kill_container(self, victim: &Member, commands: &NodeCommands) -> anyhow::Result<()> {
        let kill = self.given("--container-kill", commands.container_kill.as_ref(), "container")?;
        shell(kill, &[("{node}", &[&victim.node]), ("{container}", &[&victim.container])]).await
    }

    /// Brings back the nodes that it took: all that come, and a few tries for those that don't at first.
    pub(super) async fn undo(self, nodes: &[String], commands: &NodeCommands) -> anyhow::Result<()> {
        if !self.takes_nodes() {
            return Ok(());
        }
        let (_, give) = self.commands(commands)?;
        let mut away: Vec<&String> = nodes.iter().collect();
        let mut error = None;
        for _ in 0..3 {
            let mut still_away = Vec::new();
            for node in away {
                if let Err(why) = shell(give, &[("{node}", &[node])]).await {
                    error = Some(why);
                    still_away.push(node);
                }
            }
            if still_away.is_empty() {
                return Ok(());
            }
            away = still_away;
            sleep(Duration::from_secs(2)).await;
        }
        Err(error.unwrap_or_else(|| anyhow::anyhow!("the nodes are not back")))
    }
}

/// How long a platform's command may take.
const COMMAND: Duration = Duration::from_secs(180);

/// Runs a command of the platform, each place in it filled by a name.
async fn shell(command: &str, names: &[(&str, &[&str])]) -> anyhow::Result<()> {
    let mut command = command.to_owned();
    for (place, names) in names {
        for name in *names {
            // Names of nodes are RFC 1123 subdomains, and those of containers hexadecimal; they go into a shell.
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
            ensure!(plain && !name.is_empty(), "{name:?} is not a name that can replace {place}");
        }
        command = command.replace(place, &names.join(" "));
    }
    let mut shell = Command::new("sh");
    // What it prints is for a person: stdout is the drill's own.
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(std::io::stderr()).kill_on_drop(true);
    let status = timeout(COMMAND, shell.status()).await;
    let status = status.with_context(|| format!("the command took longer than {COMMAND:?}: {command}"))??;
    ensure!(status.success(), "the command failed ({status}): {command}");
    Ok(())
}
