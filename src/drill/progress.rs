//! What a person sees while a drill runs: one live line on a terminal, plain lines elsewhere.

use std::cell::Cell;
use std::io::Write as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The line on stderr.
pub(super) struct Progress {
    bar: ProgressBar,
    title: String,
    live: bool,
    last: Cell<(usize, Instant)>,
}

impl Progress {
    /// For a drill called `title`.
    pub(super) fn new(title: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(title.to_owned());
        let live = !bar.is_hidden();
        if live {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, title: title.to_owned(), live, last: Cell::new((0, Instant::now())) }
    }

    /// Whether there is a terminal that shows what [`Progress::live`] says.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// A new phase begins.
    pub(super) fn phase(&self, phase: &str) {
        if self.live {
            self.bar.set_message(phase.to_owned());
            self.bar.set_prefix(self.title.clone());
        } else {
            say(&format!("{}: {phase}", self.title));
        }
    }

    /// How it goes: time, commits a second, who is primary.
    pub(super) fn live(&self, elapsed: Duration, writes: usize, primary: Option<&str>) {
        let (last, at) = self.last.replace((writes, Instant::now()));
        let since = usize::try_from(at.elapsed().as_millis()).unwrap_or(usize::MAX).max(1);
        let rate = writes.saturating_sub(last).saturating_mul(1000) / since;
        let title = &self.title;
        let primary = primary.unwrap_or("none");
        self.bar.set_prefix(format!(
            "{title} | {:.0} s | {rate} statements/s | primary {primary}",
            elapsed.as_secs_f64(),
        ));
    }

    /// Something that a person should know.
    pub(super) fn warn(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// It is over.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A line on stderr. That nobody reads it any more must not keep the drill from cleaning up.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "pgk: {text}");
}
