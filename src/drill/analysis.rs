//! From what was recorded to figures, and from figures to a verdict. Nothing here looks at a clock, a
//! cluster or a file.
//!
//! Three clocks are in the record. Durations within a stream come from its node's clock that only goes
//! forward. To set streams beside one another and beside the event, each stream gets one offset between
//! that clock and its pod's wall clock: the median over its statements, which a step of the wall clock for
//! a part of the time does not move. The wall clocks of pgk and of the load's nodes are taken to agree; a
//! step that is seen is noted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::ledger::{Attempt, Connection, Outcome, Stream, Work};

/// All that was recorded of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The event's name, for example `pod-delete`.
    pub event: String,
    /// What it struck, for example `primary`.
    pub target: String,
    /// What the load wrote down.
    pub streams: Vec<Stream>,
    /// What the load's table holds at the end; `None` if it could not be read.
    pub rows: Option<Vec<Row>>,
    /// What pgk saw of the cluster, in order, about once a second.
    pub samples: Vec<Sample>,
    /// When the drill began by pgk's wall clock, in microseconds since 1970. The load starts after it.
    pub begin_wall: i64,
    /// When the event was triggered, by the same clock.
    pub event_wall: i64,
    /// When the load was stopped, by the same clock.
    pub end_wall: i64,
    /// When the event was triggered, in milliseconds since the drill began, by pgk's clock that only goes
    /// forward.
    pub event_elapsed: u64,
    /// When the load was stopped, likewise.
    pub end_elapsed: u64,
    /// When every member was ready and streaming again, likewise; `None` if that was never seen.
    pub full_strength_elapsed: Option<u64>,
    /// The primary's timeline before the event.
    pub timeline_before: Option<u32>,
    /// The primary's timeline at the end.
    pub timeline_after: Option<u32>,
}

/// A number in the load's table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Row {
    /// The stream that wrote it.
    pub stream: String,
    /// Its number in that stream.
    pub number: u64,
    /// How many rows have it.
    pub times: u64,
}

/// The cluster as pgk saw it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When, by pgk's wall clock, in microseconds since 1970.
    pub wall: i64,
    /// When, in milliseconds since the drill began, by pgk's clock that only goes forward.
    pub elapsed: u64,
    /// The pods that were there.
    pub members: Vec<Member>,
    /// The primary's timeline, if it told.
    pub timeline: Option<u32>,
}

/// A pod of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub pod: String,
    /// The node it runs on.
    pub node: String,
    /// [`PRIMARY`], or anything else for a replica.
    pub role: String,
    /// Whether Kubernetes has it as ready.
    pub ready: bool,
    /// Whether it receives the primary's WAL. Without meaning for the primary.
    pub streaming: bool,
}

/// The role of the member that takes writes.
pub const PRIMARY: &str = "primary";

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

/// The outages of one kind of work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outages {
    /// Of streams that keep their connection; `None` if there is none.
    pub kept: Option<Outage>,
    /// Of streams that connect for each statement; `None` if there is none.
    pub new: Option<Outage>,
    /// The worse of both.
    pub worst: Option<Outage>,
}

/// How long a stream, or the worst of several, was without a success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outage {
    /// The longest time between two successes in the whole record; `None` if none can be measured.
    pub longest: Option<Gap>,
    /// The longest of those that ended before the event: the load's own noise.
    pub before_event_ms: Option<u64>,
    /// Whether the last outage lasted to the end of the record. `longest` is then a lower bound.
    pub not_back: bool,
}

/// A time without a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The stream.
    pub stream: String,
    /// When it began, in milliseconds since the drill began.
    pub from_ms: i64,
    /// How long it was.
    pub length_ms: u64,
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

/// What the load's table holds, beside what was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Every acknowledged write whose row is missing.
    pub lost: Vec<Statement>,
    /// Writes in doubt whose row is there.
    pub doubt_kept: usize,
    /// Writes in doubt whose row is not there.
    pub doubt_not_kept: usize,
    /// Rows that are there more than once.
    pub twice: Vec<Row>,
    /// Writes that failed as far as the client was told, and whose row is there all the same.
    pub failed_kept: usize,
    /// Rows that no recorded statement accounts for.
    pub unknown: usize,
}

/// A statement of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Statement {
    /// The stream.
    pub stream: String,
    /// Its number in it.
    pub number: u64,
}

/// Writes that a server acknowledged while another one was the primary.
///
/// A write counts if it was sent after another server had acknowledged one on a newer timeline, or, on the
/// same timeline, after this server and then another one had. A primary that was replaced, or whose pod
/// came back under another address, does neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TwoPrimaries {
    /// How many.
    pub count: usize,
    /// The first few.
    pub first: Vec<Acknowledged>,
}

/// An acknowledged write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acknowledged {
    /// The stream.
    pub stream: String,
    /// Its number in it.
    pub number: u64,
    /// The server that acknowledged it.
    pub server: String,
    /// The timeline it was on.
    pub timeline: u32,
    /// When, in milliseconds since the drill began.
    pub at_ms: i64,
}

/// The most that outages may last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Without a commit.
    pub max_write_outage: Option<Duration>,
    /// Without a read through the read-only Service.
    pub max_read_outage: Option<Duration>,
    /// From the event to full strength.
    pub max_full_strength: Option<Duration>,
}

/// Whether the cluster kept its promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it did.
    pub passed: bool,
    /// Why not, in sentences.
    pub reasons: Vec<String>,
}

/// The figures of one event over its repeats.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The event's name.
    pub event: String,
    /// What it struck.
    pub target: String,
    /// How often it was repeated.
    pub runs: usize,
    /// Write outage of streams that keep their connection.
    pub write_outage_kept_ms: Option<Spread>,
    /// Write outage of streams that connect for each statement.
    pub write_outage_new_ms: Option<Spread>,
    /// The worse of both in each run.
    pub write_outage_ms: Option<Spread>,
    /// Read outage through the read/write Service.
    pub read_outage_primary_ms: Option<Spread>,
    /// Read outage through the read-only Service.
    pub read_outage_replica_ms: Option<Spread>,
    /// From the event to the first commit.
    pub first_commit_ms: Option<Spread>,
    /// From the event to full strength.
    pub full_strength_ms: Option<Spread>,
    /// Commits a second before the event.
    pub commits_per_second: Option<Spread>,
    /// Acknowledged writes lost, in all runs.
    pub lost: usize,
    /// Writes in doubt whose row is there, in all runs.
    pub doubt_kept: usize,
    /// Writes in doubt whose row is not there, in all runs.
    pub doubt_not_kept: usize,
    /// Rows there more than once, in all runs.
    pub twice: usize,
    /// Writes acknowledged by two primaries at once, in all runs.
    pub two_primaries: usize,
    /// Runs whose rows could not be read: what they lost is unknown.
    pub rows_not_read: usize,
}

/// A figure over several runs. A run in which it had no end counts as longer than all others, and
/// stands as `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: Option<f64>,
    /// The middle one, or the mean of the two in the middle.
    pub median: Option<f64>,
    /// The most.
    pub max: Option<f64>,
}

