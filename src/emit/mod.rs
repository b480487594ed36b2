//! Rendered documents out: a stream or a folder.

mod folder;
mod signals;
mod unified;

pub use folder::{
    Change, Edited, LIST, changes, is_as_written, is_ours, is_there, refuse, refuse_edits, write_file,
    write_folder,
};
pub use unified::unified;

use crate::render::Document;

/// The manifests as one YAML stream, in the order given, in parts.
pub fn stream<'a>(manifests: impl IntoIterator<Item = &'a Document>) -> impl Iterator<Item = &'a str> {
    manifests.into_iter().flat_map(|document| ["---\n", &document.text])
}
