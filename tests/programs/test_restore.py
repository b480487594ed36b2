"""start.py's restore: which backup is taken, and that it is done exactly once, wherever it is interrupted.

pgBackRest and PostgreSQL are a model of what they do here; they themselves are tried in a cluster."""

import itertools
import shutil
import sys
from unittest import main, mock

from test_first_start import KNOWN
from test_start import SYSTEM, ArchiveTest

OLD, FIRST = "000000010000000000000009", "0000000000000005"  # the newest WAL file of timeline 1, the first of any other


class Killed(BaseException):
    pass


class World:
    """An archive, and what runs on the volume. What was replayed is a word: all of the old timeline ("end"),
    or no more than the target ("target")."""

    def __init__(self, program, folder):
        self.program, self.data = program, folder / "volume/data"
        self.labels, self.annotation, self.pushed = ["A"], {}, {OLD}
        self.steps, self.dies_at = 0, None
        self.failures = {}  # (command, label): status and complaint
        self.complaints = iter(())  # of PostgreSQL, one a start
        self.restored = []
        self.status = 0

    def step(self):
        self.steps += 1
        if self.steps == self.dies_at:
            raise Killed

    def newest(self):
        return max([1] + [int(name[:8], 16) for name in self.pushed if name.endswith(".history")])

    def survey(self):
        one = self.program.Found({"number": 1, "kind": "s3"}, self.status, "message")
        one.system, one.end = SYSTEM, max(name for name in self.pushed if not name.endswith(".history"))
        one.backups = [{"label": label, "annotation": dict(self.annotation), "timestamp": {"stop": stop}}
                       for stop, label in enumerate(self.labels)]
        return [one]

    def pgbackrest(self, command, *options, timeout=None, environment=None):
        self.step()
        label = next((option[6:] for option in options if option.startswith("--set=")), "")
        status, complaint = self.failures.get((command, label), (0, ""))
        if command == "restore":
            self.restored.append(label)
        if status == 0 and command == "restore":
            (self.data / "global").mkdir(exist_ok=True)
            (self.data / "global/pg_control").write_text("state")
        elif status == 0 and command == "annotate":
            self.annotation |= dict(option[13:].split("=", 1) for option in options if option.startswith("--annotation="))
        elif status == 0 and command == "archive-push":
            self.pushed.add(options[-1].split("/")[-1])
        elif command == "archive-get":
            status = 0 if options[-2] in self.pushed else 1
        self.step()
        return status, "", complaint

    def replay(self, data, parameters, **settings):
        return Replay(self, settings)


class Replay:
    def __init__(self, world, settings):
        self.world, self.data, self.settings, self.last = world, world.data, settings, ""

    def restartpoint(self):
        return ""

    def run(self, environment=None):
        self.world.step()
        if (self.data / "replayed").exists():
            return True
        self.last = next(self.world.complaints, "")
        if self.last:
            return False
        line = self.settings["recovery_target_timeline"]
        line = self.world.newest() if line == "latest" else int(line)
        if "recovery_target_time" in self.settings:
            if line != 1:
                self.last = "recovery ended before configured recovery target was reached"
                return False
            word = "target"
        else:
            # Without the new timeline's first file, PostgreSQL replays the old one's, beyond where they part.
            word = "target" if f"{line:08X}{FIRST}" in self.world.pushed else "end"
        new = self.world.newest() + 1
        (self.data / "pg_wal/archive_status").mkdir(parents=True, exist_ok=True)
        (self.data / f"pg_wal/archive_status/{new:08X}.history.ready").touch()
        (self.data / "replayed").write_text(f"{word} {line} {new} {self.world.reached}")
        self.world.step()
        return True

    def sql(self, query):
        self.world.step()
        (self.data / f"pg_wal/archive_status/{self.timeline():08X}{FIRST}.ready").touch()
        self.world.step()

    def reached(self):
        words = (self.data / "replayed").read_text().split()
        return int(words[1]), int(words[3])

    def timeline(self):
        return int((self.data / "replayed").read_text().split()[2])

    def end(self):
        self.world.step()
        return True