/// Beyond this a wall clock was set, not slewed: NTP slews 0.5 ms a second, and a busy node may take a
/// while between reading one clock and the other.
const STEP_MS: i64 = 250;

/// A load pod's wall clock that pgk measured to be off by this much is corrected; less may be the time
/// that measuring took.
const SKEWED_MS: i64 = 500;

/// Wall clocks of different nodes may differ by this much: a write on one is after one on another only if
/// it is later by more.
const SKEW_MS: i64 = 100;

/// A stream that still fails at its end has an outage there if it did so for this long. Less is the
/// statement that was under way as the load was stopped.
const STOPPING_MS: i64 = 1_000;

/// It is not back if it did so for this long: longer than any one statement takes (load.sh).
const NOT_BACK_MS: i64 = 5_500;

/// A stream that was silent for this long at the end of the record was killed, or its node was: no
/// statement's timeout is as long.
const SILENT_MS: i64 = 10_000;

/// A stream that sent nothing for this long was away itself: it pauses for milliseconds.
const AWAY_MS: i64 = 3_000;

/// How many acknowledgements by two primaries are listed.
const LISTED: usize = 5;

/// An attempt and when it was, in milliseconds since the drill began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment<'a> {
    pub(super) attempt: &'a Attempt,
    pub(super) start: i64,
    pub(super) end: i64,
    /// How often the load had been started again before it.
    boot: usize,
}

/// A stream's attempts on the drill's time.
pub(super) struct Timed<'a> {
    pub(super) stream: &'a Stream,
    pub(super) moments: Vec<Moment<'a>>,
    /// The most that its wall clock strayed while its node ran.
    step: i64,
}

impl Timed<'_> {
    /// The longest time in which it sent nothing.
    fn away(&self) -> i64 {
        let pairs = self.moments.iter().zip(self.moments.iter().skip(1));
        pairs.map(|(before, after)| after.start.saturating_sub(before.end)).max().unwrap_or_default()
    }
}

/// Sets every stream of `record` on the drill's time.
pub(super) fn timed(record: &Record) -> Vec<Timed<'_>> {
    let origin = (record.event_wall / 1000).saturating_sub(signed(record.event_elapsed));
    let end = signed(record.end_elapsed);
    record.streams.iter().map(|stream| on_time(stream, origin, end)).collect()
}

fn on_time(stream: &Stream, origin: i64, end: i64) -> Timed<'_> {
    let mut timed = Timed { stream, moments: Vec::with_capacity(stream.attempts.len()), step: 0 };
    // Where NTP keeps both clocks, it is better than what pgk measured.
    let ahead = Some(stream.clock_ahead / 1000).filter(|ahead| ahead.saturating_abs() >= SKEWED_MS);
    let origin = origin.saturating_add(ahead.unwrap_or_default());
    // A node that restarts counts from 0 again, but may be up for longer than it was before.
    let goes_on =
        |before: &Attempt, after: &Attempt| after.start >= before.end && before.starts() == after.starts();
    let boots = stream.attempts.chunk_by(goes_on);
    for (boot, attempts) in boots.enumerate() {
        let offset = |attempt: &Attempt| (attempt.wall / 1000).saturating_sub(signed(attempt.end));
        let mut offsets: Vec<i64> = attempts.iter().map(offset).collect();
        offsets.sort_unstable();
        if let (Some(low), Some(high)) = (offsets.first(), offsets.last()) {
            timed.step = timed.step.max(high.saturating_sub(*low));
        }
        let mut shift = offsets.get(offsets.len() / 2).copied().unwrap_or_default().saturating_sub(origin);
        if let (Some(earlier), Some(first), Some(last)) =
            (timed.moments.last(), attempts.first(), attempts.last())
        {
            // The wall clock may be wrong since the restart. What is later in the file was later, and
            // nothing was after the end: the stream then most likely went on to the end.
            let after = earlier.end.saturating_sub(signed(first.start));
            let until = end.saturating_sub(signed(last.end));
            if shift < after || shift > until.saturating_add(STOPPING_MS) {
                timed.step = timed.step.max(shift.abs_diff(after.max(until)).try_into().unwrap_or(i64::MAX));
                shift = after.max(until);
            }
        }
        timed.moments.extend(attempts.iter().map(|attempt| Moment {
            attempt,
            start: signed(attempt.start).saturating_add(shift),
            end: signed(attempt.end).saturating_add(shift),
            boot,
        }));
    }
    timed
}

/// Works out every figure of `record`.
pub fn measure(record: &Record) -> Measurement {
    let timed = timed(record);
    let event = signed(record.event_elapsed);
    let streams: Vec<_> = timed.iter().map(|stream| figures(stream, record)).collect();
    let rates = streams.iter().filter(|stream| stream.work == Work::Write).map(|stream| stream.per_second);
    let kept = record.rows.as_deref().map(|rows| kept(&record.streams, rows));
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
        first_commit_ms: first_commit(&timed, event),
        full_strength_ms: record
            .full_strength_elapsed
            .map(|elapsed| elapsed.saturating_sub(record.event_elapsed)),
        acknowledged: streams.iter().filter(|s| s.work == Work::Write).map(|s| s.counts.done).sum(),
        two_primaries: two_primaries(&timed),
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
    let Stream { name, work, connection, cut, malformed, .. } = timed.stream;
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
        counts,
        per_second: lead.map(|lead| float(before) * 1000.0 / float(lead)),
        outage: outage(timed, event, signed(record.end_elapsed)),
        restarts: timed.moments.last().map_or(0, |moment| moment.boot),
        cut: *cut,
        malformed: *malformed,
    }
}

impl Moment<'_> {
    pub(super) fn is_done(&self) -> bool {
        matches!(self.attempt.outcome, Outcome::Done { .. })
    }
}

/// The times without a success of one stream: between two, before the first and after the last.
fn outage(timed: &Timed<'_>, event: i64, end: i64) -> Outage {
    let (Some(first), Some(last)) = (timed.moments.first(), timed.moments.last()) else {
        return Outage { not_back: true, ..Outage::default() };
    };
    let mut ends: Vec<i64> =
        timed.moments.iter().filter(|moment| moment.is_done()).map(|moment| moment.end).collect();
    let last_done = ends.last().copied();
    // Before its first success a stream may still be starting, unless that goes on after the event.
    if ends.first().is_none_or(|first_done| *first_done > event) {
        ends.insert(0, first.start);
    }
    let until = if end.saturating_sub(last.end) > SILENT_MS { end } else { last.end };
    let without = last_done.map_or(i64::MAX, |done| until.saturating_sub(done));
    let not_back = without >= NOT_BACK_MS;
    if without >= STOPPING_MS {
        ends.push(until);
    }
    let mut outage = Outage { not_back, ..Outage::default() };
    for (from, to) in ends.iter().zip(ends.iter().skip(1)) {
        // Where clocks stray, a stream's begin may lie before that of the record.
        let length_ms = u64::try_from(to.saturating_sub(*from).min(end)).unwrap_or_default();
        if *to <= event {
            outage.before_event_ms = outage.before_event_ms.max(Some(length_ms));
        }
        if outage.longest.as_ref().is_none_or(|longest| longest.length_ms < length_ms) {
            outage.longest = Some(Gap { stream: timed.stream.name.clone(), from_ms: *from, length_ms });
        }
    }
    outage
}

