//! The templates, embedded in the binary.

use std::sync::atomic::{AtomicBool, Ordering};

/// A template.
#[derive(Debug)]
pub(super) struct Template {
    /// Its path below `templates/`.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
    /// If there are no values in it.
    pub(super) fixed: Option<Fixed>,
    used: AtomicBool,
}

/// What is known of a file without values, the same in every instance.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    /// The template's name.
    pub(super) name: &'static str,
    /// The file as it stands in a `ConfigMap`.
    pub(super) block: &'static str,
    /// Of its text.
    pub(super) sha256: [u8; 32],
}

impl Template {
    const fn new(name: &'static str, text: &'static str, fixed: Option<Fixed>) -> Self {
        Self { name, text, fixed, used: AtomicBool::new(false) }
    }

    /// Whether this was asked before.
    pub(super) fn is_used_again(&self) -> bool {
        self.used.swap(true, Ordering::Relaxed)
    }
}

// ALL of them, sorted by their names.
include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The template `name`.
pub(super) fn find(name: &str) -> Option<&'static Template> {
    let at = ALL.binary_search_by_key(&name, |template| template.name).ok()?;
    ALL.get(at)
}

/// The template `name`, if there are no values in it.
pub(super) fn fixed(name: &str) -> Option<&'static Fixed> {
    find(name)?.fixed.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn every_template_is_found() {
        assert!(ALL.is_sorted_by(|one, next| one.name < next.name));
        let tend = find("q2/tend.py").unwrap();
        assert_eq!((tend.name, tend.text), ("q2/tend.py", include_str!("../../templates/q2/tend.py")));
        assert!(find("q2/tend").is_none());
    }

    #[test]
    fn a_file_without_values_is_its_template() {
        let all: Vec<_> = ALL.iter().filter_map(|it| Some((it.text, it.fixed.as_ref()?))).collect();
        assert!(all.len() > 30);
        for (text, Fixed { block, sha256, .. }) in all {
            assert_eq!(Sha256::digest(text)[..], sha256[..]);
            let read: Value = serde_yaml::from_str(&format!("data:\n  a: {block}\n  b: c\n")).unwrap();
            assert_eq!(read, json!({"data": {"a": text, "b": "c"}}));
        }
    }
}
