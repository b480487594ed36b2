//! The check of rendered manifests: each is read back as its Kubernetes type, and the links between them
//! are followed.
//!
//! What the API server would refuse, or would accept and never make work (a Service that selects no pod,
//! a volume whose ConfigMap lacks a key), is found here, before anyone applies it. Two steps:
//!
//! 1. `typed` reads every document alone, as kubectl and the API server would;
//! 2. `links` compares the documents with one another, as one namespace would hold them. It is skipped
//!    while a document cannot be read, since every link to that one would look broken.
//!
//! A [`Finding`] is data: which document, which field, what is wrong.

mod files;
mod graph;
mod kept;
mod links;
mod pods;
mod references;
mod selectors;
mod typed;
mod update;
mod usual;
mod yaml;

#[cfg(test)]
mod tests;

use std::fmt;

pub use files::{File, Manifests};
pub use graph::{Graph, Node};
pub use update::{Obstacle, obstacles, replacement};

use serde_json::Value;

use crate::render::Document;

/// One thing that is wrong with the rendered manifests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File name of the document, for example `09-statefulset.yaml`.
    pub document: String,
    /// The field, for example `spec.template.spec.containers[0].ports`; empty for the whole document.
    pub path: String,
    /// What is wrong with it, in a phrase that follows the path.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { document, path, message } = self;
        if path.is_empty() {
            write!(f, "{document}: {message}")
        } else {
            write!(f, "{document}: {path}: {message}")
        }
    }
}

/// Objects that the manifests may refer to though they don't contain them.
#[derive(Debug, Clone, Copy, Default)]
pub struct External<'a> {
    /// Name of each Secret, and the keys that it has.
    pub secrets: &'a [(&'a str, &'a [&'a str])],
    /// Kind and name of anything else, of which nothing more is known.
    pub outside: &'a [(String, String)],
}

/// Checks manifests, one Kubernetes object each; no finding means that they are good.
///
/// ```
/// use pgk::manifest::{External, check};
/// use pgk::render::Document;
///
/// let text = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: pg\n  labels:\n    standby: off\n";
/// let document = Document { path: "01-sa.yaml".to_owned(), text: text.into() };
/// let findings = check(&[document], &External::default());
/// assert_eq!(
///     findings[0].to_string(),
///     "01-sa.yaml: metadata.labels.standby: invalid type: boolean `false`, expected a string"
/// );
/// ```
#[must_use]
pub fn check(documents: &[Document], external: &External<'_>) -> Vec<Finding> {
    Objects::read(documents).check(external)
}

/// Manifests that were read, one Kubernetes object each, and each of them checked alone.
pub struct Objects {
    /// Those that could be read.
    readable: Vec<typed::Object>,
    findings: Vec<Finding>,
    /// Whether all could be.
    complete: bool,
}

impl Objects {
    /// Reads `documents`.
    pub fn read(documents: &[Document]) -> Self {
        let mut findings = Vec::new();
        let readable: Vec<_> =
            documents.iter().filter_map(|document| typed::read(document, &mut findings)).collect();
        Self { complete: readable.len() == documents.len(), readable, findings }
    }

    /// What is wrong with them, each alone and together.
    #[must_use]
    pub fn check(&self, external: &External<'_>) -> Vec<Finding> {
        let mut findings = self.findings.clone();
        if self.complete {
            links::check(&self.all(), external, &mut findings);
        }
        findings
    }

    /// What refers to what among them.
    pub fn graph(&self) -> Graph {
        graph::of(&self.all())
    }

    fn all(&self) -> Vec<&typed::Object> {
        self.readable.iter().collect()
    }
}

/// The objects in a document, as kubectl reads them; none if it cannot be read.
pub fn objects(document: &Document) -> Vec<Value> {
    yaml::parse(&document.text.to_string()).unwrap_or_default()
}

/// The path of a field of the object at `path`.
fn field(path: &str, key: &str) -> String {
    // A label such as `app.kubernetes.io/name` would read as three fields.
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        format!("{path}[\"{key}\"]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
