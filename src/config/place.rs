//! Where a setting was made: what an error points to that is only seen once all settings are there.

use super::settings::within;
use super::{File, Sources};
use crate::error::Place;
use crate::yaml::{At, Node, Value, in_file};

/// Where `key`, or one below it, was set last; `None` where nobody did.
pub(super) fn of(key: &str, sources: &Sources, file: Option<&File>) -> Option<Place> {
    at(key, false, sources, file)
}

/// Where `key` was set to what it is last; `None` where nobody did.
pub(super) fn of_value(key: &str, sources: &Sources, file: Option<&File>) -> Option<Place> {
    at(key, true, sources, file)
}

fn at(key: &str, is_value: bool, sources: &Sources, file: Option<&File>) -> Option<Place> {
    // Case counts in no key that is known, and not in a parameter's name.
    let key = key.to_ascii_lowercase();
    let is_it = |set: &str| within(&set.to_ascii_lowercase(), &key);
    let flag = sources.flags.iter().rfind(|(_, set, _)| is_it(set));
    let set = sources.set.iter().rfind(|set| set.split_once('=').is_some_and(|(set, _)| is_it(set)));
    if let Some((flag, _, value)) = flag {
        return Some(Place::argument(flag, value, 0));
    }
    if let Some(set) = set {
        let value = set.split_once('=').map_or(0, |(key, _)| key.chars().count() + 1);
        return Some(Place::argument("--set", set, if is_value { value } else { 0 }));
    }
    // A parameter's name may have a dot in it.
    let parts: Vec<_> = match key.strip_prefix("postgres.parameters.") {
        Some(parameter) => vec!["postgres", "parameters", parameter],
        None => key.split('.').collect(),
    };
    let (key_at, value_at) = find(&Node::of_document(&file?.text)?, &parts)?;
    Some(in_file(&file?.shown, &file?.text, Some(if is_value { value_at } else { key_at })))
}

/// Where the file sets something in `section`; `None` where it only names it, as `pgk init` does.
pub(super) fn in_section(section: &str, file: &File) -> Option<Place> {
    let mut node = Node::of_document(&file.text)?;
    let mut place = None;
    for part in section.split('.') {
        let Value::Map(entries) = node.value else { return None };
        let (key, below) = entries.into_iter().rfind(|((key, _), _)| key == part)?;
        (place, node) = (Some(key.1), below);
    }
    match node.value {
        Value::Map(entries) if entries.iter().any(|(_, it)| !matches!(it.value, Value::Nothing)) => {
            Some(in_file(&file.shown, &file.text, place))
        }
        _ => None,
    }
}

/// Where the key of these parts is in `node`, and its value; as far as it can be followed, where that is an alias.
fn find(node: &Node, parts: &[&str]) -> Option<(At, At)> {
    let Value::Map(entries) = &node.value else { return None };
    let (part, below) = parts.split_first()?;
    let ((_, at), node) = entries.iter().rfind(|((key, _), _)| key.eq_ignore_ascii_case(part))?;
    match node.value {
        Value::Map(_) if !below.is_empty() => find(node, below),
        _ => Some((*at, node.at)),
    }
}
