"""tend_archive.py: what it says of the archiving, which WAL it archives and which it has kept, and who may lead."""

import os
import sys
import types
from unittest import main, mock

from fakes import ProgramTest

MB = 1 << 20
REPOSITORY = {"kind": "s3", "number": 1, "host": "s3.example", "port": 443}


class TendArchive(ProgramTest):
    def setUp(self):
        self.load("tend_archive", "db-0")

    def load(self, program, name):
        for module in "first_start", "start", "tend", "backrest":
            sys.modules.pop(module, None)
        return super().load(program, name)


class Archiving(TendArchive):
    """Its PostgreSQL and its repository are this object."""

    def setUp(self):
        super().setUp()
        self.waiting, self.answers = [0, 7], True
        self.program.most_to_keep = lambda: 1 << 30
        self.program.let_go_of_what_differs = lambda: None
        self.woken, self.conditions, self.said = [], [], []
        self.clock.strftime, self.clock.gmtime = lambda *_: "now", lambda: None
        self.program.sql = lambda query: self.woken.append((self.clock.now, query))
        self.program.waiting = lambda: self.waiting
        self.program.archive = lambda: {"repos": [REPOSITORY]}
        self.program.knock = lambda *_: self.answers
        self.program.last_error = lambda: "its last error"
        self.program.shutil = types.SimpleNamespace(disk_usage=lambda path: types.SimpleNamespace(free=1 << 30))
        self.program.log = self.said.append
        self.archiving = self.program.Archiving()
        self.archiving.condition.api = types.SimpleNamespace(call=self.called)

    def called(self, method, path, body):
        self.assertEqual((method, path), ("PATCH", "pods/db-0/status"))
        condition, = body["status"]["conditions"]
        self.assertEqual(condition.pop("type"), "pgk/archiving")
        self.conditions.append(condition)

    def look_for(self, seconds):
        for _ in range(0, seconds, 2):
            self.archiving.look()
            self.clock.sleep(2)

    def test_what_works_is_said_once(self):
        self.look_for(60)
        self.assertEqual([condition["status"] for condition in self.conditions], ["True"])
        self.assertEqual(self.woken, [])

    def test_one_that_is_away_is_named_and_nobody_is_woken_for_it(self):
        self.waiting, self.answers = [3, 7], False
        self.look_for(160)
        self.assertEqual([condition["status"] for condition in self.conditions], ["True", "False"])
        self.assertIn("ARCHIVING FAILS for 62 s: 3 WAL files wait", self.said[0])
        self.assertIn("repository 1 does not answer at s3.example:443", self.said[0])
        self.assertEqual(self.woken, [])

    def test_once_it_answers_again_the_archiver_is_woken_until_it_works(self):
        self.waiting, self.answers = [3, 7], False
        self.look_for(70)
        self.answers, back = True, self.clock.now
        self.look_for(30)
        self.assertEqual([when - back for when, _ in self.woken], [0, 10, 20])
        self.waiting = [2, 8]
        self.look_for(30)
        self.assertEqual(len(self.woken), 3)
        self.assertEqual(self.conditions[-1]["status"], "True")
        self.assertEqual(self.said[-1], "archiving works again")

    def test_files_that_wait_while_others_get_away_are_no_failure(self):
        for archived in range(100):
            self.waiting = [5, archived]
            self.look_for(10)
        self.assertEqual([condition["status"] for condition in self.conditions], ["True"])

    def test_what_a_change_of_the_primary_would_lose_is_said(self):
        self.waiting = [51, 7]  # of the 64 files that are half of the volume
        self.look_for(100)
        self.assertNotIn("THE OTHER MEMBERS", self.conditions[-1]["message"])
        self.waiting = [52, 7]
        self.look_for(100)
        self.assertEqual([condition["status"] for condition in self.conditions], ["True", "False", "False"])
        self.assertIn("KEEP NO MORE than 1024 MB (half of the volume, or what is free), and 832 MB wait", self.conditions[-1]["message"])


    def test_a_repository_that_fills_up_is_in_the_condition(self):
        asked, printed = [], ""

        def pgbackrest(*words, timeout):
            asked.append(self.clock.now)
            self.assertEqual((words[0], words[-1]), ("repo-get", "--repo=3"))
            return (0, printed, "") if printed is not None else (28, "", "its complaint")

        self.program.pgbackrest = pgbackrest
        self.program.archive = lambda: {"repos": [REPOSITORY, REPOSITORY | {"kind": "posix", "number": 3}]}
        self.look_for(120)
        self.assertEqual(asked, [1000, 1060])
        printed = "RepositoryFillsUp\n85 %\n"
        self.look_for(120)
        printed = "RepositoryFull\n91 %\n"
        self.look_for(120)
        printed = None  # what was said last is kept
        self.look_for(120)
        self.waiting = [3, 7]
        self.look_for(120)
        said = [tuple(condition[word] for word in ("status", "reason", "message")) for condition in self.conditions]
        works = "the WAL gets into the archive"
        self.assertEqual(said[:3], [("True", "Works", works), ("True", "RepositoryFillsUp", works + "; 85 %"), ("False", "RepositoryFull", works + "; 91 %")])
        self.assertEqual(said[3][:2], ("False", "Fails"))
        self.assertIn("ARCHIVING FAILS", said[3][2])
        self.assertTrue(said[3][2].endswith("; 91 %"))
        self.assertEqual(len(said), 4)


