//! What `pgk check` finds in one object, and what the API server refuses of it: they must agree.
//!
//! Good objects (`validation.yaml`) are changed in one field at a time: it is taken away, or set to what is mostly wrong.
//! The API server is asked by a dry run, so nothing is made in the cluster.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::pgk;

/// Where the API server of a newer Kubernetes takes what that of v1.33 refused, which `pgk check` goes by: what the finding
/// begins with, and says.
const NEWER: &[(&str, &str)] = &[];

#[test]
#[ignore = "needs a cluster: just long"]
fn the_api_server_agrees() {
    let objects = changed();
    assert!(objects.len() > 2000, "{}", objects.len());
    let (accepted, refused) = asked(&objects);
    let found = found(&objects);
    let mut differences = String::new();
    for (index, (what, _)) in objects.iter().enumerate() {
        let name = name(index);
        let finding = found.iter().find(|(of, _)| *of == name).map(|(_, finding)| finding.as_str());
        match (accepted.contains(&name), finding) {
            (true, Some(finding))
                if !NEWER.iter().any(|(path, says)| finding.starts_with(path) && finding.contains(says)) =>
            {
                writeln!(differences, "{what}: the API server takes it: {finding}").expect("written");
            }
            (false, None) => {
                let why =
                    refused.lines().find(|line| line.contains(&format!("\"{name}\""))).unwrap_or("refused");
                writeln!(differences, "{what}: nothing is found: {why}").expect("written");
            }
            _ => {}
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn name(index: usize) -> String {
    format!("changed-{index}")
}

/// Every object with every change, and what that is.
fn changed() -> Vec<(String, Value)> {
    let long = "x".repeat(64);
    let texts = ["", "A", "a_b", "a.b", "-a", &long, "..", "a/b", "1", "a b"];
    let numbers = [-1, 0, 1, 65536, 1_i64 << 31];
    let mut all = Vec::new();
    let good: Vec<Value> = serde_yaml::from_multiple(include_str!("validation.yaml")).expect("YAML");
    for object in good {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let mut places = Vec::new();
        places_in(&object, String::new(), &mut places);
        let own = |place: &str| ["", "/apiVersion", "/kind", "/metadata", "/metadata/name"].contains(&place);
        places.retain(|place| !own(place));
        let mut add = |what: String, object: Value| all.push((format!("{kind}{what}"), object));
        add(String::new(), object.clone());
        for place in places {
            let value = object.pointer(&place).expect("it is there");
            let (parent, key) = place.rsplit_once('/').expect("a path");
            let mut without = object.clone();
            match without.pointer_mut(parent).expect("it is there") {
                Value::Object(map) => drop(map.remove(&key.replace("~1", "/"))),
                Value::Array(list) => drop(list.remove(key.parse().expect("a number"))),
                _ => unreachable!(),
            }
            add(format!(" without {place}"), without);
            let others: Vec<Value> = match value {
                Value::Bool(value) => vec![json!(!value)],
                Value::Number(_) => numbers.map(Value::from).to_vec(),
                Value::String(_) => texts.map(Value::from).to_vec(),
                Value::Array(_) => vec![json!([])],
                Value::Object(map) => {
                    let mut more = map.clone();
                    more.insert("nonsense".to_owned(), json!(1));
                    vec![json!({}), Value::Object(more)]
                }
                Value::Null => Vec::new(),
            };
            for other in others {
                let mut with = object.clone();
                let what = format!(" with {place} {other}");
                *with.pointer_mut(&place).expect("it is there") = other;
                add(what, with);
            }
        }
    }
    for (index, (_, object)) in all.iter_mut().enumerate() {
        object["metadata"]["name"] = name(index).into();
    }
    all
}

/// Every place in a tree, as a JSON pointer.
fn places_in(tree: &Value, path: String, places: &mut Vec<String>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                places_in(value, format!("{path}/{}", key.replace('/', "~1")), places);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places_in(value, format!("{path}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(path);
}

/// The names of those that the API server takes, and what it says of the others.
fn asked(objects: &[(String, Value)]) -> (BTreeSet<String>, String) {
    let (mut accepted, mut refused) = (BTreeSet::new(), String::new());
    for part in objects.chunks(250) {
        // From a file: kubectl stops reading standard input at an object that it cannot decode.
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
        let stream = part.iter().map(|(_, object)| format!("---\n{object}\n")).collect::<Vec<_>>().concat();
        fs::write(file.path(), stream).expect("written");
        let output = Command::new("kubectl")
            .args(["apply", "--dry-run=server", "--output=name", "--filename"])
            .arg(file.path())
            .output()
            .expect("kubectl runs");
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for unanswered in
            ["Unable to connect", "connection refused", "deadline exceeded", "handshake timeout"]
        {
            assert!(!error.contains(unanswered), "the API server did not answer: {unanswered}");
        }
        accepted.extend(out.lines().filter_map(|line| Some(line.rsplit_once('/')?.1.to_owned())));
        refused.push_str(&error);
    }
    (accepted, refused)
}

/// The names of those that `pgk check` finds something in, and what.
fn found(objects: &[(String, Value)]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    for (index, (_, object)) in objects.iter().enumerate() {
        fs::write(folder.path().join(format!("{}.json", name(index))), object.to_string()).expect("written");
    }
    // What cannot be read is left out, and with it what one object says of another.
    fs::write(folder.path().join("unreadable.yaml"), "[").expect("written");
    let output = pgk(["check", folder.path().to_str().expect("UTF-8")]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split("\n\n")
        .filter_map(|finding| {
            let (what, place) = finding.split_once("\n  --> ")?;
            let (file, _) = place.split_once(".json")?;
            Some((file.rsplit_once('/')?.1.to_owned(), what.to_owned()))
        })
        .collect()
}
