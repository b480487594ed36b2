//! Where a setting was made: what an error points to that is only seen once all settings are there.

use super::settings::within;
use super::written::{At, Node, Value};
use super::{File, Sources, in_file};
use crate::error::Place;

/// Where `key`, or one below it, was set last; `None` where nobody did.
pub(super) fn of(key: &str, sources: &Sources, file: Option<&File>) -> Option<Place> {
    // Case counts in no key that is known, and not in a parameter's name.
    let key = key.to_ascii_lowercase();
    let is_it = |set: &str| within(&set.to_ascii_lowercase(), &key);
    let flag = sources.flags.iter().rfind(|(_, set, _)| is_it(set));
    let set = sources.set.iter().rfind(|set| set.split_once('=').is_some_and(|(set, _)| is_it(set)));
    if let Some((flag, _, value)) = flag {
        return Some(Place::argument(flag, value, 0));
    }
    if let Some(set) = set {
        return Some(Place::argument("--set", set, 0));
    }
    let parts: Vec<_> = key.split('.').collect();
    let at = find(&Node::of_document(&file?.text)?, &parts)?;
    Some(in_file(&file?.shown, &file?.text, Some(at)))
}

/// Where the key of these parts is in `node`; as far as it can be followed, where that is an alias.
fn find(node: &Node, parts: &[&str]) -> Option<At> {
    let Value::Map(entries) = &node.value else { return None };
    let (part, below) = parts.split_first()?;
    let ((_, at), node) = entries.iter().rfind(|((key, _), _)| key.eq_ignore_ascii_case(part))?;
    match node.value {
        Value::Map(_) if !below.is_empty() => find(node, below),
        _ => Some(*at),
    }
}
