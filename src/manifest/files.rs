//! The check of manifests as they are in files, which anybody may have written or edited.
//!
//! The rules are those for what pgk renders. What differs is that a file may hold several objects, that objects may
//! be of several namespaces, that some are of kinds that pgk does not know, and that a finding points into the text.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use serde_yaml::Location;

use super::finding::Finding;
use super::object::{Object, is_foreign_kind, is_known_kind, meant_kind};
use super::set::{External, is_cluster_wide, is_of_roles};
use super::{rules, typed};
use crate::error::{Diagnostic, Place, similar};
use crate::yaml::{self, At, at, explain, in_file, not_closed, unclosed};

/// A file of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path, as an error shows it.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// What was read from files, each object checked alone.
pub struct Manifests<'a> {
    documents: Vec<Document<'a>>,
    objects: Vec<Object>,
    /// What is wrong, each with where it is to be sorted: its document, then its line and column.
    findings: Vec<(Position, Diagnostic)>,
    unchecked: Vec<String>,
    /// The namespaces that these are in.
    others: BTreeSet<String>,
    /// Whether every object could be read: what links to one that could not would look broken.
    complete: bool,
}

type Position = (usize, usize, usize);

/// One document of a file.
struct Document<'a> {
    file: &'a File,
    text: &'a str,
    /// Its lines: there may be a finding a line.
    lines: Vec<&'a str>,
    /// How many lines of the file stand before it.
    before: usize,
    /// What messages call it: the file, with the line where it begins unless it is the first.
    name: String,
}

impl<'a> Manifests<'a> {
    /// Reads `files`, and checks each object alone.
    pub fn read(files: &'a [File]) -> Self {
        let documents = files.iter().flat_map(documents).collect();
        let mut all = Self {
            documents,
            objects: Vec::new(),
            findings: Vec::new(),
            unchecked: Vec::new(),
            others: BTreeSet::new(),
            complete: true,
        };
        let mut findings = Vec::new();
        for (number, document) in all.documents.iter().enumerate() {
            let trees = match yaml::parse_any(document.text) {
                Ok(trees) => trees,
                Err(error) => {
                    let (diagnostic, error_at) = match unclosed(document.text) {
                        Some((bracket, bracket_at)) => (not_closed(bracket), Some(bracket_at)),
                        None => (explain(&error, &typed::WORDS), error.location().and_then(at)),
                    };
                    let (position, place) = document.place(error_at);
                    let diagnostic = diagnostic.at(place);
                    all.findings.push(((number, position.0, position.1), diagnostic));
                    all.complete = false;
                    continue;
                }
            };
            let locations = LazyCell::new(|| yaml::locations(document.text));
            for (within, tree) in trees.into_iter().flat_map(items) {
                let mut object = Object::new(&document.name, within, tree, true);
                let (api_version, kind) = (object.api_version(), object.kind());
                if is_foreign_kind(api_version, kind) {
                    let name = object.name();
                    all.unchecked.push(format!("{api_version} {kind} \"{name}\" ({})", document.name));
                    all.others.insert(object.namespace().to_owned());
                } else if let Some((path, what, help)) = no_kind(&object) {
                    let (position, place) = document.at(&object.path(path), &locations);
                    let diagnostic = Diagnostic { help, ..Diagnostic::new(what).at(place) };
                    all.findings.push(((number, position.0, position.1), diagnostic));
                    all.complete = false;
                } else if typed::check(&mut object, &mut findings) {
                    all.objects.push(object);
                } else {
                    all.complete = false;
                }
            }
        }
        all.point(findings);
        all
    }

