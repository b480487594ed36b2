//! Selectors of pods, as a network policy takes them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value as Json, json};

use super::check;
use crate::error::shown;

/// A label selector, as kubectl takes it: `app=web`, `tier in (web, api), !canary`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    match_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<Requirement>,
}

/// What a selector asks of a label, besides a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Requirement {
    key: String,
    operator: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

const LONGEST: usize = 1024;
const LONGEST_PREFIX: usize = 253;
const RULE: &str =
    "a selector is labels as kubectl takes them, such as `app=web` or `tier in (web, api)`, or `*` for all";

/// The pattern of a whole selector.
fn pattern() -> String {
    const NAME: &str = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?";
    const PART: &str = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
    let key = format!(r"({PART}(\.{PART})*/)?{NAME}");
    let value = format!("({NAME})?");
    let list = format!(r" *{value}( *, *{value})* *");
    let one = format!(r"(!{key}|{key}( *(==?|!=) *{value}| +(in|notin) *\({list}\))?)");
    format!(r"^( *\* *| *{one}( *, *{one})* *)$")
}

impl FromStr for Selector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&pattern()).ok());
        let fits = text.len() <= LONGEST && PATTERN.as_ref().is_some_and(|it| it.is_match(text));
        check(fits, RULE)?;
        let mut selector = Self::default();
        if text.trim() != "*" {
            for requirement in requirements(text) {
                selector.add(requirement)?;
            }
        }
        Ok(selector)
    }
}

/// What stands between commas, but for those in parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut inside = false;
    let parts = text.split(|c| {
        match c {
            '(' => inside = true,
            ')' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    });
    parts.map(str::trim).collect()
}

impl Selector {
    /// Adds a requirement that the pattern has found to be one.
    fn add(&mut self, text: &str) -> Result<(), String> {
        if let Some(key) = text.strip_prefix('!') {
            return self.expect(key, "DoesNotExist", Vec::new());
        }
        if let Some((left, list)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            let (key, word) = left.trim_end().rsplit_once(' ').unwrap_or((left, ""));
            let operator = if word == "in" { "In" } else { "NotIn" };
            let mut values: Vec<_> = list.split(',').map(|value| value.trim().to_owned()).collect();
            values.sort_unstable();
            values.dedup();
            return self.expect(key, operator, values);
        }
        if let Some((key, value)) = text.split_once("!=") {
            return self.expect(key, "NotIn", vec![value.trim().to_owned()]);
        }
        let Some((key, value)) = text.split_once('=') else {
            return self.expect(text, "Exists", Vec::new());
        };
        let value = value.trim_start_matches('=').trim();
        let key = label(key)?;
        match self.match_labels.insert(key.to_owned(), value.to_owned()) {
            Some(other) if other != value => {
                Err(format!("the label {} is to have two values, which none has", shown(key)))
            }
            _ => Ok(()),
        }
    }

    fn expect(&mut self, key: &str, operator: &'static str, values: Vec<String>) -> Result<(), String> {
        let key = label(key)?.to_owned();
        self.match_expressions.push(Requirement { key, operator, values });
        Ok(())
    }
}

/// The key of a label, whose prefix is a name in the DNS.
fn label(key: &str) -> Result<&str, String> {
    let key = key.trim();
    let prefix = key.split_once('/').map_or("", |(prefix, _)| prefix);
    check(
        prefix.len() <= LONGEST_PREFIX,
        "what stands before the `/` of a label has at most 253 characters",
    )?;
    Ok(key)
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| de::Error::custom(format!("{}: {why}", shown(&text))))
    }
}

/// The JSON Schema of a selector.
fn schema() -> Json {
    json!({"type": "string", "maxLength": LONGEST, "pattern": pattern(), "patternErrorMessage": RULE})
}

/// Pods by their labels, by those of their namespace, or both: a peer of a network policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// Without it, every pod of these namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_selector: Option<Selector>,
    /// Without it, the policy's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_selector: Option<Selector>,
}

const PODS_RULE: &str =
    "these are pods by their labels, such as `app=web`, or a map of pods, namespaces or both";

impl FromStr for Pods {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self { pod_selector: Some(text.parse()?), namespace_selector: None })
    }
}

