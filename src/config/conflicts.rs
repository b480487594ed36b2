//! Settings that are each right on their own, and wrong together.

use std::net::Ipv4Addr;

use super::plan::{Plan, Resources};
use super::types::{Durability, ParameterName, Quantity, Replicas, RepoKind, Strategy, UriStyle};
use crate::error::{Diagnostic, shown};

/// What is wrong with settings that are each right on their own.
pub(super) struct Conflict {
    /// The setting that is in the way of the others.
    pub(super) key: String,
    /// The others, or the section that they are in: where one of them is wrong, nothing can be said.
    pub(super) others: &'static [&'static str],
    /// Whether it is the setting's value that is wrong, and not that there is such a setting.
    pub(super) is_value: bool,
    /// What is wrong, and what to do.
    pub(super) diagnostic: Diagnostic,
}

impl Conflict {
    pub(super) fn new(
        key: impl Into<String>,
        others: &'static [&'static str],
        what: impl Into<String>,
        help: &str,
    ) -> Self {
        Self { key: key.into(), others, is_value: false, diagnostic: Diagnostic::new(what).help(help) }
    }

    /// The same, where the value is what is wrong.
    pub(super) fn at_value(mut self) -> Self {
        self.is_value = true;
        self
    }
}

/// PostgreSQL's parameters that the archive relies on.
const RESERVED: [&str; 5] =
    ["archive_mode", "archive_command", "archive_library", "archive_timeout", "restore_command"];

/// The longest name whose restore test is still a valid `CronJob`.
const LONGEST_NAME: usize = 39;

/// Where a setting is that cannot be judged without the strategy.
pub(super) const STRATEGY: &[&str] = &["q2.strategy"];

