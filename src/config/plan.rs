//! What is to be rendered, complete and valid: the only thing that the later steps see. Its settings, but for those of
//! the archive, are declared here.

use std::collections::BTreeMap;

use super::archive::Q3;
use super::policy::NetworkPolicy;
use super::scenario::Scenario;
use super::section::{Setting as _, section};
use super::types::{
    Backups, Database, Dcs, Durability, Image, Interval, Lang, Name, Namespace, ParameterName,
    ParameterValue, PgSize, Port, Quantity, Region, Replicas, Sizing, SlotKind, SlotName, Strategy, Switch,
    Tls, User, Version,
};
use super::volume::Storage;
use crate::error::Diagnostic;

section! {
    /// A validated configuration with every default filled in.
    Plan, in a layer Layer {
        /// The prefix of every object's name. With `pg`, there are the Services pg-rw and pg-ro, the Secret
        /// pg-credentials, and so on. In Q3, it has at most 39 characters.
        name: Name = "pg", for Scenario::ALL, init true,
            becomes "the names and labels of all objects; Q3's pgBackRest stanza";
        /// The namespace of every object.
        namespace: Option<Namespace>, otherwise "that of the context which applies the manifests",
            example "databases", for Scenario::ALL, becomes "metadata.namespace";
        /// The language of the README in a rendered folder.
        lang: Lang = "fr", for Scenario::ALL, becomes "README.md";
        /// The server.
        postgres: Postgres, for Scenario::ALL;
        /// How connections are protected. `encrypted` asks nothing of anybody: each pod makes a certificate of its own, and a client without TLS still gets in.
        tls: Tls = "encrypted", for Scenario::ALL,
            becomes "ssl in PostgreSQL's configuration, HTTPS of Patroni's API";
        /// Who may connect to the pods, and where these may connect to. A cluster whose network enforces no policies takes them and lets everybody through.
        network_policy: NetworkPolicy, for Scenario::ALL;
        /// How many read-only replicas: there is one member more than these. Q2 by restore needs one.
        replicas: Replicas = 2, for Scenario::ALL, init true, becomes "spec.replicas";
        /// The volume of each member.
        storage: Storage = {"size": "8Gi"}, for Scenario::ALL;
        /// What each PostgreSQL container asks for, and may use at most.
        resources: Resources, for Scenario::ALL;
        /// Settings of Q1 only.
        q1: Q1, for [Scenario::Q1];
        /// Settings of Q2. Except for those of restore, they are Q3's as well.
        q2: Q2, for Scenario::WITH_Q2;
        /// Settings of Q3: the archive.
        q3: Q3, for [Scenario::Q3];
    }
    besides {
        /// What is rendered as it is asked for, though it is hardly what is wanted.
        warnings: Vec<Diagnostic>
    }
}

section! {
    /// The server's settings.
    Postgres, in a layer PostgresLayer {
        /// PostgreSQL's major version.
        version: Version = (Version::DEFAULT.major()), init true;
        /// The container image. In Q2 and Q3, it is built from the rendered Containerfile.
        image: Option<Image>,
            otherwise "q1, and q2 with restore: docker.io/library/postgres:VERSION; q2 and q3: localhost/pgk-postgres:VERSION",
            example "registry.example/postgres:17", becomes "the image of the containers";
        /// PostgreSQL parameters, as in `postgresql.conf` but without quotes. With `--set`, one at a time: `postgres.parameters.work_mem=16MB`. Those that the manifests rely on are refused.
        parameters: BTreeMap<ParameterName, ParameterValue> = {}, example {"work_mem": "16MB"},
            becomes "postgresql.conf, or Patroni's configuration in Q2 and Q3";
        /// Whether memory, WAL and parallel workers follow from `resources` and `storage.size`, except for what `parameters` sets.
        sizing: Sizing = "auto",
            becomes "shared_buffers, work_mem, max_wal_size and others, each with its rule in a comment";
        /// The application's database.
        database: Database = "app", init true, becomes "CREATE DATABASE";
        /// The role that owns it. Its password is in the Secret that `pgk secret` prints.
        user: User = "app", init true, becomes "CREATE ROLE";
        /// Replication slots that go over to the next primary, by their names. A slot is the output plugin of a logical one in the application's database, such as `pgoutput`, with which `wal_level` is `logical`; or `physical`; or `foreign`, which is somebody else's and neither created nor dropped.
        slots: BTreeMap<SlotName, SlotKind> = {}, example {"cdc": "pgoutput"}, for Scenario::PATRONI,
            becomes "Patroni's slots and ignore_slots";
    }
}

