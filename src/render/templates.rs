//! The templates, embedded in the binary.

/// Lists the templates, sorted; each is the file of that name under `templates/`.
macro_rules! templates {
    ($($name:literal)*) => {
        /// The name of each, a path below `templates/`, and its text.
        pub(super) const ALL: &[(&str, &str)] =
            &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))),*];
    };
}

templates! {
    "common/Kustomization"
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
    "common/replicas.sh"
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
    "q2-restore/wal.sh"
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
    "q2/run_patroni.py"
    "q2/service-config.yaml"
    "q2/service-rw.yaml"
    "q2/service-state.yaml"
    "q2/service-sync.yaml"
    "q2/serviceaccount.yaml"
    "q2/settings.yaml"
    "q2/statefulset.yaml"
    "q2/tend.py"
    "q2/watcher.py"
    "q3/README.en.md"
    "q3/README.fr.md"
    "q3/backrest-account.yaml"
    "q3/backrest-env.yaml"
    "q3/backrest-mounts.yaml"
    "q3/backrest-resources.yaml"
    "q3/backrest-volumes.yaml"
    "q3/backrest.py"
    "q3/clone.py"
    "q3/cronjob-backup-diff.yaml"
    "q3/cronjob-backup-full.yaml"
    "q3/cronjob-backup-incr.yaml"
    "q3/cronjob-backup.yaml"
    "q3/cronjob-restore-test.yaml"
    "q3/fetch-wal-strict.sh"
    "q3/fetch-wal.sh"
    "q3/known-hosts.txt"
    "q3/pgbackrest-options.conf"
    "q3/pgbackrest-push.sh"
    "q3/pgbackrest-repo.conf"
    "q3/pgbackrest-repositories.conf"
    "q3/pgbackrest.conf"
    "q3/repo.sh"
    "q3/repositories.sh"
    "q3/repository-container.yaml"
    "q3/repository-volumes.yaml"
    "q3/repository.py"
    "q3/restore_test.py"
    "q3/s3-ca.crt"
    "q3/secret-backrest-tls.yaml"
    "q3/secret-backrest.yaml"
    "q3/service-members.yaml"
    "q3/service-repo.yaml"
    "q3/start.py"
    "q3/statefulset-repo.yaml"
    "q3/tend_archive.py"
}

/// Where the template `name`, a path below `templates/`, is in [`ALL`].
pub(super) fn position(name: &str) -> Option<usize> {
    ALL.binary_search_by_key(&name, |(known, _)| known).ok()
}

/// The text of the template `name`.
pub(super) fn source(name: &str) -> Option<&'static str> {
    ALL.get(position(name)?).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_found() {
        assert!(ALL.is_sorted_by(|one, next| one.0 < next.0));
        assert_eq!(source("q2/tend.py"), Some(include_str!("../../templates/q2/tend.py")));
        assert_eq!(source("q2/tend"), None);
    }
}
