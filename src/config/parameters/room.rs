//! What the volume, the memory or the other settings leave no room for.

use super::super::conflicts::Conflict;
use super::super::scenario::Scenario;
use super::super::types::Quantity;
use super::{Set, Verdicts, key};
use crate::postgres::{Amount, Unit, Value};

impl Set<'_> {
    /// Shared memory and what sessions use, against the limit.
    pub(super) fn memory(&self, verdicts: &mut Verdicts) {
        let Some(written) = &self.plan.resources.limits.memory else { return };
        let limit = written.amount();
        let size = |bytes| Amount(bytes, Unit::Memory);
        let (shared, set) = (self.number("shared_buffers"), self.number("wal_buffers"));
        // By itself, a 32nd of shared_buffers, at most a WAL file.
        let wal = if set < 0.0 { (shared / 32.0).min(16.0 * 1_048_576.0) } else { set };
        let place = self.first_set(&["shared_buffers", "wal_buffers"]).map(key);
        if shared + wal >= limit {
            verdicts.add(Conflict::new(
                place.unwrap_or_else(|| "resources.limits.memory".to_owned()),
                &["postgres.version", "resources"],
                format!(
                    "shared_buffers ({}) and wal_buffers ({}) leave nothing of the memory limit of {written}",
                    size(shared),
                    size(wal)
                ),
                "a quarter of resources.limits.memory is a good shared_buffers: lower it, or raise the limit",
            ));
            return;
        }
        if let Some(place) = place
            && shared + wal > 0.75 * limit
        {
            let what = format!(
                "shared_buffers ({}) leaves {} of the memory limit of {written} for sessions, vacuum and the page cache",
                size(shared),
                size((limit - shared - wal).max(1024.0).round())
            );
            verdicts.warn(place, what, "a quarter of the limit is a good shared_buffers");
        }
        let (work, connections) = (self.number("work_mem"), self.number("max_connections"));
        if let Some(name) = self.first_set(&["work_mem", "max_connections"])
            // That all of them sort at once is rare.
            && work * connections / 4.0 > limit
        {
            let what = format!(
                "a quarter of max_connections ({connections}) times work_mem ({}) is {}, above the memory limit of {written}",
                size(work),
                size(work * connections / 4.0)
            );
            verdicts.warn(
                key(name),
                what,
                "sessions that sort at once would be killed: lower one of the two",
            );
        }
        for name in ["maintenance_work_mem", "autovacuum_work_mem", "logical_decoding_work_mem"] {
            if self.is_set(name) && self.number(name) >= limit - shared {
                let what = format!(
                    "{name} ({}) and shared_buffers ({}) are above the memory limit of {written}",
                    size(self.number(name)),
                    size(shared)
                );
                verdicts.warn(
                    key(name),
                    what,
                    "a vacuum or an index that uses it all would be killed: lower it",
                );
            }
        }
    }

    /// WAL and temporary files, against the volume.
    pub(super) fn volume(&self, verdicts: &mut Verdicts) {
        const FILES: f64 = 2.0 * 16.0 * 1_048_576.0;
        let (size, volume) = (|bytes| Amount(bytes, Unit::Memory), self.plan.storage.size.amount());
        for name in ["min_wal_size", "max_wal_size"] {
            if self.is_set(name) && self.number(name) < FILES {
                verdicts.refuse(
                    key(name),
                    format!(
                        "{name} ({}) is less than two WAL files: PostgreSQL does not start",
                        size(self.number(name))
                    ),
                    "set it to 32MB or more",
                );
            }
        }
        let written = &self.plan.storage.size;
        let mut full = false;
        for name in ["max_wal_size", "min_wal_size", "wal_keep_size", "max_slot_wal_keep_size"] {
            if self.is_set(name) && self.number(name) >= volume {
                full = true;
                verdicts.add(Conflict::new(
                    key(name),
                    &["postgres.version", "storage"],
                    format!("{name} ({}) is not less than the volume of {written}", size(self.number(name))),
                    "lower it, or raise storage.size: a primary whose volume is full stops",
                ));
            }
        }
        let kept = self.number("wal_keep_size").max(self.number("max_slot_wal_keep_size"));
        let sum = self.number("max_wal_size") + kept;
        if let Some(name) = self.first_set(&["max_slot_wal_keep_size", "wal_keep_size", "max_wal_size"])
            && !full
            && sum >= volume
        {
            verdicts.warn(
                key(name),
                format!(
                    "max_wal_size ({}) and the WAL that is kept for replicas ({}) can fill the volume of {written}",
                    size(self.number("max_wal_size")),
                    size(kept.max(0.0))
                ),
                "lower one of them, or raise storage.size",
            );
        }
        if self.is_set("temp_file_limit") && self.number("temp_file_limit") >= volume {
            verdicts.warn(
                key("temp_file_limit"),
                format!(
                    "temp_file_limit ({}) is not less than the volume of {written}",
                    size(self.number("temp_file_limit"))
                ),
                "one query can fill the volume: lower it",
            );
        }
    }

    /// Connections, WAL senders and slots, against those who need them.
    pub(super) fn connections(&self, verdicts: &mut Verdicts) {
        const STATISTICS: [&str; 3] = ["log_parser_stats", "log_planner_stats", "log_executor_stats"];
        const RESERVES: [&str; 3] =
            ["max_connections", "superuser_reserved_connections", "reserved_connections"];
        let [most, superuser, reserved] = RESERVES.map(|name| self.number(name));
        if let Some(name) = self.first_set(&RESERVES) {
            if superuser + reserved >= most {
                verdicts.refuse(
                    key(name),
                    format!(
                        "superuser_reserved_connections ({superuser}) and reserved_connections ({reserved}) leave nothing of max_connections ({most}): PostgreSQL does not start"
                    ),
                    "raise max_connections",
                );
            } else if self.scenario.has_patroni() && superuser < 3.0 {
                verdicts.refuse(
                    key("superuser_reserved_connections"),
                    format!("superuser_reserved_connections ({superuser}) is too few: Patroni holds 2, and its programs need 1 more"),
                    "take it out: it is 10 then",
                );
            }
        }
        let replicas = f64::from(self.plan.replicas.count());
        let store = if self.scenario == Scenario::Q2Restore { 1.0 } else { 0.0 };
        // Each has somebody who reads from it.
        let slots = if self.scenario.has_patroni() { self.plan.postgres.slots.len() } else { 0 };
        let others = replicas + store + f64::from(u32::try_from(slots).unwrap_or(u32::MAX));
        // A copy takes two: its files, and the WAL that is written meanwhile.
        for (name, needed, copy) in [
            ("max_wal_senders", others + 2.0, "2 for a copy of the primary"),
            ("max_replication_slots", others + 1.0, "1 for a copy of the primary"),
        ] {
            if self.is_set(name) && self.number(name) < needed {
                let store = if store > 0.0 { ", 1 for the store" } else { "" };
                let slots = if slots > 0 { format!(", {slots} for postgres.slots") } else { String::new() };
                verdicts.add(Conflict::new(
                    key(name),
                    &["postgres.version", "replicas"],
                    format!(
                        "{name} ({}) is less than {needed}: {replicas} for the replicas{store}{slots}, {copy}",
                        self.number(name)
                    ),
                    "take it out: it is 32 then",
                ));
            }
        }
        let on = |name: &str| {
            self.known.iter().any(|(parameter, value)| parameter.name == name && *value == Value::Bool(true))
        };
        if let Some(name) = STATISTICS.into_iter().find(|name| on(name) && on("log_statement_stats")) {
            verdicts.refuse(
                key("log_statement_stats"),
                format!("with {name} on, PostgreSQL refuses log_statement_stats"),
                "keep one of the two",
            );
        }
    }

    /// Parallel workers, against the CPU.
    pub(super) fn workers(&self, verdicts: &mut Verdicts) {
        let Some(limit) = self.plan.resources.limits.cpu.as_ref().map(Quantity::amount) else { return };
        for name in
            ["max_parallel_workers", "max_parallel_workers_per_gather", "max_parallel_maintenance_workers"]
        {
            if self.is_set(name) && self.number(name) > limit.ceil() {
                let what = format!("{name} ({}) is above the CPU limit of {limit}", self.number(name));
                verdicts.warn(
                    key(name),
                    what,
                    "workers beyond it only wait for each other: lower it, or raise resources.limits.cpu",
                );
            }
        }
    }
}
