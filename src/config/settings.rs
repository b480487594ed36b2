//! What can be set, and what it means: read from the JSON Schema of a layer, so that there is one description.

use std::iter;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde::Deserialize as _;
use serde_json::Value as Json;

use super::plan::{Layer, Plan};
use super::scenario::Scenario;
use super::section::Setting as _;
use crate::error::similar;

/// The JSON Schema of `pgk.yaml`. It takes nothing that the reader refuses, as far as a schema can say so; numbers
/// and switches it wants unquoted, where the reader does not mind.
pub fn schema() -> Json {
    let mut schema = without_parameters();
    if let Some(parameters) = schema.pointer_mut("/properties/postgres/properties/parameters")
        && let Some(parameters) = parameters.as_object_mut()
        && let Some(value) = parameters.remove("additionalProperties")
    {
        parameters.insert("allOf".to_owned(), Json::Array(vec![super::parameters::schema(&value)]));
    }
    schema
}

/// The same, where PostgreSQL's parameters are no settings of their own: of them there are hundreds.
fn without_parameters() -> Json {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Layer>();
    schema.insert("title".to_owned(), "pgk.yaml".into());
    schema.insert("description".to_owned(), "Settings of `pgk gen`. All of them are optional.".into());
    schema.into()
}

/// A setting, or a section of several.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where it stands in the file, its parts separated by dots.
    pub key: String,
    /// Whether there are settings in it, and nothing else.
    pub section: bool,
    /// What it is about.
    pub meaning: String,
    /// The scenarios that have it.
    pub scenarios: Vec<Scenario>,
    /// What holds where it is not set; `None` where that depends on something, see [`Setting::otherwise`].
    pub default: Option<Json>,
    /// What it may be set to.
    schema: Json,
}

impl Setting {
    /// The part of the key that is its own.
    pub fn name(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or(&self.key)
    }

    /// What holds where it is not set and has no fixed default.
    pub fn otherwise(&self) -> Option<&str> {
        self.text("x-default").filter(|_| self.default.is_none())
    }

    /// What pgk makes of it.
    pub fn becomes(&self) -> Option<&str> {
        self.text("x-becomes")
    }

    /// Its unit.
    pub fn unit(&self) -> Option<&str> {
        self.text("x-unit")
    }

    /// Whether it is a map, whose keys are names that are no settings of pgk's.
    pub fn is_map(&self) -> bool {
        alternatives(&self.schema).into_iter().any(|it| it.get("propertyNames").is_some())
    }

    /// Whether `pgk init` sets it.
    pub fn is_main(&self) -> bool {
        self.schema.get("x-init") == Some(&Json::Bool(true))
    }

    /// A value that it can have: its default, or an example where that says nothing.
    pub fn example(&self) -> Option<&Json> {
        let empty = |it: &&Json| it.as_object().is_some_and(serde_json::Map::is_empty);
        self.default.as_ref().filter(|it| !empty(it)).or_else(|| self.schema.pointer("/examples/0"))
    }

    /// The words that it may be, each with its meaning; empty if it is none of a few words.
    pub fn words(&self) -> Vec<(String, Option<&str>)> {
        let Some(of) = alternatives(&self.schema).into_iter().find(|it| it.get("enum").is_some()) else {
            return Vec::new();
        };
        let meanings = of.get("enumDescriptions").and_then(Json::as_array).into_iter().flatten();
        let meanings = meanings.map(Json::as_str).chain(iter::repeat(None));
        let words = of.get("enum").and_then(Json::as_array).into_iter().flatten();
        words.filter(|word| !word.is_null()).map(plain).zip(meanings).collect()
    }

    /// The rule that its value keeps to, where it is none of a few words.
    pub fn rule(&self) -> Option<String> {
        if let Some(rule) = self.text("patternErrorMessage") {
            return Some(rule.to_owned());
        }
        let bound = |name| self.schema.get(name).and_then(Json::as_u64);
        Some(format!("a whole number from {} to {}", bound("minimum")?, bound("maximum")?))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.schema.get(name)?.as_str()
    }
}