class Timelines(TendArchive):
    """The WAL of the former primaries. Timeline 1 ended within file 5, timeline 2 within 8, timeline 3 at the end of 8."""

    histories = {
        2: "1\t0/5000100\tno recovery target specified\n",
        3: "1\t0/5000100\tno recovery target specified\n\n2\t0/8000200\tno recovery target specified\n",
        4: "1\t0/5000100\tx\n2\t0/8000200\tx\n3\t0/9000000\tx\n",
    }

    def load(self, program, name):
        super().load(program, name)
        self.wal = self.folder / "volume/data/pg_wal"
        (self.wal / "archive_status").mkdir(parents=True)
        self.queries, self.said = [], []
        self.program.log = self.said.append
        self.program.sql = lambda query: self.queries.append(query) or [f"{self.own:08X}0000000000000009"]

    def holds(self, *names, own):
        self.own = own
        (self.wal / f"{own:08X}.history").write_text(self.histories.get(own, ""))
        for name in names:
            (self.wal / name).touch()
            (self.wal / f"archive_status/{name}.done").touch()

    def ready(self):
        return sorted(path.name[:-6] for path in (self.wal / "archive_status").glob("*.ready"))

    def test_only_what_is_whole_on_its_own_timeline_is_archived(self):
        name = lambda timeline, number: f"{timeline:08X}{number:016X}"
        everything = [name(timeline, number) for timeline in range(1, 6) for number in range(3, 12)]
        for own, wanted in (
            (2, [(1, 3), (1, 4)]),
            (3, [(1, 3), (1, 4), *((2, number) for number in range(3, 8))]),
            (4, [(1, 3), (1, 4), *((2, number) for number in range(3, 8)), *((3, number) for number in range(3, 9))]),
        ):
            with self.subTest(own):
                self.load("tend_archive", "db-0")
                self.holds(*everything, own=own)
                self.program.archive_what_the_former_primary_may_not_have()
                self.assertEqual(self.ready(), [name(*one) for one in wanted])

    def test_the_first_primary_has_nothing_to_add(self):
        self.holds("000000010000000000000003", own=1)
        (self.wal / "00000001.history").unlink()
        self.program.archive_what_the_former_primary_may_not_have()
        self.assertEqual(self.ready(), [])

    def test_one_of_which_nothing_is_noted_is_archived(self):
        self.holds("000000010000000000000003", own=2)
        (self.wal / "archive_status/000000010000000000000003.done").unlink()
        self.program.archive_what_the_former_primary_may_not_have()
        self.assertEqual(self.ready(), ["000000010000000000000003"])

    def test_a_cluster_that_is_stuck_goes_on(self):
        for own, name, code, goes in (
            (2, "000000010000000000000005", "45", True),
            (4, "000000010000000000000005", "45", True),
            (4, "000000020000000000000008", "45", True),
            (4, "000000020000000000000008.partial", "45", True),
            (4, "000000020000000000000009", "45", True),  # beyond its end
            (4, "000000020000000000000007", "45", False),  # whole: two primaries have written it
            (4, "000000030000000000000008", "45", False),
            (4, "000000040000000000000009", "45", False),  # its own
            (4, "000000010000000000000005", "49", False),
            (4, "global", "45", False),
        ):
            with self.subTest(name, own=own):
                self.load("tend_archive", "db-0")
                self.holds(own=own)
                (self.wal / f"archive_status/{name}.ready").touch()
                (self.folder / f"{name}.error").write_text(f"{code}\nWAL file '{name}' already exists")
                self.program.glob = types.SimpleNamespace(glob=lambda pattern: [f"{self.folder}/{name}.error"])
                self.program.let_go_of_what_differs()
                self.assertEqual(self.ready(), [] if goes else [name])
                self.assertEqual((self.wal / f"archive_status/{name}.done").exists(), goes)
                self.assertEqual([bool(self.said), "SELECT pg_reload_conf()" in self.queries], [goes, goes])