fn outages(streams: &[StreamFigures], work: Work) -> Outages {
    let of = |connection| {
        let mine = streams.iter().filter(|s| s.work == work && s.connection == connection);
        mine.map(|stream| stream.outage.clone()).reduce(worse)
    };
    let (kept, new) = (of(Connection::Kept), of(Connection::New));
    let worst = [&kept, &new].into_iter().flatten().cloned().reduce(worse);
    Outages { kept, new, worst }
}

/// The worse of two outages in each respect.
fn worse(a: Outage, b: Outage) -> Outage {
    let length = |outage: &Outage| outage.longest.as_ref().map(|gap| gap.length_ms);
    Outage {
        before_event_ms: a.before_event_ms.max(b.before_event_ms),
        not_back: a.not_back || b.not_back,
        longest: if length(&a) >= length(&b) { a.longest } else { b.longest },
    }
}

/// When writes went on: the end of the longest time without a commit of any writer in which one failed, or
/// none was even sent, as the load was away itself.
fn first_commit(timed: &[Timed<'_>], event: i64) -> Option<u64> {
    let writes = || timed.iter().filter(|t| t.stream.work == Work::Write).flat_map(|t| &t.moments);
    let ends = |done: bool| {
        let mut ends: Vec<_> =
            writes().filter(|moment| moment.is_done() == done).map(|moment| moment.end).collect();
        ends.sort_unstable();
        ends
    };
    let (commits, failures) = (ends(true), ends(false));
    let failed = |from: i64, to: i64| {
        let next = failures.partition_point(|end| *end <= from.max(event));
        failures.get(next).is_some_and(|end| *end <= to)
    };
    let waits = commits.iter().zip(commits.iter().skip(1)).filter(|(_, to)| **to > event);
    let outage = waits
        .filter(|(from, to)| to.saturating_sub(**from) >= AWAY_MS || failed(**from, **to))
        .max_by_key(|(from, to)| to.saturating_sub(**from));
    // Nor did they go on when the time that never ended is the longest.
    let unended = match (commits.last(), failures.last()) {
        (Some(commit), Some(failure)) if failure > commit.max(&event) => failure.saturating_sub(*commit),
        _ => 0,
    };
    let end = match outage {
        Some((from, end)) if end.saturating_sub(*from) > unended => end,
        _ if unended > 0 => return None,
        _ => commits.iter().find(|end| **end > event)?,
    };
    u64::try_from(end.saturating_sub(event)).ok()
}

fn kept(streams: &[Stream], rows: &[Row]) -> Kept {
    let mut held: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for row in rows {
        *held.entry((&row.stream, row.number)).or_default() += row.times;
    }
    held.retain(|_, times| *times > 0);

    let mut kept = Kept::default();
    let mut sent: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut lost = BTreeSet::new();
    for stream in streams.iter().filter(|stream| stream.work == Work::Write) {
        for attempt in &stream.attempts {
            let id = (stream.name.as_str(), attempt.number);
            sent.insert(id);
            match (&attempt.outcome, held.contains_key(&id)) {
                (Outcome::Done { .. }, false) => {
                    lost.insert(id);
                }
                (Outcome::Doubt(_), true) => kept.doubt_kept += 1,
                (Outcome::Doubt(_), false) => kept.doubt_not_kept += 1,
                (Outcome::Failed(_), true) => kept.failed_kept += 1,
                (Outcome::Done { .. }, true) | (Outcome::Failed(_), false) => {}
            }
        }
    }
    kept.lost =
        lost.into_iter().map(|(stream, number)| Statement { stream: stream.to_owned(), number }).collect();
    kept.unknown = held.keys().filter(|id| !sent.contains(*id)).count();
    let twice = held.into_iter().filter(|(_, times)| *times > 1);
    kept.twice =
        twice.map(|((stream, number), times)| Row { stream: stream.to_owned(), number, times }).collect();
    kept
}

/// An acknowledged write as [`two_primaries`] compares them.
#[derive(Clone, Copy)]
struct Ack<'a> {
    stream: usize,
    server: &'a str,
    timeline: u32,
    moment: Moment<'a>,
}

/// For each stream, the earliest time after which something of that stream had been acknowledged.
type Earliest = BTreeMap<usize, i64>;

/// Whether an attempt of `stream` that was sent at `start` came after one of those acknowledgements.
fn after(earliest: &Earliest, stream: usize, start: i64) -> bool {
    // Within a stream there is one clock, and statements follow one another.
    earliest.iter().any(
        |(other, end)| {
            if *other == stream { start >= *end } else { start > end.saturating_add(SKEW_MS) }
        },
    )
}

fn note_earliest(earliest: &mut Earliest, ack: &Ack<'_>) {
    let end = ack.moment.end;
    earliest.entry(ack.stream).and_modify(|known| *known = end.min(*known)).or_insert(end);
}

