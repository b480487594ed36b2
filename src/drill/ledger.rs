//! What the load wrote down: every statement that it sent, and what came of it.
//!
//! A load pod writes a line an attempt (`templates/drill/load.sh`), after the name of its stream, and
//! `ended` when it has been stopped:
//!
//! ```text
//! STREAM WALL START END NUMBER OUTCOME REST
//! writer-1-kept 1764030000123456 512310 512340 17 done 10.78.1.5 00000001
//! writer-1-kept 1764030001123456 512410 512710 18 doubt no answer in 3 s
//! ```
//!
//! `WALL` is the end by the pod's clock, in microseconds since 1970; `START` and `END` are by the node's
//! clock that only goes forward (`/proc/uptime`), in milliseconds. Durations come from the latter, so
//! that a step of the clock changes none.
//!
//! pgk reads it while it is written, so that what a node loses of it in a power cut has been heard before.

use std::collections::HashMap;

/// What a stream does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Commits a numbered row through the read/write Service.
    Write,
    /// Commits a numbered row and some megabytes with it, in the same way. It says what is kept, but not how long writes
    /// are away: each takes its time.
    Bulk,
    /// Reads through the read/write Service.
    ReadPrimary,
    /// Reads through the read-only Service.
    ReadReplica,
}

impl Work {
    /// Whether what it is acknowledged must be kept.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Bulk)
    }
}

/// How a stream connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// Keeps its connection as long as it lasts, as an application with a pool does.
    Kept,
    /// Makes a new one for each statement.
    New,
}

/// Where a stream's statements are sent from, and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Client {
    /// From a node that the event leaves alone, to a Service: what the outages are measured with.
    Outside,
    /// From the node that is cut off, to the Service as that node sees it.
    Inside,
    /// From the node that is cut off, to the address that the primary had before the event.
    InsideToAddress,
}

/// One stream of statements, in the order they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name, unique in a drill, for example `writer-1-kept`. The rows of a write stream carry it.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// How it connects.
    pub connection: Connection,
    /// Where it sends from, and to. It is not in the ledger.
    pub client: Client,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// Whether its end was never heard of: there may be statements that are not in it.
    pub cut: bool,
    /// How many lines cannot be read.
    pub malformed: usize,
    /// How far the pod's wall clock was ahead of pgk's when the load started, in microseconds, as far as
    /// pgk could measure; 0 if it did not. It is not in the ledger.
    pub clock_ahead: i64,
}

/// One statement: when it was sent, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The end by the pod's clock, in microseconds since 1970. It may jump.
    pub wall: i64,
    /// The start by the clock that only goes forward, in milliseconds.
    pub start: u64,
    /// The end by the same clock.
    pub end: u64,
    /// The statement's number in its stream, from 1. A write stream never uses one twice: each start of the
    /// load has a billion of its own.
    pub number: u64,
    /// What came of it.
    pub outcome: Outcome,
}

impl Attempt {
    /// How often the load had been started again before.
    pub fn starts(&self) -> u64 {
        self.number / 1_000_000_000
    }
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered: a write is committed.
    Done {
        /// The server's own address.
        server: String,
        /// The timeline that it writes to; 0 if it is no primary.
        timeline: u32,
    },
    /// It was never sent, or the server said that it failed: a write is not committed.
    Failed(String),
    /// It was sent, and no answer came: a write may be committed or not.
    Doubt(String),
}

/// What pgk has heard of a load pod's ledger, over one connection after the other. Each starts at the
/// ledger's beginning, and a line that was heard before is left out.
#[derive(Debug, Default)]
pub struct Heard {
    /// Each line and how many there were before it.
    lines: HashMap<String, usize>,
}

impl Heard {
    /// Hears a line, which must be whole.
    pub fn hear(&mut self, line: String) {
        let place = self.lines.len();
        self.lines.entry(line).or_insert(place);
    }

    /// How many lines were heard.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// Whether the load said that it has ended.
    pub fn ended(&self) -> bool {
        self.lines.contains_key("ended")
    }

    /// How many statements of one stream have succeeded.
    pub fn successes(&self, stream: &str) -> usize {
        let is_one = |line: &&String| {
            let line = line.strip_prefix(stream).and_then(|rest| rest.strip_prefix(' '));
            line.is_some_and(|line| line.split(' ').nth(4) == Some("done"))
        };
        self.lines.keys().filter(is_one).count()
    }

    /// The lines of one stream, without its name, in order.
    pub fn of(&self, stream: &str) -> String {
        let mine = |(line, place): (&'_ String, &usize)| {
            let text = line.strip_prefix(stream)?.strip_prefix(' ')?;
            Some((*place, text.to_owned()))
        };
        let mut lines: Vec<_> = self.lines.iter().filter_map(mine).collect();
        lines.sort_unstable();
        lines.into_iter().flat_map(|(_, line)| [line, "\n".to_owned()]).collect()
    }
}

