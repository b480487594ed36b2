"""restore_test.py: in each way in which it could be fooled, it fails, and says of what."""

import json
import subprocess
import sys
import types
from unittest import main, mock

from fakes import ProgramTest

SYSTEM, OTHER = 7000000000000000001, 7000000000000000002
DAY = 86400
FULL, DIFF = "20231101-010000F", "20231101-010000F_20231114-010000D"
PASSED = "restore test: passed, 1 of 1 repositories"
CHECKSUMS = "Checksum operation completed\nFiles scanned:   1234\nBlocks scanned:  5678\nBad checksums:  0\n"
NO_FAULT = "    missing: 0, checksum invalid: 0, size invalid: 0, other: 0\n"
VERIFIED = (
    "stanza: db\nstatus: ok\n  archiveId: 17-1, total WAL checked: 9, total valid WAL: 9\n" + NO_FAULT
    + f"  backup: {FULL}, status: valid, total files checked: 1263, total valid files: 1263\n" + NO_FAULT
    + f"  backup: {DIFF}, status: valid, total files checked: 1264, total valid files: 1264\n" + NO_FAULT
)


def file(number, timeline=1):
    return f"{timeline:08X}{number >> 8:08X}{number & 0xFF:08X}"


class World:
    """A primary, a repository and what is restored from it: all well, until a test changes something."""

    def __init__(self, clock):
        self.clock = clock
        self.primary = f"{SYSTEM} {file(10)}\n"  # what it answers; an exception is raised
        self.complaint = ""
        self.repos = [{"number": 1, "kind": "posix", "host": "db-repo", "port": 8432}]
        self.settings = {"stanza": "db", "primary": "db-rw", "database": "app", "backup-age": 8}
        self.there = True
        self.status = {"code": 0, "message": "ok"}
        self.system = SYSTEM
        self.end = file(9)
        self.labels = [FULL, DIFF]
        self.made = clock.time() - DAY / 2
        self.restore_status = 0
        self.promoted = True
        self.reached = 1, 0xA000028
        self.answers = {"datname": "postgres\ntemplate1\napp", "pg_class": "410", "pg_database_size": "44939832"}
        self.clean_end = True
        self.checksums = 0, CHECKSUMS, ""
        self.verify_status, self.verified = 0, VERIFIED
        self.verify_log = "INFO: verify command begin 2.55: --verbose\nINFO: verify command end: completed successfully (9ms)\n"
        self.in_verify = lambda: None
        self.commands = []

    def psql(self, query, *options, environment=None, timeout=15):
        if isinstance(self.primary, Exception):
            raise self.primary
        status = 2 if self.complaint else 0
        return types.SimpleNamespace(returncode=status, stdout=self.primary, stderr=self.complaint)

    def info(self, number):
        database = {"id": 1, "repo-key": number}
        backups = [
            {"label": label, "database": database, "timestamp": {"start": self.made - 9, "stop": self.made}}
            for label in self.labels
        ]
        return json.dumps([{
            "repo": [{"key": number, "status": self.status}],
            "db": [{"id": 1, "repo-key": number, "system-id": self.system}],
            "backup": backups,
            "archive": [{"database": database, "id": "17-1", "max": self.end}],
        }])

    def pgbackrest(self, command, *options, timeout=None, environment=None):
        self.commands.append((command, *options))
        if command == "info":
            return 0, self.info(int(options[1].removeprefix("--repo="))), ""
        if command == "restore":
            return self.restore_status, "", "ERROR: [026]: actual checksum does not match" if self.restore_status else ""
        raise NotImplementedError(command)

    def run(self, words, **_):
        if words[:2] == ["pgbackrest", "verify"]:
            self.in_verify()
            return subprocess.CompletedProcess(words, self.verify_status, self.verified, self.verify_log)
        assert words[0] == "pg_checksums", words
        status, stdout, stderr = self.checksums
        return subprocess.CompletedProcess(words, status, stdout, stderr)


