"""handover.py: when a primary hands over, and for how long it waits."""

import importlib
import subprocess
import sys
import types
from unittest import main, mock

from fakes import Clock, ProgramTest


class Handover(ProgramTest):
    """Its Patroni is this object; the program runs when it is imported."""

    def setUp(self):
        self.load("first_start", "db-0")
        self.role = "primary"
        self.status = 200
        self.takes = 1  # seconds until this member is no longer the primary
        self.done = []

    def hand_over(self):
        clock = Clock()
        began = clock.now
        asked = []

        def patroni(method, path, body=None, host="127.0.0.1", timeout=3):
            if path == "/patroni":
                if self.role is None:
                    raise OSError("Patroni does not answer")
                over = asked and self.status == 200 and clock.now - began >= self.takes
                return 200, {"role": "replica" if over else self.role}
            asked.append(began)
            self.done.append((method, path, body))
            return self.status, "as Patroni says"

        def run(command, timeout, check):
            self.done.append(command[-1])
            if self.takes is None:
                raise subprocess.TimeoutExpired(command, timeout)

        psql = types.SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
        # What the program has from pgk, the clock among it.
        self.pgk.patroni, self.pgk.time, self.pgk.log = patroni, clock, lambda message: None
        with mock.patch.dict(sys.modules, {"subprocess": psql}):
            sys.modules.pop("handover", None)
            importlib.import_module("handover")
        return clock.now - began

    switchover = "POST", "/switchover", {"leader": "db-0"}

    def test_a_primary_hands_over_after_a_checkpoint(self):
        self.assertAlmostEqual(self.hand_over(), 1, delta=0.2)
        self.assertEqual(self.done, ["CHECKPOINT", self.switchover])

    def test_it_ends_as_soon_as_another_is_the_primary(self):
        self.takes = 0
        self.assertEqual(self.hand_over(), 0)

    def test_a_replica_does_nothing(self):
        self.role = "replica"
        self.assertEqual((self.hand_over(), self.done), (0, []))

    def test_nothing_is_done_without_patroni(self):
        self.role = None
        self.assertEqual((self.hand_over(), self.done), (0, []))

    def test_a_handover_that_is_refused_is_not_waited_for(self):
        self.status = 412
        self.assertEqual(self.hand_over(), 0)
        self.assertEqual(self.done, ["CHECKPOINT", self.switchover])

    def test_it_is_not_waited_for_ever(self):
        self.takes = 1000
        self.assertAlmostEqual(self.hand_over(), 10, delta=0.2)

    def test_a_checkpoint_that_hangs_is_no_error(self):
        self.takes = None
        self.hand_over()
        self.assertEqual(self.done, ["CHECKPOINT"])


if __name__ == "__main__":
    main()
