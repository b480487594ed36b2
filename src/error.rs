//! The one shape of an error that a user can mend: what is wrong, where, and what to do.

use std::fmt;

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
        write!(f, "{}", self.what)?;
        match &self.place {
            None => {}
            Some(Place::File { path, position: None }) => write!(f, "\n  --> {path}")?,
            Some(Place::File { path, position: Some((line, column, text)) }) => {
                write!(f, "\n  --> {path}:{line}:{column}")?;
                excerpt(f, &line.to_string(), *column, text)?;
            }
            Some(Place::Argument { text, column }) => {
                write!(f, "\n  --> argument")?;
                excerpt(f, "", *column, text)?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// How much of a long line is shown on either side of the error, in characters.
const SHOWN: usize = 80;

/// The line with a caret under `column`, cut to what fits a terminal, and safe to print on one.
fn excerpt(f: &mut fmt::Formatter<'_>, label: &str, column: usize, line: &str) -> fmt::Result {
    let start = column.saturating_sub(1).saturating_sub(SHOWN);
    let shown: String =
        line.chars().skip(start).take(2 * SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let gutter = " ".repeat(label.len());
    let caret = " ".repeat(column.saturating_sub(1) - start);
    write!(f, "\n {gutter} |\n {label} | {}\n {gutter} | {caret}^", shown.trim_end())
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
