//! Whether two servers were the primary at once, and what one did that was cut off.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::ledger::{Client, Outcome, Work};
use super::super::record::CutOff;
use super::clock::{Moment, Timed, signed};

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

/// What a primary did while its node was cut off, as the clients on that node saw it. Times count from the event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Isolated {
    /// How long the node was cut off; `None` if it was to the end of the record.
    pub for_ms: Option<u64>,
    /// When it acknowledged its last write; `None` if it acknowledged none.
    pub last_write_ms: Option<u64>,
    /// When it answered its last read as a primary, not as a replica; `None` if it answered none.
    pub last_read_ms: Option<u64>,
    /// When another server first acknowledged a write; `None` if none did while the node was cut off.
    pub replaced_ms: Option<u64>,
    /// How long after its node was connected again a client there had a write acknowledged through the Service; `None` if
    /// that never happened.
    pub reached_ms: Option<u64>,
}

impl Isolated {
    /// The last that it answered as a primary, where another one took its place.
    pub(in crate::drill) fn stale(&self) -> Option<u64> {
        self.replaced_ms.and(self.last_write_ms.max(self.last_read_ms))
    }
}

/// Wall clocks of different nodes may differ by this much: a write on one is after one on another only if
/// it is later by more.
const SKEW_MS: i64 = 100;

/// How many acknowledgements by two primaries are listed.
const LISTED: usize = 5;

/// What the primary did whose node was cut off by the event.
pub(super) fn isolated(timed: &[Timed<'_>], cut_off: &CutOff, event: i64) -> Isolated {
    let back = cut_off.back_elapsed.map(signed);
    let meanwhile = |at: i64| at > event && back.is_none_or(|back| at <= back);
    let since = |at: i64| u64::try_from(at.saturating_sub(event)).unwrap_or_default();
    let mut isolated = Isolated { for_ms: back.map(since), ..Isolated::default() };
    let writers =
        timed.iter().filter(|of| (of.stream.work, of.stream.client) == (Work::Write, Client::Inside));
    let ends = writers.flat_map(|of| &of.moments).filter(|moment| moment.is_done()).map(|moment| moment.end);
    isolated.reached_ms = back.and_then(|back| {
        let first = ends.filter(|end| *end > back).min()?;
        u64::try_from(first.saturating_sub(back)).ok()
    });
    for of in timed {
        for moment in of.moments.iter().filter(|moment| meanwhile(moment.end)) {
            let Outcome::Done { server, timeline } = &moment.attempt.outcome else { continue };
            let (write, own) = (of.stream.work.writes(), *server == cut_off.server);
            if own && write {
                isolated.last_write_ms = isolated.last_write_ms.max(Some(since(moment.end)));
            } else if own && *timeline != 0 {
                isolated.last_read_ms = isolated.last_read_ms.max(Some(since(moment.end)));
            } else if write && !own {
                let at = since(moment.end);
                isolated.replaced_ms = Some(isolated.replaced_ms.map_or(at, |first| first.min(at)));
            }
        }
    }
    isolated
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

pub(super) fn two_primaries(timed: &[Timed<'_>]) -> TwoPrimaries {
    let mut acks = Vec::new();
    for (stream, of) in timed.iter().enumerate().filter(|(_, of)| of.stream.work.writes()) {
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
