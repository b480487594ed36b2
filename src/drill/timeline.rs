//! The picture of one event: what the application saw a second, and the state of every pod below it.
//!
//! A self-contained SVG on a white ground, so that it reads the same in a light and in a dark page. The
//! colours are those of Okabe and Ito, which colour-blind people tell apart; states are named as well.

use std::fmt::{self, Write as _};

use super::figures::{Measurement, Outages, Timed, timed};
use super::ledger::{Client, Work};
use super::record::{PRIMARY, Record};
use super::words::{count, float, seconds};

const WIDTH: f64 = 960.0;
/// Room at the right for the scale of the lanes.
const RIGHT: f64 = WIDTH - 56.0;
const LANE: f64 = 58.0;
const LANE_GAP: f64 = 12.0;
const BAND: f64 = 15.0;
const BAND_GAP: f64 = 5.0;
/// Where the lanes begin, below the title and three lines of labels: one each for the event, the outage
/// and full strength, so that they never run into one another.
const TOP: f64 = 120.0;

const DONE: &str = "#009E73";
const FAILED: &str = "#D55E00";
const INK: &str = "#222222";
const FAINT: &str = "#5F5F5F";
const GRID: &str = "#E4E4E4";

/// How long an observation of the pods holds when no other follows, in milliseconds.
const HOLDS_MS: i64 = 5_000;

/// The most pods that are shown; an event that takes all of them many times over makes more.
const MOST_PODS: usize = 14;

/// The longest pod name that is shown whole, in characters.
const MOST_NAME: usize = 38;

/// Draws `record`, with the figures of `measurement`, which [`super::figures::measure`] made of it.
pub fn svg(record: &Record, measurement: &Measurement) -> String {
    let timed = timed(record);
    let pods = pods(record);
    let scale = Scale::of(record, &timed, &pods);
    let lanes = [
        (Work::Write, "commits a second", "read/write Service", &measurement.write_outage),
        (Work::ReadPrimary, "reads a second", "read/write Service", &measurement.read_outage_primary),
        (Work::ReadReplica, "reads a second", "read-only Service", &measurement.read_outage_replica),
    ];
    let lanes: Vec<_> = lanes.into_iter().filter(|(.., outages)| outages.worst.is_some()).collect();
    let lanes_end = TOP + float(lanes.len()) * (LANE + LANE_GAP);
    let end = lanes_end + float(pods.len()) * (BAND + BAND_GAP);

    let mut picture = Picture::default();
    grid(&mut picture, &scale, end);
    heading(&mut picture, record, measurement);
    shade_outage(&mut picture, &scale, measurement);
    let mut top = TOP;
    for (work, what, through, outages) in lanes {
        let streams: Vec<_> = timed
            .iter()
            .filter(|timed| (timed.stream.work, timed.stream.client) == (work, Client::Outside))
            .collect();
        lane(&mut picture, &scale, top, &streams);
        picture.label(scale.left, top + 15.0, 12.0, INK, what);
        picture.label(scale.left, top + 30.0, 11.0, FAINT, through);
        picture.label(scale.left, top + 45.0, 11.0, FAINT, &pause(outages));
        top += LANE + LANE_GAP;
    }
    for pod in &pods {
        band(&mut picture, &scale, top, pod);
        top += BAND + BAND_GAP;
    }
    marks(&mut picture, &scale, record, end);
    let height = legend(&mut picture, end + 56.0) + 16.0;
    picture.finish(height, record)
}

/// What of the drill's time is where.
struct Scale {
    left: f64,
    /// In milliseconds since the drill began.
    from: i64,
    until: i64,
}

