//! Q1: one primary, several replicas that stream from it, a Service for each.

use super::Scenario;

/// Q1: replicas heal; the primary comes back with its data; no failover.
pub static Q1: Scenario = Scenario {
    id: "q1",
    manifests: &[
        "common/configmap-config.yaml",
        "common/configmap-scripts.yaml",
        "common/service-rw.yaml",
        "common/service-ro.yaml",
        "common/service-replicas.yaml",
        "q1/statefulset-primary.yaml",
        "common/deployment-replica.yaml",
        "common/poddisruptionbudget-replica.yaml",
    ],
    config: &["common/postgresql.conf", "common/pg_hba.conf", "common/roles.sql"],
    scripts: &[
        "common/settings.sh",
        "common/replicas.sh",
        "common/common.sh",
        "q1/primary.sh",
        "common/first-start.sh",
        "common/restore-from-replica.sh",
        "q1/ready-primary.sh",
        "common/replica.sh",
        "common/tell.sh",
        "common/clone.sh",
        "common/follow.sh",
        "common/ready-replica.sh",
    ],
    containerfile: None,
    live: &["common/replicas.sh"],
    store: false,
    archive: false,
    readme: ["q1/README.fr.md", "q1/README.en.md"],
};
