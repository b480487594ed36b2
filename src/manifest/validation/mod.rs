//! What the API server refuses of one object: its name, and what its fields hold.
//!
//! Nearly all of that is a table, [`fields`]: where something stands, and the rule for it. What several fields must
//! keep to together is code, in [`together`].

mod fields;
mod text;
mod together;

pub(super) use text::{is_annotation, is_label_value, is_qualified_name};

use serde_json::Value;

use super::finding::{Finding, Path};
use super::object::Object;
use fields::{Row, Rule};
use text::{amount, is_label, is_old_label, is_path_segment, is_port_name, is_subdomain};

/// Adds what is wrong with `object` alone, as far as it is not found yet: `before` is the number of findings before it.
pub(super) fn check(object: &Object, before: usize, findings: &mut Vec<Finding>) {
    let mut checker = Checker { object, before, findings };
    checker.name();
    checker.table(&object.tree, &Path::Whole, fields::ANY);
    let (whole, tree) = (&Path::Whole, &object.tree);
    checker.table(tree, whole, fields::of_kind(object.api_version(), object.kind()));
    together::of_kind(&mut checker, tree);
    if object.kind() == "StatefulSet" {
        checker.each(tree, "spec.volumeClaimTemplates.[]", whole, &mut |checker, claim, path| {
            checker.table(claim, path, fields::CLAIM);
            checker.table(claim, path, fields::CLAIM_NAME);
        });
    }
    if let Some(pattern) = fields::pod_in(object.kind()) {
        checker.follow(tree, pattern, whole, &mut |checker, spec, path| {
            let Some(spec) = spec else { return checker.wrong(path, "required field is missing") };
            checker.table(spec, path, fields::POD);
            checker.each(
                spec,
                "volumes.[].ephemeral.volumeClaimTemplate",
                path,
                &mut |checker, claim, path| {
                    checker.table(claim, path, fields::CLAIM);
                },
            );
            for list in ["containers", "initContainers"] {
                let Some(containers) = spec.get(list) else { continue };
                checker.each(containers, "[]", &Path::Field(path, list), &mut |checker, container, path| {
                    checker.table(container, path, fields::CONTAINER);
                    for probe in fields::PROBES {
                        checker.each(container, probe, path, &mut |checker, probe, path| {
                            checker.table(probe, path, fields::PROBE);
                        });
                    }
                    together::container(checker, container, path, list == "initContainers");
                });
            }
            together::pod(checker, spec, path);
        });
    }
}

/// Where findings about one object go.
struct Checker<'a> {
    object: &'a Object,
    before: usize,
    findings: &'a mut Vec<Finding>,
}

