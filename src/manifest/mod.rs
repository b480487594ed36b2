//! The check of rendered manifests: each is read back as its Kubernetes type, and the links between them
//! are followed.
//!
//! What the API server would refuse, or would accept but that can never work (a Service that selects no pod,
//! a volume whose ConfigMap lacks a key), is found here, before anyone applies it. Two steps:
//!
//! 1. `typed` reads every document alone, as kubectl and the API server would;
//! 2. `rules` compares the documents with one another, as one namespace would hold them. It is skipped
//!    while a document cannot be read, since every link to that one would look broken.
//!
//! A [`Finding`] is data: which document, which field, what is wrong.

mod files;
mod finding;
mod graph;
mod object;
mod rules;
mod set;
mod typed;
mod update;
mod validation;

#[cfg(test)]
mod tests;

pub use files::{File, Manifests};
pub use finding::Finding;
pub use graph::{Graph, Node};
pub use set::External;
pub use update::{Obstacle, obstacles, replacement};

use serde_json::Value;

use crate::render::Document;
use crate::yaml;

/// Checks manifests, one Kubernetes object each; no finding means that they are good.
#[must_use]
pub fn check(documents: &[Document], external: &External<'_>) -> Vec<Finding> {
    Objects::read(documents).check(external)
}

/// Manifests that were read, one Kubernetes object each, and each of them checked alone.
pub struct Objects {
    /// Those that could be read.
    readable: Vec<object::Object>,
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
            rules::check(&self.all(), external, &mut findings);
        }
        findings
    }

    /// What refers to what among them.
    pub fn graph(&self) -> Graph {
        graph::of(&self.all())
    }

    fn all(&self) -> Vec<&object::Object> {
        self.readable.iter().collect()
    }
}

/// The objects in a document, as kubectl reads them; none if it cannot be read.
pub fn objects(document: &Document) -> Vec<Value> {
    yaml::parse(&document.text).unwrap_or_default()
}
