//! Rendered text, in which the files without values stand once in a process, however often they are rendered.

use std::borrow::Cow;
use std::fmt;

use super::templates::{self, Fixed};

/// What begins and ends the mark that a template leaves where a file without values goes. No kind of file can have it
/// from a value (see [`escape`](super::escape)).
const MARK: char = '\0';

/// What a template leaves where `file` goes.
pub(super) fn mark(file: &Fixed) -> String {
    format!("{MARK}{}{MARK}", file.name)
}

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
        let parts = rendered.split(MARK).enumerate().map(|(number, part)| match templates::fixed(part) {
            Some(fixed) if number % 2 == 1 => Part::Fixed(fixed),
            _ => Part::Filled(part.to_owned()),
        });
        Self(parts.collect())
    }

    /// The whole text, in parts.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| match part {
            Part::Filled(text) => text.as_str(),
            Part::Fixed(fixed) => fixed.block,
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

#[cfg(test)]
mod tests {
    use super::super::escape::Kind;
    use super::*;

    /// What is true of an outline is true of the text: both are strings, and this is the one that is meant.
    #[test]
    fn a_file_stands_where_its_mark_was() {
        let file = templates::fixed("q2/tend.py").unwrap();
        let text = Text::of_template(format!("data:\n  a: {}\n  b: c\n", mark(file)));
        let block = file.block;
        assert_eq!(text.to_string(), format!("data:\n  a: {block}\n  b: c\n"));
        assert_eq!(text.outline(), "data:\n  a: q2/tend.py\n  b: c\n");
    }

    #[test]
    fn a_mark_is_one_where_a_template_left_it() {
        assert_eq!(Text::from("\0q2/tend.py\0").to_string(), "\0q2/tend.py\0");
        assert_eq!(Text::of_template("a \0b\0".to_owned()).to_string(), "a b");
        for kind in ["a.yaml", "a.sh", "a.sql", "a.conf", "a/pg_hba.conf", "a.md", "Containerfile", "a.txt"] {
            let kind = Kind::of(kind).unwrap();
            assert!(kind.escape("\0q2/tend.py\0").is_none_or(|text| !text.contains(MARK)));
        }
    }
}
