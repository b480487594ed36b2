//! `pgk drill` on a real cluster: what Q1 survives passes, what it does not is reported as it is. Needs
//! what `cluster.rs` needs, and is skipped without it.

#![cfg(feature = "drill")]
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "cluster/client.rs"]
mod client;
#[path = "cluster/command.rs"]
mod command;
#[path = "cluster/instance.rs"]
mod instance;
#[path = "cluster/machine.rs"]
mod machine;
mod support;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use instance::Instance;
use serde_json::Value;

/// What a drill printed as JSON, and whether it passed.
fn drill(pg: &Instance, arguments: &[&str]) -> (Value, bool) {
    let mut all = vec!["drill"];
    all.extend(arguments);
    all.extend(["--namespace", &pg.namespace, "--json"]);
    let output = support::pgk(&all);
    let errors = String::from_utf8_lossy(&output.stderr);
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{all:?}: {errors}"));
    (shown, output.status.success())
}

/// Nothing of a drill is left in the namespace or in the database.
fn assert_clean(pg: &Instance) {
    let pods = pg.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=pgk-drill", "--output=name"]);
    assert_eq!(pods.expect("kubectl answers"), "");
    let primary = pg.primary();
    let schema =
        pg.shell(&primary, "psql -Atc \"SELECT count(*) FROM pg_namespace WHERE nspname = 'pgk_drill'\"");
    assert_eq!(schema.expect("the primary answers"), "0");
}

/// A drill whose load has been running for some seconds.
fn drill_under_load(pg: &Instance, warm_up: &str) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["drill", "pod-delete", "--warm-up", warm_up, "--namespace", &pg.namespace])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgk runs");
    command::eventually("the load", Duration::from_secs(60), || {
        let pods = pg.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=pgk-drill", "--output=name"])?;
        command::expect(pods.lines().count() == 2, pods)
    });
    std::thread::sleep(Duration::from_secs(3));
    child
}

#[test]
fn what_q1_survives() {
    let Some(pg) = Instance::start("drill_survives", &[]) else { return };
    for (event, target) in [
        ("pod-delete", "replica"),
        ("pod-force", "replica"),
        ("postgres-kill", "replica"),
        ("volume-delete", "replica"),
        ("pod-delete", "primary"),
        ("pod-force", "primary"),
        ("postgres-kill", "primary"),
    ] {
        let (shown, passed) = drill(&pg, &[event, "--target", target]);
        assert!(passed, "{event} {target}: {shown:#}");
        let run = &shown["events"][0]["runs"][0];
        println!(
            "what_q1_survives: {event} {target}: write outage {} ms, read outage {} ms, full strength after {} ms",
            run["write_outage"]["worst"]["longest"]["length_ms"],
            run["read_outage_replica"]["worst"]["longest"]["length_ms"],
            run["full_strength_ms"]
        );
        assert_eq!(run["kept"]["lost"], Value::Array(vec![]), "{shown:#}");
        assert!(run["acknowledged"].as_u64().is_some_and(|commits| commits > 200), "{shown:#}");
        assert_clean(&pg);
    }
}

#[test]
fn what_q1_does_not_survive_is_reported() {
    let Some(pg) = Instance::start("drill_reports", &[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report");
    let arguments = ["volume-delete", "--timeout", "30s", "--report", report.to_str().expect("UTF-8")];
    let (shown, passed) = drill(&pg, &arguments);
    assert!(!passed, "{shown:#}");
    let run = &shown["events"][0]["runs"][0];
    assert_eq!(run["full_strength_ms"], Value::Null, "{shown:#}");
    assert_eq!(run["write_outage"]["worst"]["not_back"], true, "{shown:#}");
    assert_eq!(run["kept"], Value::Null, "without a primary the rows cannot be read: {shown:#}");
    let markdown = fs::read_to_string(report.join("report.md")).expect("a report");
    assert!(markdown.contains("**Verdict: failed"), "{markdown}");
    assert!(fs::read_to_string(report.join("timeline.svg")).expect("a picture").contains("</svg>"));
}

#[test]
fn limits_and_interruptions() {
    let Some(pg) = Instance::start("drill_limits", &[]) else { return };
    let (shown, passed) = drill(&pg, &["postgres-kill", "--max-write-outage", "1ms"]);
    assert!(!passed, "a limit that cannot hold: {shown:#}");
    assert_clean(&pg);

    // Ctrl-C in the middle of the load.
    let child = drill_under_load(&pg, "60s");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("sh runs").success());
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_clean(&pg);
}

#[test]
fn a_cluster_that_goes_ends_the_drill() {
    let Some(pg) = Instance::start("drill_gone", &[]) else { return };
    let child = drill_under_load(&pg, "5s");
    pg.kubectl(&["delete", "all", "--all", "--wait=false"]).expect("all is deleted");
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    println!("a_cluster_that_goes_ends_the_drill: after {} s", begin.elapsed().as_secs());
    assert!(errors.contains("error: "), "{errors}");
}

#[test]
fn a_node_is_taken_and_brought_back() {
    let command = |name| std::env::var(name).ok().filter(|command: &String| !command.is_empty());
    let (Some(off), Some(on)) = (command("PGK_NODE_OFF"), command("PGK_NODE_ON")) else {
        println!("skipped: PGK_NODE_OFF and PGK_NODE_ON are not set (shell commands with {{node}} in them)");
        return;
    };
    let Some(pg) = Instance::start("drill_node_off", &[]) else { return };
    let arguments =
        ["node-off", "--target", "replica", "--node-off", &off, "--node-on", &on, "--max-recovery", "90s"];
    let (shown, passed) = drill(&pg, &arguments);
    let run = &shown["events"][0]["runs"][0];
    println!(
        "a_node_is_taken_and_brought_back: read outage {} ms, full strength after {} ms",
        run["read_outage_replica"]["worst"]["longest"]["length_ms"], run["full_strength_ms"]
    );
    assert!(passed, "{shown:#}");
    assert_clean(&pg);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let Some(pg) = Instance::start("drill_refusals", &[]) else { return };
    pg.kubectl(&["scale", "deployment", "pg-replica", "--replicas=0"]).expect("it is scaled");
    pg.wait_until_streaming(0);
    let refused = |arguments: &[&str]| {
        let mut all = vec!["drill"];
        all.extend(arguments);
        all.extend(["--namespace", &pg.namespace]);
        support::pgk_error(2, &all)
    };
    assert!(refused(&["volume-delete"]).contains("would destroy the last copy of the data"));
    assert!(refused(&["total-loss", "--yes"]).contains("--confirm NAME"));
    assert!(refused(&["node-off"]).contains("node-off needs --node-off"));
    assert!(refused(&["switchover"]).contains("no election"));
    assert!(refused(&["pod-delete", "--target", "replica"]).contains("the instance has no replica"));
    assert!(refused(&["pod-delete", "--name", "other"]).contains("there is no instance `other`"));
    assert_clean(&pg);
}
