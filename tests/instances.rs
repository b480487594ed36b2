//! Several instances from one command: what they give, and that nothing is written while one is wrong.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use support::{pgk, pgk_error, pgk_reading, pgk_stdout};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("UTF-8").to_owned()
}

/// The names in a folder, sorted.
fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

const TWO: [(&str, &str); 3] =
    [("a.yaml", "name: shop\nreplicas: 1\n"), ("b.yaml", "name: blog\n"), ("notes.txt", "no configuration")];

#[test]
fn each_file_is_an_instance() {
    let files = folder(&TWO);
    let (a, b, all) = (path(&files, "a.yaml"), path(&files, "b.yaml"), path(&files, ""));
    let set = ["--set", "namespace=db"];
    let alone = |file: &str| pgk_stdout([&["gen", "q2", "-f", file], &set[..]].concat());
    let both = alone(&a) + &alone(&b);
    assert_eq!(pgk_stdout([&["gen", "q2", "-f", &a, "-f", &b], &set[..]].concat()), both);
    assert_eq!(pgk_stdout([&["gen", "q2", "-f", &all], &set[..]].concat()), both);
    let secrets = pgk_stdout(["secret", "-f", &all]);
    assert!(secrets.contains("name: shop-credentials") && secrets.contains("name: blog-credentials"));
}

/// Files are read twice, which standard input cannot be.
#[test]
fn one_of_many_may_be_standard_input() {
    let files = folder(&TWO);
    let (a, b) = (path(&files, "a.yaml"), path(&files, "b.yaml"));
    let both = pgk_stdout(["gen", "q2", "-f", &a, "-f", &b]);
    assert_eq!(pgk_reading(&["gen", "q2", "-f", "-", "-f", &b], TWO[0].1), both);
}

#[test]
fn each_instance_has_a_folder() {
    let files = folder(&TWO);
    let out = path(&files, "out");
    pgk_stdout(["gen", "q1", "-f", &path(&files, ""), "-o", &out]);
    assert_eq!(names(Path::new(&out)), ["blog", "shop"]);
    for (file, name) in [("a.yaml", "shop"), ("b.yaml", "blog")] {
        let alone = path(&files, name);
        pgk_stdout(["gen", "q1", "-f", &path(&files, file), "-o", &alone]);
        let of_many = Path::new(&out).join(name);
        assert_eq!(names(&of_many), names(Path::new(&alone)));
        for name in names(&of_many) {
            let read = |folder: &Path| fs::read_to_string(folder.join(&name)).expect("text");
            assert_eq!(read(&of_many), read(Path::new(&alone)));
        }
    }
    // One that is no longer among them is left alone.
    fs::remove_file(path(&files, "a.yaml")).expect("removed");
    pgk_stdout(["gen", "q1", "-f", &path(&files, ""), "-o", &out]);
    assert_eq!(names(Path::new(&out)), ["blog", "shop"]);
}

/// What pgk says of instances that are wrong together, and that it has written nothing then.
#[test]
fn instances_that_do_not_go_together() {
    let cases: [&[(&str, &str)]; 7] = [
        &[("a.yaml", "name: shop\n"), ("b.yaml", "replicas: 1\nname: shop\n")],
        &[("a.yaml", ""), ("b.yaml", "replicas: 1\n")],
        &[("a.yaml", "name: shop-rw\n"), ("b.yaml", "name: shop\n")],
        &[("a.yaml", "name: a\n"), ("b.yaml", "name: b\nreplica: 1\n")],
        &[("a.yaml", "name: a\nnamespace: one\n"), ("b.yaml", "name: a\n")],
        &[],
        &[("a.yaml", "name: a\n"), ("b.yaml", "name: b\n"), ("out/b/mine", "")],
    ];
    let mut said = String::new();
    for files in cases {
        let all = folder(files.strip_suffix(&[("out/b/mine", "")]).unwrap_or(files));
        let out = path(&all, "out");
        if files.len() == 3 {
            fs::create_dir_all(path(&all, "out/b")).expect("made");
            fs::write(path(&all, "out/b/mine"), "").expect("written");
        }
        let before = names(all.path());
        let error = pgk_error(2, ["gen", "q1", "-f", &path(&all, ""), "-o", &out]);
        said.extend([&error.replace(&path(&all, ""), "ALL/"), "\n"]);
        assert_eq!(names(all.path()), before);
        if files.len() == 3 {
            assert_eq!(names(Path::new(&out)), ["b"]);
        }
    }
    assert_snapshot!(said);
}

/// Every wrong file is said, and what else is in the folder.
#[test]
fn what_is_wrong_in_several_files() {
    let files = folder(&[
        ("a.yaml", "nam: a\n"),
        ("b.yaml", "name: b\n"),
        ("c.yml", "replica: 1\n"),
        (".h.yaml", "x: 1\n"),
    ]);
    std::os::unix::fs::symlink("nowhere", path(&files, "l.yaml")).expect("linked");
    let error = pgk_error(2, ["gen", "q1", "-f", &path(&files, "")]);
    assert_snapshot!(error.replace(&path(&files, ""), "ALL/"));
}

/// The same name in two namespaces is no conflict on a stream.
#[test]
fn namespaces_tell_instances_apart() {
    let files = folder(&[("a.yaml", "namespace: one\n"), ("b.yaml", "namespace: two\n")]);
    let stream = pgk_stdout(["gen", "q1", "-f", &path(&files, "")]);
    assert!(stream.contains("namespace: one\n") && stream.contains("namespace: two\n"));
    let error = pgk_error(2, ["gen", "q1", "-f", &path(&files, ""), "-n", "one"]);
    assert!(error.contains("another instance is named `pg`"), "{error}");
}

#[test]
fn one_file_is_one_instance_as_before() {
    let files = folder(&TWO);
    let out = path(&files, "out");
    let output = pgk(["gen", "q1", "-f", &path(&files, "a.yaml"), "-o", &out]);
    assert!(output.status.success());
    assert!(Path::new(&out).join("README.md").exists());
}

/// What was edited in the folder of one instance stops all of them, before the first is written.
#[test]
fn an_edit_in_the_last_folder() {
    let files = folder(&[]);
    fs::create_dir(path(&files, "in")).expect("made");
    for number in 10..30 {
        fs::write(path(&files, &format!("in/{number}.yaml")), format!("name: i{number}\n")).expect("written");
    }
    let (configs, out) = (path(&files, "in"), path(&files, "out"));
    let generate = ["gen", "q1", "-f", &configs, "-o", &out, "--set", "replicas=3"];
    pgk_stdout(&generate[..6]);
    for number in [28, 29] {
        let file = path(&files, &format!("out/i{number}/03-service-rw.yaml"));
        fs::write(&file, fs::read_to_string(&file).expect("text") + "# edited\n").expect("written");
    }
    let all = || {
        let text =
            |number| fs::read_to_string(path(&files, &format!("out/i{number}/README.md"))).expect("text");
        (10..30).map(text).collect::<String>()
    };
    let before = all();
    let error = pgk_error(2, generate);
    assert_eq!(error.matches("this file was changed since pgk wrote it").count(), 2, "{error}");
    assert_eq!(all(), before);
    assert!(pgk([&generate[..], &["--force"]].concat()).status.success());
    assert_ne!(all(), before);
}
