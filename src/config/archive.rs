//! The plan of an archive: the settings of Q3, and what is wrong with them together.

use std::net::Ipv4Addr;

use super::layer;
use super::plan::{Conflict, Plan, Storage, set, set_optional};
use super::types::{
    Account, ArchiveTimeout, AzureKey, Backups, Bucket, Certificates, Container, Endpoint, Fingerprint,
    GcsKey, HostName, Known as _, KnownHosts, Port, Quantity, Region, RepoKind, RepoPath, Repos, S3Key,
    Schedule, SftpUser, Strategy, Switch, Target, TargetTimeline, UriStyle,
};
use crate::error::Diagnostic;

/// Settings of Q3. Templates see what becomes of them, [`crate::scenario::Archive`].
#[derive(Debug, Clone)]
pub struct Q3 {
    /// Where backups and WAL are kept.
    pub repos: Repos,
    /// The path inside every repository; `None` is one by the instance's name.
    pub path: Option<RepoPath>,
    /// Whether repositories are encrypted; `None` is those outside the cluster.
    pub cipher: Option<Switch>,
    /// After how long a WAL file is archived even if it is not full, in seconds.
    pub archive_timeout: ArchiveTimeout,
    /// How many full backups each repository keeps.
    pub retention: Backups,
    /// When a full backup is taken.
    pub full: Schedule,
    /// When what changed since the last full one is backed up.
    pub differential: Schedule,
    /// When what changed since the last one of any kind is backed up.
    pub incremental: Schedule,
    /// When a restore is tried.
    pub restore_test: Schedule,
    /// Up to where a cluster that has lost everything is restored.
    pub restore: Restore,
    /// The volume of the repository in the cluster.
    pub posix: Storage,
    /// The one in S3.
    pub s3: S3,
    /// The one in Google Cloud Storage.
    pub gcs: Gcs,
    /// The one in Azure Blob Storage.
    pub azure: Azure,
    /// The one behind SFTP.
    pub sftp: Sftp,
}

/// Up to where a cluster that has lost everything is restored.
#[derive(Debug, Clone)]
pub struct Restore {
    /// What is to be reached.
    pub target: Target,
    /// Along which timeline.
    pub target_timeline: TargetTimeline,
}

/// The repository in S3. What is `None` has a default that is hardly the one wanted.
#[derive(Debug, Clone)]
pub struct S3 {
    /// The bucket.
    pub bucket: Option<Bucket>,
    /// Where S3 answers.
    pub endpoint: Option<Endpoint>,
    /// The region.
    pub region: Option<Region>,
    /// Where the bucket's name stands in a URL.
    pub uri_style: UriStyle,
    /// What requests are signed with.
    pub key_type: S3Key,
    /// The authority that the endpoint's certificate is from; `None` is those that everybody trusts.
    pub ca: Option<Certificates>,
    /// Whether that certificate is checked.
    pub verify_tls: Switch,
}

/// The repository in Google Cloud Storage.
#[derive(Debug, Clone)]
pub struct Gcs {
    /// The bucket.
    pub bucket: Option<Bucket>,
    /// Where the service answers.
    pub endpoint: Endpoint,
    /// What proves who asks.
    pub key_type: GcsKey,
}

/// The repository in Azure Blob Storage.
#[derive(Debug, Clone)]
pub struct Azure {
    /// The storage account.
    pub account: Option<Account>,
    /// The container in it.
    pub container: Option<Container>,
    /// Where the service answers, without the account.
    pub endpoint: Endpoint,
    /// What requests are signed with.
    pub key_type: AzureKey,
}

/// The repository behind SFTP.
#[derive(Debug, Clone)]
pub struct Sftp {
    /// The host.
    pub host: Option<HostName>,
    /// Who logs in.
    pub user: Option<SftpUser>,
    /// The port.
    pub port: Port,
    /// The SHA-256 of the host's key.
    pub host_fingerprint: Option<Fingerprint>,
    /// Or the lines of a `known_hosts` file.
    pub known_hosts: Option<KnownHosts>,
}

/// PostgreSQL's parameters that the archive relies on.
const RESERVED: [&str; 5] =
    ["archive_mode", "archive_command", "archive_library", "archive_timeout", "restore_command"];

/// The longest name whose restore test is still a valid `CronJob`.
const LONGEST_NAME: usize = 39;