class Most(TendArchive):
    """How much the members keep for the archive, by the volume of this one."""

    def most(self, size, free, kept):
        wal = self.folder / "volume/data/pg_wal"
        wal.mkdir(parents=True, exist_ok=True)
        (wal / "000000010000000000000001").write_bytes(b"x" * kept)
        disk = types.SimpleNamespace(total=size, free=free)
        with mock.patch.object(self.program.shutil, "disk_usage", lambda path: disk):
            return self.program.most_to_keep()

    def test_half_of_an_empty_volume(self):
        self.assertEqual(self.most(1000, 900, 0), 500)

    def test_a_tenth_stays_free(self):
        self.assertEqual(self.most(1000, 300, 100), 300)

    def test_nothing_more_on_a_full_one(self):
        self.assertEqual(self.most(1000, 0, 150), 50)
        self.assertEqual(self.most(1000, 10, 0), 0)


class Kept(TendArchive):
    """How much WAL every member keeps."""

    def keep(self, backlog, current="512MB", rendered="512MB", most=4096 * MB):
        archive, self.program.most_to_keep = self.program.Archive(), lambda: most
        archive.backlog = backlog
        configuration = lambda value: {"ttl": 20, "postgresql": {"parameters": {"wal_keep_size": value, "work_mem": "8MB"}}}
        adjusted = archive.adjusted(configuration(rendered), configuration(current))
        value = adjusted["postgresql"]["parameters"].pop("wal_keep_size")
        self.assertEqual(adjusted, {"ttl": 20, "postgresql": {"parameters": {"work_mem": "8MB"}}})
        return value

    def test_it_follows_what_waits(self):
        for backlog, current, kept in (
            (0, "512MB", "512MB"),
            (16, "512MB", "512MB"),
            (17, "512MB", "1024MB"),  # long before 32 files, which are 512 MB, wait
            (26, "512MB", "1536MB"),
            (26, "2GB", "2048MB"),
            (100, "512MB", "2560MB"),
            (1000, "512MB", "4096MB"),
            (1000, "8GB", "4096MB"),
            # Lower only when nearly nothing waits.
            (5, "2GB", "2048MB"),
            (4, "2GB", "512MB"),
            (0, "2GB", "512MB"),
            # A new primary does not know yet.
            (None, "2GB", "2048MB"),
            (None, "512MB", "512MB"),
            (None, "256MB", "512MB"),
            (None, None, "512MB"),
        ):
            with self.subTest(backlog=backlog, current=current):
                self.assertEqual(self.keep(backlog, current), kept)

    def test_what_is_set_is_the_least(self):
        self.assertEqual(self.keep(1000, rendered="6GB"), "6GB")
        self.assertEqual(self.keep(1000, current="6GB", rendered="6GB"), "6GB")

    def test_before_it_is_too_late_and_always_more_than_waits(self):
        for backlog in range(17, 200):
            kept = self.program.size_of(self.keep(backlog))
            self.assertGreaterEqual(kept, backlog * 16 * MB * 1.25)
            self.assertEqual(kept % (512 * MB), 0)

    def test_sizes_as_postgresql_reads_them(self):
        for text, size in (
            ("512MB", 512 * MB), ("1GB", 1024 * MB), ("0.5GB", 512 * MB), (32, 32 * MB), ("32", 32 * MB), (" 2 GB ", 2048 * MB),
            ("1024kB", MB), ("1TB", 1 << 40), ("many", None), ("-1", None), (None, None), ("1gb", None), (True, None),
        ):
            with self.subTest(text):
                self.assertEqual(self.program.size_of(text), size)
        self.assertEqual(self.keep(1000, rendered="many"), "many")
        self.assertEqual(self.keep(100, current="many"), "2560MB")

    def test_a_new_primary_counts_after_it_has_marked_what_it_holds(self):
        program, archive, done = self.program, self.program.Archive(), []
        program.archive = lambda: {"repos": [REPOSITORY | {"kind": "posix"}]}
        program.start = types.SimpleNamespace(write_repositories=lambda: None)
        program.Archiving = lambda: types.SimpleNamespace(
            look=lambda: done.append(archive.backlog) or 40, archived=None,
            condition=types.SimpleNamespace(tell=lambda status: done.append("replica")))
        program.archive_what_the_former_primary_may_not_have = lambda: done.append("marked")
        primary = True
        program.leads = lambda led: primary

        def on_sleep():
            if len(done) > 25:
                raise KeyboardInterrupt
        self.clock.on_sleep = on_sleep
        with self.assertRaises(KeyboardInterrupt):
            program.watch_the_archive(archive)
        self.assertEqual(done[0], "marked")
        self.assertEqual(done[1:17], [None] * 16)
        self.assertEqual(done[17:], [40] * len(done[17:]))
        primary = False
        done.clear()
        with self.assertRaises(KeyboardInterrupt):
            program.watch_the_archive(archive)
        self.assertIsNone(archive.backlog)