impl<'de> Deserialize<'de> for Pods {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Map {
            pods: Option<Selector>,
            namespaces: Option<Selector>,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Pods;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(PODS_RULE)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Pods, E> {
                text.parse().map_err(|why| E::custom(format!("{}: {why}", shown(text))))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Pods, A::Error> {
                let map = Map::deserialize(de::value::MapAccessDeserializer::new(map))?;
                if map.pods.is_none() && map.namespaces.is_none() {
                    return Err(de::Error::custom(PODS_RULE));
                }
                Ok(Pods { pod_selector: map.pods, namespace_selector: map.namespaces })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Several such pods. As text, they are separated by `;`, since a selector has commas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Peers(Vec<Pods>);

const MOST: usize = 100;

impl Peers {
    fn of(all: Vec<Pods>) -> Result<Self, String> {
        check(all.len() <= MOST, "there are at most 100 of them")?;
        Ok(Self(all))
    }
}

impl FromStr for Peers {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::of(text.split(';').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Peers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of selectors, such as [\"app=web\", \"app=api\"]")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Peers, E> {
                text.parse().map_err(|why| E::custom(format!("{}: {why}", shown(text))))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Peers, A::Error> {
                let mut all = Vec::new();
                while let Some(pods) = list.next_element()? {
                    all.push(pods);
                }
                Peers::of(all).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

one_setting!(Peers);

impl JsonSchema for Peers {
    fn schema_name() -> Cow<'static, str> {
        "Peers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let selector = schema();
        json_schema!({
            "patternErrorMessage": "a list of selectors as kubectl takes them, such as `app=web`, or of maps of pods, namespaces or both; as text, separated by `;`",
            "anyOf": [
                {
                    "type": "array",
                    "maxItems": MOST,
                    "items": {"anyOf": [
                        selector,
                        {
                            "type": "object",
                            "properties": {"pods": selector, "namespaces": selector},
                            "additionalProperties": false,
                            "minProperties": 1,
                        },
                    ]},
                },
                selector,
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::fits_but_for_the_schema;
    use super::*;

    #[test]
    fn each_type_checks_itself() {
        let long = "a".repeat(64);
        fits_but_for_the_schema::<Peers>(
            &[
                "app=web",
                "app = web, tier!=db",
                "app==web",
                "app=",
                "app",
                "!canary",
                "a.b/c_d.E=F-1",
                "tier in (web, api),!x",
                "tier notin (a)",
                "tier in (,a)",
                "*",
                &long[1..],
            ],
            &[
                "",
                " ",
                "*,a",
                "app=web\n",
                "app=web: x",
                "a=b=c",
                "=web",
                "-a=b",
                "a=-b",
                "a=b-",
                "A.b/c=d",
                "a/b/c=d",
                "/b=c",
                "a/=c",
                "a in ()b",
                "a in (b",
                "a in b",
                "a b",
                "a>1",
                "! a",
                "a,,b",
                "a,",
                "é=a",
                "a='b'",
                "a={{ x }}",
                "$(x)",
                &long,
                &format!("a={long}"),
                &format!("a in (b,{long})"),
            ],
            &["a=b,a=c", &format!("{}/b=c", "a".repeat(254))],
        );
        // For the command line; the schema wants a list of several.
        assert!("app=web; app in (a,b)".parse::<Peers>().is_ok());
        assert!("app=web;".parse::<Peers>().is_err());
        assert!(vec!["a"; MOST + 1].join(";").parse::<Peers>().is_err());
    }

    #[test]
    fn a_selector_is_that_of_a_policy() {
        let read = |text: &str| serde_json::to_value(text.parse::<Selector>().unwrap()).unwrap();
        assert_eq!(read("*"), json!({}));
        assert_eq!(read("app = web ,a.b/c==,app=web"), json!({"matchLabels": {"a.b/c": "", "app": "web"}}));
        assert_eq!(
            read("x, !y,a!=1,  b in (2,  1,2),c  notin(3)"),
            json!({"matchExpressions": [
                {"key": "x", "operator": "Exists"},
                {"key": "y", "operator": "DoesNotExist"},
                {"key": "a", "operator": "NotIn", "values": ["1"]},
                {"key": "b", "operator": "In", "values": ["1", "2"]},
                {"key": "c", "operator": "NotIn", "values": ["3"]},
            ]})
        );
    }

    #[test]
    fn pods_may_be_of_other_namespaces() {
        let read = |yaml: &str| serde_yaml::from_str::<Peers>(yaml).map(|peers| json!(peers));
        let web = json!({"matchLabels": {"app": "web"}});
        assert_eq!(
            read("[app=web, {pods: app=web, namespaces: '*'}, {namespaces: app=web}]").unwrap(),
            json!([
                {"podSelector": web},
                {"podSelector": web, "namespaceSelector": {}},
                {"namespaceSelector": web},
            ])
        );
        assert_eq!(read("[]").unwrap(), json!([]));
        for wrong in ["[{}]", "[{pod: app=web}]", "[[app=web]]", "{pods: app=web}", "[{pods: ''}]", "1.5: 2"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