/// A scalar as it is written.
pub fn plain(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// A value as YAML on one line.
pub fn inline(value: &Json) -> String {
    match value {
        // pgk reads every scalar as text, so what cannot be taken for more than one needs no quotes.
        Json::String(text) if is_plain(text) => text.clone(),
        Json::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let entries: Vec<_> =
                map.iter().map(|(key, value)| format!("{key}: {}", inline(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
        && !text.ends_with(':')
        && !matches!(text, "null" | "Null" | "NULL")
        && text.parse::<f64>().is_err()
}

/// The text in lines of at most `width` characters, as far as its words allow.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Every section and setting, in the order of the description; a section is before what is in it.
pub fn all() -> &'static [Setting] {
    static ALL: LazyLock<Vec<Setting>> = LazyLock::new(|| {
        let mut all = Vec::new();
        add(&without_parameters(), "", &Plan::defaults(), &mut all);
        all
    });
    &ALL
}

/// The setting that `key` sets: the one of this name, or the one that it is a part of, such as
/// `postgres.parameters` of `postgres.parameters.work_mem`.
pub fn find(key: &str) -> Option<&'static Setting> {
    all()
        .iter()
        .find(|setting| setting.key == key)
        .or_else(|| all().iter().filter(|setting| !setting.section).find(|setting| within(key, &setting.key)))
}

/// Whether `key` is `section`, or below it.
pub(super) fn within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The key that was probably meant by `key`: one that is spelled alike, or one of that name somewhere else.
pub fn meant(key: &str) -> Option<&'static str> {
    let all = all();
    let name = key.rsplit('.').next().unwrap_or(key);
    let cased = || {
        all.iter().find(|setting| setting.key.eq_ignore_ascii_case(key)).map(|setting| setting.key.as_str())
    };
    let elsewhere = || {
        all.iter()
            .find(|setting| setting.name().eq_ignore_ascii_case(name))
            .map(|setting| setting.key.as_str())
    };
    let alike = || similar(key, all.iter().map(|setting| setting.key.as_str()));
    let named_alike = || {
        // Short names are all alike.
        let name = Some(name).filter(|name| name.len() > 3)?;
        let name = similar(name, all.iter().map(Setting::name))?;
        all.iter().find(|setting| setting.name() == name).map(|setting| setting.key.as_str())
    };
    cased().or_else(elsewhere).or_else(alike).or_else(named_alike)
}

/// The schema itself and the alternatives in it.
fn alternatives(schema: &Json) -> Vec<&Json> {
    let inner = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    iter::once(schema).chain(inner.flat_map(alternatives)).collect()
}

/// Adds what is in the section `of`, in which `defaults` holds at first.
fn add(of: &Json, path: &str, defaults: &Json, all: &mut Vec<Setting>) {
    let properties = alternatives(of).into_iter().find_map(|it| it.get("properties")?.as_object());
    for (name, schema) in properties.into_iter().flatten() {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = defaults.get(name);
        let section = schema.get("properties").is_some();
        let meaning = schema.get("description").and_then(Json::as_str).unwrap_or_default();
        let own_scenarios = schema.get("x-scenarios").and_then(|list| Vec::deserialize(list).ok());
        let scenarios = match own_scenarios {
            Some(own) => own,
            None => all.iter().rfind(|it| it.key == path).map(|it| it.scenarios.clone()).unwrap_or_default(),
        };
        all.push(Setting {
            key: key.clone(),
            section,
            meaning: meaning.split_whitespace().collect::<Vec<_>>().join(" "),
            scenarios,
            default: default.filter(|_| !section).cloned(),
            schema: schema.clone(),
        });
        add(schema, &key, default.unwrap_or(&Json::Null), all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A setting says what it means, whose it is, and what holds without it, and can be tried.
    #[test]
    fn every_setting_is_described() {
        for setting in all() {
            assert!(!setting.meaning.is_empty() && setting.meaning.ends_with('.'), "{}", setting.key);
            assert!(!setting.scenarios.is_empty(), "{}", setting.key);
            // What a target can be is not set unless it is chosen.
            if !setting.section && !setting.key.starts_with("q3.restore.target.") {
                let nothing = setting.default.is_none() && setting.otherwise().is_none();
                assert!(!nothing, "{} says no default", setting.key);
            }
            assert_eq!(setting.example().is_some(), !setting.section, "{}", setting.key);
        }
    }

    #[test]
    fn what_is_set_is_found() {
        let found = |key| find(key).map(|setting| setting.key.as_str());
        assert_eq!(found("q2"), Some("q2"));
        assert_eq!(found("postgres.parameters.a.b"), Some("postgres.parameters"));
        assert_eq!(found("q3.restore.target.time"), Some("q3.restore.target.time"));
        assert_eq!(found("replicas.count"), Some("replicas"));
        assert_eq!(found("q4"), None);
        assert_eq!(meant("durability"), Some("q2.durability"));
        assert_eq!(meant("q2.durabilty"), Some("q2.durability"));
        assert_eq!(meant("bucketts"), Some("q3.s3.bucket"));
        assert_eq!(meant("q2.Durability"), Some("q2.durability"));
        assert_eq!(meant("REPLICAS"), Some("replicas"));
        assert_eq!(meant("xyz"), None);
    }
}
