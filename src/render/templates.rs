//! The templates, embedded in the binary.

/// Lists the templates; each is the file of that name under `templates/`.
macro_rules! templates {
    ($($name:literal)*) => {
        const TEMPLATES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))),*];
    };
}

templates! {
    "common/apply-roles.sh"
    "common/clone.sh"
    "common/common.sh"
    "common/configmap-config.yaml"
    "common/configmap-scripts.yaml"
    "common/container-security.yaml"
    "common/container-settings.yaml"
    "common/deployment-replica.yaml"
    "common/first-start.sh"
    "common/follow.sh"
    "common/namespace.yaml"
    "common/pg_hba.conf"
    "common/pod-settings.yaml"
    "common/pod.yaml"
    "common/poddisruptionbudget-replica.yaml"
    "common/postgresql.conf"
    "common/ready-replica.sh"
    "common/replica.sh"
    "common/restore-from-replica.sh"
    "common/roles.sql"
    "common/secret.yaml"
    "common/service-replicas.yaml"
    "common/service-ro.yaml"
    "common/service-rw.yaml"
    "common/settings.sh"
    "common/tell.sh"
    "common/volumes.yaml"
    "drill/pod.yaml"
    "q1/README.en.md"
    "q1/README.fr.md"
    "q1/primary.sh"
    "q1/ready-primary.sh"
    "q1/statefulset-primary.yaml"
    "q2-restore/README.en.md"
    "q2-restore/README.fr.md"
    "q2-restore/ask-store.sh"
    "q2-restore/backup.sh"
    "q2-restore/damage.sh"
    "q2-restore/deployment-primary.yaml"
    "q2-restore/fetch-wal.sh"
    "q2-restore/primary.sh"
    "q2-restore/ready-primary.sh"
    "q2-restore/ready-store.sh"
    "q2-restore/receive.sh"
    "q2-restore/restore.sh"
    "q2-restore/service-store.yaml"
    "q2-restore/statefulset-store.yaml"
    "q2-restore/store.pl"
    "q2-restore/store.sh"
    "q2/Containerfile"
    "q2/README.en.md"
    "q2/README.fr.md"
    "q2/first_start.py"
    "q2/handover.py"
    "q2/member.sh"
    "q2/parameters.yaml"
    "q2/patroni.yaml"
    "q2/pgk.py"
    "q2/pod-identity.yaml"
    "q2/poddisruptionbudget.yaml"
    "q2/post-init.sh"
    "q2/role.yaml"
    "q2/rolebinding.yaml"
    "q2/service-config.yaml"
    "q2/service-rw.yaml"
    "q2/service-state.yaml"
    "q2/service-sync.yaml"
    "q2/serviceaccount.yaml"
    "q2/settings.yaml"
    "q2/statefulset.yaml"
    "q2/tend.py"
    "q2/watcher.py"
}

/// The text of the template `name`, a path below `templates/`.
pub(super) fn source(name: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
