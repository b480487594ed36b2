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
    file("q2/serviceaccount.yaml", PATRONI),
    file("q2/role.yaml", PATRONI),
    file("q2/rolebinding.yaml", PATRONI),
    file("common/service-rw.yaml", PLAIN),
    file("q2/service-rw.yaml", PATRONI),
    file("common/service-ro.yaml", ALL),
    file("q2/service-config.yaml", PATRONI),
    file("q2/service-sync.yaml", PATRONI),
    file("q3/service-members.yaml", ARCHIVE),
    file("q3/service-repo.yaml", ARCHIVE),
    file("q2-restore/service-store.yaml", STORE),
    file("common/service-replicas.yaml", PLAIN),
    file("common/networkpolicy.yaml", PLAIN),
    file("q2/networkpolicy.yaml", PATRONI),
    file("q2-restore/networkpolicy-store.yaml", STORE),
    file("q3/networkpolicy-repo.yaml", ARCHIVE),
    file("q3/networkpolicy-jobs.yaml", ARCHIVE),
    file("q1/statefulset-primary.yaml", &[Q1]),
    file("q2-restore/statefulset-store.yaml", STORE),
    file("q2-restore/deployment-primary.yaml", STORE),
    file("common/deployment-replica.yaml", PLAIN),
    file("common/poddisruptionbudget-replica.yaml", PLAIN),
    file("q3/statefulset-repo.yaml", ARCHIVE),
    file("q2/statefulset.yaml", PATRONI),
    file("q2/poddisruptionbudget.yaml", PATRONI),
    file("q3/cronjob-backup-full.yaml", ARCHIVE),
    file("q3/cronjob-backup-diff.yaml", ARCHIVE),
    file("q3/cronjob-backup-incr.yaml", ARCHIVE),
    file("q3/cronjob-restore-test.yaml", ARCHIVE),
];

/// The configuration files, which a `ConfigMap` holds.
pub(super) const CONFIG: &[File] = &[
    file("common/postgresql.conf", PLAIN),
    file("common/pg_hba.conf", PLAIN),
    file("q2/patroni.yaml", PATRONI).live(),
    file("q2/parameters.yaml", PATRONI).live(),
    file("q2/settings.yaml", PATRONI).live(),
    file("common/roles.sql", PLAIN),
    file("common/roles.sql", PATRONI).live(),
    file("q3/pgbackrest.conf", ARCHIVE).live(),
    file("q3/pgbackrest-repo.conf", ARCHIVE).live(),
];

/// The scripts, which another holds: what several pods use, then pod by pod.
pub(super) const SCRIPTS: &[File] = &[
    file("common/settings.sh", PLAIN).of_store(),
    file("common/replicas.sh", PLAIN).live(),
    file("common/common.sh", PLAIN).of_store(),
    file("q1/primary.sh", &[Q1]),
    file("q2-restore/primary.sh", STORE),
    file("q2-restore/damage.sh", STORE),
    file("q2-restore/restore.sh", STORE),
    file("q2-restore/fetch-wal.sh", STORE),
    file("common/first-start.sh", PLAIN),
    file("common/restore-from-replica.sh", PLAIN),
    file("common/ready-primary.sh", PLAIN),
    file("q2-restore/store.sh", STORE).of_store(),
    file("q2-restore/store.pl", STORE).of_store(),
    file("q2-restore/wal.sh", STORE).of_store(),
    file("q2-restore/receive.sh", STORE).of_store(),
    file("q2-restore/backup.sh", STORE).of_store(),
    file("q2-restore/ready-store.sh", STORE).of_store(),
    file("common/replica.sh", PLAIN),
    file("common/tell.sh", PLAIN),
    file("common/clone.sh", PLAIN),
    file("common/follow.sh", PLAIN),
    file("common/ready-replica.sh", PLAIN),
    file("q2/pgk.py", PATRONI),
    file("q3/backrest.py", ARCHIVE),
    file("q2/member.sh", PATRONI),
    file("q2/first_start.py", PATRONI),
    file("q3/start.py", ARCHIVE),
    file("q2/run_patroni.py", PATRONI),
    file("q2/base_backup.sh", PATRONI),
    file("q3/clone.py", ARCHIVE),
    file("q2/post-init.sh", PATRONI),
    file("q2/tend.py", PATRONI),
    file("q3/tend_archive.py", ARCHIVE),
    file("q2/handover.py", PATRONI),
    file("q3/repositories.sh", ARCHIVE),
    file("q3/pgbackrest-push.sh", ARCHIVE),
    file("q3/fetch-wal.sh", ARCHIVE),
    file("q3/fetch-wal-strict.sh", ARCHIVE),
    file("q2/watcher.py", PATRONI),
    file("q3/repo.sh", ARCHIVE),
    file("q3/repository.py", ARCHIVE),
    file("q3/restore_test.py", ARCHIVE),
];

/// What is in the folder besides the objects, without the README.
pub(super) const OTHERS: &[File] = &[file("common/Kustomization", ALL), file("q2/Containerfile", PATRONI)];

/// The README, in this language.
pub(super) fn readme(scenario: Scenario, lang: &str) -> String {
    let folder = match scenario {
        Q1 => "q1",
        Q2 => "q2",
        Q2Restore => "q2-restore",
        Q3 => "q3",
    };
    format!("{folder}/README.{lang}.md")
}
