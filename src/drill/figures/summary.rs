//! The figures of one event over its repeats.

use serde::Serialize;

use super::super::words::float;
use super::{Kept, Measurement, Outage};

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

pub(in crate::drill) fn spread(figures: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
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