class RestoreTest(ArchiveTest):
    def prepare(self, *arguments, target=None, **named):
        super().prepare(*arguments, cluster=dict(KNOWN), **named)
        start, self.world = self.program.start, World(self.program.start, self.folder)
        self.world.reached = sys.modules["backrest"].segment_start(OLD) + 1
        start.restore = self.real_restore
        start.archive = lambda: {"restore": target}
        start.survey, start.pgbackrest, start.Replay = self.world.survey, self.world.pgbackrest, self.world.replay
        start.found = lambda repo: self.world.survey()[0]
        start.first_start.LEAD = f"{self.folder}/volume/lead"
        start.first_start.wal_end = lambda: "00000002 00000000/00000000"
        patch = mock.patch("os.sync", self.world.step)
        patch.start()
        self.addCleanup(patch.stop)
        called = self.api.called
        self.api.called = lambda *what: (self.world.step(), called(*what))

    def wait(self, seconds):
        """Runs it while nothing happens."""
        until = self.clock.now + seconds
        with self.assertRaises(TimeoutError):
            self.run_with(lambda: self.clock.now < until)

    def run_with(self, goes_on):
        def on_sleep():
            if not goes_on():
                raise TimeoutError
        self.clock.on_sleep = on_sleep
        self.program.main()

    def replayed(self):
        return (self.folder / "volume/data/replayed").read_text().split()[0]

    def lose_everything(self):
        shutil.rmtree(self.folder / "volume")
        (self.folder / "volume").mkdir()
        self.api.patch("pods/db-0", {"annotations": {"pgk/volume": None}})


class PointInTime(RestoreTest):
    target = {"type": "time", "target": "2027-01-15 09:00:00+01"}

    def test_it_is_done_once_wherever_it_is_interrupted(self):
        for lost in False, True:
            for dies_at in itertools.count(1):
                with self.subTest(lost=lost, dies_at=dies_at):
                    self.prepare(target=self.target)
                    self.world.dies_at, finished = dies_at, True
                    try:
                        self.run_it()
                    except Killed:
                        finished = False
                    self.world.dies_at = None
                    if not finished:
                        if lost:
                            self.lose_everything()
                        self.run_it()
                    self.assertEqual(self.replayed(), "target")
                    # And once more everything is lost, before anything of the new timeline was archived by itself.
                    self.lose_everything()
                    self.run_it()
                    self.assertEqual(self.replayed(), "target")
                    self.assertIsNone(self.program.start.target_to_restore(self.world.survey(), self.target))
                if finished:
                    break
            self.assertGreater(dies_at, 20, "every step was tried")

    def test_what_is_here_is_not_thrown_away_for_a_failure_after_the_replay(self):
        self.prepare(target=self.target)
        with mock.patch.object(Replay, "sql", side_effect=RuntimeError), self.assertRaises(RuntimeError):
            self.run_it()
        self.run_it()
        self.assertEqual(self.world.restored, ["A"])

    def test_unless_a_primary_lives_by_then_or_something_else_is_wanted(self):
        for change in "primary", "target", "empty":
            with self.subTest(change):
                self.prepare(target=self.target)
                self.world.failures = {("annotate", "A"): (50, "locked")}
                self.wait(60)
                self.assertIn('"A"', (self.folder / "volume/first-start").read_text())
                self.world.failures = {}
                if change == "primary":
                    self.api.put("pods/db-1", annotations={"pgk/volume": "data"})
                    self.leads(leader="db-1")
                    self.run_with(lambda: self.api.patch(self.leader_path, {"annotations": {"renewTime": "later"}}))
                    self.assertEqual(list((self.folder / "volume/data").iterdir()), [])
                elif change == "target":
                    self.program.start.archive = lambda: {"restore": self.target | {"target": "2027-01-15 09:00:01+01"}}
                    self.run_it()
                    self.assertEqual(self.world.restored, ["A", "A"])
                else:
                    (self.folder / "volume/start-empty").touch()
                    self.run_it()
                    self.assertEqual(list((self.folder / "volume/data").iterdir()), [])
                self.assertEqual((self.folder / "volume/first-start").exists(), change == "empty")

    def test_an_archive_that_ends_before_the_target_is_read_again(self):
        self.prepare(target=self.target)
        self.world.complaints = itertools.repeat("recovery ended before configured recovery target was reached")
        self.wait(290)
        self.assertEqual(len(self.world.restored), 1)
        self.prepare(target=self.target)
        self.world.complaints = iter(["recovery ended before configured recovery target was reached"])
        self.run_with(lambda: True)
        self.assertEqual((self.replayed(), self.world.restored), ("target", ["A"]))


