//! `pgk drill` on a real cluster: what Q1 survives passes, what it does not is reported as it is.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::drills::{assert_clean, drill, ms, runs, survives};
use crate::common::instance::Instance;
use crate::common::{command, machine};
use crate::support;
use serde_json::Value;

/// A drill whose load writes.
fn drill_under_load(pg: &Instance, warm_up: &str) -> Child {
    let child = Command::new(env!("CARGO_BIN_EXE_pgk"))
        .args(["drill", "pod-delete", "--warm-up", warm_up, "--namespace", &pg.namespace])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("pgk runs");
    let (primary, mut before) = (pg.primary(), None);
    command::eventually("a load that writes", Duration::from_secs(90), || {
        let rows = pg.shell(&primary, "psql -Atc 'SELECT count(*) FROM pgk_drill.rows'")?;
        let now: u64 = rows.parse().map_err(|error| format!("{rows}: {error}"))?;
        let grows = before.is_some_and(|before| now > before);
        before = Some(now);
        command::expect(grows, now)
    });
    child
}

/// One instance for all that it survives, so that it is made only once.
#[test]
#[ignore = "needs a cluster: just cluster"]
fn what_q1_survives() {
    let pg = Instance::start("drill_survives", &[]);
    let shown = survives(
        &pg,
        "q1",
        "[{event: pod-delete, target: replica}, {event: volume-delete, target: replica}, {event: pod-force, repeat: 2}]",
        &[],
    );
    let summary = &shown["events"][2]["summary"];
    assert_eq!((&summary["event"], &summary["runs"]), (&"pod-force".into(), &2.into()));
    let outages = &summary["write_outage_ms"];
    let [min, median, max] = ["min", "median", "max"].map(|name| outages[name].as_f64().expect("a figure"));
    assert!(min > 0.0 && min <= median && median <= max, "{outages}");

    let limit = ["postgres-kill", "--max-write-outage", "1ms", "--warm-up", "2s", "--cool-down", "3s"];
    let (shown, passed) = drill(&pg, &limit);
    let reasons = runs(&shown)[0]["verdict"]["reasons"].as_array().map(Vec::len);
    assert_eq!((passed, reasons), (false, Some(1)), "a limit that cannot hold: {shown:#}");
    assert_clean(&pg);

    total_loss_is_reported(&pg);
    a_lost_disk_is_reported(&pg);
}

/// (`long::q1_nodes_are_lost`)
pub(crate) fn nodes_are_taken_and_brought_back(pg: &Instance) {
    let hook = |name, event| machine::command(name, &format!("Q1, {event}"));
    let (cut, heal) = (hook("PGK_NODE_CUT", "node-cut"), hook("PGK_NODE_HEAL", "node-cut"));
    if let (Some(cut), Some(heal)) = (cut, heal) {
        let commands = ["--node-cut", &cut, "--node-heal", &heal, "--node-on-after", "6s"];
        let plan = "[{event: node-cut, target: replica}, {event: node-cut}]";
        let shown = survives(pg, "q1", plan, &commands);
        let [replica, primary] = runs(&shown)[..] else { panic!("{shown:#}") };
        assert_eq!(replica["target"], "replica", "{shown:#}");
        assert!(ms(&primary["write_outage"]["worst"]["longest"]["length_ms"]) > 6000, "{shown:#}");
    }
    if let (Some(off), Some(on)) = (hook("PGK_NODE_OFF", "all-off"), hook("PGK_NODE_ON", "all-off")) {
        let commands = ["--node-off", &off, "--node-on", &on];
        let shown = survives(pg, "q1", "[{event: all-off}]", &commands);
        let all = runs(&shown)[0];
        // The nodes are off for 10 s, and the load with them.
        assert!(ms(&all["first_commit_ms"]) > 10_000, "{shown:#}");
        assert!(all["notes"].to_string().contains("The load itself was away"), "{shown:#}");
    }
}

/// Nothing outside the cluster has the data: what is there afterwards is a new and empty database.
fn total_loss_is_reported(pg: &Instance) {
    let arguments = ["total-loss", "--yes", "--confirm", "pg", "--warm-up", "2s", "--cool-down", "3s"];
    let (shown, passed) = drill(pg, &arguments);
    assert!(!passed, "{shown:#}");
    let run = runs(&shown)[0];
    let lost = run["kept"]["lost"].as_array().map(Vec::len);
    assert!(lost.is_some_and(|lost| lost > 100), "{run:#}");
    assert_eq!(lost.map(Value::from), Some(run["acknowledged"].clone()), "{run:#}");
    assert_eq!(run["first_commit_ms"], Value::Null, "{run:#}");
    assert_clean(pg);
}

fn a_lost_disk_is_reported(pg: &Instance) {
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report");
    let arguments = ["volume-delete", "--timeout", "10s", "--report", report.to_str().expect("UTF-8")];
    let (shown, passed) = drill(pg, &arguments);
    assert!(!passed, "{shown:#}");
    let run = runs(&shown)[0];
    assert_eq!(run["full_strength_ms"], Value::Null, "{shown:#}");
    assert_eq!(run["write_outage"]["worst"]["not_back"], true, "{shown:#}");
    assert_eq!(run["kept"], Value::Null, "without a primary the rows cannot be read: {shown:#}");
    let markdown = fs::read_to_string(report.join("report.md")).expect("a report");
    assert!(markdown.contains("**Verdict: failed"), "{markdown}");
    assert!(fs::read_to_string(report.join("timeline.svg")).expect("a picture").contains("</svg>"));
}

/// The instance is to have a replica, but its pod finds no place: what is there is not full strength.
fn a_missing_member_is_missed(pg: &Instance) {
    let nowhere = r#"{"spec": {"replicas": 1, "template": {"spec": {"nodeSelector": {"pgk/nowhere": ""}}}}}"#;
    pg.kubectl(&["patch", "deployment", "pg-replica", "--patch", nowhere]).expect("it is scaled");
    let arguments = ["drill", "pod-delete", "--timeout", "3s", "--namespace", &pg.namespace];
    let error = support::pgk_error(1, arguments);
    assert!(error.contains("not at full strength to begin with (2 members)"), "{error}");
    pg.apply(&["replicas=0"]);
}

#[test]
#[ignore = "needs a cluster: just cluster"]
fn interruptions_and_refusals() {
    let pg = Instance::prepare("drill_ends");
    pg.apply(&["replicas=0"]);
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
    a_missing_member_is_missed(&pg);

    // Ctrl-C in the middle of the load.
    let child = drill_under_load(&pg, "60s");
    let interrupt = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &interrupt]).status().expect("sh runs").success());
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert_clean(&pg);

    // The cluster goes under the load.
    let child = drill_under_load(&pg, "5s");
    pg.kubectl(&["delete", "all", "--all", "--wait=false"]).expect("all is deleted");
    let begin = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
    println!("drill: a cluster that goes ends it after {} s", begin.elapsed().as_secs());
    assert!(errors.contains("error: "), "{errors}");
}
