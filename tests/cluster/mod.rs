//! What the tests on a real cluster share: an instance in a namespace of its own, a client inside the
//! cluster, machines to lose, drills.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod command;
pub(crate) mod drills;
pub(crate) mod instance;
pub(crate) mod machine;
