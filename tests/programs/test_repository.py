"""repository.py: what it does while the repository's volume fills up."""

import os
import sys
import types
from unittest import main

from fakes import ProgramTest

MB = 1 << 20


class RoomTest(ProgramTest):
    def setUp(self):
        sys.modules.pop("backrest", None)
        self.load("repository", "db-0")
        self.program.archive = lambda: {"repos": [{"number": 2, "kind": "posix"}, {"number": 1, "kind": "s3"}]}
        self.program.VOLUME = str(self.folder)
        self.program.RESERVE = f"{self.folder}/reserve"
        self.said, self.expired, self.status = [], [], 0
        self.program.say = lambda subject, text: self.said.append(text)
        self.free, self.size = MB, MB
        (self.folder / "pgbackrest.conf").write_text(f"repo1-path=/elsewhere\nrepo2-path={self.folder}\n")
        environ = {"PGBACKREST_CONFIG": f"{self.folder}/pgbackrest.conf"}
        self.program.os = types.SimpleNamespace(path=os.path, environ=environ, remove=os.remove, posix_fallocate=os.posix_fallocate)
        self.program.shutil = types.SimpleNamespace(disk_usage=lambda path: (self.size, self.size - self.free, self.free))
        self.program.pgbackrest = self.pgbackrest
        self.room = self.program.Room()

    def pgbackrest(self, *words, timeout):
        there = os.path.exists(self.program.RESERVE)
        self.expired.append((self.clock.now, there, *words))
        if self.free == 0 and there:
            return 39, "", "no space left on device"
        return self.status, "", "its complaint"

    def look_at(self, percent):
        self.free = self.size * (100 - percent) // 100
        self.room.look()
        return self.said[-1] if self.said else ""

    def test_what_is_said(self):
        self.assertFalse(self.look_at(79))
        self.assertIn("filling up: 80 % of its 1 MB", self.look_at(80))
        self.assertEqual(self.expired, [])
        self.assertIn("FULL: 90 % of its 1 MB. Without what q3.retention does not keep: 90 %", self.look_at(90))
        self.assertEqual(self.expired[0][2:], ("expire", "--repo=2"))
        self.status = 25
        self.clock.now += 1000
        self.assertIn("its complaint", self.look_at(95))
        self.assertFalse(self.look_at(50))

    def test_the_primary_is_told(self):
        told = self.folder / "pgk-room"
        self.look_at(80)
        reason, text = told.read_text().splitlines()
        self.assertEqual((reason, text), ("RepositoryFillsUp", self.said[-1]))
        self.look_at(95)
        self.assertEqual(told.read_text().splitlines()[0], "RepositoryFull")
        self.look_at(50)
        self.assertEqual(told.read_text(), "")

    def test_a_volume_without_room_for_that_is_looked_after_all_the_same(self):
        (self.folder / "pgk-room.new").mkdir()  # cannot be written, as on a full volume
        self.assertIn("NEARLY FULL", self.look_at(95))

    def test_room_is_made_every_ten_minutes(self):
        for _ in range(0, 1300, 60):
            self.look_at(92)
            self.clock.sleep(60)
        self.assertEqual([when - 1000 for when, *_ in self.expired], [0, 600, 1200])

    def test_after_a_backup_at_once(self):
        self.status = 50
        for _ in range(3):
            self.look_at(92)
            self.clock.sleep(60)
        self.assertEqual(len(self.expired), 3)

    def test_on_a_full_volume_the_reserve_makes_room(self):
        self.look_at(50)
        self.assertEqual(os.path.getsize(self.program.RESERVE), MB // 50)
        self.look_at(92)
        self.clock.now += 1000
        self.assertIn("does not keep: 100 %", self.look_at(100))
        self.assertEqual([there for _, there, *_ in self.expired], [True, True, False])
        self.assertFalse(os.path.exists(self.program.RESERVE))
        self.look_at(92)
        self.assertTrue(os.path.exists(self.program.RESERVE))


if __name__ == "__main__":
    main()