impl Scale {
    fn of(record: &Record, timed: &[Timed<'_>], pods: &[Pod]) -> Self {
        let event = i64::try_from(record.event_elapsed).unwrap_or_default();
        let until = i64::try_from(record.end_elapsed).unwrap_or(i64::MAX).max(event.saturating_add(1000));
        // The drill first prepares its load; nothing is to be seen until that runs.
        let first = timed.iter().filter_map(|timed| timed.moments.first()).map(|first| first.start).min();
        let from = first.unwrap_or_default().clamp(0, event);
        let longest = pods.iter().map(|pod| width(&pod.shown, 11.0)).fold(0.0, f64::max);
        Self { left: (longest + 24.0).max(158.0), from: from - from % 1000, until }
    }

    fn x(&self, ms: i64) -> f64 {
        let part = |ms: i64| float(ms.clamp(self.from, self.until).saturating_sub(self.from));
        self.left + (RIGHT - self.left) * part(ms) / part(self.until)
    }

    /// A round number of milliseconds that leaves at most `most` of it in the picture.
    fn step(&self, steps: &[i64], most: i64) -> i64 {
        let span = self.until.saturating_sub(self.from);
        let fits = steps.iter().copied().find(|step| span / step <= most);
        fits.unwrap_or(span / most.max(1) + 1)
    }
}

fn grid(picture: &mut Picture, scale: &Scale, end: f64) {
    let step = scale.step(
        &[1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000],
        12,
    );
    let first = scale.from.saturating_add((step - scale.from % step) % step);
    let ticks = (0..=12).map(|index| first.saturating_add(step.saturating_mul(index)));
    for tick in ticks.take_while(|tick| *tick <= scale.until) {
        let x = scale.x(tick);
        picture.line((x, TOP - 4.0), (x, end), GRID, "");
        picture.text(x, end + 14.0, 11.0, Anchor::Middle, FAINT, &(tick / 1000).to_string());
    }
    let middle = f64::midpoint(scale.left, RIGHT);
    picture.text(middle, end + 30.0, 11.0, Anchor::Middle, FAINT, "seconds since the drill began");
}

fn heading(picture: &mut Picture, record: &Record, measurement: &Measurement) {
    let title = format!("pgk drill: {}", name(record));
    picture.text(16.0, 28.0, 17.0, Anchor::Start, INK, &title);
    let mut facts = vec![match &measurement.kept {
        Some(kept) => format!(
            "{} of {} lost",
            kept.lost.len(),
            count(measurement.acknowledged, "acknowledged commit", "acknowledged commits")
        ),
        None => "what was lost is not known".to_owned(),
    }];
    if let Some(worst) = &measurement.write_outage.worst
        && let Some(gap) = &worst.longest
    {
        let least = if worst.not_back { "more than " } else { "" };
        facts.push(format!("write outage {least}{} s", seconds(gap.length_ms)));
    }
    facts.push(match measurement.full_strength_ms {
        Some(took) => format!("full strength after {} s", seconds(took)),
        None => "not back at full strength".to_owned(),
    });
    if let (Some(before), Some(after)) = (measurement.timeline_before, measurement.timeline_after) {
        facts.push(format!("timeline {before} → {after}"));
    }
    picture.text(16.0, 48.0, 12.0, Anchor::Start, FAINT, &facts.join("  ·  "));
}

/// The event and what it struck.
fn name(record: &Record) -> String {
    format!("{} {}", record.event, record.target).trim_end().to_owned()
}

fn pause(outages: &Outages) -> String {
    match outages.worst.as_ref().map(|worst| (worst.not_back, worst.longest.as_ref())) {
        Some((false, Some(gap))) => format!("longest pause {} s", seconds(gap.length_ms)),
        Some((true, Some(gap))) => format!("not back for {} s", seconds(gap.length_ms)),
        _ => "not measured".to_owned(),
    }
}

fn shade_outage(picture: &mut Picture, scale: &Scale, measurement: &Measurement) {
    let Some(worst) = &measurement.write_outage.worst else { return };
    let Some(gap) = &worst.longest else { return };
    let length = i64::try_from(gap.length_ms).unwrap_or(i64::MAX);
    let (from, to) = (scale.x(gap.from_ms), scale.x(gap.from_ms.saturating_add(length)));
    let top = TOP - 30.0;
    let _ = write!(
        picture.body,
        r#"<rect x="{from:.1}" y="{top}" width="{:.1}" height="{}" fill="{FAILED}" fill-opacity="0.16"/>"#,
        (to - from).max(1.5),
        TOP + LANE - top
    );
    let least = if worst.not_back { "more than " } else { "" };
    let text = format!("no commit for {least}{} s ({})", seconds(gap.length_ms), gap.stream);
    picture.beside(from, TOP - 34.0, FAILED, &text);
}

/// The event and full strength, from their labels down to the axis.
fn marks(picture: &mut Picture, scale: &Scale, record: &Record, end: f64) {
    let at = |elapsed: u64| scale.x(i64::try_from(elapsed).unwrap_or(i64::MAX));
    let x = at(record.event_elapsed);
    picture.line((x, TOP - 56.0), (x, end), INK, "5 3");
    picture.beside(x, TOP - 49.0, INK, &name(record));
    if let Some(elapsed) = record.full_strength_elapsed {
        let x = at(elapsed);
        picture.line((x, TOP - 26.0), (x, end), DONE, "");
        picture.beside(x, TOP - 18.0, DONE, "full strength");
    }
}

/// Statements a second, as an area; those that failed on top of it.
fn lane(picture: &mut Picture, scale: &Scale, top: f64, streams: &[&Timed<'_>]) {
    let bin = scale.step(&[500, 1000, 2000, 5000, 10_000, 30_000, 60_000], 200);
    let mut done = Vec::new();
    let mut failed = Vec::new();
    for moment in streams.iter().flat_map(|timed| &timed.moments) {
        let Ok(index) =
            usize::try_from(moment.end.clamp(scale.from, scale.until).saturating_sub(scale.from) / bin)
        else {
            continue;
        };
        let bins: &mut Vec<u32> = if moment.is_done() { &mut done } else { &mut failed };
        if bins.len() <= index {
            bins.resize(index + 1, 0);
        }
        if let Some(bin) = bins.get_mut(index) {
            *bin = bin.saturating_add(1);
        }
    }
    let bins = done.len().max(failed.len());
    done.resize(bins, 0);
    failed.resize(bins, 0);
    let edges = |index: usize| {
        let from = i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(bin).saturating_add(scale.from);
        (from, from.saturating_add(bin).min(scale.until))
    };
    // The last bin may be short; next to nothing of one says nothing about a rate.
    let rate = |index: usize, number: u32| {
        let (from, to) = edges(index);
        f64::from(number) * 1000.0 / float(to.saturating_sub(from).max(bin / 3))
    };
    let rates = |numbers: &[u32]| numbers.iter().enumerate().map(|(i, n)| rate(i, *n)).fold(0.0, f64::max);
    let most = round_up(if rates(&done) > 0.0 { rates(&done) } else { rates(&failed) });
    let base = top + LANE;

    let mut area = format!("M{:.1} {base}", scale.left);
    let mut bars = String::new();
    for (index, (done, failed)) in done.iter().zip(&failed).enumerate() {
        let (from, to) = edges(index);
        let (from, to) = (scale.x(from), scale.x(to));
        let y = base - LANE * rate(index, *done) / most;
        let _ = write!(area, "L{from:.1} {y:.1}H{to:.1}");
        if *failed > 0 {
            // Few are seen too, and many do not leave the lane.
            let height = (LANE * rate(index, *failed) / most).clamp(4.0, LANE);
            let bar = (y - height).max(top);
            let _ = write!(bars, "M{from:.1} {bar:.1}H{to:.1}V{:.1}H{from:.1}Z", bar + height);
        }
    }
    let end = edges(bins.saturating_sub(1)).1;
    let _ = write!(area, "L{:.1} {base}Z", if bins == 0 { scale.left } else { scale.x(end) });
    let _ = write!(
        picture.body,
        r#"<path d="{area}" fill="{DONE}" fill-opacity="0.75"/><path d="{bars}" fill="{FAILED}"/>"#
    );
    picture.line((scale.left, base), (RIGHT, base), FAINT, "");
    picture.line((scale.left, top), (RIGHT, top), GRID, "");
    picture.text(RIGHT + 6.0, top + 8.0, 11.0, Anchor::Start, FAINT, &format!("{most}/s"));
    picture.text(RIGHT + 6.0, base, 11.0, Anchor::Start, FAINT, "0");
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn round_up(most: f64) -> f64 {
    let mut unit = 1.0;
    while unit * 10.0 < most && unit < 1e12 {
        unit *= 10.0;
    }
    [1.0, 2.0, 5.0, 10.0].map(|step| step * unit).into_iter().find(|step| *step >= most).unwrap_or(most)
}

/// A pod and what it was when.
struct Pod {
    name: String,
    /// Its name, cut to what fits.
    shown: String,
    /// From, until, what and on which node.
    spells: Vec<(i64, i64, State, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Primary,
    Replica,
    /// Ready, but the primary's WAL does not reach it.
    NotStreaming,
    NotReady,
    Absent,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "streaming replica",
            Self::NotStreaming => "not streaming",
            Self::NotReady => "not ready",
            Self::Absent => "no such pod",
        }
    }

    /// The colour of the band, and of text on it.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Primary => ("#0072B2", "#FFFFFF"),
            Self::Replica => ("#56B4E9", INK),
            Self::NotStreaming => ("#F0E442", INK),
            Self::NotReady => ("#E69F00", INK),
            Self::Absent => ("#BBBBBB", INK),
        }
    }
}

