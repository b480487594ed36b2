//! `pgk explain` and `pgk schema`: what can be set.

use serde_json::Value as Json;

use crate::cli::{Explain, FLAGS};
use crate::config::settings::{self, Setting, inline, plain, wrapped};
use crate::config::types::{ParameterName, Version};
use crate::config::{KEYS, Scenario, explained};
use crate::error::{Diagnostic, Place, shown};
use crate::postgres;

/// How wide the text is at most, in characters, and the names in it.
const WIDTH: usize = 100;
const NAMES: usize = 10;

/// How wide the terminal is that it is printed on, or what `COLUMNS` says where there is none.
fn columns() -> Option<usize> {
    let terminal = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    terminal.or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
}

/// Prints the JSON Schema of `pgk.yaml`.
///
/// # Errors
/// A failure to write.
pub fn schema() -> anyhow::Result<()> {
    super::print(&schema_text())
}

/// The schema as it is written to a file.
pub(super) fn schema_text() -> String {
    format!("{:#}\n", settings::schema())
}

/// Prints what a setting means, or a line on each.
///
/// # Errors
/// A [`Diagnostic`] where there is no such setting; a failure to write.
pub fn explain(arguments: &Explain) -> anyhow::Result<()> {
    let Some(key) = &arguments.key else {
        return super::print(&list(settings::all().iter(), columns()));
    };
    if let Some(name) = key.strip_prefix("postgres.parameters.") {
        return super::print(&parameter(name, key, columns())?);
    }
    let known = |setting: &&Setting| setting.key == *key;
    let Some(setting) = settings::find(key).filter(known) else {
        return Err(Diagnostic::new("there is no such setting")
            .at(Place::argument("pgk explain", key, 0))
            .suggest(settings::meant(key), KEYS)
            .into());
    };
    super::print(&text(setting, columns()))
}

/// All about a parameter of PostgreSQL.
fn parameter(name: &str, key: &str, columns: Option<usize>) -> Result<String, Diagnostic> {
    let found = |version| postgres::find(version, name).map(|parameter| (version, parameter));
    let Some((version, parameter)) = Version::ALL.into_iter().find_map(found) else {
        let meant =
            postgres::meant(Version::NEWEST, name).map(|meant| format!("postgres.parameters.{meant}"));
        return Err(Diagnostic::new(format!("PostgreSQL has no parameter {}", shown(name)))
            .at(Place::argument("pgk explain", key, "postgres.parameters.".len()))
            .suggest(
                meant.as_deref(),
                "pgk does not know the parameters of extensions in your image, and passes them on as they are",
            ));
    };
    let mut text = format!("postgres.parameters.{}\n\n", parameter.name);
    let below = room(columns);
    for line in wrapped(parameter.meaning, below(2)) {
        text.extend(["  ", &line, "\n"]);
    }
    text.push('\n');
    let default = match parameter.default {
        "" => "none",
        default => default,
    };
    let change = match parameter.context {
        "internal" | "refused" => "PostgreSQL shows it, but it cannot be set",
        "postmaster" => "needs a restart: in Q2 and Q3, of one member after the other",
        "sighup" => "takes a reload",
        "backend" | "superuser-backend" => "needs a reload, and applies to sessions that begin after it",
        _ => "needs a reload; a role, a database or a session can have its own value",
    };
    let refused = match name.parse::<ParameterName>() {
        Err(why) => why,
        Ok(_) => String::new(),
    };
    let since =
        if version == Version::DEFAULT { String::new() } else { format!("PostgreSQL {}", version.major()) };
    let last = Version::ALL.into_iter().rev().find_map(found).map_or(version, |(version, _)| version);
    let until = if last == Version::NEWEST { String::new() } else { format!("PostgreSQL {}", last.major()) };
    for (name, what) in [
        ("value", parameter.rule().as_str()),
        ("default", parameter.amount(default).as_str()),
        ("sized", explained(parameter.name).unwrap_or_default().as_str()),
        ("change", change),
        ("refused", &refused),
        ("since", &since),
        ("until", &until),
        ("for", "q1, q2 and q3"),
        ("manual", &parameter.manual(version)),
    ] {
        if !what.is_empty() {
            hang(&mut text, &format!("  {name:NAMES$}"), &wrapped(what, below(2 + NAMES)));
        }
    }
    if !parameter.is_preset() && refused.is_empty() {
        let key = format!("postgres.parameters.{}", parameter.name);
        let example = parameter.amount(default);
        let example = shlex::try_quote(&example).unwrap_or_default();
        text.extend(["\n  On the command line: --set ", &key, "=", &example, "\n"]);
    }
    Ok(text)
}

