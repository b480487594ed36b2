//! Q2: members that elect a new primary among them when the primary fails.

use super::Scenario;

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
    config: &["q2/patroni.yaml", "q2/parameters.yaml", "q2/settings.yaml", "common/roles.sql"],
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
    live_config: true,
    readme: ["q2/README.fr.md", "q2/README.en.md"],
};
