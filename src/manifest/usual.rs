//! The YAML that manifests are written in as a rule, read straight from the parser's events: in half the time that
//! [`yaml`](super::yaml) takes, which reads everything, and which all else is left to.

use serde_json::{Map, Value};
use serde_yaml::granit_parser::{Event, Parser, ScalarStyle, StrInput};

use crate::config::parser;

/// What [`parse_any`](super::yaml::parse_any) gives for `text`; `None` where that must be asked: for what is no YAML or
/// no maps, for anchors, tags and directives, and for a scalar that may be something else than it looks like.
pub(super) fn parse(text: &str) -> Option<Vec<Value>> {
    let mut events = Events(parser(text));
    let mut documents = Vec::new();
    loop {
        match events.next()? {
            Event::StreamStart | Event::DocumentStart(_, None) | Event::DocumentEnd => {}
            Event::StreamEnd => return Some(documents),
            event @ Event::MappingStart(..) => documents.push(events.node(event, 0)?),
            _ => return None,
        }
    }
}

/// Deeper than any manifest is.
const DEEPEST: usize = 50;

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Option<Event<'a>> {
        Some(self.0.next_event()?.ok()?.0)
    }

    /// What begins with `event`.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Option<Value> {
        match event {
            Event::Scalar(text, style, 0, None) => match style {
                ScalarStyle::Plain => plain(&text),
                _ => Some(text.into_owned().into()),
            },
            Event::SequenceStart(_, 0, None) if depth < DEEPEST => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Some(items.into()),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(_, 0, None) if depth < DEEPEST => {
                let mut map = Map::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Some(map.into()),
                        event => self.node(event, DEEPEST)?,
                    };
                    let Value::String(key) = key else { return None };
                    let event = self.next()?;
                    let value = self.node(event, depth + 1)?;
                    // The same key twice is an error, and its message is not made here.
                    if key == "<<" || map.insert(key, value).is_some() {
                        return None;
                    }
                }
            }
            _ => None,
        }
    }
}

/// A scalar without quotes, if there is no doubt of what it is: a word, a whole number, `true` or `false`.
fn plain(text: &str) -> Option<Value> {
    const SPECIAL: [&str; 9] = ["y", "yes", "true", "on", "n", "no", "false", "off", "null"];
    let digits = text.strip_prefix('-').unwrap_or(text);
    match text.bytes().next()? {
        _ if text == "true" || text == "false" => Some((text == "true").into()),
        b'a'..=b'z' | b'A'..=b'Z' => {
            let special = text.len() <= 5 && SPECIAL.iter().any(|word| word.eq_ignore_ascii_case(text));
            (!special).then(|| text.into())
        }
        b'/' | b'$' => Some(text.into()),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            // `0440` is octal in YAML 1.1.
            let octal = text.starts_with('0').then_some(8);
            let decimal = (digits == "0" || !digits.starts_with('0')).then_some(10);
            i64::from_str_radix(text, octal.or(decimal)?).ok().map(Value::from)
        }
        // `10Gi` is no number in any notation: those have hexadecimal digits, `x`, `o` and what `.inf` and `.nan` are of.
        _ if text.bytes().any(|byte| b"gjklmpqrstuvwyz".contains(&byte.to_ascii_lowercase())) => {
            Some(text.into())
        }
        // Nor is `127.0.0.1`.
        _ if text.bytes().filter(|&byte| byte == b'.').count() > 1 => Some(text.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::{fs, iter};

    use proptest::prelude::*;

    use super::*;
    use crate::manifest::yaml::parse_any;

    /// What is read here is what the reader of everything reads.
    fn agrees(text: &str) -> bool {
        parse(text).is_none_or(|documents| parse_any(text).is_ok_and(|other| other == documents))
    }

    /// The texts of all files below `path`.
    fn texts(path: &Path) -> Vec<String> {
        if !path.is_dir() {
            return fs::read_to_string(path).into_iter().collect();
        }
        fs::read_dir(path).unwrap().flat_map(|entry| texts(&entry.unwrap().path())).collect()
    }

    #[test]
    fn all_that_pgk_writes_is_read_here() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let all = texts(&root.join("tp8"));
        let manifests: Vec<_> = all.iter().filter(|text| text.contains("apiVersion: ")).collect();
        assert!(manifests.len() > 50);
        for text in manifests {
            assert_eq!(parse(text), parse_any(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_others_write_is_read_as_ever() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = ["tests", "examples", "fuzz/seeds"];
        for text in folders.iter().flat_map(|folder| texts(&root.join(folder))) {
            assert!(agrees(&text), "{text}");
        }
    }

    #[test]
    fn what_may_be_something_else_is_left_alone() {
        for (text, here) in [
            ("a: b\n---\nc: {d: [1, -2, 0, 017]}\n", true),
            ("a: true\n# no\nb: 'on'\nc: |\n  017\n", true),
            ("a: 10Gi\nb: 250m\nc: 5s\nd: /pgdata\nf: 127.0.0.1\ne: $(HOME)\n", true),
            ("a: on\n", false),
            ("a: NULL\n", false),
            ("a: True\n", false),
            ("a:\n", false),
            ("a: 089\n", false),
            ("a: -017\n", false),
            ("a: 1.5\n", false),
            ("a: 0o17\n", false),
            ("a: 1_000\n", false),
            ("a: -\n", false),
            ("a: 18446744073709551615\n", false),
            ("a: b\na: c\n", false),
            ("on: b\n", false),
            ("1: b\n", false),
            ("[a]: b\n", false),
            ("a: &b c\nd: *b\n", false),
            ("a: !!str c\n", false),
            ("a: {b: c}\n<<: {d: e}\n", false),
            ("- a\n", false),
            ("a\n", false),
            ("%YAML 1.1\n---\na: b\n", false),
            ("a: b\n c\n- d\n", false),
        ] {
            assert_eq!(parse(text).is_some(), here, "{text}");
            assert!(agrees(text), "{text}");
        }
        let deep: String = iter::repeat_n("{a: ", 60).chain(iter::repeat_n("}", 60)).collect();
        assert_eq!(parse(&deep), None);
    }

    proptest! {
        #[test]
        fn any_scalar_is_read_as_ever(scalar in r"(\PC{0,8}|[-+~.]?[0-9a-fA-FxXoOeEiInN_.:]{0,8}|[a-zA-Z]{0,6})") {
            for text in [format!("a: {scalar}\n"), format!("{scalar}: a\n"), format!("a:\n- {scalar}\n  b\n")] {
                prop_assert!(agrees(&text), "{}", text);
            }
        }
    }
}
