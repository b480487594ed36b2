//! A layer of configuration as it is written: everything optional, unknown keys refused.
//!
//! This is also the one description of the settings: the JSON Schema that is made of it is what `pgk schema`
//! prints, and what `pgk explain` and `pgk init` read ([`super::settings`]). Beside what JSON Schema knows, it has
//!
//! - `x-scenarios`: the scenarios that have the setting, and those that have what is in it;
//! - `x-default`: what holds where there is no fixed default;
//! - `x-becomes`: what pgk makes of it;
//! - `x-unit`: the unit;
//! - `x-init`: `pgk init` sets it, and only mentions the others.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::types::{
    Account, ArchiveTimeout, AzureKey, Backups, Bucket, Certificates, Container, Database, Dcs, Durability,
    Endpoint, Fingerprint, GcsKey, HostName, Image, Interval, KnownHosts, Lang, Name, Namespace,
    ParameterName, ParameterValue, PgSize, Port, Quantity, Region, Replicas, RepoPath, Repos, S3Key,
    Schedule, SftpUser, StorageClass, Strategy, Switch, Target, TargetTimeline, UriStyle, User, Version,
};

/// Every scenario; `q2-restore` is Q2 with `q2.strategy` `restore`.
const ALL: [&str; 4] = ["q1", "q2", "q2-restore", "q3"];
/// Those with Patroni.
const PATRONI: [&str; 2] = ["q2", "q3"];
/// Those with elections or a store.
const Q2: [&str; 3] = ["q2", "q2-restore", "q3"];

