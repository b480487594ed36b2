//! The figures and the verdict of recorded drills with a known answer, in `testdata`.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::figures::{
    Counts, Isolated, Kept, Measurement, Outage, Outages, Statement, StreamFigures, TwoPrimaries, measure,
    numbers, spread, summary,
};
use super::ledger::{Attempt, Client, Connection, Outcome, Stream, Work, parse};
use super::record::{CutOff, Record, Row, Sample};
use super::verdict::{Kind, Limits, verdict};
use super::words::seconds;

pub(super) const BEGIN: i64 = 1_764_030_000_000_000;

/// A recorded drill with a known answer. Lines that start with `#!` say what the load does not write
/// down itself: the times of the drill, the rows at the end, and whose the lines that follow are.
macro_rules! recorded {
    ($name:literal) => {
        read(include_str!(concat!("testdata/", $name, ".txt")))
    };
}

pub(super) fn read(text: &str) -> Record {
    let mut record = Record {
        event: "pod-delete".into(),
        target: "primary".into(),
        streams: Vec::new(),
        rows: None,
        cut_off: None,
        samples: Vec::new(),
        begin_wall: BEGIN,
        event_wall: 0,
        end_wall: 0,
        event_elapsed: 0,
        end_elapsed: 0,
        full_strength_elapsed: None,
        timeline_before: None,
        timeline_after: None,
    };
    for section in text.split("#! ").skip(1) {
        let (header, lines) = section.split_once('\n').unwrap();
        let words: Vec<&str> = header.split(' ').collect();
        match words[0] {
            "drill" => words[1..].iter().for_each(|word| set(&mut record, word)),
            "rows" => record.rows = Some(rows(&words[1..])),
            "stream" => {
                let work = match words[2] {
                    "write" => Work::Write,
                    "bulk" => Work::Bulk,
                    "read-primary" => Work::ReadPrimary,
                    "read-replica" => Work::ReadReplica,
                    other => panic!("{other}"),
                };
                let connection = if words[3] == "kept" { Connection::Kept } else { Connection::New };
                let client = match words.get(4) {
                    Some(&"inside") => Client::Inside,
                    Some(_) => Client::InsideToAddress,
                    None => Client::Outside,
                };
                record.streams.push(Stream { client, ..parse(words[1], work, connection, lines) });
            }
            other => panic!("{other}"),
        }
    }
    record
}

fn set(record: &mut Record, word: &str) {
    let (key, value) = word.split_once('=').unwrap();
    let wall = |ms: u64| BEGIN + i64::try_from(ms).unwrap() * 1000;
    match key {
        "event" => {
            record.event_elapsed = value.parse().unwrap();
            record.event_wall = wall(record.event_elapsed);
        }
        "end" => {
            record.end_elapsed = value.parse().unwrap();
            record.end_wall = wall(record.end_elapsed);
        }
        "full" => record.full_strength_elapsed = Some(value.parse().unwrap()),
        "cut" => record.cut_off = Some(CutOff { server: value.into(), back_elapsed: None }),
        "back" => {
            record.cut_off.as_mut().unwrap().back_elapsed = Some(value.parse().unwrap());
        }
        "timeline" => {
            let (before, after) = value.split_once('-').unwrap_or((value, ""));
            record.timeline_before = before.parse().ok();
            record.timeline_after = after.parse().ok();
        }
        other => panic!("{other}"),
    }
}

