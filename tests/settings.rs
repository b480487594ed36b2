//! What pgk says of its settings: `pgk init`, `pgk schema` and `pgk explain`, which all read one description. And
//! what shells, `man` and a terminal are told.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use insta::assert_snapshot;
use jsonschema::Validator;
use serde_json::Value as Json;
use support::{on_a_terminal, pgk, pgk_error, pgk_stdout};

const SCENARIOS: [&str; 3] = ["q1", "q2", "q3"];

/// Runs `pgk init` in an empty folder.
fn init(scenario: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pgk.yaml").to_str().expect("UTF-8").to_owned();
    let output = pgk(["init", scenario, "-o", &path]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!("pgk: wrote {path}; pgk gen {scenario} -f {path} renders it\n")
    );
    (folder, path)
}

/// The text with each setting that is only mentioned set: such a line has no space behind its `#`.
fn uncommented(text: &str) -> String {
    let line = |line: &str| {
        let rest = line.trim_start();
        let set = rest.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        let indent = &line[..line.len() - rest.len()];
        set.map_or_else(|| format!("{line}\n"), |set| format!("{indent}{set}\n"))
    };
    text.lines().map(line).collect()
}

fn schema() -> Validator {
    let schema: Json = serde_json::from_str(&pgk_stdout(["schema"])).expect("JSON");
    jsonschema::validator_for(&schema).expect("a JSON Schema")
}

/// What is wrong with a YAML text for the schema.
fn findings(schema: &Validator, text: &str) -> Vec<String> {
    let value: Json = serde_yaml::from_str(text).expect("YAML");
    schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn what_init_writes_is_the_default_and_can_be_uncommented() {
    let schema = schema();
    for scenario in SCENARIOS {
        let (folder, path) = init(scenario);
        let text = fs::read_to_string(&path).expect("text");
        assert_eq!(pgk_stdout(["gen", scenario, "-f", &path]), pgk_stdout(["gen", scenario]));
        assert_eq!(findings(&schema, &text), [] as [String; 0]);

        let all = uncommented(&text);
        assert!(all.contains("\n  parameters: {work_mem: 16MB}\n"), "{all}");
        assert_eq!(findings(&schema, &all), [] as [String; 0]);
        fs::write(&path, all).expect("written");
        assert_ne!(pgk_stdout(["gen", scenario, "-f", &path]), pgk_stdout(["gen", scenario]));

        // The first line leads an editor to the schema beside it.
        let first = text.lines().next().expect("a line");
        let beside = first.strip_prefix("# yaml-language-server: $schema=").expect(first);
        let beside = fs::read_to_string(folder.path().join(beside)).expect("a schema");
        assert_eq!(beside, pgk_stdout(["schema"]));
    }
}

/// Every key of a scenario is in the file that is written for it, and no other.
#[test]
fn what_init_writes() {
    for scenario in SCENARIOS {
        let (_folder, path) = init(scenario);
        let text = fs::read_to_string(&path).expect("text").replace(&path, "pgk.yaml");
        assert_snapshot!(format!("init-{scenario}"), text);
    }
}

#[test]
fn init_writes_over_nothing() {
    let (folder, path) = init("q1");
    for (there, arguments) in [("pgk.yaml", &path), ("pgk.schema.json", &path.replace("pgk.yaml", "b.yaml"))]
    {
        fs::write(folder.path().join(there), "mine").expect("written");
        let error = pgk_error(1, ["init", "q2", "-o", arguments]);
        assert!(
            error.starts_with("error: ") && error.contains(&format!("{there} is there already")),
            "{error}"
        );
        assert_eq!(fs::read_to_string(folder.path().join(there)).expect("text"), "mine");
    }
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 2, "nothing else was written");
    let nowhere = folder.path().join("no/pgk.yaml");
    let error = pgk_error(1, ["init", "-o", nowhere.to_str().expect("UTF-8")]);
    assert!(error.contains("No such file or directory"), "{error}");
}

#[test]
fn the_schema_takes_the_examples() {
    let schema = schema();
    let mut files = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let found = findings(&schema, &fs::read_to_string(&path).expect("text"));
        assert_eq!(found, [] as [String; 0], "{}", path.display());
        files += 1;
    }
    assert!(files >= 7);
}

