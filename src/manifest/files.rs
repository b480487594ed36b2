//! The check of manifests as they are in files, which anybody may have written or edited.
//!
//! The rules are those for what pgk renders. What differs is that a file may hold several objects, that objects may
//! be of several namespaces, that some are of kinds that pgk does not know, and that a finding points into the text.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use serde_yaml::Location;

use super::typed::{self, Object};
use super::{External, Finding, links, yaml};
use crate::config::{at, explain, in_file};
use crate::error::{Diagnostic, Place};

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
            complete: true,
        };
        let mut findings = Vec::new();
        for (number, document) in all.documents.iter().enumerate() {
            let trees = match yaml::parse(document.text) {
                Ok(trees) => trees,
                Err(error) => {
                    let help = "kubectl cannot read it either: mend the YAML";
                    let (position, place) = document.place(error.location());
                    all.findings.push(((number, position.0, position.1), explain(&error, help).at(place)));
                    all.complete = false;
                    continue;
                }
            };
            let locations = LazyCell::new(|| yaml::locations(document.text));
            for (within, tree) in trees.into_iter().flat_map(items) {
                let mut object = Object::new(&document.name, within, tree, true);
                let (api_version, kind) = (object.api_version(), object.kind());
                if typed::is_foreign_kind(api_version, kind) {
                    let name = object.name();
                    all.unchecked.push(format!("{api_version} {kind} \"{name}\" ({})", document.name));
                } else if let Some(meant) = typed::meant_kind(api_version, kind) {
                    let (position, place) = document.at(&object.path("kind"), &locations);
                    let what =
                        format!("no known kind of object: apiVersion \"{api_version}\", kind \"{kind}\"");
                    let diagnostic = Diagnostic::new(what).at(place).help(format!("did you mean {meant}?"));
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
                self.objects.iter().partition(|object| links::is_cluster_wide(object));
            let mut namespaces: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
            for object in in_one {
                namespaces.entry(object.namespace()).or_default().push(object);
            }
            if namespaces.is_empty() {
                namespaces.insert("", Vec::new());
            }
            // A role is bound in any namespace. Of the rest no rule asks, such as the Namespaces themselves, of which
            // there may be thousands: it is looked at once.
            let of_roles = |object: &&Object| links::is_of_roles(object);
            let roles: Vec<_> = elsewhere.iter().copied().filter(of_roles).collect();
            for (number, objects) in namespaces.values_mut().enumerate() {
                // The same objects for each namespace, and so perhaps the same findings.
                objects.extend(if number == 0 { &elsewhere } else { &roles });
                links::check(objects, external, &mut findings);
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
            for Finding { path, message, .. } in findings {
                let ((line, column), place) = document.at(&path, &locations);
                let what = if path.is_empty() { message } else { format!("{path}: {message}") };
                self.findings.push(((number, line, column), Diagnostic::new(what).at(place)));
            }
        }
    }
}

/// The objects in a `List`, which `kubectl get -o yaml` prints, each with its path in it; what is no `List` is one.
///
/// Left out is what nobody applies: what a controller made, as a Deployment makes pods, and what the API server says of
/// an object's status, in words that may be newer than pgk.
fn items(mut tree: Value) -> Vec<(String, Value)> {
    let is = |field: &str, text: &str| tree.get(field).and_then(Value::as_str) == Some(text);
    if !is("apiVersion", "v1") || !is("kind", "List") {
        return vec![(String::new(), tree)];
    }
    let mut items = Vec::new();
    let all = tree.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take);
    for (index, mut item) in all.into_iter().flatten().enumerate() {
        if item.pointer("/metadata/ownerReferences").is_none() {
            item.as_object_mut().and_then(|fields| fields.shift_remove("status"));
            items.push((format!("items[{index}]"), item));
        }
    }
    items
}

impl Document<'_> {
    /// Where the field at `path` stands.
    fn at(&self, path: &str, locations: &HashMap<String, Location>) -> ((usize, usize), Place) {
        // What is wrong with the whole object is said of its kind.
        let mut known = if path.is_empty() { "kind" } else { path };
        // What is missing is looked for where it should be.
        while !locations.contains_key(known) && !known.is_empty() {
            known = parent(known);
        }
        self.place(locations.get(known).copied())
    }

    /// Line and column in the file, and the place to show.
    fn place(&self, location: Option<Location>) -> ((usize, usize), Place) {
        let Some((line, column)) = location.and_then(at) else {
            return ((0, 0), in_file(&self.file.path, "", None));
        };
        let in_whole = (line + self.before, column);
        let place = match line.checked_sub(1).and_then(|index| self.lines.get(index)) {
            Some(&text) => {
                let position = Some((in_whole.0, column, text.to_owned()));
                Place::File { path: self.file.path.clone(), position }
            }
            // It ends before what is missing.
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
