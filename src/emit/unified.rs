//! The difference of two texts, as `diff -u` prints it.

use similar::TextDiff;

/// A unified diff of two texts of one path; `None` where there is no such text.
pub fn unified(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let header = |side: Option<&str>| side.map_or("/dev/null", |_| path);
    let lines = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    lines.unified_diff().header(header(before), header(after)).to_string()
}
