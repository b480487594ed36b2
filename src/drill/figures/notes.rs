//! Notes on how good the figures are.

use super::super::ledger::{Client, Stream};
use super::super::record::Record;
use super::super::words::{count, seconds};
use super::clock::{AWAY_MS, SKEWED_MS, Timed};
use super::{Kept, StreamFigures};

/// What a reader must know about how good the figures are.
pub(super) fn notes(
    record: &Record,
    timed: &[Timed<'_>],
    streams: &[StreamFigures],
    kept: Option<&Kept>,
    steps: &[(String, i64)],
) -> Vec<String> {
    let mut notes = Vec::new();
    let skewed = |stream: &&Stream| (stream.clock_ahead / 1000).saturating_abs() >= SKEWED_MS;
    let skewed: Vec<&Stream> = record.streams.iter().filter(skewed).collect();
    // The streams of a pod have one clock.
    for pod in skewed.chunk_by(|one, other| one.clock_ahead == other.clock_ahead) {
        let names: Vec<_> = pod.iter().map(|stream| stream.name.as_str()).collect();
        let ahead = pod.first().map_or(0, |stream| stream.clock_ahead / 1000);
        notes.push(format!(
            "The wall clock of {} is {} s {} pgk's: times since the event are corrected by that, to about a tenth of a second.",
            names.join(", "),
            seconds(ahead.unsigned_abs()),
            if ahead > 0 { "ahead of" } else { "behind" }
        ));
    }
    let outside = timed.iter().filter(|timed| timed.stream.client == Client::Outside);
    if let Some((away, name)) = outside.map(|timed| (timed.away(), &timed.stream.name)).max()
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
