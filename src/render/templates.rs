//! The templates, embedded in the binary.

// ALL of them: their paths below `templates/`, in order, and their texts.
include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// The text of the template `name`.
pub(super) fn find(name: &str) -> Option<&'static str> {
    let at = ALL.binary_search_by_key(&name, |(name, _)| name).ok()?;
    ALL.get(at).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_found() {
        assert!(ALL.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(find("patroni/tend.py"), Some(include_str!("../../templates/patroni/tend.py")));
        assert!(find("patroni/tend").is_none());
    }
}
