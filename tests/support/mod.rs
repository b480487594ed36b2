//! What the tests share: running the pgk that was just built.

// Each test file uses a part of this.
#![allow(dead_code, unreachable_pub)]

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

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
