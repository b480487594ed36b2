//! What is to be rendered, complete and valid: the only thing that the later steps see.

use std::collections::BTreeMap;

use serde::Serialize;

use super::archive::Q3;
use super::layer::{self, Amounts, Layer};
use super::types::{
    Backups, Database, Dcs, Durability, Image, Interval, Known as _, Lang, Name, Namespace, ParameterName,
    ParameterValue, PgSize, Quantity, Replicas, StorageClass, Strategy, Switch, User, Version,
};
use crate::error::Diagnostic;

/// What is wrong with settings that are each right on their own.
pub(super) struct Conflict {
    /// The setting that is in the way of the others.
    pub(super) key: String,
    /// The others, or the section that they are in: where one of them is wrong, nothing can be said.
    pub(super) others: &'static [&'static str],
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
        Self { key: key.into(), others, diagnostic: Diagnostic::new(what).help(help) }
    }
}

/// A validated configuration with every default filled in.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The instance's name, the prefix of its objects' names.
    pub name: Name,
    /// Where the objects go; `None` leaves it to the context that applies them.
    pub namespace: Option<Namespace>,
    /// The language of the README.
    pub lang: Lang,
    /// The server.
    pub postgres: Postgres,
    /// How many replicas follow the primary.
    pub replicas: Replicas,
    /// The volume of each member.
    pub storage: Storage,
    /// What each PostgreSQL container asks for and may use, by `requests` and `limits`, `cpu` and `memory`.
    pub resources: BTreeMap<&'static str, BTreeMap<&'static str, Quantity>>,
    /// Settings of Q1 alone.
    pub q1: Q1,
    /// Settings of Q2.
    pub q2: Q2,
    /// Settings of Q3.
    #[serde(skip)]
    pub q3: Q3,
}

/// The server's settings.
#[derive(Debug, Clone, Serialize)]
pub struct Postgres {
    /// Major version.
    pub version: Version,
    /// Container image; the version's official one unless configured.
    pub image: Option<Image>,
    /// Parameters on top of pgk's own.
    pub parameters: BTreeMap<ParameterName, ParameterValue>,
    /// The application's database.
    pub database: Database,
    /// The role that owns it.
    pub user: User,
}

/// A volume.
#[derive(Debug, Clone, Serialize)]
pub struct Storage {
    /// Its size.
    pub size: Quantity,
    /// Its class; `None` is the cluster's default.
    pub class: Option<StorageClass>,
}

/// Settings of Q1 alone.
#[derive(Debug, Clone, Serialize)]
pub struct Q1 {
    /// How far a replica may be behind the primary, in WAL, and still be sent readers.
    pub max_lag: PgSize,
}

/// Settings of Q2.
#[derive(Debug, Clone, Serialize)]
pub struct Q2 {
    /// How a new primary comes about.
    pub strategy: Strategy,
    /// What an acknowledged commit can rely on.
    pub durability: Durability,
    /// How many base backups the store keeps.
    pub backups: Backups,
    /// How often the store takes one, in seconds.
    pub backup_every: Interval,
    /// The size of the store's volume.
    pub store_size: Quantity,
    /// Where Patroni keeps its state.
    pub dcs: Dcs,
    /// Whether a lost node is noticed in seconds, by a watcher in each pod.
    pub fast_failover: Switch,
    /// How far a replica may be behind the primary, in WAL, and still be sent readers.
    pub max_lag: PgSize,
}

impl Storage {
    pub(super) fn apply(&mut self, layer: layer::Storage) {
        set(&mut self.size, layer.size);
        set_optional(&mut self.class, layer.class);
    }
}

impl Q2 {
    /// Whether there is a watcher: what makes its haste safe is synchronous replication.
    pub fn watcher(&self) -> bool {
        self.fast_failover == Switch::On && self.durability != Durability::Asynchronous
    }
}

