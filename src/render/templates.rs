//! The templates, embedded in the binary.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::digest::Output;
use sha2::{Digest, Sha256};

/// A template.
#[derive(Debug)]
pub(super) struct Template {
    /// Its path below `templates/`.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// If there are no values in it: the file as it stands in a `ConfigMap`.
    pub(super) block: Option<&'static str>,
    used: AtomicBool,
    sha256: OnceLock<Output<Sha256>>,
}

impl Template {
    const fn new(name: &'static str, text: &'static str, block: Option<&'static str>) -> Self {
        Self { name, text, block, used: AtomicBool::new(false), sha256: OnceLock::new() }
    }

    /// Whether this was asked before.
    pub(super) fn is_used_again(&self) -> bool {
        self.used.swap(true, Ordering::Relaxed)
    }

    /// The SHA-256 of its text, made once: there may be many instances.
    pub(super) fn sha256(&self) -> &Output<Sha256> {
        self.sha256.get_or_init(|| Sha256::digest(self.text))
    }
}

// ALL of them, sorted by their names.
include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The template `name`.
pub(super) fn find(name: &str) -> Option<&'static Template> {
    let at = ALL.binary_search_by_key(&name, |template| template.name).ok()?;
    ALL.get(at)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_template_is_found() {
        assert!(ALL.is_sorted_by(|one, next| one.name < next.name));
        let tend = find("q2/tend.py").unwrap();
        assert_eq!((tend.name, tend.text), ("q2/tend.py", include_str!("../../templates/q2/tend.py")));
        assert!(find("q2/tend").is_none());
    }

    #[test]
    fn a_block_is_its_template() {
        let blocks: Vec<_> = ALL.iter().filter_map(|it| Some((it.text, it.block?))).collect();
        assert!(blocks.len() > 30);
        for (text, block) in blocks {
            let read: Value = serde_yaml::from_str(&format!("data:\n  a: {block}\n  b: c\n")).unwrap();
            assert_eq!(read, json!({"data": {"a": text, "b": "c"}}));
        }
    }
}
