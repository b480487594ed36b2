//! A layer of configuration as it is written: everything optional, unknown keys refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::types::{
    Account, ArchiveTimeout, AzureKey, Backups, Bucket, Certificates, Container, Database, Dcs, Durability,
    Endpoint, Fingerprint, GcsKey, HostName, Image, Interval, KnownHosts, Lang, Name, Namespace,
    ParameterName, ParameterValue, PgSize, Port, Quantity, Region, Replicas, RepoPath, Repos, S3Key,
    Schedule, SftpUser, StorageClass, Strategy, Switch, Target, TargetTimeline, UriStyle, User, Version,
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
    pub(super) q3: Option<Q3>,
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

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q3 {
    pub(super) repos: Option<Repos>,
    pub(super) path: Option<RepoPath>,
    pub(super) cipher: Option<Switch>,
    pub(super) archive_timeout: Option<ArchiveTimeout>,
    pub(super) retention: Option<Backups>,
    pub(super) full: Option<Schedule>,
    pub(super) differential: Option<Schedule>,
    pub(super) incremental: Option<Schedule>,
    pub(super) restore_test: Option<Schedule>,
    pub(super) restore: Option<Restore>,
    pub(super) posix: Option<Storage>,
    pub(super) s3: Option<S3>,
    pub(super) gcs: Option<Gcs>,
    pub(super) azure: Option<Azure>,
    pub(super) sftp: Option<Sftp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Restore {
    pub(super) target: Option<Target>,
    pub(super) target_timeline: Option<TargetTimeline>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct S3 {
    pub(super) bucket: Option<Bucket>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) region: Option<Region>,
    pub(super) uri_style: Option<UriStyle>,
    pub(super) key_type: Option<S3Key>,
    pub(super) ca: Option<Certificates>,
    pub(super) verify_tls: Option<Switch>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Gcs {
    pub(super) bucket: Option<Bucket>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) key_type: Option<GcsKey>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Azure {
    pub(super) account: Option<Account>,
    pub(super) container: Option<Container>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) key_type: Option<AzureKey>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Sftp {
    pub(super) host: Option<HostName>,
    pub(super) user: Option<SftpUser>,
    pub(super) port: Option<Port>,
    pub(super) host_fingerprint: Option<Fingerprint>,
    pub(super) known_hosts: Option<KnownHosts>,
}