/// The pods in the order in which they came, the primary first.
fn pods(record: &Record) -> Vec<Pod> {
    let mut pods: Vec<Pod> = Vec::new();
    for sample in &record.samples {
        let mut members: Vec<_> = sample.members.iter().collect();
        members.sort_by_key(|member| (member.role != PRIMARY, &member.pod));
        for member in members {
            if pods.iter().all(|pod| pod.name != member.pod) {
                let shown = shorten(&member.pod);
                pods.push(Pod { name: member.pod.clone(), shown, spells: Vec::new() });
            }
        }
    }
    pods.truncate(MOST_PODS);
    let end = i64::try_from(record.end_elapsed).unwrap_or(i64::MAX);
    let starts = record.samples.iter().map(|sample| i64::try_from(sample.elapsed).unwrap_or(i64::MAX));
    let ends = starts.clone().skip(1).chain([end]);
    for ((sample, from), until) in record.samples.iter().zip(starts).zip(ends) {
        let until = until.min(from.saturating_add(HOLDS_MS));
        for pod in &mut pods {
            let member = sample.members.iter().find(|member| member.pod == pod.name);
            let state = match member {
                None => State::Absent,
                Some(member) if !member.ready => State::NotReady,
                Some(member) if member.role == PRIMARY => State::Primary,
                Some(member) if member.streaming => State::Replica,
                Some(_) => State::NotStreaming,
            };
            let node = member.map(|member| member.node.as_str()).unwrap_or_default();
            match pod.spells.last_mut() {
                Some((_, end, last, on)) if *last == state && on == node && *end >= from => *end = until,
                _ => pod.spells.push((from, until, state, node.to_owned())),
            }
        }
    }
    pods
}

