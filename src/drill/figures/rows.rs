//! The rows at the end against what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::ledger::Outcome;
use super::super::record::Row;
use super::clock::{Timed, signed};

/// What the load's table holds, beside what was acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Every acknowledged write whose row is missing.
    pub lost: Vec<Statement>,
    /// How long before the event the first of them was acknowledged; 0 if it was later. `None` if none is lost.
    pub lost_from_ms: Option<u64>,
    /// Whether one of them was acknowledged after the event by a primary that was there again.
    pub lost_after: bool,
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

pub(super) fn kept(timed: &[Timed<'_>], rows: &[Row], event: i64, first_commit: Option<u64>) -> Kept {
    let mut held: BTreeMap<(&str, u64), u64> = BTreeMap::new();
    for row in rows {
        *held.entry((&row.stream, row.number)).or_default() += row.times;
    }
    held.retain(|_, times| *times > 0);
    let back = first_commit.map(|after| event.saturating_add(signed(after)));

    let mut kept = Kept::default();
    let mut sent: BTreeSet<(&str, u64)> = BTreeSet::new();
    let mut lost = BTreeSet::new();
    for of in timed.iter().filter(|of| of.stream.work.writes()) {
        for moment in &of.moments {
            let id = (of.stream.name.as_str(), moment.attempt.number);
            sent.insert(id);
            match (&moment.attempt.outcome, held.contains_key(&id)) {
                (Outcome::Done { .. }, false) => {
                    let before = u64::try_from(event.saturating_sub(moment.end)).unwrap_or_default();
                    kept.lost_from_ms = kept.lost_from_ms.max(Some(before));
                    kept.lost_after |= back.is_some_and(|back| moment.end >= back);
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

/// Statements as ranges of numbers a stream, for example `writer-1-kept 17-20, 25`; at most `most` ranges.
pub(in crate::drill) fn numbers(statements: &[Statement], most: usize) -> String {
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
