"""tend.py: what it carries over to the cluster, and the order of its restarts."""

import json
import types
from pathlib import Path
from unittest import main, mock

from fakes import PATRONI, End, ProgramTest


class Tend(ProgramTest):
    """Its Patroni is this object."""

    def setUp(self):
        self.load("tend", "db-0")
        self.archive = self.program.NoArchive()
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
        self.own_role, self.own_state = "replica", "running"
        self.refused = {}  # value: why PostgreSQL refuses it
        self.trials = []
        self.program.what_refuses = self.what_refuses
        self.told = []
        self.program.Condition = lambda kind: types.SimpleNamespace(tell=lambda *what: self.told.append((kind, *what)))

    def what_refuses(self, parameters):
        self.trials.append(dict(parameters))
        return " ".join(self.refused[value] for value in parameters.values() if value in self.refused)

    def render(self, **parameters):
        self.api.objects["configmaps/db-config-files"]["data"]["parameters.yaml"] = json.dumps(parameters)

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
        self.assertEqual(path, "/patroni")
        return 200, {"role": self.own_role, "state": self.own_state, "replication_state": "streaming"}

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
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts, [])

    def test_a_change_is_carried_over_once(self):
        self.config["postgresql"]["parameters"]["work_mem"] = "4MB"
        self.config["ttl"] = 30
        self.program.carry_over_parameters(self.archive)
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts, [{"ttl": 20, "synchronous_mode": True, "postgresql": {"parameters": {"wal_sender_timeout": "5s", "work_mem": "8MB"}}}])

    def test_the_newest_configuration_is_the_apis(self):
        self.api.objects["configmaps/db-config-files"]["data"]["parameters.yaml"] = json.dumps({"work_mem": "16MB"})
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts[0]["postgresql"]["parameters"]["work_mem"], "16MB")

    def test_pause_is_kept(self):
        self.config["pause"] = True
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts, [])
        self.config["ttl"] = 30
        self.program.carry_over_parameters(self.archive)
        self.assertEqual([put.get("pause") for put in self.puts], [True])

    def test_nothing_is_written_while_patroni_cannot_say_what_it_has(self):
        self.config, self.status = {}, 502
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts, [])

    def test_what_is_carried_over_can_be_adjusted(self):
        seen = []
        self.archive.adjusted = lambda wanted, current: seen.append((wanted["ttl"], current["ttl"])) or wanted | {"ttl": 40}
        self.config["ttl"] = 30
        self.program.carry_over_parameters(self.archive)
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(seen, [(20, 30), (20, 40)])
        self.assertEqual([put["ttl"] for put in self.puts], [40])

    def test_what_postgresql_refuses_is_not_written_until_it_is_corrected(self):
        self.refused["8 kilobytes"] = "invalid value"
        self.render(work_mem="8 kilobytes", jit="off")
        for _ in range(3):
            self.assertEqual(self.program.carry_over_parameters(self.archive), "invalid value (changed: jit, work_mem)")
        self.assertEqual(self.puts, [])
        self.render(work_mem="9MB", jit="off")
        self.assertEqual(self.program.carry_over_parameters(self.archive), "")
        self.assertEqual([put["postgresql"]["parameters"] for put in self.puts], [{"wal_sender_timeout": "5s", "work_mem": "9MB", "jit": "off"}])

    def test_what_is_no_parameter_is_carried_over_all_the_same(self):
        self.refused["nope"] = "no such file"
        self.render(work_mem="8MB", shared_preload_libraries="nope")
        self.config["ttl"] = 30
        self.archive.adjusted = lambda wanted, current: wanted["postgresql"]["parameters"].update(wal_keep_size="1GB") or wanted
        self.program.carry_over_parameters(self.archive)
        self.assertEqual(self.puts, [{"ttl": 20, "synchronous_mode": True, "postgresql": {"parameters": {
            "wal_sender_timeout": "5s", "work_mem": "8MB", "wal_keep_size": "1GB"}}}])

    def test_the_same_parameters_are_tried_once_and_those_refused_again_after_a_while(self):
        for refused, trials in ({}, 1), ({"8MB": "no memory"}, 3):
            with self.subTest(refused):
                self.program.trial.tried, self.refused = None, refused
                self.trials.clear()
                for _ in range(70):
                    self.program.carry_over_parameters(self.archive)
                    self.clock.sleep(2)
                self.assertEqual(len(self.trials), trials)

    def test_a_trial_that_was_broken_off_is_no_answer(self):
        def fails(parameters):
            raise OSError("postgres -C: -9")

        self.program.what_refuses = fails
        self.render(work_mem="9MB")
        with self.assertRaises(OSError):
            self.program.carry_over_parameters(self.archive)
        self.program.what_refuses = self.what_refuses
        self.program.carry_over_parameters(self.archive)
        self.assertEqual((len(self.trials), len(self.puts)), (1, 1))

    def test_a_file_that_is_no_yaml_changes_nothing(self):
        for text in "work_mem: [", "- work_mem", "a: b: c":
            with self.subTest(text):
                self.api.objects["configmaps/db-config-files"]["data"]["parameters.yaml"] = text
                self.assertIn("parameters.yaml", self.program.carry_over_parameters(self.archive))
        self.assertEqual((self.puts, self.trials), ([], []))

    def test_a_restarted_member_that_does_not_come_up_is_named(self):
        self.need_restarts(db_0=1, db_1=1, db_2=1)
        self.look()
        self.members[1]["state"] = "start failed"
        down = []
        for _ in range(40):
            down.append(self.program.restart_where_needed())
            self.clock.sleep(2)
        self.assertEqual(self.restarts, ["db-1"], "the others keep on")
        self.assertEqual(down, [""] * 29 + ["db-1"] * 11)
        self.members[1]["state"] = "streaming"
        self.look(3)
        self.assertEqual(self.restarts, ["db-1", "db-2", "db-0"])

    def test_the_condition_says_what_holds(self):
        self.own_role, self.refused = "primary", {"nope": "could not access file"}
        self.run_it(2)
        self.render(work_mem="nope")
        self.run_it(2)
        self.render(work_mem="9MB")
        self.need_restarts(db_1=1)
        self.run_it(30)
        self.own_role = "replica"
        self.run_it(1)
        said = []
        for _, reason, *what in self.told:
            if not said or said[-1][0] != reason:
                said.append((reason, *what[:2]))
        self.assertEqual({kind for kind, *_ in self.told}, {"pgk/parameters"})
        self.assertEqual([reason for reason, *_ in said], ["Taken", "Refused", "Taken", None])
        self.assertEqual(said[1][2], False)
        self.assertIn("could not access file (changed: work_mem)", said[1][1])

    def test_the_condition_names_who_is_down(self):
        condition = self.program.Condition("pgk/parameters")
        for refused, down in ("", "db-1"), ("bad", "db-1"), ("", ""):
            self.program.tell_of_parameters(condition, refused, down)
        self.assertEqual([(reason, good) for _, reason, _, good, *_ in self.told[:2]], [("RestartFails", False), ("Refused", False)])
        self.assertIn("NOT UP AGAIN: db-1.", self.told[0][2])
        self.assertEqual(self.told[2][1], "Taken")

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
        self.archive.say_what_is_missing()
        self.members[1]["role"] = "leader"
        self.archive.say_what_is_missing()
        self.members[1]["role"] = "replica"
        self.api.objects["pods/db-2"]["metadata"]["annotations"]["pgk/volume"] = "data"
        self.archive.say_what_is_missing()
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

    def run_it(self, looks, lead=None):
        """What it does beside Patroni, for so many looks. Returns the threads that it has started."""
        left, started, self.led, self.roles = looks, [], [], []

        def on_sleep():
            nonlocal left
            left -= 1
            if left < 0:
                raise End

        self.clock.on_sleep = on_sleep
        self.program.apply_roles = lambda: self.roles.append(self.clock.now) or True
        self.program.lead = lead or self.led.append
        self.program.threading = types.SimpleNamespace(
            Thread=lambda target, daemon, args=(): types.SimpleNamespace(start=lambda: started.append((target, *args, daemon))))
        with self.assertRaises(End):
            self.program.main(77)
        return started

    def test_a_primary_makes_sure_that_the_service_leads_here(self):
        self.own_role = "primary"
        self.run_it(30)
        self.assertEqual(self.led, [self.api] * 10, "every 6 s")
        self.assertEqual(len(self.roles), 1)

    def asked(self, looks, lead=None):
        """How often Patroni is asked in so many looks."""
        asked, patroni = [], self.program.patroni

        def count(method, path, *arguments, **options):
            asked.append(path)
            return patroni(method, path, *arguments, **options)

        self.program.patroni = count
        try:
            self.run_it(looks, lead)
        finally:
            self.program.patroni = patroni
        return asked.count("/patroni")

    def test_patroni_is_asked_rarely_while_all_is_well(self):
        for self.own_role in "replica", "primary":
            with self.subTest(self.own_role):
                self.assertLessEqual(self.asked(30), 12)

    def test_patroni_is_asked_at_once_when_the_role_changes(self):
        signal, looks = self.folder / "volume/data/standby.signal", []
        signal.parent.mkdir(parents=True, exist_ok=True)
        signal.touch()
        rarely, self.program.RARELY = self.program.RARELY, 1000

        def promote(folder, mounted=self.program.mounted):
            looks.append(1)
            if len(looks) == 20:
                signal.unlink()
            return mounted(folder)

        self.program.mounted = promote
        self.assertEqual(self.asked(30), 2, "at first, and then once")
        self.program.RARELY = rarely

    def test_patroni_is_asked_each_time_while_something_is_not_as_it_should_be(self):
        self.own_role = "primary"
        with self.subTest("PostgreSQL refuses the parameters"):
            carry_over = self.program.carry_over_parameters
            self.program.carry_over_parameters = lambda archive: "refused"
            self.assertGreaterEqual(self.asked(30), 30)
            self.program.carry_over_parameters = carry_over
        with self.subTest("WAL waits for the archive"):
            self.program.NoArchive.waits = lambda self: True
            self.assertGreaterEqual(self.asked(30), 30)
            self.program.NoArchive.waits = lambda self: False
        with self.subTest("the Service cannot be led here"):
            lead = mock.Mock(side_effect=OSError("the Kubernetes API does not answer"))
            self.assertGreaterEqual(self.asked(30, lead), 30)
        with self.subTest("the configuration cannot be carried over"):
            self.program.carry_over_parameters = lead
            self.assertGreaterEqual(self.asked(30), 30)
            self.program.carry_over_parameters = carry_over
        self.own_role = "replica"
        with self.subTest("a replica does not stream"):
            patroni = self.program.patroni
            self.program.patroni = lambda *arguments, **options: (200, {"role": "replica", "state": "running"})
            self.program.Copy.look = lambda *_: None
            self.assertGreaterEqual(self.asked(30), 30)
            self.program.patroni = patroni

    def test_a_database_that_patroni_is_still_making_is_left_alone(self):
        self.own_role = "primary"
        (self.folder / "volume/first-start").touch()
        self.run_it(3)
        self.assertEqual((self.led, self.roles, self.puts), ([], [], []))

    def test_a_replica_does_not(self):
        self.run_it(3)
        self.assertEqual(self.led, [])

    def test_a_step_that_fails_holds_up_no_other(self):
        def refused(*_):
            raise self.pgk.ApiError(403, "forbidden")

        self.own_role, self.config["ttl"] = "primary", 30
        (self.folder / "volume/data/global").mkdir(parents=True)
        (self.folder / "volume/data/global/pg_control").touch()  # the pod, which is to say so, is missing
        self.program.apart_from_the_primary = refused
        self.run_it(3, lead=refused)
        self.assertEqual((len(self.roles), len(self.puts)), (1, 1))

    def test_nothing_is_done_without_patroni(self):
        self.own_role, self.alive = "primary", False
        self.run_it(3)
        self.assertEqual((self.led, self.roles, self.puts), ([], [], []))

    def signals(self, looks):
        """When Patroni was told to read its configuration anew, in seconds since the volume held data."""
        begun, signals = self.clock.now, []
        self.program.note_data = lambda: True
        self.program.os = types.SimpleNamespace(**vars(self.program.os))
        self.program.os.kill = lambda pid, signal: signals.append(self.clock.now - begun)
        self.run_it(looks)
        return signals

    def test_a_change_reaches_patroni_once(self):
        self.assertEqual(self.signals(5), [2])

    def test_what_is_mounted_anew_reaches_patroni(self):
        looks, mounted = [], self.program.mounted

        def look(folder):
            looks.append(1)
            if len(looks) in (8, 14):
                self.mount("config" if len(looks) == 8 else "credentials", "second")
            return mounted(folder)

        self.program.mounted = look
        self.assertEqual(self.signals(9), [2, 6, 14])

    def test_patroni_does_not_reload_while_postgresql_starts(self):
        self.own_state = "starting"
        self.assertEqual(self.signals(12), [])

    def test_a_postgresql_that_does_not_start_gets_the_new_configuration_all_the_same(self):
        self.own_state = "starting"
        self.assertEqual(self.signals(30), [self.program.RELOAD_LIMIT + 2])

    def test_so_does_one_whose_patroni_does_not_answer(self):
        self.alive = False
        self.assertEqual(len(self.signals(30)), 1)

    def test_it_follows_the_lease(self):
        follow, *what, changed, daemon = self.run_it(1)[0]
        self.assertEqual((follow, what, daemon), (self.program.follow, ["follow the lease", "configmaps?fieldSelector=metadata.name%3Ddb-leader"], True))
        self.assertIsInstance(changed.__self__, self.program.Elected)

    def test_it_watches_over_patroni(self):
        self.assertIn(("run", True), [(getattr(target, "__name__", ""), daemon) for target, *_, daemon in self.run_it(1)])


