//! The last words of `cargo test`: what it did not try. Not a test of libtest, which shows nothing of those that pass;
//! cargo runs it last, by its name.

#![allow(missing_docs, clippy::expect_used)]

#[path = "support/untried.rs"]
mod untried;

fn main() {
    // With a filter, or to list tests, there is nothing to say.
    let shows = ["--nocapture", "--no-capture", "--show-output", "--quiet", "-q", "--test-threads"];
    let selects = |argument: String| {
        let is_known = shows.iter().any(|known| argument.split('=').next() == Some(known));
        !is_known && argument.parse::<usize>().is_err()
    };
    if std::env::args().skip(1).any(selects) {
        return;
    }
    for (what, recipe) in [("tests", "just cluster"), ("long tests", "just long")] {
        let count = untried::tests_on_a_cluster(recipe);
        println!("Not tried: the {count} {what} on a cluster (`{recipe}` does, with KUBECONFIG set).");
    }
    if !cfg!(feature = "drill") {
        println!("Not tried: `pgk drill` (the feature `drill` is off).");
    }
    for variable in ["PGK_POSTGRES_17", "PGK_POSTGRES_18"].iter().filter(|it| std::env::var_os(it).is_none())
    {
        println!(
            "Not tried: the catalogue of parameters against a server ({variable} names no folder of its programs)."
        );
    }
    for tool in untried::TOOLS.iter().filter(|tool| !tool.is_there()) {
        let allowed = if untried::allowed(tool.name) { ", allowed by PGK_ALLOW_UNTRIED" } else { "" };
        println!("Not tried: {} (no {} on this machine{allowed}).", tool.what, tool.name);
    }
    println!("Everything else that was asked for was tried.");
}
