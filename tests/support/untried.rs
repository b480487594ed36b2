//! What the tests may leave out, and how they say so. A tool that is missing is left out with a word, or fails the test
//! where `PGK_TRY_ALL` is set; a hook of the tests on a cluster that is missing fails the test. Those whose names
//! `PGK_ALLOW_UNTRIED` has, separated by spaces or commas, are left out in any case.

// Each test file uses a part of this.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that some tests take.
pub struct Tool {
    pub name: &'static str,
    /// What succeeds where it is there.
    probe: &'static [&'static str],
    /// What is not tried without it.
    pub what: &'static str,
}

pub const TOOLS: [Tool; 7] = [
    Tool { name: "shellcheck", probe: &["shellcheck", "--version"], what: "shellcheck over every script" },
    Tool {
        name: "python3",
        probe: &["python3", "--version"],
        what: "the programs of Q2 and Q3, the tables of docs/proof, and what is shown on a terminal",
    },
    Tool { name: "PyYAML", probe: &["python3", "-c", "import yaml"], what: "the programs' own tests" },
    Tool { name: "openssl", probe: &["openssl", "version"], what: "the certificate, by openssl" },
    Tool { name: "perl", probe: &["perl", "-v"], what: "the store of Q2 by restore" },
    Tool {
        name: "strace",
        // It may be there, and not allowed to trace.
        probe: &["strace", "-o", "/dev/null", "true"],
        what: "signals at each step of writing a folder",
    },
    Tool {
        name: "nft",
        // It may be there, and somebody else than root may not use it.
        probe: &["unshare", "--net", "--mount", "sh", "-c", "nft list tables && ip link add v0 type veth"],
        what: "packets through the rules of measure/enforce.py",
    },
];

/// Variables of the environment with the commands that break a cluster; the justfile says what each does.
pub const HOOKS: [&str; 14] = [
    "PGK_NODE_OFF",
    "PGK_NODE_ON",
    "PGK_NODE_DELETE",
    "PGK_NODE_CUT",
    "PGK_NODE_CUT_PEERS",
    "PGK_NODE_CUT_API",
    "PGK_NODE_HEAL",
    "PGK_CONTAINER_KILL",
    "PGK_API_OFF",
    "PGK_API_ON",
    "PGK_S3",
    "PGK_S3_OFF",
    "PGK_S3_ON",
    "PGK_POWER_CUT_LOSES",
];

/// Whether `list`, as `PGK_ALLOW_UNTRIED` is written, has this name. A name in it that nothing has is an error.
pub fn has(list: &str, name: &str) -> bool {
    let names = || list.split([' ', ',', '\t', '\n']).filter(|name| !name.is_empty());
    for name in names() {
        let known = HOOKS.contains(&name) || TOOLS.iter().any(|tool| tool.name == name);
        assert!(known, "PGK_ALLOW_UNTRIED has {name}, which is neither a hook nor a tool");
    }
    names().any(|one| one == name)
}

/// Whether this may be left out.
pub fn allowed(name: &str) -> bool {
    has(&std::env::var("PGK_ALLOW_UNTRIED").unwrap_or_default(), name)
}

impl Tool {
    pub fn is_there(&self) -> bool {
        let [program, arguments @ ..] = self.probe else { return false };
        let mut probe = Command::new(program);
        probe.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    }
}

/// Whether the tool of this name is there, so that the test goes on.
pub fn tool(name: &str) -> bool {
    let tool = TOOLS.iter().find(|tool| tool.name == name).expect("a tool of the list");
    let allowed = allowed(name);
    let is_there = tool.is_there();
    let must = std::env::var_os("PGK_TRY_ALL").is_some() && !allowed;
    assert!(is_there || !must, "no {name} on this machine, so that this is not tried: {}", tool.what);
    is_there
}

/// How many tests that need a cluster this recipe runs (`just cluster` or `just long`), by the sources.
pub fn tests_on_a_cluster(recipe: &str) -> usize {
    let mark = format!("#[ignore = \"needs a cluster: {recipe}\"]");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let sources = files.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).expect("a source"));
    sources.map(|text| text.lines().filter(|line| *line == mark).count()).sum()
}
