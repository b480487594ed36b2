//! Streams on the drill's time.
//!
//! Three clocks are in the record. Durations within a stream come from its node's clock that only goes
//! forward. To set streams beside one another and beside the event, each stream gets one offset between
//! that clock and its pod's wall clock: the median over its statements, which a step of the wall clock for
//! a part of the time does not move. The wall clocks of pgk and of the load's nodes are taken to agree; a
//! step that is seen is noted.

use super::super::ledger::{Attempt, Outcome, Stream};
use super::super::record::Record;

/// Beyond this a wall clock was set, not slewed: NTP slews 0.5 ms a second, and a busy node may take a
/// while between reading one clock and the other.
const STEP_MS: i64 = 250;

/// A load pod's wall clock that pgk measured to be off by this much is corrected; less may be the time
/// that measuring took.
pub(super) const SKEWED_MS: i64 = 500;

/// A stream that still fails at its end has an outage there if it did so for this long. Less is the
/// statement that was under way as the load was stopped.
pub(super) const STOPPING_MS: i64 = 1_000;

/// A stream that sent nothing for this long was away itself: it pauses for milliseconds.
pub(super) const AWAY_MS: i64 = 3_000;

/// An attempt and when it was, in milliseconds since the drill began.
#[derive(Debug, Clone, Copy)]
pub(in crate::drill) struct Moment<'a> {
    pub(in crate::drill) attempt: &'a Attempt,
    pub(in crate::drill) start: i64,
    pub(in crate::drill) end: i64,
    /// How often the load had been started again before it.
    pub(super) boot: usize,
}

impl Moment<'_> {
    pub(in crate::drill) fn is_done(&self) -> bool {
        matches!(self.attempt.outcome, Outcome::Done { .. })
    }
}

/// A stream's attempts on the drill's time.
pub(in crate::drill) struct Timed<'a> {
    pub(in crate::drill) stream: &'a Stream,
    pub(in crate::drill) moments: Vec<Moment<'a>>,
    /// The most that its wall clock strayed while its node ran.
    step: i64,
}

impl Timed<'_> {
    /// The longest time in which it sent nothing.
    pub(super) fn away(&self) -> i64 {
        let pairs = self.moments.iter().zip(self.moments.iter().skip(1));
        pairs.map(|(before, after)| after.start.saturating_sub(before.end)).max().unwrap_or_default()
    }
}

/// Sets every stream of `record` on the drill's time.
pub(in crate::drill) fn timed(record: &Record) -> Vec<Timed<'_>> {
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

/// The wall clocks that were seen to step, and by how much.
pub(super) fn steps(record: &Record, timed: &[Timed<'_>]) -> Vec<(String, i64)> {
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

pub(super) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
