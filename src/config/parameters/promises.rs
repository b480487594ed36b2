//! What undoes what the manifests promise, or what pgk's own programs rely on.

use super::super::conflicts::{Conflict, STRATEGY};
use super::super::scenario::Scenario;
use super::super::types::{Durability, Tls};
use super::{Set, Verdicts, is_on, key};
use crate::error::shown;
use crate::postgres::{Parameter, Value};

/// Why a parameter must not have this value in Q2 by restore; `None` if it may.
fn breaks_the_store(name: &str, value: Value<'_>, durability: Durability) -> Option<&'static str> {
    let is_on = is_on(value) == Some(true);
    Some(match (name, value) {
        ("synchronous_standby_names", _) => "a commit waits for the store, whose name pgk sets",
        ("summarize_wal", _) => "the store's incremental base backups need it, so pgk sets it",
        ("synchronous_commit", _) if !is_on => {
            "a commit is acknowledged once it is on the store's disk: with less it can be lost, and \
             `remote_apply` never comes from a store"
        }
        ("fsync" | "full_page_writes", _) if !is_on => {
            "after a power cut, the primary would go on with damaged data, and the store would receive it"
        }
        ("restore_command" | "recovery_end_command", _) => {
            "pgk's own restore_command fetches WAL from the store"
        }
        ("recovery_min_apply_delay", _) => "a restore would wait for as long before the new primary leads",
        _ if name.starts_with("recovery_target") => "a restore replays all that was acknowledged",
        ("max_slot_wal_keep_size", _) if durability != Durability::Available => {
            "WAL that the store has not received must be kept, however much it is"
        }
        ("max_replication_slots" | "max_wal_senders", Value::Number(0.0)) => {
            "the store receives WAL through a slot and a WAL sender"
        }
        ("wal_keep_size", Value::Number(0.0)) => {
            "a new primary must still have the last file of the former timeline, for the store to receive"
        }
        ("allow_alter_system", _) if durability == Durability::Available && !is_on => {
            "with q2.durability `available`, pgk itself leaves the store out by ALTER SYSTEM while it is away"
        }
        ("lc_messages", Value::Text(text)) if !is_english(text) => {
            "pgk recognises damaged data by PostgreSQL's English messages"
        }
        ("logging_collector", _) if is_on => {
            "pgk's messages refer to PostgreSQL's lines in the container's log"
        }
        _ => return None,
    })
}

/// Whether messages in this locale are in English.
fn is_english(locale: &str) -> bool {
    let locale = locale.trim().to_ascii_lowercase();
    locale.starts_with("en") || matches!(locale.as_str(), "" | "c" | "posix" | "c.utf-8")
}

impl Set<'_> {
    /// What undoes what the manifests promise or what pgk's own programs rely on.
    pub(super) fn promises(&self, parameter: &Parameter, value: Value<'_>, verdicts: &mut Verdicts) {
        let name = parameter.name;
        if self.scenario == Scenario::Q2Restore
            && let Some(why) = breaks_the_store(name, value, self.plan.q2.durability)
        {
            verdicts.add(Conflict::new(
                key(name),
                STRATEGY,
                format!("with q2.strategy `restore`, {name} cannot be set like this"),
                &format!("take it out of postgres.parameters: {why}"),
            ));
            return;
        }
        let mut refuse = |what: &str, help: &str| verdicts.refuse(key(name), what, help);
        match (name, is_on(value)) {
            ("fsync" | "full_page_writes", Some(false)) => refuse(
                &format!("with {name} off, a node that loses power leaves a damaged database"),
                "take it out; `SET synchronous_commit = off` in a session that loads much data is safe",
            ),
            ("data_sync_retry", Some(true)) => refuse(
                "with data_sync_retry, PostgreSQL goes on after a failed fsync as if the data were on the disk",
                "take it out: without it, PostgreSQL replays its WAL",
            ),
            ("zero_damaged_pages" | "ignore_checksum_failure", Some(true)) => refuse(
                &format!("with {name} on, every session passes over damaged pages, and nobody hears of them"),
                "take it out; to rescue data, SET it in that session",
            ),
            ("standard_conforming_strings", Some(false)) => refuse(
                "pgk's own SQL is written for standard_conforming_strings = on",
                "take it out; if you need it, set it for a role or a database",
            ),
            ("default_transaction_read_only", Some(true)) => refuse(
                "with default_transaction_read_only, pgk cannot create the roles and the database",
                "take it out; if you need it, set it for a role or a database",
            ),
            ("ssl" | "ssl_cert_file" | "ssl_key_file" | "ssl_passphrase_command", _)
                if self.plan.tls != Tls::Off =>
            {
                refuse(
                    &format!("with tls `{}`, pgk sets {name} itself", self.plan.tls.as_str()),
                    "take it out, or set tls to `off`",
                );
            }
            ("ssl", Some(true))
                if self.text("ssl_cert_file").is_empty() || self.text("ssl_key_file").is_empty() =>
            {
                refuse(
                    "with ssl on and no certificate, PostgreSQL does not start",
                    "set ssl_cert_file and ssl_key_file to files in the image, or take ssl out",
                );
            }
            ("password_encryption", _) if value == Value::Word("md5") => refuse(
                "with password_encryption `md5`, nobody could log in: pg_hba.conf asks for SCRAM",
                "take it out",
            ),
            ("wal_level", _) if value == Value::Word("minimal") => refuse(
                "with wal_level `minimal`, there is no replication",
                "take it out, or set it to `logical`",
            ),
            ("synchronous_commit", _) => self.synchronous_commit(value, verdicts),
            ("synchronous_standby_names", _) if self.scenario.has_patroni() => refuse(
                "Patroni sets synchronous_standby_names itself",
                "take it out: q2.durability says what a commit waits for",
            ),
            // The archive's own checks say it of Q3.
            _ if name.starts_with("recovery_target") && self.scenario != Scenario::Q3 => refuse(
                &format!("with {name}, a replica would stop there and follow no more"),
                "take it out: q3.restore is what restores a cluster up to a target",
            ),
            _ => {}
        }
    }

    /// Whether a commit is acknowledged before it is where `q2.durability` says.
    fn synchronous_commit(&self, value: Value<'_>, verdicts: &mut Verdicts) {
        let durability = self.plan.q2.durability;
        let key = key("synchronous_commit");
        let word = match (is_on(value), value) {
            (Some(true), _) => "on",
            (Some(false), _) => "off",
            (None, Value::Word(word)) => word,
            _ => return,
        };
        let may = "a role or a session can still SET it lower, for what may be lost";
        match (self.scenario, durability, word) {
            (Scenario::Q1, _, "off") => verdicts.warn(
                key,
                "with synchronous_commit `off`, a crash of the primary loses the last commits that it acknowledged",
                &format!("take it out; {may}"),
            ),
            (_, _, "on")
            // Of the store, all has been said.
            | (Scenario::Q1 | Scenario::Q2Restore, ..)
            | (Scenario::Q2 | Scenario::Q3, _, "remote_apply")
            | (Scenario::Q2 | Scenario::Q3, Durability::Asynchronous, "local" | "remote_write") => {}
            (Scenario::Q2 | Scenario::Q3, Durability::Asynchronous, _) => verdicts.refuse(
                key,
                "with synchronous_commit `off`, a commit is acknowledged before the primary has it on disk, which q2.durability `asynchronous` promises",
                &format!("take it out; {may}"),
            ),
            (Scenario::Q2 | Scenario::Q3, ..) => verdicts.refuse(
                key,
                format!(
                    "with synchronous_commit `{word}`, a commit is acknowledged before the standby has it on disk, which q2.durability `{}` promises",
                    durability.as_str()
                ),
                &format!("set q2.durability to `asynchronous` if no commit is to wait for a standby, or take it out; {may}"),
            ),
        }
    }

    /// What takes the logs away, or hides errors.
    pub(super) fn logs(parameter: &Parameter, value: Value<'_>, verdicts: &mut Verdicts) {
        let name = parameter.name;
        let mut warn = |what: &str, help: &str| verdicts.warn(key(name), what, help);
        match (name, value) {
            ("logging_collector", Value::Bool(true)) => warn(
                "with logging_collector on, `kubectl logs` shows nothing of PostgreSQL: its log is in files on the volume",
                "take it out, so that the log is the container's",
            ),
            ("log_destination", Value::Text(text))
                if !text.split(',').any(|one| one.trim().eq_ignore_ascii_case("stderr")) =>
            {
                warn(
                    &format!(
                        "with log_destination {}, `kubectl logs` may show nothing of PostgreSQL",
                        shown(text)
                    ),
                    "add `stderr`, which is the container's log",
                );
            }
            ("log_min_messages", Value::Word(word @ ("log" | "fatal" | "panic"))) => warn(
                &format!("with log_min_messages `{word}`, the log has no errors"),
                "`error` logs them, and everything worse",
            ),
            _ => {}
        }
    }
}
