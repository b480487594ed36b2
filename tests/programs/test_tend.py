"""tend.py: what it carries over to the cluster, and the order of its restarts."""

import json
import types
from unittest import main

from fakes import PATRONI, ProgramTest


class Tend(ProgramTest):
    """Its Patroni is this object."""

    def setUp(self):
        self.load("tend", "db-0")
        self.program.patroni = self.patroni
        rendered = {"patroni.yaml": json.dumps(PATRONI), "parameters.yaml": json.dumps({"work_mem": "8MB"})}
        self.api.put("configmaps/db-config-files")["data"] = rendered
        self.config = {"ttl": 20, "synchronous_mode": True, "postgresql": {"parameters": {"wal_sender_timeout": "5s", "work_mem": "8MB"}}}
        self.status = 200
        self.puts = []
        self.members = [{"name": f"db-{n}", "host": f"10.0.0.{n}", "role": "replica", "state": "streaming"} for n in range(3)]
        self.members[0].update(role="leader", state="running")
        self.restarts = []
        self.after_restart = {}  # name: how many restarts it still needs
        self.forgetful = set()  # who says nothing of that until it reloads
        self.reloads = []
        self.alive = True
        self.liveness = 200
        self.own_role = "replica"

    def patroni(self, method, path, body=None, host="127.0.0.1", timeout=3):
        if not self.alive:
            raise OSError("Patroni does not answer")
        if path == "/config" and method == "PUT":
            self.puts.append(body)
            self.config = json.loads(json.dumps(body))
            return 200, body
        if path == "/config":
            return self.status, json.loads(json.dumps(self.config))
        if path == "/cluster":
            return 200, {"members": json.loads(json.dumps(self.members))}
        if path == "/restart":
            self.assertEqual(body, {"restart_pending": True})
            member = next(one for one in self.members if one["host"] == host)
            self.restarts.append(member["name"])
            left = self.after_restart.get(member["name"], 1) - 1
            self.after_restart[member["name"]] = left
            if left <= 0 or member["name"] in self.forgetful:
                member.pop("pending_restart", None)
            return 200, "restarted"
        if path == "/reload":
            member = next(one for one in self.members if one["host"] == host)
            self.reloads.append(member["name"])
            if self.after_restart[member["name"]] > 0:
                member["pending_restart"] = True
            return 202, "reload scheduled"
        if path == "/patroni":
            return 200, {"role": self.own_role}
        self.assertEqual(path, "/liveness")
        return self.liveness, ""

    def need_restarts(self, **times):
        for member in self.members:
            if member["name"].replace("-", "_") in times:
                member["pending_restart"] = True
                self.after_restart[member["name"]] = times[member["name"].replace("-", "_")]

    def look(self, times=1):
        for _ in range(times):
            self.program.restart_where_needed()
            self.clock.sleep(2)

    def test_nothing_is_written_when_nothing_differs(self):
        self.program.carry_over_parameters()
        self.assertEqual(self.puts, [])

    def test_a_change_is_carried_over_once(self):
        self.config["postgresql"]["parameters"]["work_mem"] = "4MB"
        self.config["ttl"] = 30
        self.program.carry_over_parameters()
        self.program.carry_over_parameters()
        self.assertEqual(self.puts, [{"ttl": 20, "synchronous_mode": True, "postgresql": {"parameters": {"wal_sender_timeout": "5s", "work_mem": "8MB"}}}])

    def test_the_newest_configuration_is_the_apis(self):
        self.api.objects["configmaps/db-config-files"]["data"]["parameters.yaml"] = json.dumps({"work_mem": "16MB"})
        self.program.carry_over_parameters()
        self.assertEqual(self.puts[0]["postgresql"]["parameters"]["work_mem"], "16MB")

    def test_pause_is_kept(self):
        self.config["pause"] = True
        self.program.carry_over_parameters()
        self.assertEqual(self.puts, [])
        self.config["ttl"] = 30
        self.program.carry_over_parameters()
        self.assertEqual([put.get("pause") for put in self.puts], [True])

    def test_nothing_is_written_while_patroni_cannot_say_what_it_has(self):
        self.config, self.status = {}, 502
        self.program.carry_over_parameters()
        self.assertEqual(self.puts, [])

    def test_no_restart_without_need(self):
        self.look(3)
        self.assertEqual(self.restarts, [])

    def test_the_primary_restarts_after_the_replicas_and_one_at_a_time(self):
        self.need_restarts(db_0=1, db_1=1, db_2=1)
        self.look()
        self.assertEqual(len(self.restarts), 1)
        self.look(4)
        self.assertEqual(self.restarts, ["db-1", "db-2", "db-0"])

    def test_the_primary_restarts_after_the_replicas_whoever_it_is(self):
        self.members[0]["role"], self.members[2]["role"] = "replica", "leader"
        self.need_restarts(db_0=1, db_1=1, db_2=1)
        self.look(4)
        self.assertEqual(self.restarts, ["db-0", "db-1", "db-2"])

    def test_a_replica_that_needs_it_twice_does_not_hold_up_the_primary(self):
        self.need_restarts(db_0=1, db_1=2, db_2=2)
        self.look(6)
        self.assertEqual(self.restarts, ["db-1", "db-2", "db-0", "db-1", "db-2"])

    def test_a_restart_that_patroni_forgot_is_made_up_for(self):
        self.need_restarts(db_0=1, db_1=2, db_2=2)
        self.forgetful = {"db-1"}
        self.look(12)
        self.assertEqual(self.restarts, ["db-1", "db-2", "db-0", "db-2", "db-1"])
        self.assertEqual(self.reloads, ["db-0", "db-1", "db-2", "db-1"], "no more than once for a restart")

    def test_no_restart_while_a_member_is_away(self):
        self.need_restarts(db_1=1)
        for state in "starting", "stopped", "in archive recovery", "creating replica":
            self.members[2]["state"] = state
            self.look()
        self.assertEqual(self.restarts, [])

    def test_the_primary_is_the_last_one_at_the_next_change_too(self):
        self.need_restarts(db_0=1, db_1=2, db_2=2)
        self.look(6)
        self.restarts.clear()
        self.need_restarts(db_0=1, db_1=1, db_2=1)
        self.look(4)
        self.assertEqual(self.restarts[-1], "db-0")

    def test_a_restart_that_is_still_waited_for_is_not_forgotten(self):
        self.need_restarts(db_0=1, db_1=2)
        self.look()
        self.assertEqual(list(self.program.restarted), ["db-1"])
        self.look()
        self.assertEqual(self.restarts, ["db-1", "db-0"])

    def test_a_hanging_patroni_is_ended_after_a_minute_and_not_before(self):
        killed = []
        self.program.os = type("os", (), {"kill": staticmethod(lambda *what: killed.append(what))})
        heard = self.program.end_a_hanging_patroni(77, 0)
        self.assertEqual(heard, self.clock.now)
        self.alive = False
        self.clock.now += 59
        self.assertEqual(self.program.end_a_hanging_patroni(77, heard), heard)
        self.assertEqual(killed, [])
        self.clock.now += 2
        self.program.end_a_hanging_patroni(77, heard)
        self.assertEqual(killed, [(77, self.program.signal.SIGKILL)])

    def test_a_patroni_that_says_that_it_hangs_is_ended_too(self):
        killed = []
        self.program.os = types.SimpleNamespace(kill=lambda *what: killed.append(what))
        heard, self.liveness = self.clock.now, 503
        self.clock.now += 59
        self.assertEqual(self.program.end_a_hanging_patroni(77, heard), heard)
        self.clock.now += 2
        self.assertEqual(self.program.end_a_hanging_patroni(77, heard), self.clock.now, "the next one is given time")
        self.assertEqual(killed, [(77, self.program.signal.SIGKILL)])

    def test_a_database_in_the_making_is_nobodys_data(self):
        self.api.put("pods/db-0")
        self.assertFalse(self.program.note_data())
        (self.folder / "volume/data/global").mkdir(parents=True)
        (self.folder / "volume/data/global/pg_control").touch()
        (self.folder / "volume/first-start").touch()
        self.assertFalse(self.program.note_data())
        self.assertEqual(self.api.calls, [])
        (self.folder / "volume/first-start").unlink()
        self.assertTrue(self.program.note_data())
        self.assertEqual(self.api.annotations("pods/db-0"), {"pgk/volume": "data"})

    def test_a_human_is_called_only_if_nobody_holds_the_data(self):
        said = []
        self.program.say = lambda subject, message: said.append(bool(message))
        (self.folder / "volume/data").mkdir()
        self.api.put(self.config_path, annotations={"initialize": "7000000000000000001"})
        for ordinal in range(3):
            self.api.put(f"pods/db-{ordinal}", annotations={"pgk/volume": "empty"})
        self.members[0]["role"] = "replica"
        self.program.say_what_is_missing()
        self.members[1]["role"] = "leader"
        self.program.say_what_is_missing()
        self.members[1]["role"] = "replica"
        self.api.objects["pods/db-2"]["metadata"]["annotations"]["pgk/volume"] = "data"
        self.program.say_what_is_missing()
        self.assertEqual(said, [True, False, False])

    def test_whoever_shares_the_primarys_node_comes_second_as_the_synchronous_standby(self):
        (self.folder / "patroni.yaml").write_text(json.dumps(PATRONI))
        signals = []
        self.program.os = types.SimpleNamespace(**vars(self.program.os))
        self.program.os.kill = lambda pid, signal: signals.append(pid)
        for ordinal, node in enumerate("aba"):
            role = "primary" if ordinal == 2 else "replica"
            self.api.put(f"pods/db-{ordinal}", labels={"role": role})["spec"] = {"nodeName": node}
        self.run_it(3)
        self.assertEqual(self.patroni_yaml()["tags"], {"sync_priority": 1})
        self.assertEqual(signals, [77])
        self.run_it(20)
        self.assertEqual(signals, [77, 77], "written anew by a new run, and then left as it is")

    def test_who_is_apart_from_the_primary(self):
        apart = self.program.apart_from_the_primary
        self.assertTrue(apart(), "nothing is known")
        self.api.put("pods/db-0", labels={"role": "primary"})["spec"] = {"nodeName": "a"}
        self.assertTrue(apart(), "the primary itself")
        self.api.objects["pods/db-0"]["metadata"]["labels"] = {}
        self.api.put("pods/db-1", labels={"role": "replica"})["spec"] = {"nodeName": "a"}
        self.assertTrue(apart(), "another replica")
        self.api.put("pods/db-2", labels={"role": "primary"})["spec"] = {"nodeName": "a"}
        self.assertFalse(apart())
        self.api.objects["pods/db-2"]["spec"] = {}
        self.assertTrue(apart(), "not on any node yet")

    def run_it(self, looks):
        """What it does beside Patroni, for so many looks. Returns the threads that it has started."""
        class End(BaseException):
            pass

        left, started, self.led, self.roles = looks, [], [], []

        def on_sleep():
            nonlocal left
            left -= 1
            if left < 0:
                raise End

        self.clock.on_sleep = on_sleep
        self.program.apply_roles = lambda: self.roles.append(self.clock.now) or True
        self.program.lead = lambda api, config: self.led.append((api, config))
        self.program.threading = types.SimpleNamespace(
            Thread=lambda target, daemon: types.SimpleNamespace(start=lambda: started.append((target, daemon))))
        with self.assertRaises(End):
            self.program.main(77)
        return started

    def test_a_primary_makes_sure_that_the_service_leads_here(self):
        self.own_role = "primary"
        self.run_it(3)
        self.assertEqual(self.led, [(self.api, self.program.config)] * 3)
        self.assertEqual(len(self.roles), 1)

    def test_a_database_that_patroni_is_still_making_is_left_alone(self):
        self.own_role = "primary"
        (self.folder / "volume/first-start").touch()
        self.run_it(3)
        self.assertEqual((self.led, self.roles, self.puts), ([], [], []))

    def test_a_replica_does_not(self):
        self.run_it(3)
        self.assertEqual(self.led, [])

    def test_it_follows_the_lease(self):
        self.assertEqual(self.run_it(1), [(self.program.lead_when_elected, True)])