/// What the reader refuses in `errors/`, the schema does, too, but for what it cannot say.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    /// No YAML of one document, a key that is there twice, and rules across settings.
    const UNSAID: [&str; 11] = [
        "bomb.yaml",
        "deep.yaml",
        "duplicate-key.yaml",
        "many.yaml",
        "syntax.yaml",
        "tab.yaml",
        "two-documents.yaml",
        "q3-bucket-missing.yaml",
        "q3-reserved-parameter.yaml",
        "q3-strategy-restore.yaml",
        "q3-timeline-without-target.yaml",
    ];
    let schema = schema();
    let mut unsaid = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        let refused = serde_yaml::from_str::<Json>(&text).is_ok_and(|value| !schema.is_valid(&value));
        if !refused {
            unsaid.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    unsaid.sort();
    let mut expected = UNSAID.map(ToOwned::to_owned);
    expected.sort();
    assert_eq!(unsaid, expected);
}

#[test]
fn settings_are_explained() {
    let keys = [
        "name",
        "postgres.version",
        "postgres.image",
        "postgres.parameters.work_mem",
        "storage",
        "q2.durability",
        "q2.backup-every",
        "q3.repos",
        "q3.full",
        "q3.restore.target",
        "q3.s3.ca",
    ];
    let all = keys.map(|key| pgk_stdout(["explain", key]));
    assert_snapshot!(all.join("\n----\n\n"));
}

#[test]
fn settings_are_listed() {
    assert_snapshot!(pgk_stdout(["explain"]));
}

#[test]
fn no_such_setting() {
    let cases = ["replica", "durability", "q2.durabilty", "q3.s4.bucket", "replicas.count", "nonsense", ""];
    assert_snapshot!(cases.map(|key| pgk_error(2, ["explain", key])).join("\n"));
}

#[test]
fn the_version_names_the_api() {
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("pgk {version} (manifests are checked against the API of Kubernetes v1.33)\n");
    assert_eq!(pgk_stdout(["--version"]), expected);
}

#[test]
fn shells_complete() {
    for (shell, says) in [("bash", "complete -F _pgk"), ("zsh", "#compdef pgk"), ("fish", "complete -c pgk")]
    {
        let script = pgk_stdout(["completion", shell]);
        assert!(script.contains(says) && script.contains("explain"), "{script}");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), pgk_stdout(["completion", "bash"])).expect("written");
    let words = "COMP_WORDS=(pgk gen ''); COMP_CWORD=2; _pgk pgk '' gen; echo \"${COMPREPLY[*]}\"";
    let script = format!("source {}; {words}", file.path().display());
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    let replies = String::from_utf8_lossy(&output.stdout);
    assert!(replies.contains("--backrest-repo") && replies.contains(" q3"), "{replies}");
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let whole = pgk_stdout(["man"]);
    for command in ["gen", "secret", "init", "explain", "schema", "completion", "man"] {
        assert!(whole.contains(&format!("pgk\\-{command}(1)")), "{command} in {whole}");
        let page = pgk_stdout(["man", command]);
        assert!(page.contains(&format!(".TH pgk-{command} 1")), "{page}");
    }
    let error = pgk_error(2, ["man", "genn"]);
    assert!(error.contains("there is no such command") && error.contains("did you mean `gen`?"), "{error}");
}

/// Somebody who sees the manifests on a terminal is told what to do with them, and nobody else.
#[test]
fn a_terminal_is_told_what_manifests_are_for() {
    const HINT: &str = "pgk: these are manifests; `| kubectl apply -f -` applies them";
    let said = tempfile::NamedTempFile::new().expect("a file");
    let line = format!("'{}' gen q1 2>'{}'", env!("CARGO_BIN_EXE_pgk"), said.path().display());
    let Some(shown) = on_a_terminal(&line, &[]) else { return };
    assert_eq!(shown, pgk_stdout(["gen", "q1"]));
    let said = fs::read_to_string(said.path()).expect("text");
    assert!(said.starts_with(HINT) && said.lines().count() == 1, "{said}");
}
