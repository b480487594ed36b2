//! Every rendered script passes shellcheck, every rendered program compiles, and the programs of q2 and q3 pass
//! their own tests.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value as Json;
use support::pgk_stdout;

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the programs with this ending that pgk renders to `folder`.
fn rendered(folder: &Path, ending: &str, arguments: &[&str]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let stream = pgk_stdout(arguments);
    for document in stream.split("\n---\n").filter(|text| text.contains("kind: ConfigMap")) {
        let config: Json = serde_yaml::from_str(document).expect("YAML");
        for (name, text) in config["data"].as_object().expect("data") {
            if Path::new(name).extension().is_some_and(|found| found == ending) {
                let path = folder.join(name);
                fs::write(&path, text.as_str().expect("text")).expect("written");
                paths.push(path);
            }
        }
    }
    paths
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
    for lang in ["fr", "en"] {
        for (scenario, strategy, at_least) in
            [("q1", "promote", 6), ("q2", "promote", 3), ("q2", "restore", 15)]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let what = ["gen", scenario, "--strategy", strategy, "--lang", lang];
            let mut scripts = rendered(folder.path(), "sh", &what);
            // The load of a drill goes into its pods as it is.
            scripts.push(crate_folder().join("templates/drill/load.sh"));
            assert!(scripts.len() >= at_least, "{scenario} {strategy} has scripts");
            shellcheck(folder.path(), &scripts);
        }
    }
}

#[test]
fn every_rendered_program_compiles() {
    let compile =
        "import ast, sys\nfor path in sys.argv[1:]: ast.parse(open(path, encoding='utf-8').read(), path)";
    for durability in ["synchronous", "strict", "asynchronous"] {
        let folder = tempfile::tempdir().expect("a folder");
        let set = format!("q2.durability={durability}");
        let programs = rendered(folder.path(), "py", &["gen", "q2", "--set", &set]);
        assert!(programs.len() > 4, "the scenario has programs");
        python(Command::new("python3").args(["-c", compile]).args(&programs));
    }
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