class Trial(ProgramTest):
    """What PostgreSQL is asked, and what is made of its answer. It is this object."""

    def setUp(self):
        self.load("tend", "db-0")
        data = self.folder / "volume/data"
        (data / "global").mkdir(parents=True)
        (data / "base").mkdir()
        for name in "global/pg_control", "PG_VERSION", "postgresql.base.conf", "postgresql.conf", "postmaster.pid", "server.crt":
            (data / name).write_text(name)
        self.status, self.shared, self.complaint = 0, 143, ""
        self.session = self.slots = ""
        self.program.memory = lambda: 1 << 30
        self.program.subprocess = types.SimpleNamespace(run=self.run_postgres)
        self.program.psql = self.psql
        self.sessions = []

    def run_postgres(self, words, **_):
        postgres, option, folder, *rest = words
        self.assertEqual((postgres, option, rest), ("postgres", "-D", ["-C", "shared_memory_size"]))
        self.files = {str(path.relative_to(folder)): path.read_text() for path in Path(folder).rglob("*") if path.is_file()}
        self.assertEqual(Path(folder).stat().st_mode & 0o777, 0o700)
        return types.SimpleNamespace(returncode=self.status, stdout=f"{self.shared}\n", stderr=self.complaint)

    def psql(self, query, *options, environment=None):
        if "pg_replication_slots" in query:
            return types.SimpleNamespace(returncode=0 if self.slots is not None else 2, stdout=self.slots, stderr="no answer")
        self.sessions.append(environment["PGOPTIONS"])
        return types.SimpleNamespace(returncode=2 if self.session else 0, stderr=self.session)

    def test_it_is_tried_on_a_folder_of_its_own(self):
        parameters = {"work_mem": "8MB", "archive_command": r"a\b 'c'", "ssl": True}
        self.assertEqual(self.program.what_refuses(parameters), "")
        self.assertEqual(self.files.pop("postgresql.conf").splitlines(), [
            "include_if_exists 'postgresql.base.conf'", "work_mem = '8MB'", r"archive_command = 'a\\b ''c'''", "ssl = 'True'"])
        self.assertEqual(sorted(self.files), ["PG_VERSION", "global/pg_control", "postgresql.base.conf", "server.crt"])

    def test_the_answer_is_in_postgresqls_words(self):
        self.status = 1
        self.complaint = """2026-11-28 14:44:57.724 GMT [32] LOG:  skipping missing configuration file "/tmp/x/postgresql.auto.conf"
2026-11-28 14:47:09.119 UTC [140] LOG:  invalid value for parameter "log_statement": "most"
2026-11-28 14:47:09.119 UTC [140] HINT:  Available values: none, ddl, mod, all.
2026-11-28 14:44:57.726 GMT [32] LOG:  unrecognized configuration parameter "no_such" in file "/tmp/x/postgresql.conf" line 8
2026-11-28 14:44:57.726 GMT [32] FATAL:  configuration file "/tmp/x/postgresql.conf" contains errors"""
        self.assertEqual(self.program.what_refuses({}), 'invalid value for parameter "log_statement": "most" Available values: none, ddl, mod, all.'
                         ' unrecognized configuration parameter "no_such"')
        self.complaint = 'postgres: "superuser_reserved_connections" (200) must be less'
        self.assertEqual(self.program.what_refuses({}), '"superuser_reserved_connections" (200) must be less')
        self.complaint = "something\nelse"
        self.assertEqual(self.program.what_refuses({}), "something else")

    def test_a_postgresql_that_was_killed_has_not_answered(self):
        for self.status in -9, 137, 2:
            with self.subTest(self.status), self.assertRaises(OSError):
                self.program.what_refuses({})

    def test_it_has_to_fit_into_the_memory(self):
        self.shared = 1023
        self.assertEqual(self.program.what_refuses({}), "")
        self.shared = 1024
        self.assertIn("1024 MB of memory", self.program.what_refuses({}))

    def test_logical_slots_keep_the_wal_level(self):
        self.slots = "cdc\nother\n"
        for level in {}, {"wal_level": "replica"}:
            self.assertIn("logical slots: cdc, other", self.program.what_refuses(level))
        self.assertEqual(self.program.what_refuses({"wal_level": "Logical"}), "")
        self.slots = None
        with self.assertRaises(OSError):
            self.program.what_refuses({})

    def test_a_library_of_every_session_is_tried_in_one(self):
        self.assertEqual(self.program.what_refuses({"session_preload_libraries": "auto_explain, nope"}), "")
        self.assertEqual(self.sessions, ["-c session_preload_libraries=auto_explain,\\ nope"])
        self.session = 'psql: error: connection to server on socket failed: FATAL:  could not access file "nope": No such file or directory'
        self.assertEqual(self.program.what_refuses({"session_preload_libraries": "nope"}),
                         'session_preload_libraries: could not access file "nope": No such file or directory')
        self.session = "psql: error: FATAL:  sorry, too many clients already"
        self.assertEqual(self.program.what_refuses({"local_preload_libraries": "nope"}), "")


