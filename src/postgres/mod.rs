//! PostgreSQL's own parameters: what each is about and what it takes, as a real server of each version says it
//! (`catalogue.py`, next to this file).

mod value;

use std::sync::LazyLock;

use crate::config::types::Version;
use crate::error::similar;
pub use value::{Amount, Unit, Value};

/// The servers whose catalogues there are.
const CATALOGUES: [(Version, &str); 2] =
    [(Version::V17, include_str!("17.tsv")), (Version::V18, include_str!("18.tsv"))];

/// A parameter, as a line of a catalogue has it.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Its name, as PostgreSQL writes it.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it takes to change it: `internal`, `postmaster`, `sighup`, `user` and others.
    pub context: &'static str,
    /// The unit of a number that has none; empty where there is none.
    pub unit: &'static str,
    /// What a number may be, `MIN..MAX`, or the words, with those that are not shown after a `|`.
    range: &'static str,
    /// What holds where nothing sets it.
    pub default: &'static str,
    /// Of a parameter of a library: `preload` or `session`.
    library: &'static str,
    /// The chapter of the manual that it is in.
    chapter: &'static str,
    /// What it is about.
    pub meaning: &'static str,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A switch.
    Bool,
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// A text, of which the server alone knows what is right.
    Text,
    /// One of a few words.
    Enum,
    /// PostgreSQL does not say.
    Hidden,
}

impl Parameter {
    fn of_line(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (name, kind) = (next()?, next()?);
        let kind = match kind {
            "bool" => Kind::Bool,
            "integer" => Kind::Integer,
            "real" => Kind::Real,
            "enum" => Kind::Enum,
            "string" => Kind::Text,
            // An alias is resolved to its parameter.
            _ => Kind::Hidden,
        };
        Some(Self {
            name,
            kind,
            context: next()?,
            unit: next()?,
            range: next()?,
            default: next()?,
            library: next()?,
            chapter: next()?,
            meaning: next()?,
        })
    }

    /// Whether the server shows it and takes it from nobody.
    pub fn is_preset(&self) -> bool {
        matches!(self.context, "internal" | "refused")
    }

    /// Whether a change waits for a restart of the server.
    pub fn takes_a_restart(&self) -> bool {
        self.context == "postmaster"
    }

    /// Where PostgreSQL's manual has it.
    pub fn manual(&self, version: Version) -> String {
        let page = match self.chapter {
            "Autovacuum" => "autovacuum",
            "Client Connection Defaults" => "client",
            "Connections and Authentication" => "connection",
            "Developer Options" => "developer",
            "Error Handling" => "error-handling",
            "File Locations" => "file-locations",
            "Lock Management" => "locks",
            "Preset Options" => "preset",
            "Query Tuning" => "query",
            "Replication" => "replication",
            "Reporting and Logging" => "logging",
            "Resource Usage" => "resource",
            "Statistics" => "statistics",
            "Vacuuming" => "vacuum",
            "Version and Platform Compatibility" => "compatible",
            "Write-Ahead Log" => "wal",
            // Of a library, which has a page of its own, or of none.
            _ => "",
        };
        let manual = format!("https://www.postgresql.org/docs/{}", version.major());
        if page.is_empty() {
            return format!("{manual}/contrib.html");
        }
        let anchor = self.name.to_ascii_uppercase().replace('_', "-");
        format!("{manual}/runtime-config-{page}.html#GUC-{anchor}")
    }

    /// The library that it is of, where that must be loaded when the server starts.
    pub fn preloaded(&self) -> Option<&'static str> {
        (self.library == "preload").then(|| prefix(self.name)).flatten()
    }

    /// The smallest and the largest number, as they are written.
    pub fn span(&self) -> Option<(&'static str, &'static str)> {
        self.range.split_once("..").filter(|_| matches!(self.kind, Kind::Integer | Kind::Real))
    }

    /// The words that it may be, and those that PostgreSQL takes as well and does not show.
    pub fn words(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        if self.kind == Kind::Bool {
            return (if self.range.is_empty() { vec!["on", "off"] } else { vec![self.range] }, Vec::new());
        }
        let (shown, unseen) = self.range.split_once('|').unwrap_or((self.range, ""));
        let words = |list: &'static str| list.split(',').collect::<Vec<_>>();
        (words(shown), if unseen.is_empty() { Vec::new() } else { words(unseen) })
    }
}

/// The library that a parameter's name says it is of.
pub fn prefix(name: &str) -> Option<&str> {
    name.split_once('.').map(|(library, _)| library)
}

/// The lines of a catalogue but for the first.
fn lines(version: Version) -> &'static [&'static str] {
    static LINES: LazyLock<Vec<(Version, Vec<&str>)>> = LazyLock::new(|| {
        CATALOGUES.iter().map(|(version, text)| (*version, text.lines().skip(1).collect())).collect()
    });
    LINES.iter().find(|(of, _)| *of == version).map_or(&[], |(_, lines)| lines)
}

/// The first column of a line.
fn name_of(line: &'static str) -> &'static str {
    line.split('\t').next().unwrap_or_default()
}

/// The parameter of this name in this version of PostgreSQL; by an alias, the one that it stands for.
pub fn find(version: Version, name: &str) -> Option<Parameter> {
    let find = |name: &str| {
        let wanted = name.to_ascii_lowercase();
        let lines = lines(version);
        let key = |line: &&'static str| name_of(line).to_ascii_lowercase();
        Parameter::of_line(lines.get(lines.binary_search_by_key(&wanted, key).ok()?)?)
    };
    let found = find(name)?;
    let is_alias = found.kind == Kind::Hidden && !found.default.is_empty();
    if is_alias { find(found.default) } else { Some(found) }
}

/// Every parameter of this version.
pub fn all(version: Version) -> impl Iterator<Item = Parameter> {
    lines(version).iter().filter_map(|line| Parameter::of_line(line))
}

/// The libraries that come with the server.
pub fn libraries(version: Version) -> impl Iterator<Item = &'static str> {
    let text = CATALOGUES.iter().find(|(of, _)| *of == version).map_or("", |(_, text)| text);
    let first = text.lines().next().and_then(|line| line.split_once('\t'));
    first.map_or("", |(_, libraries)| libraries).split(',')
}

/// The name that was probably meant.
pub fn meant(version: Version, name: &str) -> Option<&'static str> {
    let settable = |line: &&&str| !line.contains("\tinternal\t");
    similar(name, lines(version).iter().filter(settable).map(|line| name_of(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_parameter_and_is_found() {
        for (version, text) in CATALOGUES {
            let mut before = String::new();
            for line in text.lines().skip(1) {
                assert_eq!(line.split('\t').count(), 9, "{line}");
                let name = name_of(line);
                assert!(before < name.to_ascii_lowercase(), "{name} is not in its order");
                before = name.to_ascii_lowercase();
                assert!(find(version, &name.to_ascii_uppercase()).is_some(), "{name}");
            }
            assert_eq!(find(version, "sort_mem").unwrap().name, "work_mem");
            assert!(find(version, "wrok_mem").is_none());
            assert_eq!(meant(version, "wrok_mem"), Some("work_mem"));
            assert!(libraries(version).any(|library| library == "pg_stat_statements"));
        }
    }
}