class FakeReplay:
    world = None
    last = ""

    def __init__(self, data, parameters, **settings):
        self.settings = settings

    def run(self, environment):
        self.last = "" if self.world.promoted else "requested WAL segment has been removed"
        return self.world.promoted

    def reached(self):
        if isinstance(self.world.reached, Exception):
            raise self.world.reached
        return self.world.reached

    def sql(self, query, database="postgres"):
        answer = next(answer for word, answer in self.world.answers.items() if word in query)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self):
        return self.world.clean_end


class RestoreTest(ProgramTest):
    def prepare(self):
        sys.modules.pop("backrest", None)
        program = self.load("restore_test", "none-0")
        world = self.world = World(self.clock)
        for module in program, sys.modules["backrest"]:
            module.psql, module.pgbackrest = world.psql, world.pgbackrest
        sys.modules["backrest"].knock = lambda *_: world.there
        program.Replay = type("Replay", (FakeReplay,), {"world": world})
        self.lines = []
        program.log = self.lines.append
        return world

    def setUp(self):
        self.prepare()

    def run_it(self):
        """Its last line, which says the same as what it returns."""
        settings = {"archive": self.world.settings | {"repos": self.world.repos}}
        (self.folder / "config/settings.yaml").write_text(json.dumps(settings))
        began, count = self.clock.now, len(self.world.repos or [])
        with mock.patch.object(subprocess, "run", self.world.run):
            passed = self.program.main()
        self.took = self.clock.now - began
        last = self.lines[-1]
        self.assertEqual(passed, last == f"restore test: passed, {count} of {count} repositories")
        self.assertEqual(passed, not last.startswith("restore test: FAILED: "))
        return last

    def fails(self, *words):
        """It fails for one reason, which has these words in it."""
        last = self.run_it()
        self.assertTrue(last.startswith("restore test: FAILED: "), last)
        self.assertNotIn(" | ", last)
        for word in words:
            self.assertIn(word, last)

    def each(self, *ways):
        """Each way is a change of the world, and the words that it then fails with."""
        for change, *words in ways:
            with self.subTest(words):
                world = self.prepare()
                change(world)
                self.fails(*words)


class Passing(RestoreTest):
    def test_all_is_well(self):
        self.assertEqual(self.run_it(), PASSED)
        self.assertEqual(self.took, 0)
        restored = next(line for line in self.lines if "restored in" in line)
        for compared in (
            f"the primary wrote {file(10)}",
            f"the repository had {file(9)}",
            "the replay ended at 0/A000028 of timeline 1",
            "3 databases, 1230 relations, 42 MB, 5678 blocks",
        ):
            self.assertIn(compared, restored)
        self.assertIn(("restore", "--repo=1", f"--set={DIFF}"), self.world.commands)
        self.assertIn("verified 2536 files", "".join(self.lines))

    def test_several_repositories(self):
        self.world.repos.append({"number": 2, "kind": "s3", "host": "s3", "port": 443})
        self.assertEqual(self.run_it(), "restore test: passed, 2 of 2 repositories")
        restores = [options for command, *options in self.world.commands if command == "restore"]
        self.assertEqual([repo for repo, _ in restores], ["--repo=1", "--repo=2"])
        self.world.verified = ""
        self.assertIn(" | repository 2 (s3): ", self.run_it())


