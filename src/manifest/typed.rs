//! One document alone: its YAML, its Kubernetes type, its names.

use serde_json::Value;

use super::finding::{Finding, Path};
use super::object::{Object, RoundTrip, fields_of, round_trip_of};
use super::rules;
use super::validation::{self, is_annotation, is_label_value, is_qualified_name};
use crate::error::similar;
use crate::render::Document;
use crate::yaml::{self, Words, field, what_is_wrong};

/// What an error of a manifest's YAML is said in.
pub(super) const WORDS: Words<'_> = Words {
    whole: "the file",
    map: "a map",
    one: "put `---` between them",
    help: "kubectl cannot read it either: correct the YAML",
};

/// Reads a document and checks it alone; `None` if it cannot be compared with others.
pub(super) fn read(document: &Document, findings: &mut Vec<Finding>) -> Option<Object> {
    let message = match yaml::parse(&document.text).map(<[Value; 1]>::try_from) {
        Ok(Ok([tree])) => {
            let mut object = Object::new(&document.path, String::new(), tree, false);
            return check(&mut object, findings).then_some(object);
        }
        Ok(Err(trees)) => format!("{} objects in a file meant for one", trees.len()),
        Err(error) => match error.location() {
            Some(at) => {
                format!("{} at line {}, column {}", what_is_wrong(&error, &WORDS), at.line(), at.column())
            }
            None => what_is_wrong(&error, &WORDS),
        },
    };
    findings.push(Finding { document: document.path.clone(), path: String::new(), message, help: None });
    None
}

/// Checks an object alone; whether it can be compared with others.
pub(super) fn check(object: &mut Object, findings: &mut Vec<Finding>) -> bool {
    let before = findings.len();
    let (api_version, kind) = (object.api_version(), object.kind());
    let Some(round_trip) = round_trip_of(api_version, kind) else {
        let message = format!("no known kind of object: apiVersion \"{api_version}\", kind \"{kind}\"");
        findings.push(object.finding("", message));
        return false;
    };
    if object.foreign {
        texts_are_texts(&mut object.tree);
    }
    let readable = match round_trip(&object.tree) {
        Ok((typed, known)) => {
            compare(object, &object.tree, &known, &Path::Whole, findings);
            object.typed = Some(typed);
            true
        }
        Err(error) => {
            let before = findings.len();
            blame(object, round_trip, &object.tree, "", &|value| value, findings);
            if findings.len() == before {
                findings.push(object.finding("", error.to_string()));
            }
            false
        }
    };
    if object.foreign {
        leave_out_nulls(&mut object.tree);
    }
    check_keys(object, &object.tree, &Path::Whole, findings);
    validation::check(object, before, findings);
    for finding in rules::alone(object) {
        if !findings.iter().skip(before).any(|known| known.path == finding.path) {
            findings.push(finding);
        }
    }
    readable
}

/// Maps of texts, where a null is an empty one.
const TEXTS: [&str; 6] = ["annotations", "data", "labels", "matchLabels", "nodeSelector", "stringData"];

/// Reads a null among texts as the API server does.
fn texts_are_texts(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Object(texts) if TEXTS.contains(&key.as_str()) => {
                        for text in texts.values_mut().filter(|text| text.is_null()) {
                            *text = Value::String(String::new());
                        }
                    }
                    value => texts_are_texts(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(texts_are_texts),
        _ => {}
    }
}