/// Leaves out the middle of a long name: pods differ at the end.
fn shorten(name: &str) -> String {
    let length = name.chars().count();
    if length <= MOST_NAME {
        return name.to_owned();
    }
    let start: String = name.chars().take(MOST_NAME / 2).collect();
    let end: String = name.chars().skip(length + 1 - MOST_NAME.div_ceil(2)).collect();
    format!("{start}…{end}")
}

fn band(picture: &mut Picture, scale: &Scale, top: f64, pod: &Pod) {
    picture.label(scale.left, top + 12.0, 11.0, INK, &pod.shown);
    for (from, until, state, node) in &pod.spells {
        if *until <= scale.from {
            continue;
        }
        let (x, end) = (scale.x(*from), scale.x(*until));
        let (fill, ink) = state.colours();
        let (y, height) = if *state == State::Absent { (top + 6.5, 2.0) } else { (top, BAND) };
        let on = if node.is_empty() { String::new() } else { format!(" on {node}") };
        let _ = write!(
            picture.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}" fill="{fill}"><title>{} {}{}</title></rect>"#,
            (end - x).max(0.5),
            Escaped(&pod.name),
            state.name(),
            Escaped(&on)
        );
        if *state != State::Absent && width(state.name(), 10.0) + 8.0 < end - x {
            picture.text(x + 4.0, top + 11.0, 10.0, Anchor::Start, ink, state.name());
        }
    }
}

/// Says what each colour means; returns where it ends.
fn legend(picture: &mut Picture, top: f64) -> f64 {
    let statements = [
        (DONE, 10.0, "succeeded"),
        (FAILED, 10.0, "failed or unanswered (few are drawn larger than to scale)"),
    ];
    let states = [State::Primary, State::Replica, State::NotStreaming, State::NotReady, State::Absent];
    let pods = states
        .map(|state| (state.colours().0, if state == State::Absent { 2.0 } else { 10.0 }, state.name()));
    legend_line(picture, top, "Statements:", &statements);
    legend_line(picture, top + 18.0, "Pods:", &pods);
    top + 18.0
}

fn legend_line(picture: &mut Picture, y: f64, what: &str, entries: &[(&str, f64, &str)]) {
    picture.text(16.0, y, 11.0, Anchor::Start, FAINT, what);
    let mut x = 96.0;
    for (colour, height, text) in entries {
        let _ = write!(
            picture.body,
            r#"<rect x="{x:.1}" y="{:.1}" width="12" height="{height}" fill="{colour}"/>"#,
            y - 4.0 - height / 2.0
        );
        picture.text(x + 18.0, y, 11.0, Anchor::Start, INK, text);
        x += 18.0 + width(text, 11.0) + 12.0;
    }
}

