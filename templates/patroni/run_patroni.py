"""Runs Patroni, with one correction for an API server that hung and goes on.

Patroni's attempts to renew the lease wait in that server's queue; when it goes on, one of them gets
through, and the attempt under way is refused, for the lease has changed. Patroni 4.1 then takes the
lease for lost and restarts PostgreSQL, though the one who has changed it is this very member. So
look who holds it, and if it is this member, try once more from the version just seen: as ever, the
API refuses that if anybody has changed the lease in between."""

import sys

from patroni.__main__ import main
from patroni.dcs.kubernetes import Kubernetes

def correct(kubernetes: type) -> None:
    """Replaces the method of this class of Patroni's."""
    acquire = getattr(kubernetes, "attempt_to_acquire_leader", None)
    if acquire is None:
        print("pgk: another Patroni, without attempt_to_acquire_leader: it runs as it is",
              file=sys.stderr, flush=True)
        return

    def attempt_to_acquire_leader(patroni) -> bool:
        if acquire(patroni):
            return True
        try:
            lease = patroni._api.read_namespaced_kind(patroni.leader_path, patroni._namespace)
            if lease.metadata.annotations.get("leader") != patroni._name:
                return False
            patroni._kinds.set(patroni.leader_path, lease)
            patroni._leader_observed_record = lease.metadata.annotations
            patroni._leader_resource_version = lease.metadata.resource_version
        except Exception as error:  # then it is as Patroni would have it
            print("pgk: cannot see who holds the lease:", repr(error), file=sys.stderr, flush=True)
            return False
        return acquire(patroni)

    kubernetes.attempt_to_acquire_leader = attempt_to_acquire_leader

if __name__ == "__main__":
    correct(Kubernetes)
    sys.exit(main())
