//! Manifests of any text are checked to the end, and what is found can be shown. A line of `----` makes two files of it,
//! which are compared as `pgk diff` does, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pgk::manifest::{External, File, Manifests, obstacles};
use pgk::scenario::{CREDENTIAL_KEYS, Names};

fuzz_target!(|text: &str| {
    let (before, after) = text.split_once("\n----\n").unwrap_or((text, ""));
    let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
    let files = [file("a.yaml", before), file("b.yaml", after)];
    let manifests = Manifests::read(&files);
    let names: Vec<_> = manifests.instances().iter().map(|instance| Names::of(instance)).collect();
    let secrets: Vec<_> =
        names.iter().map(|names| (names.credentials.as_str(), &CREDENTIAL_KEYS[..])).collect();
    for finding in manifests.check(&External { secrets: &secrets, outside: &[] }) {
        let _ = finding.to_string();
    }
    let _ = obstacles([before], [after]);
});
