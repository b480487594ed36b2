//! `pgk explain` and `pgk schema`: what can be set.

use serde_json::Value as Json;

use crate::cli::{Explain, FLAGS};
use crate::config::KEYS;
use crate::config::settings::{self, Setting, inline, plain, wrapped};
use crate::error::{Diagnostic, Place};

/// How wide the text is, in characters, and the names in it.
const WIDTH: usize = 100;
const NAMES: usize = 10;

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
        return super::print(&list(settings::all().iter()));
    };
    let known = |setting: &&Setting| setting.key == *key || setting.key == "postgres.parameters";
    let Some(setting) = settings::find(key).filter(known) else {
        return Err(Diagnostic::new("there is no such setting")
            .at(Place::argument("pgk explain", key, 0))
            .suggest(settings::meant(key), KEYS)
            .into());
    };
    super::print(&text(setting))
}

/// A line on each setting: its key, its default, and what it is about.
fn list<'a>(of: impl Iterator<Item = &'a Setting>) -> String {
    const LONGEST: usize = 24;
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
    lines.iter().fold(String::new(), |text, (key, default, meaning)| {
        text + &format!("{key:keys$}  {default:defaults$}  {meaning}\n")
    })
}

/// All about a setting, or about a section and what is in it.
fn text(setting: &Setting) -> String {
    let mut text = format!("{}\n\n", setting.key);
    for line in wrapped(&setting.meaning, WIDTH - 2) {
        text.extend(["  ", &line, "\n"]);
    }
    text.push('\n');
    let words = setting.words();
    let longest = words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
    for (index, (word, meaning)) in words.iter().enumerate() {
        let name = if index == 0 { "values" } else { "" };
        let line = format!("  {name:NAMES$}{word:longest$}  {}", meaning.unwrap_or_default());
        text.extend([line.trim_end(), "\n"]);
    }
    let mut say = |name: &str, what: &str| {
        for (index, line) in wrapped(what, WIDTH - 2 - NAMES).iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            text.extend([&format!("  {name:NAMES$}"), line, "\n"]);
        }
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
    say("for", &settings::names(&setting.scenarios));
    if let Some(becomes) = setting.becomes() {
        say("becomes", becomes);
    }
    if setting.section {
        let within = settings::all().iter().filter(|it| it.key.starts_with(&format!("{}.", setting.key)));
        return format!("{text}\n{}", list(within));
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
        Json::Array(items) => (setting.key.clone(), items.iter().map(inline).collect::<Vec<_>>().join(",")),
        Json::Object(map) => match map.iter().next() {
            Some((name, value)) => (format!("{}.{name}", setting.key), inline(value)),
            None => return text,
        },
        scalar => (setting.key.clone(), plain(scalar)),
    };
    // A file of several lines is none for a command line.
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
