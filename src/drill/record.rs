//! What a drill recorded of one event. Nothing here looks at a clock, a cluster or a file.

use serde::Serialize;

use super::ledger::Stream;

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
    /// The primary, where the event cut its node off.
    pub cut_off: Option<CutOff>,
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

/// A primary whose node was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// The address that it had.
    pub server: String,
    /// When its node was connected again, in milliseconds since the drill began; `None` if that never happened.
    pub back_elapsed: Option<u64>,
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