/// What `pgk.yaml`, or one `--set`, says.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
#[schemars(title = "pgk.yaml", description = "Settings of `pgk gen`. All of them are optional.")]
pub(super) struct Layer {
    /// The prefix of every object's name. With `pg`, there are the Services pg-rw and pg-ro, the Secret
    /// pg-credentials, and so on.
    #[schemars(extend("x-scenarios" = ALL, "default" = "pg", "x-init" = true, "x-becomes" = "the names and labels of all objects; Q3's pgBackRest stanza"))]
    pub(super) name: Option<Name>,
    /// The namespace of every object.
    #[schemars(extend("x-scenarios" = ALL, "x-default" = "that of the context which applies the manifests", "examples" = ["databases"], "x-becomes" = "metadata.namespace"))]
    pub(super) namespace: Option<Namespace>,
    /// The language of the README in a rendered folder.
    #[schemars(extend("x-scenarios" = ALL, "default" = "fr", "x-becomes" = "README.md"))]
    pub(super) lang: Option<Lang>,
    /// The server.
    #[schemars(extend("x-scenarios" = ALL))]
    pub(super) postgres: Option<Postgres>,
    /// How many read-only replicas: there is one member more than these. Q2 by restore needs one.
    #[schemars(extend("x-scenarios" = ALL, "default" = 2, "x-init" = true, "x-becomes" = "spec.replicas"))]
    pub(super) replicas: Option<Replicas>,
    /// The volume of each member.
    #[schemars(extend("x-scenarios" = ALL, "default" = {"size": "8Gi"}))]
    pub(super) storage: Option<Storage>,
    /// What each PostgreSQL container asks for, and may use at most.
    #[schemars(extend("x-scenarios" = ALL))]
    pub(super) resources: Option<Resources>,
    /// Settings of Q1 alone.
    #[schemars(extend("x-scenarios" = ["q1"]))]
    pub(super) q1: Option<Q1>,
    /// Settings of Q2. But for those of restore, they are Q3's as well.
    #[schemars(extend("x-scenarios" = Q2))]
    pub(super) q2: Option<Q2>,
    /// Settings of Q3: the archive.
    #[schemars(extend("x-scenarios" = ["q3"]))]
    pub(super) q3: Option<Q3>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Postgres {
    /// PostgreSQL's major version.
    #[schemars(extend("default" = 17, "x-init" = true))]
    pub(super) version: Option<Version>,
    /// The container image. In Q2 and Q3, it is built from the rendered Containerfile.
    #[schemars(extend("x-default" = "q1, and q2 with restore: docker.io/library/postgres:VERSION; q2 and q3: localhost/pgk-postgres:VERSION", "examples" = ["registry.example/postgres:17"], "x-becomes" = "the image of the containers"))]
    pub(super) image: Option<Image>,
    /// PostgreSQL parameters, as in `postgresql.conf` but without quotes. With `--set`, one at a time: `postgres.parameters.work_mem=16MB`. Those that the manifests rely on are refused.
    // The attribute of the schema would make it a required one.
    #[serde(default)]
    #[schemars(schema_with = "parameters")]
    #[schemars(extend("default" = {}, "examples" = [{"work_mem": "16MB"}], "x-becomes" = "postgresql.conf, or Patroni's configuration in Q2 and Q3"))]
    pub(super) parameters: Option<BTreeMap<ParameterName, ParameterValue>>,
    /// The application's database.
    #[schemars(extend("default" = "app", "x-init" = true, "x-becomes" = "CREATE DATABASE"))]
    pub(super) database: Option<Database>,
    /// The role that owns it. Its password is in the Secret that `pgk secret` prints.
    #[schemars(extend("default" = "app", "x-init" = true, "x-becomes" = "CREATE ROLE"))]
    pub(super) user: Option<User>,
}

/// Names of parameters are PostgreSQL's affair, but for those that pgk refuses.
fn parameters(generator: &mut SchemaGenerator) -> Schema {
    let (name, value) =
        (generator.subschema_for::<ParameterName>(), generator.subschema_for::<ParameterValue>());
    json_schema!({"type": ["object", "null"], "propertyNames": name, "additionalProperties": value})
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Storage {
    /// The volume's size.
    #[schemars(extend("x-init" = true, "x-becomes" = "resources.requests.storage of the volume claim"))]
    pub(super) size: Option<Quantity>,
    /// The volume's `StorageClass`.
    #[schemars(extend("x-default" = "the cluster's default", "examples" = ["local-path"], "x-becomes" = "storageClassName of the volume claim"))]
    pub(super) class: Option<StorageClass>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Resources {
    /// What a node must have left for the container.
    #[schemars(extend("default" = {"cpu": "100m", "memory": "256Mi"}))]
    pub(super) requests: Option<Amounts>,
    /// What the container may use at most.
    #[schemars(extend("default" = {"memory": "1Gi"}))]
    pub(super) limits: Option<Amounts>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Amounts {
    /// CPU time, in cores.
    #[schemars(extend("x-default" = "none", "examples" = [2], "x-becomes" = "resources of the container"))]
    pub(super) cpu: Option<Quantity>,
    /// Memory, in bytes.
    #[schemars(extend("x-becomes" = "resources of the container"))]
    pub(super) memory: Option<Quantity>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q1 {
    /// How far a replica may be behind the primary, in WAL, and still be sent readers.
    #[schemars(extend("default" = "64MB", "x-becomes" = "the readiness probe of replicas"))]
    pub(super) max_lag: Option<PgSize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q2 {
    /// How a new primary comes about.
    #[schemars(extend("default" = "promote", "x-scenarios" = ["q2", "q2-restore"], "x-init" = true, "x-becomes" = "the whole folder: with Patroni, or with a backup store"))]
    pub(super) strategy: Option<Strategy>,
    /// What an acknowledged commit can rely on. With restore, it is `strict` (as which `synchronous` counts there: in the store, always) or `available`.
    #[schemars(extend("default" = "synchronous", "x-init" = true, "x-becomes" = "Patroni's synchronous_mode and synchronous_mode_strict; with restore, PostgreSQL's synchronous_standby_names"))]
    pub(super) durability: Option<Durability>,
    /// How many base backups the store keeps.
    #[schemars(extend("default" = 2, "x-scenarios" = ["q2-restore"]))]
    pub(super) backups: Option<Backups>,
    /// How often the store takes a base backup.
    #[schemars(extend("default" = "6h", "x-scenarios" = ["q2-restore"]))]
    pub(super) backup_every: Option<Interval>,
    /// The size of the store's volume: four times the database is a good start.
    #[schemars(extend("default" = "32Gi", "x-scenarios" = ["q2-restore"], "x-becomes" = "resources.requests.storage of the store's volume claim"))]
    pub(super) store_size: Option<Quantity>,
    /// Where Patroni keeps the leader's lease and its other state.
    #[schemars(extend("default" = "configmaps", "x-scenarios" = PATRONI, "x-becomes" = "Patroni's kubernetes.use_endpoints"))]
    pub(super) dcs: Option<Dcs>,
    /// Notice a lost node in 3 s, by a watcher in each pod; without it, the lease runs for 20 s. There is none where durability is `asynchronous`.
    #[schemars(extend("default" = true, "x-scenarios" = PATRONI, "x-becomes" = "the container `watcher`"))]
    pub(super) fast_failover: Option<Switch>,
    /// How far a replica may be behind the primary, in WAL, and still be sent readers.
    #[schemars(extend("default" = "64MB", "x-becomes" = "the readiness probe of replicas"))]
    pub(super) max_lag: Option<PgSize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Q3 {
    /// Where the archive is, in this order: repo1, repo2 and so on. With `--set`, separated by commas: `q3.repos=posix,s3`.
    #[schemars(extend("default" = ["posix"], "x-init" = true, "x-becomes" = "pgBackRest's repoN-type"))]
    pub(super) repos: Option<Repos>,
    /// The path inside every repository.
    #[schemars(extend("x-default" = "/pgk/NAME", "examples" = ["/pgk/pg"], "x-becomes" = "pgBackRest's repoN-path"))]
    pub(super) path: Option<RepoPath>,
    /// Whether the repositories are encrypted, with the pass phrase in the Secret that `pgk secret q3` prints.
    #[schemars(extend("x-default" = "those outside the cluster are", "examples" = [true], "x-becomes" = "pgBackRest's repoN-cipher-type"))]
    pub(super) cipher: Option<Switch>,
    /// A WAL file is archived after this time even if it is not full: what the loss of everything can cost.
    #[schemars(extend("default" = "60s", "x-init" = true, "x-becomes" = "PostgreSQL's archive_timeout"))]
    pub(super) archive_timeout: Option<ArchiveTimeout>,
    /// How many full backups each repository keeps.
    #[schemars(extend("default" = 2, "x-init" = true, "x-becomes" = "pgBackRest's repoN-retention-full"))]
    pub(super) retention: Option<Backups>,
    /// When a full backup is taken (cron, UTC).
    #[schemars(extend("default" = "0 1 * * 0", "x-init" = true, "x-becomes" = "the schedule of a CronJob"))]
    pub(super) full: Option<Schedule>,
    /// When what changed since the last full backup is backed up (cron, UTC).
    #[schemars(extend("default" = "0 1 * * 1-6", "x-becomes" = "the schedule of a CronJob"))]
    pub(super) differential: Option<Schedule>,
    /// When what changed since the last backup of any kind is backed up (cron, UTC).
    #[schemars(extend("default" = "none", "x-becomes" = "the schedule of a CronJob"))]
    pub(super) incremental: Option<Schedule>,
    /// When a restore is tried (cron, UTC).
    #[schemars(extend("default" = "0 4 * * *", "x-becomes" = "the schedule of a CronJob"))]
    pub(super) restore_test: Option<Schedule>,
    /// Up to where a cluster that has lost everything is restored.
    pub(super) restore: Option<Restore>,
    /// The repository in the cluster: a volume behind pgBackRest's own server.
    #[schemars(extend("default" = {"size": "32Gi"}))]
    pub(super) posix: Option<Storage>,
    /// The repository in S3.
    pub(super) s3: Option<S3>,
    /// The repository in Google Cloud Storage.
    pub(super) gcs: Option<Gcs>,
    /// The repository in Azure Blob Storage.
    pub(super) azure: Option<Azure>,
    /// The repository behind SFTP.
    pub(super) sftp: Option<Sftp>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Restore {
    /// What is to be reached: `none` is the end of the archive, or a map of one of time, lsn, name and set.
    #[schemars(extend("default" = "none", "x-becomes" = "pgBackRest's type and target, or set"))]
    pub(super) target: Option<Target>,
    /// Along which timeline, for a time, an lsn or a name: `latest`, `current` or a number.
    #[schemars(extend("default" = "latest", "x-becomes" = "pgBackRest's target-timeline"))]
    pub(super) target_timeline: Option<TargetTimeline>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct S3 {
    /// The bucket.
    #[schemars(extend("x-default" = "NAME-backups", "examples" = ["pg-backups"], "x-becomes" = "pgBackRest's repoN-s3-bucket"))]
    pub(super) bucket: Option<Bucket>,
    /// Where S3 answers: a host, with a port if need be.
    #[schemars(extend("x-default" = "s3.REGION.amazonaws.com", "examples" = ["s3.eu-west-3.amazonaws.com"], "x-becomes" = "pgBackRest's repoN-s3-endpoint"))]
    pub(super) endpoint: Option<Endpoint>,
    /// The region.
    #[schemars(extend("x-default" = "us-east-1", "examples" = ["eu-west-3"], "x-becomes" = "pgBackRest's repoN-s3-region"))]
    pub(super) region: Option<Region>,
    /// Where the bucket's name stands in a URL; most stores of one's own want `path`.
    #[schemars(extend("default" = "host", "x-becomes" = "pgBackRest's repoN-s3-uri-style"))]
    pub(super) uri_style: Option<UriStyle>,
    /// What requests are signed with.
    #[schemars(extend("default" = "shared", "x-becomes" = "pgBackRest's repoN-s3-key-type"))]
    pub(super) key_type: Option<S3Key>,
    /// The authorities that the endpoint's certificate is from, in PEM.
    #[schemars(extend("x-default" = "those that everybody trusts", "examples" = ["-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"], "x-becomes" = "pgBackRest's repoN-storage-ca-file"))]
    pub(super) ca: Option<Certificates>,
    /// Whether that certificate is checked.
    #[schemars(extend("default" = true, "x-becomes" = "pgBackRest's repoN-storage-verify-tls"))]
    pub(super) verify_tls: Option<Switch>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Gcs {
    /// The bucket, which the repository needs.
    #[schemars(extend("x-default" = "none", "examples" = ["pg-backups"], "x-becomes" = "pgBackRest's repoN-gcs-bucket"))]
    pub(super) bucket: Option<Bucket>,
    /// Where the service answers.
    #[schemars(extend("default" = "storage.googleapis.com", "x-becomes" = "pgBackRest's repoN-gcs-endpoint"))]
    pub(super) endpoint: Option<Endpoint>,
    /// What proves who asks.
    #[schemars(extend("default" = "service", "x-becomes" = "pgBackRest's repoN-gcs-key-type"))]
    pub(super) key_type: Option<GcsKey>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Azure {
    /// The storage account, which the repository needs.
    #[schemars(extend("x-default" = "none", "examples" = ["shop"], "x-becomes" = "pgBackRest's repoN-azure-account"))]
    pub(super) account: Option<Account>,
    /// The container in it.
    #[schemars(extend("x-default" = "NAME-backups", "examples" = ["pg-backups"], "x-becomes" = "pgBackRest's repoN-azure-container"))]
    pub(super) container: Option<Container>,
    /// Where the service answers, without the account and without a port.
    #[schemars(extend("default" = "blob.core.windows.net", "x-becomes" = "pgBackRest's repoN-azure-endpoint"))]
    pub(super) endpoint: Option<Endpoint>,
    /// What requests are signed with.
    #[schemars(extend("default" = "shared", "x-becomes" = "pgBackRest's repoN-azure-key-type"))]
    pub(super) key_type: Option<AzureKey>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a map of settings")]
pub(super) struct Sftp {
    /// The host, which the repository needs.
    #[schemars(extend("x-default" = "none", "examples" = ["backup.example"], "x-becomes" = "pgBackRest's repoN-sftp-host"))]
    pub(super) host: Option<HostName>,
    /// Who logs in, which the repository needs.
    #[schemars(extend("x-default" = "none", "examples" = ["pgbackrest"], "x-becomes" = "pgBackRest's repoN-sftp-host-user"))]
    pub(super) user: Option<SftpUser>,
    /// The port.
    #[schemars(extend("default" = 22, "x-becomes" = "pgBackRest's repoN-sftp-host-port"))]
    pub(super) port: Option<Port>,
    /// The SHA-256 of the host's key. The repository needs this or `known-hosts`, not both.
    #[schemars(extend("x-default" = "none", "examples" = ["0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"], "x-becomes" = "pgBackRest's repoN-sftp-host-fingerprint"))]
    pub(super) host_fingerprint: Option<Fingerprint>,
    /// Or the host's lines of a `known_hosts` file.
    #[schemars(extend("x-default" = "none", "examples" = ["backup.example ssh-ed25519 AAAA"], "x-becomes" = "pgBackRest's repoN-sftp-known-host"))]
    pub(super) known_hosts: Option<KnownHosts>,
}
