//! A configuration that is accepted is rendered, and the check finds nothing wrong with what it becomes.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use pgk::config::{self, Scenario, Sources};
use pgk::scenario;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|text: &str| -> Corpus {
    let path = FOLDER.path().join("pgk.yaml");
    fs::write(&path, text).expect("written");
    let mut corpus = Corpus::Reject;
    for scenario in Scenario::NAMED {
        let sources = Sources { file: Some(path.clone()), scenario: Some(scenario), ..Sources::default() };
        if let Ok(plan) = config::load(&sources) {
            scenario::render(scenario, &plan).expect("what is accepted is rendered");
            corpus = Corpus::Keep;
        }
    }
    corpus
});
