//! Every rendered script passes shellcheck, every rendered program compiles, and the programs of q2 and q3 pass
//! their own tests.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::config_files;
use support::untried::tool;

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Calls `check` with each set of programs with this ending that a scenario renders in some way: with the folder
/// that they were written to, and their paths. There are at least so many of them.
fn each_rendered(ending: &str, at_least: [(&str, usize); 4], check: impl Fn(&Path, Vec<PathBuf>)) {
    let durability = ["strict", "asynchronous"].map(|durability| format!("--set=q2.durability={durability}"));
    let mut renderings = at_least.map(|(scenario, _)| (scenario, vec![])).to_vec();
    renderings.extend(durability.iter().map(|durability| ("q2", vec![durability.as_str()])));
    renderings.extend(support::ARCHIVES.map(|(_, settings)| ("q3", settings.to_vec())));
    let mut checked = BTreeSet::new();
    for (scenario, settings) in &renderings {
        for lang in ["--lang=fr", "--lang=en"] {
            let what: Vec<_> = scenario.split(' ').collect();
            let mut files = config_files([&["gen", lang], &what[..], settings].concat());
            files.retain(|(name, _)| Path::new(name).extension().is_some_and(|found| found == ending));
            let (_, at_least) = at_least.iter().find(|(of, _)| of == scenario).expect("a scenario");
            assert!(files.len() >= *at_least, "{what:?} has {} of them", files.len());
            if !checked.insert(files.clone()) {
                continue;
            }
            let folder = tempfile::tempdir().expect("a folder");
            let paths = files.iter().map(|(name, text)| {
                let path = folder.path().join(name);
                // What a script sources stands in the same folder.
                fs::write(&path, text.replace("/etc/pgk/scripts/", "./")).expect("written");
                path
            });
            check(folder.path(), paths.collect());
        }
    }
}

/// Runs python3, which must succeed.
fn python(command: &mut Command) -> Output {
    let output = command.env("PYTHONDONTWRITEBYTECODE", "1").output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn shellcheck(folder: &Path, options: &[&str], scripts: &[PathBuf]) {
    let mut command = Command::new("shellcheck");
    command.current_dir(folder).arg("--external-sources").args(options).args(scripts);
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn shellcheck_finds_nothing() {
    if !tool("shellcheck") {
        return;
    }
    let measurements = fs::read_dir(crate_folder().join("measure")).expect("a folder");
    let mut measurements: Vec<_> = measurements.map(|entry| entry.expect("an entry").path()).collect();
    measurements.retain(|path| path.extension().is_some_and(|ending| ending == "sh"));
    // The load of a drill goes into its pods as it is.
    measurements.extend([".ci/run", "templates/drill/load.sh"].map(|path| crate_folder().join(path)));
    shellcheck(crate_folder(), &[], &measurements);
    let at_least = [("q1", 5), ("q2", 2), ("q2 --strategy=restore", 14), ("q3", 7)];
    each_rendered("sh", at_least, |folder, mut scripts| {
        // What has no first line that says how it is run is sourced by another, and checked with that.
        scripts.retain(|path| fs::read_to_string(path).expect("text").starts_with("#!"));
        shellcheck(folder, &["--check-sourced"], &scripts);
    });
}

#[test]
fn every_rendered_program_compiles() {
    if !tool("python3") {
        return;
    }
    let compile =
        "import ast, sys\nfor path in sys.argv[1:]: ast.parse(open(path, encoding='utf-8').read(), path)";
    let at_least = [("q1", 0), ("q2", 5), ("q2 --strategy=restore", 0), ("q3", 12)];
    each_rendered("py", at_least, |_, programs| {
        python(Command::new("python3").args(["-c", compile]).args(programs));
    });
}

/// The tests in tests/programs, which need no cluster. They say on stderr what they did.
#[test]
fn the_programs_pass_their_own_tests() {
    if !tool("python3") || !tool("PyYAML") {
        return;
    }
    let tests = crate_folder().join("tests/programs");
    let programs = ["templates/patroni", "templates/archive"].map(|folder| crate_folder().join(folder));
    let python_path = std::env::join_paths(programs).expect("paths without a colon");
    let packets = if tool("nft") { "1" } else { "" };
    let output = python(
        Command::new("python3")
            .args(["-m", "unittest", "discover", "--buffer", "--verbose", "--start-directory"])
            .arg(&tests)
            .env("PYTHONPATH", python_path)
            .env("PGK_PACKETS", packets)
            .env("POD_NAME", "db-0")
            .env("POD_NAMESPACE", "test")
            .env("POD_IP", "127.0.0.1"),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    for entry in fs::read_dir(tests).expect("a folder") {
        let path = entry.expect("an entry").path();
        let module = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8");
        if !module.starts_with("test_") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("text");
        let names =
            text.lines().filter_map(|line| line.trim_start().strip_prefix("def test_")?.split_once('('));
        let names: Vec<_> = names.map(|(name, _)| format!("test_{name} ({module}.")).collect();
        assert!(!names.is_empty(), "{module} has tests");
        for name in names {
            assert!(said.contains(&name), "{name}…) was not run:\n{said}");
        }
    }
}