impl Checker<'_> {
    /// Adds what is wrong at `path`, unless something is already.
    fn wrong(&mut self, path: &Path<'_>, message: impl Into<String>) {
        let finding = self.object.finding(path, message);
        if !self.findings.iter().skip(self.before).any(|known| known.path == finding.path) {
            self.findings.push(finding);
        }
    }

    fn table(&mut self, value: &Value, path: &Path<'_>, rows: &[Row]) {
        for (pattern, rule) in rows {
            self.follow(value, pattern, path, &mut |checker, value, path| match value {
                Some(value) => checker.apply(value, path, rule),
                None if matches!(rule, Rule::Needed) => checker.wrong(path, "required field is missing"),
                None => {}
            });
        }
    }

    /// Does `what` with everything that `pattern` leads to from `value`: keys with dots in between; `[]` is each item of
    /// a list, `*` each value of a map.
    fn each(
        &mut self,
        value: &Value,
        pattern: &str,
        path: &Path<'_>,
        what: &mut dyn FnMut(&mut Self, &Value, &Path<'_>),
    ) {
        self.follow(value, pattern, path, &mut |checker, value, path| {
            if let Some(value) = value {
                what(checker, value, path);
            }
        });
    }

    /// The same, also where the last key is not there, and what it would be in is.
    fn follow(
        &mut self,
        value: &Value,
        pattern: &str,
        path: &Path<'_>,
        what: &mut dyn FnMut(&mut Self, Option<&Value>, &Path<'_>),
    ) {
        if pattern.is_empty() {
            return what(self, Some(value), path);
        }
        let (step, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
        match step {
            "[]" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.follow(item, rest, &Path::Item(path, index), what);
                }
            }
            "*" => {
                for (key, child) in value.as_object().into_iter().flatten() {
                    self.follow(child, rest, &Path::Field(path, key), what);
                }
            }
            key => match value.get(key) {
                Some(child) => self.follow(child, rest, &Path::Field(path, key), what),
                None if rest.is_empty() && value.is_object() => what(self, None, &Path::Field(path, key)),
                None => {}
            },
        }
    }

    fn apply(&mut self, value: &Value, path: &Path<'_>, rule: &Rule) {
        // An empty string counts as missing; whether the field is required is another rule.
        let text = value.as_str().filter(|text| !text.is_empty());
        match rule {
            Rule::Needed | Rule::Filled => {
                let empty = match value {
                    Value::String(text) => text.is_empty(),
                    Value::Array(list) => list.is_empty(),
                    _ => false,
                };
                if empty {
                    let field = if matches!(rule, Rule::Needed) { "required field" } else { "it" };
                    self.wrong(path, format!("{field} is empty"));
                }
            }
            Rule::Words(words) => {
                if let Some(text) = text.filter(|text| !words.contains(text)) {
                    self.wrong(path, format!("{} is none of {}", quoted(text), words.join(", ")));
                }
            }
            Rule::Word(words) => {
                if let Some(text) = value.as_str().filter(|text| !words.contains(text)) {
                    self.wrong(path, format!("{} is none of {}", quoted(text), words.join(", ")));
                }
            }
            Rule::Text(fits, what) => {
                if let Some(text) = text.filter(|text| !fits(text)) {
                    self.wrong(path, format!("{} is not {what}", quoted(text)));
                }
            }
            Rule::Keys(fits, what) => {
                for key in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
                    if !fits(key) {
                        self.wrong(&Path::Field(path, key), format!("the key is not {what}"));
                    }
                }
            }
            Rule::Number(from, to) => {
                let Some(number) = value.as_i64().filter(|number| !(from..=to).contains(&number)) else {
                    return;
                };
                self.wrong(
                    path,
                    match to {
                        &i64::MAX => format!("{number} is less than {from}"),
                        to => format!("{number} is not from {from} to {to}"),
                    },
                );
            }
            Rule::Quantity | Rule::Positive => {
                let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                let least = i128::from(matches!(rule, Rule::Positive));
                match amount(&shown) {
                    None if !value.is_object() => {
                        let message =
                            format!("{} is not a quantity, such as 500m, 512Mi or 8Gi", quoted(&shown));
                        self.wrong(path, message);
                    }
                    Some(amount) if amount < least => {
                        let least = if least == 0 { "below 0" } else { "not above 0" };
                        self.wrong(path, format!("{} is {least}", quoted(&shown)));
                    }
                    _ => {}
                }
            }
            Rule::Port => {
                self.apply(value, path, &Rule::Filled);
                self.apply(value, path, &Rule::Number(1, 65535));
                self.apply(value, path, &Rule::Text(is_port_name, PORT_NAME));
            }
            Rule::Share(fits) => {
                self.apply(value, path, &Rule::Filled);
                self.apply(value, path, &Rule::Number(0, i64::MAX));
                self.apply(value, path, &Rule::Text(*fits, "a number, or a percentage such as 25%"));
            }
            Rule::One(keys) => {
                let there: Vec<_> = keys.iter().filter(|key| value.get(key).is_some()).copied().collect();
                match there.as_slice() {
                    [] if value.is_object() => {
                        self.wrong(path, format!("one of {} is needed", keys.join(", ")));
                    }
                    [] | [_] => {}
                    several => self.wrong(path, format!("only one of {} can be there", several.join(", "))),
                }
            }
        }
    }

    /// The object's name, as the API server wants it for its kind.
    fn name(&mut self) {
        let (name, kind) = (self.object.name(), self.object.kind());
        let metadata = Path::Field(&Path::Whole, "metadata");
        let path = &Path::Field(&metadata, "name");
        if name.is_empty() {
            // With generateName, the API server completes the name.
            if self.object.tree.pointer("/metadata/generateName").is_none() {
                self.wrong(path, "required field is missing");
            }
            return;
        }
        let (fits, rule): (fn(&str) -> bool, _) = match kind {
            "Role"
            | "RoleBinding"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "PodDisruptionBudget"
            | "CertificateSigningRequest" => (is_path_segment, "a path segment"),
            "Service" => (is_old_label, "an RFC 1035 label"),
            "Namespace" | "StatefulSet" => (is_label, "an RFC 1123 label"),
            _ => (is_subdomain, "an RFC 1123 subdomain"),
        };
        if !fits(name) {
            self.wrong(path, format!("{} is not {rule}", quoted(name)));
        }
        // The names or labels of the objects that it creates contain its name.
        let longest = match kind {
            "CronJob" => 52,
            "Job" => 63,
            _ => return,
        };
        if name.len() > longest {
            self.wrong(path, format!("a {kind}'s name has at most {longest} characters"));
        }
    }
}

const PORT_NAME: &str = "a port's name: at most 15 of a-z, 0-9 and -, a letter among them";

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