/// About how wide a text is; a little more rather than less.
fn width(text: &str, size: f64) -> f64 {
    float(text.chars().count()) * size * 0.6
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Default)]
struct Picture {
    body: String,
}

impl Picture {
    fn text(&mut self, x: f64, y: f64, size: f64, anchor: Anchor, colour: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{}</text>"#,
            Escaped(text)
        );
        self.body.push('\n');
    }

    /// What a row is, at the left of it.
    fn label(&mut self, left: f64, y: f64, size: f64, colour: &str, text: &str) {
        self.text(left - 10.0, y, size, Anchor::End, colour, text);
    }

    /// A label right of `x`, or left of it where it would not fit.
    fn beside(&mut self, x: f64, y: f64, colour: &str, text: &str) {
        if x + 5.0 + width(text, 12.0) < WIDTH {
            self.text(x + 5.0, y, 12.0, Anchor::Start, colour, text);
        } else {
            self.text(x - 5.0, y, 12.0, Anchor::End, colour, text);
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, dashes: &str) {
        let _ = write!(
            self.body,
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}""#,
            from.0, from.1, to.0, to.1
        );
        if !dashes.is_empty() {
            let _ = write!(self.body, r#" stroke-dasharray="{dashes}""#);
        }
        self.body.push_str("/>\n");
    }

    fn finish(self, height: f64, record: &Record) -> String {
        let name = name(record);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0}" viewBox="0 0 {WIDTH} {height:.0}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">
<title>{name}: statements a second and the state of the pods</title>
<rect width="100%" height="100%" fill="white"/>
{}</svg>
"#,
            self.body,
            name = Escaped(&name)
        )
    }
}

