//! `pgk graph`: what it draws, to the letter.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;

use insta::assert_snapshot;
use support::{pgk_error, pgk_stdout};

#[test]
fn mermaid() {
    let cases: [(&str, &[&str]); 5] = [
        ("q1", &["q1"]),
        ("q2", &["q2"]),
        ("q2-restore", &["q2", "--strategy", "restore"]),
        ("q3", &["q3"]),
        ("q3-s3", &["q3", "-f", "examples/q3-s3.yaml"]),
    ];
    for (name, what) in cases {
        assert_snapshot!(name, pgk_stdout([&["graph"], what].concat()));
    }
}

#[test]
fn svg() {
    assert_snapshot!(pgk_stdout(["graph", "q1", "--svg"]));
}

/// The README of the folder shows the same.
#[test]
fn the_readme_shows_it() {
    for (scenario, lang) in [("q1", "fr"), ("q2", "en"), ("q3", "fr"), ("q3", "en")] {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = ["--lang", lang, "--set", "name=shop"];
        let path = folder.path().to_str().expect("UTF-8");
        pgk_stdout([&["gen", scenario, "-o", path], &settings[..]].concat());
        let readme = fs::read_to_string(folder.path().join("README.md")).expect("text");
        let graph = pgk_stdout([&["graph", scenario], &settings[..]].concat());
        assert!(readme.contains(&format!("\n```mermaid\n{graph}```\n")), "{scenario} {lang}");
    }
}

#[test]
fn a_graph_is_of_one_instance() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        fs::write(folder.path().join(format!("{name}.yaml")), format!("name: {name}\n")).expect("written");
    }
    let error = pgk_error(2, ["graph", "q1", "-f", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(error, "error: a graph shows one instance\nhelp: give the path of one file after -f\n");
}
