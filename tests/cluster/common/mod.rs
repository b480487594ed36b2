//! What the tests on a real cluster share: an instance in a namespace of its own, a client inside the
//! cluster, machines to lose, drills.

// Without the feature `drill`, some of it is used by nobody.
#![cfg_attr(not(feature = "drill"), allow(dead_code))]

pub(crate) mod client;
pub(crate) mod command;
#[cfg(feature = "drill")]
pub(crate) mod drills;
pub(crate) mod figures;
pub(crate) mod instance;
pub(crate) mod machine;
