//! A configuration of any text is a plan, or errors that can be shown: as the file, and line by line as the settings of
//! `--set`.
#![no_main]

use std::fs;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pgk::config::{self, Scenario, Sources};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|text: &str| {
    let path = FOLDER.path().join("pgk.yaml");
    fs::write(&path, text).expect("written");
    let file = Sources { file: Some(path), scenario: Some(Scenario::Q3), ..Sources::default() };
    // q2 says the most of what is set without effect.
    let set = text.lines().map(ToOwned::to_owned).collect();
    let set = Sources { set, scenario: Some(Scenario::Q2), ..Sources::default() };
    for sources in [file, set] {
        if let Err(error) = config::load(&sources) {
            let (shown, is_of_the_user) = pgk::error::report(&error);
            assert!(is_of_the_user, "a defect of pgk: {shown}");
        }
    }
});
