//! Templates in, documents out.

/// A rendered file: its name in the folder and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name in the output folder, for example `07-service-rw.yaml`.
    pub path: String,
    /// The whole text. A manifest holds one Kubernetes object.
    pub text: String,
}
