//! Rendered documents out: a stream or a folder.

mod folder;

pub use folder::{Change, LIST, changes, refuse, write_folder};

use std::iter;

use crate::render::Document;

/// The manifests as one YAML stream, in the order given, in parts.
pub fn stream<'a>(manifests: impl IntoIterator<Item = &'a Document>) -> impl Iterator<Item = &'a str> {
    manifests.into_iter().flat_map(|document| iter::once("---\n").chain(document.text.parts()))
}