fn two_primaries(timed: &[Timed<'_>]) -> TwoPrimaries {
    let mut acks = Vec::new();
    for (stream, of) in timed.iter().enumerate().filter(|(_, of)| of.stream.work == Work::Write) {
        acks.extend(of.moments.iter().filter_map(|moment| match &moment.attempt.outcome {
            // 0 says that the server did not tell, so that nothing can be said of it either.
            Outcome::Done { server, timeline } if *timeline != 0 => {
                Some(Ack { stream, server, timeline: *timeline, moment: *moment })
            }
            _ => None,
        }));
    }
    let mut by_timeline: BTreeMap<u32, Earliest> = BTreeMap::new();
    let mut by_server: BTreeMap<(u32, &str), Earliest> = BTreeMap::new();
    for ack in &acks {
        note_earliest(by_timeline.entry(ack.timeline).or_default(), ack);
        note_earliest(by_server.entry((ack.timeline, ack.server)).or_default(), ack);
    }
    // For a server: when another one first acknowledged a write on its timeline after it had.
    let mut interrupted: BTreeMap<(u32, &str), Earliest> = BTreeMap::new();
    for (&(timeline, server), first) in &by_server {
        let others = |ack: &&Ack<'_>| ack.timeline == timeline && ack.server != server;
        for other in acks.iter().filter(others) {
            if after(first, other.stream, other.moment.start) {
                note_earliest(interrupted.entry((timeline, server)).or_default(), other);
            }
        }
    }
    let mut wrong: Vec<&Ack<'_>> = acks
        .iter()
        .filter(|ack| {
            let start = ack.moment.start;
            let mut newer = by_timeline.iter().filter(|(timeline, _)| **timeline > ack.timeline);
            newer.any(|(_, earliest)| after(earliest, ack.stream, start))
                || interrupted
                    .get(&(ack.timeline, ack.server))
                    .is_some_and(|earliest| after(earliest, ack.stream, start))
        })
        .collect();
    wrong.sort_by_key(|ack| ack.moment.end);
    let list = wrong.iter().take(LISTED).filter_map(|ack| {
        Some(Acknowledged {
            stream: timed.get(ack.stream)?.stream.name.clone(),
            number: ack.moment.attempt.number,
            server: ack.server.to_owned(),
            timeline: ack.timeline,
            at_ms: ack.moment.end,
        })
    });
    TwoPrimaries { count: wrong.len(), first: list.collect() }
}

/// The wall clocks that were seen to step, and by how much.
fn steps(record: &Record, timed: &[Timed<'_>]) -> Vec<(String, i64)> {
    let ends = [
        (record.begin_wall, 0),
        (record.event_wall, record.event_elapsed),
        (record.end_wall, record.end_elapsed),
    ];
    let samples = record.samples.iter().map(|sample| (sample.wall, sample.elapsed));
    let offsets = samples.chain(ends).map(|(wall, elapsed)| (wall / 1000).saturating_sub(signed(elapsed)));
    let (low, high) = offsets.fold((i64::MAX, i64::MIN), |(low, high), at| (low.min(at), high.max(at)));
    let load = timed.iter().map(|stream| (format!("the node of {}", stream.stream.name), stream.step));
    let all = load.chain([("pgk's own machine".to_owned(), high.saturating_sub(low))]);
    all.filter(|(_, step)| *step > STEP_MS).collect()
}

fn notes(
    record: &Record,
    timed: &[Timed<'_>],
    streams: &[StreamFigures],
    kept: Option<&Kept>,
    steps: &[(String, i64)],
) -> Vec<String> {
    let mut notes = Vec::new();
    for stream in &record.streams {
        let ahead = stream.clock_ahead / 1000;
        if ahead.saturating_abs() >= SKEWED_MS {
            notes.push(format!(
                "The wall clock of {} is {} s {} pgk's: times since the event are corrected by that, to about a tenth of a second.",
                stream.name,
                seconds(ahead.unsigned_abs()),
                if ahead > 0 { "ahead of" } else { "behind" }
            ));
        }
    }
    if let Some((away, name)) = timed.iter().map(|timed| (timed.away(), &timed.stream.name)).max()
        && away >= AWAY_MS
    {
        notes.push(format!(
            "The load itself was away with its node, for up to {} s ({name}): that time is part of the outages and of the first commit.",
            seconds(away.unsigned_abs())
        ));
    }
    for (clock, step) in steps {
        notes.push(format!(
            "The wall clock of {clock} stepped by {} s: durations do not depend on it, times since the event do.",
            seconds(step.unsigned_abs())
        ));
    }
    let again: Vec<_> =
        streams.iter().filter(|stream| stream.restarts > 0).map(|stream| stream.name.as_str()).collect();
    if !again.is_empty() {
        notes.push(format!(
            "Started again, with the node or without: {}. The time without a success across that comes from the wall clock, or from the drill's end where that clock was set.",
            again.join(", ")
        ));
    }
    for stream in streams {
        let name = &stream.name;
        if stream.malformed > 0 {
            notes.push(format!(
                "{} of the record of {name} cannot be read: what they acknowledge is not checked.",
                count(stream.malformed, "line", "lines")
            ));
        }
    }
    if let Some(kept) = kept {
        if kept.unknown > 0 {
            notes.push(format!(
                "{} in the table that no recorded statement accounts for, as when the load is killed before it notes them.",
                count(kept.unknown, "row is", "rows are")
            ));
        }
        if kept.failed_kept > 0 {
            notes.push(format!(
                "{} that failed as far as the client was told: an application that repeats it writes it twice.",
                count(kept.failed_kept, "row is there of a write", "rows are there of writes")
            ));
        }
    }
    notes
}

/// Judges `measurement`. With no limit given, the cluster must still lose nothing, have one primary at a
/// time and be back at full strength.
pub fn verdict(measurement: &Measurement, limits: &Limits) -> Verdict {
    let mut reasons = Vec::new();
    match &measurement.kept {
        None => reasons.push(
            "The rows of the load could not be read at the end: what was lost is not known.".to_owned(),
        ),
        Some(kept) => {
            if !kept.lost.is_empty() {
                reasons.push(format!(
                    "{} lost: {}.",
                    count(kept.lost.len(), "acknowledged commit is", "acknowledged commits are"),
                    numbers(&kept.lost, 10)
                ));
            }
            if !kept.twice.is_empty() {
                let twice: Vec<_> = kept
                    .twice
                    .iter()
                    .map(|row| Statement { stream: row.stream.clone(), number: row.number })
                    .collect();
                reasons.push(format!(
                    "{} there more than once: {}.",
                    count(twice.len(), "row is", "rows are"),
                    numbers(&twice, 10)
                ));
            }
        }
    }
    if let Some(first) = measurement.two_primaries.first.first() {
        reasons.push(format!(
            "Two primaries took writes at once: {} acknowledged by a server after another one had taken over, the first by {} on timeline {} (number {} of {}).{}",
            count(measurement.two_primaries.count, "write was", "writes were"),
            first.server,
            first.timeline,
            first.number,
            first.stream,
            if measurement.clocks_stepped {
                " A wall clock stepped meanwhile, so the order may be wrong."
            } else {
                ""
            }
        ));
    }
    reasons.extend(not_measured(measurement));
    let watched = seconds(measurement.watched_ms);
    if measurement.full_strength_ms.is_none() {
        reasons.push(format!(
            "The cluster was not back at full strength when the drill ended, {watched} s after the event."
        ));
    }
    let back = |stream: &&StreamFigures| stream.outage.not_back && stream.counts.done > 0;
    let names: Vec<_> = measurement.streams.iter().filter(back).map(|stream| stream.name.as_str()).collect();
    if !names.is_empty() {
        reasons.push(format!(
            "Without a success to the end of the drill, {watched} s after the event: {}.",
            names.join(", ")
        ));
    }
    reasons.extend(limits_broken(measurement, limits));
    Verdict { passed: reasons.is_empty(), reasons }
}

/// What the load was too broken to prove.
fn not_measured(measurement: &Measurement) -> Vec<String> {
    let mut reasons = Vec::new();
    if measurement.acknowledged == 0 {
        reasons.push("No write was acknowledged: the drill proves nothing about what is kept.".to_owned());
    }
    let cut: Vec<_> =
        measurement.streams.iter().filter(|stream| stream.cut).map(|stream| stream.name.as_str()).collect();
    if !cut.is_empty() {
        reasons.push(format!(
            "The load did not answer at the end, so what it saw last is not in the record: {}.",
            cut.join(", ")
        ));
    }
    for stream in measurement.streams.iter().filter(|stream| stream.counts.done == 0) {
        let tried = stream.counts.failed + stream.counts.doubt;
        reasons.push(match tried {
            0 => format!("{} recorded nothing: the drill proves nothing about what it saw.", stream.name),
            _ => {
                format!("{} never succeeded: {} tried.", stream.name, count(tried, "statement", "statements"))
            }
        });
    }
    reasons
}

fn limits_broken(measurement: &Measurement, limits: &Limits) -> Vec<String> {
    let mut reasons = Vec::new();
    let outages = [
        ("write outage", "--max-write-outage", &measurement.write_outage, limits.max_write_outage),
        (
            "read outage through pg-ro",
            "--max-read-outage",
            &measurement.read_outage_replica,
            limits.max_read_outage,
        ),
    ];
    for (what, flag, outages, limit) in outages {
        let Some(limit) = limit.map(milliseconds) else { continue };
        match outages.worst.as_ref().and_then(|worst| worst.longest.as_ref()) {
            None => reasons.push(format!("The {what} was not measured, so {flag} cannot be said to hold.")),
            Some(gap) if gap.length_ms > limit => reasons.push(format!(
                "The {what} of {} s ({}) is longer than the limit of {} s ({flag}).",
                seconds(gap.length_ms),
                gap.stream,
                seconds(limit)
            )),
            Some(_) => {}
        }
    }
    if let (Some(took), Some(limit)) =
        (measurement.full_strength_ms, limits.max_full_strength.map(milliseconds))
        && took > limit
    {
        reasons.push(format!(
            "Full strength took {} s, longer than the limit of {} s (--max-recovery).",
            seconds(took),
            seconds(limit)
        ));
    }
    reasons
}

/// The figures of the repeats of one event; `None` of none.
pub fn summary<'a>(runs: impl IntoIterator<Item = &'a Measurement>) -> Option<Summary> {
    let runs: Vec<&Measurement> = runs.into_iter().collect();
    let first = runs.first()?;
    let outage = |of: fn(&Measurement) -> &Option<Outage>| {
        spread(runs.iter().filter_map(|run| of(run).as_ref()).map(|outage| match &outage.longest {
            Some(gap) if !outage.not_back => Some(float(gap.length_ms)),
            _ => None,
        }))
    };
    let time = |of: fn(&Measurement) -> Option<u64>| spread(runs.iter().map(|run| of(run).map(float)));
    let kept = |of: fn(&Kept) -> usize| runs.iter().filter_map(|run| run.kept.as_ref()).map(of).sum();
    Some(Summary {
        event: first.event.clone(),
        target: first.target.clone(),
        runs: runs.len(),
        write_outage_kept_ms: outage(|run| &run.write_outage.kept),
        write_outage_new_ms: outage(|run| &run.write_outage.new),
        write_outage_ms: outage(|run| &run.write_outage.worst),
        read_outage_primary_ms: outage(|run| &run.read_outage_primary.worst),
        read_outage_replica_ms: outage(|run| &run.read_outage_replica.worst),
        first_commit_ms: time(|run| run.first_commit_ms),
        full_strength_ms: time(|run| run.full_strength_ms),
        commits_per_second: spread(runs.iter().filter_map(|run| run.commits_per_second).map(Some)),
        lost: kept(|kept| kept.lost.len()),
        doubt_kept: kept(|kept| kept.doubt_kept),
        doubt_not_kept: kept(|kept| kept.doubt_not_kept),
        twice: kept(|kept| kept.twice.len()),
        two_primaries: runs.iter().map(|run| run.two_primaries.count).sum(),
        rows_not_read: runs.iter().filter(|run| run.kept.is_none()).count(),
    })
}

fn spread(figures: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
    let mut figures: Vec<f64> = figures.map(|figure| figure.unwrap_or(f64::INFINITY)).collect();
    figures.sort_by(f64::total_cmp);
    let at = |index: usize| figures.get(index).copied();
    let (low, high) = (at(figures.len().saturating_sub(1) / 2)?, at(figures.len() / 2)?);
    let finite = |figure: f64| figure.is_finite().then_some(figure);
    Some(Spread {
        min: at(0).and_then(finite),
        median: finite(f64::midpoint(low, high)),
        max: at(figures.len() - 1).and_then(finite),
    })
}

/// Statements as ranges of numbers a stream, for example `writer-1-kept 17-20, 25`; at most `most` ranges.
pub(super) fn numbers(statements: &[Statement], most: usize) -> String {
    let follows =
        |a: &Statement, b: &Statement| a.stream == b.stream && a.number.checked_add(1) == Some(b.number);
    let ranges: Vec<_> = statements.chunk_by(follows).collect();
    let mut text = String::new();
    let mut stream = "";
    for (first, last) in ranges.iter().take(most).filter_map(|range| range.first().zip(range.last())) {
        if !text.is_empty() {
            text.push_str(", ");
        }
        if stream != first.stream {
            text.extend([first.stream.as_str(), " "]);
            stream = &first.stream;
        }
        text.push_str(&first.number.to_string());
        if first.number != last.number {
            text.extend(["-", &last.number.to_string()]);
        }
    }
    if ranges.len() > most {
        text.push_str(", …");
    }
    text
}

/// Milliseconds as seconds: two decimals below ten, one above.
pub(super) fn seconds(ms: u64) -> String {
    in_seconds(float(ms))
}

/// The same, of a figure that may have a fraction.
pub(super) fn in_seconds(ms: f64) -> String {
    // Rounded first, so that 9.996 does not become 10.00.
    let hundredths = (ms / 10.0).round();
    if hundredths < 1000.0 { format!("{:.2}", hundredths / 100.0) } else { format!("{:.1}", ms / 1000.0) }
}

/// A number and the noun that goes with it.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A count or a number of milliseconds as a float; both stay far below what a `u32` holds.
pub(super) fn float<T: TryInto<u32>>(number: T) -> f64 {
    f64::from(number.try_into().unwrap_or(u32::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::ledger::parse;
    use super::*;

    pub(in super::super) const BEGIN: i64 = 1_764_030_000_000_000;

    /// A recorded drill with a known answer. Lines that start with `#!` say what the load does not write
    /// down itself: the times of the drill, the rows at the end, and whose the lines that follow are.
    macro_rules! recorded {
        ($name:literal) => {
            read(include_str!(concat!("testdata/", $name, ".txt")))
        };
    }

    pub(in super::super) fn read(text: &str) -> Record {
        let mut record = Record {
            event: "pod-delete".into(),
            target: "primary".into(),
            streams: Vec::new(),
            rows: None,
            samples: Vec::new(),
            begin_wall: BEGIN,
            event_wall: 0,
            end_wall: 0,
            event_elapsed: 0,
            end_elapsed: 0,
            full_strength_elapsed: None,
            timeline_before: None,
            timeline_after: None,
        };
        for section in text.split("#! ").skip(1) {
            let (header, lines) = section.split_once('\n').unwrap();
            let words: Vec<&str> = header.split(' ').collect();
            match words[0] {
                "drill" => words[1..].iter().for_each(|word| set(&mut record, word)),
                "rows" => record.rows = Some(rows(&words[1..])),
                "stream" => {
                    let work = match words[2] {
                        "write" => Work::Write,
                        "read-primary" => Work::ReadPrimary,
                        "read-replica" => Work::ReadReplica,
                        other => panic!("{other}"),
                    };
                    let connection = if words[3] == "kept" { Connection::Kept } else { Connection::New };
                    record.streams.push(parse(words[1], work, connection, lines));
                }
                other => panic!("{other}"),
            }
        }
        record
    }

    fn set(record: &mut Record, word: &str) {
        let (key, value) = word.split_once('=').unwrap();
        let wall = |ms: u64| BEGIN + i64::try_from(ms).unwrap() * 1000;
        match key {
            "event" => {
                record.event_elapsed = value.parse().unwrap();
                record.event_wall = wall(record.event_elapsed);
            }
            "end" => {
                record.end_elapsed = value.parse().unwrap();
                record.end_wall = wall(record.end_elapsed);
            }
            "full" => record.full_strength_elapsed = Some(value.parse().unwrap()),
            "timeline" => {
                let (before, after) = value.split_once('-').unwrap_or((value, ""));
                record.timeline_before = before.parse().ok();
                record.timeline_after = after.parse().ok();
            }
            other => panic!("{other}"),
        }
    }

    /// `NAME 1-4 7x2` is rows 1 to 4 of stream NAME, and 7 twice.
    fn rows(words: &[&str]) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut stream = "";
        for word in words {
            if !word.starts_with(|c: char| c.is_ascii_digit()) {
                stream = word;
                continue;
            }
            let (range, times) = word.split_once('x').unwrap_or((word, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            for number in first.parse().unwrap()..=last.parse().unwrap() {
                rows.push(Row { stream: stream.into(), number, times: times.parse().unwrap() });
            }
        }
        rows
    }

    fn judge(measurement: &Measurement) -> Vec<String> {
        verdict(measurement, &Limits::default()).reasons
    }

    /// Length and start of the longest outage.
    fn longest(outage: Option<&Outage>) -> (u64, i64) {
        let gap = outage.unwrap().longest.as_ref().unwrap();
        (gap.length_ms, gap.from_ms)
    }

    fn stream<'a>(measurement: &'a Measurement, name: &str) -> &'a StreamFigures {
        measurement.streams.iter().find(|stream| stream.name == name).unwrap()
    }

    #[test]
    fn nothing_was_recorded() {
        let measurement = measure(&recorded!("empty"));
        assert_eq!(measurement.total, Counts::default());
        assert_eq!(measurement.commits_per_second, None);
        assert_eq!(measurement.first_commit_ms, None);
        assert_eq!(measurement.write_outage.worst.as_ref().unwrap().longest, None);
        assert_eq!(measurement.read_outage_replica, Outages::default());
        let limits = Limits { max_write_outage: Some(Duration::from_secs(5)), ..Limits::default() };
        assert_eq!(
            verdict(&measurement, &limits).reasons,
            [
                "No write was acknowledged: the drill proves nothing about what is kept.",
                "writer-1-kept recorded nothing: the drill proves nothing about what it saw.",
                "The write outage was not measured, so --max-write-outage cannot be said to hold.",
            ]
        );
    }

    #[test]
    fn nothing_goes_wrong() {
        let measurement = measure(&recorded!("calm"));
        assert_eq!(measurement.total, Counts { done: 20, failed: 0, doubt: 0 });
        assert_eq!(longest(measurement.write_outage.worst.as_ref()), (1000, 10));
        assert_eq!(measurement.write_outage.new, None);
        assert_eq!(measurement.read_outage_replica.kept, None);
        assert_eq!(longest(measurement.read_outage_replica.new.as_ref()), (1000, 510));
        assert!((measurement.commits_per_second.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(measurement.first_commit_ms, Some(10));
        assert_eq!(measurement.full_strength_ms, Some(500));
        assert_eq!(measurement.kept, Some(Kept::default()));
        assert_eq!(measurement.two_primaries, TwoPrimaries::default());
        assert_eq!(measurement.notes, [""; 0]);
        assert_eq!(judge(&measurement), [""; 0]);
    }

    #[test]
    fn an_outage_of_each_kind() {
        let measurement = measure(&recorded!("outage"));
        let writes = &measurement.write_outage;
        assert_eq!(longest(writes.kept.as_ref()), (4200, 5010));
        assert_eq!(longest(writes.new.as_ref()), (3500, 5310));
        assert_eq!(longest(writes.worst.as_ref()), (4200, 5010));
        assert_eq!(writes.kept.as_ref().unwrap().before_event_ms, Some(1700));
        assert_eq!(writes.new.as_ref().unwrap().before_event_ms, Some(1500));
        assert_eq!(longest(measurement.read_outage_primary.kept.as_ref()), (2200, 5010));
        assert_eq!(longest(measurement.read_outage_replica.new.as_ref()), (1200, 4010));
        assert_eq!(measurement.total, Counts { done: 29, failed: 4, doubt: 2 });
        assert_eq!(measurement.first_commit_ms, Some(3710));
        assert_eq!(measurement.full_strength_ms, Some(5900));
        let rate = 4.0 / 4.1 + 2.0 / 2.8;
        assert!((measurement.commits_per_second.unwrap() - rate).abs() < 1e-9);
        assert_eq!(measurement.kept, Some(Kept { doubt_kept: 1, doubt_not_kept: 1, ..Kept::default() }));
        assert_eq!(judge(&measurement), [""; 0]);
        let limits = Limits {
            max_write_outage: Some(Duration::from_millis(4199)),
            max_read_outage: Some(Duration::from_millis(1200)),
            max_full_strength: Some(Duration::from_secs(5)),
        };
        assert_eq!(
            verdict(&measurement, &limits).reasons,
            [
                "The write outage of 4.20 s (writer-1-kept) is longer than the limit of 4.20 s (--max-write-outage).",
                "Full strength took 5.90 s, longer than the limit of 5.00 s (--max-recovery).",
            ]
        );
    }

    #[test]
    fn lost_twice_and_in_doubt() {
        let measurement = measure(&recorded!("lost"));
        let statement = |number| Statement { stream: "writer-1-kept".into(), number };
        let row = |number, times| Row { stream: "writer-1-kept".into(), number, times };
        assert_eq!(
            measurement.kept,
            Some(Kept {
                lost: [2, 5, 6, 7].map(statement).into(),
                doubt_kept: 1,
                doubt_not_kept: 2,
                twice: vec![row(1, 3), row(10, 2)],
                failed_kept: 1,
                unknown: 2,
            })
        );
        assert_eq!(
            judge(&measurement),
            [
                "4 acknowledged commits are lost: writer-1-kept 2, 5-7.",
                "2 rows are there more than once: writer-1-kept 1, 10.",
            ]
        );
        assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
    }

    #[test]
    fn without_rows_nothing_is_proven() {
        let mut record = recorded!("calm");
        record.rows = None;
        let measurement = measure(&record);
        assert_eq!(
            judge(&measurement),
            ["The rows of the load could not be read at the end: what was lost is not known."]
        );
    }

    #[test]
    fn a_step_of_the_wall_clock_changes_no_duration() {
        let straight = measure(&recorded!("outage"));
        let stepped = measure(&recorded!("clock-steps"));
        assert_eq!(stepped.write_outage.kept, straight.write_outage.kept);
        assert_eq!(stepped.kept, straight.kept);
        assert_eq!(stepped.two_primaries.count, 0);
        // Writer 1 sees its first failure at 8100 and its next commit at 9210.
        assert_eq!(stepped.first_commit_ms, Some(4110));
        assert!(stepped.clocks_stepped && !straight.clocks_stepped);
        assert_eq!(judge(&stepped), [""; 0]);
    }

    #[test]
    fn a_step_of_the_own_clock_is_noted() {
        let mut record = recorded!("calm");
        record.samples.push(Sample {
            wall: BEGIN + 3_000_000,
            elapsed: 2000,
            members: Vec::new(),
            timeline: None,
        });
        assert_eq!(
            measure(&record).notes,
            [
                "The wall clock of pgk's own machine stepped by 1.00 s: durations do not depend on it, times since the event do."
            ]
        );
    }

    #[test]
    fn a_measured_difference_of_clocks_is_corrected() {
        let straight = measure(&recorded!("outage"));
        let mut record = recorded!("outage");
        for stream in &mut record.streams {
            stream.clock_ahead = 30_000_000;
            stream.attempts.iter_mut().for_each(|attempt| attempt.wall += 30_000_000);
        }
        let corrected = measure(&record);
        assert_eq!(corrected.first_commit_ms, straight.first_commit_ms);
        assert_eq!(corrected.write_outage, straight.write_outage);
        assert_eq!(corrected.notes.len(), 4);
    }

    #[test]
    fn the_load_goes_with_the_nodes() {
        let measurement = measure(&recorded!("all-off"));
        assert_eq!(longest(measurement.write_outage.kept.as_ref()), (16_500, 5210));
        assert_eq!(longest(measurement.write_outage.new.as_ref()), (17_000, 5010));
        assert_eq!(measurement.first_commit_ms, Some(16_710));
        assert_eq!(
            measurement.notes,
            [
                "The load itself was away with its node, for up to 16.2 s (writer-1-new): that time is part of the outages and of the first commit.",
                "Started again, with the node or without: writer-1-kept, writer-1-new. The time without a success across that comes from the wall clock, or from the drill's end where that clock was set.",
            ]
        );
        assert_eq!(judge(&measurement), [""; 0]);
    }

    #[test]
    fn a_restart_of_the_node() {
        let measurement = measure(&recorded!("reboot"));
        let writer = stream(&measurement, "writer-1-kept");
        assert_eq!(writer.restarts, 1);
        assert_eq!(longest(Some(&writer.outage)), (20_000, 5010));
        assert!(!writer.outage.not_back);
        assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
        assert_eq!(judge(&measurement), [""; 0]);
    }

    #[test]
    fn a_restart_that_set_the_clock() {
        let mut ahead = recorded!("reboot-clock-set");
        for attempt in ahead.streams.iter_mut().flat_map(|stream| stream.attempts.iter_mut().skip(5)) {
            attempt.wall += 2 * 86_400_000_000;
        }
        let ahead = measure(&ahead);
        let measurement = measure(&recorded!("reboot-clock-set"));
        assert_eq!(ahead.write_outage, measurement.write_outage);
        let writer = stream(&measurement, "writer-1-kept");
        // The load went on to the end of the drill, at 28000: it was back 2.0 s before.
        assert_eq!(longest(Some(&writer.outage)), (20_990, 5010));
        assert_eq!(measurement.two_primaries.count, 0);
        assert_eq!(measurement.notes.len(), 3, "{:?}", measurement.notes);
        assert_eq!(judge(&measurement), [""; 0]);
    }

    #[test]
    fn a_cut_record() {
        let mut record = recorded!("cut");
        record.streams[0].cut = true;
        let measurement = measure(&record);
        assert_eq!(measurement.total, Counts { done: 3, failed: 0, doubt: 1 });
        assert_eq!(measurement.kept, Some(Kept { doubt_kept: 1, unknown: 1, ..Kept::default() }));
        assert_eq!(measurement.notes.len(), 1, "{:?}", measurement.notes);
        assert_eq!(
            judge(&measurement),
            ["The load did not answer at the end, so what it saw last is not in the record: writer-1-kept."]
        );
    }

    #[test]
    fn a_garbled_record() {
        let measurement = measure(&recorded!("garbled"));
        assert_eq!(measurement.total.done, 4);
        assert_eq!(stream(&measurement, "writer-1-kept").malformed, 2);
        assert_eq!(measurement.kept, Some(Kept { unknown: 1, ..Kept::default() }));
        assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
    }

    #[test]
    fn streams_that_never_come_back() {
        let measurement = measure(&recorded!("never-back"));
        // The other writer's commits until 6 s are no end of it.
        assert_eq!(measurement.first_commit_ms, None);
        let outage = |name| &stream(&measurement, name).outage;
        assert_eq!(
            (longest(Some(outage("writer-1-kept"))), outage("writer-1-kept").not_back),
            ((15_000, 4010), true)
        );
        assert_eq!(
            (longest(Some(outage("writer-2-new"))), outage("writer-2-new").not_back),
            ((13_990, 6010), true)
        );
        assert_eq!(
            (longest(Some(outage("reader-1-rw"))), outage("reader-1-rw").not_back),
            ((1000, 1010), false)
        );
        assert_eq!(
            (longest(Some(outage("reader-2-rw"))), outage("reader-2-rw").not_back),
            ((18_010, 1000), true)
        );
        assert!(measurement.read_outage_primary.worst.as_ref().unwrap().not_back);
        assert_eq!(
            judge(&measurement),
            [
                "reader-2-rw never succeeded: 19 statements tried.",
                "The cluster was not back at full strength when the drill ended, 15.0 s after the event.",
                "Without a success to the end of the drill, 15.0 s after the event: writer-1-kept, writer-2-new.",
            ]
        );
    }

    #[test]
    fn two_primaries_on_two_timelines() {
        let measurement = measure(&recorded!("two-primaries-old-timeline"));
        assert_eq!(measurement.two_primaries.count, 3);
        let first: Vec<_> = measurement
            .two_primaries
            .first
            .iter()
            .map(|ack| (ack.stream.as_str(), ack.number, ack.server.as_str(), ack.timeline, ack.at_ms))
            .collect();
        assert_eq!(
            first,
            [
                ("writer-2-new", 4, "10.0.0.5", 1, 6510),
                ("writer-1-kept", 7, "10.0.0.5", 1, 7010),
                ("writer-1-kept", 8, "10.0.0.5", 1, 8010),
            ]
        );
        assert_eq!(
            judge(&measurement),
            [
                "Two primaries took writes at once: 3 writes were acknowledged by a server after another one had taken over, the first by 10.0.0.5 on timeline 1 (number 4 of writer-2-new)."
            ]
        );
    }

    #[test]
    fn two_primaries_on_one_timeline() {
        let measurement = measure(&recorded!("two-primaries-interleaved"));
        assert_eq!(measurement.two_primaries.count, 4);
        assert_eq!(measurement.two_primaries.first.first().unwrap().number, 3);
    }

    #[test]
    fn two_primaries_within_milliseconds() {
        let line = |at: u64, server: &str, timeline: &str| {
            format!(
                "{} {at} {} {at} done 10.0.0.{server} {timeline}\n",
                1_764_030_000_000_000 + at * 1000,
                at + 5
            )
        };
        let count = |timeline: &str| {
            let turns = ["5", "6", "5", "6"];
            let lines: Vec<_> =
                turns.iter().zip(1..).map(|(server, turn)| line(turn * 10, server, timeline)).collect();
            let mut record = recorded!("calm");
            record.streams = vec![parse("w", Work::Write, Connection::Kept, &lines.concat())];
            measure(&record).two_primaries.count
        };
        // One stream has one clock, which needs no allowance.
        assert_eq!(count("00000001"), 2);
        // Servers that do not tell their timeline may have taken turns one after the other.
        assert_eq!(count(""), 0);
    }

    #[test]
    fn one_primary_after_the_other() {
        for record in [recorded!("switchover-back"), recorded!("new-address")] {
            let measurement = measure(&record);
            assert_eq!(measurement.two_primaries, TwoPrimaries::default());
            assert_eq!(judge(&measurement), [""; 0]);
        }
    }

    #[test]
    fn spreads() {
        let of = |figures: &[Option<f64>]| spread(figures.iter().copied()).map(|s| (s.min, s.median, s.max));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[Some(3.0)]), Some((Some(3.0), Some(3.0), Some(3.0))));
        assert_eq!(of(&[Some(9.0), Some(1.0), Some(2.0)]), Some((Some(1.0), Some(2.0), Some(9.0))));
        assert_eq!(
            of(&[Some(4.0), Some(1.0), Some(9.0), Some(2.0)]),
            Some((Some(1.0), Some(3.0), Some(9.0)))
        );
        assert_eq!(of(&[None, Some(1.0), Some(2.0)]), Some((Some(1.0), Some(2.0), None)));
        assert_eq!(of(&[None, Some(1.0)]), Some((Some(1.0), None, None)));
        assert_eq!(of(&[None]), Some((None, None, None)));
    }

    #[test]
    fn sums_up_repeats() {
        let runs = [recorded!("outage"), recorded!("lost"), recorded!("never-back")].map(|r| measure(&r));
        let summary = summary(&runs).unwrap();
        assert_eq!((summary.runs, summary.lost, summary.twice), (3, 4, 2));
        assert_eq!((summary.doubt_kept, summary.doubt_not_kept, summary.rows_not_read), (2, 3, 0));
        let full = summary.full_strength_ms.unwrap();
        assert_eq!((full.min, full.median, full.max), (Some(4000.0), Some(5900.0), None));
        // 4.2 s, 5.0 s (10010 to 15010), and one without an end.
        let writes = summary.write_outage_kept_ms.unwrap();
        assert_eq!((writes.min, writes.median, writes.max), (Some(4200.0), Some(5000.0), None));
        // The second run has no writer with new connections.
        assert_eq!(summary.write_outage_new_ms.unwrap().min, Some(3500.0));
        assert_eq!(super::summary([]), None);
    }

    #[test]
    fn seconds_have_one_or_two_decimals() {
        let texts = [0, 4, 5, 1234, 9994, 9996, 10_049, 123_456].map(seconds);
        assert_eq!(texts, ["0.00", "0.00", "0.01", "1.23", "9.99", "10.0", "10.0", "123.5"]);
    }

    #[test]
    fn numbers_are_ranges() {
        let list: Vec<_> = [("a", 1), ("a", 2), ("a", 3), ("a", 7), ("b", 8)]
            .map(|(stream, number)| Statement { stream: stream.into(), number })
            .into();
        assert_eq!(numbers(&list, 10), "a 1-3, 7, b 8");
        assert_eq!(numbers(&list, 2), "a 1-3, 7, …");
        assert_eq!(numbers(&[], 2), "");
    }

    /// A load on a node whose wall clock steps at will and that may restart once.
    fn ledger() -> impl Strategy<Value = Stream> {
        let attempt = (0u64..3000, 0u64..2000, 0u8..4, -5_000i64..5_000, any::<bool>());
        (prop::collection::vec(attempt, 0..40), 0usize..80).prop_map(|(attempts, restart)| {
            let mut stream = parse("w", Work::Write, Connection::Kept, "");
            let (mut now, mut boot) = (0u64, 500_000u64);
            for (index, (pause, took, outcome, step, steps)) in attempts.into_iter().enumerate() {
                now += pause;
                if index == restart {
                    (now, boot) = (now + 20_000, 0);
                    boot = boot.saturating_sub(now);
                }
                let mono = |at: u64| if index >= restart { at / 1000 } else { at + boot };
                let end = now + took;
                stream.attempts.push(Attempt {
                    wall: BEGIN + (i64::try_from(end).unwrap() + if steps { step } else { 0 }) * 1000,
                    start: mono(now),
                    end: mono(end),
                    number: index as u64 + 1,
                    outcome: match outcome {
                        0 => Outcome::Failed(String::new()),
                        1 => Outcome::Doubt(String::new()),
                        _ => Outcome::Done { server: "a".into(), timeline: 1 },
                    },
                });
                now = end;
            }
            stream
        })
    }

    proptest! {
        #[test]
        fn outages_fit_into_the_record(stream in ledger(), event in 0u64..100_000, rows in prop::collection::vec(1u64..40, 0..40)) {
            let mut record = recorded!("calm");
            let end = stream.attempts.last().map_or(0, |last| (last.wall - BEGIN) / 1000 + 10_000);
            record.end_elapsed = u64::try_from(end).unwrap();
            record.end_wall = BEGIN + end * 1000;
            record.event_elapsed = event;
            record.event_wall = BEGIN + i64::try_from(event).unwrap() * 1000;
            let acknowledged: BTreeSet<u64> = stream
                .attempts
                .iter()
                .filter(|attempt| matches!(attempt.outcome, Outcome::Done { .. }))
                .map(|attempt| attempt.number)
                .collect();
            record.streams = vec![stream];
            record.rows = Some(rows.iter().map(|number| Row { stream: "w".into(), number: *number, times: 1 }).collect());
            let measurement = measure(&record);
            if let Some(gap) = measurement.write_outage.worst.unwrap().longest {
                prop_assert!(gap.length_ms <= record.end_elapsed, "{gap:?}");
            }
            for lost in measurement.kept.unwrap().lost {
                prop_assert!(acknowledged.contains(&lost.number) && !rows.contains(&lost.number));
            }
            prop_assert_eq!(measurement.two_primaries.count, 0);
        }

        /// Nothing that stands in a file makes it panic.
        #[test]
        fn any_numbers_will_do(
            lines in prop::collection::vec((any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>(), 0usize..3), 0..20),
            event in any::<(i64, u64, u64, i64)>(),
        ) {
            let words = ["done a 00000001", "failed", "doubt"];
            let text: Vec<String> = lines
                .iter()
                .map(|(wall, a, b, number, word)| format!("{wall} {} {} {number} {}\n", a.min(b), a.max(b), words[*word]))
                .collect();
            let mut record = recorded!("calm");
            record.streams = vec![parse("w", Work::Write, Connection::New, &text.concat())];
            (record.event_wall, record.event_elapsed, record.end_elapsed) = (event.0, event.1, event.2);
            record.streams[0].clock_ahead = event.3;
            let measurement = measure(&record);
            verdict(&measurement, &Limits::default());
        }
    }
}
