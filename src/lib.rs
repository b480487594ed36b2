//! `pgk` renders the Kubernetes manifests of a resilient PostgreSQL.
//!
//! Data flows one way, one module per step:
//!
//! 1. [`config`] reads `pgk.yaml` and `--set`, and validates them into a [`config::Plan`];
//! 2. [`scenario`] says which documents a scenario has, in which order;
//! 3. [`render`] fills their templates in, escaping each value for the kind of file it lands in;
//! 4. [`manifest`] reads every document back as its Kubernetes type and checks the links between them;
//! 5. [`emit`] writes them to stdout or to a folder.
//!
//! Only step 1 can fail on a user's input. A failure in 3 or 4 is a bug in pgk, and says so.

#[cfg(feature = "drill")]
mod api;
pub mod cli;
pub mod commands;
pub mod config;
#[cfg(feature = "drill")]
pub mod drill;
pub mod emit;
pub mod error;
pub mod graph;
pub mod manifest;
pub mod postgres;
pub mod render;
pub mod scenario;
mod yaml;
