//! What is rarely what is wanted.

use super::super::scenario::Scenario;
use super::{Set, Verdicts, is_on, key};
use crate::error::{shown, similar};
use crate::postgres::{self, Parameter, Value};

/// A library's name as a list has it.
fn library_name(one: &str) -> &str {
    let one = one.trim().trim_matches('"');
    one.strip_prefix("$libdir/").unwrap_or(one)
}

impl Set<'_> {
    /// What is rarely what is wanted.
    pub(super) fn doubts(&self, parameter: &Parameter, value: Value<'_>, verdicts: &mut Verdicts) {
        let name = parameter.name;
        let mut warn = |what: &str, help: &str| verdicts.warn(key(name), what, help);
        match (name, is_on(value), value) {
            ("autovacuum" | "track_counts", Some(false), _) => warn(
                &format!(
                    "with {name} off, tables are vacuumed only before their transaction numbers run out"
                ),
                "take it out; ALTER TABLE … SET (autovacuum_enabled = off) is for one table",
            ),
            ("huge_pages", Some(true), _) | ("huge_pages", None, Value::Word("try")) => warn(
                "the pods ask Kubernetes for no huge pages: where a node has some, PostgreSQL dies of a bus error",
                "take huge_pages out, or add hugepages-2Mi to the pods' resources by an overlay",
            ),
            ("io_method", _, Value::Word("io_uring")) => warn(
                "with io_method `io_uring`, PostgreSQL may not start: container runtimes forbid these calls by default",
                "`worker` works everywhere",
            ),
            ("ignore_invalid_pages", Some(true), _) => warn(
                "with ignore_invalid_pages, recovery goes on where WAL and data do not fit, and data is lost",
                "take it out as soon as the data is rescued",
            ),
            ("session_replication_role", _, Value::Word("replica")) => warn(
                "with session_replication_role `replica`, no session checks foreign keys or runs triggers",
                "take it out; to copy data, SET it in that session",
            ),
            ("allow_alter_system", Some(true), _) if self.scenario != Scenario::Q2Restore => warn(
                "with allow_alter_system, what ALTER SYSTEM sets wins over what is rendered and applied later",
                "take it out, and set parameters in the configuration",
            ),
            ("synchronous_standby_names", _, Value::Text(names))
                if !names.is_empty() && self.scenario == Scenario::Q1 =>
            {
                warn(
                    "with synchronous_standby_names, every write waits while no replica of that name is connected",
                    "Q2 is the scenario whose commits are on two members as long as there are two",
                );
            }
            ("recovery_min_apply_delay", _, Value::Number(number)) if number > 0.0 => warn(
                "with recovery_min_apply_delay, every replica shows old data",
                "take it out; to protect against mistakes, add a separate replica next to pgk's",
            ),
            ("wal_sender_timeout" | "wal_receiver_timeout", _, Value::Number(0.0)) => warn(
                &format!("with {name} 0, PostgreSQL waits for ever for a peer that is gone without a word"),
                "take it out: pgk sets it to a few seconds",
            ),
            ("max_slot_wal_keep_size", _, Value::Number(-1.0)) if self.scenario != Scenario::Q2Restore => {
                warn(
                    "with max_slot_wal_keep_size -1, a replica that lags behind can fill the primary's volume with WAL",
                    "take it out: it is a quarter of the volume then",
                );
            }
            _ => {
                let loaded = self.text("shared_preload_libraries");
                if let Some(library) = parameter.preloaded()
                    && !loaded.split(',').any(|one| library_name(one) == library)
                {
                    warn(
                        &format!("{name} has no effect: {library} is not in shared_preload_libraries"),
                        &format!("set postgres.parameters.shared_preload_libraries to `{library}`, too"),
                    );
                }
            }
        }
    }

    /// Libraries that are not in the image.
    pub(super) fn libraries(&self, verdicts: &mut Verdicts) {
        let version = self.plan.postgres.version;
        let has = |library: &str| postgres::libraries(version).any(|one| one == library);
        let help = |library: &str| match similar(library, postgres::libraries(version)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "set postgres.image to an image that has it".to_owned(),
        };
        for name in ["shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"] {
            for library in self.text(name).split(',').map(library_name).filter(|it| !it.is_empty()) {
                // Of another image, there is no telling.
                if !has(library) && self.plan.postgres.image.is_none() {
                    let what = format!(
                        "PostgreSQL's image has no library {}, and does not start without",
                        shown(library)
                    );
                    verdicts.warn(key(name), what, &help(library));
                }
            }
        }
        for name in self.plan.postgres.parameters.keys() {
            let Some(library) = postgres::prefix(name.as_str()) else { continue };
            let meant = similar(library, postgres::libraries(version));
            if let Some(meant) = meant.filter(|_| !has(library)) {
                let what = format!("{} is of no library that PostgreSQL comes with", shown(name.as_str()));
                verdicts.warn(
                    key(name.as_str()),
                    what,
                    &format!("if it is not one of your image: did you mean `{meant}`?"),
                );
            }
        }
    }
}
