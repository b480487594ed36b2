//! YAML as kubectl reads it: version 1.1.
//!
//! There `on`, `off`, `yes`, `no`, `y` and `n` are booleans, and `017` is fifteen. A template that forgets
//! to quote one of them renders something that no reader of YAML 1.2 finds fault with, and kubectl does.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_yaml::{Budget, Location, Spanned};

use super::field;

/// How deep kubectl reads.
const DEEPEST: usize = 10_000;

/// The stack that [`parse_any`] and [`locations`] take for what is that deep, and all that goes through it afterwards.
pub(crate) const STACK: usize = 1 << 30;

/// Every document of a file; empty ones don't count, as they don't for kubectl.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    Ok(read::<Tree>(text, Some(Budget::default()))?.into_iter().map(|tree| tree.0).collect())
}

/// The same, of what may be as large and nearly as deep as kubectl reads it: on a thread with a [`STACK`] of its own.
pub(crate) fn parse_any(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    Ok(read::<Tree>(text, any())?.into_iter().map(|tree| tree.0).collect())
}

fn any() -> Option<Budget> {
    serde_yaml::budget! {
        max_depth: DEEPEST,
        flow_nesting_limit: DEEPEST,
        max_documents: usize::MAX,
        max_events: usize::MAX,
        max_nodes: usize::MAX,
        max_total_scalar_bytes: usize::MAX,
    }
}

/// Where each field of a file of one document stands, by its path as a finding writes it. Nothing, if the file
/// cannot be read.
pub(crate) fn locations(text: &str) -> HashMap<String, Location> {
    let mut found = HashMap::new();
    for node in read::<Spanned<Places>>(text, any()).unwrap_or_default() {
        note(node.value, String::new(), node.referenced, &mut found);
    }
    found
}

fn note(node: Places, path: String, location: Location, found: &mut HashMap<String, Location>) {
    match node {
        Places::Map(entries) => {
            for (key, node) in entries {
                note(node, field(&path, &key.value), key.referenced, found);
            }
        }
        Places::List(items) => {
            for (index, item) in items.into_iter().enumerate() {
                note(item.value, format!("{path}[{index}]"), item.referenced, found);
            }
        }
        Places::Scalar => {}
    }
    found.insert(path, location);
}

fn read<T: DeserializeOwned>(text: &str, budget: Option<Budget>) -> Result<Vec<T>, serde_yaml::Error> {
    let options = serde_yaml::options! {
        budget: budget,
        strict_booleans: false,
        legacy_octal_numbers: true,
        // A tag such as `!vault` means nothing to kubectl, so it can only be a mistake.
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_yaml::from_multiple_with_options(text, options)
}

/// A JSON tree of which every key was a string in YAML too.
///
/// `Value` alone would take the key `on:` for the string "on", while kubectl sends "true".
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(Tree(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Map::new();
        while let Some(Tree(key)) = entries.next_key()? {
            let Value::String(key) = key else {
                return Err(A::Error::custom(format!(
                    "a key that reads as {key}, not as a string: quote it"
                )));
            };
            let Tree(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Tree(Value::Object(map)))
    }
}

/// Where things stand in a document, and nothing of what they are. Aliases and merges are followed, as [`super::Node`] does
/// not: what comes of them stands where the alias does.
enum Places {
    /// Each key, and what is below it.
    Map(Vec<(Spanned<String>, Places)>),
    List(Vec<Spanned<Places>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlacesVisitor)
    }
}

struct PlacesVisitor;

impl<'de> Visitor<'de> for PlacesVisitor {
    type Value = Places;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Places, E> {
        Ok(Places::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Places, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Places::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Places, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Places::Map(map))
    }
}
