//! The settings of Q3: the archive.

use super::section::section;
use super::types::{
    Account, ArchiveTimeout, AzureKey, Backups, Bucket, Certificates, Container, Endpoint, Fingerprint,
    GcsKey, HostName, KnownHosts, Port, Region, RepoKind, RepoPath, Repos, S3Key, Schedule, SftpUser, Switch,
    Target, TargetTimeline, UriStyle,
};
use super::volume::Storage;

section! {
    /// Settings of Q3. Templates see what becomes of them, [`crate::scenario::Archive`].
    Q3, in a layer Q3Layer {
        /// Where the archive is, in this order: repo1, repo2 and so on. With `--set`, separated by commas: `q3.repos=posix,s3`.
        repos: Repos = ["posix"], init true, becomes "pgBackRest's repoN-type";
        /// The path inside every repository.
        path: Option<RepoPath>, otherwise "/pgk/NAME", example "/pgk/pg", becomes "pgBackRest's repoN-path";
        /// Whether the repositories are encrypted, with the pass phrase in the Secret that `pgk secret q3` prints.
        cipher: Option<Switch>, otherwise "those outside the cluster are", example true,
            becomes "pgBackRest's repoN-cipher-type";
        /// A WAL file is archived after this time even if it is not full. This is what a total loss can cost.
        archive_timeout: ArchiveTimeout = "60s", init true, becomes "PostgreSQL's archive_timeout";
        /// How many full backups each repository keeps.
        retention: Backups = 2, init true, becomes "pgBackRest's repoN-retention-full";
        /// When a full backup is taken (cron, UTC).
        full: Schedule = "0 1 * * 0", init true, becomes "the schedule of a CronJob";
        /// When a differential backup is taken: what changed since the last full one (cron, UTC).
        differential: Schedule = "0 1 * * 1-6", becomes "the schedule of a CronJob";
        /// When an incremental backup is taken: what changed since the last one of any kind (cron, UTC).
        incremental: Schedule = "none", becomes "the schedule of a CronJob";
        /// When the restore test runs (cron, UTC).
        restore_test: Schedule = "0 4 * * *", becomes "the schedule of a CronJob";
        /// The target to which a cluster that has lost everything is restored.
        restore: Restore;
        /// The repository in the cluster: a volume behind pgBackRest's own server.
        posix: Storage = {"size": "32Gi"};
        /// The repository in S3.
        s3: S3;
        /// The repository in Google Cloud Storage.
        gcs: Gcs;
        /// The repository in Azure Blob Storage.
        azure: Azure;
        /// The repository behind SFTP.
        sftp: Sftp;
    }
}

section! {
    /// The target to which a cluster that has lost everything is restored.
    Restore, in a layer RestoreLayer {
        /// The target: `none` is the end of the archive, or a map of one of time, lsn, name and set.
        target: Target = "none", becomes "pgBackRest's type and target, or set";
        /// The timeline to follow, for a time, an lsn or a name: `latest`, `current` or a number.
        target_timeline: TargetTimeline = "latest", becomes "pgBackRest's target-timeline";
    }
}

section! {
    /// The repository in S3.
    S3, in a layer S3Layer {
        /// The bucket.
        bucket: Option<Bucket>, otherwise "NAME-backups", example "pg-backups",
            becomes "pgBackRest's repoN-s3-bucket";
        /// Where S3 answers: a host, with a port if need be.
        endpoint: Option<Endpoint>, otherwise "s3.REGION.amazonaws.com", example "s3.eu-west-3.amazonaws.com",
            becomes "pgBackRest's repoN-s3-endpoint";
        /// The region.
        region: Option<Region>, otherwise "us-east-1", example "eu-west-3",
            becomes "pgBackRest's repoN-s3-region";
        /// Where the bucket's name stands in a URL; most self-hosted stores need `path`.
        uri_style: UriStyle = "host", becomes "pgBackRest's repoN-s3-uri-style";
        /// What requests are signed with.
        key_type: S3Key = "shared", becomes "pgBackRest's repoN-s3-key-type";
        /// The certificate authorities of the endpoint's certificate, in PEM.
        ca: Option<Certificates>, otherwise "those that everybody trusts",
            example "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            becomes "pgBackRest's repoN-storage-ca-file";
        /// Whether that certificate is checked.
        verify_tls: Switch = true, becomes "pgBackRest's repoN-storage-verify-tls";
    }
}

section! {
    /// The repository in Google Cloud Storage.
    Gcs, in a layer GcsLayer {
        /// The bucket, which the repository needs.
        bucket: Option<Bucket>, otherwise "none", example "pg-backups",
            becomes "pgBackRest's repoN-gcs-bucket";
        /// Where the service answers.
        endpoint: Endpoint = "storage.googleapis.com", becomes "pgBackRest's repoN-gcs-endpoint";
        /// What authenticates the requests.
        key_type: GcsKey = "service", becomes "pgBackRest's repoN-gcs-key-type";
    }
}

section! {
    /// The repository in Azure Blob Storage.
    Azure, in a layer AzureLayer {
        /// The storage account, which the repository needs.
        account: Option<Account>, otherwise "none", example "shop", becomes "pgBackRest's repoN-azure-account";
        /// The container in it.
        container: Option<Container>, otherwise "NAME-backups", example "pg-backups",
            becomes "pgBackRest's repoN-azure-container";
        /// Where the service answers, without the account and without a port.
        endpoint: Endpoint = "blob.core.windows.net", becomes "pgBackRest's repoN-azure-endpoint";
        /// What requests are signed with.
        key_type: AzureKey = "shared", becomes "pgBackRest's repoN-azure-key-type";
    }
}

section! {
    /// The repository behind SFTP.
    Sftp, in a layer SftpLayer {
        /// The host, which the repository needs.
        host: Option<HostName>, otherwise "none", example "backup.example",
            becomes "pgBackRest's repoN-sftp-host";
        /// Who logs in, which the repository needs.
        user: Option<SftpUser>, otherwise "none", example "pgbackrest",
            becomes "pgBackRest's repoN-sftp-host-user";
        /// The port.
        port: Port = 22, becomes "pgBackRest's repoN-sftp-host-port";
        /// The SHA-256 of the host's key. The repository needs this or `known-hosts`, not both.
        host_fingerprint: Option<Fingerprint>, otherwise "none",
            example "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            becomes "pgBackRest's repoN-sftp-host-fingerprint";
        /// Or the host's lines of a `known_hosts` file.
        known_hosts: Option<KnownHosts>, otherwise "none", example "backup.example ssh-ed25519 AAAA",
            becomes "pgBackRest's repoN-sftp-known-host";
    }
}

impl Q3 {
    /// Whether the repository of this kind is encrypted.
    pub fn encrypts(&self, kind: RepoKind) -> bool {
        match self.cipher {
            Some(cipher) => cipher == Switch::On,
            None => kind != RepoKind::Posix,
        }
    }
}
