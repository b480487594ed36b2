//! The archive as the templates of Q3 see it: the repositories, what pgBackRest must be told of each, and what
//! of it is secret.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Names, PORTS};
use crate::config::types::{
    ArchiveTimeout, Backups, GcsKey, Port, RepoKind, S3Key, Schedule, Switch, UriStyle,
};
use crate::config::{Plan, Q3};

/// Where a pod finds the file in the `ConfigMap` of configuration.
const CONFIG: &str = "/etc/pgk/config";
/// Where a pod finds a key of the Secret that is read as a file.
const KEYS: &str = "/etc/pgk/backrest";

/// The template of the authority that S3's certificate is from.
pub(super) const S3_CA: &str = "archive/s3-ca.crt";
/// The template of the SFTP host's keys.
pub(super) const KNOWN_HOSTS: &str = "archive/known-hosts.txt";

/// The keys of the Secret of pgBackRest's TLS.
pub const TLS_KEYS: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// The key of the Secret that repositories are encrypted with.
pub const CIPHER_PASS: &str = "cipher-pass";

/// The archive.
#[derive(Debug, Serialize)]
pub struct Archive {
    stanza: String,
    repos: Vec<Repo>,
    /// Whether one of them is in the cluster.
    local: bool,
    /// Whether a repository knows the pods by their identity, and not by a key.
    identity: bool,
    /// The ports outside the cluster that the pods connect to.
    outside: BTreeSet<Port>,
    /// Whether they ask the machine for its identity: each cloud answers at the same address.
    machine: bool,
    /// Each variable that is secret, and the key of the Secret that holds it.
    secrets: Vec<Secret>,
    /// The keys of the Secret that are read as files.
    key_files: Vec<&'static str>,
    restore: Option<Restore>,
    timeout: ArchiveTimeout,
    retention: Backups,
    full: Schedule,
    differential: Schedule,
    incremental: Schedule,
    restore_test: Schedule,
    /// The days within which there is a newer backup, by the schedules; `None` if there is no schedule.
    backup_age: Option<u16>,
    /// The PEM of the authority that S3's certificate is from.
    s3_ca: Option<String>,
    /// The lines of the SFTP host's keys.
    known_hosts: Option<String>,
}

#[derive(Debug, Serialize)]
struct Repo {
    number: usize,
    kind: RepoKind,
    /// Where a connection shows that it is there.
    host: String,
    port: Port,
    path: String,
    cipher: bool,
    /// What pgBackRest must know of it, by the end of the option's name.
    options: Vec<(&'static str, String)>,
}

#[derive(Debug, Serialize)]
struct Secret {
    variable: String,
    key: &'static str,
}

#[derive(Debug, Serialize)]
struct Restore {
    r#type: &'static str,
    target: String,
    timeline: String,
}

impl Archive {
    /// The archive of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let q3 = &plan.q3;
        let kinds = q3.repos.kinds();
        let repos: Vec<_> = (1..).zip(kinds).map(|(number, kind)| Repo::of(plan, number, *kind)).collect();
        let identity = kinds.iter().any(|kind| match kind {
            RepoKind::Posix | RepoKind::Azure | RepoKind::Sftp => false,
            RepoKind::S3 => q3.s3.key_type != S3Key::Shared,
            RepoKind::Gcs => q3.gcs.key_type == GcsKey::Auto,
        });
        let key_files = kinds.iter().filter_map(|kind| match kind {
            RepoKind::Gcs if q3.gcs.key_type == GcsKey::Service => Some("gcs-key.json"),
            RepoKind::Sftp => Some("sftp-key"),
            _ => None,
        });
        let backups = [&q3.full, &q3.differential, &q3.incremental];
        // A backup may take a day (its job's deadline).
        let backup_age = backups.into_iter().filter_map(Schedule::comes_within).min().map(|days| days + 1);
        let restore = q3.restore.target.parts().map(|(r#type, target)| Restore {
            r#type,
            target: target.to_owned(),
            timeline: q3.restore.target_timeline.to_string(),
        });
        Self {
            stanza: plan.name.to_string(),
            local: q3.repos.has(RepoKind::Posix),
            identity,
            outside: repos.iter().flat_map(|repo| repo.outside(q3)).collect(),
            machine: kinds.iter().any(|kind| match kind {
                RepoKind::Posix | RepoKind::Azure | RepoKind::Sftp => false,
                RepoKind::S3 => q3.s3.key_type == S3Key::Auto,
                RepoKind::Gcs => q3.gcs.key_type == GcsKey::Auto,
            }),
            secrets: repos.iter().flat_map(|repo| repo.secrets(plan)).collect(),
            key_files: key_files.collect(),
            repos,
            restore,
            timeout: q3.archive_timeout,
            retention: q3.retention,
            full: q3.full.clone(),
            differential: q3.differential.clone(),
            incremental: q3.incremental.clone(),
            restore_test: q3.restore_test.clone(),
            backup_age,
            s3_ca: q3
                .s3
                .ca
                .as_ref()
                .filter(|_| q3.repos.has(RepoKind::S3))
                .map(|pem| with_line_end(pem.as_str())),
            known_hosts: q3
                .sftp
                .known_hosts
                .as_ref()
                .filter(|_| q3.repos.has(RepoKind::Sftp))
                .map(|lines| with_line_end(lines.as_str())),
        }
    }