impl Plan {
    /// The defaults, which every layer of configuration changes in turn.
    pub(super) fn defaults() -> Result<Self, String> {
        Ok(Self {
            name: Name::known("pg"),
            namespace: None,
            lang: Lang::Fr,
            postgres: Postgres {
                version: Version::DEFAULT,
                image: None,
                parameters: BTreeMap::new(),
                database: Database::known("app"),
                user: User::known("app"),
            },
            replicas: Replicas::DEFAULT,
            storage: Storage { size: Quantity::known("8Gi"), class: None },
            resources: BTreeMap::from([
                ("limits", BTreeMap::from([("memory", Quantity::known("1Gi"))])),
                (
                    "requests",
                    BTreeMap::from([("cpu", Quantity::known("100m")), ("memory", Quantity::known("256Mi"))]),
                ),
            ]),
            q1: Q1 { max_lag: PgSize::known("64MB") },
            q2: Q2 {
                strategy: Strategy::Promote,
                durability: Durability::Synchronous,
                backups: Backups::DEFAULT,
                backup_every: "6h".parse()?,
                store_size: Quantity::known("32Gi"),
                dcs: Dcs::ConfigMaps,
                fast_failover: Switch::On,
                max_lag: PgSize::known("64MB"),
            },
            q3: Q3::defaults()?,
        })
    }

    /// Puts a layer on top. What it does not mention stays; parameters and resources are merged by key.
    pub(super) fn apply(&mut self, layer: Layer) {
        set(&mut self.name, layer.name);
        set_optional(&mut self.namespace, layer.namespace);
        set(&mut self.lang, layer.lang);
        set(&mut self.replicas, layer.replicas);
        if let Some(postgres) = layer.postgres {
            set(&mut self.postgres.version, postgres.version);
            set_optional(&mut self.postgres.image, postgres.image);
            self.postgres.parameters.extend(postgres.parameters.unwrap_or_default());
            set(&mut self.postgres.database, postgres.database);
            set(&mut self.postgres.user, postgres.user);
        }
        if let Some(storage) = layer.storage {
            self.storage.apply(storage);
        }
        if let Some(resources) = layer.resources {
            self.set_amounts("requests", resources.requests);
            self.set_amounts("limits", resources.limits);
        }
        if let Some(q1) = layer.q1 {
            set(&mut self.q1.max_lag, q1.max_lag);
        }
        if let Some(q2) = layer.q2 {
            set(&mut self.q2.strategy, q2.strategy);
            set(&mut self.q2.durability, q2.durability);
            set(&mut self.q2.backups, q2.backups);
            set(&mut self.q2.backup_every, q2.backup_every);
            set(&mut self.q2.store_size, q2.store_size);
            set(&mut self.q2.dcs, q2.dcs);
            set(&mut self.q2.fast_failover, q2.fast_failover);
            set(&mut self.q2.max_lag, q2.max_lag);
        }
        if let Some(q3) = layer.q3 {
            self.q3.apply(q3);
        }
    }

    /// What is wrong with settings that are each right on their own.
    pub(super) fn conflicts(&self) -> Vec<Conflict> {
        const STRATEGY: &[&str] = &["q2.strategy"];
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
                "q2.durability `available` is for q2.strategy `restore` alone",
                "`synchronous` is what comes close to it: a primary left alone goes on",
            ),
            _ => {}
        }
        if self.q2.strategy == Strategy::Restore {
            if self.replicas == Replicas::NONE {
                say(
                    "replicas",
                    "with q2.strategy `restore`, there must be a replica",
                    "set replicas to 1 or more: they are asked whether they hold data before an empty database is made",
                );
            }
            let store = |name: &str| matches!(name, "synchronous_standby_names" | "summarize_wal");
            for name in self.parameters(store) {
                say(
                    &format!("postgres.parameters.{name}"),
                    "with q2.strategy `restore`, pgk sets synchronous_standby_names and summarize_wal itself",
                    "take them out of postgres.parameters: the store relies on them",
                );
            }
        }
        conflicts
    }

    /// The user's parameters that are among these.
    pub(super) fn parameters(&self, these: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.postgres.parameters.keys().map(ParameterName::as_str).filter(move |name| these(name))
    }

    fn set_amounts(&mut self, kind: &'static str, amounts: Option<Amounts>) {
        let Some(amounts) = amounts else { return };
        let all = [("cpu", amounts.cpu), ("memory", amounts.memory)];
        self.resources
            .entry(kind)
            .or_default()
            .extend(all.into_iter().filter_map(|(key, value)| Some((key, value?))));
    }
}

pub(super) fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

pub(super) fn set_optional<T>(setting: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *setting = value;
    }
}
