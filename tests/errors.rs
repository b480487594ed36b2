//! Bad input gets one clear error: what, where, what to do. Each file in `errors/` is a configuration that
//! is wrong in one way; what pgk says of it, to the letter, is its snapshot.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use support::pgk_error;

#[test]
fn wrong_files() {
    insta::glob!("errors/*.yaml", |path| {
        // Relative to the crate, so that the error reads the same everywhere.
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the crate");
        assert_snapshot!(pgk_error(2, ["gen", "q1", "-f", path.to_str().expect("UTF-8")]));
    });
}

#[test]
fn no_such_file() {
    assert_snapshot!(pgk_error(2, ["gen", "q1", "-f", "nowhere.yaml"]));
}

#[test]
fn wrong_settings() {
    let cases = [
        "replicas",
        "=3",
        "replica=3",
        "replicas=many",
        "postgres=17",
        "postgres.versoin=18",
        "postgres.parameters.port=1",
        "postgres.parameters.work mem=1",
        "storage.size=8 Gi",
        "namespace={{ x }}",
        "postgres.user=postgres",
    ];
    let errors = cases.map(|set| pgk_error(2, ["gen", "q1", "--set", set]));
    assert_snapshot!(errors.join("\n"));
}

/// Each right on its own, and not together.
#[test]
fn settings_that_do_not_go_together() {
    let cases: [&[&str]; 4] = [
        &["--strategy", "restore", "--replicas", "0"],
        &["--strategy", "restore", "--set", "q2.durability=asynchronous"],
        &["--strategy", "restore", "--set", "postgres.parameters.summarize_wal=off"],
        &["--set", "q2.durability=available"],
    ];
    let errors = cases.map(|more| pgk_error(2, [&["gen", "q2"], more].concat()));
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_wrong_flag() {
    assert_snapshot!(pgk_error(2, ["gen", "q1", "--namespace", "Bad_Name"]));
}

#[test]
fn an_unknown_scenario() {
    assert_snapshot!(pgk_error(2, ["gen", "q9"]));
}

/// A value of a megabyte is refused in a few lines, and at once.
#[test]
fn huge_values() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pgk.yaml");
    let started = Instant::now();
    for key in ["name: ", "postgres:\n  parameters:\n    work_mem: ", "? "] {
        for size in [900_000, 2_000_000] {
            fs::write(&file, format!("{key}{}\n", "x".repeat(size))).expect("written");
            let error = pgk_error(2, ["gen", "q1", "-f", file.to_str().expect("UTF-8")]);
            assert!(error.len() < 1500, "{} bytes", error.len());
        }
    }
    assert!(started.elapsed() < Duration::from_secs(20));
}