impl Q3 {
    pub(super) fn defaults() -> Result<Self, String> {
        Ok(Self {
            repos: "posix".parse()?,
            path: None,
            cipher: None,
            archive_timeout: "60s".parse()?,
            retention: Backups::DEFAULT,
            full: "0 1 * * 0".parse()?,
            differential: "0 1 * * 1-6".parse()?,
            incremental: "none".parse()?,
            restore_test: "0 4 * * *".parse()?,
            restore: Restore { target: Target::End, target_timeline: "latest".parse()? },
            posix: Storage { size: Quantity::known("32Gi"), class: None },
            s3: S3 {
                bucket: None,
                endpoint: None,
                region: None,
                uri_style: UriStyle::Host,
                key_type: S3Key::Shared,
                ca: None,
                verify_tls: Switch::On,
            },
            gcs: Gcs {
                bucket: None,
                endpoint: Endpoint::known("storage.googleapis.com"),
                key_type: GcsKey::Service,
            },
            azure: Azure {
                account: None,
                container: None,
                endpoint: Endpoint::known("blob.core.windows.net"),
                key_type: AzureKey::Shared,
            },
            sftp: Sftp { host: None, user: None, port: Port::SSH, host_fingerprint: None, known_hosts: None },
        })
    }

    pub(super) fn apply(&mut self, layer: layer::Q3) {
        set(&mut self.repos, layer.repos);
        set_optional(&mut self.path, layer.path);
        set_optional(&mut self.cipher, layer.cipher);
        set(&mut self.archive_timeout, layer.archive_timeout);
        set(&mut self.retention, layer.retention);
        set(&mut self.full, layer.full);
        set(&mut self.differential, layer.differential);
        set(&mut self.incremental, layer.incremental);
        set(&mut self.restore_test, layer.restore_test);
        if let Some(restore) = layer.restore {
            set(&mut self.restore.target, restore.target);
            set(&mut self.restore.target_timeline, restore.target_timeline);
        }
        if let Some(posix) = layer.posix {
            self.posix.apply(posix);
        }
        if let Some(s3) = layer.s3 {
            set_optional(&mut self.s3.bucket, s3.bucket);
            set_optional(&mut self.s3.endpoint, s3.endpoint);
            set_optional(&mut self.s3.region, s3.region);
            set(&mut self.s3.uri_style, s3.uri_style);
            set(&mut self.s3.key_type, s3.key_type);
            set_optional(&mut self.s3.ca, s3.ca);
            set(&mut self.s3.verify_tls, s3.verify_tls);
        }
        if let Some(gcs) = layer.gcs {
            set_optional(&mut self.gcs.bucket, gcs.bucket);
            set(&mut self.gcs.endpoint, gcs.endpoint);
            set(&mut self.gcs.key_type, gcs.key_type);
        }
        if let Some(azure) = layer.azure {
            set_optional(&mut self.azure.account, azure.account);
            set_optional(&mut self.azure.container, azure.container);
            set(&mut self.azure.endpoint, azure.endpoint);
            set(&mut self.azure.key_type, azure.key_type);
        }
        if let Some(sftp) = layer.sftp {
            set_optional(&mut self.sftp.host, sftp.host);
            set_optional(&mut self.sftp.user, sftp.user);
            set(&mut self.sftp.port, sftp.port);
            set_optional(&mut self.sftp.host_fingerprint, sftp.host_fingerprint);
            set_optional(&mut self.sftp.known_hosts, sftp.known_hosts);
        }
    }

    /// Whether the repository of this kind is encrypted.
    pub fn encrypts(&self, kind: RepoKind) -> bool {
        match self.cipher {
            Some(cipher) => cipher == Switch::On,
            None => kind != RepoKind::Posix,
        }
    }
}

impl Plan {
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
                "leave q2.strategy out: a replica is promoted, and what is lost altogether is restored from the archive",
            );
        }
        if self.name.as_str().len() > LONGEST_NAME {
            say(
                "name",
                &[],
                &format!("in q3, a name has at most {LONGEST_NAME} characters"),
                "Kubernetes takes no longer names of what is done on a schedule: shorten `name`",
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
                "q3.s3.endpoint is an address, which has no names of buckets in front of it",
                "set q3.s3.uri-style to `path`, or give the endpoint's name",
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
