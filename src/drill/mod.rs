//! `pgk drill`: breaks a cluster on purpose and proves what it kept.
//!
//! The live half drives the cluster: `run` goes through one drill, with `cluster` (what the Kubernetes
//! API is asked), [`event`] (what is done to it) and `load` (who writes and reads meanwhile). The pure
//! half makes figures of what was recorded: [`ledger`] and [`record`] are what was recorded,
//! [`figures`] what it comes to, [`verdict`] what that is worth, [`report`] and [`timeline`] what a reader sees of it.

mod cluster;
pub mod event;
pub mod figures;
pub mod ledger;
mod load;
mod plan;
mod progress;
pub mod record;
pub mod report;
mod run;
#[cfg(test)]
mod tests;
pub mod timeline;
pub mod verdict;
mod words;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::cli::Words;
use crate::error::Diagnostic;
use cluster::Cluster;
use event::{EVENTS, Event, NodeCommands, Target};
use figures::{Measurement, measure};
use progress::Progress;
use record::Record;
use report::Heading;
use run::Settings;
use verdict::Limits;

/// Arguments of `pgk drill`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[allow(clippy::struct_excessive_bools)] // each is a flag
pub struct Arguments {
    /// An event, or a file with a plan of several; `--list` lists the events.
    #[arg(required_unless_present = "list", value_name = "EVENT|PLAN.yaml", hide_possible_values = true, value_parser = Words(event::names))]
    pub what: Option<String>,
    /// List the events, what each stands for, and what each needs.
    #[arg(long)]
    pub list: bool,
    /// Which members to hit.
    #[arg(long, value_enum, default_value_t = Target::Primary)]
    pub target: Target,
    /// How often to do it.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = number::<1, 1000>)]
    pub repeat: u16,
    /// The instance.
    #[arg(long, default_value = "pg")]
    pub name: String,
    /// Its namespace; that of the current context unless given.
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// The platform's commands.
    #[command(flatten)]
    pub commands: NodeCommands,
    /// How many pods write.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = number::<1, 16>)]
    pub writers: u16,
    /// How many pods read.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = number::<0, 16>)]
    pub readers: u16,
    /// One more pod writes transactions of 4 MB, up to 8 MB a second, so that WAL records cross the boundaries of files, and
    /// receivers fall behind. Its acknowledged commits are checked for loss; the time that it waits is not a write outage.
    #[arg(long)]
    pub bulk: bool,
    /// How long the load runs before the event.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = time)]
    pub warm_up: Duration,
    /// How long it runs after the recovery.
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = time)]
    pub cool_down: Duration,
    /// The longest time to wait for full strength.
    #[arg(long, default_value = "180s", value_name = "TIME", value_parser = time)]
    pub timeout: Duration,
    /// Bring a node back after this time, even if the instance has not recovered without it.
    #[arg(long, default_value = "120s", value_name = "TIME", value_parser = time)]
    pub node_on_after: Duration,
    /// Fail if writes were away for longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_write_outage: Option<Duration>,
    /// Fail if reads through the read-only Service were away for longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_read_outage: Option<Duration>,
    /// Fail if full strength took longer.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_recovery: Option<Duration>,
    /// Fail if a primary whose node was cut off, and that was replaced, still acknowledged a write or answered a
    /// read as a primary after this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_isolated: Option<Duration>,
    /// Allow the loss of commits that were acknowledged at most this long before the event: for a total loss, which
    /// leaves only the archive. Without it, no acknowledged commit may be lost.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub max_loss: Option<Duration>,
    /// Write report.md, timeline.svg and the raw record into this folder, which must be new or empty.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
    /// Go on even if the event destroys the last copy of the data.
    #[arg(long)]
    pub yes: bool,
    /// The instance's name once more, for total-loss.
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

const AFTER_HELP: &str = "\
The drill runs on the cluster of the current context. The load connects through the Services as the role postgres, in \
the schema pgk_drill of the database postgres; a statement has 2 s to connect and 3 s to answer (5 s together on a \
new connection; with --bulk, those of 4 MB have 9 s to answer). If the primary's node is cut off, more clients run on that \
node, and use the Service and the primary's address. Everything that the drill creates is removed at its end.

Rights needed: get, list, create and delete pods; create pods/exec; list statefulsets, deployments and nodes; get \
services (to cut nodes); delete persistentvolumeclaims (for volume-delete and total-loss).

Platform commands, for example with kind:
  --node-off 'docker stop {node}' --node-on 'docker start {node}'
  --node-cut 'docker network disconnect kind {node}'
  --node-heal 'docker network connect kind {node}'

A plan is a YAML list of events:
  [{event: pod-delete, target: primary, repeat: 5}, {event: postgres-kill}]

Exit status: 0 nothing lost and every limit held; 1 otherwise; 2 the command line is wrong.";

/// A number from the one to the other, both included.
fn number<const FROM: u16, const TO: u16>(text: &str) -> Result<u16, String> {
    let number = text.parse().ok().filter(|number| (FROM..=TO).contains(number));
    number.ok_or_else(|| format!("it is a number from {FROM} to {TO}"))
}

/// A time as a person writes it: `500ms`, `5s`, `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis = match text.get(digits.len()..) {
        Some("ms") => Some(1),
        Some("s") => Some(1000),
        Some("m") => Some(60_000),
        _ => None,
    };
    let time = digits.parse::<u64>().ok().zip(millis).and_then(|(number, unit)| number.checked_mul(unit));
    let longest = 24 * 60 * 60 * 1000;
    time.filter(|time| *time <= longest)
        .map(Duration::from_millis)
        .ok_or_else(|| "a time is a whole number with ms, s or m, such as 500ms or 5s".to_owned())
}

