"""start.py: what a member with an archive begins with. (test_restore.py: the restore.)"""

import sys
import types
from unittest import main

from test_first_start import KNOWN, StartTest, Waits

SYSTEM = KNOWN["initialize"]


class ArchiveTest(StartTest):
    def load(self, program, name):
        for module in "first_start", "backrest":
            sys.modules.pop(module, None)
        super().load("start", name)
        first_start = self.program.first_start
        first_start.time, first_start.api = self.clock, self.api
        self.program.write_repositories = lambda: None
        self.program.MANIFEST = str(self.folder / "volume/data/backup.manifest")
        self.program.archive = lambda: {"restore": None}
        self.repositories = []
        self.surveys = 0
        self.restored = []
        self.program.survey = self.survey
        self.real_restore, self.program.restore = self.program.restore, self.restore
        self.program = types.SimpleNamespace(main=self.program.main, start=self.program)
        return self.program

    def survey(self):
        self.surveys += 1
        return self.repositories

    def restore(self, repositories):
        self.restored.append(repositories)
        self.fill_the_volume()

    def found(self, status, *backups, system=None):
        one = self.program.start.Found({"number": 1, "kind": "s3"}, status, "message")
        one.system, one.backups = system, list(backups)
        return one



class ArchiveStart(ArchiveTest):
    def backed_up(self):
        return self.found(0, {"label": "A"}, system=SYSTEM)

    def prepare(self, *arguments, **named):
        super().prepare(*arguments, **named)
        self.repositories = [self.found(1)]

    def test_all_empty_and_no_backup_a_database_is_made(self):
        self.prepare(cluster={})
        self.assertTrue(self.run_it())
        self.assertEqual(self.restored, [])

    def test_a_backup_is_restored_and_patroni_makes_nothing(self):
        for cluster in None, {}, KNOWN, {"initialize": ""}:
            with self.subTest(cluster):
                self.prepare(cluster=cluster)
                self.repositories = [self.backed_up()]
                self.assertFalse(self.run_it())
                self.assertEqual(len(self.restored), 1)

    def test_only_the_first_member_looks_into_the_archive(self):
        self.prepare("db-1", cluster=dict(KNOWN))
        self.repositories = [self.backed_up()]
        self.assertFalse(self.run_it())
        self.assertEqual((self.surveys, self.restored), (0, []))

    def test_nothing_is_restored_while_a_member_has_not_said_that_it_is_empty(self):
        for others in ("empty", "data"), ("empty", None), ("gone", "empty"), ("unusable", "empty"):
            with self.subTest(others), self.assertRaises(Waits):
                self.prepare(others=others, cluster=dict(KNOWN))
                self.repositories = [self.backed_up()]
                self.run_it()
            self.assertEqual((self.surveys, self.restored), (0, []))

    def test_a_primary_that_lives_is_cloned(self):
        self.prepare(others=("data", "data"), cluster=dict(KNOWN))
        self.leads(leader="db-1")
        renewed = lambda: self.api.patch(self.leader_path, {"annotations": {"renewTime": "later"}})
        self.assertFalse(self.run_it(renewed))
        self.assertEqual(self.restored, [])

    def test_a_lease_that_is_not_renewed_is_nobodys(self):
        self.prepare(cluster=dict(KNOWN))
        self.leads(leader="db-1")
        self.repositories = [self.backed_up()]
        self.assertFalse(self.run_it())
        self.assertEqual(len(self.restored), 1)

    def test_a_repository_in_doubt_is_waited_for(self):
        self.prepare(cluster={})
        self.repositories = [self.found(99)]
        back = lambda: self.repositories.__setitem__(0, self.backed_up())
        self.assertFalse(self.run_it(lambda: None, back))
        self.assertEqual((self.surveys, len(self.restored)), (3, 1))

    def test_a_cluster_that_is_not_new_gets_no_new_database(self):
        with self.assertRaises(Waits):
            self.prepare(cluster=dict(KNOWN))
            self.run_it()
        self.assertFalse((self.folder / "patroni.yaml").exists())

    def test_unless_a_human_asks_for_it(self):
        self.prepare(cluster=dict(KNOWN))
        self.leads(leader="db-0", optime="1")
        self.assertTrue(self.run_it((self.folder / "volume/start-empty").touch))
        self.assertEqual(self.api.annotations(self.config_path), {})
        self.assertEqual(self.api.annotations(self.leader_path), {}, "or Patroni would believe to hold the lease")

    def test_an_interrupted_first_start_begins_again(self):
        self.prepare(cluster={"initialize": "", "config": "{}"})
        self.leads(leader="db-0", optime="1")
        self.fill_the_volume()
        (self.folder / "volume/first-start").touch()
        self.assertTrue(self.run_it())
        self.assertEqual(self.api.annotations(self.config_path), {"config": "{}"})
        self.assertEqual(self.api.annotations(self.leader_path), {})

    def test_half_a_restore_is_dropped(self):
        self.prepare("db-1", cluster=dict(KNOWN))
        self.fill_it_by_half(clone=False)
        (self.folder / "volume/data/backup.manifest").touch()
        self.assertFalse(self.run_it())
        self.assertEqual([one.name for one in (self.folder / "volume").iterdir()], ["data"])
        self.assertEqual(self.word("db-1"), "empty")

    def test_data_on_the_own_volume_is_kept(self):
        self.prepare(others=("empty", "empty"))
        self.begin()
        self.fill_the_volume()
        self.repositories = [self.backed_up()]
        self.assertFalse(self.run_it())
        self.assertEqual((self.restored, self.word()), ([], "data"))


class ArchiveStartByEndpoints(ArchiveStart):
    use_endpoints = True


if __name__ == "__main__":
    main()
