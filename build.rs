//! On Linux, pgk is linked to a fixed address: moving it somewhere else at its start, with the types of Kubernetes in it,
//! took longer than everything else that `pgk --version` does.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux")
        && var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu")
    {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
