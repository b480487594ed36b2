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

#[test]
fn the_example_of_all_defaults_is_the_default() {
    assert_eq!(pgk_stdout(["gen", "q1", "-f", "examples/q1.yaml"]), pgk_stdout(["gen", "q1"]));
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
    let checked_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tp8/Q1");
    let parent = tempfile::tempdir().expect("a folder");
    let fresh = parent.path().join("Q1");
    pgk_stdout(["gen", "q1", "-o", fresh.to_str().expect("UTF-8")]);
    assert_eq!(folder(&checked_in), folder(&fresh));
}

#[test]
fn a_folder_holds_the_stream_and_its_readme_names_every_file() {
    for lang in ["fr", "en"] {
        let parent = tempfile::tempdir().expect("a folder");
        let path = parent.path().join("out");
        pgk_stdout(["gen", "q1", "--lang", lang, "-o", path.to_str().expect("UTF-8")]);
        let files = folder(&path);
        let manifests: Vec<_> = files.iter().filter(|(name, _)| name.contains(".yaml")).collect();
        let stream: String = manifests.iter().flat_map(|(_, text)| ["---\n", text]).collect();
        assert_eq!(stream, pgk_stdout(["gen", "q1", "--lang", lang]));
        let readme = &files.iter().find(|(name, _)| name == "README.md").expect("a README").1;
        for (name, _) in manifests {
            assert!(readme.contains(&format!("`{name}`")), "the {lang} README does not name {name}");
        }
    }
}