class ThePrimary(RestoreTest):
    def test_no_answer_that_tells_anything(self):
        def answers(text="", complaint=""):
            def change(world):
                world.primary, world.complaint = text, complaint
            return change
        self.each(
            (answers(complaint="psql: error: Connection refused"), "the primary: no primary says", "Connection refused"),
            (answers(complaint="ERROR:  recovery is in progress"), "recovery is in progress"),
            (answers(subprocess.TimeoutExpired("psql", 15)), "it takes too long"),
            (answers(), "no answer"),
            (answers("\n"), "no answer"),
            (answers(f"{SYSTEM} \n"), f"not known: {SYSTEM}"),
            (answers(f" {file(10)}\n"), f"not known: {file(10)}"),
            (answers(f"{SYSTEM} {file(10)}.partial\n"), "partial"),
            (answers(f"{SYSTEM} {file(10)}\n{SYSTEM} {file(10)}\n"), "not known"),
            (answers("<html>"), "<html>"),
        )

    def test_what_can_be_checked_without_it_is_checked(self):
        self.world.complaint, self.world.primary = "psql: error: Connection refused", ""
        self.fails("whether the archive is recent is not known")
        text = "\n".join(self.lines)
        for checked in "the primary wrote (unknown)", "5678 blocks", "verified 2536 files":
            self.assertIn(checked, text)

    def test_one_that_is_replaced_is_asked_again_for_a_while(self):
        for seconds, passes in (30, True), (58, True), (70, False):
            with self.subTest(seconds):
                world = self.prepare()
                world.complaint, world.primary = "ERROR:  recovery is in progress", ""
                began = self.clock.now

                def sleep():
                    if self.clock.now - began >= seconds:
                        world.complaint, world.primary = "", f"{SYSTEM} {file(10)}\n"
                self.clock.on_sleep = sleep
                self.assertEqual(self.run_it() == PASSED, passes)
                self.assertLess(self.took, 70)

    def test_one_of_an_older_timeline_is_none(self):
        self.world.end = file(9, timeline=2)
        self.world.reached = 2, 0xA000028
        self.fails("of an older timeline than the archive's " + file(9, timeline=2))

    def test_one_of_a_newer_timeline_has_archived_something(self):
        self.world.primary = f"{SYSTEM} {file(10, timeline=2)}\n"
        self.fails("WAL is missing", f"the primary wrote {file(10, timeline=2)}", "of timeline 1")

    def test_one_that_was_promoted_just_now_has_archived_but_its_history(self):
        self.world.primary = f"{SYSTEM} {file(10, timeline=2)}\n"
        self.world.reached = 2, 0xA000028
        self.assertEqual(self.run_it(), PASSED)

    def test_it_is_replaced_while_the_test_goes_on(self):
        self.world.reached = 2, 0xA000028
        replay = self.program.Replay.run

        def replaced(*arguments):
            self.world.primary = f"{SYSTEM} {file(11, timeline=2)}\n"
            return replay(*arguments)
        self.program.Replay.run = replaced
        self.assertEqual(self.run_it(), PASSED)

    def test_a_timeline_that_is_not_its_own(self):
        self.world.reached = 2, 0x5000028
        self.fails("older timeline than the archive's 00000002")

    def test_one_of_another_system(self):
        self.each(
            (lambda world: setattr(world, "primary", f"{OTHER} {file(10)}\n"), f"not of {OTHER}"),
            (lambda world: setattr(world, "system", OTHER), f"the database system {OTHER}"),
        )


