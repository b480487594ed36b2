//! The command line: precedence, exit codes, the Secret, folders.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::process::Command;

use support::{pgk, pgk_error, pgk_stdout};

#[test]
fn same_input_same_bytes() {
    assert_eq!(pgk_stdout(["gen", "q1"]), pgk_stdout(["gen", "q1"]));
}

#[test]
fn a_flag_counts_over_set_and_set_over_the_file() {
    let base = ["gen", "q1", "-f", "examples/q1-shop.yaml"];
    let with = |more: &[&str]| pgk_stdout(base.iter().chain(more));
    assert!(with(&[]).contains("\n  replicas: 3\n"));
    assert!(with(&["--set", "replicas=4"]).contains("\n  replicas: 4\n"));
    assert!(with(&["--set", "replicas=4", "--set", "replicas=5"]).contains("\n  replicas: 5\n"));
    assert!(with(&["--replicas", "6", "--set", "replicas=5"]).contains("\n  replicas: 6\n"));
    // Parameters are merged by name, and a name may hold a dot.
    let merged = with(&["--set", "postgres.parameters.auto_explain.log_analyze=on"]);
    assert!(merged.contains("auto_explain.log_analyze = 'on'"));
    assert!(merged.contains("auto_explain.log_min_duration = '5s'"));
    assert!(merged.contains("jit = 'off'"));
}

#[test]
fn sha256sum_reads_the_list_of_files() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("out");
    pgk_stdout(["gen", "q1", "--output", folder.to_str().expect("UTF-8")]);
    let sums = || {
        let mut check = Command::new("sha256sum");
        check.args(["--check", "--strict", ".pgk-files"]).current_dir(&folder).env("LC_ALL", "C");
        let output = check.output().expect("sha256sum runs");
        (output.status.success(), String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let files = fs::read_dir(&folder).expect("a folder").count() - 1;
    let (good, said) = sums();
    assert_eq!((good, said.lines().filter(|line| line.ends_with(": OK")).count()), (true, files), "{said}");
    fs::write(folder.join("README.md"), "edited").expect("a file");
    let (good, said) = sums();
    assert!(!good && said.contains("README.md: FAILED"), "{said}");
}

#[test]
fn the_secret_is_random_and_has_the_contracts_keys() {
    let one = pgk_stdout(["secret"]);
    assert_ne!(one, pgk_stdout(["secret"]));
    for key in ["superuser-password", "replication-password", "app-password"] {
        let password = one.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: "))).expect(key);
        assert_eq!(password.trim_matches('"').len(), 48, "{key}");
    }
    let named = pgk_stdout(["secret", "--name", "shop", "-n", "there"]);
    assert!(named.contains("name: shop-credentials\n  namespace: there\n"));
}

#[test]
fn with_secret_puts_it_first_and_never_into_a_folder() {
    let stream = pgk_stdout(["gen", "q1", "--with-secret"]);
    let (secret, rest) = stream.split_once("\n---\n").expect("documents");
    assert!(secret.contains("kind: Secret"));
    assert_eq!(format!("---\n{rest}"), pgk_stdout(["gen", "q1"]));
    assert!(pgk_error(2, ["gen", "q1", "--with-secret", "-o", "x"]).contains("cannot be used with"));
}

#[test]
fn objects_carry_the_contracts_names_and_labels() {
    let stream = pgk_stdout(["gen", "q1"]);
    for name in ["pg-rw", "pg-ro"] {
        assert!(stream.contains(&format!("kind: Service\nmetadata:\n  name: {name}\n")), "{name}");
    }
    for document in stream.split("---\n").filter(|text| !text.is_empty()) {
        for label in ["name: postgresql", "instance: pg", "managed-by: pgk"] {
            assert!(
                document.contains(&format!("\n    app.kubernetes.io/{label}\n")),
                "{label} in {document}"
            );
        }
    }
}

#[test]
fn a_folder_that_pgk_did_not_write_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("README.md"), "mine").expect("written");
    let path = folder.path().to_str().expect("UTF-8");
    let error = pgk_error(2, ["gen", "q1", "-o", path]);
    assert!(error.contains("the folder is not empty, and pgk did not write it"), "{error}");
    assert!(error.contains("--force"), "{error}");
    assert_eq!(fs::read_dir(path).expect("a folder").count(), 1);
    let output = pgk(["gen", "q1", "-o", path, "--force"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("README.md was written or changed by somebody else"),
        "{said}"
    );
    assert_ne!(fs::read_to_string(folder.path().join("README.md")).expect("text"), "mine");
    // From now on it is pgk's.
    pgk_stdout(["gen", "q1", "-o", path]);
}

#[test]
fn a_file_is_no_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "mine").expect("written");
    let error = pgk_error(2, ["gen", "q1", "--force", "-o", file.to_str().expect("UTF-8")]);
    assert!(error.contains("this is a file, not a folder"), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("text"), "mine");
}

#[test]
fn a_failure_to_write_is_no_usage_error() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["gen", "q1"])
        .stdout(full)
        .output()
        .expect("pgk runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: cannot write to stdout: "), "{error}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["gen", "q1"])
        .stdout(writer)
        .output()
        .expect("pgk runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
}

#[test]
fn no_arguments_show_the_first_steps() {
    let output = pgk([] as [&str; 0]);
    assert_eq!(output.status.code(), Some(2));
    let shown = String::from_utf8_lossy(&output.stderr);
    for command in ["Usage: pgk", "pgk init q2", "pgk gen q2", "pgk explain q2.durability", "pgk --help"] {
        assert!(shown.contains(command), "{command} in {shown}");
    }
    assert!(shown.lines().count() <= 10, "{shown}");
}
