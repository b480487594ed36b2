//! How a value is written so that it stays one value, for each kind of file that pgk renders.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use serde_json::Value as Json;

/// The kinds of file that a template can be, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Kubernetes manifest.
    Yaml,
    /// A shell script.
    Shell,
    /// A script for `psql`.
    Sql,
    /// `postgresql.conf`.
    Conf,
    /// `pg_hba.conf`.
    Hba,
    /// A README. Values stand in shell commands there, and are quoted as in a script.
    Markdown,
    /// A Containerfile, where a value is a word that nothing would quote.
    Containerfile,
    /// pgBackRest's configuration, where a value is the rest of its line, as it is.
    Backrest,
    /// Plain text, such as certificates: a value is some lines of it.
    Text,
}

impl Kind {
    /// The kind of the template `name`; `None` where pgk knows no way to escape values.
    pub fn of(name: &str) -> Option<Self> {
        if name.ends_with("pg_hba.conf") {
            return Some(Self::Hba);
        }
        if name.ends_with("Containerfile") {
            return Some(Self::Containerfile);
        }
        if name.ends_with("Kustomization") {
            return Some(Self::Yaml);
        }
        match name.rsplit_once('.')?.1 {
            "conf" if name.contains("/pgbackrest") => Some(Self::Backrest),
            "yaml" => Some(Self::Yaml),
            "sh" => Some(Self::Shell),
            "sql" => Some(Self::Sql),
            "conf" => Some(Self::Conf),
            "md" => Some(Self::Markdown),
            "crt" | "txt" => Some(Self::Text),
            _ => None,
        }
    }

    /// Its name, as minijinja carries it through a template.
    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Shell => "sh",
            Self::Sql => "sql",
            Self::Conf => "conf",
            Self::Hba => "hba",
            Self::Markdown => "md",
            Self::Containerfile => "containerfile",
            Self::Backrest => "backrest",
            Self::Text => "txt",
        }
    }

    /// The kind with this [`Kind::name`].
    pub fn named(name: &str) -> Option<Self> {
        [
            Self::Yaml,
            Self::Shell,
            Self::Sql,
            Self::Conf,
            Self::Hba,
            Self::Markdown,
            Self::Containerfile,
            Self::Backrest,
            Self::Text,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }

    /// `text` as one value of this kind of file; `None` where it cannot hold it (a NUL outside YAML, say).
    pub fn escape(self, text: &str) -> Option<Cow<'_, str>> {
        if self != Self::Yaml && text.contains('\0') {
            return None;
        }
        let as_it_is = |fits: bool| fits.then(|| text.into());
        match self {
            Self::Yaml => Some(yaml(text)),
            Self::Shell | Self::Markdown => shlex::try_quote(text).ok(),
            Self::Sql => Some(sql_literal(text).into()),
            Self::Conf => Some(conf(text).into()),
            Self::Hba => hba(text).map(Into::into),
            Self::Containerfile => {
                as_it_is(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b)))
            }
            Self::Backrest => {
                as_it_is(!text.is_empty() && text.trim() == text && !text.contains(char::is_control))
            }
            Self::Text => as_it_is(text.chars().all(|c| c == '\n' || !c.is_control())),
        }
    }
}

/// A YAML scalar: plain where every YAML reader takes it as that string, in double quotes otherwise.
pub fn yaml(text: &str) -> Cow<'_, str> {
    if is_plain_yaml(text) { text.into() } else { yaml_quoted(text).into() }
}

/// Whether YAML 1.1 and 1.2 both read `text`, unquoted, as the string it is.
///
/// Starting with a letter or `/` it can be no number, no date and no indicator; what is left are the words
/// that YAML 1.1 takes for booleans and null, and `: ` and ` #`, which these characters exclude.
fn is_plain_yaml(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        && !text.ends_with(':')
        && text.len() <= 200
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// JSON's escapes are YAML's too; what JSON leaves as it is and YAML may not hold is escaped on top.
fn yaml_quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut quoted = String::with_capacity(text.len() + 2);
    for c in Json::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted
}

/// A literal block scalar (`|`), its lines indented by `indent` spaces; in double quotes where a block
/// cannot hold the text as it is.
pub fn yaml_block(text: &str, indent: usize) -> String {
    if text.is_empty() || text.starts_with([' ', '\t', '\n']) || !is_literal(text) {
        return yaml_quoted(text);
    }
    // `|-`, `|` and `|+` keep no, one and all line ends at the end of the text.
    let (mark, body) = match text.strip_suffix('\n') {
        None => ("|-", text),
        Some(body) if body.ends_with('\n') => ("|+", body),
        Some(body) => ("|", body),
    };
    let pad = " ".repeat(indent);
    let mut block = String::with_capacity(text.len() + text.len() / 8 + 64);
    block.push_str(mark);
    for line in body.split('\n') {
        block.extend(["\n", if line.is_empty() { "" } else { &pad }, line]);
    }
    block
}

