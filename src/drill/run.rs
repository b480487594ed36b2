//! One drill, from a healthy cluster to a healthy cluster: load, event, recovery, what was kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use super::Recorded;
use super::cluster::{Cluster, Member, State};
use super::event::{Event, NodeCommands, Target};
use super::load::{Inside, Load, wall};
use super::progress::Progress;
use super::record::{self, CutOff, Record, Row, Sample};
use crate::error::Diagnostic;
use crate::scenario::Names;

/// How a drill is done, whatever its event.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) commands: NodeCommands,
    pub(super) yes: bool,
    pub(super) writers: u16,
    pub(super) readers: u16,
    pub(super) bulk: bool,
    /// Load before the event.
    pub(super) warm_up: Duration,
    /// Load after the recovery.
    pub(super) cool_down: Duration,
    /// The longest time to wait for full strength.
    pub(super) patience: Duration,
    /// How long a node is away at most, even if the instance has not recovered without it.
    pub(super) node_away: Duration,
}

/// How long all nodes are off in the event `all-off`.
const ALL_OFF: Duration = Duration::from_secs(10);
/// How long the streams of the load may take to succeed for the first time.
const BEGUN: Duration = Duration::from_secs(30);
/// How long the clients on a node that was cut off may take to reach the primary again, once it is connected: Kubernetes'
/// rules for the Service there are as they were, until kube-proxy hears of the API server.
const REACHED: Duration = Duration::from_secs(120);
/// How old what the primary said may be.
const FRESH: Duration = Duration::from_secs(5);
/// How long the API server may say nothing before the drill gives up.
const SILENT: Duration = Duration::from_secs(45);
/// How long the instance may have no pod at all. (Pods of nodes that are off are still there.)
const GONE: Duration = Duration::from_secs(20);
/// How long the longest wait for nodes that were taken may be.
const NODES_BACK: Duration = Duration::from_secs(180);

