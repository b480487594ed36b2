//! What is wrong with YAML, and where, in the words of what it is read as.

use super::At;
use crate::error::{Diagnostic, Place, shown, similar};

/// The words of what YAML is read as.
pub(crate) struct Words<'a> {
    /// The whole, for example `the configuration`.
    pub(crate) whole: &'a str,
    /// What a map in it is, for example `a map of settings`.
    pub(crate) map: &'a str,
    /// What to do about a second document.
    pub(crate) one: &'a str,
    /// What to do about anything that there is no better help for.
    pub(crate) help: &'a str,
}

/// What is wrong with the YAML `text` of the file `path`, and where.
pub(crate) fn diagnose(error: &serde_yaml::Error, path: &str, text: &str, words: &Words<'_>) -> Diagnostic {
    explain(error, words).at(in_file(path, text, error.location().and_then(at)))
}

/// Line and column.
pub(crate) fn at(location: serde_yaml::Location) -> Option<At> {
    Some((usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?))
}

/// What is at `at` in the file `path`, whose text is `text`.
pub(crate) fn in_file(path: &str, text: &str, at: Option<At>) -> Place {
    let position = at
        .and_then(|(line, column)| Some((line, column, text.lines().nth(line.checked_sub(1)?)?.to_owned())));
    Place::File { path: path.to_owned(), position }
}

/// What is wrong with a `[` or `{` that is not closed.
pub(crate) fn not_closed(bracket: char) -> Diagnostic {
    let end = if bracket == '[' { ']' } else { '}' };
    Diagnostic::new(format!("`{bracket}` is not closed"))
        .help(format!("add the missing `{end}`, or quote a text that begins with `{bracket}`"))
}

/// What is wrong and what to do, in the user's words rather than the parser's.
pub(crate) fn explain(error: &serde_yaml::Error, words: &Words<'_>) -> Diagnostic {
    use serde_yaml::Error as E;
    let diagnostic = Diagnostic::new(what_is_wrong(error, words));
    match error.without_snippet() {
        E::SerdeUnknownField { field, expected, .. } => diagnostic.suggest(
            similar(field, expected.iter().copied()),
            format!("the keys here are {}", expected.join(", ")),
        ),
        E::DuplicateMappingKey { .. } => diagnostic.help("keep one of the two"),
        E::MultipleDocuments { .. } => diagnostic.help(words.one),
        _ if is_missing_colon(error) => {
            diagnostic.help("a key is followed by a colon and a space: `key: value`")
        }
        _ => diagnostic.help(words.help),
    }
}

/// Whether a line stands where a key should be, and has no colon with a space after it.
fn is_missing_colon(error: &serde_yaml::Error) -> bool {
    error.without_snippet().to_string().starts_with("simple key expected ':'")
}

/// What is wrong, without where. Only of the syntax of YAML, and of types, the parser has words that say it.
pub(crate) fn what_is_wrong(error: &serde_yaml::Error, words: &Words<'_>) -> String {
    use serde_yaml::Error as E;
    match error.without_snippet() {
        E::SerdeUnknownField { field, .. } => format!("unknown key {}", shown(field)),
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(|| "a key".to_owned(), shown);
            format!("{key} is given twice")
        }
        E::MultipleDocuments { .. } => format!("{} holds more than one YAML document", words.whole),
        E::Unexpected { expected: "mapping start", .. } => {
            format!("{} is expected here: `key: value`, with a space after the colon", words.map)
        }
        E::Unexpected { expected: "string scalar", .. } => "a single value is expected here".to_owned(),
        E::NonFiniteFloat { value, .. } => format!("{} is not a finite number", shown(value)),
        E::InvalidBinaryBase64 { .. } | E::BinaryNotUtf8 { .. } => "`!!binary` is not text here".to_owned(),
        E::Budget { .. } | E::AliasReplayLimitExceeded { .. } | E::AliasExpansionLimitExceeded { .. } => {
            "the YAML is too large, or nested too deeply, or its aliases expand to too much".to_owned()
        }
        E::AliasError { error, .. } => what_is_wrong(error, words),
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias refers to a node that contains it".to_owned()
        }
        E::TaggedScalarCannotDeserializeIntoString { .. } => {
            "a tag such as `!!int` is not allowed here: leave it out".to_owned()
        }
        _ if is_missing_colon(error) => "a key without a value".to_owned(),
        other => {
            let text = other.to_string();
            let position =
                error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            position.and_then(|position| text.strip_suffix(&position)).unwrap_or(&text).to_owned()
        }
    }
}
