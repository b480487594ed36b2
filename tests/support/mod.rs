//! What the tests share: running the pgk that was just built.

// Each test file uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod untried;

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;

/// Archives of Q3 that are not the default's: a name, and the arguments that make them.
pub const ARCHIVES: [(&str, &[&str]); 8] = [
    ("posix-encrypted", &["--set", "q3.cipher=true"]),
    ("s3", &["-f", "examples/q3-s3.yaml"]),
    (
        "posix-s3",
        &[
            "--backrest-repo=posix,s3",
            "--set=q3.s3.bucket=backups",
            "--set=q3.s3.region=eu-west-3",
            "--set=q3.s3.key-type=web-id",
            "--set=q3.s3.verify-tls=false",
        ],
    ),
    ("gcs", &["--backrest-repo=gcs", "--set=q3.gcs.bucket=backups", "--replicas=0"]),
    ("gcs-auto", &["--backrest-repo=gcs", "--set=q3.gcs.bucket=backups", "--set=q3.gcs.key-type=auto"]),
    ("azure", &["--backrest-repo=azure", "--set=q3.azure.account=shop", "--set=q3.azure.container=backups"]),
    (
        "sftp",
        &[
            "--backrest-repo=sftp",
            "--set=q3.sftp.host=backup.example",
            "--set=q3.sftp.user=pg",
            "--set=q3.sftp.known-hosts=backup.example ssh-ed25519 AAAA",
        ],
    ),
    ("point-in-time", &["--restore-to", "2026-11-24 10:00:00+01", "--set", "q3.restore.target-timeline=3"]),
];

/// The files in the `ConfigMaps` that `pgk` prints with these arguments: their names and texts, in their order.
pub fn config_files<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Vec<(String, String)> {
    let stream = pgk_stdout(arguments);
    let maps = stream.split("\n---\n").filter(|text| text.contains("kind: ConfigMap"));
    let files = maps.flat_map(|document| {
        let config: Json = serde_yaml::from_str(document).expect("YAML");
        config.get("data").and_then(Json::as_object).expect("data").clone()
    });
    files.map(|(name, text)| (name, text.as_str().expect("text").to_owned())).collect()
}

/// Runs `pgk` with `arguments`, and `input` on its standard input; what it prints.
pub fn pgk_reading(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("pgk runs");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs `pgk` with `arguments` in the crate's root folder.
pub fn pgk<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("pgk runs")
}

/// What `pgk` prints; it must succeed and print nothing else.
pub fn pgk_stdout<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> String {
    let output = pgk(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The error that `pgk` prints; it must exit with `code` and print nothing to stdout.
pub fn pgk_error<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(code: i32, arguments: I) -> String {
    let output = pgk(arguments);
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing half-written");
    stderr
}

/// What is shown on a terminal where `sh` runs `line`; `None` without python3.
pub fn on_a_terminal(line: &str, variables: &[(&str, &str)]) -> Option<String> {
    if !untried::tool("python3") {
        return None;
    }
    let spawn = "import pty, sys; sys.exit(pty.spawn(['sh', '-c', sys.argv[1]]) >> 8)";
    let mut python = Command::new("python3");
    python.args(["-c", spawn, line]).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    let output = python.envs(variables.iter().copied()).output().expect("python3 runs");
    Some(String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}
