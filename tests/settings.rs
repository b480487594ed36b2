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
        // Of repositories that are set and not asked for, it warns.
        let output = pgk(["gen", scenario, "-f", &path]);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        assert_eq!(
            said.matches("warning: settings of q3.").count(),
            if scenario == "q3" { 4 } else { 0 },
            "{said}"
        );
        assert_ne!(String::from_utf8(output.stdout).expect("UTF-8"), pgk_stdout(["gen", scenario]));

        // The first line leads an editor to the schema beside it.
        let first = text.lines().next().expect("a line");
        let beside = first.strip_prefix("# yaml-language-server: $schema=").expect(first);
        let beside = fs::read_to_string(folder.path().join(beside)).expect("a schema");
        assert_eq!(beside, pgk_stdout(["schema"]));
    }
}

/// Every key of a scenario is in the file that is written for it, and no other. `just examples` writes them again.
#[test]
fn the_examples_of_all_defaults_are_what_init_writes() {
    for scenario in SCENARIOS {
        let (_folder, path) = init(scenario);
        let example = format!("examples/{scenario}.yaml");
        let text = fs::read_to_string(&path).expect("text").replace(&path, &example);
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&example);
        assert_eq!(text, fs::read_to_string(there).expect("text"), "{example}");
    }
}

#[test]
fn init_writes_over_nothing() {
    let (folder, path) = init("q1");
    for (there, arguments) in [("pgk.yaml", &path), ("pgk.schema.json", &path.replace("pgk.yaml", "b.yaml"))]
    {
        fs::write(folder.path().join(there), "mine").expect("written");
        let error = pgk_error(2, ["init", "q2", "-o", arguments]);
        assert!(error.starts_with("error: this already exists"), "{error}");
        assert!(error.contains(&format!("/{there}\n")), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(there)).expect("text"), "mine");
    }
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 2, "nothing else was written");
    // Folders are made, as `pgk gen -o` does.
    let nowhere = folder.path().join("no/pgk.yaml");
    assert!(support::pgk(["init", "-o", nowhere.to_str().expect("UTF-8")]).status.success());
    let mut names: Vec<_> = fs::read_dir(folder.path().join("no"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, ["pgk.schema.json", "pgk.yaml"]);
}

#[test]
fn the_schema_takes_the_examples() {
    let schema = schema();
    let mut files = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).expect("a folder") {
        let path = entry.expect("an entry").path();
        // `pgk init` leaves the schema there, for an editor.
        if path.ends_with("pgk.schema.json") {
            continue;
        }
        let found = findings(&schema, &fs::read_to_string(&path).expect("text"));
        assert_eq!(found, [] as [String; 0], "{}", path.display());
        files += 1;
    }
    assert!(files >= 7);
}

/// What the reader refuses in `errors/`, the schema does, too, but for what it cannot say.
#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    /// No YAML of one document, a key that is given twice, and rules across settings.
    const UNSAID: [&str; 16] = [
        "alias-of-itself.yaml",
        "no-space.yaml",
        "tagged.yaml",
        "unclosed.yaml",
        "bomb.yaml",
        "deep.yaml",
        "duplicate-key.yaml",
        "many.yaml",
        "syntax.yaml",
        "tab.yaml",
        "two-documents.yaml",
        "q2-restore-parameter.yaml",
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
        "postgres.parameters.max_parallel_workers",
        "postgres.sizing",
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
    // The words before the one that is completed, what of it is there, and all that it may become.
    let completed = |words: &str, beginning: &str| {
        let count = words.split(' ').count();
        let before = words.rsplit(' ').next().unwrap_or_default();
        let words = format!(
            "COMP_WORDS=({words} '{beginning}'); COMP_CWORD={count}; _pgk pgk '{beginning}' {before}; echo \"${{COMPREPLY[*]}}\""
        );
        let script = format!("source {}; {words}", file.path().display());
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(completed("pgk gen q2 --strategy", ""), "promote restore\n");
    assert_eq!(completed("pgk gen q2 --set", "q2.d"), "q2.durability= q2.dcs=\n");
    assert_eq!(completed("pgk explain", "q2.d"), "q2.durability q2.dcs\n");
    assert_eq!(completed("pgk man", "gra"), "graph\n");
    #[cfg(feature = "drill")]
    assert_eq!(completed("pgk drill", "node-o"), "node-off\n");
}

/// As wide as the terminal, as `--help` is; no line is broken for a file.
#[test]
fn explanations_are_as_wide_as_the_terminal() {
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    let explain = |columns: &str, key: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgk"));
        let output = command.arg("explain").args(key).env("COLUMNS", columns).output().expect("pgk runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    for key in [&[][..], &["q2.durability"], &["q3.sftp"], &["postgres.image"]] {
        let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let wide = explain("500", key);
        for columns in [60, 80, 120] {
            let text = explain(&columns.to_string(), key);
            // What is to be copied stays whole.
            let (text_of, example) = text.split_once("\n  In the file:").unwrap_or((text.as_str(), ""));
            assert!(widest(text_of) <= columns && !example.contains("values"), "{columns}: {text}");
            assert_eq!(words(&text), words(&wide));
        }
    }
    assert!(widest(&pgk_stdout(["explain"])) > 120);
}

/// Paragraphs are written in one line: at any width, only their last lines are short.
#[test]
fn help_is_wrapped_once() {
    for command in ["gen", "diff", "check", "secret", "drill"] {
        let help =
            Command::new(env!("CARGO_BIN_EXE_pgk")).args([command, "--help"]).env("COLUMNS", "80").output();
        let help = String::from_utf8(help.expect("pgk runs").stdout).expect("UTF-8");
        let (_, options) = help.split_once("Print help").expect("options");
        let (_, after) = options.split_once("\n\n").expect("what follows the options");
        for paragraph in after.split("\n\n").filter(|paragraph| !paragraph.contains("\n  ")) {
            let lines: Vec<_> = paragraph.lines().collect();
            for pair in lines.windows(2) {
                let next = pair[1].split(' ').next().unwrap_or_default();
                assert!(pair[0].len() + 1 + next.len() > 80 || pair[0].is_empty(), "{command}: {paragraph}");
            }
        }
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let whole = pgk_stdout(["man"]);
    let help = pgk_stdout(["--help"]);
    let (_, list) = help.split_once("\nCommands:\n").expect("a list of the commands");
    let lines = list.lines().take_while(|line| !line.is_empty());
    // A description that takes several lines is indented by more.
    let commands = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<_> = commands.filter(|command| !command.is_empty() && *command != "help").collect();
    assert!(commands.len() >= 10 && commands.contains(&"diff"), "{commands:?}");
    for command in commands {
        assert!(whole.contains(&format!("pgk\\-{command}(1)")), "{command} in {whole}");
        let page = pgk_stdout(["man", command]);
        assert!(page.contains(&format!(".TH pgk-{command} 1")), "{page}");
        let heading = page.lines().find(|line| line.starts_with(".TH ")).unwrap_or_default();
        assert!(heading.contains(&format!("\"pgk {}\"", env!("CARGO_PKG_VERSION"))), "{heading}");
        let synopsis = page.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap_or_default();
        assert!(
            synopsis.starts_with(&format!("\\fBpgk {command}\\fR")) && !synopsis.contains("help"),
            "{synopsis}"
        );
        assert!(page.is_ascii(), "{page}");
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
