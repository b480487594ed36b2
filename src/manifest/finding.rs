//! What is wrong, and in which field.

use std::fmt;

use crate::yaml::field;

/// One thing that is wrong with the rendered manifests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File name of the document, for example `09-statefulset.yaml`.
    pub document: String,
    /// The field, for example `spec.template.spec.containers[0].ports`; empty for the whole document.
    pub path: String,
    /// What is wrong with it, in a phrase that follows the path.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { document, path, message, .. } = self;
        if path.is_empty() {
            write!(f, "{document}: {message}")
        } else {
            write!(f, "{document}: {path}: {message}")
        }
    }
}

/// Where something stands in an object. It is written out where something is wrong alone: nearly never.
pub(super) enum Path<'a> {
    Whole,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The keys that lead here, from the whole; `None` is an item of a list.
    pub(super) fn steps(&self) -> Vec<Option<&'a str>> {
        let (outer, step) = match self {
            Path::Whole => return Vec::new(),
            Path::Field(outer, key) => (outer, Some(*key)),
            Path::Item(outer, _) => (outer, None),
        };
        let mut steps = outer.steps();
        steps.push(step);
        steps
    }
}

impl From<&Path<'_>> for String {
    fn from(path: &Path<'_>) -> Self {
        match path {
            Path::Whole => String::new(),
            Path::Field(path, key) => field(&String::from(*path), key),
            Path::Item(path, index) => format!("{}[{index}]", String::from(*path)),
        }
    }
}
