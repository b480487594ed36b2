//! Rendered documents out: a stream or a folder.

mod folder;

pub use folder::{Change, LIST, changes, refuse, write_folder};

use crate::render::Document;

/// The manifests as one YAML stream, in the order given.
pub fn stream<'a>(manifests: impl IntoIterator<Item = &'a Document>) -> String {
    manifests.into_iter().flat_map(|document| ["---\n", document.text.as_str()]).collect()
}