/// A text as it stands in XML, in an element or an attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // XML has no way at all to write these.
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::measure;
    use super::super::ledger::{Attempt, Connection, Outcome, Stream};
    use super::super::record::{Member, Row, Sample};
    use super::super::tests::BEGIN;
    use super::*;

    /// A stream that does something every `every` ms, and fails from `down.0` until `down.1`.
    fn stream(
        name: &str,
        work: Work,
        connection: Connection,
        every: u64,
        down: (u64, u64),
        end: u64,
    ) -> Stream {
        let mut stream = super::super::ledger::parse(name, work, connection, "");
        let (mut now, mut number) = (2_000, 0);
        while now < end {
            number += 1;
            let (took, outcome) = if now < down.0 {
                (every, Outcome::Done { server: "10.0.0.5".into(), timeline: 1 })
            } else if now >= down.1 {
                (every + now % 7, Outcome::Done { server: "10.0.0.6".into(), timeline: 2 })
            } else if now < down.0 + 500 {
                (500, Outcome::Doubt("closed".into()))
            } else {
                (100, Outcome::Failed("refused".into()))
            };
            let done = now + took;
            stream.attempts.push(Attempt {
                wall: BEGIN + i64::try_from(done).unwrap() * 1000,
                start: 700_000 + now,
                end: 700_000 + done,
                number,
                outcome,
            });
            now = done;
        }
        stream
    }

    /// The primary goes at `event`; the last pod takes over, and the first comes back.
    pub(super) fn record(pods: &[&str], event: u64, outage: u64, back: u64, end: u64) -> Record {
        let wall = |ms: u64| BEGIN + i64::try_from(ms).unwrap() * 1000;
        let up = event + outage;
        let streams = vec![
            stream("writer-1-kept", Work::Write, Connection::Kept, 8, (event + 40, up), end),
            stream("writer-1-new", Work::Write, Connection::New, 25, (event + 40, up - 700), end),
            stream("reader-1-rw", Work::ReadPrimary, Connection::New, 12, (event + 40, up - 500), end),
            stream("reader-1-ro", Work::ReadReplica, Connection::Kept, 10, (up, up + 300), end),
        ];
        let writes = streams.iter().filter(|stream| stream.work == Work::Write);
        let done = writes.flat_map(|stream| {
            let done = stream.attempts.iter().filter(|a| matches!(a.outcome, Outcome::Done { .. }));
            done.map(|a| Row { stream: stream.name.clone(), number: a.number, times: 1 })
        });
        let rows = Some(done.collect());
        let samples = (0..end / 1000).map(|second| {
            let now = second * 1000;
            let members = pods.iter().enumerate().filter_map(|(index, pod)| {
                let (first, last) = (index == 0, index + 1 == pods.len());
                let gone = first && now >= event && now < back.midpoint(event);
                let primary = if now < up { first } else { last };
                (!gone).then(|| Member {
                    pod: (*pod).into(),
                    node: format!("node-{index}"),
                    role: if primary { "primary" } else { "replica" }.into(),
                    ready: !(first && now >= event && now < back),
                    streaming: !(now >= event && now < up + 1000),
                })
            });
            Sample { wall: wall(now), elapsed: now, members: members.collect(), timeline: Some(1) }
        });
        let samples = samples.collect();
        Record {
            event: "pod-delete".into(),
            target: "primary".into(),
            streams,
            rows,
            cut_off: None,
            samples,
            begin_wall: BEGIN,
            event_wall: wall(event),
            end_wall: wall(end),
            event_elapsed: event,
            end_elapsed: end,
            full_strength_elapsed: Some(back),
            timeline_before: Some(1),
            timeline_after: Some(2),
        }
    }

    fn draw(record: &Record) -> String {
        svg(record, &measure(record))
    }

    /// `PGK_DRAW=/tmp/pictures cargo test draws` leaves the pictures there, to be looked at.
    fn leave(name: &str, picture: &str) {
        if let Ok(folder) = std::env::var("PGK_DRAW") {
            std::fs::write(format!("{folder}/{name}.svg"), picture).unwrap();
        }
    }

    #[test]
    fn draws_what_happened() {
        let record = record(&["pg-0", "pg-1", "pg-2"], 15_000, 4_200, 30_000, 60_000);
        let picture = draw(&record);
        leave("usual", &picture);
        for text in [
            ">pgk drill: pod-delete primary<",
            ">no commit for 4.",
            ">full strength<",
            ">commits a second<",
            ">read-only Service<",
            ">pg-2<",
            "acknowledged commits lost",
            "full strength after 15.0 s",
            "timeline 1 → 2",
        ] {
            assert!(picture.contains(text), "{text}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }

    #[test]
    fn draws_long_names_and_long_drills() {
        let pods: Vec<String> = (0..6)
            .map(|i| format!("university-database-postgresql-production-replica-6d5f9c7b8-x2k{i}q"))
            .collect();
        let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
        let mut record = record(&pods, 40_000, 31_000, 170_000, 200_000);
        record.event = "node-off".into();
        let picture = draw(&record);
        leave("long", &picture);
        // The title of a band tells the whole name, its label the ends.
        assert!(picture.contains(">university-database…"));
        assert!(picture.contains("-x2k5q primary on node-5<"));
    }

    #[test]
    fn draws_what_has_no_end() {
        let mut record = record(&["pg-0", "pg-1"], 50_000, 30_000, 80_000, 60_000);
        record.full_strength_elapsed = None;
        record.rows = None;
        record.timeline_after = None;
        let picture = draw(&record);
        leave("never-back", &picture);
        assert!(picture.contains("no commit for more than 10.0 s"));
        assert!(picture.contains("not back at full strength"));
        assert!(picture.contains("what was lost is not known"));
    }

    #[test]
    fn draws_an_empty_record() {
        let mut record = record(&["pg-0"], 1_000, 1_000, 1_000, 2_000);
        record.streams.iter_mut().for_each(|stream| stream.attempts.clear());
        record.samples.clear();
        let picture = draw(&record);
        leave("empty", &picture);
        record.streams.clear();
        (record.event_elapsed, record.end_elapsed) = (u64::MAX, u64::MAX);
        for picture in [picture, draw(&record)] {
            assert!(picture.ends_with("</svg>\n"));
            assert!(!picture.contains("NaN") && !picture.contains("inf\""), "{picture}");
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut record = record(&["a<b>&\"c'\u{1}"], 1_000, 1_000, 2_000, 10_000);
        record.target = "</svg><script>".into();
        let picture = draw(&record);
        assert!(picture.contains("a&lt;b&gt;&amp;&quot;c&#39;\u{fffd}"));
        assert!(!picture.contains("<script"));
    }

    #[test]
    fn scales_are_round() {
        let round = [0.0, 1.0, 1.5, 3.0, 7.0, 10.0, 412.0].map(|most| round_up(most).to_string());
        assert_eq!(round, ["1", "1", "2", "5", "10", "10", "500"]);
    }
}
