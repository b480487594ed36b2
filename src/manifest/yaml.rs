//! YAML as kubectl reads it: version 1.1.
//!
//! There `on`, `off`, `yes`, `no`, `y` and `n` are booleans, and `017` is fifteen. A template that forgets
//! to quote one of them renders something that no reader of YAML 1.2 finds fault with, and kubectl does.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Every document of a file; empty ones don't count, as they don't for kubectl.
pub(super) fn parse(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_yaml::options! {
        strict_booleans: false,
        legacy_octal_numbers: true,
        // A tag such as `!vault` means nothing to kubectl, so it can only be a mistake.
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_yaml::from_multiple_with_options::<Tree>(text, options)
        .map(|trees| trees.into_iter().map(|tree| tree.0).collect())
        .map_err(|error| error.to_string())
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
