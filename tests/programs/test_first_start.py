"""first_start.py: who may make a new database, and who leads when Patroni's objects were lost."""

import io
import types
from unittest import main

from fakes import ProgramTest


KNOWN = {"initialize": "7000000000000000001"}


class Waits(Exception):
    """The program waits, and nothing will change."""


class StartTest(ProgramTest):
    def start(self, *changes, name="db-0", others=("empty", "empty"), cluster=None):
        """Runs the program; `changes` are what happens while it waits. Returns whether it may bootstrap."""
        self.prepare(name, others, cluster)
        return self.run_it(*changes)

    def prepare(self, name="db-0", others=("empty", "empty"), cluster=None):
        self.load("first_start", name)
        self.program.LEAD = str(self.folder / "volume/lead")
        words = iter(others)
        for ordinal in range(3):
            pod = f"db-{ordinal}"
            word = None if pod == name else next(words)
            if word != "gone":
                self.api.put(f"pods/{pod}", annotations={"pgk/volume": word} if word else {})
        if cluster is not None:
            self.api.put(self.config_path, annotations=cluster)

    def run_it(self, *changes):
        waiting = list(changes)

        def on_sleep():
            if not waiting:
                raise Waits
            waiting.pop(0)()

        self.clock.on_sleep = on_sleep
        self.program.main()
        written = self.patroni_yaml()
        self.assertEqual(written["name"], self.pgk.NAME)
        may = "bootstrap" in written
        self.assertEqual((self.folder / "volume/first-start").exists(), may)
        self.assertEqual(waiting, [], "it waited for all of this")
        return may

    def fill_the_volume(self):
        (self.folder / "volume/data/global").mkdir(parents=True)
        (self.folder / "volume/data/global/pg_control").write_text("state")
        (self.folder / "volume/data/PG_VERSION").write_text("18")

    def fill_it_by_half(self, clone):
        (self.folder / "volume/data/global").mkdir(parents=True)
        (self.folder / "volume/data/PG_VERSION").write_text("18")
        if clone:
            (self.folder / "volume/data/backup_label").write_text("START WAL LOCATION")

    def word(self, pod="db-0"):
        return self.api.annotations(f"pods/{pod}").get("pgk/volume")

    def told(self):
        """How much WAL this member said that it has, every time that it said something."""
        path = f"pods/{self.pgk.NAME}"
        return [body["metadata"]["annotations"]["pgk/wal-end"] for changed, body in self.api.bodies if changed == path]

    def say(self, pod, **told):
        """What another member tells later on."""
        annotations = {f"pgk/{key.replace('_', '-')}": value for key, value in told.items()}
        return lambda: self.api.patch(f"pods/{pod}", {"annotations": annotations})

    def begin(self):
        """Another member leads."""
        self.api.put(self.config_path, annotations=KNOWN)
        self.api.put(self.sync_path, annotations={"leader": "db-1"})


