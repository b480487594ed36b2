//! Rendered text, in which the files without values stand once in a process, however often they are rendered.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use super::{escape, templates};

/// How deep a `ConfigMap`'s files are indented under its `data`.
const FILE_INDENT: usize = 4;

/// What begins and ends the mark that a template leaves where a [`Fixed`] file goes. No kind of file can have it from
/// a value (see [`escape`]).
const MARK: char = '\0';

/// A text that was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Filled(String),
    Fixed(&'static Fixed),
}

impl Text {
    /// What a template gave.
    pub(super) fn of_template(rendered: String) -> Self {
        if !rendered.contains(MARK) {
            return rendered.into();
        }
        let parts = rendered.split(MARK).enumerate().map(|(number, part)| match Fixed::named(part) {
            Some(fixed) if number % 2 == 1 => Part::Fixed(fixed),
            _ => Part::Filled(part.to_owned()),
        });
        Self(parts.collect())
    }

    /// The whole text, in parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| match part {
            Part::Filled(text) => text.as_str(),
            Part::Fixed(fixed) => fixed.block(),
        })
    }

    /// The text with the name of each file without values in its place. In a manifest that is a string, as the file
    /// would be: what is true of the one, but for its length, is true of the other.
    pub fn outline(&self) -> Cow<'_, str> {
        if let [Part::Filled(text)] = self.0.as_slice() {
            return text.into();
        }
        let parts = self.0.iter().map(|part| match part {
            Part::Filled(text) => text.as_str(),
            Part::Fixed(fixed) => fixed.name,
        });
        parts.collect()
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self(vec![Part::Filled(text.into())])
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().try_for_each(|part| f.write_str(part))
    }
}

/// A file without values: its template is its text, the same in every instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    name: &'static str,
    pub(super) text: &'static str,
    block: OnceLock<String>,
}

impl Fixed {
    /// The file `name`, if there is no value in it.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        static ALL: [OnceLock<Option<Fixed>>; templates::ALL.len()] =
            [const { OnceLock::new() }; templates::ALL.len()];
        let at = templates::position(name)?;
        let (name, text) = templates::ALL.get(at)?;
        let is_fixed = || !["{{", "{%", super::COMMENT].iter().any(|tag| text.contains(tag));
        let fixed = || is_fixed().then(|| Self { name, text, block: OnceLock::new() });
        ALL.get(at)?.get_or_init(fixed).as_ref()
    }

    /// What a template leaves where it goes.
    pub(super) fn mark(&self) -> String {
        format!("{MARK}{}{MARK}", self.name)
    }

    /// The file as a value in a `ConfigMap`.
    fn block(&self) -> &str {
        self.block.get_or_init(|| block(self.text))
    }
}

/// A file as a value in a `ConfigMap`.
pub(super) fn block(text: &str) -> String {
    escape::yaml_block(text, FILE_INDENT)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What is true of an outline is true of the text: both are strings, and this is the one that is meant.
    #[test]
    fn a_file_is_read_as_it_is() {
        let fixed: Vec<_> = templates::ALL.iter().filter_map(|(name, _)| Fixed::named(name)).collect();
        assert!(fixed.len() > 30);
        for file in fixed {
            let text = Text::of_template(format!("data:\n  a: {}\n  b: c\n", file.mark()));
            let read = |text: &str| -> Value { serde_yaml::from_str(text).unwrap() };
            assert_eq!(read(&text.to_string()), serde_json::json!({"data": {"a": file.text, "b": "c"}}));
            assert_eq!(read(&text.outline()), serde_json::json!({"data": {"a": file.name, "b": "c"}}));
        }
    }

    #[test]
    fn a_mark_is_one_where_a_template_left_it() {
        assert_eq!(Text::from("\0q2/tend.py\0").to_string(), "\0q2/tend.py\0");
        assert_eq!(Text::of_template("a \0b\0".to_owned()).to_string(), "a b");
        for kind in ["a.yaml", "a.sh", "a.sql", "a.conf", "a/pg_hba.conf", "a.md", "Containerfile", "a.txt"] {
            let kind = escape::Kind::of(kind).unwrap();
            assert!(kind.escape("\0q2/tend.py\0").is_none_or(|text| !text.contains(MARK)));
        }
    }
}
