//! What the tests measure. Each figure is a line of JSON that `measure/record.py` keeps, and is held against what was
//! measured before: an outage may be as long as twice the median, and a second.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::client::{Course, Courses};

/// By key, the median outages in milliseconds. Made by `measure/figures.py` of what was recorded.
const MEDIANS: &str = include_str!("../../../docs/proof/medians.json");

/// What there is a limit for.
const LIMITED: [&str; 2] = ["write_ms", "read_ms"];

/// How many runs make a median.
const ENOUGH: u64 = 3;

/// What was measured of one event.
#[must_use]
pub(crate) struct Figure {
    fields: Map<String, Value>,
    reasons: Vec<String>,
}

impl Figure {
    /// Of the variant and the event that `key` says, for example `q2 drain`.
    pub(crate) fn of(key: &str) -> Self {
        Self { fields: Map::from_iter([("key".to_owned(), key.into())]), reasons: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// With a time, in milliseconds.
    pub(crate) fn time(self, name: &str, time: Duration) -> Self {
        self.with(name, milliseconds(time))
    }

    /// It fails the test unless `holds`.
    pub(crate) fn expect(mut self, holds: bool, otherwise: impl FnOnce() -> String) -> Self {
        if !holds {
            self.reasons.push(otherwise());
        }
        self
    }

    /// With reads of all the rows.
    pub(crate) fn reads(self, reads: &Course) -> Self {
        let wrong = reads.wrong_answers();
        self.time("read_ms", reads.longest_gap)
            .expect(reads.is_enough(), || format!("hardly anything was read: {}", reads.at_length()))
            .expect(wrong.is_empty(), || format!("reads without all the rows: {wrong:?}"))
    }

    /// With reads and writes, and that nothing acknowledged is lost.
    pub(crate) fn courses(self, courses: &Courses) -> Self {
        let Courses { reads, writes, lost } = courses;
        self.reads(reads)
            .time("write_ms", writes.longest_gap)
            .with("acknowledged", writes.done.len())
            .with("lost", lost.len())
            .expect(writes.is_enough(), || format!("hardly anything was written: {}", writes.at_length()))
            .expect(lost.is_empty(), || format!("acknowledged and lost: {lost:?}"))
    }

    /// Prints it, and fails the test for what is wrong with it.
    pub(crate) fn hold(self) {
        let reasons = self.judge();
        assert!(reasons.is_empty(), "{}", reasons.join("\n"));
    }

    /// Prints it; what is wrong with it. With `PGK_MEASURE` set, that it took long is not.
    pub(crate) fn judge(mut self) -> Vec<String> {
        if std::env::var_os("PGK_MEASURE").is_none_or(|value| value.is_empty()) {
            let medians = serde_json::from_str(MEDIANS).expect("docs/proof/medians.json is JSON");
            let broken = broken(&medians, &self.fields);
            self.reasons.extend(broken);
        }
        self.fields.insert("passed".to_owned(), self.reasons.is_empty().into());
        self.fields.insert("reasons".to_owned(), json!(self.reasons));
        println!("figure {}", Value::Object(self.fields));
        self.reasons
    }
}

/// The limits that these figures break.
fn broken(medians: &Value, fields: &Map<String, Value>) -> Vec<String> {
    let key = fields["key"].as_str().expect("a key");
    let limited = LIMITED.iter().filter_map(|name| Some((*name, fields.get(*name)?)));
    let broken = limited.filter_map(|(name, value)| {
        let measured = medians[key]["runs"].as_u64().is_some_and(|runs| runs >= ENOUGH);
        // Reads have two courses, of which the longer was seen, too (measure/figures.py).
        let seen = medians[key][format!("worst_{name}")].as_u64().unwrap_or(0);
        let Some(limit) = limit(&medians[key][name]).filter(|_| measured).map(|limit| limit.max(seen + 1000))
        else {
            println!(
                "not tried: a limit for {name} of {key} (fewer than {ENOUGH} runs are in docs/proof/runs)"
            );
            return None;
        };
        let holds = value.as_u64().is_some_and(|value| value <= limit);
        (!holds).then(|| {
            format!("{key}: {name} is {value}, more than {limit}: twice the median and a second, or the worst read and a second")
        })
    });
    broken.collect()
}

/// The most that is all right, where this is usual.
fn limit(median: &Value) -> Option<u64> {
    median.as_u64().map(|median| 2 * median + 1000)
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_made_of_medians() {
        let medians = json!({
            "q2 drain": {"runs": 3, "write_ms": 1400, "read_ms": 300}, "q2 all-off": {"runs": 2, "write_ms": 5},
            "q2 node-cut": {"runs": 3, "write_ms": 1400, "read_ms": 300, "worst_read_ms": 9000},
        });
        let broken = |key: &str, write: Value, read: Value| {
            broken(&medians, &Figure::of(key).with("write_ms", write).with("read_ms", read).fields).len()
        };
        assert_eq!(broken("q2 drain", json!(3800), json!(1600)), 0);
        assert_eq!(broken("q2 drain", json!(3801), json!(1600)), 1);
        assert_eq!(broken("q2 drain", json!(3800), json!(1601)), 1);
        assert_eq!(broken("q2 drain", json!(0), Value::Null), 1, "it never came back");
        assert_eq!(broken("q2 node-cut", json!(3800), json!(10_000)), 0);
        assert_eq!(broken("q2 node-cut", json!(3801), json!(10_001)), 2);
        // Of what was hardly measured, the run says that no limit was tried.
        assert_eq!(broken("q2 all-off", json!(0), json!(0)), 0);
        assert_eq!(broken("q2 new", json!(0), json!(0)), 0);
    }

    #[test]
    fn what_is_wrong_is_found() {
        let judged = |writes: &Courses| Figure::of("a test").courses(writes).reasons.len();
        let enough = |answer: &str| {
            let done = (0..20).map(|n| format!("{n}000000 done {n} {answer}\n")).collect::<Vec<_>>().concat();
            Course::read(&format!("0 begin\n{done}20000000 end"))
        };
        let courses = |reads, writes, lost| Courses { reads, writes, lost };
        assert_eq!(judged(&courses(enough("100"), enough(""), vec![])), 0);
        assert_eq!(judged(&courses(enough("99"), enough(""), vec![])), 1);
        assert_eq!(judged(&courses(enough("100"), enough(""), vec![7])), 1);
        let nothing = || Course::read("0 begin\n20000000 end");
        assert_eq!(judged(&courses(nothing(), enough(""), vec![])), 1);
        assert_eq!(judged(&courses(enough("100"), nothing(), vec![])), 1);
    }
}
