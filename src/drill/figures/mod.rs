//! From what was recorded to figures. Nothing here looks at a clock, a cluster or a file.

mod clock;
mod notes;
mod outages;
mod primaries;
mod rows;
mod summary;

use serde::Serialize;

use super::ledger::{Client, Connection, Outcome, Stream, Work};
use super::record::Record;
use super::words::float;
pub(super) use clock::{Timed, timed};
use clock::{signed, steps};
use notes::notes;
pub use outages::{Gap, Outage, Outages};
use outages::{first_commit, outage, outages};
pub use primaries::{Acknowledged, Isolated, TwoPrimaries};
use primaries::{isolated, two_primaries};
use rows::kept;
pub(super) use rows::numbers;
pub use rows::{Kept, Statement};
#[cfg(test)]
pub(super) use summary::spread;
pub use summary::{Spread, Summary, summary};

/// What one event came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// The event's name.
    pub event: String,
    /// What it struck.
    pub target: String,
    /// The longest time without a commit.
    pub write_outage: Outages,
    /// The longest time without a read through the read/write Service.
    pub read_outage_primary: Outages,
    /// The longest time without a read through the read-only Service.
    pub read_outage_replica: Outages,
    /// Each stream by itself.
    pub streams: Vec<StreamFigures>,
    /// The statements of all streams.
    pub total: Counts,
    /// Commits a second of all write streams, up to the event.
    pub commits_per_second: Option<f64>,
    /// From the event to the end of the longest time in which writes failed, or none was sent; from the
    /// event to the next commit where there was no such time.
    pub first_commit_ms: Option<u64>,
    /// From the event to the moment when every member was ready and streaming.
    pub full_strength_ms: Option<u64>,
    /// How many writes were acknowledged.
    pub acknowledged: usize,
    /// What the rows say; `None` if they could not be read.
    pub kept: Option<Kept>,
    /// Writes that two primaries acknowledged at the same time.
    pub two_primaries: TwoPrimaries,
    /// What the primary did whose node was cut off; `None` for an event that cuts none, or a replica's.
    pub isolated: Option<Isolated>,
    /// The primary's timeline before the event.
    pub timeline_before: Option<u32>,
    /// The primary's timeline at the end.
    pub timeline_after: Option<u32>,
    /// From the event to the end of the record.
    pub watched_ms: u64,
    /// Whether a wall clock was seen to step: times since the event are then inexact, durations are not.
    pub clocks_stepped: bool,
    /// What a reader must know about how good the figures are.
    pub notes: Vec<String>,
}

/// How many statements had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The server answered.
    pub done: usize,
    /// Never sent, or refused by the server.
    pub failed: usize,
    /// Sent, and no answer came.
    pub doubt: usize,
}

/// The figures of one stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StreamFigures {
    /// Its name.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// How it connects.
    pub connection: Connection,
    /// Where it sends from, and to.
    pub client: Client,
    /// Its statements.
    #[serde(flatten)]
    pub counts: Counts,
    /// Successes a second up to the event.
    pub per_second: Option<f64>,
    /// How long it was without a success.
    pub outage: Outage,
    /// How often it was started again, with its node or without.
    pub restarts: usize,
    /// Whether the end of its record was never heard of.
    pub cut: bool,
    /// How many lines of its record cannot be read.
    pub malformed: usize,
}

/// Works out every figure of `record`.
pub fn measure(record: &Record) -> Measurement {
    let timed = timed(record);
    let event = signed(record.event_elapsed);
    let streams: Vec<_> = timed.iter().map(|stream| figures(stream, record)).collect();
    let writers = streams.iter().filter(|of| (of.work, of.client) == (Work::Write, Client::Outside));
    let rates = writers.map(|stream| stream.per_second);
    let first_commit_ms = first_commit(&timed, event);
    let kept = record.rows.as_deref().map(|rows| kept(&timed, rows, event, first_commit_ms));
    let mut total = Counts::default();
    for stream in &streams {
        total.done += stream.counts.done;
        total.failed += stream.counts.failed;
        total.doubt += stream.counts.doubt;
    }
    let steps = steps(record, &timed);
    Measurement {
        event: record.event.clone(),
        target: record.target.clone(),
        write_outage: outages(&streams, Work::Write),
        read_outage_primary: outages(&streams, Work::ReadPrimary),
        read_outage_replica: outages(&streams, Work::ReadReplica),
        total,
        commits_per_second: rates.flatten().reduce(|sum, rate| sum + rate),
        first_commit_ms,
        full_strength_ms: record
            .full_strength_elapsed
            .map(|elapsed| elapsed.saturating_sub(record.event_elapsed)),
        acknowledged: streams.iter().filter(|s| s.work.writes()).map(|s| s.counts.done).sum(),
        two_primaries: two_primaries(&timed),
        isolated: record.cut_off.as_ref().map(|cut_off| isolated(&timed, cut_off, event)),
        timeline_before: record.timeline_before,
        timeline_after: record.timeline_after,
        watched_ms: record.end_elapsed.saturating_sub(record.event_elapsed),
        clocks_stepped: !steps.is_empty(),
        notes: notes(record, &timed, &streams, kept.as_ref(), &steps),
        kept,
        streams,
    }
}

fn figures(timed: &Timed<'_>, record: &Record) -> StreamFigures {
    let Stream { name, work, connection, client, cut, malformed, .. } = timed.stream;
    let event = signed(record.event_elapsed);
    let mut counts = Counts::default();
    for moment in &timed.moments {
        match moment.attempt.outcome {
            Outcome::Done { .. } => counts.done += 1,
            Outcome::Failed(_) => counts.failed += 1,
            Outcome::Doubt(_) => counts.doubt += 1,
        }
    }
    let before = timed.moments.iter().filter(|moment| moment.is_done() && moment.end <= event).count();
    let lead = timed.moments.first().map(|first| event.saturating_sub(first.start)).filter(|lead| *lead > 0);
    StreamFigures {
        name: name.clone(),
        work: *work,
        connection: *connection,
        client: *client,
        counts,
        per_second: lead.map(|lead| float(before) * 1000.0 / float(lead)),
        outage: outage(timed, event, signed(record.end_elapsed)),
        restarts: timed.moments.last().map_or(0, |moment| moment.boot),
        cut: *cut,
        malformed: *malformed,
    }
}
