//! Where a setting was made: what an error points to that is only seen once all settings are there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_yaml::{Location, Spanned};

use super::{File, Sources, in_file};
use crate::error::Place;

/// Where `key`, or one below it, was set last; `None` where nobody did.
pub(super) fn of(key: &str, sources: &Sources, file: Option<&File>) -> Option<Place> {
    let is_it = |set: &str| {
        let below = same(set.get(..key.len()).unwrap_or_default(), key);
        below && set.get(key.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let flag = sources.flags.iter().rfind(|(_, set, _)| is_it(set));
    let set = sources.set.iter().rfind(|set| set.split_once('=').is_some_and(|(set, _)| is_it(set)));
    if let Some((flag, _, value)) = flag {
        return Some(Place::argument(flag, value, 0));
    }
    if let Some(set) = set {
        return Some(Place::argument("--set", set, 0));
    }
    let parts: Vec<_> = key.split('.').collect();
    let options = serde_yaml::options! { with_snippet: false };
    let found = |deserializer: serde_yaml::Deserializer<'_, '_>| Seek(&parts).deserialize(deserializer);
    let location =
        serde_yaml::with_deserializer_from_str_with_options(&file?.text, options, found).ok()??;
    Some(in_file(&file?.shown, &file?.text, Some(location)))
}

/// Case counts in no key that is known, and not in a parameter's name.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Looks for the key at this path, and ends with where it stands.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<Location>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<Location>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of settings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            match self.0 {
                [part, below @ ..] if same(part, &key.value) && !below.is_empty() => {
                    found = map.next_value_seed(Seek(below))?;
                }
                parts => {
                    map.next_value::<IgnoredAny>()?;
                    if parts.first().is_some_and(|part| same(part, &key.value)) {
                        found = Some(key.referenced);
                    }
                }
            }
        }
        Ok(found)
    }
}
