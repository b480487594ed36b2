//! Q3: Q2 by promotion, with an archive that the whole cluster is restored from when nothing else is left.

use super::Scenario;

const CONFIG: &[&str] = &[
    "q2/patroni.yaml",
    "q2/parameters.yaml",
    "q2/settings.yaml",
    "common/roles.sql",
    "q3/pgbackrest.conf",
    "q3/pgbackrest-repo.conf",
];

/// Q3: Patroni promotes a replica; pgBackRest archives, and brings back a cluster that has lost everything.
pub static Q3: Scenario = Scenario {
    id: "q3",
    manifests: &[
        "common/configmap-config.yaml",
        "common/configmap-scripts.yaml",
        "q2/serviceaccount.yaml",
        "q2/role.yaml",
        "q2/rolebinding.yaml",
        "q2/service-rw.yaml",
        "common/service-ro.yaml",
        "q2/service-config.yaml",
        "q2/service-sync.yaml",
        "q3/service-members.yaml",
        "q3/service-repo.yaml",
        "q3/statefulset-repo.yaml",
        "q2/statefulset.yaml",
        "q2/poddisruptionbudget.yaml",
        "q3/cronjob-backup-full.yaml",
        "q3/cronjob-backup-diff.yaml",
        "q3/cronjob-backup-incr.yaml",
        "q3/cronjob-restore-test.yaml",
    ],
    config: CONFIG,
    scripts: &[
        "q2/member.sh",
        "q2/run_patroni.py",
        "q2/first_start.py",
        "q2/post-init.sh",
        "q2/tend.py",
        "q2/handover.py",
        "q2/watcher.py",
        "q2/pgk.py",
        "q3/backrest.py",
        "q3/start.py",
        "q3/tend_archive.py",
        "q3/repository.py",
        "q3/repo.sh",
        "q3/clone.py",
        "q3/restore_test.py",
        "q3/repositories.sh",
        "q3/pgbackrest-push.sh",
        "q3/fetch-wal.sh",
        "q3/fetch-wal-strict.sh",
    ],
    containerfile: Some("q2/Containerfile"),
    live: CONFIG,
    store: false,
    archive: true,
    readme: ["q3/README.fr.md", "q3/README.en.md"],
};
