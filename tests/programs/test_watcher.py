"""watcher.py: who is silent, when a lease is taken, a label removed, a volume replaced."""

import http.client
import json
import socket
import threading
import time
import types
from unittest import main, mock

from fakes import End, ProgramTest

GONE = {
    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
    "message": "PodGC: node no longer exists",
}
NO_PLACE = {
    "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
    "message": "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match PersistentVolume's node affinity.",
}


class WatcherTest(ProgramTest):
    """Seen from db-1: db-0 is the primary, db-1 its synchronous standby, db-2 another replica."""

    watched = True  # the lease is, too

    def setUp(self):
        self.load("watcher", "db-1")
        for ordinal in range(3):
            self.api.put(f"pods/db-{ordinal}", labels={"role": "replica" if ordinal else "primary"})
            self.api.objects[f"pods/db-{ordinal}"]["status"]["podIP"] = f"10.0.0.{ordinal}"
        self.leads(leader="db-0", renewTime="1")
        self.api.put(self.sync_path, annotations={"leader": "db-0", "sync_standby": "db-1", "quorum": "0"})
        self.api.put(self.config_path, annotations={"initialize": "7000000000000000001", "config": json.dumps({"ttl": 20, "synchronous_mode": True})})
        self.refusing = set()  # ports of the own member
        self.knocked = set()
        self.program.refuses = lambda port: self.knocked.add(port) or port in self.refusing
        # No probers: each test says who is heard of.
        self.program.threading = types.SimpleNamespace(Thread=lambda **_: types.SimpleNamespace(start=lambda: None), Event=threading.Event)
        self.silent = {"db-0"}
        self.unheard = set()  # nobody knows yet whether they answer
        self.silence = 60  # seconds, of who is silent
        self.agreeing = {"db-2"}
        self.asked_for = set()  # paths
        self.refused = self.told = None
        self.program.agrees = lambda member, suspect, path: self.asked_for.add(path) or member.name in self.agreeing
        self.list_pods()

    def list_pods(self):
        members = self.program.members
        members.pods = {pod["metadata"]["name"]: pod for pod in self.api.get("pods?")["items"]}
        members.compare()
        members.current = True
        self.api.calls.clear()

    def look(self, seconds, each=0.4, in_between=lambda: None):
        """What main() does, for so long."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            in_between()
            self.watch_the_lease()
            for name, member in self.program.members.others.items():
                member.heard = self.clock.now - (self.silence if name in self.silent else 0)
                member.began = member.heard - (0 if name in self.unheard else 60)
                member.looked = dict.fromkeys(self.program.PORTS, self.clock.now)
                member.tried = member.looked
            try:
                self.program.look()
            except OSError as error:
                self.refused = getattr(error, "status", error)
            self.clock.sleep(each)

    def watch_the_lease(self):
        item = self.api.objects.get(self.leader_path)
        if self.watched and item and item["metadata"]["resourceVersion"] != self.told:
            self.told = item["metadata"]["resourceVersion"]
            self.program.lease.changed("MODIFIED", json.loads(json.dumps(item)))

    def renew(self):
        self.api.patch(self.leader_path, {"annotations": {"renewTime": str(self.clock.now)}})
        self.api.calls.pop()

    def leader(self):
        return self.api.annotations(self.leader_path).get("leader")

    def role(self, name):
        return self.api.objects[f"pods/{name}"]["metadata"]["labels"].get("role")

    def written(self):
        return [path for method, path in self.api.calls if method != "GET"]

    def the_lease_cannot_be_read(self):
        get = self.api.get

        def refuse(path):
            if path == self.leader_path:
                raise OSError("the Kubernetes API does not answer")
            return get(path)

        self.api.get = refuse


class Lease(WatcherTest):
    def assert_not_taken(self, seconds=30, **arguments):
        self.look(seconds, **arguments)
        self.assertEqual(self.leader(), "db-0")
        self.assertNotIn(self.sync_path, self.written())

    def test_it_is_taken_after_three_seconds(self):
        self.assert_not_taken(2.9)
        self.look(0.9)
        self.assertIsNone(self.leader())
        self.assertEqual(self.api.annotations(self.leader_path)["renewTime"], "1", "the rest stays")

    def test_sync_is_touched_first_and_keeps_what_it_says(self):
        self.look(4)
        self.assertEqual(self.written()[:3], [self.sync_path, "pods/db-0", self.leader_path])
        touched = self.api.annotations(self.sync_path)
        self.assertTrue(touched.pop("pgk/lease-taken").startswith("db-0 by db-1"))
        self.assertEqual(touched, {"leader": "db-0", "sync_standby": "db-1", "quorum": "0"})

    def test_the_election_does_not_ask_the_silent_primary(self):
        self.api.patch("pods/db-0", {"annotations": {"status": '{"api_url": "http://10.0.0.1:8008/patroni"}', "other": "stays"}})
        self.look(4)
        self.assertEqual(self.api.annotations("pods/db-0"), {"other": "stays"})

    def former_address(self, address, written):
        """What is left of what Patroni wrote on a pod with this address."""
        self.api.patch("pods/db-2", {"annotations": {"status": written, "other": "stays"}})
        self.api.objects["pods/db-2"]["status"] = {"podIP": address} if address else {}
        self.list_pods()
        self.silent = set()
        self.look(0.4)
        return self.api.annotations("pods/db-2")

    def test_the_address_of_the_pod_before_is_taken(self):
        for address, own in (None, None), ("10.0.0.12", "10.0.0.12"), ("fd00::12", "[fd00::12]"):
            for written in filter(None, (own, "10.0.0.1", "[fd00::1]")):
                status = f'{{"conn_url":"postgres://{written}:5432/postgres","state":"running"}}'
                with self.subTest(address=address, written=written):
                    kept = {"status": status} if written == own else {}
                    self.assertEqual(self.former_address(address, status), {"other": "stays", **kept})

    def test_what_has_no_address_stays(self):
        for written in "", "{}", '{"state":"stopped"}':
            with self.subTest(written):
                self.assertEqual(self.former_address("10.0.0.2", written), {"status": written, "other": "stays"})

    def test_an_address_that_is_written_meanwhile_stays(self):
        new = {"status": '{"conn_url":"postgres://10.0.0.2:5432/postgres"}'}
        self.api.before["PATCH", "pods/db-2"] = lambda: None  # that of the test itself
        self.api.patch("pods/db-2", {"annotations": {"status": '{"conn_url":"postgres://10.0.0.9:5432/postgres"}'}})
        self.list_pods()
        self.api.before["PATCH", "pods/db-2"] = lambda: self.api.patch("pods/db-2", {"annotations": new})
        self.look(0.4)
        self.assertEqual((self.api.annotations("pods/db-2"), self.refused), (new, None))

    def test_a_pod_that_is_gone_holds_up_nothing(self):
        self.look(2.9)
        self.api.before["PATCH", "pods/db-0"] = lambda: self.api.objects.pop("pods/db-0")
        self.look(0.9)
        self.assertIsNone(self.leader())

    def test_a_writer_with_the_former_version_of_sync_is_refused_afterwards(self):
        former = self.api.get(self.sync_path)["metadata"]["resourceVersion"]
        self.look(4)
        self.assertIsNone(self.leader())
        with self.assertRaises(self.pgk.ApiError) as refused:
            self.api.patch(self.sync_path, {"resourceVersion": former, "annotations": {"sync_standby": None}})
        self.assertEqual(refused.exception.status, 409)

    def test_a_writer_with_the_former_version_of_the_lease_is_refused_afterwards(self):
        former = self.api.get(self.leader_path)["metadata"]["resourceVersion"]
        self.look(4)
        with self.assertRaises(self.pgk.ApiError) as refused:
            self.api.patch(self.leader_path, {"resourceVersion": former, "annotations": {"renewTime": "2"}})
        self.assertEqual(refused.exception.status, 409)

    def test_not_from_a_primary_that_answers(self):
        self.silent = set()
        self.assert_not_taken()

    def test_not_by_one_witness_alone(self):
        self.silent = {"db-0", "db-2"}
        self.assert_not_taken()

    def test_not_by_one_witness_alone_in_a_cluster_of_two(self):
        del self.api.objects["pods/db-2"]
        self.list_pods()
        self.assert_not_taken()

    def test_not_if_a_living_member_does_not_agree(self):
        self.agreeing = set()
        self.assert_not_taken()

    def test_not_if_one_of_many_does_not_agree(self):
        self.api.put("pods/db-3")
        self.api.objects["pods/db-3"]["status"]["podIP"] = "10.0.0.3"
        self.list_pods()
        self.assert_not_taken()
        self.agreeing = {"db-2", "db-3"}
        self.look(1)
        self.assertIsNone(self.leader())

    def test_a_silent_member_need_not_agree(self):
        self.api.put("pods/db-3")
        self.api.objects["pods/db-3"]["status"]["podIP"] = "10.0.0.3"
        self.list_pods()
        self.silent = {"db-0", "db-3"}
        self.look(4)
        self.assertIsNone(self.leader())

    def test_not_while_it_is_renewed(self):
        last = [self.clock.now]

        def every_two_seconds():
            if self.clock.now - last[0] >= 2:
                self.renew()
                last[0] = self.clock.now

        self.assert_not_taken(in_between=every_two_seconds)

    def test_its_age_begins_with_the_last_renewal(self):
        self.look(2.9)
        self.renew()
        self.assert_not_taken(2.9)
        self.look(0.9)
        self.assertIsNone(self.leader())

    def test_its_age_begins_anew_when_nobody_looked_for_a_while(self):
        self.look(2)
        self.clock.now += 60
        self.assert_not_taken(2.9)
        self.look(0.9)
        self.assertIsNone(self.leader())

    def test_its_age_begins_anew_after_a_look_that_failed(self):
        self.look(2)
        self.api.before["GET", self.leader_path] = lambda: setattr(self.api, "away", True)
        self.look(0.3)
        self.api.away = False
        self.assert_not_taken(2.9)

    def test_not_without_the_synchronous_standby(self):
        for standby in "db-3", "", None, "db-11,db-22", "db-0":
            with self.subTest(standby):
                self.api.patch(self.sync_path, {"annotations": {"sync_standby": standby}})
                self.api.calls.clear()
                self.assert_not_taken(8)

    def test_any_witness_may_be_the_synchronous_standby(self):
        self.api.patch(self.sync_path, {"annotations": {"sync_standby": "db-2"}})
        self.look(4)
        self.assertIsNone(self.leader())

    def test_not_if_sync_is_of_another_primary(self):
        self.api.patch(self.sync_path, {"annotations": {"leader": "db-2"}})
        self.api.calls.clear()
        self.assert_not_taken()

    def test_not_without_the_object_sync(self):
        del self.api.objects[self.sync_path]
        self.look(30)
        self.assertEqual(self.leader(), "db-0")

    def test_not_with_a_list_of_members_that_may_be_old(self):
        self.program.members.current = False
        self.assert_not_taken()

    def test_not_if_it_was_renewed_in_between(self):
        self.look(2.9)
        self.api.before["PATCH", self.sync_path] = self.renew
        self.look(0.9)
        self.assertIn(self.sync_path, self.written())
        self.assertEqual((self.leader(), self.refused), ("db-0", 409))

    def test_not_if_it_was_renewed_just_before_it_is_taken(self):
        self.look(2.9)
        self.api.before["PATCH", self.leader_path] = self.renew
        self.look(0.9)
        self.assertEqual((self.leader(), self.refused), ("db-0", 409))

    def test_not_if_sync_was_written_in_between(self):
        self.look(2.9)
        self.api.before["PATCH", self.sync_path] = lambda: self.api.patch(self.sync_path, {"annotations": {"sync_standby": None}})
        self.look(0.9)
        self.assertEqual((self.leader(), self.refused), ("db-0", 409))
        self.assertNotIn(self.leader_path, self.written())

    def test_a_renewal_of_the_former_lease_ends_the_taking_for_three_seconds(self):
        self.look(2.9)
        self.api.before["PATCH", self.sync_path] = self.renew
        self.look(0.5)
        self.api.calls.clear()
        self.assert_not_taken(2.5)

    def test_not_if_the_api_goes_away_at_any_step(self):
        steps = ("GET", self.leader_path), ("GET", self.sync_path), ("PATCH", self.sync_path), ("PATCH", "pods/db-0"), ("PATCH", self.leader_path)
        for step in steps:
            with self.subTest(step):
                self.setUp()
                self.look(2.9)
                self.api.before[step] = lambda: setattr(self.api, "away", True)
                self.look(10)
                self.assertEqual(self.leader(), "db-0")

    def test_not_if_the_api_is_slow(self):
        get = self.api.get

        def slow(path):
            self.clock.now += 2.5
            return get(path)

        self.api.get = slow
        self.assert_not_taken()

    def test_not_while_patroni_is_paused(self):
        self.api.patch(self.config_path, {"annotations": {"config": json.dumps({"pause": True, "synchronous_mode": True})}})
        self.api.calls.clear()
        self.assert_not_taken()

    def test_not_from_an_asynchronous_cluster(self):
        for dynamic in json.dumps({"synchronous_mode": False}), json.dumps({"ttl": 20}), "{}", None:
            with self.subTest(dynamic):
                self.api.patch(self.config_path, {"annotations": {"config": dynamic}})
                self.api.calls.clear()
                self.assert_not_taken(8)

    def test_by_one_write_that_leaves_no_address_behind(self):
        self.look(4)
        (path, body), = [(path, body) for path, body in self.api.bodies if path == self.leader_path]
        self.assertEqual(body["metadata"]["annotations"], {"leader": None})
        self.assertEqual(body.get("subsets"), [] if self.use_endpoints else None)

    def test_nothing_is_asked_while_all_is_well(self):
        self.silent = set()
        self.look(60, in_between=self.renew)
        self.assertEqual(self.api.calls, [])

    def test_not_from_a_later_holder_who_is_heard(self):
        self.look(2.9)
        self.api.patch(self.leader_path, {"annotations": {"leader": "db-2"}})
        self.look(20)
        self.assertEqual(self.leader(), "db-2")


class OwnLease(WatcherTest):
    """db-1 is the primary, and its container has died."""

    def setUp(self):
        super().setUp()
        self.silent = set()
        self.leads(leader="db-1", renewTime="1")
        self.api.put(self.sync_path, annotations={"leader": "db-1", "sync_standby": "db-2"})
        self.refusing = {5432, 8008}

    def test_it_is_given_up_when_both_ports_refuse(self):
        self.look(0.7)
        self.assertEqual(self.leader(), "db-1")
        self.look(0.8)
        self.assertIsNone(self.leader())
        self.assertEqual(self.written(), [self.sync_path, "pods/db-1", self.leader_path])

    def test_it_is_kept_if_one_of_them_lives(self):
        for port in 5432, 8008:
            self.refusing = {port}
            self.look(8)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_postgresql_is_not_asked_while_patroni_is_there(self):
        self.refusing = set()
        self.look(8)
        self.assertEqual(self.knocked, {8008})

    def test_it_is_kept_if_they_refuse_for_a_moment(self):
        self.look(0.7)
        self.refusing = set()
        self.look(0.4)
        self.refusing = {5432, 8008}
        self.look(0.7)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_it_is_kept_without_a_living_standby(self):
        self.silent = {"db-2"}
        self.agreeing = set()
        self.look(8)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_it_is_kept_if_nothing_was_heard_of_the_standby_yet(self):
        self.unheard = {"db-2"}
        self.look(8)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_it_is_kept_with_a_list_of_members_that_may_be_old(self):
        self.program.members.current = False
        self.look(8)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_it_is_kept_while_it_cannot_be_read(self):
        self.look(0.7)
        self.the_lease_cannot_be_read()
        self.look(8)
        self.assertEqual((self.leader(), self.written(), self.refused), ("db-1", [], None))

    def test_it_is_kept_while_patroni_is_paused(self):
        self.api.patch(self.config_path, {"annotations": {"config": json.dumps({"pause": True, "synchronous_mode": True})}})
        self.api.calls.clear()
        self.look(8)
        self.assertEqual((self.leader(), self.written()), ("db-1", []))

    def test_another_members_lease_is_not_its_business(self):
        self.leads(leader="db-0", renewTime="1")
        self.look(8)
        self.assertEqual(self.leader(), "db-0")

    def test_it_is_kept_if_it_was_renewed_in_between(self):
        self.api.before["PATCH", self.leader_path] = self.renew
        self.look(1.5)
        self.assertEqual((self.leader(), self.refused), ("db-1", 409))

    def test_a_refusal_of_long_ago_does_not_count(self):
        self.look(1.5)
        self.refusing = set()
        self.look(60)
        self.leads(leader="db-1", renewTime="1")
        self.refusing = {5432, 8008}
        self.look(0.1)
        self.assertEqual(self.leader(), "db-1")

    def test_a_refusal_while_another_member_leads_does_not_count(self):
        self.leads(leader="db-0")
        self.look(8)
        self.leads(leader="db-1")
        self.look(0.7)
        self.assertEqual(self.leader(), "db-1")
        self.look(0.8)
        self.assertIsNone(self.leader())


class LeaseByEndpoints(Lease):
    use_endpoints = True


class LeaseByLooks(Lease):
    """The watch of it tells nothing."""

    watched = False


class LeaseByWatch(WatcherTest):
    """What was known of it when the silence began."""

    def silence_after(self, seconds):
        """Returns how long it took from then on until the lease was taken."""
        self.silent = set()
        self.watch_the_lease()
        self.look(seconds)
        self.silent, began = {"db-0"}, self.clock.now
        while self.leader():
            self.look(0.2, each=0.2)
        return self.clock.now - began

    def test_its_age_begins_with_the_renewal_that_the_watch_told_of(self):
        self.assertAlmostEqual(self.silence_after(1.9), 1.2)

    def test_its_age_is_not_known_when_nothing_was_told_for_too_long(self):
        self.assertAlmostEqual(self.silence_after(6), 3.2)

    def test_its_age_is_not_known_when_the_watch_has_missed_a_renewal(self):
        self.watch_the_lease()
        self.watched = False
        self.renew()
        self.assertAlmostEqual(self.silence_after(2), 3.2)

    def test_its_age_is_not_known_when_the_looks_are_too_rare(self):
        self.look(30, each=2.5)
        self.assertEqual(self.leader(), "db-0")

    def test_a_watch_that_is_behind_does_not_count(self):
        former = self.api.get(self.leader_path)
        self.renew()

        def late():
            self.program.lease.changed("MODIFIED", former)

        self.watched = False
        self.look(0.4)
        self.look(2.5, in_between=late)
        self.assertEqual(self.leader(), "db-0")
        self.look(1, in_between=late)
        self.assertIsNone(self.leader())

    def test_a_lease_that_was_deleted_is_nobodys(self):
        self.watch_the_lease()
        for change, item in ("LISTED", None), ("ENDED", None):
            self.program.lease.changed(change, item)
            self.assertEqual(self.program.lease.leader, "db-0")
        self.program.lease.changed("DELETED", self.api.get(self.leader_path))
        self.assertIsNone(self.program.lease.leader)


class OwnLeaseByEndpoints(OwnLease):
    use_endpoints = True


class Label(WatcherTest):
    def setUp(self):
        super().setUp()
        self.silent = {"db-2"}
        self.agreeing = {"db-0"}

    def test_a_silent_replica_loses_its_role(self):
        self.look(0.4)
        self.assertIsNone(self.role("db-2"))
        self.assertEqual((self.role("db-0"), self.leader()), ("primary", "db-0"))

    def test_a_replica_loses_it_sooner_than_a_leader_its_lease(self):
        self.silence = 1.5
        self.look(30)
        self.assertEqual(self.written(), [])
        self.silence = 1.7
        self.look(0.4)
        self.assertIsNone(self.role("db-2"))
        self.assertEqual(self.asked_for, {"/unserved"})

        self.silent, self.agreeing, self.silence = {"db-0"}, {"db-2"}, 2.9
        self.list_pods()
        self.look(30)
        self.assertEqual((self.written(), self.leader()), ([], "db-0"))
        self.silence = 3.1
        self.look(0.4)
        self.assertEqual((self.leader(), self.asked_for), (None, {"/unserved", "/"}))

    def test_only_with_agreement(self):
        self.agreeing = set()
        self.look(30)
        self.assertEqual(self.written(), [])

    def test_not_by_one_witness_of_three(self):
        self.silent = {"db-0", "db-2"}
        self.look(30)
        self.assertEqual((self.role("db-0"), self.role("db-2")), ("primary", "replica"))

    def test_not_while_the_lease_cannot_be_read(self):
        self.the_lease_cannot_be_read()
        self.look(8)
        self.assertEqual((self.written(), self.refused), ([], None))

    def test_not_with_a_list_of_members_that_may_be_old(self):
        self.program.members.current = False
        self.look(8)
        self.assertEqual(self.written(), [])

    def test_in_a_cluster_of_two_by_the_only_witness(self):
        del self.api.objects["pods/db-0"]
        self.list_pods()
        self.look(0.4)
        self.assertIsNone(self.role("db-2"))

    def test_at_most_once_in_ten_seconds(self):
        self.look(0.4)

        def set_again():
            self.api.objects["pods/db-2"]["metadata"]["labels"]["role"] = "replica"
            self.program.members.pods["db-2"] = self.api.get("pods/db-2")

        self.look(9.2, in_between=set_again)
        self.assertEqual(self.written(), ["pods/db-2"])
        self.look(10, in_between=set_again)
        self.assertEqual(self.written(), ["pods/db-2"] * 2)

    def test_not_with_an_old_version_of_the_pod(self):
        self.api.patch("pods/db-2", {"annotations": {"status": "new"}})
        self.look(0.4)
        self.assertEqual((self.role("db-2"), self.refused), ("replica", 409))

    def test_a_silent_primary_that_renews_its_lease_keeps_it(self):
        self.silent, self.agreeing = {"db-0"}, {"db-2"}
        self.look(30, in_between=self.renew)
        self.assertEqual(self.role("db-0"), "primary")

    def test_a_silent_primary_whose_lease_was_taken_loses_it(self):
        self.silent, self.agreeing = {"db-0"}, {"db-2"}
        self.look(5, in_between=self.list_pods)
        self.assertIsNone(self.role("db-0"))


class Volume(WatcherTest):
    """db-1 is the primary, db-0 its standby, and the machine of db-2 is deleted."""

    claim = "persistentvolumeclaims/data-db-2"

    def setUp(self):
        super().setUp()
        self.silent = set()
        self.leads(leader="db-1", renewTime="1")
        self.api.put(self.sync_path, annotations={"leader": "db-1", "sync_standby": "db-0"})
        self.api.put(self.claim)
        self.deleted(GONE)
        self.new_pod(NO_PLACE)
        self.elsewhere, self.program.ELSEWHERE = self.program.ELSEWHERE, 0
        self.said = []
        self.program.say = lambda subject, message: message and self.said.append(message)
        self.program.log = self.said.append

    def deleted(self, condition):
        pod = self.api.get("pods/db-2")
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}, condition]
        self.program.members.collected.clear()
        self.program.members.note_collected(pod)

    def new_pod(self, condition=None, **annotations):
        self.api.put("pods/db-2", annotations=annotations)["status"] = {"conditions": [condition] if condition else []}
        self.list_pods()

    def assert_not_replaced(self, seconds=4):
        self.look(seconds)
        self.assertEqual(self.written(), [])
        self.assertIn(self.claim, self.api.objects)

    def test_the_claim_and_then_the_pod_are_deleted_once(self):
        self.look(0.4)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])
        self.api.put(self.claim)
        self.new_pod(NO_PLACE)
        self.assert_not_replaced(60)

    def test_a_volume_that_the_new_pod_cannot_use_is_replaced(self):
        self.new_pod(**{"pgk/volume": "unusable"})
        self.look(0.4)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])

    def test_only_after_the_garbage_collector_said_that_the_machine_is_gone(self):
        for other in (
            {**GONE, "reason": "DeletionByTaintManager"},
            {**GONE, "message": "PodGC: orphaned"},
            {**GONE, "type": "Ready"},
            {"type": "DisruptionTarget", "status": "True"},
        ):
            with self.subTest(other):
                self.deleted(other)
                self.assert_not_replaced()

    def test_only_if_the_volume_is_what_is_missing(self):
        for condition in (
            {**NO_PLACE, "message": "0/3 nodes are available: 3 Insufficient cpu."},
            {**NO_PLACE, "message": "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."},
            {**NO_PLACE, "reason": "SchedulingGated"},
            {**NO_PLACE, "message": "1 node(s) exceed max volume count, 2 node(s) didn't match Pod's node affinity/selector."},
            {"type": "PodScheduled", "status": "True"},
            None,
        ):
            with self.subTest(condition):
                self.deleted(GONE)
                self.new_pod(condition)
                self.assert_not_replaced()

    def test_a_member_that_found_its_volume_keeps_it_for_ever(self):
        for word in "data", "empty":
            with self.subTest(word):
                self.deleted(GONE)
                self.new_pod(**{"pgk/volume": word})
                self.assert_not_replaced()
                self.new_pod(NO_PLACE)
                self.assert_not_replaced()

    def test_only_after_a_while_in_which_a_machine_that_has_it_may_come(self):
        self.program.ELSEWHERE = self.elsewhere
        self.assert_not_replaced(59)
        self.look(2)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])

    def test_that_while_begins_again_when_a_machine_has_come(self):
        self.program.ELSEWHERE = self.elsewhere
        self.assert_not_replaced(40)
        self.new_pod({"type": "PodScheduled", "status": "True"})
        self.assert_not_replaced(1)
        self.new_pod(NO_PLACE)
        self.assert_not_replaced(59)

    def test_both_words_of_the_scheduler(self):
        old = {**NO_PLACE, "message": "0/3 nodes are available: 2 node(s) had volume node affinity conflict, 1 Insufficient cpu."}
        self.new_pod(old)
        self.look(0.4)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])

    def test_a_human_is_called_while_nobody_else_has_the_data(self):
        self.silent, self.agreeing = {"db-0"}, set()
        self.assert_not_replaced()
        self.assertIn("WAITING FOR A HUMAN: the machine of db-2 was deleted", self.said[-1])
        self.assertIn("kubectl delete pvc data-db-2", self.said[-1])
        self.silent = set()
        self.look(0.4)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])

    def test_only_by_the_primary(self):
        self.leads(leader="db-0", renewTime="1")
        self.assert_not_replaced()

    def test_only_with_a_synchronous_standby(self):
        for sync in {"leader": "db-1"}, {"leader": "db-0", "sync_standby": "db-0"}, {"leader": "db-1", "sync_standby": "db-9"}:
            with self.subTest(sync):
                self.api.put(self.sync_path, annotations=sync)
                self.assert_not_replaced()

    def test_only_with_a_synchronous_standby_that_answers(self):
        self.silent = {"db-0"}
        self.agreeing = set()
        self.assert_not_replaced()

    def test_only_with_a_synchronous_standby_that_was_heard_of(self):
        self.unheard = {"db-0"}
        self.assert_not_replaced()

    def test_not_with_a_list_of_members_that_may_be_old(self):
        self.program.members.current = False
        self.assert_not_replaced()

    def test_not_while_the_lease_cannot_be_read(self):
        self.program.lease.look(True)
        self.api.calls.clear()
        self.the_lease_cannot_be_read()
        self.assert_not_replaced()

    def test_the_pod_whose_machine_is_gone_is_waited_out(self):
        for word in {}, {"pgk/volume": "data"}, {"pgk/volume": "unusable"}:
            with self.subTest(word):
                self.new_pod(NO_PLACE, **word)
                self.deleted(GONE)
                self.list_pods()
                self.assert_not_replaced()
                del self.program.members.pods["db-2"]
                self.assert_not_replaced()
        self.new_pod(NO_PLACE)
        self.look(0.4)
        self.assertEqual(self.written(), [self.claim, "pods/db-2"])

    def test_a_claim_that_is_gone_already_is_not_missed(self):
        del self.api.objects[self.claim]
        self.look(0.4)
        self.assertEqual(self.written(), ["pods/db-2"])

    def test_the_garbage_collectors_word_is_heard_before_the_pod_is_gone(self):
        pod = self.api.get("pods/db-2")
        pod["status"]["conditions"] = [GONE]
        for change in "ADDED", "MODIFIED", "DELETED":
            with self.subTest(change):
                self.program.members.collected.clear()
                self.program.members.current = True
                self.follow([(change, pod)])
                uid, when = self.program.members.collected["db-2"]
                self.assertEqual((uid, when), (pod["metadata"]["uid"], self.clock.now))

    def test_not_after_half_an_hour(self):
        self.clock.now += 1801
        self.assert_not_replaced()
        self.assertEqual(self.program.members.collected, {})
        self.assertEqual(len([line for line in self.said if "kubectl delete pvc data-db-2" in line]), 1)

    def test_not_if_the_claim_is_another_one_by_now(self):
        self.api.before["DELETE", self.claim] = lambda: self.api.put(self.claim)
        self.look(0.4)
        self.assertEqual(self.refused, 409)
        self.assertIn("pods/db-2", self.api.objects)

    def test_a_replacement_that_failed_half_way_is_finished(self):
        self.api.before["DELETE", "pods/db-2"] = lambda: setattr(self.api, "away", True)
        self.look(0.4)
        self.api.away = False
        self.look(0.4)
        self.assertNotIn("pods/db-2", self.api.objects)

    def test_the_old_pods_word_is_not_taken_for_the_new_ones(self):
        self.program.members.collected.clear()
        self.new_pod(**{"pgk/volume": "data"})
        old = self.api.get("pods/db-2")
        old["status"]["conditions"] = [GONE]
        looked = self.program.members.note_collected

        def note_and_look(pod):
            looked(pod)
            self.look(0.4)

        self.program.members.note_collected = note_and_look
        self.program.members.current = True
        self.follow([("DELETED", old)])
        self.assertIn("db-2", self.program.members.collected)

    def follow(self, changes):
        for change in changes:
            self.program.members.changed(*change)


class Pods(WatcherTest):
    """The list of the members."""

    def watch(self, *streams):
        streams = list(streams)

        def watch(_path):
            if not streams:
                raise End
            yield from streams.pop(0)()

        self.pgk.Api = lambda: types.SimpleNamespace(watch=watch)
        self.pgk.time = self.clock
        with self.assertRaises(End):
            self.program.follow("watch the members", "pods", self.program.members.changed)

    def pod(self, name, address):
        return {"metadata": {"name": name, "uid": address}, "status": {"podIP": address} if address else {}}

    def others(self):
        return {name: member.address for name, member in self.program.members.others.items()}

    def test_follows_the_pods_that_have_an_address_except_its_own(self):
        seen = []

        def stream():
            yield "ADDED", self.pod("db-0", "10.0.0.9")
            yield "ADDED", self.pod("db-1", "10.0.0.1")
            yield "ADDED", self.pod("db-2", None)
            yield "LISTED", None
            seen.append((self.others(), self.program.members.current))
            yield "MODIFIED", self.pod("db-2", "10.0.0.5")
            seen.append(self.others())
            yield "DELETED", self.pod("db-0", "10.0.0.9")
            seen.append(self.others())

        first = self.program.members.others["db-0"]
        self.program.members.current = False
        self.watch(stream)
        self.assertEqual(seen, [({"db-0": "10.0.0.9"}, True), {"db-0": "10.0.0.9", "db-2": "10.0.0.5"}, {"db-2": "10.0.0.5"}])
        self.assertTrue(first.left, "a pod with another address is another member")
        self.assertFalse(self.program.members.current)

    def test_a_watch_that_ends_is_begun_again(self):
        def failing():
            raise OSError("the Kubernetes API does not answer")
            yield

        def listing():
            yield "ADDED", self.pod("db-5", "10.0.0.5")
            yield "LISTED", None

        self.watch(failing, failing, listing)
        self.assertEqual(self.others(), {"db-5": "10.0.0.5"})

    def test_a_member_that_did_not_change_is_the_same_one(self):
        before = dict(self.program.members.others)
        self.list_pods()
        self.assertEqual(before, self.program.members.others)

    def test_a_watch_that_is_cut_off_is_begun_again(self):
        for error in OSError("cut off"), http.client.IncompleteRead(b""), TypeError(), AttributeError():
            with self.subTest(error):
                seen = []

                def cut():
                    yield "LISTED", None
                    seen.append(self.program.members.current)
                    raise error

                def listing():
                    seen.append(self.program.members.current)
                    yield "LISTED", None

                began = self.clock.now
                self.watch(cut, listing)
                self.assertEqual((seen, self.clock.now - began), ([True, False], 1))

    def test_a_watch_that_the_server_ends_is_begun_again_at_once(self):
        def listing():
            yield "ADDED", self.pod("db-5", "10.0.0.5")
            yield "LISTED", None

        began = self.clock.now
        self.watch(listing, listing)
        self.assertEqual((self.others(), self.clock.now), ({"db-5": "10.0.0.5"}, began))


class Looks(ProgramTest):
    """The loop of the looks."""

    def test_it_looks_again_whatever_went_wrong(self):
        self.load("watcher", "db-1")
        nothing = types.SimpleNamespace(start=lambda: None, serve_forever=None)
        self.program.threading = types.SimpleNamespace(Thread=lambda **_: nothing)
        self.program.Door = mock.Mock(return_value=nothing, address_family=socket.AF_INET)
        self.program.socket = mock.Mock()
        self.program.signal = types.SimpleNamespace(signal=lambda *_: None, SIGTERM=15)
        errors = [self.pgk.ApiError(409, ""), self.pgk.ApiError(403, ""), OSError(), ValueError(), KeyError(), TypeError()]

        def look():
            raise errors.pop(0) if errors else End

        self.program.look = look
        with self.assertRaises(End):
            self.program.main()


class Silence(ProgramTest):
    """With real connections."""

    def setUp(self):
        self.load("watcher", "db-1")

    def socket(self):
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 0))
        return sock, sock.getsockname()[1]

    def answering(self):
        sock, port = self.socket()
        sock.listen(64)
        return port

    def refusing(self):
        return self.socket()[1]

    def hanging(self):
        """A port that takes no more connections: its queue is full, and nobody empties it."""
        sock, port = self.socket()
        sock.listen(0)
        for _ in range(4):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        return port

    def test_what_a_port_says(self):
        for port, seconds, answer in (self.answering, 10, True), (self.refusing, 10, False), (self.hanging, 0.1, None):
            with self.subTest(port.__name__):
                number, self.program.ATTEMPT = port(), seconds
                self.assertIs(self.program.knock("127.0.0.1", number, seconds), answer)
                self.assertIs(self.program.refuses(number), answer is False)

    def test_each_port_is_tried_until_the_member_is_gone(self):
        tried = {port: threading.Event() for port in self.program.PORTS}
        self.program.time = types.SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: time.sleep(0.01))
        self.program.knock = lambda address, port, seconds: tried[port].set()
        probers = []

        def thread(**arguments):
            probers.append(threading.Thread(**arguments))
            return probers[-1]

        self.program.threading = types.SimpleNamespace(Thread=thread, Event=threading.Event)
        member = self.program.Member({"metadata": {"name": "db-0"}, "status": {"podIP": "127.0.0.1"}})
        try:
            self.assertFalse(any(event.wait(1) for event in tried.values()), "pings have answers")
            member.doubt()
            for _ in range(2):
                for event in tried.values():
                    self.assertTrue(event.wait(10))
                    event.clear()
        finally:
            member.leave()
        for prober in probers:
            prober.join(10)
            self.assertFalse(prober.is_alive())

    def test_the_watchers_tell_each_other(self):
        program = self.program
        suspect, well = (types.SimpleNamespace(address=address, silent=lambda seconds, since=since: seconds <= since)
                         for address, since in (("10.0.0.0", 2), ("10.0.0.2", 1)))
        program.members.others = {"db-0": suspect, "db-2": well}
        with mock.patch("socket.getfqdn", side_effect=AssertionError("the DNS may be away")):
            door = program.Door(("127.0.0.1", 0), program.Answer)
        threading.Thread(target=door.serve_forever, args=(0.01,), daemon=True).start()
        program.PORT = door.server_address[1]
        asked = types.SimpleNamespace(address="127.0.0.1")
        try:
            self.assertTrue(program.agrees(asked, suspect, "/unserved"))
            self.assertFalse(program.agrees(asked, suspect, "/"))
            self.assertFalse(program.agrees(asked, well, "/unserved"))
        finally:
            door.shutdown()
            door.server_close()
        self.assertFalse(program.agrees(asked, suspect, "/unserved"), "who does not answer does not agree")

    def test_nonsense_is_no_agreement(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        self.program.PORT = listener.getsockname()[1]
        suspect = types.SimpleNamespace(address="127.0.0.1")
        for answer in b"", b"SSH-2.0\r\n", b"HTTP/1.0 200 OK\r\n\r\nnot JSON", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n[]":
            def give():
                connection = listener.accept()[0]
                connection.recv(1000)
                connection.sendall(answer)
                connection.close()

            thread = threading.Thread(target=give)
            thread.start()
            with self.subTest(answer):
                self.assertFalse(self.program.agrees(suspect, suspect, "/"))
            thread.join()


class Pings(ProgramTest):
    """db-1 pings db-0 and db-2."""

    def setUp(self):
        self.load("watcher", "db-1")
        self.sent = []
        self.program.members.others = {
            f"db-{n}": types.SimpleNamespace(address=f"10.0.0.{n}", heard=0, doubt=lambda: None) for n in (0, 2)}

    def ping(self, *arrivals, refused=()):
        """Each of `arrivals` after so many seconds."""
        arrivals = list(arrivals)

        def receive(_size):
            if not arrivals:
                raise End
            seconds, word, sender = arrivals[0]
            if seconds > self.timeout:
                arrivals[0] = seconds - self.timeout, word, sender
                self.clock.now += self.timeout
                raise TimeoutError
            self.clock.now += seconds
            arrivals.pop(0)
            return word, (sender, 8010, 0, 0)

        def send(word, where):
            if where[0] in refused:
                raise OSError(101, "Network is unreachable")
            self.sent.append((round(self.clock.now - 1000, 1), word, *where))

        post = types.SimpleNamespace(recvfrom=receive, sendto=send, settimeout=lambda seconds: setattr(self, "timeout", seconds))
        with self.assertRaises(End):
            self.program.ping(post)

    def heard(self):
        return {name: round(one.heard - 1000, 1) for name, one in self.program.members.others.items() if one.heard}

    def test_each_member_is_pinged_again_and_again_whatever_arrives(self):
        self.ping(*[(0.1, b"", "10.0.0.2")] * 10)
        self.assertEqual(self.sent, [(when, self.program.PING, f"10.0.0.{n}", 8010) for when in (0, 0.4, 0.8) for n in (0, 2)])

    def test_who_answers_is_heard(self):
        self.ping((0.1, self.program.PONG, "10.0.0.2"), (1, self.program.PONG, "10.0.0.2"))
        self.assertEqual(self.heard(), {"db-2": 1.1})

    def test_who_pings_is_answered_but_not_heard(self):
        self.ping((0.1, self.program.PING, "10.0.0.2"), (0.1, b"anything", "10.0.0.0"), (0.1, self.program.PONG, "10.0.0.7"))
        self.assertIn((0.1, self.program.PONG, "10.0.0.2", 8010), self.sent)
        self.assertEqual(len(self.sent), 3)
        self.assertEqual(self.heard(), {})

    def test_a_member_that_cannot_be_reached_holds_up_no_other(self):
        self.ping((1, self.program.PING, "10.0.0.0"), (0.1, self.program.PONG, "10.0.0.2"), refused={"10.0.0.0"})
        self.assertEqual({address for _, _, address, _ in self.sent}, {"10.0.0.2"})
        self.assertEqual(self.heard(), {"db-2": 1.1})


class Starved(ProgramTest):
    """A prober that is not given the time to look. Its clock goes on only as the test says."""

    def setUp(self):
        self.load("watcher", "db-1")
        self.program.threading = types.SimpleNamespace(Thread=lambda **_: types.SimpleNamespace(start=lambda: None), Event=threading.Event)
        self.member = self.program.Member({"metadata": {"name": "db-0"}, "status": {"podIP": "10.0.0.0"}})
        # Pings are sent all the time.
        nothing = lambda: None
        self.member.doubted = types.SimpleNamespace(wait=lambda _: self.member.doubt(), set=nothing, clear=nothing)

    def attempts(self, *seconds):
        """Lets one prober try as often, without success; each attempt takes so long. No ping is answered."""
        left = list(seconds)

        def connect(address, timeout):
            self.assertEqual(address, ("10.0.0.0", 5432))
            self.clock.now += left.pop(0)
            self.member.left = not left
            raise TimeoutError

        self.pgk.socket = types.SimpleNamespace(create_connection=connect)
        self.clock.on_sleep = self.other_prober
        self.program.Member.listen(self.member, 5432)

    def other_prober(self):
        """The one that tries 8008 has just looked, too, and heard nothing."""
        self.member.looked[8008] = self.member.tried[8008] = self.clock.now

    def test_it_has_heard_silence_if_it_looked_in_time(self):
        self.attempts(0.8, 0.8, 0.8)
        self.assertTrue(self.member.silent())

    def test_a_replica_is_silent_after_one_attempt(self):
        self.assertFalse(self.member.silent(self.program.UNSERVED))
        self.attempts(0.8)
        self.assertTrue(self.member.silent(self.program.UNSERVED))
        self.assertFalse(self.member.silent())

    def test_attempts_begin_in_time_however_late_the_last_answer_was(self):
        for late in 0.001, 0.15, 0.3:
            with self.subTest(late):
                self.member.doubted = mock.Mock()
                self.member.heard = self.clock.now + late
                for _ in range(2):
                    self.clock.now += self.program.PAUSE
                    self.member.doubt()
                self.member.doubted.set.assert_called_once_with()

    def test_no_attempt_is_no_silence(self):
        for port in self.program.PORTS:
            self.member.looked = dict.fromkeys(self.program.PORTS, self.clock.now + 2)
            self.clock.now += 2
            self.assertFalse(self.member.silent(self.program.UNSERVED))
            self.member.tried[port] = self.clock.now
        self.assertTrue(self.member.silent(self.program.UNSERVED))

    def test_silence_takes_a_while(self):
        self.attempts(0.8)
        self.assertFalse(self.member.silent())

    def test_who_answers_on_one_port_is_not_silent(self):
        sleeps = []

        def answers():
            self.member.looked[8008] = self.clock.now
            sleeps.append(self.member.silent())
            if len(sleeps) % 2 == 0:
                self.member.heard = self.clock.now

        self.other_prober = answers
        self.attempts(*[0.8] * 10)
        self.assertEqual(set(sleeps), {False})

    def test_who_answers_pings_is_not_asked(self):
        slept = []

        def pong():
            self.member.heard = self.member.looked[8008] = self.clock.now
            slept.append(self.clock.now)
            self.member.left = len(slept) == 50

        self.other_prober = pong
        self.clock.on_sleep = pong
        self.program.knock = mock.Mock()
        self.member.listen(5432)
        self.program.knock.assert_not_called()

    def test_not_to_have_tried_is_not_silence(self):
        """The last time that a prober could rest is too long ago when the silence is long enough."""
        self.program.knock = mock.Mock(return_value=None)
        while not self.program.knock.called:
            looked = dict(self.member.looked)
            self.clock.on_sleep = lambda: setattr(self.member, "left", True)
            self.member.left = False
            self.member.listen(5432)
        self.member.looked = dict.fromkeys(self.program.PORTS, looked[5432])
        self.clock.now = self.member.heard + self.program.SILENCE
        self.assertFalse(self.member.silent())

    def test_it_has_not_heard_silence_if_it_did_not_look(self):
        self.attempts(0.8, 0.8, 30)
        self.assertFalse(self.member.silent())

    def test_an_unreachable_network_is_silence(self):
        def unreachable(address, timeout):
            self.clock.now += 1
            self.member.left = self.clock.now > 1005
            raise OSError(113, "No route to host")

        self.clock.on_sleep = self.other_prober
        self.pgk.socket = types.SimpleNamespace(create_connection=unreachable)
        self.program.Member.listen(self.member, 5432)
        self.assertTrue(self.member.silent())

    def test_nobody_is_silent_just_after_the_watcher_was_frozen(self):
        self.clock.now += 30
        self.assertFalse(self.member.silent())
        self.attempts(0.8, 0.8, 0.8, 0.8)
        self.assertTrue(self.member.silent())
        self.clock.now += 30
        self.assertFalse(self.member.silent())

    def test_both_probers_must_have_looked(self):
        self.other_prober = lambda: None
        self.attempts(0.8, 0.8, 0.8)
        self.assertFalse(self.member.silent())

    def test_who_was_never_heard_of_is_not_well(self):
        self.assertFalse(self.member.well())
        self.attempts(0.8, 0.8)
        self.assertFalse(self.member.well())

    def test_who_answers_is_well_until_it_is_silent(self):
        for refusal in None, ConnectionRefusedError:
            with self.subTest(refusal):
                self.setUp()

                def connect(address, timeout):
                    self.clock.now += 0.1
                    self.member.left = True
                    if refusal:
                        raise refusal
                    return types.SimpleNamespace(close=lambda: None)

                self.clock.on_sleep = self.other_prober
                self.pgk.socket = types.SimpleNamespace(create_connection=connect)
                self.member.listen(5432)
                self.assertTrue(self.member.well())
                self.member.left = False
                self.attempts(0.8, 0.8, 0.8)
                self.assertFalse(self.member.well())

    def test_nobody_is_well_just_after_the_watcher_was_frozen(self):
        self.attempts(30)
        self.assertFalse(self.member.well())


if __name__ == "__main__":
    main()