class FirstStart(StartTest):
    def test_all_empty_the_first_member_makes_a_database(self):
        self.assertTrue(self.start(cluster={}))
        self.assertEqual(self.word(), "empty")

    def test_all_empty_and_patroni_has_no_object_yet(self):
        self.assertTrue(self.start(cluster=None))

    def test_another_member_than_the_first_never_does(self):
        self.assertFalse(self.start(name="db-1"))
        self.assertEqual(self.word("db-1"), "empty")

    def test_not_in_a_cluster_that_has_a_history(self):
        self.assertFalse(self.start(cluster=KNOWN))

    def test_not_in_a_cluster_that_has_a_history_whatever_the_others_say(self):
        self.assertFalse(self.start(cluster=KNOWN, others=(None, "gone")))

    def test_not_if_another_member_holds_data_which_leads_at_last(self):
        for others in ("empty", "data"), (None, "data"):
            with self.subTest(others):
                self.assertFalse(self.start(self.begin, others=others))

    def test_not_if_a_member_beyond_the_expected_ones_holds_data(self):
        self.prepare()
        self.api.put("pods/db-7", annotations={"pgk/volume": "data"})
        self.assertFalse(self.run_it(self.begin))

    def test_waits_for_a_member_that_says_nothing(self):
        for silent in None, "gone", "unusable", "data", "nonsense":
            with self.subTest(silent), self.assertRaises(Waits):
                self.start(others=("empty", silent))
            self.assertFalse((self.folder / "patroni.yaml").exists())

    def test_goes_on_when_the_silent_member_says_that_it_is_empty(self):
        self.prepare(others=("empty", None))
        self.assertTrue(self.run_it(self.say("db-2", volume="empty")))

    def test_a_pod_that_is_about_to_end_says_nothing(self):
        self.prepare()
        self.api.objects["pods/db-2"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        with self.assertRaises(Waits):
            self.run_it()

    def test_clones_when_the_silent_member_says_that_it_has_data(self):
        self.prepare(others=("empty", None))
        self.assertFalse(self.run_it(self.say("db-2", volume="data"), self.begin))

    def test_an_interrupted_first_start_begins_again(self):
        self.prepare(cluster={"initialize": "", "history": "[]", "config": "{}"})
        self.api.put(self.leader_path, annotations={"optime": "1", "slots": "{}"})
        self.api.put(self.sync_path, annotations={"leader": "db-0", "sync_standby": "db-1"})
        self.fill_the_volume()
        (self.folder / "volume/first-start").touch()
        self.assertTrue(self.run_it())
        self.assertEqual(list((self.folder / "volume/data").iterdir()), [])
        self.assertEqual(self.api.annotations(self.config_path), {"config": "{}"})
        self.assertEqual(self.api.annotations(self.sync_path), {})
        self.assertEqual(self.api.annotations(self.leader_path), {})

    def test_an_interrupted_first_start_gives_way_to_data(self):
        with self.assertRaises(Waits):
            self.start(cluster={"initialize": ""}, others=("empty", "data"))
        self.assertEqual(self.api.annotations(self.config_path), {"initialize": ""})

    def test_data_on_the_own_volume_is_kept(self):
        for name in "db-0", "db-1":
            with self.subTest(name):
                self.prepare(name, others=("empty", "empty"))
                self.begin()
                self.fill_the_volume()
                self.assertFalse(self.run_it())
                self.assertEqual(self.word(name), "data")
                self.assertTrue((self.folder / "volume/data/PG_VERSION").exists())

    def test_a_first_start_that_cannot_be_begun_again_makes_the_volume_unusable(self):
        self.prepare(cluster={})
        self.fill_the_volume()
        (self.folder / "volume/first-start").touch()

        def refuse(_folder, ignore_errors=False):
            if not ignore_errors:
                raise OSError("Input/output error")

        self.program.shutil = types.SimpleNamespace(rmtree=refuse)
        with self.assertRaises(Waits):
            self.run_it()
        self.assertEqual(self.word(), "unusable")
        self.assertTrue((self.folder / "volume/first-start").exists())

    def test_half_a_clone_is_dropped(self):
        for name in "db-0", "db-1":
            with self.subTest(name):
                self.prepare(name, cluster=KNOWN)
                self.fill_it_by_half(clone=True)
                self.assertFalse(self.run_it())
                self.assertEqual(self.word(name), "empty")
                self.assertEqual([one.name for one in (self.folder / "volume").iterdir()], ["data"])
                self.assertEqual(list((self.folder / "volume/data").iterdir()), [])

    def test_half_a_database_is_kept_aside(self):
        for former in False, True:
            with self.subTest(former=former):
                self.prepare("db-1", cluster=KNOWN)
                aside = self.folder / "volume/data.incomplete"
                if former:
                    aside.mkdir()
                    (aside / "former").touch()
                self.fill_it_by_half(clone=False)
                (self.folder / "volume/data/base").write_bytes(bytes(3 << 20))
                said = []
                self.program.log = said.append
                self.assertFalse(self.run_it())
                self.assertIn("(3 MB)", said[0])
                (aside / "base").unlink()
                self.assertEqual(self.word("db-1"), "empty")
                self.assertEqual(list((self.folder / "volume/data").iterdir()), [])
                self.assertEqual(sorted(one.name for one in aside.iterdir()), ["PG_VERSION", "global"])

    def test_half_a_database_waits_like_an_empty_volume(self):
        self.prepare(others=("empty", None))
        self.fill_it_by_half(clone=False)
        with self.assertRaises(Waits):
            self.run_it()
        self.assertEqual(self.word(), "empty")

    def test_a_clone_that_was_finished_is_kept(self):
        self.prepare("db-1")
        self.begin()
        self.fill_the_volume()
        (self.folder / "volume/data/backup_label").touch()
        self.assertFalse(self.run_it())
        self.assertEqual(self.word("db-1"), "data")
        self.assertTrue((self.folder / "volume/data/global/pg_control").exists())

    def test_nothing_is_kept_aside_of_an_empty_volume(self):
        self.prepare(cluster={})
        (self.folder / "volume/data").mkdir()
        self.assertTrue(self.run_it())
        self.assertFalse((self.folder / "volume/data.incomplete").exists())

    def test_a_human_may_ask_for_an_empty_database(self):
        self.prepare(others=("data", None), cluster={**KNOWN, "history": "[]"})
        (self.folder / "volume/start-empty").touch()
        self.assertTrue(self.run_it())
        self.assertEqual(self.api.annotations(self.config_path), {})
        self.assertFalse((self.folder / "volume/start-empty").exists(), "asked for once")

    def test_what_a_human_asks_for_while_the_program_waits_is_heard(self):
        asked = lambda: (self.folder / "volume/start-empty").touch()
        self.assertTrue(self.start(asked, others=("empty", None)))

    def test_an_unusable_volume_is_reported_and_waited_for(self):
        self.prepare(cluster={})
        (self.folder / "volume/data").write_text("not a folder")
        with self.assertRaises(Waits):
            self.run_it()
        self.assertEqual(self.word(), "unusable")
        self.assertFalse((self.folder / "patroni.yaml").exists())

    def test_a_volume_that_becomes_usable_is_used(self):
        self.prepare(cluster={})
        (self.folder / "volume/data").write_text("not a folder")
        self.assertTrue(self.run_it((self.folder / "volume/data").unlink))
        self.assertEqual(self.word(), "empty")

    def test_nothing_is_decided_without_the_api(self):
        self.prepare(cluster={})
        self.api.before["GET", self.config_path] = lambda: setattr(self.api, "away", True)
        with self.assertRaises(Waits):
            self.run_it()
        self.assertFalse((self.folder / "patroni.yaml").exists())

    def test_the_written_configuration(self):
        self.assertTrue(self.start())
        written = self.patroni_yaml()
        self.assertEqual(written["bootstrap"]["dcs"]["postgresql"]["parameters"], {"wal_sender_timeout": "5s", "work_mem": "8MB"})
        self.assertNotIn("password", written["postgresql"]["authentication"]["replication"], "roles.sql sets it")
        self.assertNotIn("secret-1", written["restapi"]["authentication"]["password"])
        self.assertEqual((self.folder / "patroni.yaml").stat().st_mode & 0o777, 0o600)

    def test_the_configuration_once_there_is_a_database(self):
        self.assertTrue(self.start())
        self.pgk.write_patroni_yaml(may_bootstrap=False)
        written = self.patroni_yaml()
        self.assertNotIn("bootstrap", written)
        self.assertEqual(written["postgresql"]["authentication"]["replication"]["password"], "secret-2")

    def test_an_ipv6_address_is_written_in_brackets(self):
        self.prepare(cluster={})
        self.pgk.ADDRESS = "fd00::1"
        self.run_it()
        self.assertEqual(self.patroni_yaml()["postgresql"]["connect_address"], "[fd00::1]:5432")


class Lost(StartTest):
    """Members with data, and Patroni's objects are gone."""

    older, mine, newer = "00000002 00000000/05000000", "00000002 00000000/06000000", "00000003 00000000/01000000"

    def prepare(self, name="db-1", others=("data", "data"), cluster=None):
        super().prepare(name, others, cluster)
        self.fill_the_volume()
        self.program.wal_end = lambda: self.mine

    def tell(self, **ends):
        for pod, end in ends.items():
            self.say(pod.replace("_", "-"), wal_end=end)()

    def test_what_is_known_is_not_asked_for(self):
        self.prepare()
        self.begin()
        self.assertFalse(self.run_it())
        self.assertEqual(self.api.annotations("pods/db-1"), {"pgk/volume": "data"})
        self.assertEqual(set(self.told()), {None})

    def test_the_member_with_the_most_wal_leads(self):
        self.prepare()
        self.tell(db_0=self.older, db_2=self.older)
        self.assertFalse(self.run_it())
        self.assertEqual(self.told(), [None, self.mine, None])
        self.assertEqual(self.api.annotations("pods/db-1"), {"pgk/volume": "data"})

    def test_a_member_with_less_waits_for_it(self):
        self.prepare()
        self.tell(db_0=self.older, db_2=self.newer)
        self.assertFalse(self.run_it(lambda: None, self.begin))
        self.assertIn(self.mine, self.told())

    def test_of_equal_members_one_leads(self):
        for name, waits in ("db-0", False), ("db-1", True):
            with self.subTest(name):
                self.prepare(name)
                for pod in {"db-0", "db-1", "db-2"} - {name}:
                    self.say(pod, wal_end=self.mine)()
                self.assertFalse(self.run_it(*[self.begin] * waits))

    def test_a_member_that_has_not_told_is_waited_for(self):
        for others in ("data", None), ("data", "gone"), ("data", "unusable"):
            with self.subTest(others):
                self.prepare(others=others)
                self.tell(db_0=self.older)
                with self.assertRaises(Waits):
                    self.run_it()
                self.assertFalse((self.folder / "patroni.yaml").exists())

    def test_an_empty_member_is_not(self):
        self.prepare(others=("empty", "empty"))
        self.assertFalse(self.run_it())

    def test_a_human_may_choose(self):
        self.prepare(others=("data", None))
        self.tell(db_0=self.newer)
        lead = self.folder / "volume/lead"
        self.assertFalse(self.run_it(lead.touch))
        self.assertFalse(lead.exists(), "asked for once")
        self.assertEqual(self.word("db-1"), "data")

    def test_a_choice_that_was_not_needed_is_forgotten(self):
        self.prepare()
        lead = self.folder / "volume/lead"
        lead.touch()
        self.begin()
        self.assertFalse(self.run_it())
        self.assertFalse(lead.exists())

    def test_who_has_taken_its_word_back_to_lead_is_waited_for(self):
        self.prepare()
        self.tell(db_0=self.older, db_2=self.newer)
        self.assertFalse(self.run_it(self.say("db-2", wal_end=None), lambda: None, self.begin))

    def test_what_counts_as_lost(self):
        for cluster, sync, synchronous, known in (
            (KNOWN, {"leader": "db-0"}, True, True),
            ({"initialize": ""}, {"leader": "db-0"}, True, False),
            (KNOWN, {}, True, False),
            (KNOWN, {}, False, True),
            ({}, {}, False, False),
        ):
            with self.subTest((cluster, sync, synchronous)):
                self.prepare(cluster=cluster)
                self.api.put(self.sync_path, annotations=sync)
                self.pgk.instance().config["bootstrap"]["dcs"]["synchronous_mode"] = synchronous
                self.assertEqual(self.program.is_known(), known)

    def test_the_end_of_the_wal(self):
        self.load("first_start", "db-0")
        wal = self.folder / "volume/data/pg_wal"
        wal.mkdir(parents=True)
        line = "rmgr: Heap len (rec/tot): 54/54, tx: 7, lsn: {}, prev 0/01, desc: INSERT off: 1\n"
        dumps = {
            "000000010000000A00000009": line.format("A/09000028"),
            "00000002000000000000000B": line.format("0/0B000028") + line.format("0/0BFFFFFF") + line.format("0/0B0000AA"),
            "00000002000000000000000C": "",
            "00000002.history": line.format("F/FF000000"),
        }
        for name in dumps:
            (wal / name).touch()

        class Dump:
            def __init__(self, command, **_arguments):
                self.stdout = io.StringIO(dumps[command[1].rsplit("/", 1)[1]])

            def __enter__(self):
                return self

            def __exit__(self, *_error):
                self.stdout.close()

        self.program.subprocess = types.SimpleNamespace(Popen=Dump, PIPE=-1, DEVNULL=-3)
        self.assertEqual(self.program.wal_end(), "00000002 00000000/0B0000AA")
        dumps["00000002000000000000000B"] = ""
        self.assertEqual(self.program.wal_end(), "00000001 0000000A/09000028")
        self.assertGreater("00000001 0000000A/09000028", "00000001 00000009/FF000028")
        dumps["000000010000000A00000009"] = ""
        self.assertEqual(self.program.wal_end(), "00000000 00000000/00000000")

    def test_the_end_of_the_wal_by_a_real_process(self):
        self.load("first_start", "db-0")
        wal = self.folder / "volume/data/pg_wal"
        wal.mkdir(parents=True)
        (wal / "00000002000000000000000B").write_bytes(b"lsn: 0/0B000028, prev\n\xff lsn: 0/0B0000AA, prev\nfatal\n")
        popen = self.program.subprocess.Popen
        dump = lambda command, **arguments: popen(["cat", command[1]], **arguments)
        self.program.subprocess = types.SimpleNamespace(Popen=dump, PIPE=-1, DEVNULL=-3)
        self.assertEqual(self.program.wal_end(), "00000002 00000000/0B0000AA")

    def test_what_was_told_is_taken_back_when_it_is_known_who_leads(self):
        self.prepare()
        self.tell(db_0=self.older, db_2=self.newer)
        self.run_it(self.begin)
        self.assertEqual(self.api.annotations("pods/db-1"), {"pgk/volume": "data"})

    def test_half_a_clone_is_no_data(self):
        self.prepare()
        (self.folder / "volume/data/global/pg_control").unlink()
        self.assertFalse(self.run_it())
        self.assertEqual(self.word("db-1"), "empty")
        self.assertEqual(set(self.told()), {None})


class FirstStartByEndpoints(FirstStart):
    use_endpoints = True


class LostByEndpoints(Lost):
    use_endpoints = True


if __name__ == "__main__":
    main()