class Behind(TendArchive):
    """The last member that holds data: what the archive may have more."""

    def setUp(self):
        super().setUp()
        self.program.ARCHIVE_END = f"{self.folder}/archive-end"

    def end(self, name):
        if name:
            (self.folder / "archive-end").write_text(name + "\n")
        elif os.path.exists(self.program.ARCHIVE_END):
            os.remove(self.program.ARCHIVE_END)

    def test_it_has_asked_for_what_comes_after_the_archives_end(self):
        newest = "00000002000000000000000A"
        one = types.SimpleNamespace(status=0, end=newest, message="")
        self.program.survey = lambda: [one]
        for replayed, end, why in (
            ("0/B000010", "00000002000000000000000B", ""),
            ("0/B000010", "00000003000000000000000B", ""),
            ("0/A800000", None, "it replays"),  # stands within the newest file, and nobody has answered
            ("0/B000010", None, "it replays"),
            ("0/A800000", "00000002000000000000000A", "it replays"),
            ("0/B800000", "00000001000000000000000B", "does not follow"),
            ("0/A000000", "000000020000000000000009", "no longer has"),
            ("0/5000000", "000000010000000000000005", "no longer has"),
        ):
            with self.subTest(replayed=replayed, end=end):
                self.program.sql = lambda query: [replayed]
                self.end(end)
                self.assertIn(why, self.program.behind())
                self.assertEqual(bool(self.program.behind()), bool(why))
        one.end = ""
        self.assertEqual(self.program.behind(), "")

    def test_what_a_replica_lacks_is_gone_when_the_archive_says_so(self):
        for end, gone in ("00000001000000000000000B", True), ("00000002000000000000000B", True), ("00000001000000000000000C", False), (None, False):
            with self.subTest(end):
                self.end(end)
                self.assertEqual(self.program.Archive().gone_for_good("00000001000000000000000B"), gone)


class Leads(TendArchive):
    """Whether it is a primary that archives."""

    def setUp(self):
        super().setUp()
        self.program.tend.api = self.api
        self.role = "primary"
        self.program.tend.patroni = lambda method, path: (200, {"role": self.role})

    def test_a_primary_of_a_cluster_that_exists(self):
        self.api.put(self.config_path, annotations={"initialize": "7"})
        self.assertTrue(self.program.leads(False))
        self.role = "replica"
        self.assertFalse(self.program.leads(True))

    def test_not_before_the_database_is_made(self):
        (self.folder / "volume/first-start").touch()
        self.api.put(self.config_path, annotations={"initialize": "7"})
        self.assertFalse(self.program.leads(False))

    def test_not_before_patroni_has_noted_it(self):
        self.assertFalse(self.program.leads(False))
        self.api.put(self.config_path, annotations={"initialize": ""})
        self.assertFalse(self.program.leads(False))

    def test_one_that_led_goes_on_without_the_api(self):
        self.api.away = True
        self.assertTrue(self.program.leads(True))


if __name__ == "__main__":
    main()