/// Reads the lines of one stream. One that cannot be read is counted, not refused: the others still say
/// what was acknowledged.
pub fn parse(name: &str, work: Work, connection: Connection, text: &str) -> Stream {
    let attempts: Vec<_> = text.lines().map(attempt).collect();
    Stream {
        name: name.to_owned(),
        work,
        connection,
        client: Client::Outside,
        cut: false,
        malformed: attempts.iter().filter(|attempt| attempt.is_none()).count(),
        clock_ahead: 0,
        attempts: attempts.into_iter().flatten().collect(),
    }
}

fn attempt(line: &str) -> Option<Attempt> {
    let mut fields = line.splitn(6, ' ');
    let wall = fields.next()?.parse().ok()?;
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let number = fields.next()?.parse().ok()?;
    let (word, rest) = (fields.next()?, fields.next().unwrap_or_default());
    let outcome = match word {
        "done" => {
            let mut words = rest.split_ascii_whitespace();
            let server = words.next()?.to_owned();
            let timeline = words.next().map_or(Some(0), |digits| u32::from_str_radix(digits, 16).ok())?;
            if words.next().is_some() {
                return None;
            }
            Outcome::Done { server, timeline }
        }
        "failed" => Outcome::Failed(rest.trim().to_owned()),
        "doubt" => Outcome::Doubt(rest.trim().to_owned()),
        _ => return None,
    };
    (start <= end).then_some(Attempt { wall, start, end, number, outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(work: Work, text: &str) -> Stream {
        parse("writer-1-kept", work, Connection::Kept, text)
    }

    #[test]
    fn reads_each_outcome() {
        let stream = read(
            Work::Write,
            "1764030000123456 512310 512340 17 done 10.78.1.5 0000000A\n\
             1764030001123456 512410 512710 18 doubt no answer in 3 s\n\
             1764030001133456 512720 512720 19 failed\n\
             1764030001143456 512730 512740 20 done fd00::5\n",
        );
        assert_eq!(stream.malformed, 0);
        let outcomes: Vec<_> = stream.attempts.iter().map(|attempt| &attempt.outcome).collect();
        assert_eq!(
            outcomes,
            [
                &Outcome::Done { server: "10.78.1.5".into(), timeline: 10 },
                &Outcome::Doubt("no answer in 3 s".into()),
                &Outcome::Failed(String::new()),
                &Outcome::Done { server: "fd00::5".into(), timeline: 0 },
            ]
        );
        let first = &stream.attempts[0];
        let numbers = (first.wall, first.start, first.end, first.number);
        assert_eq!(numbers, (1_764_030_000_123_456, 512_310, 512_340, 17));
    }

    #[test]
    fn nothing_was_written() {
        let stream = read(Work::Write, "");
        assert_eq!((stream.attempts.len(), stream.malformed), (0, 0));
    }

    #[test]
    fn counts_what_it_cannot_read() {
        let text = "\nhello\n1 2 3 4 gone 10.0.0.1\n1 2 3 4 done\n1 2 3 4 done a 1 2\n1 9 3 4 done a 1\n\
                    1 2 3 4 done a x\n-1 2 3 -4 done a 1\n1 2 3 4 done a 1\n";
        let stream = read(Work::Write, text);
        assert_eq!((stream.attempts.len(), stream.malformed), (1, 8));
    }

    /// The node loses power, and with it the last line that was heard and half of another one.
    #[test]
    fn what_was_heard_outlives_what_the_disk_lost() {
        let mut heard = Heard::default();
        let mut hear = |ledger: &[&str]| ledger.iter().for_each(|line| heard.hear((*line).to_owned()));
        hear(&["w 1 1 1 1 done a 1", "w-2 1 1 1 1 done a 1", "w 2 2 2 2 done a 1", "w 3 3 3 3 done a 1"]);
        hear(&[
            "w 1 1 1 1 done a 1",
            "w-2 1 1 1 1 done a 1",
            "w 2 2",
            "w 9 1 1 1000000001 done a 1",
            "ended",
        ]);
        assert!(heard.ended());
        let stream = read(Work::Write, &heard.of("w"));
        let numbers: Vec<_> = stream.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!((numbers.as_slice(), stream.malformed), (&[1, 2, 3, 1_000_000_001][..], 1));
        assert_eq!(heard.of("w-2"), "1 1 1 1 done a 1\n");
        assert_eq!(["w", "w-2", "x"].map(|stream| heard.successes(stream)), [4, 1, 0]);
        heard.hear("w 9 2 2 1000000002 failed not done yet".to_owned());
        assert_eq!(heard.successes("w"), 4);
    }
}