class TendByEndpoints(Tend):
    use_endpoints = True

    def test_it_follows_the_lease(self):
        self.assertEqual(self.run_it(1), [], "the lease is what the Service leads by")


class Elected(ProgramTest):
    """db-0 follows the lease; the streams are what the API tells of it."""

    def setUp(self):
        self.load("tend", "db-0")
        self.led = 0
        self.refusals = 0

    def follow(self, *streams):
        class End(BaseException):
            pass

        streams = list(streams)

        def watch(path):
            self.assertEqual(path, "configmaps?fieldSelector=metadata.name%3Ddb-leader")
            if not streams:
                raise End
            for change in streams.pop(0):
                if isinstance(change, Exception):
                    raise change
                yield change

        def lead(api, config):
            self.assertIs(config, self.program.config)
            self.led += 1
            if self.refusals:
                self.refusals -= 1
                raise self.pgk.ApiError(409, "not now")

        self.program.Api = lambda: types.SimpleNamespace(watch=watch)
        self.program.lead = lead
        with self.assertRaises(End):
            self.program.lead_when_elected()

    def lease(self, leader, change="MODIFIED"):
        held = {"leader": leader} if leader else {}
        return change, {"metadata": {"name": "db-leader", "annotations": {**held, "renewTime": "1"}}}

    listed = "LISTED", None

    def test_it_leads_once_when_it_gets_the_lease(self):
        self.follow([self.lease("db-1", "ADDED"), self.listed] + [self.lease("db-0")] * 5)
        self.assertEqual(self.led, 1)

    def test_it_leads_when_the_lease_is_made(self):
        self.follow([self.listed, self.lease("db-0", "ADDED"), self.lease("db-0")])
        self.assertEqual(self.led, 1)

    def test_it_leads_again_when_it_gets_it_again(self):
        for between in "db-1", None:
            with self.subTest(between):
                self.led = 0
                self.follow([self.listed, self.lease("db-0"), self.lease(between), self.lease("db-0"), self.lease("db-0")])
                self.assertEqual(self.led, 2)

    def test_it_does_not_lead_with_anothers_lease(self):
        self.follow([self.lease(None, "ADDED"), self.listed, self.lease("db-1"), self.lease(None), self.lease("db-00")])
        self.assertEqual(self.led, 0)

    def test_it_leads_if_it_had_the_lease_before(self):
        self.follow([self.lease("db-0", "ADDED"), self.listed])
        self.assertEqual(self.led, 1)

    def test_it_leads_once_if_it_had_the_lease_before(self):
        self.follow([self.lease("db-0", "ADDED"), self.listed, self.lease("db-0"), self.lease("db-0")])
        self.assertEqual(self.led, 1)

    def test_a_watch_that_fails_is_begun_again(self):
        for error in OSError("cut off"), ValueError(), TypeError(), KeyError("leader"):
            with self.subTest(error):
                self.led = 0
                began = self.clock.now
                self.follow([error], [self.listed, self.lease("db-0")])
                self.assertEqual((self.led, self.clock.now - began), (1, 1))

    def test_a_watch_that_ends_is_begun_again_at_once(self):
        began = self.clock.now
        self.follow([self.lease("db-1", "ADDED"), self.listed], [self.lease("db-0", "ADDED"), self.listed])
        self.assertEqual((self.led, self.clock.now), (1, began))

    def test_what_was_refused_is_tried_again(self):
        self.refusals = 1
        self.follow([self.listed, self.lease("db-0")], [self.lease("db-0", "ADDED"), self.listed])
        self.assertEqual(self.led, 2)


if __name__ == "__main__":
    main()
