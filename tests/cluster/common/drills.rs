//! `pgk drill`, run on an instance as a person would run it, and what it printed.

use std::fs;

use serde_json::Value;

use super::command::{eventually, expect, secs};
use super::figures::Figure;
use super::instance::Instance;
use super::machine;
use crate::support;

/// What a drill printed as JSON, and whether it passed.
pub(crate) fn drill(pg: &Instance, arguments: &[&str]) -> (Value, bool) {
    let mut all = vec!["drill"];
    all.extend(arguments);
    all.extend(["--namespace", &pg.namespace, "--json"]);
    let output = support::pgk(&all);
    let errors = String::from_utf8_lossy(&output.stderr);
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{all:?}: {errors}"));
    (shown, output.status.success())
}

/// Nothing of a drill is left in the namespace or in the database.
pub(crate) fn assert_clean(pg: &Instance) {
    let pods = pg.kubectl(&["get", "pods", "-l", "app.kubernetes.io/name=pgk-drill", "--output=name"]);
    assert_eq!(pods.expect("kubectl answers"), "");
    let primary = pg.primary();
    let schema =
        pg.shell(&primary, "psql -Atc \"SELECT count(*) FROM pg_namespace WHERE nspname = 'pgk_drill'\"");
    assert_eq!(schema.expect("the primary answers"), "0");
}

/// The runs that a drill printed, in the order of the events.
pub(crate) fn runs(shown: &Value) -> Vec<&Value> {
    let events = shown["events"].as_array().into_iter().flatten();
    events.flat_map(|event| event["runs"].as_array().into_iter().flatten()).collect()
}

/// Why a run failed: the kinds of its reasons, in their order.
pub(crate) fn kinds(run: &Value) -> Vec<String> {
    let reasons = run["verdict"]["reasons"].as_array().into_iter().flatten();
    reasons.map(|reason| reason["kind"].as_str().expect("a kind").to_owned()).collect()
}

/// Waits until the load of a drill that runs has written some rows.
pub(crate) fn wait_for_the_load(pg: &Instance) {
    eventually("rows of the load", secs(90), || {
        let count = pg.sql_in(&pg.primary_now()?, "postgres", "SELECT count(*) FROM pgk_drill.rows")?;
        expect(count.parse::<u32>().is_ok_and(|count| count > 20), count)
    });
}

/// Does a plan under a short load. Every run must pass, and keep to the limits of `variant`; what it printed.
pub(crate) fn survives(pg: &Instance, variant: &str, plan: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plan.yaml");
    fs::write(&file, plan).expect("a plan");
    let short = [file.to_str().expect("UTF-8"), "--warm-up", "2s"];
    let (shown, passed) = drill(pg, &[&short, arguments].concat());
    let reasons: Vec<_> = runs(&shown).into_iter().flat_map(|run| figure(variant, run).judge()).collect();
    assert!(passed && reasons.is_empty(), "{}\n{shown:#}", reasons.join("\n"));
    assert!(!runs(&shown).is_empty(), "{shown:#}");
    assert_clean(pg);
    shown
}

/// What a run came to. Nothing acknowledged may be lost.
fn figure(variant: &str, run: &Value) -> Figure {
    let (kept, two_primaries) = (&run["kept"], &run["two_primaries"]["count"]);
    let acknowledged = run["acknowledged"].as_u64().unwrap_or_default();
    measured(variant, run)
        .expect(kept["lost"].as_array().is_some_and(Vec::is_empty), || format!("lost: {}", kept["lost"]))
        .expect(*two_primaries == 0, || run["two_primaries"].to_string())
        .expect(acknowledged > 100, || "hardly anything was written".to_owned())
}

/// The figures of a run, as `measure/drill_figures.py` has them. Its own verdict must be that it passed.
pub(crate) fn measured(variant: &str, run: &Value) -> Figure {
    let word = |name: &str| run[name].as_str().expect("a word");
    // An outage that never ended has no length, which is longer than any.
    let length = |name: &str| match &run[name]["worst"] {
        worst if worst["not_back"] == true => Value::Null,
        worst => worst["longest"]["length_ms"].clone(),
    };
    let kept = &run["kept"];
    let reasons = &run["verdict"]["reasons"];
    Figure::of(&format!("{variant} {} {}", word("event"), word("target")))
        .with("write_ms", length("write_outage"))
        .with("read_ms", length("read_outage_replica"))
        .with("read_rw_ms", length("read_outage_primary"))
        .with("full_strength_ms", run["full_strength_ms"].clone())
        .with("first_commit_ms", run["first_commit_ms"].clone())
        .with("acknowledged", run["acknowledged"].clone())
        .with("lost", kept["lost"].as_array().map(Vec::len))
        .with("lost_from_ms", kept["lost_from_ms"].clone())
        .with("twice", kept["twice"].as_array().map(Vec::len))
        .with("two_primaries", run["two_primaries"]["count"].clone())
        .with("isolated", run["isolated"].clone())
        .expect(run["verdict"]["passed"] == true, || reasons.to_string())
}

/// A figure of a run, in milliseconds.
pub(crate) fn ms(figure: &Value) -> u64 {
    figure.as_u64().unwrap_or_else(|| panic!("no figure: {figure}"))
}

/// The same for the events of whole nodes that the environment has commands for. The longest that a node is
/// away is `away`; `more` are arguments of the drill.
pub(crate) fn survives_nodes(pg: &Instance, variant: &str, events: &[&str], away: &str, more: &[&str]) {
    let mut plan = Vec::new();
    let mut arguments = vec!["--node-on-after".to_owned(), away.to_owned()];
    for event in events {
        let (take, give) = match *event {
            "node-cut" => (("--node-cut", "PGK_NODE_CUT"), ("--node-heal", "PGK_NODE_HEAL")),
            "node-cut-peers" => {
                (("--node-cut-peers", "PGK_NODE_CUT_PEERS"), ("--node-heal", "PGK_NODE_HEAL"))
            }
            "node-cut-api" => (("--node-cut-api", "PGK_NODE_CUT_API"), ("--node-heal", "PGK_NODE_HEAL")),
            "node-delete" => (("--node-delete", "PGK_NODE_DELETE"), ("--node-on", "PGK_NODE_ON")),
            _ => (("--node-off", "PGK_NODE_OFF"), ("--node-on", "PGK_NODE_ON")),
        };
        let what = format!("{variant} {event}");
        let hook = |name| machine::command(name, &what);
        let (Some(taken), Some(given)) = (hook(take.1), hook(give.1)) else { continue };
        for (flag, command) in [(take.0, taken), (give.0, given)] {
            if !arguments.iter().any(|argument| argument == flag) {
                arguments.extend([flag.to_owned(), command]);
            }
        }
        plan.push(format!("{{event: {event}}}"));
    }
    if !plan.is_empty() {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        survives(pg, variant, &format!("[{}]", plan.join(", ")), &arguments);
    }
}
