"""run_patroni.py: when a refused attempt to take the lease is tried once more."""

import importlib
import io
import sys
import types
import unittest
from unittest import main, mock


class RunPatroni(unittest.TestCase):
    """Patroni is a class that takes the lease only with the version that is current."""

    def setUp(self):
        self.lease = types.SimpleNamespace(metadata=types.SimpleNamespace(annotations={"leader": "db-0"}, resource_version="8"))
        self.after_read = lambda: None
        self.asked = 0

        class Kubernetes:
            leader_path, _namespace, _name = "db-leader", "test", "db-0"
            _leader_resource_version, _leader_observed_record = "7", {}

            def attempt_to_acquire_leader(patroni):
                return patroni._leader_resource_version == self.lease.metadata.resource_version

        def read(path, namespace):
            self.asked += 1
            if self.lease is None:
                raise OSError("the API does not answer")
            seen = types.SimpleNamespace(metadata=types.SimpleNamespace(**vars(self.lease.metadata)))
            self.after_read()
            return seen

        self.cached = {}
        modules = {
            "patroni": types.ModuleType("patroni"),
            "patroni.dcs": types.ModuleType("patroni.dcs"),
            "patroni.__main__": types.SimpleNamespace(main=None),
            "patroni.dcs.kubernetes": types.SimpleNamespace(Kubernetes=Kubernetes),
        }
        with mock.patch.dict(sys.modules, modules):
            sys.modules.pop("run_patroni", None)
            self.program = importlib.import_module("run_patroni")
        self.program.correct(Kubernetes)
        self.patroni = Kubernetes()
        self.patroni._api = types.SimpleNamespace(read_namespaced_kind=read)
        self.patroni._kinds = types.SimpleNamespace(set=self.cached.__setitem__)

    def test_the_first_attempt_is_patronis_own(self):
        self.lease.metadata.resource_version = "7"
        self.assertTrue(self.patroni.attempt_to_acquire_leader())
        self.assertEqual(self.asked, 0)

    def test_its_own_renewal_that_came_late_is_no_loss(self):
        self.assertTrue(self.patroni.attempt_to_acquire_leader())
        self.assertEqual(self.cached["db-leader"].metadata.resource_version, "8")

    def test_a_lease_of_another_is_his(self):
        for leader in ({"leader": "db-1"}, {}):
            self.lease.metadata.annotations = leader
            self.assertFalse(self.patroni.attempt_to_acquire_leader())
        self.assertEqual(self.patroni._leader_resource_version, "7")

    def test_a_lease_that_changes_once_more_is_not_taken(self):
        def change():
            self.lease.metadata.resource_version = "9"

        self.after_read = change
        self.assertFalse(self.patroni.attempt_to_acquire_leader())

    def test_another_patroni_runs_as_it_is(self):
        class Other:
            pass

        with mock.patch("sys.stderr", io.StringIO()) as said:
            self.program.correct(Other)
        self.assertEqual(len(said.getvalue().splitlines()), 1)
        self.assertFalse(hasattr(Other, "attempt_to_acquire_leader"))

    def test_an_api_that_does_not_answer(self):
        def away(path, namespace):
            raise OSError("the API does not answer")

        self.patroni._api.read_namespaced_kind = away
        self.assertFalse(self.patroni.attempt_to_acquire_leader())


if __name__ == "__main__":
    main()
