//! The figures as people and machines read them: a table for the terminal, `report.md`, and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::{Isolated, Measurement, Outage, Spread, StreamFigures, Summary, numbers, summary};
use super::ledger::{Client, Connection, Work};
use super::verdict::{Limits, verdict};
use super::words::{in_seconds, seconds};

/// What the report says of the drill as a whole. Nothing of it is looked up here.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// When the drill was.
    pub date: &'a str,
    /// What was drilled, and with what: the versions of PostgreSQL, Kubernetes and pgk.
    pub versions: &'a str,
    /// The command that repeats it.
    pub command: &'a str,
}

/// The name of the file that the picture of a run is in: of the one at `index`, from 0, of `of` runs.
pub fn picture(index: usize, of: usize) -> String {
    if of == 1 { "timeline.svg".to_owned() } else { format!("timeline-{}.svg", index + 1) }
}

/// Whether every run passed, and there was one.
pub fn passed(runs: &[Measurement], limits: &Limits) -> bool {
    !runs.is_empty() && runs.iter().all(|run| verdict(run, limits).passed)
}

/// The table for the terminal, why what failed failed, and the verdict.
pub fn table(runs: &[Measurement], limits: &Limits) -> String {
    let rows = rows(runs);
    let mut text = markdown_table(TITLES, 1, &rows);
    text.extend(["\n", &footnotes(&rows).join("\n")]);
    text.push('\n');
    for run in named(runs) {
        let reasons = verdict(run.measurement, limits).reasons;
        let failed = if reasons.is_empty() { "" } else { ": FAILED" };
        if !reasons.is_empty() || !run.measurement.notes.is_empty() || run.measurement.isolated.is_some() {
            let _ = write!(text, "\n{}{failed}\n", run.name);
        }
        for reason in reasons {
            let _ = writeln!(text, "  - {}", reason.text);
        }
        if let Some(isolated) = &run.measurement.isolated {
            let _ = writeln!(text, "  {}", isolation(isolated));
        }
        for note in &run.measurement.notes {
            let _ = writeln!(text, "  note: {note}");
        }
    }
    let _ = write!(text, "\nVerdict: {}\n", overall(runs, limits));
    text
}

/// `report.md`. The pictures are named as [`picture`] says.
pub fn markdown(heading: &Heading<'_>, runs: &[Measurement], limits: &Limits) -> String {
    let mut text = format!("# PostgreSQL drill\n\n{}  \n{}\n\n", line(heading.date), line(heading.versions));
    text.push_str("Repeat it with:\n\n");
    for line in heading.command.lines() {
        let _ = writeln!(text, "    {line}");
    }
    let _ = write!(text, "\n**Verdict: {}**\n\n", overall(runs, limits));
    text.push_str(&limits_in_words(limits));
    text.push_str("\n## Figures\n\n");
    let rows = rows(runs);
    text.push_str(&markdown_table(TITLES, 1, &rows));
    let _ = write!(text, "\n{}\n", footnotes(&rows).join("  \n"));
    for (index, run) in named(runs).enumerate() {
        let _ = write!(text, "\n## {}\n\n", line(&run.name));
        details(&mut text, run.measurement, limits, &picture(index, runs.len()));
    }
    text.push_str(MEANING);
    text
}

/// The same for machines. Times are in milliseconds, and `null` where there is no figure: not measured, or
/// without an end.
pub fn json(heading: &Heading<'_>, runs: &[Measurement], limits: &Limits) -> Value {
    let ms = |limit: Option<std::time::Duration>| limit.map(|limit| limit.as_millis());
    let events: Vec<_> = groups(runs)
        .into_iter()
        .map(|group| {
            let runs: Vec<_> = group
                .iter()
                .map(|run| {
                    let mut value = json!(run);
                    if let Value::Object(fields) = &mut value {
                        fields.insert("verdict".to_owned(), json!(verdict(run, limits)));
                    }
                    value
                })
                .collect();
            json!({ "summary": summary(group), "runs": runs })
        })
        .collect();
    json!({
        "date": heading.date,
        "versions": heading.versions,
        "command": heading.command,
        "passed": passed(runs, limits),
        "limits": {
            "max_write_outage_ms": ms(limits.max_write_outage),
            "max_read_outage_ms": ms(limits.max_read_outage),
            "max_full_strength_ms": ms(limits.max_full_strength),
            "max_isolated_ms": ms(limits.max_isolated),
            "max_loss_ms": ms(limits.max_loss),
        },
        "events": events,
    })
}