class TendByEndpoints(Tend):
    use_endpoints = True

    def test_it_follows_the_lease(self):
        self.assertEqual(len(self.run_it(1)), 1, "the lease is what the Service leads by")


class Guard(ProgramTest):
    """db-0 holds the lease, its Patroni is 77."""

    def setUp(self):
        self.load("tend", "db-0")
        self.leads(leader="db-0")
        self.api.put(self.sync_path, annotations={"leader": "db-0", "sync_standby": "db-1"})
        self.api.put("pods/db-0", labels={"role": "primary"})
        self.killed = []
        self.program.os = types.SimpleNamespace(kill=lambda *what: self.killed.append(what))
        self.program.Api = lambda: self.api
        self.program.patroni = self.patroni
        self.liveness, self.disk, self.each = 200, True, 2
        self.guard = self.program.Guard(77)

    def patroni(self, method, path):
        self.assertEqual((method, path), ("GET", "/liveness"))
        if self.liveness is None:
            self.clock.now += 3
            raise OSError("Patroni does not answer")
        return self.liveness, ""

    def look(self, seconds):
        end = self.clock.now + seconds
        while self.clock.now < end:
            if self.disk:
                self.guard.written = self.clock.now
            self.guard.look()
            self.clock.sleep(self.each)

    def test_a_patroni_that_hangs_or_says_so_is_ended_after_a_minute(self):
        for self.liveness in None, 503:
            with self.subTest(self.liveness):
                self.setUp()
                self.look(12)
                self.liveness = None
                self.look(self.program.HANGS - self.program.ASK - 1)
                self.assertEqual(self.killed, [])
                self.look(self.program.ASK + 6)
                self.assertEqual(self.killed, [(77, self.program.signal.SIGKILL)])
                self.look(50)
                self.assertEqual(len(self.killed), 1, "the next one is given time")

    def test_a_patroni_that_lives_is_asked_rarely_and_one_that_hangs_at_every_look(self):
        asked = []
        for self.liveness, seconds in (200, 62), (503, 50):
            self.program.patroni = lambda *what: asked.append(what) or self.patroni(*what)
            self.look(seconds)
        self.assertEqual(len(asked), 6 + 21)

    def test_a_primary_whose_disk_hangs_loses_its_patroni(self):
        self.look(10)
        self.disk = False
        self.look(18)
        self.assertEqual(self.killed, [])
        self.look(4)
        self.assertEqual(self.killed, [(77, self.program.signal.SIGKILL)])
        self.assertEqual(self.api.objects["pods/db-0"]["metadata"]["labels"], {})

    def test_without_a_standby_to_take_over_it_does_not(self):
        self.api.put(self.sync_path, annotations={"leader": "db-0"})
        self.disk = False
        self.look(50)
        self.assertEqual(self.killed, [])

    def test_a_replica_whose_disk_hangs_does_not(self):
        for leader in {"leader": "db-1"}, {}:
            self.leads(**leader)
            self.disk = False
            self.look(50)
        self.assertEqual(self.killed, [])

    def test_nobody_is_ended_while_it_cannot_be_seen_who_leads(self):
        self.disk, self.api.away = False, True
        for _ in range(30):
            with self.subTest(self.clock.now):
                self.program.attempt("look", self.guard.look)
                self.clock.sleep(2)
        self.assertEqual(self.killed, [])

    def test_a_disk_that_is_slow_for_a_while_is_no_reason(self):
        for _ in range(5):
            self.disk = False
            self.look(15)
            self.disk = True
            self.look(2)
        self.assertEqual(self.killed, [])

    def test_a_pause_of_the_machine_does_not_count(self):
        self.look(10)
        for pause in 19, 59, 600:
            with self.subTest(pause):
                self.clock.now += pause
                self.liveness, self.disk = None, False
                self.look(8)
                self.liveness, self.disk = 200, True
                self.look(4)
        self.assertEqual(self.killed, [])

    def test_the_volume_is_written_to(self):
        def end():
            raise End

        import os
        self.program.os, self.clock.on_sleep = os, end
        for path, text in (self.folder / "lock", "\n"), (self.folder / "missing", None):
            self.program.LOCK, self.guard.written = str(path), 0
            if text:
                path.touch()
            with self.assertRaises(End):
                self.guard.write()
            self.assertGreater(self.guard.written, 0, "an error is an answer, too")
            self.assertEqual(path.read_text() if text else None, text)


