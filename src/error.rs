//! The one shape of an error that a user can fix: what is wrong, where, and what to do.

use std::fmt::{self, Write as _};
use std::path::Path;

use clap::builder::styling::{AnsiColor, Style};

/// Something wrong with the command line, the configuration or the folder to write to.
///
/// `main` prints it and exits with code 2; every other error is a failure, with code 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong.
    pub what: String,
    /// Where it is.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
}

/// Where an error is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// Its path, as the user gave it.
        path: String,
        /// Line and column, from 1, and the line itself; `None` for the file as a whole.
        position: Option<(usize, usize, String)>,
    },
    /// In a command-line argument.
    Argument {
        /// The flag and its value, for example `--set replicas=x`.
        text: String,
        /// The column where the wrong part starts, from 1.
        column: usize,
    },
}

impl Place {
    /// The file or folder as a whole.
    pub fn path(path: &Path) -> Self {
        Self::File { path: path.display().to_string(), position: None }
    }

    /// In the value of `flag`, so many characters from its beginning.
    pub fn argument(flag: &str, value: &str, characters: usize) -> Self {
        Self::Argument { text: format!("{flag} {value}"), column: flag.len() + 2 + characters }
    }
}

impl Diagnostic {
    /// An error that says `what` is wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), place: None, help: None }
    }

    /// The same, with where it is.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same, with what was probably meant as what to do, and `otherwise` where there is no telling.
    #[must_use]
    pub fn suggest(self, meant: Option<&str>, otherwise: impl Into<String>) -> Self {
        let help = meant.map_or_else(|| otherwise.into(), |meant| format!("did you mean `{meant}`?"));
        self.help(help)
    }

    /// The same, with what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::error::Error for Diagnostic {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, PLAIN)
    }
}

impl Diagnostic {
    fn write(&self, f: &mut impl fmt::Write, colours: Colours) -> fmt::Result {
        let Colours { frame, help, .. } = colours;
        write!(f, "{}", self.what)?;
        match &self.place {
            None => {}
            Some(Place::File { path, position: None }) => write!(f, "\n  {frame}-->{frame:#} {path}")?,
            Some(Place::File { path, position: Some((line, column, text)) }) => {
                write!(f, "\n  {frame}-->{frame:#} {path}:{line}:{column}")?;
                excerpt(f, &line.to_string(), *column, text, colours)?;
            }
            Some(Place::Argument { text, column }) => {
                write!(f, "\n  {frame}-->{frame:#} argument")?;
                excerpt(f, "", *column, text, colours)?;
            }
        }
        if let Some(text) = &self.help {
            write!(f, "\n{help}help:{help:#} {text}")?;
        }
        Ok(())
    }
}

/// All that is wrong with the user's input, which is something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

/// More than these are not shown at once.
const MOST: usize = 20;

impl Diagnostics {
    /// The error that these are; none if they are none.
    ///
    /// # Errors
    /// All of them together.
    pub fn check(all: Vec<Diagnostic>) -> Result<(), Self> {
        if all.is_empty() { Ok(()) } else { Err(Self(all)) }
    }

    /// Adds what is wrong by `result` to `all`; what it gives where nothing is.
    ///
    /// # Errors
    /// A failure, which is no such error.
    pub fn gather<T>(all: &mut Vec<Diagnostic>, result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match result.map_err(anyhow::Error::downcast::<Self>) {
            Ok(good) => return Ok(Some(good)),
            Err(Ok(several)) => all.extend(several.0),
            Err(Err(other)) => all.push(other.downcast::<Diagnostic>()?),
        }
        Ok(None)
    }

    fn write(&self, f: &mut impl fmt::Write, colours: Colours) -> fmt::Result {
        let error = colours.error;
        for (index, diagnostic) in self.0.iter().take(MOST).enumerate() {
            if index > 0 {
                write!(f, "\n\n{error}error:{error:#} ")?;
            }
            diagnostic.write(f, colours)?;
        }
        if self.0.len() > MOST {
            write!(f, "\n\n{error}error:{error:#} more errors will be shown once these are fixed")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, PLAIN)
    }
}

/// A value as an error shows it: in backquotes, on one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

/// The one of `words` that was probably meant by `word`.
pub(crate) fn similar<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    const ALIKE: f64 = 0.85;
    if word.len() > LONGEST {
        return None;
    }
    // A word that differs only in case is the one that was meant.
    let word = word.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&word, &other.to_lowercase());
    let best = words.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > ALIKE).then_some(best)
}

/// An error as it is printed, with colours where they are seen, and whether the user's input is wrong.
pub fn report(error: &anyhow::Error) -> (String, bool) {
    let mut text = format!("{0}error:{0:#} ", COLOURED.error);
    let written = if let Some(all) = error.downcast_ref::<Diagnostics>() {
        all.write(&mut text, COLOURED)
    } else if let Some(one) = error.downcast_ref::<Diagnostic>() {
        one.write(&mut text, COLOURED)
    } else {
        write!(text, "{error:#}")
    };
    // Writing to a String never fails.
    debug_assert!(written.is_ok());
    (text, error.is::<Diagnostics>() || error.is::<Diagnostic>())
}

/// How the parts of an error look.
#[derive(Debug, Clone, Copy)]
struct Colours {
    error: Style,
    frame: Style,
    help: Style,
}

const PLAIN: Colours = Colours { error: Style::new(), frame: Style::new(), help: Style::new() };
const COLOURED: Colours = Colours {
    error: AnsiColor::Red.on_default().bold(),
    frame: AnsiColor::Blue.on_default().bold(),
    help: AnsiColor::Green.on_default().bold(),
};

/// How much of a long line is shown on either side of the error, in characters.
const SHOWN: usize = 80;

/// The line with a caret under `column`, cut to what fits a terminal, and safe to print on one.
fn excerpt(f: &mut impl fmt::Write, label: &str, column: usize, line: &str, colours: Colours) -> fmt::Result {
    let Colours { error, frame, .. } = colours;
    let start = column.saturating_sub(1).saturating_sub(SHOWN);
    let shown: String =
        line.chars().skip(start).take(2 * SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let gutter = " ".repeat(label.len());
    let caret = " ".repeat(column.saturating_sub(1) - start);
    write!(f, "\n {frame}{gutter} |{frame:#}\n {frame}{label} |{frame:#} {}", shown.trim_end())?;
    write!(f, "\n {frame}{gutter} |{frame:#} {caret}{error}^{error:#}")
}

/// The words in a sentence: `a, b and c`.
pub(crate) fn listed<T: AsRef<str>>(words: &[T]) -> String {
    let mut text = String::new();
    for (left, word) in (0..words.len()).rev().zip(words) {
        text.push_str(word.as_ref());
        text.push_str(match left {
            0 => "",
            1 => " and ",
            _ => ", ",
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_where_and_what_to_do() {
        let place = Place::File { path: "pgk.yaml".into(), position: Some((12, 3, "  replica: 3".into())) };
        let error = Diagnostic::new("unknown key `replica`").at(place).help("did you mean `replicas`?");
        assert_eq!(
            error.to_string(),
            "unknown key `replica`\n  --> pgk.yaml:12:3\n    |\n 12 |   replica: 3\n    |   ^\nhelp: did you mean `replicas`?"
        );
    }

    #[test]
    fn long_lines_are_cut() {
        let place = Place::Argument { text: "x".repeat(1_000_000), column: 500_000 };
        assert!(Diagnostic::new("long").at(place).to_string().len() < 400);
    }
}