    /// The templates of the files that only some archives have.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static str> {
        self.s3_ca.iter().map(|_| S3_CA).chain(self.known_hosts.iter().map(|_| KNOWN_HOSTS))
    }

    /// The keys of the Secret that belongs to the repositories; none if there is no such Secret.
    pub fn secret_keys(&self) -> Vec<&'static str> {
        let mut keys: Vec<_> =
            self.secrets.iter().map(|secret| secret.key).chain(self.key_files.iter().copied()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Repo {
    fn of(plan: &Plan, number: usize, kind: RepoKind) -> Self {
        let q3 = &plan.q3;
        let (host, port, options) = match kind {
            RepoKind::Posix => (Names::of(plan.name.as_str()).repo, Port::of(PORTS.backrest), Vec::new()),
            RepoKind::S3 => {
                let (endpoint, host, port) = plan.s3_endpoint();
                let bucket = plan.s3_bucket();
                let host = match q3.s3.uri_style {
                    UriStyle::Host => format!("{bucket}.{host}"),
                    UriStyle::Path => host,
                };
                let mut options = vec![
                    ("type", "s3".to_owned()),
                    ("s3-bucket", bucket),
                    ("s3-endpoint", endpoint),
                    ("s3-region", plan.s3_region().to_owned()),
                    ("s3-uri-style", q3.s3.uri_style.as_str().to_owned()),
                    ("s3-key-type", q3.s3.key_type.as_str().to_owned()),
                ];
                if q3.s3.ca.is_some() {
                    options.push(("storage-ca-file", format!("{CONFIG}/s3-ca.crt")));
                }
                if q3.s3.verify_tls == Switch::Off {
                    options.push(("storage-verify-tls", "n".to_owned()));
                }
                (host, port, options)
            }
            RepoKind::Gcs => {
                let (host, port) = q3.gcs.endpoint.parts();
                let bucket = q3.gcs.bucket.as_ref().map(ToString::to_string).unwrap_or_default();
                let mut options = vec![
                    ("type", "gcs".to_owned()),
                    ("gcs-bucket", bucket),
                    ("gcs-endpoint", q3.gcs.endpoint.to_string()),
                    ("gcs-key-type", q3.gcs.key_type.as_str().to_owned()),
                ];
                if q3.gcs.key_type == GcsKey::Service {
                    options.push(("gcs-key", format!("{KEYS}/gcs-key.json")));
                }
                (host.to_owned(), port, options)
            }
            RepoKind::Azure => {
                let account = q3.azure.account.as_ref().map(ToString::to_string).unwrap_or_default();
                let host = format!("{account}.{}", q3.azure.endpoint);
                let options = vec![
                    ("type", "azure".to_owned()),
                    ("azure-account", account),
                    ("azure-container", plan.azure_container()),
                    ("azure-endpoint", q3.azure.endpoint.to_string()),
                    ("azure-key-type", q3.azure.key_type.as_str().to_owned()),
                ];
                (host, Port::HTTPS, options)
            }
            RepoKind::Sftp => {
                let host = q3.sftp.host.as_ref().map(ToString::to_string).unwrap_or_default();
                let user = q3.sftp.user.as_ref().map(ToString::to_string).unwrap_or_default();
                let mut options = vec![
                    ("type", "sftp".to_owned()),
                    ("sftp-host", host.clone()),
                    ("sftp-host-port", q3.sftp.port.to_string()),
                    ("sftp-host-user", user),
                    ("sftp-private-key-file", format!("{KEYS}/sftp-key")),
                    // Of the key or of the fingerprint below.
                    ("sftp-host-key-hash-type", "sha256".to_owned()),
                ];
                if let Some(fingerprint) = &q3.sftp.host_fingerprint {
                    options.push(("sftp-host-key-check-type", "fingerprint".to_owned()));
                    options.push(("sftp-host-fingerprint", fingerprint.to_string()));
                } else {
                    options.push(("sftp-host-key-check-type", "strict".to_owned()));
                    options.push(("sftp-known-host", format!("{CONFIG}/known-hosts.txt")));
                }
                (host, q3.sftp.port, options)
            }
        };
        Self { number, kind, host, port, path: plan.repo_path(), cipher: q3.encrypts(kind), options }
    }

    /// The ports outside the cluster that it takes: its own, and that of HTTPS, where a token comes from elsewhere.
    fn outside(&self, q3: &Q3) -> Vec<Port> {
        match self.kind {
            RepoKind::Posix => Vec::new(),
            RepoKind::S3 if q3.s3.key_type == S3Key::WebId => vec![self.port, Port::HTTPS],
            RepoKind::Gcs if q3.gcs.key_type == GcsKey::Service => vec![self.port, Port::HTTPS],
            RepoKind::S3 | RepoKind::Gcs | RepoKind::Azure | RepoKind::Sftp => vec![self.port],
        }
    }

    /// What of it is secret, and a variable.
    fn secrets(&self, plan: &Plan) -> Vec<Secret> {
        let q3 = &plan.q3;
        let keys: &[(&str, &'static str)] = match self.kind {
            RepoKind::S3 if q3.s3.key_type == S3Key::Shared => {
                &[("S3_KEY", "s3-key"), ("S3_KEY_SECRET", "s3-key-secret")]
            }
            RepoKind::Azure => &[("AZURE_KEY", "azure-key")],
            _ => &[],
        };
        let cipher: &[(&str, &'static str)] = if self.cipher { &[("CIPHER_PASS", CIPHER_PASS)] } else { &[] };
        [cipher, keys]
            .concat()
            .into_iter()
            .map(|(end, key)| Secret { variable: format!("PGBACKREST_REPO{}_{end}", self.number), key })
            .collect()
    }
}

fn with_line_end(text: &str) -> String {
    format!("{}\n", text.trim_end())
}