/// `NAME 1-4 7x2` is rows 1 to 4 of stream NAME, and 7 twice.
fn rows(words: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut stream = "";
    for word in words {
        if !word.starts_with(|c: char| c.is_ascii_digit()) {
            stream = word;
            continue;
        }
        let (range, times) = word.split_once('x').unwrap_or((word, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        for number in first.parse().unwrap()..=last.parse().unwrap() {
            rows.push(Row { stream: stream.into(), number, times: times.parse().unwrap() });
        }
    }
    rows
}

/// Why it failed: the sentences are in the report, which `report.rs` tests.
fn judge(measurement: &Measurement) -> Vec<Kind> {
    judge_by(measurement, &Limits::default())
}

fn judge_by(measurement: &Measurement, limits: &Limits) -> Vec<Kind> {
    verdict(measurement, limits).reasons.into_iter().map(|reason| reason.kind).collect()
}

/// Length and start of the longest outage.
fn longest(outage: Option<&Outage>) -> (u64, i64) {
    let gap = outage.unwrap().longest.as_ref().unwrap();
    (gap.length_ms, gap.from_ms)
}

fn stream<'a>(measurement: &'a Measurement, name: &str) -> &'a StreamFigures {
    measurement.streams.iter().find(|stream| stream.name == name).unwrap()
}

#[test]
fn nothing_was_recorded() {
    let measurement = measure(&recorded!("empty"));
    assert_eq!(measurement.total, Counts::default());
    assert_eq!(measurement.commits_per_second, None);
    assert_eq!(measurement.first_commit_ms, None);
    assert_eq!(measurement.write_outage.worst.as_ref().unwrap().longest, None);
    assert_eq!(measurement.read_outage_replica, Outages::default());
    let limits = Limits { max_write_outage: Some(Duration::from_secs(5)), ..Limits::default() };
    assert_eq!(
        judge_by(&measurement, &limits),
        [Kind::NothingAcknowledged, Kind::NothingRecorded, Kind::NotMeasured]
    );
}