/// A line on each setting: its key, its default, and what it is about. In less than so many `columns`, what it is about
/// is broken into several; a file takes lines of any length, of which `grep` finds each whole.
fn list<'a>(of: impl Iterator<Item = &'a Setting>, columns: Option<usize>) -> String {
    const LONGEST: usize = 24;
    const LEAST: usize = 32;
    let lines: Vec<_> = of
        .filter(|setting| !setting.section)
        .map(|setting| {
            let default = setting.default.as_ref().map(inline).filter(|it| it.len() <= LONGEST);
            let meaning = setting.meaning.split_once(". ").map_or(&*setting.meaning, |(first, _)| first);
            (setting.key.as_str(), default.unwrap_or_else(|| "-".to_owned()), meaning.trim_end_matches('.'))
        })
        .collect();
    let width = |it: fn(&(&str, String, &str)) -> usize| lines.iter().map(it).max().unwrap_or_default();
    let (keys, defaults) = (width(|line| line.0.len()), width(|line| line.1.len()));
    let before = keys + defaults + 4;
    let mut text = String::new();
    for (key, default, meaning) in lines {
        match columns {
            Some(columns) if columns < before + LEAST => {
                text.extend([format!("{key:keys$}  {default}").trim_end(), "\n"]);
                for line in wrapped(meaning, columns.saturating_sub(4)) {
                    text.extend(["    ", &line, "\n"]);
                }
            }
            columns => {
                let room = columns.map_or(usize::MAX, |columns| columns - before);
                let first = format!("{key:keys$}  {default:defaults$}  ");
                hang(&mut text, &first, &wrapped(meaning, room));
            }
        }
    }
    text
}

/// How much of a line is left after so many characters.
fn room(columns: Option<usize>) -> impl Fn(usize) -> usize {
    let width = columns.unwrap_or(WIDTH).min(WIDTH);
    move |before| width.saturating_sub(before)
}

/// Adds `lines`, the first of them after `first`, the others below it.
fn hang(text: &mut String, first: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let indent = " ".repeat(first.chars().count());
        let before = if index == 0 { first } else { &indent };
        text.extend([format!("{before}{line}").trim_end(), "\n"]);
    }
}

/// All about a setting, or about a section and what is in it.
fn text(setting: &Setting, columns: Option<usize>) -> String {
    let below = room(columns);
    let mut text = format!("{}\n\n", setting.key);
    for line in wrapped(&setting.meaning, below(2)) {
        text.extend(["  ", &line, "\n"]);
    }
    text.push('\n');
    let words = setting.words();
    let longest = words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
    for (index, (word, meaning)) in words.iter().enumerate() {
        let name = if index == 0 { "values" } else { "" };
        let first = format!("  {name:NAMES$}{word:longest$}  ");
        hang(&mut text, &first, &wrapped(meaning.unwrap_or_default(), below(first.len())));
    }
    let mut say = |name: &str, what: &str| {
        hang(&mut text, &format!("  {name:NAMES$}"), &wrapped(what, below(2 + NAMES)));
    };
    if let Some(rule) = setting.rule() {
        say("value", &rule);
    }
    if let Some(unit) = setting.unit() {
        say("unit", unit);
    }
    if let Some(default) = &setting.default {
        say("default", &inline(default));
    } else if let Some(otherwise) = setting.otherwise() {
        say("default", otherwise);
    }
    say("for", &Scenario::list(&setting.scenarios));
    if let Some(becomes) = setting.becomes() {
        say("becomes", becomes);
    }
    if setting.section {
        let within = settings::all().iter().filter(|it| it.key.starts_with(&format!("{}.", setting.key)));
        return format!("{text}\n{}", list(within, columns));
    }
    text.push_str(&how_to_set(setting));
    text
}

/// An example in the file, and the same on the command line.
fn how_to_set(setting: &Setting) -> String {
    let Some(example) = setting.example() else { return String::new() };
    let mut text = "\n  In the file:\n\n".to_owned();
    let depth = setting.key.matches('.').count();
    for (index, part) in setting.key.split('.').enumerate() {
        let indent = "  ".repeat(index + 2);
        let value = if index == depth { format!(" {}", inline(example)) } else { String::new() };
        text.extend([&indent, part, ":", &value, "\n"]);
    }
    let (key, value) = match example {
        Json::Array(items) => (setting.key.clone(), items.iter().map(plain).collect::<Vec<_>>().join(",")),
        Json::Object(map) => match map.iter().next() {
            Some((name, value)) => (format!("{}.{name}", setting.key), inline(value)),
            None => return text,
        },
        scalar => (setting.key.clone(), plain(scalar)),
    };
    // A value of several lines does not fit on a command line.
    if let Ok(value) = shlex::try_quote(&value)
        && !value.contains('\n')
    {
        text.extend(["\n  On the command line: --set ", &key, "=", &value]);
        if let Some((flag, _)) = FLAGS.iter().find(|(_, key)| *key == setting.key) {
            text.extend([", or ", flag, " ", &value]);
        }
        text.push('\n');
    }
    text
}
