//! The files of each scenario, in the order in which they are applied, read or listed.

use crate::config::Scenario::{self, Q1, Q2, Q2Restore, Q3};

const ALL: &[Scenario] = &Scenario::ALL;
/// Plain PostgreSQL, with no Patroni.
const PLAIN: &[Scenario] = &[Q1, Q2Restore];
const STORE: &[Scenario] = &[Q2Restore];
const PATRONI: &[Scenario] = &Scenario::PATRONI;
const ARCHIVE: &[Scenario] = &[Q3];

/// A file, and the scenarios that have it.
#[derive(Debug)]
pub(super) struct File {
    /// Its template.
    pub(super) template: &'static str,
    scenarios: &'static [Scenario],
    /// Whether running pods take it up by themselves; when another one changes, the pods must be replaced.
    pub(super) live: bool,
    /// Whether the pod of the backup store uses it.
    pub(super) of_store: bool,
}

const fn file(template: &'static str, scenarios: &'static [Scenario]) -> File {
    File { template, scenarios, live: false, of_store: false }
}

impl File {
    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    const fn of_store(self) -> Self {
        Self { of_store: true, ..self }
    }
}

/// Those of `files` that the scenario has.
pub(super) fn of(scenario: Scenario, files: &'static [File]) -> impl Iterator<Item = &'static File> {
    files.iter().filter(move |file| file.scenarios.contains(&scenario))
}

/// The Kubernetes objects. One that comes out empty is left out: not every configuration has every object.
pub(super) const MANIFESTS: &[File] = &[
    file("common/configmap-config.yaml", ALL),
    file("common/configmap-scripts.yaml", ALL),
    file("patroni/serviceaccount.yaml", PATRONI),
    file("patroni/role.yaml", PATRONI),
    file("patroni/rolebinding.yaml", PATRONI),
    file("streaming/service-rw.yaml", PLAIN),
    file("patroni/service-rw.yaml", PATRONI),
    file("common/service-ro.yaml", ALL),
    file("patroni/service-config.yaml", PATRONI),
    file("patroni/service-sync.yaml", PATRONI),
    file("archive/service-members.yaml", ARCHIVE),
    file("archive/service-repo.yaml", ARCHIVE),
    file("store/service-store.yaml", STORE),
    file("streaming/service-replicas.yaml", PLAIN),
    file("streaming/networkpolicy.yaml", PLAIN),
    file("patroni/networkpolicy.yaml", PATRONI),
    file("store/networkpolicy-store.yaml", STORE),
    file("archive/networkpolicy-repo.yaml", ARCHIVE),
    file("archive/networkpolicy-jobs.yaml", ARCHIVE),
    file("streaming/statefulset-primary.yaml", &[Q1]),
    file("store/statefulset-store.yaml", STORE),
    file("store/deployment-primary.yaml", STORE),
    file("streaming/deployment-replica.yaml", PLAIN),
    file("streaming/poddisruptionbudget-replica.yaml", PLAIN),
    file("archive/statefulset-repo.yaml", ARCHIVE),
    file("patroni/statefulset.yaml", PATRONI),
    file("patroni/poddisruptionbudget.yaml", PATRONI),
    file("archive/cronjob-backup-full.yaml", ARCHIVE),
    file("archive/cronjob-backup-diff.yaml", ARCHIVE),
    file("archive/cronjob-backup-incr.yaml", ARCHIVE),
    file("archive/cronjob-restore-test.yaml", ARCHIVE),
];

/// The configuration files, which a `ConfigMap` holds.
pub(super) const CONFIG: &[File] = &[
    file("streaming/postgresql.conf", PLAIN),
    file("streaming/pg_hba.conf", PLAIN),
    file("patroni/patroni.yaml", PATRONI).live(),
    file("patroni/parameters.yaml", PATRONI).live(),
    file("patroni/settings.yaml", PATRONI).live(),
    file("common/roles.sql", PLAIN),
    file("common/roles.sql", PATRONI).live(),
    file("archive/pgbackrest.conf", ARCHIVE).live(),
    file("archive/pgbackrest-repo.conf", ARCHIVE).live(),
];

/// The scripts, which another holds: what several pods use, then pod by pod.
pub(super) const SCRIPTS: &[File] = &[
    file("streaming/settings.sh", PLAIN).of_store(),
    file("streaming/replicas.sh", PLAIN).live(),
    file("streaming/common.sh", PLAIN).of_store(),
    file("streaming/primary.sh", &[Q1]),
    file("store/primary.sh", STORE),
    file("store/damage.sh", STORE),
    file("store/restore.sh", STORE),
    file("store/fetch-wal.sh", STORE),
    file("streaming/first-start.sh", PLAIN),
    file("streaming/restore-from-replica.sh", PLAIN),
    file("streaming/ready-primary.sh", PLAIN),
    file("store/store.sh", STORE).of_store(),
    file("store/store.pl", STORE).of_store(),
    file("store/wal.sh", STORE).of_store(),
    file("store/receive.sh", STORE).of_store(),
    file("store/backup.sh", STORE).of_store(),
    file("store/ready-store.sh", STORE).of_store(),
    file("streaming/replica.sh", PLAIN),
    file("streaming/tell.sh", PLAIN),
    file("streaming/clone.sh", PLAIN),
    file("streaming/follow.sh", PLAIN),
    file("streaming/ready-replica.sh", PLAIN),
    file("patroni/pgk.py", PATRONI),
    file("archive/backrest.py", ARCHIVE),
    file("patroni/member.sh", PATRONI),
    file("patroni/first_start.py", PATRONI),
    file("archive/start.py", ARCHIVE),
    file("patroni/run_patroni.py", PATRONI),
    file("patroni/base_backup.sh", PATRONI),
    file("archive/clone.py", ARCHIVE),
    file("patroni/post-init.sh", PATRONI),
    file("patroni/tend.py", PATRONI),
    file("archive/tend_archive.py", ARCHIVE),
    file("patroni/handover.py", PATRONI),
    file("archive/repositories.sh", ARCHIVE),
    file("archive/pgbackrest-push.sh", ARCHIVE),
    file("archive/fetch-wal.sh", ARCHIVE),
    file("archive/fetch-wal-strict.sh", ARCHIVE),
    file("patroni/watcher.py", PATRONI),
    file("archive/repo.sh", ARCHIVE),
    file("archive/repository.py", ARCHIVE),
    file("archive/restore_test.py", ARCHIVE),
];

/// What is in the folder besides the objects, without the README.
pub(super) const OTHERS: &[File] =
    &[file("common/Kustomization", ALL), file("patroni/Containerfile", PATRONI)];

/// The README, in this language.
pub(super) fn readme(scenario: Scenario, lang: &str) -> String {
    let folder = match scenario {
        Q1 => "streaming",
        Q2 => "patroni",
        Q2Restore => "store",
        Q3 => "archive",
    };
    format!("{folder}/README.{lang}.md")
}