class Choice(RestoreTest):
    def prepare(self, *arguments, **named):
        super().prepare(*arguments, **named)
        self.world.labels = ["A", "B"]
        self.said = []
        self.program.start.log = self.said.append
        self.program.start.say = lambda subject, text: self.said.append(text)

    def fails(self, *labels):
        self.world.failures = {("restore", label): (29, f"damaged {label} raised from local-1") for label in labels}

    def test_a_damaged_backup_gives_way_to_the_next(self):
        self.prepare()
        self.fails("B")
        self.run_with(lambda: True)
        self.assertEqual(self.world.restored, ["B"] * 5 + ["A"])

    def test_whichever_process_it_was(self):
        self.prepare()
        numbers = itertools.count(1)
        original = self.world.pgbackrest

        def pgbackrest(command, *options, **named):
            self.fails("B")
            status, text, complaint = original(command, *options, **named)
            return status, text, complaint.replace("local-1", f"local-{next(numbers)} on 2 retries from 793-{next(numbers)}ms")
        self.program.start.pgbackrest = pgbackrest
        self.run_with(lambda: True)
        self.assertEqual(self.world.restored, ["B"] * 5 + ["A"])

    def test_whichever_damaged_file_it_was(self):
        self.prepare()
        files = itertools.count(1)
        original = self.world.pgbackrest

        def pgbackrest(command, *options, **named):
            self.world.failures = {("restore", "B"): (26, f"actual checksum of file {next(files)}")}
            return original(command, *options, **named)
        self.program.start.pgbackrest = pgbackrest
        self.run_with(lambda: True)
        self.assertEqual(self.world.restored, ["B"] * 5 + ["A"])

    def test_one_that_is_away_is_waited_for(self):
        self.prepare()
        self.fails("B")
        away = lambda: setattr(self.world, "status", 99 if self.world.restored else 0) or True
        self.program.start.found = lambda repo: self.program.start.Found(repo, 99)
        with self.assertRaises(TimeoutError):
            self.run_with(lambda: away() and len(self.world.restored) < 20)
        self.assertEqual(set(self.world.restored), {"B"})

    def test_when_all_have_failed_a_human_is_told_and_the_first_is_tried_again(self):
        self.prepare()
        self.fails("A", "B")
        with self.assertRaises(TimeoutError):
            self.run_with(lambda: len(self.world.restored) < 11)
        self.assertEqual(self.world.restored[:11], ["B"] * 5 + ["A"] * 5 + ["B"])
        told = next(text for text in self.said if text.startswith("WAITING FOR A HUMAN"))
        self.assertIn("damaged A", told)
        self.assertIn("damaged B", told)

    def test_what_does_not_replay_gives_way_too(self):
        self.prepare()
        self.world.complaints = iter(["WAL contains references to invalid pages"] * 5)
        self.run_with(lambda: True)
        self.assertEqual(self.world.restored, ["B", "A"])

    def test_wal_that_nobody_can_read_is_for_a_human(self):
        self.prepare()
        self.world.complaints = itertools.repeat('could not restore file "0000" from archive: command not executable')
        self.wait(600)
        self.assertEqual(self.world.restored, ["B"])
        self.assertIn("WAITING FOR A HUMAN: 0000 cannot be read in any repository", self.said[-1])


class Gap(RestoreTest):
    """The archive has WAL beyond a file that it lacks."""

    def prepare(self, *arguments, **named):
        super().prepare(*arguments, **named)
        self.world.pushed.add("00000001000000000000000C")

    def fill(self, upto):
        self.world.pushed |= {f"00000001000000000000000{number}" for number in "9AB"}
        self.world.reached = sys.modules["backrest"].segment_start("00000001000000000000000" + upto) + 1

    def test_it_is_for_a_human(self):
        self.prepare()
        self.wait(600)
        (self.folder / "volume/lead").touch()
        self.run_it()
        self.assertEqual(self.world.restored, ["A"])

    def test_what_comes_back_is_used(self):
        self.prepare()
        self.wait(600)
        self.fill("D")
        self.run_with(lambda: True)
        self.assertEqual(self.world.restored, ["A", "A"])

    def test_but_a_file_that_is_there_and_unusable_is_not_tried_for_ever(self):
        self.prepare()
        self.fill("9")
        self.wait(6000)
        self.assertEqual(self.world.restored, ["A", "A"])

    def test_a_repository_that_is_away_has_not_lost_what_it_had(self):
        self.prepare()
        self.wait(60)
        away = self.world.survey()
        away[0].end = ""
        self.program.start.survey = lambda: away
        self.wait(60)
        self.assertTrue((self.folder / "volume/first-start").exists())


if __name__ == "__main__":
    main()
