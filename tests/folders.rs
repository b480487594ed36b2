//! A folder is written whole or not at all, whoever stops pgk or writes there at the same time, and what somebody else
//! wrote or changed in it stays.

#![allow(missing_docs, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use support::{pgk, pgk_error, pgk_stdout, untried};
use tempfile::TempDir;

fn parent() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}

fn generate(scenario: &str, folder: &Path, more: &[&str]) {
    pgk_stdout([&["gen", scenario, "-o", text(folder)], more].concat());
}

/// What is in a folder, by the paths of the files; a folder in it is an entry of its own.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let Ok(entries) = fs::read_dir(&at) else { continue };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            let name = path.strip_prefix(folder).expect("below").to_owned();
            if path.is_dir() {
                all.insert(name, Vec::new());
                folders.push(path);
            } else {
                all.insert(name, fs::read(&path).expect("read"));
            }
        }
    }
    all
}

/// Runs pgk, to which `signal` comes at the `when`th `call` of the system.
fn stopped(signal: &str, call: &str, when: usize, arguments: &[&str]) -> ExitStatus {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:signal={signal}:when={when}"), env!("CARGO_BIN_EXE_pgk")]);
    strace.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    strace.status().expect("strace runs")
}

/// The calls that change a file system.
const CALLS: [&str; 5] =
    ["?mkdir,?mkdirat", "fsync", "?rename,?renameat,?renameat2", "?unlink,?unlinkat", "?rmdir"];

/// Stops `pgk gen q2 -o` at each of these calls in turn, over a folder of q1 or where there is none, and shows what is in
/// the folder's parent then: how pgk ended, and what was there before and would be after.
fn at_each_step(
    signal: &str,
    over: bool,
    mut look: impl FnMut(ExitStatus, &Path, [&BTreeMap<PathBuf, Vec<u8>>; 2]),
) {
    if !untried::tool("strace") {
        return;
    }
    let [before, after] = [(over.then_some("q1")), Some("q2")].map(|scenario| {
        let parent = parent();
        if let Some(scenario) = scenario {
            generate(scenario, &parent.path().join("out"), &[]);
        }
        tree(parent.path())
    });
    let mut steps = 0;
    for call in CALLS {
        for when in 1.. {
            let parent = parent();
            let out = parent.path().join("out");
            if over {
                generate("q1", &out, &[]);
            }
            let status = stopped(signal, call, when, &["gen", "q2", "-o", text(&out)]);
            if status.success() {
                assert_eq!(tree(parent.path()), after);
                break;
            }
            steps += 1;
            look(status, parent.path(), [&before, &after]);
        }
    }
    assert!(steps > 15, "{steps} steps");
}

#[test]
fn a_signal_leaves_all_of_the_old_or_all_of_the_new() {
    for (name, number) in [("SIGINT", 2), ("SIGTERM", 15)] {
        for over in [true, false] {
            let mut both = [0, 0];
            at_each_step(name, over, |status, parent, states| {
                assert_eq!(status.signal(), Some(number));
                let there = tree(parent);
                let state = states.iter().position(|state| **state == there);
                let state = state.unwrap_or_else(|| panic!("half-written: {:?}", there.keys()));
                both[state] += 1;
            });
            assert!(both[0] > 5 && (!over || both[1] > 5), "{both:?}");
        }
    }
}

#[test]
fn the_next_run_finishes_what_was_killed() {
    for over in [true, false] {
        at_each_step("SIGKILL", over, |_, parent, [_, after]| {
            let out = parent.join("out");
            generate("q2", &out, &[]);
            assert_eq!(&tree(parent), after);
        });
    }
}

/// Whatever is asked for next.
#[test]
fn another_scenario_after_a_kill() {
    if !untried::tool("strace") {
        return;
    }
    // The first is that of the folder as a whole.
    for when in 2.. {
        let parent = parent();
        let out = parent.path().join("out");
        generate("q1", &out, &[]);
        let before = tree(&out);
        if stopped("SIGKILL", CALLS[2], when, &["gen", "q2", "-o", text(&out)]).success() {
            assert!(when > 5, "{when}");
            return;
        }
        assert!(out.join(".pgk-switch").is_dir(), "{when}");
        let error = pgk_error(2, ["diff", "q1", text(&out)]);
        assert!(error.contains("pgk was stopped while it wrote this folder"), "{error}");
        generate("q1", &out, &[]);
        assert_eq!(tree(&out), before);
    }
}