#[test]
fn nothing_goes_wrong() {
    let measurement = measure(&recorded!("calm"));
    assert_eq!(measurement.total, Counts { done: 20, failed: 0, doubt: 0 });
    assert_eq!(longest(measurement.write_outage.worst.as_ref()), (1000, 10));
    assert_eq!(measurement.write_outage.new, None);
    assert_eq!(measurement.read_outage_replica.kept, None);
    assert_eq!(longest(measurement.read_outage_replica.new.as_ref()), (1000, 510));
    assert!((measurement.commits_per_second.unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(measurement.first_commit_ms, Some(10));
    assert_eq!(measurement.full_strength_ms, Some(500));
    assert_eq!(measurement.kept, Some(Kept::default()));
    assert_eq!(measurement.two_primaries, TwoPrimaries::default());
    assert_eq!(measurement.notes, [""; 0]);
    assert_eq!(judge(&measurement), []);
}

#[test]
fn what_megabytes_wait_is_no_outage_and_their_loss_is_one() {
    let measurement = measure(&recorded!("bulk"));
    assert_eq!(longest(measurement.write_outage.worst.as_ref()), (3000, 2010));
    assert_eq!(measurement.first_commit_ms, Some(2010));
    assert!((measurement.commits_per_second.unwrap() - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!(measurement.acknowledged, 12);
    let lost = measurement.kept.as_ref().unwrap().lost.iter();
    assert_eq!(lost.map(|it| (it.stream.as_str(), it.number)).collect::<Vec<_>>(), [("bulk-kept", 2)]);
    assert_eq!(judge(&measurement), [Kind::Lost]);
}

#[test]
fn an_outage_of_each_kind() {
    let measurement = measure(&recorded!("outage"));
    let writes = &measurement.write_outage;
    assert_eq!(longest(writes.kept.as_ref()), (4200, 5010));
    assert_eq!(longest(writes.new.as_ref()), (3500, 5310));
    assert_eq!(longest(writes.worst.as_ref()), (4200, 5010));
    assert_eq!(writes.kept.as_ref().unwrap().before_event_ms, Some(1700));
    assert_eq!(writes.new.as_ref().unwrap().before_event_ms, Some(1500));
    assert_eq!(longest(measurement.read_outage_primary.kept.as_ref()), (2200, 5010));
    assert_eq!(longest(measurement.read_outage_replica.new.as_ref()), (1200, 4010));
    assert_eq!(measurement.total, Counts { done: 29, failed: 4, doubt: 2 });
    assert_eq!(measurement.first_commit_ms, Some(3710));
    assert_eq!(measurement.full_strength_ms, Some(5900));
    let rate = 4.0 / 4.1 + 2.0 / 2.8;
    assert!((measurement.commits_per_second.unwrap() - rate).abs() < 1e-9);
    assert_eq!(measurement.kept, Some(Kept { doubt_kept: 1, doubt_not_kept: 1, ..Kept::default() }));
    assert_eq!(judge(&measurement), []);
    let limits = Limits {
        max_write_outage: Some(Duration::from_millis(4199)),
        max_read_outage: Some(Duration::from_millis(1200)),
        max_full_strength: Some(Duration::from_secs(5)),
        ..Limits::default()
    };
    assert_eq!(judge_by(&measurement, &limits), [Kind::WriteOutage, Kind::FullStrength]);
    let limits = Limits { max_read_outage: Some(Duration::from_millis(1199)), ..Limits::default() };
    assert_eq!(judge_by(&measurement, &limits), [Kind::ReadOutage]);
}

#[test]
fn lost_twice_and_in_doubt() {
    let measurement = measure(&recorded!("lost"));
    let statement = |number| Statement { stream: "writer-1-kept".into(), number };
    let row = |number, times| Row { stream: "writer-1-kept".into(), number, times };
    assert_eq!(
        measurement.kept,
        Some(Kept {
            lost: [2, 5, 6, 7].map(statement).into(),
            doubt_kept: 1,
            doubt_not_kept: 2,
            twice: vec![row(1, 3), row(10, 2)],
            failed_kept: 1,
            unknown: 2,
            lost_from_ms: Some(2990),
            lost_after: false,
        })
    );
    assert_eq!(judge(&measurement), [Kind::Lost, Kind::Twice]);
    assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
}

#[test]
fn without_rows_nothing_is_proven() {
    let mut record = recorded!("calm");
    record.rows = None;
    let measurement = measure(&record);
    assert_eq!(judge(&measurement), [Kind::RowsNotRead]);
}

#[test]
fn what_an_isolated_primary_answered() {
    let record = recorded!("isolated");
    let measurement = measure(&record);
    assert_eq!(
        measurement.isolated,
        Some(Isolated {
            for_ms: Some(10_000),
            last_write_ms: Some(20),
            last_read_ms: Some(4010),
            replaced_ms: Some(3010),
            reached_ms: Some(5020),
        })
    );
    // Outages are those of the clients outside.
    assert_eq!(longest(measurement.write_outage.worst.as_ref()), (13_000, 8010));
    assert_eq!(measurement.read_outage_primary, Outages::default());
    assert_eq!(measurement.first_commit_ms, Some(16_010));
    // The address of the old primary takes no writes any more, which is as it should be.
    assert!(stream(&measurement, "inside-writer-address-new").outage.not_back);
    assert_eq!(judge(&measurement), []);
    let within = |ms| Limits { max_isolated: Some(Duration::from_millis(ms)), ..Limits::default() };
    assert_eq!(judge_by(&measurement, &within(4010)), []);
    assert_eq!(judge_by(&measurement, &within(4009)), [Kind::Isolated]);

    // Acknowledged inside, and gone.
    let mut lost = record.clone();
    lost.rows.as_mut().unwrap().retain(|row| (row.stream.as_str(), row.number) != ("inside-writer-kept", 3));
    assert_eq!(judge(&measure(&lost)), [Kind::Lost]);

    // Acknowledged inside, once the other one had taken over.
    let mut two = record;
    let attempt = two.streams[1].attempts.iter_mut().find(|attempt| attempt.number == 5).unwrap();
    attempt.outcome = Outcome::Done { server: "10.0.0.5".into(), timeline: 1 };
    let measurement = measure(&two);
    assert_eq!(judge(&measurement), [Kind::Lost, Kind::TwoPrimaries]);
    assert_eq!(measurement.isolated.unwrap().last_write_ms, Some(9020));
}

#[test]
fn a_primary_that_nobody_replaced_is_not_stale() {
    let mut record = recorded!("isolated");
    record.streams[0].attempts.retain(|attempt| attempt.number != 3);
    let measurement = measure(&record);
    assert_eq!(measurement.isolated.as_ref().unwrap().replaced_ms, None);
    let limits = Limits { max_isolated: Some(Duration::ZERO), ..Limits::default() };
    assert_eq!(judge_by(&measurement, &limits), []);
}

#[test]
fn what_was_not_in_the_archive() {
    let record = recorded!("archive");
    let measurement = measure(&record);
    let kept = measurement.kept.as_ref().unwrap();
    assert_eq!((kept.lost.len(), kept.lost_from_ms, kept.lost_after), (2, Some(18_990), false));
    let at_most = |ms| Limits { max_loss: Some(Duration::from_millis(ms)), ..Limits::default() };
    assert_eq!(judge(&measurement), [Kind::Lost]);
    assert_eq!(judge_by(&measurement, &at_most(18_990)), []);
    assert_eq!(judge_by(&measurement, &at_most(18_989)), [Kind::Lost]);

    // What is acknowledged after the restore must not be lost, whatever the limit.
    let mut after = record;
    after.rows.as_mut().unwrap().retain(|row| row.number != 7);
    let measurement = measure(&after);
    assert!(measurement.kept.as_ref().unwrap().lost_after);
    assert_eq!(judge_by(&measurement, &at_most(60_000)), [Kind::Lost]);
}

#[test]
fn a_step_of_the_wall_clock_changes_no_duration() {
    let straight = measure(&recorded!("outage"));
    let stepped = measure(&recorded!("clock-steps"));
    assert_eq!(stepped.write_outage.kept, straight.write_outage.kept);
    assert_eq!(stepped.kept, straight.kept);
    assert_eq!(stepped.two_primaries.count, 0);
    // Writer 1 sees its first failure at 8100 and its next commit at 9210.
    assert_eq!(stepped.first_commit_ms, Some(4110));
    assert!(stepped.clocks_stepped && !straight.clocks_stepped);
    assert_eq!(judge(&stepped), []);
}

#[test]
fn a_step_of_the_own_clock_is_noted() {
    let mut record = recorded!("calm");
    record.samples.push(Sample {
        wall: BEGIN + 3_000_000,
        elapsed: 2000,
        members: Vec::new(),
        timeline: None,
    });
    assert_eq!(
        measure(&record).notes,
        [
            "The wall clock of pgk's own machine stepped by 1.00 s: durations do not depend on it, times since the event do."
        ]
    );
}

#[test]
fn a_measured_difference_of_clocks_is_corrected() {
    let straight = measure(&recorded!("outage"));
    let mut record = recorded!("outage");
    for stream in &mut record.streams {
        stream.clock_ahead = 30_000_000;
        stream.attempts.iter_mut().for_each(|attempt| attempt.wall += 30_000_000);
    }
    let corrected = measure(&record);
    assert_eq!(corrected.first_commit_ms, straight.first_commit_ms);
    assert_eq!(corrected.write_outage, straight.write_outage);
    assert_eq!(corrected.notes.len(), 1);
}

#[test]
fn the_load_goes_with_the_nodes() {
    let measurement = measure(&recorded!("all-off"));
    assert_eq!(longest(measurement.write_outage.kept.as_ref()), (16_500, 5210));
    assert_eq!(longest(measurement.write_outage.new.as_ref()), (17_000, 5010));
    assert_eq!(measurement.first_commit_ms, Some(16_710));
    assert_eq!(
        measurement.notes,
        [
            "The load itself was away with its node, for up to 16.2 s (writer-1-new): that time is part of the outages and of the first commit.",
            "Started again, with the node or without: writer-1-kept, writer-1-new. The time without a success across that comes from the wall clock, or from the drill's end where that clock was set.",
        ]
    );
    assert_eq!(judge(&measurement), []);
}

#[test]
fn a_restart_of_the_node() {
    let measurement = measure(&recorded!("reboot"));
    let writer = stream(&measurement, "writer-1-kept");
    assert_eq!(writer.restarts, 1);
    assert_eq!(longest(Some(&writer.outage)), (20_000, 5010));
    assert!(!writer.outage.not_back);
    assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
    assert_eq!(judge(&measurement), []);
}

#[test]
fn a_restart_that_set_the_clock() {
    let mut ahead = recorded!("reboot-clock-set");
    for attempt in ahead.streams.iter_mut().flat_map(|stream| stream.attempts.iter_mut().skip(5)) {
        attempt.wall += 2 * 86_400_000_000;
    }
    let ahead = measure(&ahead);
    let measurement = measure(&recorded!("reboot-clock-set"));
    assert_eq!(ahead.write_outage, measurement.write_outage);
    let writer = stream(&measurement, "writer-1-kept");
    // The load went on to the end of the drill, at 28000: it was back 2.0 s before.
    assert_eq!(longest(Some(&writer.outage)), (20_990, 5010));
    assert_eq!(measurement.two_primaries.count, 0);
    assert_eq!(measurement.notes.len(), 3, "{:?}", measurement.notes);
    assert_eq!(judge(&measurement), []);
}

#[test]
fn a_cut_record() {
    let mut record = recorded!("cut");
    record.streams[0].cut = true;
    let measurement = measure(&record);
    assert_eq!(measurement.total, Counts { done: 3, failed: 0, doubt: 1 });
    assert_eq!(measurement.kept, Some(Kept { doubt_kept: 1, unknown: 1, ..Kept::default() }));
    assert_eq!(measurement.notes.len(), 1, "{:?}", measurement.notes);
    assert_eq!(judge(&measurement), [Kind::RecordCut]);
}

#[test]
fn a_garbled_record() {
    let measurement = measure(&recorded!("garbled"));
    assert_eq!(measurement.total.done, 4);
    assert_eq!(stream(&measurement, "writer-1-kept").malformed, 2);
    assert_eq!(measurement.kept, Some(Kept { unknown: 1, ..Kept::default() }));
    assert_eq!(measurement.notes.len(), 2, "{:?}", measurement.notes);
}

#[test]
fn streams_that_never_come_back() {
    let measurement = measure(&recorded!("never-back"));
    // The other writer's commits until 6 s are no end of it.
    assert_eq!(measurement.first_commit_ms, None);
    let outage = |name| &stream(&measurement, name).outage;
    assert_eq!(
        (longest(Some(outage("writer-1-kept"))), outage("writer-1-kept").not_back),
        ((15_000, 4010), true)
    );
    assert_eq!(
        (longest(Some(outage("writer-2-new"))), outage("writer-2-new").not_back),
        ((13_990, 6010), true)
    );
    assert_eq!((longest(Some(outage("reader-1-rw"))), outage("reader-1-rw").not_back), ((1000, 1010), false));
    assert_eq!(
        (longest(Some(outage("reader-2-rw"))), outage("reader-2-rw").not_back),
        ((18_010, 1000), true)
    );
    assert!(measurement.read_outage_primary.worst.as_ref().unwrap().not_back);
    assert_eq!(judge(&measurement), [Kind::NeverSucceeded, Kind::NotAtFullStrength, Kind::NotBack]);
    let not_back: Vec<_> =
        measurement.streams.iter().filter(|one| one.outage.not_back).map(|one| &one.name).collect();
    assert_eq!(not_back, ["writer-1-kept", "writer-2-new", "reader-2-rw"]);
}

#[test]
fn two_primaries_on_two_timelines() {
    let measurement = measure(&recorded!("two-primaries-old-timeline"));
    assert_eq!(measurement.two_primaries.count, 3);
    let first: Vec<_> = measurement
        .two_primaries
        .first
        .iter()
        .map(|ack| (ack.stream.as_str(), ack.number, ack.server.as_str(), ack.timeline, ack.at_ms))
        .collect();
    assert_eq!(
        first,
        [
            ("writer-2-new", 4, "10.0.0.5", 1, 6510),
            ("writer-1-kept", 7, "10.0.0.5", 1, 7010),
            ("writer-1-kept", 8, "10.0.0.5", 1, 8010),
        ]
    );
    assert_eq!(judge(&measurement), [Kind::TwoPrimaries]);
}

#[test]
fn two_primaries_on_one_timeline() {
    let measurement = measure(&recorded!("two-primaries-interleaved"));
    assert_eq!(measurement.two_primaries.count, 4);
    assert_eq!(measurement.two_primaries.first.first().unwrap().number, 3);
}

#[test]
fn two_primaries_within_milliseconds() {
    let line = |at: u64, server: &str, timeline: &str| {
        format!(
            "{} {at} {} {at} done 10.0.0.{server} {timeline}\n",
            1_764_030_000_000_000 + at * 1000,
            at + 5
        )
    };
    let count = |timeline: &str| {
        let turns = ["5", "6", "5", "6"];
        let lines: Vec<_> =
            turns.iter().zip(1..).map(|(server, turn)| line(turn * 10, server, timeline)).collect();
        let mut record = recorded!("calm");
        record.streams = vec![parse("w", Work::Write, Connection::Kept, &lines.concat())];
        measure(&record).two_primaries.count
    };
    // One stream has one clock, which needs no allowance.
    assert_eq!(count("00000001"), 2);
    // Servers that do not tell their timeline may have taken turns one after the other.
    assert_eq!(count(""), 0);
}

#[test]
fn one_primary_after_the_other() {
    for record in [recorded!("switchover-back"), recorded!("new-address")] {
        let measurement = measure(&record);
        assert_eq!(measurement.two_primaries, TwoPrimaries::default());
        assert_eq!(judge(&measurement), []);
    }
}

#[test]
fn spreads() {
    let of = |figures: &[Option<f64>]| spread(figures.iter().copied()).map(|s| (s.min, s.median, s.max));
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[Some(3.0)]), Some((Some(3.0), Some(3.0), Some(3.0))));
    assert_eq!(of(&[Some(9.0), Some(1.0), Some(2.0)]), Some((Some(1.0), Some(2.0), Some(9.0))));
    assert_eq!(of(&[Some(4.0), Some(1.0), Some(9.0), Some(2.0)]), Some((Some(1.0), Some(3.0), Some(9.0))));
    assert_eq!(of(&[None, Some(1.0), Some(2.0)]), Some((Some(1.0), Some(2.0), None)));
    assert_eq!(of(&[None, Some(1.0)]), Some((Some(1.0), None, None)));
    assert_eq!(of(&[None]), Some((None, None, None)));
}

#[test]
fn sums_up_repeats() {
    let runs = [recorded!("outage"), recorded!("lost"), recorded!("never-back")].map(|r| measure(&r));
    let summary = summary(&runs).unwrap();
    assert_eq!((summary.runs, summary.lost, summary.twice), (3, 4, 2));
    assert_eq!((summary.doubt_kept, summary.doubt_not_kept, summary.rows_not_read), (2, 3, 0));
    let full = summary.full_strength_ms.unwrap();
    assert_eq!((full.min, full.median, full.max), (Some(4000.0), Some(5900.0), None));
    // 4.2 s, 5.0 s (10010 to 15010), and one without an end.
    let writes = summary.write_outage_kept_ms.unwrap();
    assert_eq!((writes.min, writes.median, writes.max), (Some(4200.0), Some(5000.0), None));
    // The second run has no writer with new connections.
    assert_eq!(summary.write_outage_new_ms.unwrap().min, Some(3500.0));
    assert_eq!(super::figures::summary([]), None);
}

#[test]
fn seconds_have_one_or_two_decimals() {
    let texts = [0, 4, 5, 1234, 9994, 9996, 10_049, 123_456].map(seconds);
    assert_eq!(texts, ["0.00", "0.00", "0.01", "1.23", "9.99", "10.0", "10.0", "123.5"]);
}

#[test]
fn numbers_are_ranges() {
    let list: Vec<_> = [("a", 1), ("a", 2), ("a", 3), ("a", 7), ("b", 8)]
        .map(|(stream, number)| Statement { stream: stream.into(), number })
        .into();
    assert_eq!(numbers(&list, 10), "a 1-3, 7, b 8");
    assert_eq!(numbers(&list, 2), "a 1-3, 7, …");
    assert_eq!(numbers(&[], 2), "");
}

/// A load on a node whose wall clock steps at will and that may restart once.
fn ledger() -> impl Strategy<Value = Stream> {
    let attempt = (0u64..3000, 0u64..2000, 0u8..4, -5_000i64..5_000, any::<bool>());
    (prop::collection::vec(attempt, 0..40), 0usize..80).prop_map(|(attempts, restart)| {
        let mut stream = parse("w", Work::Write, Connection::Kept, "");
        let (mut now, mut boot) = (0u64, 500_000u64);
        for (index, (pause, took, outcome, step, steps)) in attempts.into_iter().enumerate() {
            now += pause;
            if index == restart {
                (now, boot) = (now + 20_000, 0);
                boot = boot.saturating_sub(now);
            }
            let mono = |at: u64| if index >= restart { at / 1000 } else { at + boot };
            let end = now + took;
            stream.attempts.push(Attempt {
                wall: BEGIN + (i64::try_from(end).unwrap() + if steps { step } else { 0 }) * 1000,
                start: mono(now),
                end: mono(end),
                number: index as u64 + 1,
                outcome: match outcome {
                    0 => Outcome::Failed(String::new()),
                    1 => Outcome::Doubt(String::new()),
                    _ => Outcome::Done { server: "a".into(), timeline: 1 },
                },
            });
            now = end;
        }
        stream
    })
}

proptest! {
    #[test]
    fn outages_fit_into_the_record(stream in ledger(), event in 0u64..100_000, rows in prop::collection::vec(1u64..40, 0..40)) {
        let mut record = recorded!("calm");
        let end = stream.attempts.last().map_or(0, |last| (last.wall - BEGIN) / 1000 + 10_000);
        record.end_elapsed = u64::try_from(end).unwrap();
        record.end_wall = BEGIN + end * 1000;
        record.event_elapsed = event;
        record.event_wall = BEGIN + i64::try_from(event).unwrap() * 1000;
        let acknowledged: BTreeSet<u64> = stream
            .attempts
            .iter()
            .filter(|attempt| matches!(attempt.outcome, Outcome::Done { .. }))
            .map(|attempt| attempt.number)
            .collect();
        record.streams = vec![stream];
        record.rows = Some(rows.iter().map(|number| Row { stream: "w".into(), number: *number, times: 1 }).collect());
        let measurement = measure(&record);
        if let Some(gap) = measurement.write_outage.worst.unwrap().longest {
            prop_assert!(gap.length_ms <= record.end_elapsed, "{gap:?}");
        }
        for lost in measurement.kept.unwrap().lost {
            prop_assert!(acknowledged.contains(&lost.number) && !rows.contains(&lost.number));
        }
        prop_assert_eq!(measurement.two_primaries.count, 0);
    }

    /// Nothing that stands in a file makes it panic.
    #[test]
    fn any_numbers_will_do(
        lines in prop::collection::vec((any::<i64>(), any::<u64>(), any::<u64>(), any::<u64>(), 0usize..3), 0..20),
        event in any::<(i64, u64, u64, i64)>(),
    ) {
        let words = ["done a 00000001", "failed", "doubt"];
        let text: Vec<String> = lines
            .iter()
            .map(|(wall, a, b, number, word)| format!("{wall} {} {} {number} {}\n", a.min(b), a.max(b), words[*word]))
            .collect();
        let mut record = recorded!("calm");
        record.streams = vec![parse("w", Work::Write, Connection::New, &text.concat())];
        (record.event_wall, record.event_elapsed, record.end_elapsed) = (event.0, event.1, event.2);
        record.streams[0].clock_ahead = event.3;
        let measurement = measure(&record);
        verdict(&measurement, &Limits::default());
    }
}
