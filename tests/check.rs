//! `pgk check`: each file in `check/` is good, or wrong in one way; what pgk says of it, to the letter, is its
//! snapshot.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use support::{pgk, pgk_error, pgk_reading, pgk_stdout};

/// The exit status and all that is printed.
fn check(arguments: &[&str]) -> String {
    let output = pgk([&["check"], arguments].concat());
    let status = output.status.code().expect("it ends by itself");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    format!("{}{}exit status {status}\n", text(output.stdout), text(output.stderr))
}

#[test]
fn files() {
    insta::glob!("check/*.yaml", |path| {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("in the crate");
        assert_snapshot!(check(&[path.to_str().expect("UTF-8")]));
    });
}

#[test]
fn what_pgk_renders_is_good() {
    for (folder, objects) in [("Q1", 8), ("Q2", 9), ("Q2/restore", 10), ("Q3", 15), ("Q3/s3", 13)] {
        let path = format!("tp8/{folder}");
        assert_eq!(pgk_stdout(["check", &path]), format!("{objects} objects checked: nothing is wrong\n"));
        // An edited folder: what is found stands in the file that was edited.
        let parent = tempfile::tempdir().expect("a folder");
        for entry in fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.extension().is_some_and(|ending| ending == "yaml") {
                let text = fs::read_to_string(&entry)
                    .expect("text")
                    .replace("secretName: pg-cred", "secretName: pg-kred");
                fs::write(parent.path().join(entry.file_name().expect("a name")), text).expect("written");
            }
        }
        let output = pgk(["check", parent.path().to_str().expect("UTF-8")]);
        let found = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            found.contains("no Secret named \"pg-kredentials\" is among the manifests\n  --> "),
            "{found}"
        );
    }
}

/// The stream, with and without the Secrets that it refers to.
#[test]
fn a_stream() {
    for with_secret in [false, true] {
        let more = if with_secret { &["--with-secret"][..] } else { &[] };
        let stream = pgk_stdout([&["gen", "q3"], more].concat());
        let objects = if with_secret { 17 } else { 15 };
        assert_eq!(
            pgk_reading(&["check", "-"], &stream),
            format!("{objects} objects checked: nothing is wrong\n")
        );
    }
}

/// As `kubectl apply -f` reads a folder: by the ending of a file's name, and not what is in folders below.
#[test]
fn a_folder_is_read_as_kubectl_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let account = |name: &str| format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n");
    write("a.yaml", &account("a"));
    write("b.yml", &account("b"));
    write("c.json", r#"{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "c"}}"#);
    write("README.md", "[");
    write("Kustomization", "[");
    write("below/d.yaml", "[");
    let path = folder.path().to_str().expect("UTF-8");
    assert_eq!(check(&[path]), "3 objects checked: nothing is wrong\nexit status 0\n");
}

#[test]
fn what_comes_from_elsewhere_is_told() {
    let path = "tests/check/missing-references.yaml";
    assert!(!check(&[path, "--outside", "ConfigMap/web-confg"]).contains("no ConfigMap"));
    assert!(check(&[path, "--outside", "Secret/web-confg"]).contains("no ConfigMap"));
}

/// What a cluster of thousands of namespaces holds, and as many mistakes: the time grows with the size, not with its
/// square.
#[test]
fn much() {
    let namespace = |n| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{n}}}\n---\n");
    let account =
        |n| format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: a, namespace: n{n}}}\n---\n");
    let mistake = |n| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a{n}}}\nx{n}: 1\n---\n");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("much.yaml");
    let started = Instant::now();
    let all: String = (0..2000).flat_map(|n| [namespace(n), account(n)]).collect();
    fs::write(&file, all).expect("written");
    let path = file.to_str().expect("UTF-8");
    assert_eq!(check(&[path]), "4000 objects checked: nothing is wrong\nexit status 0\n");
    fs::write(&file, (0..5000).map(mistake).collect::<String>()).expect("written");
    assert!(check(&[path]).ends_with("error: 5000 findings in 5000 objects\nexit status 1\n"));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn nothing_to_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().to_str().expect("UTF-8");
    fs::write(Path::new(empty).join("README.md"), "nothing").expect("written");
    let errors = [
        pgk_error(2, ["check"]),
        pgk_error(2, ["check", "nowhere"]),
        pgk_error(2, ["check", "-"]),
        pgk_error(2, ["check", empty]).replace(empty, "EMPTY"),
        pgk_error(2, ["check", "tp8/Q1", "--outside", "tls"]),
    ];
    assert_snapshot!(errors.join("\n"));
}

