//! What the README promises, tried in a real Kubernetes cluster. Each test measures what it tries.
//!
//!     KUBECONFIG=… cargo test --test cluster -- --ignored --nocapture --test-threads 1 --skip long::
//!
//! CI runs these. The others, in `long.rs`, are run by `just long`, which records what they measure.
//!
//! The cluster has three or more nodes that may be broken, and a default storage class that makes volumes. Every node has
//! the image of PostgreSQL and, for Q2 and Q3, that of `tp8/Q2/Containerfile`. `kubectl` and `diff` are on the PATH. How to
//! break a node differs from one cluster to the next, so the environment says it, in shell commands such as
//! `virsh destroy {node}` (the list is in `support/untried.rs`, and the justfile says what each is to do). A command that
//! is missing fails the tests that need it, unless `PGK_ALLOW_UNTRIED` has its name. How long an outage may be follows from
//! `docs/proof/medians.json`; with `PGK_MEASURE` set, it may be of any length. `PGK_SETTINGS` has settings that are added to
//! whatever is rendered, such as `network-policy.enabled=true`; `PGK_POLICIES=1` says that the cluster enforces policies.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[cfg(feature = "drill")]
mod apply;
mod archive;
#[cfg(feature = "drill")]
mod changes;
mod common;
#[cfg(feature = "drill")]
mod drill;
#[cfg(feature = "drill")]
mod long;
#[cfg(feature = "drill")]
mod policies;
#[cfg(feature = "drill")]
mod promote;
mod q1;
#[cfg(feature = "drill")]
mod restore;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "drill")]
mod tls;
#[cfg(feature = "drill")]
mod verdicts;

/// The last words of `cargo test` count these tests in the sources.
#[cfg(feature = "drill")]
#[test]
fn the_tests_on_a_cluster_are_counted() {
    let this = std::env::current_exe().expect("a path");
    let listed = std::process::Command::new(this).args(["--list", "--ignored"]).output().expect("it runs");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let tests = listed.lines().filter(|line| line.ends_with(": test"));
    let (long, others): (Vec<_>, Vec<_>) = tests.partition(|line| line.starts_with("long::"));
    let counted = ["just long", "just cluster"].map(support::untried::tests_on_a_cluster);
    assert_eq!([long.len(), others.len()], counted);
}

#[test]
fn what_may_be_left_out_is_a_list_of_known_names() {
    let list = "PGK_S3, PGK_S3_OFF\tperl\n";
    let has = |name| support::untried::has(list, name);
    assert_eq!([has("PGK_S3"), has("PGK_S3_OFF"), has("perl")], [true; 3]);
    assert_eq!([has("PGK_S3_ON"), has("PGK"), has("")], [false; 3]);
    assert!(!support::untried::has("", ""));
    for misspelt in ["PGK_NODE_OF", "PGK_S3 PGK_NODE_PART", "pgk_s3"] {
        assert!(
            std::panic::catch_unwind(|| support::untried::has(misspelt, "PGK_S3")).is_err(),
            "{misspelt}"
        );
    }
}