class TheRepository(RestoreTest):
    def test_there_is_none(self):
        self.world.repos = []
        self.assertEqual(self.run_it(), "restore test: FAILED: there is no repository")

    def test_the_settings_are_incomplete(self):
        self.each(
            (lambda world: setattr(world, "repos", None), "TypeError"),
            (lambda world: world.settings.pop("primary"), "KeyError('primary')"),
            (lambda world: world.settings.pop("database"), "KeyError('database')"),
            (lambda world: world.settings.pop("backup-age"), "KeyError('backup-age')"),
        )

    def test_it_holds_nothing_that_can_be_restored(self):
        def status(code):
            return lambda world: setattr(world, "status", {"code": code, "message": "different across repos"})
        self.each(
            (lambda world: setattr(world, "there", False), "nobody answers at db-repo:8432"),
            (lambda world: setattr(world, "info", lambda _: "Segmentation fault"), "cannot read"),
            *((status(code), f"(status {code}): different across repos") for code in (1, 2, 3, 4, 6, 99)),
            (lambda world: setattr(world, "labels", []), "no backup"),
            (lambda world: setattr(world, "end", None), "no WAL"),
        )

    def test_one_in_doubt_is_not_restored_from(self):
        self.world.status = {"code": 4, "message": "different across repos"}
        self.fails("different across repos")
        self.assertNotIn("restore", [command for command, *_ in self.world.commands])

    def test_one_that_is_away_or_in_doubt_is_asked_again_for_a_while(self):
        def away(world, ends):
            world.there = ends

        def in_doubt(world, ends):
            world.status = {"code": 0 if ends else 6, "message": ""}
        for change, seconds, passes in (away, 50, True), (away, 70, False), (in_doubt, 50, True), (in_doubt, 70, False):
            with self.subTest(change.__name__, seconds=seconds):
                world, began = self.prepare(), self.clock.now
                change(world, False)
                self.clock.on_sleep = lambda: change(world, self.clock.now - began >= seconds)
                self.assertEqual(self.run_it() == PASSED, passes)

    def test_its_backups_are_no_longer_made(self):
        def old(days, limit):
            def change(world):
                world.made, world.settings["backup-age"] = world.clock.time() - days * DAY, limit
            return change
        self.each(
            (old(8.1, 8), "newest backup is 8.1 days old"),
            (old(2.1, 2), "newest backup is 2.1 days old"),
        )
        for days, limit in (7.9, 8), (400, None):
            old(days, limit)(self.prepare())
            self.assertEqual(self.run_it(), PASSED)

    def test_it_lacks_the_newest_wal(self):
        self.world.end, self.world.reached = file(8), (1, 0x9000000)
        self.fails("WAL is missing", f"the primary wrote {file(10)}", f"the repository had {file(8)}", "ended at 0/9000000")
        self.assertGreaterEqual(self.took, 60)

    def test_wal_that_comes_a_little_later_is_waited_for(self):
        self.world.end = file(8)
        self.clock.on_sleep = lambda: setattr(self.world, "end", file(9))
        self.assertEqual(self.run_it(), PASSED)
        self.assertLess(self.took, 10)

    def test_who_writes_on_is_not_waited_for_without_end(self):
        self.clock.on_sleep = lambda: setattr(self.world, "primary", f"{SYSTEM} {file(200)}\n")
        self.assertEqual(self.run_it(), PASSED)


class TheRestore(RestoreTest):
    def test_it_fails(self):
        def attribute(name, value):
            return lambda world: setattr(world, name, value)
        self.each(
            (attribute("restore_status", 26), f"restore of {DIFF} (status 26)", "actual checksum"),
            (attribute("restore_status", None), "(status None)"),
            (attribute("promoted", False), "requested WAL segment has been removed"),
            (attribute("reached", ValueError("max() iterable argument is empty")), "unreadable"),
            (attribute("reached", (1, 0x9000000)), "WAL is missing", "ended at 0/9000000 of timeline 1"),
            (attribute("clean_end", False), "did not end cleanly"),
        )

    def test_the_archive_ends_later_than_the_primary_says(self):
        self.world.end = file(20)
        self.fails("WAL is missing", f"the repository had {file(20)}")

    def test_what_the_database_holds(self):
        def answers(**answers):
            return lambda world: world.answers.update(answers)
        self.each(
            (answers(datname="postgres\ntemplate1"), "the database app is missing"),
            (answers(datname=""), "the database app is missing"),
            (answers(datname="postgres\ntemplate1\napplication"), "the database app is missing"),
            (answers(pg_class="0"), "is empty"),
            (answers(pg_class=""), "unreadable"),
            (answers(pg_database_size="0"), "is empty"),
            (answers(pg_database_size=""), "unreadable"),
            (answers(pg_class=subprocess.CalledProcessError(1, "psql")), "unreadable"),
            (answers(datname=subprocess.TimeoutExpired("psql", 600)), "unreadable"),
        )

    def test_checksums(self):
        def checksums(*printed):
            return lambda world: setattr(world, "checksums", printed)
        none = CHECKSUMS.replace("5678", "0")
        self.each(
            (checksums(1, "", "pg_checksums: error: data checksums are not enabled in cluster\n"), "not enabled"),
            (checksums(1, CHECKSUMS.replace("sums:  0", "sums:  3"), 'checksum verification failed in file "x"'), "Bad checksums: 3"),
            (checksums(0, none, ""), "Blocks scanned: 0"),
            (checksums(0, "", ""), "pg_checksums (status 0)"),
        )


