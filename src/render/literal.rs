//! Text as a literal block of YAML. The build does it too (`build.rs`): there is nothing else of pgk in here.

/// How deep a `ConfigMap`'s files are indented under its `data`.
pub(crate) const INDENT: usize = 4;

/// A literal block scalar (`|`), its lines indented by `indent` spaces; `None` where a block cannot hold the text as it
/// is.
pub(crate) fn block(text: &str, indent: usize) -> Option<String> {
    if text.is_empty() || text.starts_with([' ', '\t', '\n']) || !is_literal(text) {
        return None;
    }
    // `|-`, `|` and `|+` keep no, one and all line ends at the end of the text.
    let (mark, body) = match text.strip_suffix('\n') {
        None => ("|-", text),
        Some(body) if body.ends_with('\n') => ("|+", body),
        Some(body) => ("|", body),
    };
    let pad = " ".repeat(indent);
    let mut block = String::with_capacity(text.len() + text.len() / 8 + 64);
    block.push_str(mark);
    for line in body.split('\n') {
        block.extend(["\n", if line.is_empty() { "" } else { &pad }, line]);
    }
    Some(block)
}

/// Whether each character may stand in YAML as it is, and none but `\n` ends a line.
pub(crate) fn is_literal(text: &str) -> bool {
    let holds = |c| matches!(c, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7fe}');
    // Files of a hundred kilobytes, most of them ASCII: all bytes at once is several times faster.
    let ascii = |b| matches!(b, b'\n' | b'\t' | b' '..=b'~');
    text.bytes().fold(true, |all, b| all & ascii(b)) || text.chars().all(holds)
}