/// A run and what to call it.
struct Named<'a> {
    name: String,
    measurement: &'a Measurement,
}

/// The runs in order; those of a repeated event have a number.
fn named(runs: &[Measurement]) -> impl Iterator<Item = Named<'_>> {
    runs.iter().enumerate().map(move |(index, run)| {
        let same = |other: &&Measurement| is_repeat(run, other);
        let all = runs.iter().filter(same).count();
        let before = runs.iter().take(index).filter(same).count();
        let name = name(&run.event, &run.target);
        let name = if all == 1 { name } else { format!("{name}, run {} of {all}", before + 1) };
        Named { name, measurement: run }
    })
}

fn is_repeat(a: &Measurement, b: &Measurement) -> bool {
    (&a.event, &a.target) == (&b.event, &b.target)
}

/// The runs of each event, in the order of their first.
fn groups(runs: &[Measurement]) -> Vec<Vec<&Measurement>> {
    let mut groups: Vec<Vec<&Measurement>> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| is_repeat(first, run))) {
            Some(group) => group.push(run),
            None => groups.push(vec![run]),
        }
    }
    groups
}

fn name(event: &str, target: &str) -> String {
    format!("{event} {target}").trim_end().to_owned()
}

fn overall(runs: &[Measurement], limits: &Limits) -> String {
    let failed = runs.iter().filter(|run| !verdict(run, limits).passed).count();
    match (runs.len(), failed) {
        (0, _) => "failed, as no event was run.".to_owned(),
        (_, 0) => "passed.".to_owned(),
        (1, _) => "failed.".to_owned(),
        (all, failed) => format!("failed, {failed} of {all} runs."),
    }
}

const COLUMNS: usize = 10;

/// What is above the columns.
const TITLES: [&str; COLUMNS] = [
    "event",
    "write, kept",
    "write, new",
    "read, rw",
    "read, ro",
    "commit",
    "strength",
    "lost",
    "in doubt",
    "timeline",
];

/// A line an event; of one that was repeated, three more with the spread of its times.
fn rows(runs: &[Measurement]) -> Vec<[String; COLUMNS]> {
    let mut rows = Vec::new();
    for group in groups(runs) {
        match (group.as_slice(), summary(group.iter().copied())) {
            ([run], _) => rows.push(row(run)),
            (group, Some(summary)) => rows.extend(spread_rows(group, &summary)),
            (_, None) => {}
        }
    }
    rows
}

