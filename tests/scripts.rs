//! Every rendered script passes shellcheck, every rendered program compiles, and the programs of q2 and q3 pass
//! their own tests.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::config_files;

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
                fs::write(&path, text).expect("written");
                path
            });
            check(folder.path(), paths.collect());
        }
    }
}

/// Runs python3, which must succeed. Without it on this machine the test says so and passes, except where
/// CI runs.
fn python(command: &mut Command) -> Option<Output> {
    let output = match command.env("PYTHONDONTWRITEBYTECODE", "1").output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI needs python3: {error}");
            println!("skipped: no python3 on this machine");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(output)
}

fn shellcheck(folder: &Path, scripts: &[PathBuf]) {
    let mut command = Command::new("shellcheck");
    let output =
        command.current_dir(folder).arg("--external-sources").args(scripts).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Without shellcheck on this machine the test says so and passes, except where CI runs.
#[test]
fn shellcheck_finds_nothing() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs shellcheck");
        println!("skipped: no shellcheck on this machine");
        return;
    }
    let measurements = fs::read_dir(crate_folder().join("measure")).expect("a folder");
    let measurements: Vec<_> = measurements.map(|entry| entry.expect("an entry").path()).collect();
    shellcheck(crate_folder(), &measurements);
    // The load of a drill goes into its pods as it is.
    shellcheck(crate_folder(), &[crate_folder().join("templates/drill/load.sh")]);
    let at_least = [("q1", 5), ("q2", 2), ("q2 --strategy=restore", 14), ("q3", 7)];
    each_rendered("sh", at_least, |folder, scripts| shellcheck(folder, &scripts));
}

#[test]
fn every_rendered_program_compiles() {
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
    let tests = crate_folder().join("tests/programs");
    let programs = ["templates/q2", "templates/q3"].map(|folder| crate_folder().join(folder));
    let python_path = std::env::join_paths(programs).expect("paths without a colon");
    let output = python(
        Command::new("python3")
            .args(["-m", "unittest", "discover", "--buffer", "--start-directory"])
            .arg(tests)
            .env("PYTHONPATH", python_path)
            .env("POD_NAME", "db-0")
            .env("POD_NAMESPACE", "test")
            .env("POD_IP", "127.0.0.1"),
    );
    if let Some(output) = output {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Ran ") && !said.contains("Ran 0 tests"), "{said}");
    }
}
