//! Every example rendered, and what is checked in under `tp8/`. A new file in `examples/` is a new test;
//! its name starts with its scenario's. `just accept` takes the output as it is now for right.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use support::pgk_stdout;

/// The name of a file without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn examples_render_as_before() {
    insta::glob!("..", "examples/*.yaml", |path| {
        let name = stem(path);
        let scenario = name.split('-').next().expect("a scenario");
        insta::assert_snapshot!(pgk_stdout(["gen", scenario, "-f", path.to_str().expect("UTF-8")]));
    });
}

/// What is checked in under `tp8/`: a scenario and its folder.
const TP8: [(&str, &str); 2] = [("q1", "Q1"), ("q2", "Q2")];

#[test]
fn the_example_of_all_defaults_is_the_default() {
    for (scenario, _) in TP8 {
        let example = format!("examples/{scenario}.yaml");
        assert_eq!(pgk_stdout(["gen", scenario, "-f", &example]), pgk_stdout(["gen", scenario]));
    }
}

/// The files of a folder and their texts, in order of their names.
fn folder(path: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(path)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("text"))
        })
        .collect();
    files.sort();
    files
}

/// `just tp8` renders it again.
#[test]
fn tp8_is_what_pgk_renders() {
    for (scenario, name) in TP8 {
        let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tp8").join(name);
        let parent = tempfile::tempdir().expect("a folder");
        let fresh = parent.path().join(name);
        pgk_stdout(["gen", scenario, "-o", fresh.to_str().expect("UTF-8")]);
        assert_eq!(folder(&checked_in), folder(&fresh));
    }
}

#[test]
fn a_folder_holds_the_stream_and_its_readme_names_every_file() {
    let settings =
        ["lang=fr", "lang=en", "q2.dcs=configmaps", "q2.durability=asynchronous", "q2.fast-failover=false"];
    for (scenario, setting) in
        TP8.iter().flat_map(|(scenario, _)| settings.map(|setting| (scenario, setting)))
    {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("out");
        pgk_stdout(["gen", scenario, "--set", setting, "-o", path.to_str().expect("UTF-8")]);
        let files = folder(&path);
        let manifests: Vec<_> = files.iter().filter(|(name, _)| name.contains(".yaml")).collect();
        let stream: String = manifests.iter().flat_map(|(_, text)| ["---\n", text]).collect();
        assert_eq!(stream, pgk_stdout(["gen", scenario, "--set", setting]));
        let readme = &files.iter().find(|(name, _)| name == "README.md").expect("a README").1;
        for (name, _) in manifests {
            assert!(
                readme.contains(&format!("`{name}`")),
                "README of {scenario} {setting} does not name {name}"
            );
        }
    }
}