    /// How many objects were read.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is nothing: no object, and nothing wrong.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.findings.is_empty() && self.unchecked.is_empty()
    }

    /// The objects of kinds that pgk does not know, which are not checked: kind, name and place of each.
    pub fn unchecked(&self) -> &[String] {
        &self.unchecked
    }

    /// Whether everything could be read, so that the links are checked too.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The instances of which pgk rendered an object, by its labels.
    pub fn instances(&self) -> BTreeSet<String> {
        let label = |object: &Object, key: &str| {
            let labels = object.tree.pointer("/metadata/labels")?;
            Some(labels.get(key)?.as_str()?.to_owned())
        };
        let own = |object: &&Object| label(object, "app.kubernetes.io/managed-by").as_deref() == Some("pgk");
        self.objects
            .iter()
            .filter(own)
            .filter_map(|object| label(object, "app.kubernetes.io/instance"))
            .collect()
    }

    /// Checks the links between the objects, and gives all that is wrong, in the order of the files. The links are
    /// left out while an object cannot be read.
    pub fn check(mut self, external: &External<'_>) -> Vec<Diagnostic> {
        if self.complete {
            let mut findings = Vec::new();
            let (elsewhere, in_one): (Vec<_>, Vec<_>) =
                self.objects.iter().partition(|object| is_cluster_wide(object));
            let mut namespaces: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
            for object in in_one {
                namespaces.entry(object.namespace()).or_default().push(object);
            }
            if namespaces.is_empty() {
                namespaces.insert("", Vec::new());
            }
            // A role may be bound in any namespace. No rule asks for the other cluster-wide objects, such as the Namespaces
            // themselves; there may be thousands of them, so they are checked once.
            let of_roles = |object: &&Object| is_of_roles(object);
            let roles: Vec<_> = elsewhere.iter().copied().filter(of_roles).collect();
            // An object without a namespace may be in the one that another object names: only `kubectl` knows.
            let named = |objects: &Vec<&Object>| -> Vec<_> {
                objects.iter().map(|object| (object.kind().to_owned(), object.name().to_owned())).collect()
            };
            let nowhere = namespaces.get("").map(named).unwrap_or_default();
            let somewhere: Vec<_> = namespaces
                .iter()
                .filter(|(name, _)| !name.is_empty())
                .flat_map(|(_, objects)| named(objects))
                .collect();
            for (number, (namespace, objects)) in namespaces.iter_mut().enumerate() {
                // The same objects are checked with each namespace, so findings may repeat.
                objects.extend(if number == 0 { &elsewhere } else { &roles });
                let perhaps = if namespace.is_empty() { &somewhere } else { &nowhere };
                let others = self.others.contains(*namespace) || !perhaps.is_empty();
                let outside: Vec<_> = external.outside.iter().chain(perhaps).cloned().collect();
                rules::check(objects, &External { others, outside: &outside, ..*external }, &mut findings);
            }
            findings.sort();
            findings.dedup();
            self.point(findings);
        }
        self.findings.sort_by_key(|(position, _)| *position);
        self.findings.into_iter().map(|(_, diagnostic)| diagnostic).collect()
    }

    /// Adds `findings`, with where they are.
    fn point(&mut self, findings: Vec<Finding>) {
        let mut by_document: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for finding in findings {
            by_document.entry(finding.document.clone()).or_default().push(finding);
        }
        for (number, document) in self.documents.iter().enumerate() {
            let Some(findings) = by_document.remove(&document.name) else { continue };
            let locations = yaml::locations(document.text);
            for Finding { path, message, help, .. } in findings {
                let ((line, column), place) = document.at(&path, &locations);
                let what = if path.is_empty() { message } else { format!("{path}: {message}") };
                let diagnostic = Diagnostic { help, ..Diagnostic::new(what).at(place) };
                self.findings.push(((number, line, column), diagnostic));
            }
        }
    }
}

/// Where it is wrong that an object is of a kind that there is not, what is wrong, and what to do; `None` if it is of one.
fn no_kind(object: &Object) -> Option<(&'static str, String, Option<String>)> {
    let (api_version, kind) = (object.api_version(), object.kind());
    if is_known_kind(api_version, kind) {
        return None;
    }
    for (key, value) in [("apiVersion", api_version), ("kind", kind)] {
        let keys = object.tree.as_object().into_iter().flat_map(serde_json::Map::keys);
        if value.is_empty()
            && let Some(meant) = similar(key, keys.map(String::as_str))
            && meant != key
        {
            return Some((
                "",
                format!("this is not a Kubernetes object: it has no {key}"),
                Some(format!("did you mean `{key}`, not `{meant}`?")),
            ));
        }
    }
    if api_version.is_empty() && kind.is_empty() {
        return Some((
            "",
            "this is not a Kubernetes object: it has neither apiVersion nor kind".to_owned(),
            Some(
                "`pgk check` is for manifests; `pgk gen SCENARIO -f FILE` checks a configuration of pgk"
                    .to_owned(),
            ),
        ));
    }
    let help = meant_kind(api_version, kind).map(|meant| format!("did you mean {meant}?"));
    Some(("kind", format!("no known kind of object: apiVersion \"{api_version}\", kind \"{kind}\""), help))
}

