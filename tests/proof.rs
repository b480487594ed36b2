//! The tables of docs/proof and of the READMEs are those that the raw files in docs/proof/runs come to, and what
//! docs/proof/promises.json names as a test is one.

#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[path = "support/untried.rs"]
mod untried;

use std::process::Command;

#[test]
fn tables_are_made_of_the_raw_files() {
    checked(&["measure/figures.py", "--check"]);
}

/// Each block of shell in the READMEs has a rule in measure/readme.py, which runs them on a cluster.
#[test]
fn every_command_of_the_readmes_is_tried_or_left_out_with_a_reason() {
    checked(&["measure/readme.py", "--check"]);
}

fn checked(program: &[&str]) {
    if !untried::tool("python3") {
        return;
    }
    let mut python = Command::new("python3");
    python.args(program).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = python.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python3 runs");
    let [said, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{said}{error}");
}