impl Plan {
    /// What is wrong with settings that are each right on their own.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let mut say = |key: &str, what, help| conflicts.push(Conflict::new(key, STRATEGY, what, help));
        match (self.q2.strategy, self.q2.durability) {
            (Strategy::Restore, Durability::Asynchronous) => say(
                "q2.durability",
                "with q2.strategy `restore`, q2.durability is `strict` or `available`",
                "a primary that acknowledges what the store does not have yet is what this strategy rules out",
            ),
            (Strategy::Promote, Durability::Available) => say(
                "q2.durability",
                "q2.durability `available` is for q2.strategy `restore` only",
                "`synchronous` comes close to it: a primary left alone goes on",
            ),
            _ => {}
        }
        if self.q2.strategy == Strategy::Restore && self.replicas == Replicas::NONE {
            say(
                "replicas",
                "with q2.strategy `restore`, there must be a replica",
                "set replicas to 1 or more: they are asked whether they hold data before an empty database is created",
            );
        }
        conflicts.extend(self.durability_conflict());
        if self.q2.strategy == Strategy::Promote {
            conflicts.extend(self.slot_conflicts());
        }
        conflicts
    }

    /// What is wrong with the replication slots.
    fn slot_conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let slots = &self.postgres.slots;
        let members = format!("{}_", self.name.as_str().replace('-', "_"));
        let is_a_members =
            |slot: &str| slot.strip_prefix(&members).is_some_and(|it| it.parse::<u8>().is_ok());
        for slot in slots.keys().filter(|slot| is_a_members(slot.as_str())) {
            conflicts.push(Conflict::new(
                format!("postgres.slots.{slot}"),
                &["name"],
                format!("{} is the slot of a member", shown(slot.as_str())),
                "give it another name",
            ));
        }
        let logical = slots.iter().find(|(_, kind)| kind.is_logical());
        let level = self.postgres.parameters.iter().find(|(name, _)| name.as_str() == "wal_level");
        if let (Some((slot, _)), Some((_, level))) = (logical, level)
            && !level.as_str().trim().eq_ignore_ascii_case("logical")
        {
            let conflict = Conflict::new(
                "postgres.parameters.wal_level",
                &["postgres.slots"],
                format!(
                    "the slot {} is a logical one, which needs wal_level `logical`",
                    shown(slot.as_str())
                ),
                "take it out: pgk sets it",
            );
            conflicts.push(conflict.at_value());
        }
        conflicts
    }

    /// The user's parameters that are among these.
    pub(super) fn parameters(&self, these: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.postgres.parameters.keys().map(ParameterName::as_str).filter(move |name| these(name))
    }

    /// Requests above limits, which the API server refuses.
    pub(super) fn resource_conflicts(&self) -> Vec<Conflict> {
        let Resources { requests, limits } = &self.resources;
        let conflict = |(what, asked, limit): (&str, &Option<Quantity>, &Option<Quantity>)| {
            let (asked, limit) = (asked.as_ref()?, limit.as_ref()?);
            (asked.amount() > limit.amount()).then_some(())?;
            Some(Conflict::new(
                format!("resources.requests.{what}"),
                &["resources"],
                format!(
                    "resources.requests.{what} is {asked}, above resources.limits.{what}, which is {limit}"
                ),
                "Kubernetes refuses that: raise the limit, too, or lower the request",
            ))
        };
        let amounts = [("cpu", &requests.cpu, &limits.cpu), ("memory", &requests.memory, &limits.memory)];
        amounts.into_iter().filter_map(conflict).collect()
    }

    /// A durability that there is nobody for.
    fn durability_conflict(&self) -> Option<Conflict> {
        let alone = self.replicas == Replicas::NONE && self.q2.durability == Durability::Strict;
        (alone && self.q2.strategy == Strategy::Promote).then(|| {
            Conflict::new(
                "q2.durability",
                &["q2.strategy", "replicas"],
                "with q2.durability `strict` and no replica, every write waits for ever",
                "set replicas to 1 or more (2, so that one may be lost), or q2.durability to `synchronous`",
            )
        })
    }

    /// What is wrong with the settings for a scenario that has an archive.
    pub(super) fn archive_conflicts(&self) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        let mut say = |key: &str, others, what: &str, help| {
            conflicts.push(Conflict::new(key, others, what, help));
        };
        let (q3, repos) = (&self.q3, &self.q3.repos);
        if self.q2.strategy == Strategy::Restore {
            say(
                "q2.strategy",
                &[],
                "q3 has no q2.strategy `restore`",
                "leave q2.strategy out: a replica is promoted, and a total loss is restored from the archive",
            );
        }
        if self.name.as_str().len() > LONGEST_NAME {
            say(
                "name",
                &[],
                &format!("in q3, a name has at most {LONGEST_NAME} characters"),
                "CronJob names may have at most 52 characters, and pgk appends `-restore-test`: shorten `name`",
            );
        }
        let reserved = |name: &str| RESERVED.contains(&name) || name.starts_with("recovery_target");
        for name in self.parameters(reserved) {
            say(
                &format!("postgres.parameters.{name}"),
                &[],
                &format!("in q3, pgk sets {name} itself"),
                "take it out of postgres.parameters: the archive relies on it (what can be set are q3.archive-timeout and q3.restore)",
            );
        }
        if q3.restore.target_timeline.as_str() != "latest" && !q3.restore.target.takes_a_timeline() {
            say(
                "q3.restore.target-timeline",
                &["q3.restore"],
                "q3.restore.target-timeline is for a target that is a time, a WAL position or a name",
                "set q3.restore.target, or leave target-timeline out",
            );
        }
        let missing = |kind: RepoKind, needed: &[(&str, bool)]| {
            let names: Vec<&str> = needed.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
            (repos.has(kind) && !names.is_empty()).then(|| names.join(" and "))
        };
        let gcs = missing(RepoKind::Gcs, &[("q3.gcs.bucket", q3.gcs.bucket.is_some())]);
        let azure = missing(RepoKind::Azure, &[("q3.azure.account", q3.azure.account.is_some())]);
        let host_key = q3.sftp.host_fingerprint.is_some() || q3.sftp.known_hosts.is_some();
        let sftp = missing(
            RepoKind::Sftp,
            &[
                ("q3.sftp.host", q3.sftp.host.is_some()),
                ("q3.sftp.user", q3.sftp.user.is_some()),
                ("q3.sftp.host-fingerprint (or known-hosts)", host_key),
            ],
        );
        let all: [(_, _, &'static [&'static str]); 3] =
            [("gcs", gcs, &["q3.gcs"]), ("azure", azure, &["q3.azure"]), ("sftp", sftp, &["q3.sftp"])];
        for (kind, missing, section) in all {
            if let Some(missing) = missing {
                say(
                    "q3.repos",
                    section,
                    &format!("the repository `{kind}` needs {missing}"),
                    "set what is named in the configuration file, or with --set",
                );
            }
        }
        if repos.has(RepoKind::Sftp) && q3.sftp.host_fingerprint.is_some() && q3.sftp.known_hosts.is_some() {
            say(
                "q3.sftp.known-hosts",
                &["q3.repos"],
                "q3.sftp has both host-fingerprint and known-hosts",
                "keep one of the two: the host is known by its fingerprint, or by the lines",
            );
        }
        let address = self.s3_endpoint().1.parse::<Ipv4Addr>().is_ok();
        if repos.has(RepoKind::S3) && address && q3.s3.uri_style == UriStyle::Host {
            say(
                "q3.s3.endpoint",
                &["q3.repos", "q3.s3"],
                "q3.s3.endpoint is an IP address, so the bucket cannot be a subdomain of it",
                "set q3.s3.uri-style to `path`, or give the endpoint's host name",
            );
        }
        if repos.has(RepoKind::Azure) && q3.azure.endpoint.as_str().contains(':') {
            say(
                "q3.azure.endpoint",
                &["q3.repos"],
                "q3.azure.endpoint has a port",
                "pgBackRest asks Azure on port 443: leave the port out",
            );
        }
        conflicts
    }

    /// What is rendered though it is hardly what is wanted: a repository whose place was left to the defaults.
    pub fn archive_warnings(&self) -> Vec<Diagnostic> {
        let (q3, mut warnings) = (&self.q3, Vec::new());
        let mut warn = |keys: &[(&str, bool, String)]| {
            let left: Vec<_> = keys.iter().filter(|(_, given, _)| !given).collect();
            if !left.is_empty() {
                let values: Vec<_> =
                    left.iter().map(|(key, _, value)| format!("{key} is `{value}`")).collect();
                let example: Vec<_> = left.iter().map(|(key, ..)| format!("--set {key}=…")).collect();
                warnings.push(Diagnostic::new(format!("by default, {}", values.join(", "))).help(format!(
                    "if that is not yours, set it in the configuration file or by {}",
                    example.join(" ")
                )));
            }
        };
        if q3.repos.has(RepoKind::S3) {
            warn(&[
                ("q3.s3.bucket", q3.s3.bucket.is_some(), self.s3_bucket()),
                // Of an endpoint that is given, the region is the owner's affair.
                ("q3.s3.region", q3.s3.region.is_some(), self.s3_region().to_owned()),
                ("q3.s3.endpoint", q3.s3.endpoint.is_some() || q3.s3.region.is_some(), self.s3_endpoint().0),
            ]);
        }
        if q3.repos.has(RepoKind::Azure) {
            warn(&[("q3.azure.container", q3.azure.container.is_some(), self.azure_container())]);
        }
        warnings
    }
}