class Verification(RestoreTest):
    def test_only_what_is_known_to_be_good_passes(self):
        def prints(text, status=0, log=""):
            def change(world):
                world.verified, world.verify_status, world.verify_log = text, status, log
            return change
        error = VERIFIED.replace("status: ok", "status: error")
        invalid = VERIFIED.replace(f"{DIFF}, status: valid", f"{DIFF}, status: invalid").replace("valid files: 1264", "valid files: 1263")
        without_diff = VERIFIED[:VERIFIED.index("  backup: " + DIFF)]
        self.each(
            (prints(""), "nothing of 17-1 was checked"),
            (prints("stanza: db\nstatus: ok\n"), f"nothing of {DIFF} was checked"),
            (prints("stanza: db\nstatus: ok\n    no archives or backups exist in the repo\n"), "no archives or backups exist"),
            (prints("stanza: db\nstatus: ok\n  archiveId: none found\n  backup: none found\n"), "backup: none found"),
            (prints(without_diff), f"nothing of {DIFF} was checked"),
            (prints(VERIFIED.replace("1263", "0")), f"nothing of {FULL} was checked"),
            (prints(VERIFIED.replace("WAL checked: 9, total valid WAL: 9", "WAL checked: 0, total valid WAL: 0")), "nothing of 17-1"),
            (prints(VERIFIED.replace("valid WAL: 9", "valid WAL: 8")), "total valid WAL: 8"),
            (prints(VERIFIED.replace("archiveId: 17-1", "archiveId: 16-1")), "nothing of 17-1"),
            (prints(VERIFIED.replace("missing: 0", "missing: 1", 1)), "missing: 1"),
            (prints(VERIFIED.replace("other: 0", "other: 10", 1)), "other: 10"),
            (prints(invalid), "status: invalid"),
            (prints(VERIFIED.replace(f"{FULL}, status: valid", f"{FULL}, status: manifest missing")), "manifest missing"),
            (prints(VERIFIED.replace("status: ok\n", "")), "does not say `status: ok`"),
            (prints(error), "status: error"),
            (prints(error + "  No usable backup.info file\n"), "No usable backup.info file"),
            (prints(VERIFIED, status=1), "verify (status 1)"),
            (prints("", status=37, log="ERROR: [037]: verify command requires option: stanza\n"), "verify (status 37)"),
            (prints(VERIFIED, log=f"INFO: invalid checksum '{DIFF}/pg_data/base/1/2.gz'\n"), f"invalid checksum '{DIFF}/pg_data/base/1/2.gz'"),
            (prints(VERIFIED, log="INFO: invalid result x/y: [39] cannot read\n"), "invalid result x/y: [39] cannot read"),
        )

    def test_a_backup_is_made_meanwhile_and_another_one_expires(self):
        self.world.verified = VERIFIED.replace(f"{FULL}, status", "20231115-010000F, status") + (
            "  backup: 20231115-020000F, status: in-progress, total files checked: 0, total valid files: 0\n"
        )
        self.world.in_verify = lambda: setattr(self.world, "labels", [DIFF, "20231115-010000F", "20231115-020000F"])
        self.assertEqual(self.run_it(), PASSED)

    def test_the_repository_goes_away_meanwhile(self):
        self.world.in_verify = lambda: setattr(self.world, "there", False)
        self.fails("nobody answers")


if __name__ == "__main__":
    main()
