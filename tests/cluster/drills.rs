//! `pgk drill`, run on an instance as a person would run it, and what it printed.

use std::fs;
use std::time::Duration;

use serde_json::Value;

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

/// Does a plan under a short load, all of which must pass; what it printed.
pub(crate) fn passes(pg: &Instance, plan: &str, arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("plan.yaml");
    fs::write(&file, plan).expect("a plan");
    let short = [file.to_str().expect("UTF-8"), "--warm-up", "2s"];
    let (shown, passed) = drill(pg, &[&short, arguments].concat());
    for run in runs(&shown) {
        println!(
            "drill: {} {}: write outage {} ms, read outage {} ms, first commit after {} ms, full strength after {} ms",
            run["event"].as_str().unwrap_or_default(),
            run["target"].as_str().unwrap_or_default(),
            run["write_outage"]["worst"]["longest"]["length_ms"],
            run["read_outage_replica"]["worst"]["longest"]["length_ms"],
            run["first_commit_ms"],
            run["full_strength_ms"]
        );
        assert_eq!(run["kept"]["lost"], Value::Array(vec![]), "{run:#}");
        assert!(run["acknowledged"].as_u64().is_some_and(|commits| commits > 100), "{run:#}");
    }
    let reasons: Vec<_> = runs(&shown).into_iter().map(|run| &run["verdict"]["reasons"]).collect();
    assert!(passed, "{reasons:?}");
    assert_clean(pg);
    shown
}

/// A figure of a run, in milliseconds.
pub(crate) fn ms(figure: &Value) -> u64 {
    figure.as_u64().unwrap_or_else(|| panic!("no figure: {figure}"))
}

/// Does a plan; no write outage may be longer than `limit`. (What is usual is measured by `just failures q2`;
/// a test must also pass on a busy machine.)
pub(crate) fn survives(pg: &Instance, plan: &str, commands: &[&str], limit: Duration) {
    let shown = passes(pg, plan, commands);
    for run in runs(&shown) {
        let outage = ms(&run["write_outage"]["worst"]["longest"]["length_ms"]);
        assert!(u128::from(outage) <= limit.as_millis(), "{run:#}");
        assert_eq!(run["two_primaries"]["count"], 0, "{run:#}");
    }
}

/// The same for the events of whole nodes that the environment has commands for. The longest that a node is
/// away is `away`.
pub(crate) fn survives_nodes(pg: &Instance, events: &[&str], away: &str, limit: Duration) {
    let mut plan = Vec::new();
    let mut arguments = vec!["--node-on-after".to_owned(), away.to_owned()];
    for event in events {
        let (take, give) = match *event {
            "node-cut" => (("--node-cut", "PGK_NODE_CUT"), ("--node-heal", "PGK_NODE_HEAL")),
            "node-delete" => (("--node-delete", "PGK_NODE_DELETE"), ("--node-on", "PGK_NODE_ON")),
            _ => (("--node-off", "PGK_NODE_OFF"), ("--node-on", "PGK_NODE_ON")),
        };
        let (Some(taken), Some(given)) = (machine::command(take.1), machine::command(give.1)) else {
            continue;
        };
        for (flag, command) in [(take.0, taken), (give.0, given)] {
            if !arguments.iter().any(|argument| argument == flag) {
                arguments.extend([flag.to_owned(), command]);
            }
        }
        plan.push(format!("{{event: {event}}}"));
    }
    if !plan.is_empty() {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        survives(pg, &format!("[{}]", plan.join(", ")), &arguments, limit);
    }
}