fn row(run: &Measurement) -> [String; COLUMNS] {
    let never = |time: Option<u64>| time.map_or_else(|| "never".to_owned(), seconds);
    let (lost, doubt) = match &run.kept {
        Some(kept) => (kept.lost.len().to_string(), format!("{}/{}", kept.doubt_kept, kept.doubt_not_kept)),
        None => (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
    };
    [
        name(&run.event, &run.target),
        outage(run.write_outage.kept.as_ref()),
        outage(run.write_outage.new.as_ref()),
        outage(run.read_outage_primary.worst.as_ref()),
        outage(run.read_outage_replica.worst.as_ref()),
        never(run.first_commit_ms),
        never(run.full_strength_ms),
        lost,
        doubt,
        timeline(run),
    ]
}

/// One of the figures of a spread.
type Pick = fn(&Spread) -> Option<f64>;

fn spread_rows(group: &[&Measurement], summary: &Summary) -> Vec<[String; COLUMNS]> {
    let all = |of: &dyn Fn(&Measurement) -> String| {
        let mut texts: Vec<String> = group.iter().map(|run| of(run)).collect();
        texts.dedup();
        if let [one] = texts.as_slice() { one.clone() } else { "varies".to_owned() }
    };
    let unread = if summary.rows_not_read > 0 { " + ?" } else { "" };
    let mut first: [String; COLUMNS] = Default::default();
    let [title, .., lost, doubt, timelines] = &mut first;
    *title = format!("{}, {} runs", name(&summary.event, &summary.target), summary.runs);
    *lost = format!("{}{unread}", summary.lost);
    *doubt = format!("{}/{}{unread}", summary.doubt_kept, summary.doubt_not_kept);
    *timelines = all(&timeline);
    let mut rows = vec![first];
    let kinds: [(&str, Pick); 3] =
        [("  minimum", |s| s.min), ("  median", |s| s.median), ("  maximum", |s| s.max)];
    for (title, of) in kinds {
        let cell = |spread: &Option<Spread>| match spread {
            None => NOT_MEASURED.to_owned(),
            Some(spread) => of(spread).map_or_else(|| NO_END.to_owned(), in_seconds),
        };
        rows.push([
            title.to_owned(),
            cell(&summary.write_outage_kept_ms),
            cell(&summary.write_outage_new_ms),
            cell(&summary.read_outage_primary_ms),
            cell(&summary.read_outage_replica_ms),
            cell(&summary.first_commit_ms),
            cell(&summary.full_strength_ms),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    rows
}

const NOT_MEASURED: &str = "-";
const UNKNOWN: &str = "?";
const AT_LEAST: &str = ">";
const NO_END: &str = "no end";

fn outage(outage: Option<&Outage>) -> String {
    let Some(outage) = outage else { return NOT_MEASURED.to_owned() };
    let Some(gap) = &outage.longest else { return UNKNOWN.to_owned() };
    let least = if outage.not_back { AT_LEAST } else { "" };
    format!("{least}{}", seconds(gap.length_ms))
}

fn timeline(run: &Measurement) -> String {
    let name = |timeline: Option<u32>| timeline.map_or_else(|| UNKNOWN.to_owned(), |t| t.to_string());
    format!("{} → {}", name(run.timeline_before), name(run.timeline_after))
}

/// What the signs in the table mean, of those that are in it.
fn footnotes(rows: &[[String; COLUMNS]]) -> Vec<&'static str> {
    let has = |sign: &str| rows.iter().any(|row| row.iter().skip(1).any(|cell| cell.contains(sign)));
    let all = [
        (AT_LEAST, "> at least: it had not ended when the drill did."),
        (NO_END, "no end: in that run it had not ended when the drill did."),
        (UNKNOWN, "? not known."),
        ("varies", "varies: not the same in every run; each is in the report."),
    ];
    let mut notes = vec![
        "In seconds: the longest time without a write, kept connection or new ones, and without a read, through the \
         read/write or the read-only Service; until the first commit, and until full strength.",
    ];
    notes.extend(all.iter().filter(|(sign, _)| has(sign)).map(|(_, note)| *note));
    notes
}

/// A Markdown table that is one for the eye, too: the first columns, `left` of them, are flush left, the others flush
/// right.
fn markdown_table<const N: usize>(titles: [&str; N], left: usize, rows: &[[String; N]]) -> String {
    let cells = |row: &[String; N]| row.each_ref().map(|cell| line(cell).replace('|', "\\|"));
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let mut widths = titles.map(|title| title.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut rules = widths.map(|width| "-".repeat(width));
    for rule in rules.iter_mut().skip(left) {
        rule.pop();
        rule.push(':');
    }
    let mut text = String::new();
    for row in [titles.map(ToOwned::to_owned), rules].iter().chain(&rows) {
        for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if index < left {
                write!(text, "| {cell:width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
    }
    text
}

/// A text that stays on its line, and is no HTML.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ").replace('<', "&lt;")
}

fn limits_in_words(limits: &Limits) -> String {
    let all = [
        ("write outage", limits.max_write_outage),
        ("read outage through the read-only Service", limits.max_read_outage),
        ("full strength", limits.max_full_strength),
        ("an answer of a primary that was cut off", limits.max_isolated),
        ("loss", limits.max_loss),
    ];
    let given: Vec<_> = all
        .into_iter()
        .filter_map(|(what, limit)| {
            let ms = u64::try_from(limit?.as_millis()).unwrap_or(u64::MAX);
            Some(format!("{what} at most {} s", seconds(ms)))
        })
        .collect();
    let lost = if limits.max_loss.is_none() { "no acknowledged commit lost, " } else { "" };
    let mut text = format!("Demanded: {lost}no row twice, one primary at a time, full strength at the end");
    for limit in given {
        text.extend([", ", &limit]);
    }
    text.push_str(".\n");
    text
}

/// What one run came to, beyond the table.
fn details(text: &mut String, run: &Measurement, limits: &Limits, picture: &str) {
    let verdict = verdict(run, limits);
    if verdict.passed {
        text.push_str("Passed.\n\n");
    } else {
        text.push_str("Failed:\n\n");
        for reason in &verdict.reasons {
            let _ = writeln!(text, "- {}", line(&reason.text));
        }
        text.push('\n');
    }
    let _ = write!(text, "![timeline]({picture})\n\n");
    let rate = run.commits_per_second.map_or_else(|| UNKNOWN.to_owned(), |rate| format!("{rate:.1}"));
    let _ = writeln!(
        text,
        "- Commits a second before the event: {rate}; acknowledged in all: {}.",
        run.acknowledged
    );
    let _ = writeln!(
        text,
        "- Statements of all streams: {} succeeded, {} failed, {} in doubt.",
        run.total.done, run.total.failed, run.total.doubt
    );
    match &run.kept {
        None => text.push_str("- Rows at the end: could not be read.\n"),
        Some(kept) => {
            let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            let lost = none(numbers(&kept.lost, usize::MAX));
            let since = kept.lost_from_ms.map_or_else(String::new, |ms| {
                format!(" (the first was acknowledged {} s before the event)", seconds(ms))
            });
            let _ = writeln!(text, "- Acknowledged commits lost: {}{since}.", line(&lost));
            let _ = writeln!(
                text,
                "- Commits in doubt: {} kept, {} not kept.",
                kept.doubt_kept, kept.doubt_not_kept
            );
            let twice: Vec<_> = kept
                .twice
                .iter()
                .map(|row| format!("{} {} ({} times)", row.stream, row.number, row.times))
                .collect();
            let _ = writeln!(text, "- Rows there more than once: {}.", line(&none(twice.join(", "))));
        }
    }
    let _ = writeln!(text, "- Writes acknowledged by two primaries at once: {}.", run.two_primaries.count);
    for ack in &run.two_primaries.first {
        let _ = writeln!(
            text,
            "  - {} {}: by {} on timeline {}, {} s after the drill began",
            line(&ack.stream),
            ack.number,
            line(&ack.server),
            ack.timeline,
            seconds(u64::try_from(ack.at_ms).unwrap_or_default())
        );
    }
    if let Some(isolated) = &run.isolated {
        let _ = writeln!(text, "- {}", isolation(isolated));
    }
    let _ = writeln!(text, "- Timeline: {}.", timeline(run));
    for note in &run.notes {
        let _ = writeln!(text, "- Note: {}", line(note));
    }
    text.push('\n');
    streams_table(text, run);
}

/// What each stream of one run saw.
fn streams_table(text: &mut String, run: &Measurement) {
    let titles = [
        "stream",
        "does",
        "connection",
        "succeeded",
        "failed",
        "in doubt",
        "a second before the event",
        "longest outage (s)",
        "longest before the event (s)",
    ];
    let row = |stream: &StreamFigures| {
        let work = match (stream.work, stream.client) {
            (Work::Write, Client::InsideToAddress) => "writes, the primary's address",
            (_, Client::InsideToAddress) => "reads, the primary's address",
            (Work::Write, _) => "writes, rw",
            (Work::Bulk, _) => "writes of megabytes, rw",
            (Work::ReadPrimary, _) => "reads, rw",
            (Work::ReadReplica, _) => "reads, ro",
        };
        let connection = match stream.connection {
            Connection::Kept => "kept",
            Connection::New => "new each time",
        };
        [
            stream.name.clone(),
            work.to_owned(),
            connection.to_owned(),
            stream.counts.done.to_string(),
            stream.counts.failed.to_string(),
            stream.counts.doubt.to_string(),
            stream.per_second.map_or_else(|| UNKNOWN.to_owned(), |rate| format!("{rate:.1}")),
            outage(Some(&stream.outage)),
            stream.outage.before_event_ms.map_or_else(|| NOT_MEASURED.to_owned(), seconds),
        ]
    };
    text.push_str(&markdown_table(titles, 3, &run.streams.iter().map(row).collect::<Vec<_>>()));
}

/// What a primary did whose node was cut off, in a sentence.
fn isolation(isolated: &Isolated) -> String {
    let at = |time: Option<u64>, none: &str| {
        time.map_or_else(|| none.to_owned(), |ms| format!("{} s after the event", seconds(ms)))
    };
    format!(
        "The primary whose node was cut off{} acknowledged its last write {} and answered its last read as a primary {}; another one acknowledged a write {}.{}",
        isolated.for_ms.map_or_else(String::new, |ms| format!(" for {} s", seconds(ms))),
        at(isolated.last_write_ms, "before the event"),
        at(isolated.last_read_ms, "before the event"),
        at(isolated.replaced_ms, "only when it was connected again, or never"),
        isolated.reached_ms.map_or_else(String::new, |ms| {
            format!(" A client on that node wrote again {} s after it was connected again.", seconds(ms))
        }),
    )
}

/// What each figure means.
const MEANING: &str = "
## What the figures mean

- **Write outage**: the longest time between two commits of one writer, seen from the client. *Kept*: the
  writer keeps its connection and connects again only when it breaks, as an application with a pool does;
  *new*: it connects for each commit.
- **Read outage**: the same of readers, through the read/write Service (rw), which is the primary's, and through the
  read-only one (ro), which is the replicas'; the worse of kept and new connections. The longest *before the
  event* is the noise of the load itself.
- **First commit**: from the event to the end of the longest time in which writes failed, or none was sent, as
  the load was away with its node; from the event to the next commit where there was no such time.
- **Full strength**: from the event to the moment when every member was ready and streaming.
- **Lost**: commits that the server had acknowledged to the client, and whose rows are not there at the end.
- **In doubt**: writes that were sent and never answered. The client cannot know whether they were
  committed: *kept* ones were. An application must be able to repeat a write without doing it twice.
- **Rows there more than once**: must be none, as no number is ever sent twice.
- **Two primaries**: writes acknowledged by a server after another one had taken over. Must be 0. Clients on
  both sides of a cut are compared.
- **The primary whose node was cut off**: what it answered to clients on its own node, through the Service as
  that node sees it and at its address, while the node was cut off. Outages are those of the other clients.
- **Timeline**: PostgreSQL counts it up each time a replica takes over, or a backup is restored.
- **Minimum, median, maximum**: over the runs of a repeated event. A time without an end counts as the
  longest.
";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::figures::measure;
    use super::super::tests::read;
    use super::*;

    const HEADING: Heading<'_> = Heading {
        date: "2025-11-25 10:00 UTC",
        versions: "PostgreSQL 18.1, Kubernetes 1.34.2, pgk 0.1.0",
        command: "pgk drill pod-delete --target primary",
    };

    fn outage() -> Measurement {
        measure(&read(include_str!("testdata/outage.txt")))
    }

    fn lost() -> Measurement {
        Measurement { event: "node-off".into(), ..measure(&read(include_str!("testdata/lost.txt"))) }
    }

    fn never_back() -> Measurement {
        measure(&read(include_str!("testdata/never-back.txt")))
    }

    #[test]
    fn a_table_of_one_event() {
        assert_eq!(table(&[outage()], &Limits::default()), include_str!("testdata/table.txt"));
    }

    #[test]
    fn a_table_of_repeats_and_failures() {
        let runs = [outage(), lost(), never_back(), outage()];
        let text =
            table(&runs, &Limits { max_write_outage: Some(Duration::from_secs(4)), ..Limits::default() });
        assert_eq!(text, include_str!("testdata/repeats-table.txt"));
    }

    #[test]
    fn a_table_of_nothing() {
        assert!(table(&[], &Limits::default()).ends_with("\nVerdict: failed, as no event was run.\n"));
        assert!(!passed(&[], &Limits::default()));
    }

    #[test]
    fn a_report() {
        let runs = [outage(), lost(), never_back(), outage()];
        let limits = Limits { max_full_strength: Some(Duration::from_secs(30)), ..Limits::default() };
        let text = markdown(&HEADING, &runs, &limits);
        assert_eq!(text, include_str!("testdata/report.md"));
    }

    #[test]
    fn a_report_of_one_run_has_one_picture() {
        let text = markdown(&HEADING, &[outage()], &Limits::default());
        assert!(text.contains("![timeline](timeline.svg)"));
        assert!(text.contains("**Verdict: passed.**"));
    }

    #[test]
    fn what_a_primary_did_that_was_cut_off() {
        let run = measure(&read(include_str!("testdata/isolated.txt")));
        let sentence = "The primary whose node was cut off for 10.0 s acknowledged its last write 0.02 s after the event and answered its last read as a primary 4.01 s after the event; another one acknowledged a write 3.01 s after the event. A client on that node wrote again 5.02 s after it was connected again.";
        let runs = [run];
        assert!(markdown(&HEADING, &runs, &Limits::default()).contains(sentence));
        assert!(table(&runs, &Limits::default()).contains(sentence));
    }

    #[test]
    fn texts_cannot_break_out() {
        let mut run = outage();
        run.event = "a|b\n# <script>".into();
        run.streams[0].name = "w|x\n".into();
        let text = markdown(&HEADING, &[run], &Limits::default());
        assert!(!text.contains("<script") && !text.contains("\n# a"), "{text}");
        assert!(text.contains("| a\\|b # &lt;script>"), "{text}");
        assert!(text.contains("| w\\|x  "), "{text}");
    }

    #[test]
    fn json_has_everything() {
        let runs = [outage(), lost(), outage()];
        let limits = Limits { max_write_outage: Some(Duration::from_millis(4500)), ..Limits::default() };
        let value = json(&HEADING, &runs, &limits);
        assert_eq!(value["passed"], false);
        assert_eq!(value["limits"]["max_write_outage_ms"], 4500);
        assert_eq!(value["limits"]["max_read_outage_ms"], Value::Null);
        let first = &value["events"][0];
        assert_eq!(first["runs"].as_array().unwrap().len(), 2);
        assert_eq!(first["summary"]["write_outage_kept_ms"]["median"], 4200.0);
        let run = &first["runs"][0];
        assert_eq!(run["verdict"]["passed"], true);
        assert_eq!(run["write_outage"]["worst"]["longest"]["length_ms"], 4200);
        assert_eq!(run["streams"][0]["connection"], "kept");
        assert_eq!(run["streams"][0]["done"], 7);
        let lost = &value["events"][1]["runs"][0];
        assert_eq!(lost["kept"]["lost"][1]["number"], 5);
        assert_eq!(lost["verdict"]["reasons"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn pictures_have_names() {
        assert_eq!(picture(0, 1), "timeline.svg");
        assert_eq!(picture(2, 3), "timeline-3.svg");
    }
}
