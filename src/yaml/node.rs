//! Settings as they are written in YAML, and where.

use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

/// Where something stands: line and column, both from 1.
pub(crate) type At = (usize, usize);

/// Something written, and where.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: At,
    pub(crate) value: Value,
}

/// What is written.
#[derive(Debug)]
pub(crate) enum Value {
    /// Nothing, or what is not looked into: an alias, and what is nested deeper than settings ever are.
    Nothing,
    /// A scalar, as it stands there.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Entries in their order; a key may be there more than once.
    Map(Vec<(Key, Node)>),
}

/// A key, and where.
pub(crate) type Key = (String, At);

/// Deeper than any setting is.
const DEEPEST: usize = 12;

impl Node {
    /// The text `text`, which stands at `at`.
    pub(crate) fn text(text: &str, at: At) -> Self {
        Self { at, value: Value::Text(text.to_owned()) }
    }

    /// The same below these keys.
    pub(crate) fn below(self, keys: &[Key]) -> Self {
        keys.iter().rfold(self, |node, key| Self { at: key.1, value: Value::Map(vec![(key.clone(), node)]) })
    }

    /// The first document of the YAML `text`; `None` if there is nothing in it.
    pub(crate) fn of_document(text: &str) -> Option<Self> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        let mut events = Events(Parser::new_from_str_with_options(text, options));
        loop {
            match events.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (event, at) => return events.node(event, at, 0),
            }
        }
    }
}

/// The `[` or `{` that is never closed, and where it is; `None` where the text is YAML, or something else is wrong.
pub(crate) fn unclosed(text: &str) -> Option<(char, At)> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // Brackets are matched at any depth of nesting.
    options.flow_nesting_limit = usize::MAX;
    options.block_nesting_limit = usize::MAX;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut open = Vec::new();
    loop {
        match parser.next_event()? {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), span)) => {
                open.push((span.start.line(), span.start.col()));
            }
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => {
                open.pop();
            }
            Ok((Event::StreamEnd, _)) => return None,
            Ok(_) => {}
            Err(_) => break,
        }
    }
    // A block list or map has no bracket.
    open.into_iter().rev().find_map(|(line, column)| {
        let bracket = text.lines().nth(line.checked_sub(1)?)?.chars().nth(column)?;
        matches!(bracket, '[' | '{').then_some((bracket, (line, column + 1)))
    })
}

/// What a YAML parser says, one after the other.
struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    /// The next event, and where; `None` at the end, and where the text is no YAML.
    fn next(&mut self) -> Option<(Event<'a>, At)> {
        let (event, span) = self.0.next_event()?.ok()?;
        Some((event, (span.start.line(), span.start.col() + 1)))
    }

    /// What begins with `event`; `None` where the text is no YAML.
    fn node(&mut self, event: Event<'a>, at: At, depth: usize) -> Option<Node> {
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Nothing
            }
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if depth == DEEPEST => {
                self.skip()?;
                Value::Nothing
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Event::MappingEnd, _) => break Value::Map(entries),
                        (event, at) => self.node(event, at, depth + 1)?,
                    };
                    let (event, at) = self.next()?;
                    let node = self.node(event, at, depth + 1)?;
                    // The second reader handles merge keys, and keys that are not scalars.
                    if let Value::Text(text) = key.value
                        && text != "<<"
                    {
                        entries.push(((text, key.at), node));
                    }
                }
            }
            _ => Value::Nothing,
        };
        Some(Node { at, value })
    }

    /// Goes to the end of the list or map that has begun.
    fn skip(&mut self) -> Option<()> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next()?.0 {
                Event::SequenceStart(..) | Event::MappingStart(..) => open += 1,
                Event::SequenceEnd | Event::MappingEnd => open -= 1,
                _ => {}
            }
        }
        Some(())
    }
}
