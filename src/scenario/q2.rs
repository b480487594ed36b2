//! Q2: a new primary when the primary fails: a member that the others elect, or one that is made anew from a
//! backup store.

use super::Scenario;

const CONFIG: &[&str] = &["q2/patroni.yaml", "q2/parameters.yaml", "q2/settings.yaml", "common/roles.sql"];

/// Q2 by promotion: Patroni promotes a replica.
pub static Q2: Scenario = Scenario {
    id: "q2",
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
        "q2/statefulset.yaml",
        "q2/poddisruptionbudget.yaml",
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
    ],
    containerfile: Some("q2/Containerfile"),
    live: CONFIG,
    store: false,
    archive: false,
    readme: ["q2/README.fr.md", "q2/README.en.md"],
};

/// Q2 by restoring: plain PostgreSQL; a new primary is made from the backup store.
pub static Q2_RESTORE: Scenario = Scenario {
    id: "q2",
    manifests: &[
        "common/configmap-config.yaml",
        "common/configmap-scripts.yaml",
        "common/service-rw.yaml",
        "common/service-ro.yaml",
        "q2-restore/service-store.yaml",
        "common/service-replicas.yaml",
        "q2-restore/statefulset-store.yaml",
        "q2-restore/deployment-primary.yaml",
        "common/deployment-replica.yaml",
        "common/poddisruptionbudget-replica.yaml",
    ],
    config: &["common/postgresql.conf", "common/pg_hba.conf", "common/roles.sql"],
    scripts: &[
        "common/settings.sh",
        "common/replicas.sh",
        "common/common.sh",
        "q2-restore/primary.sh",
        "q2-restore/damage.sh",
        "q2-restore/restore.sh",
        "q2-restore/fetch-wal.sh",
        "common/first-start.sh",
        "common/restore-from-replica.sh",
        "q2-restore/ready-primary.sh",
        "q2-restore/ask-store.sh",
        "q2-restore/store.sh",
        "q2-restore/store.pl",
        "q2-restore/wal.sh",
        "q2-restore/receive.sh",
        "q2-restore/backup.sh",
        "q2-restore/ready-store.sh",
        "common/replica.sh",
        "common/tell.sh",
        "common/clone.sh",
        "common/follow.sh",
        "common/ready-replica.sh",
    ],
    containerfile: None,
    live: &["common/replicas.sh"],
    store: true,
    archive: false,
    readme: ["q2-restore/README.fr.md", "q2-restore/README.en.md"],
};
