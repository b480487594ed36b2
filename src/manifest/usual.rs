//! The YAML that manifests are written in as a rule, in a fraction of the time that [`yaml`](super::yaml) takes, which
//! reads everything: block maps and lists, a scalar on its line or a literal block. Whatever else there is, and whatever
//! may be something else than it looks like, is left to that: nothing is refused here, and nothing may be read
//! otherwise than there, which the tests and the fuzz target `check` hold.

use memchr::arch::all::memchr::One;
use serde_json::{Map, Value};

use crate::render::literal::is_literal;

/// What [`parse_any`](super::yaml::parse_any) gives for `text`; `None` where that must be asked.
pub(super) fn parse(text: &str) -> Option<Vec<Value>> {
    if !text.ends_with('\n') || !is_literal(text) {
        return None;
    }
    let mut reader = Reader { line: None, rest: text };
    reader.advance()?;
    let mut documents = Vec::new();
    while let Some(line) = reader.line {
        if line == BOUNDARY {
            reader.advance()?;
        } else if !documents.is_empty() {
            return None;
        }
        documents.push(reader.map(0, 0)?);
    }
    Some(documents)
}

/// Deeper than any manifest is.
const DEEPEST: usize = 50;

/// Longer than any key is.
const LONGEST: usize = 256;

/// A line: how far it is indented, and what stands in it.
type Line<'a> = (usize, &'a str);

/// What stands between documents.
const BOUNDARY: Line<'_> = (0, "---");

struct Reader<'a> {
    /// The line that is read next, or what is left of it; `None` at the end.
    line: Option<Line<'a>>,
    /// What stands after it.
    rest: &'a str,
}

impl Reader<'_> {
    /// Goes on to the next line that is no comment.
    fn advance(&mut self) -> Option<()> {
        self.line = loop {
            let Some((line, rest)) = first_line(self.rest) else { break None };
            self.rest = rest;
            let (indent, line) = indented(line);
            if !line.is_empty() && !line.starts_with('#') {
                break Some((indent, line));
            }
        };
        self.line.is_none_or(|(_, line)| !has_tab(line) && !line.ends_with(' ')).then_some(())
    }

    /// The map or list that is indented so far.
    fn node(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let is_list = self.line.filter(|_| depth < DEEPEST)?.1.starts_with("- ");
        if is_list { self.list(indent, depth) } else { self.map(indent, depth) }
    }

    fn map(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        while let Some(line) = self.line.filter(|line| line.0 >= indent && *line != BOUNDARY) {
            let (key, value) = entry(line.1).filter(|_| line.0 == indent)?;
            let value = self.value(value, indent, depth)?;
            // The same key twice is an error, and its message is not made here.
            if map.insert(key, value).is_some() {
                return None;
            }
        }
        (!map.is_empty()).then(|| map.into())
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        while let Some((own, line)) = self.line.filter(|line| line.0 >= indent) {
            let Some(item) = line.strip_prefix("- ").filter(|_| own == indent) else { break };
            let (gap, item) = indented(item);
            items.push(if item.starts_with("- ") || entry(item).is_some() {
                let own = indent + "- ".len() + gap;
                self.line = Some((own, item));
                self.node(own, depth + 1)?
            } else if item.is_empty() {
                return None;
            } else {
                self.value(item, indent, depth)?
            });
        }
        Some(items.into())
    }

    /// The value whose first line ends in `text`, of a map or list that is indented so far.
    fn value(&mut self, text: &str, indent: usize, depth: usize) -> Option<Value> {
        if let "|" | "|-" = text {
            return self.block(indent, text == "|");
        }
        self.advance()?;
        if !text.is_empty() {
            return scalar(text);
        }
        let (own, line) = self.line?;
        // A list may stand as far to the left as the key that it is the value of.
        let is_below = own > indent || (own == indent && line.starts_with("- "));
        is_below.then(|| self.node(own, depth + 1))?
    }

    /// A literal block; whether the end of its last line belongs to it.
    fn block(&mut self, indent: usize, ends: bool) -> Option<Value> {
        let (own, first) = indented(first_line(self.rest)?.0);
        if own <= indent || first.is_empty() || first.starts_with('\t') {
            return None;
        }
        let mut block = String::new();
        while let Some((line, rest)) = first_line(self.rest) {
            let (before, text) = indented(line);
            if before < own && !text.is_empty() {
                break;
            }
            self.rest = rest;
            block.push_str(line.get(own..).unwrap_or_default());
            block.push('\n');
        }
        block.truncate(block.trim_end_matches('\n').len() + usize::from(ends));
        self.advance()?;
        Some(block.into())
    }
}

/// How far a line is indented, and what stands in it.
fn indented(line: &str) -> Line<'_> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len(), text)
}

