//! The check of rendered manifests.
