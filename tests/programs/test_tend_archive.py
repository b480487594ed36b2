"""tend_archive.py: what it says of the archiving, and when it wakes PostgreSQL's archiver."""

import sys
import types
from unittest import main

from fakes import ProgramTest

REPOSITORY = {"number": 1, "host": "s3.example", "port": 443}


class TendArchive(ProgramTest):
    def setUp(self):
        for module in "first_start", "start", "tend", "backrest":
            sys.modules.pop(module, None)
        self.load("tend_archive", "db-0")


class Archiving(TendArchive):
    """Its PostgreSQL and its repository are this object."""

    def setUp(self):
        super().setUp()
        self.waiting, self.answers = [0, 0, 0], True
        self.woken, self.conditions, self.said = [], [], []
        self.clock.strftime, self.clock.gmtime = lambda *_: "now", lambda: None
        self.program.sql = lambda query: self.woken.append((self.clock.now, query))
        self.program.waiting = lambda: self.waiting
        self.program.archive = lambda: {"repos": [REPOSITORY]}
        self.program.knock = lambda *_: self.answers
        self.program.last_error = lambda: "its last error"
        self.program.free_space = lambda: 1 << 30
        self.program.log = self.said.append
        self.archiving = self.program.Archiving()
        self.archiving.api = types.SimpleNamespace(condition=lambda **condition: self.conditions.append(condition))

    def look_for(self, seconds):
        for _ in range(0, seconds, 2):
            self.archiving.look()
            self.clock.sleep(2)

    def test_what_works_is_said_once(self):
        self.look_for(60)
        self.assertEqual([condition["status"] for condition in self.conditions], ["True"])
        self.assertEqual(self.woken, [])

    def test_one_that_is_away_is_named_and_nobody_is_woken_for_it(self):
        self.waiting, self.answers = [3, 61, 61], False
        self.look_for(100)
        self.assertEqual([condition["status"] for condition in self.conditions], ["False"])
        self.assertIn("3 WAL files wait", self.said[0])
        self.assertIn("repository 1 does not answer at s3.example:443", self.said[0])
        self.assertEqual(self.woken, [])

    def test_once_it_answers_again_the_archiver_is_woken_until_it_works(self):
        self.waiting, self.answers = [3, 61, 61], False
        self.look_for(10)
        self.answers, back = True, self.clock.now
        self.look_for(30)
        self.assertEqual([when - back for when, _ in self.woken], [0, 10, 20])
        self.waiting = [0, 0, 1]
        self.look_for(30)
        self.assertEqual(len(self.woken), 3)
        self.assertEqual(self.conditions[-1]["status"], "True")
        self.assertEqual(self.said[-1], "archiving works again")


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
