"""backrest.py and clone.py: what follows from what the repositories hold."""

import os
import sys
import tempfile
import types
import unittest
from pathlib import Path

import fakes

os.environ.setdefault("POD_NAME", "db-0")
for module in "pgk", "backrest", "clone":
    sys.modules.pop(module, None)
import backrest
import clone
from backrest import DOUBT, NO_BACKUP, NO_STANZA, NO_STANZA_DATA, OK

SYSTEM, OTHER = 7000000000000000001, 7000000000000000002
HOUR = 3600
NOON = 1_800_000_000
TIME = {"type": "time", "target": "2027-01-15 09:00:00+01"}  # NOON, in seconds of the epoch, is 08:00:00 UTC


def backup(label, stop=NOON, lsn="0/5000000", timeline=1, **more):
    segment = f"{timeline:08X}0000000000000005"
    return {
        "label": label, "database": {"id": 1, "repo-key": 1}, "timestamp": {"start": stop - 10, "stop": stop}, "error": False,
        "lsn": {"start": "0/4000028", "stop": lsn}, "archive": {"start": segment, "stop": segment}, "info": {"size": 1 << 20}, **more,
    }


def holds(*backups, status=None, system=SYSTEM, number=1, end="000000010000000000000009", kind="posix"):
    """What `pgbackrest info` says of a repository with these backups, read back."""
    for one in backups:
        one["database"] = {"id": 1, "repo-key": number}
    info = {
        "db": [{"id": 1, "repo-key": number, "system-id": system, "version": "17"}],
        "backup": list(backups),
        "archive": [{"database": {"id": 1, "repo-key": number}, "id": "17-1", "min": end, "max": end}],
    }
    status = (OK if backups else NO_BACKUP) if status is None else status
    return backrest.Found({"number": number, "kind": kind}, status, "message", info)


def without(status, number=1):
    return backrest.Found({"number": number, "kind": "s3"}, status, "message", {"db": [], "backup": [], "archive": []})


class Decision(unittest.TestCase):
    def setUp(self):
        backrest.instance = lambda: types.SimpleNamespace(dynamic=fakes.OBJECTS[False][1])

    def test_what_becomes_of_a_cluster_that_has_lost_everything(self):
        full, empty, away = holds(backup("A")), without(NO_STANZA), without(DOUBT)
        for repositories, initialize, wanted, word in (
            # A backup is restored, whether Patroni's objects remember this database, or none, or a start that was interrupted.
            ([full], str(SYSTEM), "restore", ""),
            ([full], None, "restore", ""),
            ([full], "", "restore", ""),
            ([full, without(NO_STANZA, 2)], None, "restore", ""),
            ([full, holds(number=2)], None, "restore", ""),
            # A new database is made only where nothing is, and nothing was.
            ([empty], None, "initdb", ""),
            ([empty], "", "initdb", ""),
            ([empty, without(NO_STANZA, 2)], None, "initdb", ""),
            ([empty], str(SYSTEM), "wait", "HUMAN"),
            # A doubt about one repository is a doubt.
            ([away], None, "wait", "in doubt"),
            ([away], str(SYSTEM), "wait", "in doubt"),
            ([full, without(DOUBT, 2)], None, "wait", "in doubt"),
            ([without(DOUBT, 2), full], str(SYSTEM), "wait", "in doubt"),
            ([empty, without(DOUBT, 2)], None, "wait", "in doubt"),
            ([without(4)], None, "wait", "in doubt"),
            ([without(6)], None, "wait", "in doubt"),
            # What only a human can know.
            ([without(NO_STANZA_DATA)], None, "wait", "HUMAN"),
            ([full, without(NO_STANZA_DATA, 2)], None, "wait", "HUMAN"),
            ([holds()], None, "wait", "holds no backup"),
            ([holds()], str(SYSTEM), "wait", "holds no backup"),
            ([full], str(OTHER), "wait", "HUMAN"),
            ([full, holds(backup("B"), number=2, system=OTHER)], None, "wait", "different database systems"),
            ([full, holds(number=2, system=OTHER)], None, "wait", "different database systems"),
        ):
            with self.subTest(repositories=[(one.status, one.system) for one in repositories], initialize=initialize):
                what, why = backrest.decide(repositories, initialize)
                self.assertEqual(what, wanted)
                self.assertIn(word, why)

    def test_backups_of_a_former_system_count_for_nothing(self):
        upgraded = holds(backup("A"))
        info = {"db": [{"id": 1, "repo-key": 1, "system-id": SYSTEM}, {"id": 2, "repo-key": 1, "system-id": OTHER}],
                "backup": upgraded.backups, "archive": [{"database": {"id": 1, "repo-key": 1}, "max": "000000010000000000000009"}]}
        found = backrest.Found({"number": 1, "kind": "posix"}, OK, "", info)
        self.assertEqual((found.system, found.backups, found.end), (str(OTHER), [], ""))
        self.assertEqual(backrest.decide([found], None)[0], "wait")