/// The objects in a list, such as the `v1 List` that `kubectl get -o yaml` prints, or a `ConfigMapList`; each with its path
/// in it. What is no list is one.
///
/// Left out is what nobody applies: what a controller made, as a Deployment makes pods, and what the API server says of
/// an object's status, in words that may be newer than pgk.
fn items(mut tree: Value) -> Vec<(String, Value)> {
    let text = |field: &str| tree.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let of = match kind.strip_suffix("List") {
        Some("") if api_version == "v1" => None,
        Some(of)
            if !of.is_empty()
                && tree.get("items").is_some_and(|items| items.is_array() || items.is_null()) =>
        {
            Some(of)
        }
        _ => return vec![(String::new(), tree)],
    };
    let mut items = Vec::new();
    let all = tree.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    for (index, mut item) in all.into_iter().flatten().enumerate() {
        if item.pointer("/metadata/ownerReferences").is_none() {
            if let Some(fields) = item.as_object_mut() {
                fields.shift_remove("status");
                // kubectl adds the list's kind and version to each item.
                if let Some(of) = of.filter(|_| !fields.contains_key("kind")) {
                    fields.insert("kind".to_owned(), of.into());
                    fields.insert("apiVersion".to_owned(), api_version.as_str().into());
                }
            }
            items.push((format!("items[{index}]"), item));
        }
    }
    items
}

impl Document<'_> {
    /// Where the field at `path` stands.
    fn at(&self, path: &str, locations: &HashMap<String, Location>) -> (At, Place) {
        // A finding about the whole object points to its kind.
        let mut known = if path.is_empty() { "kind" } else { path };
        // A finding about a missing field points to its parent.
        while !locations.contains_key(known) && !known.is_empty() {
            known = parent(known);
        }
        self.place(locations.get(known).copied().and_then(at))
    }

    /// Line and column in the file, and the place to show.
    fn place(&self, position: Option<At>) -> (At, Place) {
        let Some((line, column)) = position else {
            return ((0, 0), in_file(&self.file.path, "", None));
        };
        let in_whole = (line + self.before, column);
        let place = match line.checked_sub(1).and_then(|index| self.lines.get(index)) {
            Some(&text) => {
                let position = Some((in_whole.0, column, text.to_owned()));
                Place::File { path: self.file.path.clone(), position }
            }
            // The file ends before the missing field.
            None => in_file(&self.file.path, &self.file.text, Some(in_whole)),
        };
        (in_whole, place)
    }
}

/// The path of what holds the field at `path`.
fn parent(path: &str) -> &str {
    let end = if path.ends_with("\"]") {
        path.rfind("[\"")
    } else if path.ends_with(']') {
        path.rfind('[')
    } else {
        path.rfind('.')
    };
    end.and_then(|end| path.get(..end)).unwrap_or_default()
}

/// The documents of a file: what stands between lines of `---`, as kubectl splits it. A mistake in one so hides
/// nothing in the others.
fn documents(file: &File) -> Vec<Document<'_>> {
    let mut documents = Vec::new();
    let (mut start, mut end, mut before) = (0, 0, 0);
    let mut add = |start: usize, end: usize, before: usize| {
        let text = file.text.get(start..end).unwrap_or_default();
        let content = |line: &str| !(line.trim().is_empty() || line.trim_start().starts_with('#'));
        let Some(first) = text.lines().position(content) else { return };
        let name = match documents.len() {
            0 => file.path.clone(),
            _ => format!("{}:{}", file.path, before + first + 1),
        };
        documents.push(Document { file, text, lines: text.lines().collect(), before, name });
    };
    for (number, line) in file.text.split_inclusive('\n').enumerate() {
        if line
            .strip_prefix("---")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
        {
            add(start, end, before);
            start = end + line.len();
            before = number + 1;
        }
        end += line.len();
    }
    add(start, end, before);
    documents
}