/// Does one drill, and always removes what it created.
pub(super) async fn run(
    cluster: &Cluster,
    event: Event,
    target: Target,
    settings: &Settings,
    progress: &Progress,
) -> anyhow::Result<Recorded> {
    progress.phase("looking at the instance");
    let (members, state) = wait_for_strength(cluster, settings.patience).await?;
    let victims = victims(&members, target)?;
    event.check(&victims, &members, settings.yes)?;
    let nodes = cluster.nodes().await?;
    let taken: Vec<String> = if event == Event::AllOff {
        nodes.iter().map(|(name, _)| name.clone()).collect()
    } else if event.takes_nodes() {
        let mut taken: Vec<_> = victims.iter().map(|victim| victim.node.clone()).collect();
        taken.sort();
        taken.dedup();
        taken
    } else {
        Vec::new()
    };
    let safe: Vec<String> = nodes
        .iter()
        .filter(|(name, ready)| *ready && (event == Event::AllOff || !taken.contains(name)))
        .map(|(name, _)| name.clone())
        .collect();
    if safe.is_empty() {
        return Err(Diagnostic::new("the event takes every node, so the load has nowhere to run")
            .help("a cluster with one more node, or the event all-off")
            .into());
    }
    if let Some((pod, _)) = cluster.load_pods().await?.first() {
        return Err(Diagnostic::new(format!("another drill of this instance runs, or left its pod {pod}"))
            .help("let it end, or delete its pods: kubectl delete pod -l app.kubernetes.io/name=pgk-drill")
            .into());
    }

    let names = Names::of(&cluster.name);
    let cut_off = victims.iter().find(|one| event.cuts_nodes() && one.is_primary());
    let service = match cut_off {
        Some(_) => cluster.service_address(&names.rw).await?,
        None => String::new(),
    };
    let inside =
        cut_off.map(|primary| Inside { node: &primary.node, service: &service, primary: &primary.address });
    let mut load = Load::plan(&names, settings.writers, settings.readers, settings.bulk, inside.as_ref())?;
    let node_names: Vec<String> = nodes.into_iter().map(|(name, _)| name).collect();
    let drill = Drill {
        cluster,
        event,
        target,
        settings,
        progress,
        members: &members,
        state: &state,
        victims: &victims,
        taken: &taken,
        nodes: &node_names,
        cut_off,
    };
    let done = tokio::select! {
        done = drill.measure(&mut load, &safe) => done,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    progress.phase("cleaning up");
    let mut left = Vec::new();
    if done.is_err()
        && let Err(error) = event.undo(&taken, &settings.commands).await
    {
        left.push(format!("nodes may still be away: {error:#}"));
    }
    left.extend(load.remove(cluster).await);
    for line in &left {
        progress.warn(line);
    }
    Ok(Recorded { left, ..done? })
}

fn victims(members: &[Member], target: Target) -> anyhow::Result<Vec<Member>> {
    let of = |role: &str| members.iter().filter(|one| one.role == role).cloned().collect::<Vec<_>>();
    let victims = match target {
        Target::Primary => of("primary"),
        // If there is a choice, one on another node than the primary, so that an event of its node does not hit both.
        Target::Replica => {
            let primary = of("primary").first().map(|one| one.node.clone());
            let mut replicas = of("replica");
            replicas.sort_by_key(|one| Some(&one.node) == primary.as_ref());
            replicas.truncate(1);
            replicas
        }
        Target::All => members.to_vec(),
    };
    if victims.is_empty() {
        return Err(Diagnostic::new(format!("the instance has no {target}")).into());
    }
    Ok(victims)
}

/// Waits until every member is ready and streams; the members, and what the primary says of them.
async fn wait_for_strength(cluster: &Cluster, patience: Duration) -> anyhow::Result<(Vec<Member>, State)> {
    let begin = Instant::now();
    loop {
        let (members, size) = (cluster.members().await?, cluster.size().await?);
        if members.is_empty() {
            return Err(Diagnostic::new(format!(
                "there is no instance `{}` in the namespace `{}`",
                cluster.name, cluster.namespace
            ))
            .help("give its name with --name and its namespace with --namespace")
            .into());
        }
        if let Some(state) = cluster.state(&members).await
            && at_strength(&members, size, Some(&state))
        {
            return Ok((members, state));
        }
        if begin.elapsed() > patience {
            bail!(
                "the instance is not at full strength to begin with ({size} members): {}",
                describe(&members)
            );
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Whether `count` members are all ready, and each is the primary that says `state` or streams from it.
fn at_strength(members: &[Member], count: usize, state: Option<&State>) -> bool {
    let Some(state) = state else { return false };
    let present: Vec<_> = members.iter().filter(|one| !one.ending).collect();
    let in_place = |one: &Member| {
        if one.is_primary() { one.pod == state.primary } else { state.streaming.contains(&one.pod) }
    };
    present.len() == count && present.iter().all(|one| one.ready && in_place(one))
}

fn describe(members: &[Member]) -> String {
    let one =
        |one: &Member| format!("{} ({}{})", one.pod, one.role, if one.ready { "" } else { ", not ready" });
    members.iter().map(one).collect::<Vec<_>>().join(", ")
}

struct Drill<'a> {
    cluster: &'a Cluster,
    event: Event,
    target: Target,
    settings: &'a Settings,
    progress: &'a Progress,
    members: &'a [Member],
    state: &'a State,
    victims: &'a [Member],
    taken: &'a [String],
    nodes: &'a [String],
    /// The primary, where the event cuts its node off.
    cut_off: Option<&'a Member>,
}

/// What the observer saw last.
struct Seen {
    samples: Vec<Sample>,
    members: Vec<Member>,
    /// When the API server answered last, and when there was a member last.
    answered: Instant,
    inhabited: Instant,
    state: Option<Said>,
    /// How often a member had changed.
    changes: u64,
}

/// What the primary said, when, and how often a member had changed when it was asked.
struct Said {
    at: Instant,
    changes: u64,
    state: State,
}

impl Seen {
    /// What the primary said, unless that was too long ago.
    fn fresh_state(&self) -> Option<&State> {
        self.state.as_ref().filter(|said| said.at.elapsed() < FRESH).map(|said| &said.state)
    }

    /// What the primary said of the members as they are: it may have been another one before.
    fn state_of_these(&self) -> Option<&State> {
        self.state.as_ref().filter(|said| said.changes == self.changes).and(self.fresh_state())
    }
}

impl Drill<'_> {
    async fn measure(&self, load: &mut Load, safe: &[String]) -> anyhow::Result<Recorded> {
        let primary = self.members.iter().find(|one| one.pod == self.state.primary).context("no primary")?;
        let begin = Instant::now();
        let begin_wall = wall();
        self.progress.phase("starting the load");
        load.start(self.cluster, primary, safe).await?;
        let seen = Arc::new(Mutex::new(Seen {
            samples: Vec::new(),
            members: self.members.to_vec(),
            answered: Instant::now(),
            inhabited: Instant::now(),
            state: Some(Said { at: Instant::now(), changes: 0, state: self.state.clone() }),
            changes: 0,
        }));
        let observer = tokio::spawn(observe(self.cluster.clone(), begin, Arc::clone(&seen)));
        let asker = tokio::spawn(ask(self.cluster.clone(), Arc::clone(&seen)));
        let done = self.under_observation(load, begin, begin_wall, &seen).await;
        observer.abort();
        asker.abort();
        done
    }

    async fn under_observation(
        &self,
        load: &Load,
        begin: Instant,
        begin_wall: i64,
        seen: &Mutex<Seen>,
    ) -> anyhow::Result<Recorded> {
        self.progress.phase("load before the event");
        self.wait_until_begun(load, begin, seen).await?;
        self.pass(load, seen, begin, self.settings.warm_up).await?;
        let before = lock(seen).state.as_ref().map(|said| said.state.clone());
        let timeline_before = before.as_ref().map(|state| state.timeline);

        self.progress.phase(&format!("event: {}", self.event));
        let event_elapsed = elapsed(begin);
        let event_wall = wall();
        let commands = &self.settings.commands;
        self.event.trigger(self.cluster, self.victims, self.taken, self.nodes, commands).await?;
        let mut away = !self.taken.is_empty();
        let mut back: Option<(u64, Vec<usize>)> = None;
        if self.event == Event::AllOff {
            self.pass(load, seen, begin, ALL_OFF).await?;
            self.event.undo(self.taken, commands).await?;
            away = false;
        }

        self.progress.phase("recovery");
        let (mut disturbed, mut full_strength_elapsed) = (false, None);
        let event_at = Instant::now();
        let mut deadline = event_at + self.settings.patience;
        loop {
            while full_strength_elapsed.is_none() && Instant::now() < deadline {
                self.pass(load, seen, begin, Duration::from_secs(1)).await?;
                // A member on a node that is cut off may look ready and streaming for a while.
                let strong = self.is_strong(seen, false)
                    && !(away && self.event.cuts_nodes() && self.has_members_away(seen));
                disturbed |= !strong || {
                    let seen = lock(seen);
                    let since = before.as_ref().map(|state| &state.since);
                    let restarted = seen.fresh_state().is_some_and(|state| Some(&state.since) != since);
                    restarted || self.changed(&seen.members)
                };
                if strong && disturbed {
                    full_strength_elapsed = Some(elapsed(begin));
                } else if away && event_at.elapsed() > self.settings.node_away {
                    self.progress.phase("recovery, with the node on again");
                    back = Some((elapsed(begin), load.successes_inside()));
                    self.event.undo(self.taken, commands).await?;
                    // A short cut may have gone unnoticed.
                    disturbed = true;
                    away = false;
                    deadline = Instant::now() + self.settings.patience;
                }
            }
            self.progress.phase("load after the recovery");
            self.pass(load, seen, begin, self.settings.cool_down).await?;
            // A replica may stream for a moment, and only then see that it must be cloned again.
            if full_strength_elapsed.is_none() || self.is_strong(seen, true) || Instant::now() >= deadline {
                break;
            }
            full_strength_elapsed = None;
            self.progress.phase("recovery");
        }

        if away && self.event.cuts_nodes() {
            back = Some((elapsed(begin), load.successes_inside()));
            away = false;
            let strong = self.strong_once_connected(load, seen, begin).await?;
            full_strength_elapsed = full_strength_elapsed.filter(|_| strong);
        }
        if let Some((_, before)) = &back {
            self.wait_until_reached(load, seen, begin, before).await?;
        }
        self.progress.phase("reading what the load wrote down");
        let (end_elapsed, end_wall) = (elapsed(begin), wall());
        load.stop(self.cluster).await;
        let (streams, raw) = load.heard().into_iter().unzip();
        let timeline_after = lock(seen).state.as_ref().map(|said| said.state.timeline);
        let rows = self.rows().await;
        if let Err(error) = &rows {
            self.progress.warn(&format!("the rows could not be read: {error:#}"));
        }
        if away {
            self.progress.phase("bringing the node back");
            self.event.undo(self.taken, commands).await?;
            self.nodes_are_back().await?;
        }
        let samples = std::mem::take(&mut lock(seen).samples);
        let record = Record {
            event: self.event.to_string(),
            target: self.target.to_string(),
            streams,
            rows: rows.ok(),
            cut_off: self.cut_off.map(|primary| CutOff {
                server: primary.address.clone(),
                back_elapsed: back.as_ref().map(|(at, _)| *at),
            }),
            event_wall,
            samples,
            begin_wall,
            end_wall,
            event_elapsed,
            end_elapsed,
            full_strength_elapsed,
            timeline_before,
            timeline_after,
        };
        Ok(Recorded { record, raw, left: Vec::new() })
    }

    /// Waits until each stream of the load has succeeded, as far as that is to be expected.
    async fn wait_until_begun(&self, load: &Load, begin: Instant, seen: &Mutex<Seen>) -> anyhow::Result<()> {
        let deadline = Instant::now() + BEGUN;
        while !load.has_begun() && Instant::now() < deadline {
            self.pass(load, seen, begin, Duration::from_millis(300)).await?;
        }
        if load.has_reached_anybody() {
            return Ok(());
        }
        let what = format!("the load has reached no member of `{}` in {BEGUN:?}", self.cluster.name);
        let diagnostic = Diagnostic::new(what).help(
            "pods with the label app.kubernetes.io/name=pgk-drill have to reach the DNS, and port 5432 of the members: \
            look for a NetworkPolicy that keeps them out",
        );
        Err(diagnostic.into())
    }

    /// Connects the node again that was cut off: what it missed, the old primary hears only now; and what it
    /// acknowledged meanwhile, pgk. Whether all are well then.
    async fn strong_once_connected(
        &self,
        load: &Load,
        seen: &Mutex<Seen>,
        begin: Instant,
    ) -> anyhow::Result<bool> {
        self.progress.phase("load with the node connected again");
        self.event.undo(self.taken, &self.settings.commands).await?;
        self.nodes_are_back().await?;
        let deadline = Instant::now() + self.settings.patience;
        while !self.is_strong(seen, false) && Instant::now() < deadline {
            self.pass(load, seen, begin, Duration::from_secs(1)).await?;
        }
        self.pass(load, seen, begin, self.settings.cool_down).await?;
        Ok(self.is_strong(seen, true))
    }

    /// Waits until each client on the node that was cut off has had more successes through the Service than `before`.
    async fn wait_until_reached(
        &self,
        load: &Load,
        seen: &Mutex<Seen>,
        begin: Instant,
        before: &[usize],
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + REACHED;
        let reached = |now: Vec<usize>| now.iter().zip(before).all(|(now, before)| now > before);
        while !reached(load.successes_inside()) && Instant::now() < deadline {
            self.pass(load, seen, begin, Duration::from_secs(1)).await?;
        }
        Ok(())
    }

    /// Lets time pass and shows how things are; fails when the cluster or the instance is gone.
    async fn pass(
        &self,
        load: &Load,
        seen: &Mutex<Seen>,
        begin: Instant,
        time: Duration,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            let tick = Instant::now();
            let (answered, inhabited) = {
                let seen = lock(seen);
                (seen.answered, seen.inhabited)
            };
            ensure!(answered.elapsed() < SILENT, "the API server has not answered for {SILENT:?}");
            ensure!(inhabited.elapsed() < GONE, "the instance is gone: it has had no pod for {GONE:?}");
            if self.progress.is_live() {
                let seen = lock(seen);
                let primary = seen.fresh_state().map(|state| state.primary.as_str());
                self.progress.live(begin.elapsed(), load.writes(), primary);
            }
            let left = until.saturating_duration_since(Instant::now());
            let rest = Duration::from_secs(1).saturating_sub(tick.elapsed()).min(left);
            sleep(rest.max(Duration::from_millis(10))).await;
        }
        Ok(())
    }

    /// Whether every member is ready, and streams from the primary or is it. Unless the primary has just said how
    /// that is, it is as `otherwise`.
    fn is_strong(&self, seen: &Mutex<Seen>, otherwise: bool) -> bool {
        let seen = lock(seen);
        match seen.state_of_these() {
            Some(state) => at_strength(&seen.members, self.members.len(), Some(state)),
            None => otherwise && seen.members.iter().all(|one| one.ready),
        }
    }

    /// Whether a member that is not about to end is on a node that was taken.
    fn has_members_away(&self, seen: &Mutex<Seen>) -> bool {
        lock(seen).members.iter().any(|one| !one.ending && self.taken.contains(&one.node))
    }

    /// Whether every victim has been replaced or started again.
    fn changed(&self, members: &[Member]) -> bool {
        self.victims.iter().all(|victim| {
            members.iter().find(|one| one.uid == victim.uid).is_none_or(|one| one.restarts > victim.restarts)
        })
    }

    async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let primary = wait_for_state(self.cluster).await?.primary;
        // Without its table this is another database than the drill began with: none of the rows is there.
        if self.cluster.sql(&primary, "SELECT to_regclass('pgk_drill.rows')").await?.is_empty() {
            return Ok(Vec::new());
        }
        let text = self
            .cluster
            .sql(&primary, "SELECT stream, n, count(*) FROM pgk_drill.rows GROUP BY 1, 2 ORDER BY 1, 2")
            .await?;
        let row = |line: &str| {
            let mut fields = line.split('|');
            let (stream, number, times) = (fields.next()?, fields.next()?, fields.next()?);
            Some(Row { stream: stream.to_owned(), number: number.parse().ok()?, times: times.parse().ok()? })
        };
        text.lines().map(|line| row(line).with_context(|| format!("psql printed {line:?}"))).collect()
    }

    async fn nodes_are_back(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let nodes = self.cluster.nodes().await.unwrap_or_default();
            if self.taken.iter().all(|name| nodes.contains(&(name.clone(), true))) {
                return Ok(());
            }
            if begin.elapsed() > NODES_BACK {
                bail!("the nodes {} are not back after {NODES_BACK:?}", self.taken.join(", "));
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// What a primary says that answers, for which it waits a little.
async fn wait_for_state(cluster: &Cluster) -> anyhow::Result<State> {
    let begin = Instant::now();
    loop {
        if let Some(state) = cluster.state(&cluster.members().await?).await {
            return Ok(state);
        }
        if begin.elapsed() > Duration::from_secs(20) {
            bail!("there is no primary that answers");
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Looks at the members twice a second, for as long as the task lives.
async fn observe(cluster: Cluster, begin: Instant, seen: Arc<Mutex<Seen>>) {
    loop {
        let tick = Instant::now();
        if let Ok(members) = cluster.members().await {
            let inhabited = !members.is_empty() || cluster.has_pods().await;
            let mut seen = lock(&seen);
            let state = seen.fresh_state().cloned();
            let member = |one: &Member| record::Member {
                pod: one.pod.clone(),
                node: one.node.clone(),
                role: one.role.clone(),
                ready: one.ready,
                streaming: state.as_ref().is_some_and(|state| state.streaming.contains(&one.pod)),
            };
            let sample = Sample {
                wall: wall(),
                elapsed: elapsed(begin),
                members: members.iter().map(member).collect(),
                timeline: state.as_ref().map(|state| state.timeline),
            };
            seen.samples.push(sample);
            seen.answered = Instant::now();
            if inhabited {
                seen.inhabited = seen.answered;
            }
            if seen.members != members {
                seen.changes += 1;
                seen.members = members;
            }
        }
        sleep(Duration::from_millis(500).saturating_sub(tick.elapsed()).max(Duration::from_millis(50))).await;
    }
}

/// Asks the primary how the whole is, for as long as the task lives.
async fn ask(cluster: Cluster, seen: Arc<Mutex<Seen>>) {
    loop {
        let (members, changes) = {
            let seen = lock(&seen);
            (seen.members.clone(), seen.changes)
        };
        if let Some(state) = cluster.state(&members).await {
            lock(&seen).state = Some(Said { at: Instant::now(), changes, state });
        }
        sleep(Duration::from_millis(700)).await;
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since the drill began.
fn elapsed(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(pod: &str, role: &str) -> Member {
        Member {
            pod: pod.into(),
            uid: pod.into(),
            node: "n".into(),
            address: String::new(),
            image: String::new(),
            role: role.into(),
            ready: true,
            ending: false,
            restarts: 0,
            claim: None,
            container: String::new(),
            elected: false,
        }
    }

    #[test]
    fn full_strength_is_what_the_new_primary_says() {
        let state = |streaming: &[&str]| State {
            primary: "pg-1".into(),
            timeline: 2,
            streaming: streaming.iter().map(|pod| (*pod).to_owned()).collect(),
            since: String::new(),
        };
        let now = [member("pg-0", "replica"), member("pg-1", "primary"), member("pg-2", "replica")];
        let full = state(&["pg-0", "pg-2"]);
        assert!(at_strength(&now, 3, Some(&full)));
        assert!(!at_strength(&now, 4, Some(&full)));
        assert!(!at_strength(&now, 3, Some(&state(&["pg-2"]))));
        assert!(!at_strength(&now, 3, None));
        // The old primary's node is off: its pod is still there, and labelled and ready as it was.
        let lost = [member("pg-0", "primary"), member("pg-1", "primary"), member("pg-2", "replica")];
        assert!(!at_strength(&lost, 3, Some(&state(&["pg-2"]))));
        // The label has not moved yet.
        let late = [member("pg-0", "primary"), member("pg-1", "replica"), member("pg-2", "replica")];
        assert!(!at_strength(&late, 3, Some(&full)));
    }
}
