//! Machines to lose. How to do that differs from one cluster to the next, so the environment says it.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::command::{SOON, at_the_end, expect, run, within};
use crate::support::untried;

/// How to lose a node's machine and how to start it again: commands for a shell, in which `{node}` stands
/// for the node's name.
pub(crate) struct Machines {
    lose: String,
    start: String,
}

/// The command that the environment variable `name` gives, a hook of the list. Without it, `what` is not tried: that
/// fails the test, or, where `PGK_ALLOW_UNTRIED` has the name, is said in a line.
pub(crate) fn command(name: &str, what: &str) -> Option<String> {
    assert!(untried::HOOKS.contains(&name), "{name} is not in the list of hooks");
    let allowed = untried::allowed(name);
    let command = std::env::var(name).ok().filter(|command| !command.is_empty());
    if command.is_none() {
        assert!(allowed, "{name} is not set, so that this is not tried: {what}");
        println!("not tried: {what} ({name} is not set, allowed)");
    }
    command
}

/// A machine that was lost. It is started again at the end of the test, also when the test fails.
pub(crate) struct Lost<'a> {
    machines: &'a Machines,
    node: String,
    is_back: bool,
}

impl Machines {
    /// The command that the environment variable `lose` gives, and that of `PGK_NODE_ON`; `None` where `what` is not
    /// tried without them.
    pub(crate) fn from_environment(lose: &str, what: &str) -> Option<Self> {
        Some(Self { lose: command(lose, what)?, start: command("PGK_NODE_ON", what)? })
    }

    /// Loses a node's machine.
    pub(crate) fn lose(&self, node: &str) -> Lost<'_> {
        let lost = Lost { machines: self, node: node.to_owned(), is_back: false };
        shell(&self.lose.replace("{node}", node)).expect("the machine is lost");
        lost
    }
}

impl Lost<'_> {
    /// Starts the machine again, and waits until its node takes pods.
    pub(crate) fn bring_back(mut self) {
        self.start().expect("the node is back");
    }

    fn start(&mut self) -> Result<(), String> {
        self.is_back = true;
        shell(&self.machines.start.replace("{node}", &self.node))?;
        within(Duration::from_secs(90), || {
            let node =
                run(Command::new("kubectl").args(["get", "node", &self.node, "--output=json"]), "", SOON)?;
            let node: Value = serde_json::from_str(&node.stdout).map_err(|error| error.to_string())?;
            let ready = node["status"]["conditions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"));
            expect(ready && node["spec"].get("taints").is_none(), &node["spec"])
        })
    }
}

impl Drop for Lost<'_> {
    fn drop(&mut self) {
        if !self.is_back {
            at_the_end("a node is not back", self.start());
        }
    }
}

/// A command that makes something whole again, run at the end of the test, also when the test fails.
pub(crate) struct Repair(pub(crate) String);

impl Drop for Repair {
    fn drop(&mut self) {
        at_the_end("not whole again", shell(&self.0));
    }
}

/// Runs a command of the environment.
pub(crate) fn shell(command: &str) -> Result<(), String> {
    run(Command::new("sh").args(["-c", command]), "", Duration::from_secs(60)).map(drop)
}
