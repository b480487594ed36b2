"""handover.py: when a primary hands over, to whom, and for how long it waits."""

import json
import subprocess
import types
from unittest import main

from fakes import Clock, ProgramTest


class Handover(ProgramTest):
    """db-0's Patroni is this object."""

    def setUp(self):
        self.load("handover", "db-0")
        self.program.Api = lambda: self.api
        for ordinal in range(4):
            self.api.put(f"pods/db-{ordinal}")
        self.size(4)
        self.role = "primary"
        self.members = {"db-1": "replica", "db-2": "sync_standby", "db-3": "replica"}
        self.lags = {"db-1": 0, "db-2": 0, "db-3": 0}
        self.status = 200
        self.takes = 1  # seconds until this member is no longer the primary
        self.hangs = False  # the checkpoint
        self.after = {}  # what happens after so many seconds
        self.done = []

    def size(self, members):
        self.api.put("configmaps/db-config-files")["data"] = {"settings.yaml": json.dumps({"members": members})}

    def ends(self, *names):
        for name in names:
            self.api.objects[f"pods/{name}"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def hand_over(self):
        clock = Clock()
        began = clock.now
        asked = []

        def on_sleep():
            for when in [when for when in self.after if clock.now - began >= when]:
                self.after.pop(when)()

        def patroni(method, path, body=None, host="127.0.0.1", timeout=3):
            if path == "/patroni":
                if self.role is None:
                    raise OSError("Patroni does not answer")
                over = asked and clock.now - asked[-1] >= self.takes
                return 200, {"role": "replica" if over else self.role}
            if path == "/cluster":
                members = [{"name": "db-0", "role": "leader", "state": "running"}]
                return 200, {"members": members + [
                    {"name": name, "role": role, "state": "streaming", "lag": self.lags[name]} for name, role in self.members.items()]}
            self.assertEqual((method, path, body["leader"]), ("POST", "/switchover", "db-0"))
            if self.status == 200:
                asked.append(clock.now)
            self.done.append(body["candidate"])
            return self.status, "as Patroni says"

        def run(command, timeout, check):
            self.done.append(command[-1])
            if self.hangs:
                raise subprocess.TimeoutExpired(command, timeout)

        clock.on_sleep = on_sleep
        psql = types.SimpleNamespace(run=run, TimeoutExpired=subprocess.TimeoutExpired)
        self.program.patroni, self.program.time, self.program.log = patroni, clock, lambda message: None
        self.program.subprocess = psql
        self.program.main()
        return clock.now - began

    def test_a_primary_hands_over_after_a_checkpoint(self):
        self.assertAlmostEqual(self.hand_over(), 1, delta=0.2)
        self.assertEqual(self.done, ["CHECKPOINT", "db-2"])

    def test_it_ends_as_soon_as_another_is_the_primary(self):
        self.takes = 0
        self.assertEqual(self.hand_over(), 0)

    def test_a_replica_does_nothing(self):
        self.role = "replica"
        self.assertEqual((self.hand_over(), self.done), (0, []))

    def test_nothing_is_done_without_patroni(self):
        self.role = None
        self.assertEqual((self.hand_over(), self.done), (0, []))

    def test_a_checkpoint_that_takes_long_is_no_reason_not_to(self):
        self.hangs = True
        self.hand_over()
        self.assertEqual(self.done, ["CHECKPOINT", "db-2"])

    def test_a_refusal_is_not_the_end_for_half_a_minute(self):
        self.status = 412
        self.after = {5: lambda: setattr(self, "status", 200)}
        self.assertAlmostEqual(self.hand_over(), 6, delta=0.2)
        self.status = 503
        self.assertAlmostEqual(self.hand_over(), 31, delta=1)

    def test_it_is_not_waited_for_ever(self):
        self.takes = 1000
        self.assertAlmostEqual(self.hand_over(), 10, delta=0.2)

    def test_a_standby_that_ends_too_is_not_asked(self):
        for how in (lambda: self.ends("db-2", "db-3"), lambda: self.size(2), lambda: self.api.objects.pop("pods/db-2")):
            with self.subTest(how):
                self.setUp()
                how()
                self.after = {4: lambda: self.members.update({"db-1": "sync_standby", "db-2": "replica"})}
                self.assertAlmostEqual(self.hand_over(), 5, delta=0.2)
                self.assertEqual(self.done, ["CHECKPOINT", "db-1"])

    def test_where_nobody_stays_nobody_is_waited_for(self):
        for how in (lambda: self.ends("db-1", "db-2", "db-3"), lambda: self.size(1)):
            with self.subTest(how):
                self.setUp()
                how()
                self.assertEqual((self.hand_over(), self.done), (0, ["CHECKPOINT"]))

    def test_an_api_that_is_away_for_a_moment(self):
        self.api.away = True
        self.after = {3: lambda: setattr(self.api, "away", False)}
        self.assertAlmostEqual(self.hand_over(), 4, delta=0.2)
        self.assertEqual(self.done, ["CHECKPOINT", "db-2"])

    def test_without_a_synchronous_standby_whoever_has_the_most(self):
        config = json.loads((self.folder / "config/patroni.yaml").read_text())
        config["bootstrap"]["dcs"]["synchronous_mode"] = False
        (self.folder / "config/patroni.yaml").write_text(json.dumps(config))
        self.members = dict.fromkeys(self.members, "replica")
        self.lags = {"db-1": 900, "db-2": "unknown", "db-3": 100}
        self.hand_over()
        self.assertEqual(self.done, ["CHECKPOINT", "db-3"])


if __name__ == "__main__":
    main()