/// A field that is null is one that is not there, to the API server.
fn leave_out_nulls(tree: &mut Value) {
    match tree {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// Compares an object with what its type makes of it.
///
/// The type ignores a field that it doesn't know and fills in one that it requires, where the API server
/// refuses both. This also finds a volume claim template without `apiVersion` and `kind`: the API server
/// adds these two, after which Argo CD sees a difference for ever.
fn compare(object: &Object, written: &Value, known: &Value, path: &Path<'_>, findings: &mut Vec<Finding>) {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            // A null has no meaning in a manifest, yet `kubectl apply` reads it as "remove this field". Helm writes many.
            const NULL: &str = "null: leave the field out";
            const MISSING: &str = "required field is missing";
            // Fields that the API's description calls required, but the API server fills in.
            let filled_in = |key: &str| {
                let at = || String::from(path);
                object.foreign
                    && match key {
                        "apiVersion" | "kind" => at().contains("volumeClaimTemplates["),
                        "name" => at().contains("imagePullSecrets["),
                        "preference" => at().contains("nodeAffinity"),
                        "value" => at().contains("httpHeaders[") || object.kind() == "PriorityClass",
                        "apiGroup" => at() == "roleRef",
                        _ => false,
                    }
            };
            for (key, known) in known {
                let path = &Path::Field(path, key);
                match written.get(key) {
                    None if filled_in(key) => {}
                    None => findings.push(object.finding(path, MISSING)),
                    Some(Value::Null) if !object.foreign => findings.push(object.finding(path, NULL)),
                    // By its type, a required field may be empty.
                    Some(Value::Null) if !known.is_object() => findings.push(object.finding(path, MISSING)),
                    Some(Value::Null) => {}
                    Some(value) => compare(object, value, known, path, findings),
                }
            }
            let mut unknown = written.iter().filter(|(key, _)| !known.contains_key(*key)).peekable();
            let fields = match unknown.peek() {
                Some(_) => fields_of(object.api_version(), object.kind(), &path.steps()),
                None => &[],
            };
            for (key, value) in unknown {
                let path = &Path::Field(path, key);
                if value.is_null() && (fields.is_empty() || fields.contains(&key.as_str())) {
                    if !object.foreign {
                        findings.push(object.finding(path, NULL));
                    }
                    continue;
                }
                let help =
                    similar(key, fields.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
                findings.push(Finding { help, ..object.finding(path, "unknown field") });
            }
        }
        (Value::Array(written), Value::Array(known)) if written.len() == known.len() => {
            for (index, (written, known)) in written.iter().zip(known).enumerate() {
                compare(object, written, known, &Path::Item(path, index), findings);
            }
        }
        (written, known) if is_same(written, known) => {}
        _ => findings.push(object.finding(path, format!("{written} is understood as {known}"))),
    }
}

fn is_same(written: &Value, known: &Value) -> bool {
    match (written, known) {
        // A quantity may be written as a number, and is read as a string. No other type accepts both.
        (Value::Number(number), Value::String(text)) => text.parse().ok() == number.as_f64(),
        // `1` where a floating-point number is expected.
        (Value::Number(number), Value::Number(known)) if known.is_f64() => number.as_f64() == known.as_f64(),
        _ => written == known,
    }
}

/// Finds the fields of which the type refuses the value, since serde's error doesn't say where it is.
///
/// Every field of a k8s-openapi type may be absent, so a document of one branch only (`wrap` puts a value
/// at its place in it) fails if and only if something on that branch is wrong.
fn blame(
    object: &Object,
    round_trip: RoundTrip,
    value: &Value,
    path: &str,
    wrap: &dyn Fn(Value) -> Value,
    findings: &mut Vec<Finding>,
) {
    let fits = |value| round_trip(&wrap(value));
    match value {
        Value::Object(map) if fits(Value::Object(serde_json::Map::new())).is_ok() => {
            for (key, child) in map {
                let wrap = |child| wrap(Value::Object([(key.clone(), child)].into_iter().collect()));
                blame(object, round_trip, child, &field(path, key), &wrap, findings);
            }
        }
        Value::Array(items) if fits(Value::Array(Vec::new())).is_ok() => {
            for (index, child) in items.iter().enumerate() {
                let wrap = |child| wrap(Value::Array(vec![child]));
                blame(object, round_trip, child, &format!("{path}[{index}]"), &wrap, findings);
            }
        }
        _ => findings.extend(fits(value.clone()).err().map(|error| {
            let help = value.as_str().and_then(without_space);
            Finding { help, ..object.finding(path, error.to_string()) }
        })),
    }
}

/// One of the `matchExpressions` of a selector.
fn check_expression(object: &Object, expression: &Value, path: &Path<'_>, findings: &mut Vec<Finding>) {
    let text = |key: &str| expression.get(key).and_then(Value::as_str).unwrap_or_default();
    let values = expression.get("values").and_then(Value::as_array);
    let mut wrong =
        |field: &str, message: &str| findings.push(object.finding(&Path::Field(path, field), message));
    // A missing key is reported elsewhere.
    if expression.get("key").is_some() && !is_qualified_name(text("key")) {
        wrong("key", "not a valid key");
    }
    let some = values.is_some_and(|values| !values.is_empty());
    match text("operator") {
        "In" | "NotIn" if !some => wrong("values", "required field is missing"),
        "Exists" | "DoesNotExist" if some => wrong("values", "takes no values"),
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        _ if expression.get("operator").is_none() => {}
        _ => wrong("operator", "none of In, NotIn, Exists, DoesNotExist (and of a node, Gt, Lt)"),
    }
    if values.into_iter().flatten().any(|value| !value.as_str().is_some_and(is_label_value)) {
        wrong("values", "not valid labels");
    }
}

/// What to do about a text that was meant to be a key and its value.
fn without_space(text: &str) -> Option<String> {
    let (key, value) = text.split_once(':')?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_key && !value.is_empty())
        .then(|| format!("did you mean `{key}: {value}`, with a space after the colon?"))
}

/// The syntax of labels, annotations and selectors, wherever they stand: also in pod and claim templates.
fn check_keys(object: &Object, value: &Value, path: &Path<'_>, findings: &mut Vec<Finding>) {
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            check_keys(object, item, &Path::Item(path, index), findings);
        }
    }
    let Value::Object(map) = value else { return };
    for (key, child) in map {
        let path = &Path::Field(path, key);
        let labels = matches!(key.as_str(), "labels" | "matchLabels" | "nodeSelector");
        if labels || key == "annotations" {
            for (key, value) in child.as_object().into_iter().flatten() {
                let path = &Path::Field(path, key);
                if !(if labels { is_qualified_name(key) } else { is_annotation(key) }) {
                    findings.push(object.finding(path, "not a valid key"));
                }
                if labels && !value.as_str().is_some_and(is_label_value) {
                    findings.push(object.finding(path, format!("{value} is not a valid label")));
                }
            }
        }
        if key == "matchExpressions" {
            for (index, expression) in child.as_array().into_iter().flatten().enumerate() {
                check_expression(object, expression, &Path::Item(path, index), findings);
            }
        }
        // This describes objects of unknown kinds, so the names of its fields mean nothing here.
        if key != "openAPIV3Schema" {
            check_keys(object, child, path, findings);
        }
    }
}
