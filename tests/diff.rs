//! `pgk diff`: what it says, to the letter, of a folder that pgk wrote, and that it changes nothing there.

#![allow(missing_docs, clippy::expect_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use insta::assert_snapshot;
use support::{pgk, pgk_error, pgk_stdout};
use tempfile::TempDir;

/// A folder that pgk wrote.
struct Written {
    parent: TempDir,
}

impl Written {
    fn by(what: &[&str]) -> Self {
        let written = Self { parent: tempfile::tempdir().expect("a folder") };
        pgk_stdout([what, &["-o", &written.path()]].concat());
        written
    }

    fn path(&self) -> String {
        self.file("").to_str().expect("UTF-8").trim_end_matches('/').to_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.parent.path().join("out").join(name)
    }

    fn edit(&self, name: &str, before: &str, after: &str) {
        let text = fs::read_to_string(self.file(name)).expect("text");
        assert!(text.contains(before), "{name} has {before}");
        fs::write(self.file(name), text.replace(before, after)).expect("written");
    }

    /// All files and their texts.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries =
            fs::read_dir(self.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut files: Vec<_> =
            entries.map(|path| (path.display().to_string(), fs::read(&path).expect("read"))).collect();
        files.sort();
        files
    }

    /// What pgk says, and its exit status; nothing may have changed. What is in the README is left out: it is long.
    fn diff(&self, scenario: &str, more: &[&str]) -> String {
        let before = self.files();
        let output = pgk([&["diff", scenario, &self.path()], more].concat());
        assert_eq!(self.files(), before);
        let status = output.status.code().expect("it ends by itself");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8").replace(&self.path(), "OUT");
        let mut stdout = text(output.stdout);
        if let Some(readme) = stdout.find("changed: OUT/README.md\n") {
            let heading = readme + "changed: OUT/README.md\n".len();
            let rest = stdout.split_off(heading);
            let marks = ["added: ", "changed: ", "removed: ", "left alone: "];
            let next = rest.lines().position(|line| marks.iter().any(|mark| line.starts_with(mark)));
            let after: Vec<_> =
                rest.lines().skip(next.unwrap_or(usize::MAX)).map(|line| format!("{line}\n")).collect();
            stdout.push_str(&after.concat());
        }
        format!("{stdout}{}exit status {status}\n", text(output.stderr))
    }
}

#[test]
fn nothing_differs() {
    for scenario in ["q1", "q2", "q3"] {
        assert_eq!(Written::by(&["gen", scenario]).diff(scenario, &[]), "exit status 0\n");
    }
}

#[test]
fn a_setting_that_is_applied_in_place() {
    assert_snapshot!(Written::by(&["gen", "q2"]).diff("q2", &["--set", "replicas=3"]));
}

/// More replicas are no reason to replace a pod that runs.
#[test]
fn a_number_of_replicas() {
    for scenario in ["q1", "q2 --strategy restore", "q3"] {
        let scenario: Vec<_> = scenario.split(' ').collect();
        let said = Written::by(&[&["gen"], &scenario[..]].concat())
            .diff(scenario[0], &[&scenario[1..], &["--set", "replicas=3"]].concat());
        assert!(said.contains("replicas: 3") && !said.contains("sha256"), "{said}");
    }
}

/// What is sized by it is a restart or a reload of PostgreSQL, as if it were set.
#[test]
fn another_memory_limit() {
    for (scenario, restart, reload) in [
        ("q1", "applying replaces the pods", "PostgreSQL could reload it"),
        ("q2", "a restart of PostgreSQL, of one member after the other", "a reload"),
    ] {
        let said = Written::by(&["gen", scenario]).diff(scenario, &["--set", "resources.limits.memory=4Gi"]);
        let line = |parameter: &str| {
            let begin = format!("pgk: {parameter}: ");
            said.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_default().to_owned()
        };
        let (shared_buffers, work_mem) = (line("shared_buffers"), line("work_mem"));
        assert!(shared_buffers.starts_with("256MB -> 1GB: ") && shared_buffers.contains(restart), "{said}");
        assert!(work_mem.starts_with("4MB -> 10MB: ") && work_mem.contains(reload), "{said}");
        assert_eq!(line("max_wal_size"), "", "the volume is the same");
    }
}

#[test]
fn a_setting_that_is_not() {
    assert_snapshot!(Written::by(&["gen", "q1"]).diff("q1", &["--set", "storage.size=16Gi"]));
}

