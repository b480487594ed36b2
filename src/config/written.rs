//! Settings as they are written, one by one: how all that is wrong with a file or an argument is found, while a
//! reader of the whole stops at the first.

use serde_json::Value as Json;
use serde_yaml::granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

use super::layer::Layer;
use super::parse;

/// Where something stands: line and column, both from 1.
pub(crate) type At = (usize, usize);

/// Something written, and where.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// What is written.
#[derive(Debug)]
pub(super) enum Value {
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
pub(super) type Key = (String, At);

/// Deeper than any setting is.
const DEEPEST: usize = 12;

impl Node {
    /// The text `text`, which stands at `at`.
    pub(super) fn text(text: &str, at: At) -> Self {
        Self { at, value: Value::Text(text.to_owned()) }
    }

    /// The same below these keys.
    pub(super) fn below(self, keys: &[Key]) -> Self {
        keys.iter().rfold(self, |node, key| Self { at: key.1, value: Value::Map(vec![(key.clone(), node)]) })
    }

    /// The first document of the YAML `text`; `None` if there is nothing in it.
    pub(super) fn of_document(text: &str) -> Option<Self> {
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

    /// Writes it as JSON, in which each line holds one thing; `places` tells of each line where that thing is.
    fn write(&self, json: &mut String, places: &mut Vec<At>) {
        let begin = |json: &mut String, index: usize, places: &mut Vec<At>, at: At| {
            json.push_str(if index == 0 { "\n" } else { ",\n" });
            places.push(at);
        };
        match &self.value {
            Value::Nothing => json.push_str("null"),
            Value::Text(text) => json.push_str(&Json::from(text.as_str()).to_string()),
            Value::List(items) => {
                json.push('[');
                for (index, item) in items.iter().enumerate() {
                    begin(json, index, places, item.at);
                    item.write(json, places);
                }
                json.push(']');
            }
            Value::Map(entries) => {
                json.push('{');
                for (index, ((key, at), node)) in entries.iter().enumerate() {
                    begin(json, index, places, *at);
                    json.push_str(&Json::from(key.as_str()).to_string());
                    json.push(':');
                    begin(json, 0, places, node.at);
                    node.write(json, places);
                }
                json.push('}');
            }
        }
    }
}

/// Reads what is written as a layer; JSON is YAML, so that there is one reader and one set of messages.
///
/// # Errors
/// What is wrong, and where that is.
pub(super) fn read(node: &Node) -> Result<Layer, Box<(serde_yaml::Error, At)>> {
    let (mut json, mut places) = (String::new(), vec![node.at]);
    node.write(&mut json, &mut places);
    parse(&json).map_err(|error| {
        let line = error.location().and_then(|at| usize::try_from(at.line()).ok()?.checked_sub(1));
        let place = line.and_then(|line| places.get(line)).copied();
        Box::new((error, place.unwrap_or(node.at)))
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
                    // A merge of maps, and what is no key, is for the reader of the whole.
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
