//! Settings as they are written, one by one: how all that is wrong with a file or an argument is found, while a
//! reader of the whole stops at the first.

use serde_json::Value as Json;

use super::parse;
use super::plan::Layer;
use crate::yaml::{At, Node, Value};

/// Reads what is written as a layer; JSON is YAML, so that there is one reader and one set of messages.
///
/// # Errors
/// What is wrong, and where that is.
pub(super) fn read(node: &Node) -> Result<Layer, Box<(serde_yaml::Error, At)>> {
    let (mut json, mut places) = (String::new(), vec![node.at]);
    write(node, &mut json, &mut places);
    parse(&json).map_err(|error| {
        let line = error.location().and_then(|at| usize::try_from(at.line()).ok()?.checked_sub(1));
        let place = line.and_then(|line| places.get(line)).copied();
        Box::new((error, place.unwrap_or(node.at)))
    })
}

/// Writes `node` as JSON, in which each line holds one thing; `places` tells of each line where that thing is.
fn write(node: &Node, json: &mut String, places: &mut Vec<At>) {
    let begin = |json: &mut String, index: usize, places: &mut Vec<At>, at: At| {
        json.push_str(if index == 0 { "\n" } else { ",\n" });
        places.push(at);
    };
    match &node.value {
        Value::Nothing => json.push_str("null"),
        Value::Text(text) => json.push_str(&Json::from(text.as_str()).to_string()),
        Value::List(items) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                begin(json, index, places, item.at);
                write(item, json, places);
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
                write(node, json, places);
            }
            json.push('}');
        }
    }
}
