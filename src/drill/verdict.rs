//! From figures to a verdict.

use std::time::Duration;

use serde::Serialize;

use super::figures::{Isolated, Kept, Measurement, Statement, StreamFigures, numbers};
use super::ledger::Client;
use super::words::{count, seconds};

/// The most that outages may last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Without a commit.
    pub max_write_outage: Option<Duration>,
    /// Without a read through the read-only Service.
    pub max_read_outage: Option<Duration>,
    /// From the event to full strength.
    pub max_full_strength: Option<Duration>,
    /// From the event to the last that a primary answered as such after its node was cut off, where another one took
    /// its place.
    pub max_isolated: Option<Duration>,
    /// Acknowledged commits may be lost that were acknowledged at most this long before the event: what was not in the
    /// archive yet. Without it, none may.
    pub max_loss: Option<Duration>,
}

/// Whether the cluster kept its promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether it did.
    pub passed: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
}

/// Why a cluster did not keep its promises, or the drill cannot say that it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// What it is.
    pub kind: Kind,
    /// The same in a sentence, with its figures.
    pub text: String,
}

/// What a [`Reason`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // the sentences say it
pub enum Kind {
    RowsNotRead,
    Lost,
    Twice,
    TwoPrimaries,
    NothingAcknowledged,
    RecordCut,
    NothingRecorded,
    NeverSucceeded,
    NotAtFullStrength,
    NotBack,
    NotMeasured,
    WriteOutage,
    ReadOutage,
    FullStrength,
    Isolated,
}

impl Kind {
    fn because(self, text: impl Into<String>) -> Reason {
        Reason { kind: self, text: text.into() }
    }
}

/// Judges `measurement`. With no limit given, the cluster must still lose nothing, have one primary at a
/// time and be back at full strength.
pub fn verdict(measurement: &Measurement, limits: &Limits) -> Verdict {
    let mut reasons = Vec::new();
    match &measurement.kept {
        None => reasons.push(
            Kind::RowsNotRead
                .because("The rows of the load could not be read at the end: what was lost is not known."),
        ),
        Some(kept) => {
            reasons.extend(too_much_lost(kept, limits));
            if !kept.twice.is_empty() {
                let twice: Vec<_> = kept
                    .twice
                    .iter()
                    .map(|row| Statement { stream: row.stream.clone(), number: row.number })
                    .collect();
                reasons.push(Kind::Twice.because(format!(
                    "{} there more than once: {}.",
                    count(twice.len(), "row is", "rows are"),
                    numbers(&twice, 10)
                )));
            }
        }
    }
    if let Some(first) = measurement.two_primaries.first.first() {
        reasons.push(Kind::TwoPrimaries.because(format!(
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
        )));
    }
    reasons.extend(not_measured(measurement));
    let watched = seconds(measurement.watched_ms);
    if measurement.full_strength_ms.is_none() {
        reasons.push(Kind::NotAtFullStrength.because(format!(
            "The cluster was not back at full strength when the drill ended, {watched} s after the event."
        )));
    }
    let gone = |stream: &&StreamFigures| {
        stream.outage.not_back && stream.counts.done > 0 && stream.client != Client::InsideToAddress
    };
    let names: Vec<_> = measurement.streams.iter().filter(gone).map(|stream| stream.name.as_str()).collect();
    if !names.is_empty() {
        reasons.push(Kind::NotBack.because(format!(
            "Without a success to the end of the drill, {watched} s after the event: {}.",
            names.join(", ")
        )));
    }
    reasons.extend(limits_broken(measurement, limits));
    Verdict { passed: reasons.is_empty(), reasons }
}

/// Which acknowledged commits are lost, where more are than may be.
fn too_much_lost(kept: &Kept, limits: &Limits) -> Option<Reason> {
    let from = kept.lost_from_ms.filter(|_| !kept.lost.is_empty())?;
    let allowed = limits.max_loss.map(milliseconds);
    if !kept.lost_after && allowed.is_some_and(|allowed| from <= allowed) {
        return None;
    }
    let when = match allowed {
        None => String::new(),
        Some(_) if kept.lost_after => {
            ", some of them acknowledged when there was a primary again after the event".to_owned()
        }
        Some(allowed) => format!(
            ", acknowledged up to {} s before the event, more than the limit of {} s (--max-loss)",
            seconds(from),
            seconds(allowed)
        ),
    };
    Some(Kind::Lost.because(format!(
        "{} lost: {}{when}.",
        count(kept.lost.len(), "acknowledged commit is", "acknowledged commits are"),
        numbers(&kept.lost, 10)
    )))
}

/// What the load was too broken to prove.
fn not_measured(measurement: &Measurement) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if measurement.acknowledged == 0 {
        reasons.push(
            Kind::NothingAcknowledged
                .because("No write was acknowledged: the drill proves nothing about what is kept."),
        );
    }
    let cut: Vec<_> =
        measurement.streams.iter().filter(|stream| stream.cut).map(|stream| stream.name.as_str()).collect();
    if !cut.is_empty() {
        reasons.push(Kind::RecordCut.because(format!(
            "The load did not answer at the end, so what it saw last is not in the record: {}.",
            cut.join(", ")
        )));
    }
    for stream in measurement.streams.iter().filter(|stream| stream.counts.done == 0) {
        let tried = stream.counts.failed + stream.counts.doubt;
        reasons.push(match tried {
            0 => Kind::NothingRecorded.because(format!(
                "{} recorded nothing: the drill proves nothing about what it saw.",
                stream.name
            )),
            _ => Kind::NeverSucceeded.because(format!(
                "{} never succeeded: {} tried.",
                stream.name,
                count(tried, "statement", "statements")
            )),
        });
    }
    reasons
}

fn limits_broken(measurement: &Measurement, limits: &Limits) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let outages = [
        (
            Kind::WriteOutage,
            "write outage",
            "--max-write-outage",
            &measurement.write_outage,
            limits.max_write_outage,
        ),
        (
            Kind::ReadOutage,
            "read outage through the read-only Service",
            "--max-read-outage",
            &measurement.read_outage_replica,
            limits.max_read_outage,
        ),
    ];
    for (kind, what, flag, outages, limit) in outages {
        let Some(limit) = limit.map(milliseconds) else { continue };
        match outages.worst.as_ref().and_then(|worst| worst.longest.as_ref()) {
            None => reasons.push(
                Kind::NotMeasured
                    .because(format!("The {what} was not measured, so {flag} cannot be said to hold.")),
            ),
            Some(gap) if gap.length_ms > limit => reasons.push(kind.because(format!(
                "The {what} of {} s ({}) is longer than the limit of {} s ({flag}).",
                seconds(gap.length_ms),
                gap.stream,
                seconds(limit)
            ))),
            Some(_) => {}
        }
    }
    let stale = measurement.isolated.as_ref().and_then(Isolated::stale);
    let others = [
        (
            Kind::FullStrength,
            "Full strength took",
            "--max-recovery",
            measurement.full_strength_ms,
            limits.max_full_strength,
        ),
        (
            Kind::Isolated,
            "The primary that was cut off, and replaced, still answered as one after",
            "--max-isolated",
            stale,
            limits.max_isolated,
        ),
    ];
    for (kind, what, flag, took, limit) in others {
        if let (Some(took), Some(limit)) = (took, limit.map(milliseconds))
            && took > limit
        {
            reasons.push(kind.because(format!(
                "{what} {} s, longer than the limit of {} s ({flag}).",
                seconds(took),
                seconds(limit)
            )));
        }
    }
    reasons
}

fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