/// What is in a manifest is shown, and not obeyed by a terminal; and what was not checked was not found to be good.
#[test]
fn unknown_kinds_alone() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = "apiVersion: a.b/v1\nkind: \"Foo\\e[2Jbar\"\nmetadata: {name: \"\\e]0;t\\ax\"}\n";
    fs::write(file.path(), text).expect("written");
    let path = file.path().to_str().expect("UTF-8");
    assert_snapshot!(check(&[path]).replace(path, "FILE"));
}

#[test]
fn a_folder_of_folders() {
    assert_snapshot!(pgk_error(2, ["check", "tp8"]));
}

/// Several paths are one set of manifests; `-R` goes down, as kubectl does: not through links, which may lead in circles.
#[test]
fn several_paths_and_folders_below() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    for name in ["a", "b"] {
        fs::write(at(&format!("{name}.yaml")), format!("name: {name}\n")).expect("written");
    }
    pgk_stdout(["gen", "q1", "-f", &at("a.yaml"), "-f", &at("b.yaml"), "-o", &at("out")]);
    let good = "16 objects checked: nothing is wrong\n";
    assert_eq!(pgk_stdout(["check", "-R", &at("out")]), good);
    assert_eq!(pgk_stdout(["check", &at("out/a"), &at("out/b")]), good);
    std::os::unix::fs::symlink(folder.path(), at("out/a/round")).expect("linked");
    assert_eq!(pgk_stdout(["check", "-R", &at("out")]), good);
    // What one refers to, another may have.
    fs::rename(at("out/a/02-configmap-scripts.yaml"), at("scripts.yaml")).expect("moved");
    assert!(check(&[&at("out/a")]).contains("no ConfigMap named \"a-scripts\""));
    let both = pgk_stdout(["check", &at("out/a"), &at("scripts.yaml")]);
    assert_eq!(both, "8 objects checked: nothing is wrong\n");
    // Each path that has nothing is said.
    fs::create_dir(at("empty")).expect("made");
    let error = pgk_error(2, ["check", &at("out"), &at("empty"), "nowhere"]);
    assert_eq!(error.matches("there is no manifest here").count(), 2, "{error}");
    assert!(error.contains("add -R") && error.contains("nowhere"), "{error}");
}

/// kubectl has no limit to what a cluster holds, and one of 10,000 to how deep it is nested.
#[test]
fn as_large_and_as_deep_as_kubectl_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep.yaml");
    let path = path.to_str().expect("UTF-8");
    for (depth, good) in [(200, true), (9000, true), (10_001, false)] {
        let lists = "[".repeat(depth) + &"]".repeat(depth);
        let text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n---\napiVersion: a.b/v1\nkind: X\nspec: {lists}\n"
        );
        fs::write(path, text).expect("written");
        let said = check(&[path]);
        assert_eq!(
            said.contains("1 object checked: nothing is wrong"),
            good,
            "{depth}: {}",
            &said[..said.len().min(400)]
        );
    }
    let labels = (0..90).map(|number| format!("      l{number}: x\n")).collect::<Vec<_>>().concat();
    let item = |number| {
        format!("- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: a{number}\n    labels:\n{labels}")
    };
    let list = (0..1500).map(item).collect::<Vec<_>>().concat();
    fs::write(path, format!("apiVersion: v1\nkind: List\nitems:\n{list}")).expect("written");
    assert_eq!(check(&[path]), "1500 objects checked: nothing is wrong\nexit status 0\n");
}
