//! Every rendered script passes shellcheck.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;
use support::pgk_stdout;

/// Without shellcheck on this machine the test says so and passes, except where CI runs.
#[test]
fn shellcheck_finds_nothing() {
    if Command::new("shellcheck").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs shellcheck");
        println!("skipped: no shellcheck on this machine");
        return;
    }
    for lang in ["fr", "en"] {
        let folder = tempfile::tempdir().expect("a folder");
        let stream = pgk_stdout(["gen", "q1", "--lang", lang]);
        // The load of a drill goes into its pods as it is.
        let mut scripts = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/drill/load.sh")];
        for document in stream.split("---\n").filter(|text| text.contains("kind: ConfigMap")) {
            let config: Json = serde_yaml::from_str(document).expect("YAML");
            for (name, text) in config["data"].as_object().expect("data") {
                if Path::new(name).extension().is_some_and(|ending| ending == "sh") {
                    let path = folder.path().join(name);
                    fs::write(&path, text.as_str().expect("text")).expect("written");
                    scripts.push(path);
                }
            }
        }
        assert!(scripts.len() > 5, "the scenario has scripts");
        let output =
            Command::new("shellcheck").arg("--external-sources").args(&scripts).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
