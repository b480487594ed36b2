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
        "q1/service-replicas.yaml",
        "q1/statefulset-primary.yaml",
        "q1/deployment-replica.yaml",
        "q1/poddisruptionbudget-replica.yaml",
    ],
    config: &["common/postgresql.conf", "common/pg_hba.conf", "common/roles.sql"],
    scripts: &[
        "common/settings.sh",
        "common/common.sh",
        "q1/primary.sh",
        "q1/first-start.sh",
        "q1/restore-from-replica.sh",
        "q1/ready-primary.sh",
        "q1/replica.sh",
        "q1/tell.sh",
        "q1/clone.sh",
        "q1/follow.sh",
        "q1/ready-replica.sh",
    ],
    containerfile: None,
    live_config: false,
    readme: ["q1/README.fr.md", "q1/README.en.md"],
};