section! {
    /// What each PostgreSQL container asks for, and may use at most.
    Resources, in a layer ResourcesLayer {
        /// What a node must have left for the container.
        requests: Amounts = {"cpu": "100m", "memory": "256Mi"};
        /// What the container may use at most.
        limits: Amounts = {"memory": "1Gi"};
    }
}

section! {
    /// So much CPU time and memory.
    Amounts, in a layer AmountsLayer {
        /// CPU time, in cores.
        cpu: Option<Quantity>, otherwise "none", example 2, becomes "resources of the container";
        /// Memory, in bytes.
        memory: Option<Quantity>, becomes "resources of the container";
    }
}

section! {
    /// Settings of Q1 only.
    Q1, in a layer Q1Layer {
        /// How far a replica may be behind the primary, in WAL, and still serve reads.
        max_lag: PgSize = "64MB", becomes "the readiness probe of replicas";
    }
}

section! {
    /// Settings of Q2.
    Q2, in a layer Q2Layer {
        /// How a new primary is found.
        strategy: Strategy = "promote", for Scenario::EITHER_Q2, init true,
            becomes "the whole folder: with Patroni, or with a backup store";
        /// What an acknowledged commit can rely on. With restore, it is `strict` (always in the store; `synchronous` means the same there) or `available`.
        durability: Durability = "synchronous", init true,
            becomes "Patroni's synchronous_mode and synchronous_mode_strict; with restore, PostgreSQL's synchronous_standby_names";
        /// How many base backups the store keeps.
        backups: Backups = 2, for [Scenario::Q2Restore];
        /// How often the store takes a base backup.
        backup_every: Interval = "6h", for [Scenario::Q2Restore];
        /// The size of the store's volume: four times the database is a good start.
        store_size: Quantity = "32Gi", for [Scenario::Q2Restore],
            becomes "resources.requests.storage of the store's volume claim";
        /// Where Patroni keeps the leader's lease and its other state.
        dcs: Dcs = "configmaps", for Scenario::PATRONI, becomes "Patroni's kubernetes.use_endpoints";
        /// Notice a lost node in 3 s, by a watcher in each pod; without it, the lease runs for 20 s. There is no watcher if durability is `asynchronous`.
        fast_failover: Switch = true, for Scenario::PATRONI, becomes "the container `watcher`";
        /// How far a replica may be behind the primary, in WAL, and still serve reads.
        max_lag: PgSize = "64MB", becomes "the readiness probe of replicas";
    }
}

impl Q2 {
    /// Whether there is a watcher: what makes its haste safe is synchronous replication.
    pub fn watcher(&self) -> bool {
        self.fast_failover == Switch::On && self.durability != Durability::Asynchronous
    }
}

impl Plan {
    /// What holds where nothing is set.
    pub(super) fn at_first() -> Result<Self, serde_yaml::Error> {
        // As every other value, it is read from YAML, which JSON is.
        serde_yaml::from_str(&Self::defaults().to_string())
    }

    /// The path inside every repository.
    pub fn repo_path(&self) -> String {
        self.q3.path.as_ref().map_or_else(|| format!("/pgk/{}", self.name), ToString::to_string)
    }

    /// The bucket of S3.
    pub fn s3_bucket(&self) -> String {
        self.q3.s3.bucket.as_ref().map_or_else(|| self.default_bucket(), ToString::to_string)
    }

    /// The region of S3.
    pub fn s3_region(&self) -> &str {
        self.q3.s3.region.as_ref().map_or("us-east-1", Region::as_str)
    }

    /// Where S3 answers, as it is written, and as a host and a port.
    pub fn s3_endpoint(&self) -> (String, String, Port) {
        if let Some(endpoint) = &self.q3.s3.endpoint {
            let (host, port) = endpoint.parts();
            return (endpoint.to_string(), host.to_owned(), port);
        }
        let host = format!("s3.{}.amazonaws.com", self.s3_region());
        (host.clone(), host, Port::HTTPS)
    }

    /// The container in Azure's storage account.
    pub fn azure_container(&self) -> String {
        self.q3.azure.container.as_ref().map_or_else(|| self.default_bucket(), ToString::to_string)
    }

    fn default_bucket(&self) -> String {
        format!("{}-backups", self.name)
    }
}