/// Files are added and removed, and others get another number.
#[test]
fn another_scenario() {
    let said = Written::by(&["gen", "q2"]).diff("q3", &["-n", "db"]);
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with(['-', '+', ' ', '@', '\\'])).collect();
    assert_snapshot!(lines.join("\n"));
    let said = Written::by(&["gen", "q2"]).diff("q3", &[]);
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with(['-', '+', ' ', '@', '\\'])).collect();
    assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_was_edited_by_hand() {
    let written = Written::by(&["gen", "q1"]);
    written.edit("03-service-rw.yaml", "port: 5432", "port: 5433");
    fs::remove_file(written.file("04-service-ro.yaml")).expect("removed");
    fs::write(written.file("mine.yaml"), "of somebody else").expect("written");
    // Q1 with no replicas has no fewer files, but an older pgk wrote one more.
    let list = fs::read_to_string(written.file(".pgk-files")).expect("text");
    fs::write(written.file(".pgk-files"), list + &format!("{}  09-old.yaml\n", "0".repeat(64)))
        .expect("written");
    fs::write(written.file("09-old.yaml"), "old").expect("written");
    assert_snapshot!(written.diff("q1", &[]));
}

/// What is shown is what `patch` takes to make it so.
#[test]
fn it_is_what_gen_does() {
    let written = Written::by(&["gen", "q2"]);
    let output = pgk(["diff", "q2", &written.path(), "--set", "q2.dcs=endpoints"]);
    let patch = String::from_utf8(output.stdout).expect("UTF-8");
    let mut child = std::process::Command::new("patch")
        .args(["-p0", "--quiet", "--force", "-d", "/"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("patch runs");
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), patch.as_bytes()).expect("written");
    assert!(child.wait().expect("it ends").success());
    let other = Written::by(&["gen", "q2", "--set", "q2.dcs=endpoints"]);
    let texts = |written: &Written| {
        let files = written.files().into_iter().filter(|(path, _)| !path.ends_with(".pgk-files"));
        files.map(|(path, text)| (path.replace(&written.path(), ""), text)).collect::<Vec<_>>()
    };
    assert_eq!(texts(&written), texts(&other));
}

/// What the data does not go along with.
#[test]
fn another_version_or_other_volumes() {
    let warnings = |scenario: &str, before: &[&str], after: &[&str]| {
        let said = Written::by(&[&["gen", scenario], before].concat()).diff(scenario, after);
        let lines = said.lines().skip_while(|line| !line.starts_with("warning: "));
        lines.flat_map(|line| [line, "\n"]).collect::<String>()
    };
    let version = ["--set", "postgres.version=18"];
    assert_snapshot!(
        [
            warnings("q1", &[], &version),
            warnings("q2", &[], &version),
            warnings("q2", &["--strategy", "restore"], &["--strategy", "promote"]),
            warnings("q1", &[], &["--name", "other"]),
        ]
        .join("\n")
    );
}

#[test]
fn a_manifest_of_somebody_else() {
    let written = Written::by(&["gen", "q2"]);
    fs::copy(written.file("06-service-rw.yaml"), written.file("zz.yaml")).expect("copied");
    fs::write(written.file("notes.txt"), "no manifest").expect("written");
    assert_eq!(
        written.diff("q2", &[]),
        "warning: pgk did not write OUT/zz.yaml, and `kubectl apply -f` applies it with the others\nexit status 0\n"
    );
}

/// Without a cluster there is nothing to compare with, which is no difference.
#[cfg(feature = "drill")]
#[test]
fn no_cluster() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["diff", "q2", "--live"])
        .env("KUBECONFIG", "/nowhere")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .expect("pgk runs");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    // It is said once.
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(error.matches("/nowhere").count(), 1, "{error}");
    assert!(error.starts_with("error: no cluster: ") && error.lines().count() == 1, "{error}");
}

#[test]
fn several_instances() {
    let files = tempfile::tempdir().expect("a folder");
    for name in ["a", "b"] {
        fs::write(files.path().join(format!("{name}.yaml")), format!("name: {name}\n")).expect("written");
    }
    let written = Written::by(&["gen", "q1", "-f", files.path().to_str().expect("UTF-8")]);
    let diff = |more: &[&str]| {
        let arguments = ["diff", "q1", &written.path(), "-f", files.path().to_str().expect("UTF-8")];
        pgk([&arguments, more].concat())
    };
    assert_eq!(diff(&[]).status.code(), Some(0));
    let output = diff(&["--set", "q1.max-lag=32MB"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1));
    for name in ["a", "b"] {
        assert!(text.contains(&format!("changed: {}/{name}/", written.path())), "{text}");
    }
}

#[test]
fn errors() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("mine"), "mine").expect("written");
    let path = folder.path().to_str().expect("UTF-8");
    let errors = [
        pgk_error(2, ["diff", "q1", path]),
        pgk_error(2, ["diff", "q1", "Cargo.toml"]),
        pgk_error(2, ["diff", "q1", path, "--set", "replica=1"]),
        pgk_error(2, ["diff", "q9", path]),
    ];
    assert_snapshot!(errors.join("\n").replace(path, "MINE"));
    assert_eq!(pgk(["diff", "q1"]).status.code(), Some(2));
}
