//! How long nothing succeeded.

use serde::Serialize;

use super::super::ledger::{Client, Connection, Work};
use super::StreamFigures;
use super::clock::{AWAY_MS, STOPPING_MS, Timed};

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

/// It is not back if it did so for this long. (The load goes on trying for as long: load.sh.)
const NOT_BACK_MS: i64 = 5_500;

/// A stream that was silent for this long at the end of the record was killed, or its node was: no
/// statement's timeout is as long.
const SILENT_MS: i64 = 10_000;

/// The times without a success of one stream: between two, before the first and after the last.
pub(super) fn outage(timed: &Timed<'_>, event: i64, end: i64) -> Outage {
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
    // The load goes on until it succeeds, or has tried for some seconds in vain.
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

pub(super) fn outages(streams: &[StreamFigures], work: Work) -> Outages {
    let of = |connection| {
        let mine = streams
            .iter()
            .filter(|s| (s.work, s.connection, s.client) == (work, connection, Client::Outside));
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
pub(super) fn first_commit(timed: &[Timed<'_>], event: i64) -> Option<u64> {
    let is_writer = |of: &&Timed<'_>| (of.stream.work, of.stream.client) == (Work::Write, Client::Outside);
    let writes = || timed.iter().filter(is_writer).flat_map(|of| &of.moments);
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