/// What stands before the first line end, and after it: `split_once`, several times as fast. (The processor is not
/// asked for a faster way yet: on a virtual machine, that takes longer than all lines of a manifest.)
fn first_line(text: &str) -> Option<(&str, &str)> {
    let end = One::new(b'\n').find(text.as_bytes())?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn has_tab(line: &str) -> bool {
    One::new(b'\t').find(line.as_bytes()).is_some()
}

/// A key without quotes, and what stands after it.
fn entry(line: &str) -> Option<(String, &str)> {
    let is_of_key = |b: &u8| b.is_ascii_alphanumeric() || b"._/-".contains(b);
    let end = line.bytes().take(LONGEST).position(|b| !is_of_key(&b))?;
    let (key, rest) = line.split_at_checked(end)?;
    let rest = rest.strip_prefix(':').filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
    match plain(key).filter(|_| key.starts_with(|c: char| c.is_ascii_alphanumeric()))? {
        Value::String(key) => Some((key, indented(rest).1)),
        _ => None,
    }
}

/// A scalar on its line, or an empty map or list.
fn scalar(text: &str) -> Option<Value> {
    let between =
        |quote: char| text.strip_prefix(quote)?.strip_suffix(quote).filter(|text| !text.contains(quote));
    match text.as_bytes() {
        b"{}" => Some(Map::new().into()),
        b"[]" => Some(Value::Array(Vec::new())),
        [b'"', ..] => between('"').filter(|text| !text.contains('\\')).map(Value::from),
        [b'\'', ..] => between('\'').map(Value::from),
        [b'-', b' ', ..] => None,
        [first, ..] if first.is_ascii_alphanumeric() || b"$-./".contains(first) => {
            let is_more = text.contains(": ") || text.contains(" #") || text.ends_with(':');
            (!is_more).then(|| plain(text))?
        }
        _ => None,
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
            ("---\na: b\n---\nc:\n- 1\n- -2\n- d: 0\n  e:\n  - 017\n", true),
            ("a: true\n  # no\n\nb: 'on'\n\nc: |\n  017\n\n    # one\n\n", true),
            ("a: |-\n   b\n   \n\n     \n   c\n  # no\nd:\n  - |\n    e\n  - - f\n    -   g: h\n", true),
            ("a: {}\nb: []\nc: \"\"\nd: \"on\"\n", true),
            ("a: {b: c}\n", false),
            ("a: [b]\n", false),
            ("a: \"\\n\"\n", false),
            ("a: 'it''s'\n", false),
            ("a: b # c\n", false),
            ("a: b ", false),
            ("a: b", false),
            ("a: >\n  b\n", false),
            ("a: |+\n  b\n", false),
            ("a: |2\n  b\n", false),
            ("a: |\n\n  b\n", false),
            ("a: |\nb: c\n", false),
            ("a: b\n  c\n", false),
            ("a:\n  b\n", false),
            ("a:\n    b: c\n  d: e\n", false),
            ("a:\n- b\n  - c\n", false),
            ("a: - b\n", false),
            ("a:\n-\n", false),
            ("a:\tb\n", false),
            ("a: b\n...\n", false),
            ("a: b\n---\n", false),
            ("a: b\u{85}c\n", false),
            ("a: \u{feff}b\n", false),
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
        let deep = |depth, start| format!("a:\n  {}a: b\n", iter::repeat_n(start, depth).collect::<String>());
        assert!(agrees(&deep(40, "- ")) && parse(&deep(40, "- ")).is_some());
        assert_eq!(parse(&deep(60, "- ")), None);
    }

    /// Lines, of which the first are usual ones; K is another key in each.
    const LINES: [&str; 48] = [
        "K:",
        "K:",
        "K: b",
        "K: 'c'",
        "K: |",
        "K: |-",
        "- d",
        "- K:",
        "- K: e",
        "- |",
        "f",
        "#g",
        "",
        "K: \"h\"",
        "K: {}",
        "K: []",
        "K: |+",
        "K: >",
        "K: |2",
        "K: - i",
        "K: j: k",
        "K: l # m",
        "K: # n",
        "K :",
        "- - o",
        "- - K: p",
        "- |-",
        "-",
        "- ",
        "- 'q'",
        "- \"r",
        "- {}",
        "- -s: t",
        "# u: v",
        " ",
        "w x",
        "---",
        "--- y",
        "...",
        "K: *z",
        "K: &a b",
        "K: !c d",
        "? e",
        ": f",
        "\t",
        "K:\tg",
        "\"h\": i",
        "%YAML 1.2",
    ];

    fn lines() -> impl Strategy<Value = String> {
        let indent = prop_oneof![4 => (0_usize..3).prop_map(|indent| 2 * indent), 1 => 0_usize..6];
        let line = prop_oneof![8 => 0_usize..13, 1 => 0..LINES.len()];
        prop::collection::vec((indent, line), 1..8).prop_map(|lines| {
            let line = |(number, (indent, line)): (usize, (usize, usize))| {
                format!("{}{}\n", " ".repeat(indent), LINES[line].replace('K', &format!("k{number}")))
            };
            lines.into_iter().enumerate().map(line).collect()
        })
    }

    proptest! {
        #[test]
        fn any_lines_are_read_as_ever(lines in lines()) {
            for text in [format!("a:\n{lines}"), lines] {
                prop_assert!(agrees(&text), "{}", text);
            }
        }

        #[test]
        fn a_changed_manifest_is_read_as_ever(at in any::<prop::sample::Index>(), with in "(|\n|  ?|[-#:|'\"]| - | #|: |\\PC)", of in 0_usize..3) {
            let text = include_str!("good.yaml");
            let at = (0..at.index(text.len())).rfind(|at| text.is_char_boundary(*at)).unwrap_or_default();
            let (before, after) = text.split_at(at);
            let after: String = after.chars().skip(of).collect();
            prop_assert!(agrees(&format!("{before}{with}{after}")), "{before}{with}{after}");
        }

        #[test]
        fn any_scalar_is_read_as_ever(scalar in r"(\PC{0,8}|[-+~.]?[0-9a-fA-FxXoOeEiInN_.:]{0,8}|[a-zA-Z]{0,6})") {
            for text in [format!("a: {scalar}\n"), format!("{scalar}: a\n"), format!("a:\n- {scalar}\n  b\n")] {
                prop_assert!(agrees(&text), "{}", text);
            }
        }
    }
}