#[test]
fn many_at_once() {
    let parent = parent();
    for round in 0..5 {
        let out = parent.path().join(round.to_string()).join("out");
        let start = |number: usize| {
            let mut pgk = Command::new(env!("CARGO_BIN_EXE_pgk"));
            let scenario = if number.is_multiple_of(2) { "q1" } else { "q2" };
            pgk.args(["gen", scenario, "-o", text(&out)]).stdin(Stdio::null()).spawn().expect("pgk runs")
        };
        let all: Vec<_> = (0..10).map(start).collect();
        for mut one in all {
            assert!(one.wait().expect("it ends").success());
        }
        let there = tree(&out);
        let [q1, q2] = ["q1", "q2"].map(|scenario| {
            let alone = parent.path().join(scenario);
            generate(scenario, &alone, &[]);
            tree(&alone)
        });
        assert!(there == q1 || there == q2, "{:?}", there.keys());
    }
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let parent = parent();
    let out = parent.path().join("out");
    generate("q1", &out, &[]);
    let stamps = || {
        let entries = fs::read_dir(&out).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut all: Vec<_> = entries
            .chain([out.clone()])
            .map(|path| {
                let it = path.metadata().expect("there");
                (path, it.ino(), it.mtime(), it.mtime_nsec())
            })
            .collect();
        all.sort();
        all
    };
    let before = stamps();
    std::thread::sleep(Duration::from_millis(20));
    generate("q1", &out, &[]);
    assert_eq!(stamps(), before);
    // And what does not change stays where it is when something else does.
    generate("q1", &out, &["--set", "q1.max-lag=32MB"]);
    let after = stamps();
    let same = before.iter().filter(|stamp| after.contains(stamp)).count();
    assert!((3..before.len() - 2).contains(&same), "{same} of {}", before.len());
}

#[test]
fn an_edited_file_stays_unless_forced() {
    let parent = parent();
    let out = parent.path().join("out");
    generate("q1", &out, &[]);
    let [edited, other] = ["03-service-rw.yaml", "README.md"].map(|name| out.join(name));
    write(&edited, "mine\n");
    write(&other, "mine\n");
    let before = tree(&out);
    let error = pgk_error(2, ["gen", "q1", "-o", text(&out), "--replicas", "3"]);
    for path in [&edited, &other] {
        let expected = format!("this file was changed since pgk wrote it\n  --> {}\n", path.display());
        assert!(error.contains(&expected), "{error}");
    }
    assert_eq!(tree(&out), before);
    let output = pgk(["gen", "q1", "-o", text(&out), "--force"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success());
    assert_eq!(said.matches("was written or changed by somebody else: replaced").count(), 2, "{said}");
    // Who edits a file to what pgk would write has it pgk's again.
    let rendered = fs::read(&edited).expect("read");
    generate("q1", &out, &["--name", "other"]);
    fs::write(&edited, rendered).expect("written");
    generate("q1", &out, &[]);
    generate("q1", &out, &["--name", "other"]);
}

#[test]
fn what_is_no_file_stays_also_if_forced() {
    let parent = parent();
    let out = parent.path().join("out");
    for (at, name) in
        ["03-service-rw.yaml", "README.md", "08-poddisruptionbudget-replica.yaml"].iter().enumerate()
    {
        let folder = out.join(at.to_string());
        generate("q1", &folder, &[]);
        let file = folder.join(name);
        fs::remove_file(&file).expect("removed");
        match at {
            0 => {
                fs::create_dir(&file).expect("made");
                write(&file.join("mine.txt"), "precious");
            }
            1 => symlink("nowhere", &file).expect("linked"),
            _ => assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo runs").success()),
        }
        let before = file.symlink_metadata().expect("there").ino();
        for more in [&[][..], &["--force"]] {
            let error = pgk_error(2, [&["gen", "q1", "-o", text(&folder), "--replicas=3"], more].concat());
            let expected = format!(
                "pgk writes a file of this name, and what is there is not a file\n  --> {}\n",
                file.display()
            );
            assert!(error.contains(&expected), "{error}");
        }
        // Where q2 has no such file, nothing is in its way.
        if *name != "README.md" {
            generate("q2", &folder, &[]);
        }
        assert_eq!(file.symlink_metadata().expect("there").ino(), before);
    }
}

#[test]
fn what_is_no_folder() {
    let parent = parent();
    let at = |name: &str| parent.path().join(name);
    write(&at("file"), "mine");
    symlink("nowhere", at("dangling")).expect("linked");
    symlink("loop", at("loop")).expect("linked");
    for (path, what) in [
        (at("file"), "this is a file, not a folder"),
        (at("file/sub"), "cannot write there: Not a directory"),
        ("/dev/null".into(), "this is a file, not a folder"),
        (at("dangling"), "this is a dangling link"),
        (at("loop"), "cannot write there: "),
    ] {
        let error = pgk_error(2, ["gen", "q1", "-o", text(&path)]);
        assert!(error.contains(what) && error.contains(&format!("--> {}", path.display())), "{error}");
    }
}

#[test]
fn several_instances_over_one() {
    let parent = parent();
    let out = parent.path().join("out");
    generate("q1", &out, &[]);
    let files = ["a", "b"].map(|name| parent.path().join(format!("{name}.yaml")));
    for (file, name) in files.iter().zip(["a", "b"]) {
        write(file, &format!("name: {name}\n"));
    }
    let [a, b] = files.each_ref().map(|file| text(file));
    let error = pgk_error(2, ["gen", "q1", "-f", a, "-f", b, "-o", text(&out)]);
    assert!(
        error.contains("this folder holds the files of one instance, and you asked for several"),
        "{error}"
    );
    // All folders that pgk may not write to are said at once.
    let out = parent.path().join("two");
    for name in ["a", "b"] {
        fs::create_dir_all(out.join(name)).expect("made");
        write(&out.join(name).join("mine"), "");
    }
    let error = pgk_error(2, ["gen", "q1", "-f", a, "-f", b, "-o", text(&out)]);
    assert_eq!(error.matches("the folder is not empty, and pgk did not write it").count(), 2, "{error}");
}