/// Whether each character may stand in YAML as it is, and none but `\n` ends a line.
fn is_literal(text: &str) -> bool {
    text.chars()
        .all(|c| matches!(c, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7fe}'))
}

/// A map or list as block YAML on lines of their own, indented by `indent` spaces.
///
/// # Errors
/// It can be neither looked into nor printed: it is no value of a configuration.
pub fn yaml_tree(tree: &Value, indent: usize) -> Result<String, Error> {
    // As long as the labels of an object.
    let mut text = String::with_capacity(200);
    write_tree(tree, indent, &mut text)?;
    Ok(text)
}

fn write_tree(tree: &Value, indent: usize, text: &mut String) -> Result<(), Error> {
    let pad = " ".repeat(indent);
    match tree.kind() {
        ValueKind::Map if is_branch(tree) => {
            for key in tree.try_iter()? {
                let value = tree.get_item(&key)?;
                // A setting that is not made.
                if value.is_none() {
                    continue;
                }
                let gap = if is_branch(&value) { "" } else { " " };
                text.extend(["\n", &pad, &yaml(key.as_str().ok_or(ErrorKind::BadEscape)?), ":", gap]);
                write_tree(&value, indent + 2, text)?;
            }
        }
        ValueKind::Seq if is_branch(tree) => {
            for value in tree.try_iter()? {
                let item = yaml_tree(&value, indent + 2)?;
                text.extend(["\n", &pad, "- ", item.trim_start()]);
            }
        }
        ValueKind::String => text.push_str(&yaml(tree.as_str().unwrap_or_default())),
        ValueKind::Bool => text.push_str(if tree.is_true() { "true" } else { "false" }),
        ValueKind::Number | ValueKind::Map | ValueKind::Seq => text.push_str(&tree.to_string()),
        kind => return Err(Error::new(ErrorKind::BadEscape, format!("no way to print a {kind} in a tree"))),
    }
    Ok(())
}

/// Whether it goes on lines of its own.
fn is_branch(value: &Value) -> bool {
    value.len().is_some_and(|len| len > 0) && matches!(value.kind(), ValueKind::Map | ValueKind::Seq)
}

/// An SQL string constant, for a server with `standard_conforming_strings` (the default since 9.1).
/// psql replaces no variables inside it.
pub fn sql_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An SQL identifier.
pub fn sql_identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A value in `postgresql.conf`, whose quoted strings know backslash escapes and no line ends.
fn conf(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("''"),
            '\\' => quoted.push_str(r"\\"),
            '\n' => quoted.push_str(r"\n"),
            '\r' => quoted.push_str(r"\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A field of `pg_hba.conf`: quoted, so that `all`, `sameuser` or a leading `+`, `/` or `@` mean nothing
/// special. The file's format has no way to write a line end.
fn hba(text: &str) -> Option<String> {
    (!text.contains(['\n', '\r'])).then(|| sql_identifier(text))
}

#[cfg(test)]
mod tests {
    use minijinja::value::Serde;

    use super::*;

    #[test]
    fn words_of_yaml_1_1_are_quoted() {
        for word in [
            "on",
            "Off",
            "YES",
            "n",
            "null",
            "true",
            "17",
            "1e3",
            "0x1f",
            "12:30",
            "2001-01-01",
            "",
            "~",
            "a:",
            "- a",
            "<<",
        ] {
            assert!(yaml(word).starts_with('"'), "{word}");
        }
        for word in ["pg-rw", "docker.io/library/postgres:17", "app.kubernetes.io/name", "one"] {
            assert_eq!(yaml(word), word);
        }
    }

    #[test]
    fn blocks_keep_line_ends() {
        assert_eq!(yaml_block("a\n", 4), "|\n    a");
        assert_eq!(yaml_block("a", 4), "|-\n    a");
        assert_eq!(yaml_block("a\n\n b\n", 2), "|\n  a\n\n   b");
        assert_eq!(yaml_block(" a\n", 2), "\" a\\n\"");
    }

    #[test]
    fn trees_are_blocks() {
        let tree = serde_json::json!({"a": {"b": "on"}, "c": ["x", {"d": 1, "e": {}}, [], true]});
        let text = yaml_tree(&Value::from(Serde(tree)), 2).unwrap();
        assert_eq!(
            text,
            "\n  a:\n    b: \"on\"\n  c:\n    - x\n    - d: 1\n      e: {}\n    - []\n    - true"
        );
        assert!(yaml_tree(&Value::from(()), 2).is_err());
    }

    #[test]
    fn quotes_of_each_kind() {
        let text = "it's \"$(x)\" \\";
        assert_eq!(Kind::Sql.escape(text).unwrap(), r#"'it''s "$(x)" \'"#);
        assert_eq!(Kind::Conf.escape("a'b\\\n").unwrap(), r"'a''b\\\n'");
        assert_eq!(Kind::Hba.escape("a\"b").unwrap(), r#""a""b""#);
        assert_eq!(Kind::Hba.escape("a\nb"), None);
        assert_eq!(Kind::Shell.escape("a\0"), None);
    }
}
