//! What the load wrote down: every statement that it sent, and what came of it.
//!
//! A load pod keeps one file a stream in this form, a line an attempt (`templates/drill/load.sh`):
//!
//! ```text
//! WALL START END NUMBER OUTCOME REST
//! 1764030000123456 512310 512340 17 done 10.78.1.5 00000001
//! 1764030001123456 512410 512710 18 doubt no answer in 3 s
//! ```
//!
//! `WALL` is the end by the pod's clock, in microseconds since 1970; `START` and `END` are by the node's
//! clock that only goes forward (`/proc/uptime`), in milliseconds. Durations come from the latter, so
//! that a step of the clock changes none.

/// What a stream does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Commits a numbered row through the read/write Service.
    Write,
    /// Reads through the read/write Service.
    ReadPrimary,
    /// Reads through the read-only Service.
    ReadReplica,
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

/// One stream of statements, in the order they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name, unique in a drill, for example `writer-1-kept`. The rows of a write stream carry it.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// How it connects.
    pub connection: Connection,
    /// Every attempt, in order.
    pub attempts: Vec<Attempt>,
    /// Whether the file ends in the middle of a line: the load was killed as it wrote.
    pub cut: bool,
    /// How many other lines cannot be read.
    pub malformed: usize,
    /// How far the pod's wall clock was ahead of pgk's when the load started, in microseconds, as far as
    /// pgk could measure; 0 if it did not. It is not in the file.
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
    /// The statement's number in its stream, from 1. A write stream never uses one twice.
    pub number: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered: a write is committed.
    Done {
        /// The server's own address.
        server: String,
        /// The timeline that it writes to; 0 on a read.
        timeline: u32,
    },
    /// It was never sent, or the server said that it failed: a write is not committed.
    Failed(String),
    /// It was sent, and no answer came: a write may be committed or not.
    Doubt(String),
}

/// Reads the file that a load pod kept for one stream.
///
/// A line that cannot be read is counted, not refused: the others still say what was acknowledged. The
/// last line may be cut. What stands in it then counts as far as it is whole; where only its number is,
/// the statement was sent and its answer is unknown.
pub fn parse(name: &str, work: Work, connection: Connection, text: &str) -> Stream {
    let mut stream = Stream {
        name: name.to_owned(),
        work,
        connection,
        attempts: Vec::new(),
        cut: !text.is_empty() && !text.ends_with('\n'),
        malformed: 0,
        clock_ahead: 0,
    };
    let (whole, cut) = match text.rsplit_once('\n') {
        Some((whole, cut)) => (whole, cut),
        None => ("", text),
    };
    for line in whole.lines() {
        match attempt(line) {
            Some(attempt) => stream.attempts.push(attempt),
            None => stream.malformed += 1,
        }
    }
    // A read that nobody can tell the end of proves nothing either way.
    if let (Work::Write, Some(attempt)) = (work, cut_attempt(cut)) {
        stream.attempts.push(attempt);
    }
    stream
}

fn attempt(line: &str) -> Option<Attempt> {
    let (head, outcome) = head(line)?;
    let (word, rest) = outcome.split_once(' ').unwrap_or((outcome, ""));
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
    Some(Attempt { outcome, ..head })
}

/// The numbers that a line starts with, as an attempt without an outcome yet, and what follows them.
fn head(line: &str) -> Option<(Attempt, &str)> {
    let mut fields = line.splitn(5, ' ');
    let head = Attempt {
        wall: fields.next()?.parse().ok()?,
        start: fields.next()?.parse().ok()?,
        end: fields.next()?.parse().ok()?,
        number: fields.next()?.parse().ok()?,
        outcome: Outcome::Doubt("the load was killed as it wrote this line".to_owned()),
    };
    // A fifth field, even an empty one, says that the number before it is whole.
    let rest = fields.next()?;
    (head.start <= head.end).then_some((head, rest))
}

/// What a cut line of a write stream still says.
fn cut_attempt(line: &str) -> Option<Attempt> {
    match attempt(line) {
        // A timeline of eight digits: only the end of the line is missing.
        Some(done @ Attempt { outcome: Outcome::Done { timeline: 1.., .. }, .. })
            if line.rsplit(' ').next().is_some_and(|digits| digits.len() == 8) =>
        {
            Some(done)
        }
        Some(failed @ Attempt { outcome: Outcome::Failed(_), .. }) => Some(failed),
        _ => head(line).map(|(attempt, _)| attempt),
    }
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
        assert_eq!((stream.cut, stream.malformed), (false, 0));
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
        assert_eq!((stream.attempts.len(), stream.cut, stream.malformed), (0, false, 0));
    }

    #[test]
    fn counts_what_it_cannot_read() {
        let text = "\nhello\n1 2 3 4 gone 10.0.0.1\n1 2 3 4 done\n1 2 3 4 done a 1 2\n1 9 3 4 done a 1\n\
                    1 2 3 4 done a x\n-1 2 3 -4 done a 1\n1 2 3 4 done a 1\n";
        let stream = read(Work::Write, text);
        assert_eq!((stream.attempts.len(), stream.cut, stream.malformed), (1, false, 8));
    }

    /// Wherever the load is killed, an acknowledged write is never taken for a failed one, and no number
    /// or server is read from half its digits.
    #[test]
    fn a_cut_last_line() {
        let whole = "5 1 2 16 done 10.0.0.5 00000001\n";
        let line = "6 3 4 1712 done 10.0.0.5 00000001";
        for end in 1..=line.len() {
            let stream = read(Work::Write, &format!("{whole}{}", &line[..end]));
            assert!(stream.cut);
            assert_eq!(stream.malformed, 0);
            let last = stream.attempts.get(1);
            match end {
                0..11 => assert_eq!(last, None),
                11..33 => assert!(
                    matches!(last, Some(Attempt { number: 1712, outcome: Outcome::Doubt(_), .. })),
                    "{end}: {last:?}"
                ),
                _ => assert!(matches!(last, Some(Attempt { outcome: Outcome::Done { .. }, .. }))),
            }
            assert_eq!(read(Work::ReadReplica, &line[..end]).attempts, []);
        }
        let failed = read(Work::Write, "6 3 4 1712 failed connection ref");
        assert_eq!(failed.attempts[0].outcome, Outcome::Failed("connection ref".into()));
    }
}