class Copy(ProgramTest):
    """db-1 is a replica that does not stream from db-0."""

    def setUp(self):
        self.load("tend", "db-1")
        self.own = {"state": "running", "role": "replica"}
        self.cluster = {"members": [
            {"name": f"db-{n}", "host": f"10.0.0.{n}", "role": "replica" if n else "leader", "state": "running"} for n in range(3)]}
        self.other = "running"
        self.here = ["7", "0/5000028", "00000001", "RecoveryRetrieveRetryInterval"]
        self.primary = ["7", "1", "0/9000000", "postgres", "0000000000000006"]
        self.history = []
        self.asked, self.posted, self.said = [], [], []
        self.status = 200
        self.program.ask, self.program.patroni = self.ask, self.patroni
        self.program.log = self.said.append
        self.program.say = lambda subject, message: message and self.said.append(message)
        self.archive = self.program.NoArchive()
        self.copy = self.program.Copy(self.archive)

    def ask(self, connection, *commands):
        if connection == "dbname=postgres":
            return self.here
        self.assertIn("host=10.0.0.0 ", connection)
        self.asked.append(commands[0])
        if self.primary is None:
            raise OSError("connection refused")
        return self.history if commands[0].startswith("TIMELINE") else self.primary

    def patroni(self, method, path, body=None, host="127.0.0.1", timeout=3):
        if method == "POST":
            self.posted.append((path, body, host))
            return self.status, "reinitialize started"
        if path == "/cluster":
            return 200, json.loads(json.dumps(self.cluster))
        if host == "10.0.0.2" and self.other is None:
            raise OSError("no route")
        return 200, self.own if host == "127.0.0.1" else {"state": self.other if host == "10.0.0.2" else "running"}

    def look(self, seconds=60):
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.copy.look(self.own)
            self.clock.sleep(2)

    def assert_kept(self, *words, seconds=120):
        self.look(seconds)
        self.assertEqual(self.posted, [])
        for word in words:
            self.assertIn(word, " ".join(self.said))

    def test_wal_that_is_gone_costs_the_copy_once(self):
        self.look(40)
        self.assertEqual(self.posted, [])
        self.look(2)
        self.assertEqual(self.posted, [("/reinitialize", None, "127.0.0.1")])
        self.assertIn("fell behind: this copy ends at 0/5000028, and the primary no longer has the WAL", self.said[-2])
        self.own["state"] = "creating replica"
        self.look(600)
        self.assertEqual(len(self.posted), 1)

    def test_who_streams_is_left_alone(self):
        self.own["replication_state"] = "streaming"
        self.assert_kept()
        self.assertEqual(self.asked, [])

    def test_a_receiver_that_is_refused_again_and_again_does_not_stream(self):
        for _ in range(8):
            self.look(6)
            self.own["replication_state"] = "streaming"
            self.look(2)
            del self.own["replication_state"]
        self.assertEqual(len(self.posted), 1)

    def test_who_does_not_run_is_left_alone(self):
        for self.own["state"] in "starting", "stopped", "creating replica":
            self.assert_kept()
        self.assertEqual(self.asked, [])

    def test_a_replay_that_goes_on_is_left_alone(self):
        for n in range(60):
            self.here[1] = f"0/{n + 1:X}000028"
            self.look(10)
        self.assertEqual((self.posted, self.asked), ([], []))

    def test_a_replay_that_does_not_wait_for_wal_is_left_alone(self):
        for self.here[3] in "RecoveryPause", "RecoveryConflictSnapshot", "DataFileRead", "":
            self.assert_kept()
        self.assertEqual(self.asked, [])

    def test_the_primary_has_what_comes_next(self):
        self.primary[4] = "0000000000000005"
        self.assert_kept("receives no WAL, though the primary has what comes next")

    def test_another_system_is_for_a_human(self):
        self.primary[0] = "8"
        self.assert_kept("WAITING FOR A HUMAN", "kubectl delete pvc data-db-1")

    def test_what_the_primary_lacks_is_kept(self):
        self.primary[2] = "0/5000027"
        self.assert_kept("WAL that the primary does not have")

    def test_a_former_timeline(self):
        self.primary[1] = "3"
        for history, kept in (
            (["00000003.history", "1\t0/5000028\tno recovery target", "", "2\t0/6000000\tx"], False),
            (["00000003.history", "1\t0/5000027\tno recovery target", "", "2\t0/6000000\tx"], True),
            (["00000003.history", "2\t0/6000000\tno recovery target"], True),
        ):
            with self.subTest(history):
                self.posted.clear()
                self.history = history
                self.look(44)
                self.assertEqual(not self.posted, kept)
                self.assertEqual(self.asked[-1], "TIMELINE_HISTORY 3")

    def test_a_later_timeline_than_the_primarys(self):
        self.here[2], self.primary[1] = "00000002", "1"
        self.assert_kept("WAL that the primary does not have")

    def test_nothing_is_given_up_without_a_primary_that_says_so(self):
        self.cluster["members"][0]["role"] = "replica"
        self.assert_kept()
        self.setUp()
        self.primary[4] = ""  # it is in recovery
        self.assert_kept()
        self.setUp()
        self.primary = None
        with self.assertRaises(OSError):
            self.look()
        self.assertEqual(self.posted, [])

    def test_nothing_is_given_up_by_a_synchronous_standby_or_in_a_pause(self):
        self.cluster["members"][1]["role"] = "sync_standby"
        self.assert_kept()
        self.setUp()
        self.cluster["pause"] = True
        self.assert_kept()

    def test_the_archive_may_have_it(self):
        segments = []
        self.archive.gone_for_good = segments.append
        self.here[1] = "A/FF000028"
        self.primary[2], self.primary[4] = "C/0", "0000000B00000000"
        self.assert_kept()
        self.assertEqual(set(segments), {"000000010000000A000000FF"})

    def test_one_member_after_the_other(self):
        self.other = "creating replica"
        self.assert_kept("waiting until db-2 is cloned")
        self.other = None
        self.look(10)
        self.assertEqual(len(self.posted), 1, "who does not answer is not cloning")

    def test_a_clone_that_fell_behind_says_what_to_do(self):
        self.look(44)
        self.assertFalse([line for line in self.said if "max_slot_wal_keep_size" in line])
        self.look(44)
        self.assertEqual(len([line for line in self.said if "max_slot_wal_keep_size" in line]), 1)
        self.setUp()
        self.look(44)
        self.own["replication_state"] = "streaming"
        self.look(4)
        del self.own["replication_state"]
        self.look(44)
        self.assertEqual(len(self.posted), 2)
        self.assertFalse([line for line in self.said if "max_slot_wal_keep_size" in line])

    def test_a_refusal_is_said_and_asked_again(self):
        self.status = 503
        self.look(90)
        self.assertEqual(len(self.posted), 2)

    def test_what_was_kept_aside_is_dropped_once_it_streams(self):
        aside = self.folder / "volume/data.incomplete"
        aside.mkdir()
        self.look(4)
        self.assertTrue(aside.exists())
        self.own["replication_state"] = "streaming"
        self.look(4)
        self.assertFalse(aside.exists())

    def test_what_postgresql_answers_a_value_a_line(self):
        import importlib
        import sys
        sys.modules.pop("tend")
        tend = importlib.import_module("tend")
        ran = []

        def run(words, env, **_):
            ran.append((words[-4:], env["PGPASSWORD"]))
            return types.SimpleNamespace(returncode=0, stdout="7\n1\n\n", stderr="")

        self.pgk.subprocess = types.SimpleNamespace(run=run)
        self.assertEqual(tend.ask("host=a", "IDENTIFY_SYSTEM", "SELECT 1"), ["7", "1", ""])
        self.assertEqual(ran, [(["-c", "IDENTIFY_SYSTEM", "-c", "SELECT 1"], "secret-2")])


class Elected(ProgramTest):
    """db-0 follows the lease; the streams are what the API tells of it."""

    def setUp(self):
        self.load("tend", "db-0")
        self.led = 0
        self.refusals = 0

    def follow(self, *streams):
        streams = list(streams)

        def watch(path):
            self.assertEqual(path, "configmaps?fieldSelector=metadata.name%3Ddb-leader")
            if not streams:
                raise End
            for change in streams.pop(0):
                if isinstance(change, Exception):
                    raise change
                yield change

        def lead(api):
            self.led += 1
            if self.refusals:
                self.refusals -= 1
                raise self.pgk.ApiError(409, "not now")

        self.pgk.Api = lambda: types.SimpleNamespace(watch=watch)
        self.pgk.time = self.clock
        self.program.lead = lead
        with self.assertRaises(End):
            self.program.follow("follow the lease", self.pgk.instance().lease, self.program.Elected().changed)

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
