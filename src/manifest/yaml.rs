//! YAML as kubectl reads it: version 1.1.
//!
//! There `on`, `off`, `yes`, `no`, `y` and `n` are booleans, and `017` is fifteen. A template that forgets
//! to quote one of them renders something that no reader of YAML 1.2 finds fault with, and kubectl does.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_yaml::{Location, Spanned};

use super::{field, usual};

/// Every document of a file; empty ones don't count, as they don't for kubectl.
pub(super) fn parse(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    let Some(documents) = usual::parse(text) else { return parse_any(text) };
    #[cfg(fuzzing)]
    assert_eq!(Some(&documents), parse_any(text).ok().as_ref());
    Ok(documents)
}

/// The same, of any YAML that there is.
pub(super) fn parse_any(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    Ok(read::<Tree>(text)?.into_iter().map(|tree| tree.0).collect())
}

/// Where each field of a file of one document stands, by its path as a finding writes it. Nothing, if the file
/// cannot be read.
pub(super) fn locations(text: &str) -> HashMap<String, Location> {
    let mut found = HashMap::new();
    for node in read::<Spanned<Node>>(text).unwrap_or_default() {
        note(node.value, String::new(), node.referenced, &mut found);
    }
    found
}

fn note(node: Node, path: String, location: Location, found: &mut HashMap<String, Location>) {
    match node {
        Node::Map(entries) => {
            for (key, node) in entries {
                note(node, field(&path, &key.value), key.referenced, found);
            }
        }
        Node::List(items) => {
            for (index, item) in items.into_iter().enumerate() {
                note(item.value, format!("{path}[{index}]"), item.referenced, found);
            }
        }
        Node::Scalar => {}
    }
    found.insert(path, location);
}

fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_yaml::Error> {
    let options = serde_yaml::options! {
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

/// Where things stand in a document, and nothing of what they are.
enum Node {
    /// Each key, and what is below it.
    Map(Vec<(Spanned<String>, Node)>),
    List(Vec<Spanned<Node>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