class Target(unittest.TestCase):
    def labels(self, repositories, target):
        return [(one.number, label) for one, label in backrest.candidates(repositories, target)]

    def test_the_newest_backup_of_the_repository_that_reaches_furthest(self):
        near = holds(backup("A"), backup("C", NOON + HOUR), end="000000010000000000000009")
        far = holds(backup("A"), backup("B", NOON + 60), number=2, end="00000002000000000000000A")
        self.assertEqual(self.labels([near, far], None), [(2, "B"), (2, "A"), (1, "C"), (1, "A")])

    def test_a_backup_with_errors_comes_last(self):
        self.assertEqual(self.labels([holds(backup("A"), backup("B", NOON + 60, error=True))], None), [(1, "A"), (1, "B")])

    def test_what_a_target_can_be_reached_from(self):
        repository = holds(backup("A", NOON - HOUR, "0/5000000"), backup("B", NOON + HOUR, "0/9000000"))
        for target, labels in (
            (TIME, ["A"]),
            ({"type": "time", "target": "2027-01-15 06:59:59+00"}, []),
            ({"type": "time", "target": "2027-01-15 09:00:00.5+00:00"}, ["B", "A"]),
            ({"type": "lsn", "target": "0/8FFFFFF"}, ["A"]),
            ({"type": "lsn", "target": "0/9000000"}, ["B", "A"]),
            ({"type": "lsn", "target": "1/0"}, ["B", "A"]),
            ({"type": "name", "target": "before the mess"}, ["B", "A"]),
            ({"type": "set", "target": "A"}, ["A"]),
            ({"type": "set", "target": "C"}, []),
        ):
            with self.subTest(target):
                self.assertEqual(self.labels([repository], target), [(1, label) for label in labels])

    def test_a_restore_that_was_done_is_not_done_again(self):
        label = "time 2027-01-15 09:00:00+01"
        for annotation, done in (
            (None, False),
            ({}, False),
            ({"pgk-restored-to": label}, True),
            ({"pgk-restored-from-to": label}, True),
            ({"pgk-restored-to": "time 2027-01-15 10:00:00+01"}, False),
            ({"other": label}, False),
        ):
            with self.subTest(annotation):
                repositories = [without(NO_STANZA, 2), holds(backup("A", annotation=annotation), backup("B"))]
                self.assertEqual(backrest.target_to_restore(repositories, TIME), None if done else TIME)
        self.assertIsNone(backrest.target_to_restore([holds(backup("A"))], None))

    def test_a_restore_is_done_once_its_new_timeline_is_in_the_archive(self):
        note = {"pgk-restored-from-to": "time 2027-01-15 09:00:00+01", "pgk-restored-as": "2 3"}
        for end, target, wanted in (
            ("000000030000000000000009", TIME, None),
            ("000000040000000000000009", TIME, None),
            # Not from what the interrupted one may have left: its timeline would be the latest.
            ("000000020000000000000009", TIME, {**TIME, "timeline": "2"}),
            ("", TIME, {**TIME, "timeline": "2"}),
            ("000000020000000000000009", {**TIME, "target": "2027-01-15 10:00:00+01"}, {**TIME, "target": "2027-01-15 10:00:00+01"}),
        ):
            with self.subTest(end=end, target=target):
                repositories = [holds(backup("A", annotation=note), backup("B"), end=end), without(NO_STANZA, 2)]
                self.assertEqual(backrest.target_to_restore(repositories, target), wanted)
        explicit = {**TIME, "timeline": "1"}
        note["pgk-restored-from-to"] += " timeline 1"
        self.assertEqual(backrest.target_to_restore([holds(backup("A", annotation=note), end="000000020000000000000009")], explicit), explicit)

    def test_another_timeline_is_another_target(self):
        self.assertEqual(backrest.label_of({**TIME, "timeline": "latest"}), backrest.label_of(TIME))
        self.assertEqual(backrest.label_of({**TIME, "timeline": "3"}), backrest.label_of(TIME) + " timeline 3")

    def test_how_pgbackrest_is_asked(self):
        for target, options in (
            (None, []),
            (TIME, ["--type=time", "--target=2027-01-15 09:00:00+01", "--target-action=promote"]),
            ({**TIME, "timeline": "2"}, ["--type=time", "--target=2027-01-15 09:00:00+01", "--target-action=promote", "--target-timeline=2"]),
            ({"type": "set", "target": "A"}, ["--type=immediate", "--target-action=promote"]),
        ):
            self.assertEqual(backrest.restore_options(target), options)

    def test_positions(self):
        self.assertEqual(backrest.position("1/A0000000"), 0x1A0000000)
        self.assertEqual(backrest.segment_start("0000000300000001000000A0"), backrest.position("1/A0000000"))

    def test_a_replay_that_ends_before_the_archive_does(self):
        for reached, newest, short in (
            ((1, "0/A000000"), "000000010000000000000009", False),
            ((1, "0/9000001"), "000000010000000000000009", False),
            ((1, "0/9000000"), "000000010000000000000009", True),
            ((1, "0/A000000"), "000000020000000000000009", True),
            ((2, "0/5000000"), "000000010000000000000009", False),  # a restore to a point in time, nothing archived since
            ((1, "0/5000000"), "", False),
        ):
            with self.subTest(reached=reached, newest=newest):
                self.assertEqual(backrest.short_of((reached[0], backrest.position(reached[1])), newest), short)

    def test_a_gap_in_the_archive(self):
        name = lambda timeline, number: f"{timeline:08X}{number >> 8:08X}{number & 0xFF:08X}"
        for names, gap in (
            ([(1, 5), (1, 6), (1, 7)], ""),
            ([(1, 3), (1, 5)], ""),
            ([(1, 5), (1, 7)], "0000000000000006"),
            ([(1, 5), (2, 6), (2, 7)], ""),
            ([(1, 5), (1, 6), (2, 8)], "0000000000000007"),
            ([(1, 5), *((1, number) for number in range(6, 0x102))], ""),
            ([(1, number) for number in range(5, 0x103) if number != 0x101], "0000000100000001"),
            ([(1, 6)], "0000000000000005"),
            ([], ""),
        ):
            with self.subTest(names[-3:]):
                self.assertEqual(backrest.missing_after(name(1, 5), [name(*one) for one in names]), gap)

    def test_settings_of_a_recovery_are_taken_out(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "postgresql.auto.conf"
            path.write_text("# Do not edit\nwork_mem = '8MB'\nrestore_command = 'x'\nrecovery_target_time = 'y'\nrecovery_target_action='z'\nprimary_conninfo = ''\n")
            backrest.take_out_recovery_settings(folder)
            self.assertEqual(path.read_text(), "# Do not edit\nwork_mem = '8MB'\n")


class Clone(unittest.TestCase):
    history = "1\t0/6000000\tno recovery target specified\n2\t0/8000000\tno recovery target specified\n"

    def choose(self, *repositories, timeline=1, history="", now="0/7000000"):
        return clone.choose(repositories, str(SYSTEM), timeline, history, now)

    def test_the_newest_backup(self):
        repository = holds(backup("A"), backup("B", NOON + HOUR))
        self.assertEqual(self.choose(without(DOUBT, 2), repository)[0], (repository, "B"))

    def test_what_is_declined(self):
        for repositories, arguments, why in (
            ([without(DOUBT)], {}, "no repository that answers"),
            ([without(NO_STANZA)], {}, "no repository that answers"),
            ([holds(backup("A"), system=OTHER)], {}, "no repository that answers"),
            ([holds(backup("A", lsn="0/6000001"))], {"timeline": 3, "history": self.history}, "parted"),
            ([holds(backup("A", timeline=2, lsn="0/8000001"))], {"timeline": 3, "history": self.history}, "parted"),
            ([holds(backup("A", timeline=4))], {"timeline": 3, "history": self.history}, "parted"),
            ([holds(backup("A"))], {"now": "0/45000001"}, "more than there is to copy"),
        ):
            with self.subTest(why, **arguments):
                choice, reason = self.choose(*repositories, **arguments)
                self.assertIsNone(choice)
                self.assertIn(why, reason)

    def test_a_former_timeline_that_leads_to_the_primary(self):
        for timeline, lsn in (1, "0/6000000"), (2, "0/8000000"), (3, "0/9000000"):
            repository = holds(backup("A", timeline=timeline, lsn=lsn))
            self.assertEqual(self.choose(repository, timeline=3, history=self.history, now="0/A000000")[0], (repository, "A"))


if __name__ == "__main__":
    unittest.main()