/// What the drills showed.
#[derive(Debug)]
pub struct Shown {
    /// For stdout: a table, or JSON.
    pub text: String,
    /// Whether nothing was lost, every limit held, and all that the drills created was removed.
    pub passed: bool,
}

/// One drill as it was recorded.
struct Recorded {
    record: Record,
    /// Each stream's ledger, by the stream's name, as its pod wrote it.
    raw: Vec<(String, String)>,
    /// What the drill created and could not remove.
    left: Vec<String>,
}

/// Runs the drills.
///
/// # Errors
/// A [`Diagnostic`] where the arguments are wrong; a cluster that cannot be reached, or does not do as it
/// is told. That a drill lost something is no error here.
pub fn drill(arguments: &Arguments) -> anyhow::Result<Shown> {
    if arguments.list {
        return Ok(Shown { text: list(), passed: true });
    }
    let what = arguments.what.as_deref().unwrap_or_default();
    let steps = plan::steps(what, arguments.target, arguments.repeat)?;
    let confirmed = arguments.confirm.as_ref() == Some(&arguments.name);
    for (event, _) in &steps {
        event.has_options(&arguments.commands, arguments.yes, confirmed)?;
    }
    if let Some(folder) = &arguments.report {
        refuse_full(folder)?;
    }
    let limits = Limits {
        max_write_outage: arguments.max_write_outage,
        max_read_outage: arguments.max_read_outage,
        max_full_strength: arguments.max_recovery,
        max_isolated: arguments.max_isolated,
        max_loss: arguments.max_loss,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (recorded, versions) = runtime.block_on(run_all(arguments, &steps))?;
    runtime.shutdown_background();
    conclude(arguments, &recorded, &versions, &limits)
}

/// Makes figures of what was recorded, and writes the report where one is asked for.
fn conclude(
    arguments: &Arguments,
    recorded: &[Recorded],
    versions: &str,
    limits: &Limits,
) -> anyhow::Result<Shown> {
    let measurements: Vec<_> = recorded.iter().map(|one| measure(&one.record)).collect();
    let date = recorded.first().map(|one| date(one.record.begin_wall)).unwrap_or_default();
    let command = command_line(std::env::args());
    let heading = Heading { date: &date, versions, command: &command };
    if let Some(folder) = &arguments.report {
        write_report(folder, &heading, recorded, &measurements, limits)
            .with_context(|| format!("cannot write the report to {}", folder.display()))?;
    }
    let text = if arguments.json {
        format!("{:#}\n", report::json(&heading, &measurements, limits))
    } else {
        report::table(&measurements, limits)
    };
    let removed = recorded.iter().all(|one| one.left.is_empty());
    Ok(Shown { text, passed: removed && report::passed(&measurements, limits) })
}

fn write_report(
    folder: &Path,
    heading: &Heading<'_>,
    recorded: &[Recorded],
    measurements: &[Measurement],
    limits: &Limits,
) -> std::io::Result<()> {
    let raw = folder.join("raw");
    fs::create_dir_all(&raw)?;
    for (index, (one, measurement)) in recorded.iter().zip(measurements).enumerate() {
        let picture = report::picture(index, recorded.len());
        fs::write(folder.join(picture), timeline::svg(&one.record, measurement))?;
        for (stream, text) in &one.raw {
            fs::write(raw.join(format!("{}-{stream}.log", index + 1)), text)?;
        }
    }
    fs::write(folder.join("report.json"), format!("{:#}\n", report::json(heading, measurements, limits)))?;
    fs::write(folder.join("report.md"), report::markdown(heading, measurements, limits))
}

/// The command that was run, for the report; quoted where a shell needs it.
fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let quoted =
        arguments.skip(1).map(|word| shlex::try_quote(&word).map(Into::into).unwrap_or(word.clone()));
    std::iter::once("pgk".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

/// A wall clock's time as a date, in UTC.
fn date(wall: i64) -> String {
    k8s_openapi::jiff::Timestamp::from_microsecond(wall)
        .map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default()
}

/// Does the drills in order; what was recorded, and the versions of what it was recorded on.
async fn run_all(
    arguments: &Arguments,
    steps: &[(Event, Target)],
) -> anyhow::Result<(Vec<Recorded>, String)> {
    let cluster = Cluster::connect(arguments.name.clone(), arguments.namespace.clone()).await?;
    let settings = Settings {
        commands: arguments.commands.clone(),
        yes: arguments.yes,
        writers: arguments.writers,
        readers: arguments.readers,
        bulk: arguments.bulk,
        warm_up: arguments.warm_up,
        cool_down: arguments.cool_down,
        patience: arguments.timeout,
        node_away: arguments.node_on_after,
    };
    let versions = cluster.versions().await?;
    let mut records = Vec::new();
    for (number, (event, target)) in (1..).zip(steps) {
        let progress = Progress::new(&format!("{event} {target} {number}/{}", steps.len()));
        let record = run::run(&cluster, *event, *target, &settings, &progress).await;
        progress.end();
        records.push(record?);
    }
    Ok((records, versions))
}

fn list() -> String {
    let mut text = String::new();
    for (_, name, stands_for, needs) in EVENTS {
        let needs = if needs.is_empty() { String::new() } else { format!(" (needs {needs})") };
        text.extend([&format!("{name:<14} "), stands_for, &needs, "\n"]);
    }
    text
}

fn refuse_full(folder: &Path) -> anyhow::Result<()> {
    let full = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if full || folder.is_file() {
        return Err(Diagnostic::new(format!("the report's folder {} is not empty", folder.display()))
            .help("choose a new one")
            .into());
    }
    Ok(())
}
