//! What settings and manifests have in common: how YAML is read, where things stand in it, and how an error of it is said.

mod kubectl;
mod node;
mod wrong;

pub(crate) use kubectl::{STACK, locations, parse, parse_any};
pub(crate) use node::{At, Key, Node, Value, unclosed};
pub(crate) use wrong::{Words, at, diagnose, explain, in_file, not_closed, what_is_wrong};

/// The path of a field of the object at `path`.
pub(crate) fn field(path: &str, key: &str) -> String {
    // A label such as `app.kubernetes.io/name` would read as three fields.
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        format!("{path}[\"{key}\"]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
