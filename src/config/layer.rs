//! A layer of configuration as it is written: everything optional, unknown keys refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::types::{
    Backups, Database, Dcs, Durability, Image, Interval, Lang, Name, Namespace, ParameterName,
    ParameterValue, PgSize, Quantity, Replicas, StorageClass, Strategy, Switch, User, Version,
};

/// What `pgk.yaml`, or one `--set`, says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Layer {
    pub(super) name: Option<Name>,
    pub(super) namespace: Option<Namespace>,
    pub(super) lang: Option<Lang>,
    pub(super) postgres: Option<Postgres>,
    pub(super) replicas: Option<Replicas>,
    pub(super) storage: Option<Storage>,
    pub(super) resources: Option<Resources>,
    pub(super) q1: Option<Q1>,
    pub(super) q2: Option<Q2>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Postgres {
    pub(super) version: Option<Version>,
    pub(super) image: Option<Image>,
    pub(super) parameters: Option<BTreeMap<ParameterName, ParameterValue>>,
    pub(super) database: Option<Database>,
    pub(super) user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Storage {
    pub(super) size: Option<Quantity>,
    pub(super) class: Option<StorageClass>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Resources {
    pub(super) requests: Option<Amounts>,
    pub(super) limits: Option<Amounts>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Amounts {
    pub(super) cpu: Option<Quantity>,
    pub(super) memory: Option<Quantity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q1 {
    pub(super) max_lag: Option<PgSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q2 {
    pub(super) strategy: Option<Strategy>,
    pub(super) durability: Option<Durability>,
    pub(super) backups: Option<Backups>,
    pub(super) backup_every: Option<Interval>,
    pub(super) store_size: Option<Quantity>,
    pub(super) dcs: Option<Dcs>,
    pub(super) fast_failover: Option<Switch>,
    pub(super) max_lag: Option<PgSize>,
}
