"""pgk.py: how the programs talk to the Kubernetes API and to Patroni."""

import http.client
import http.server
import json
import re
import threading
from unittest import main

from fakes import PATRONI, ProgramTest

PODS = {"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "db-0"}}]}


class Server(http.server.ThreadingHTTPServer):
    """Answers with what the test put into `answers`: a status and a body, or None to hang up."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = []
        self.requests = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append((self.command, self.path, dict(self.headers), body and json.loads(body)))
        answer = self.server.answers.pop(0)
        if answer is None:
            self.close_connection = True
        elif isinstance(answer, list):  # a watch: its lines, then its end; with None at the end it is cut off
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in answer:
                if isinstance(line, bytes):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                    continue
                text = json.dumps(line).encode() + b"\n"
                self.wfile.write(b'50\r\n{"type": ' if line is None else b"%x\r\n%s\r\n" % (len(text), text))
            if None not in answer:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = True
        else:
            status, value = answer
            text = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    do_GET = do_PATCH = do_DELETE = do_PUT = do_POST = answer

    def log_message(self, *arguments):
        pass


class PgkTest(ProgramTest):
    def setUp(self):
        self.load("first_start", "db-0")
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.connections = 0
        self.timeouts = []
        self.client = self.pgk.Api(timeout=1)
        self.client.connect = self.connect

    def connect(self, timeout):
        self.connections += 1
        self.timeouts.append(timeout)
        return http.client.HTTPConnection(*self.server.server_address, timeout=timeout)

    def test_one_connection_for_many_calls(self):
        self.server.answers = [(200, {"a": 1}), (200, {"a": 2})]
        self.assertEqual([self.client.get("x")["a"], self.client.get("x")["a"]], [1, 2])
        self.assertEqual(self.connections, 1)
        self.assertEqual(self.server.requests[0][1], "/api/v1/namespaces/test/x")
        self.assertEqual(self.server.requests[0][2]["Authorization"], "Bearer token")

    def test_what_is_not_there_is_none(self):
        self.server.answers = [(404, {})]
        self.assertIsNone(self.client.get("x"))

    def test_a_refusal_is_an_error_with_its_status(self):
        for status in 403, 409, 500, 503:
            self.server.answers = [(status, {"message": "no"})]
            with self.assertRaises(self.pgk.ApiError) as refused:
                self.client.patch("x", {})
            self.assertEqual(refused.exception.status, status)

    def test_a_change_is_a_merge_patch_of_the_metadata(self):
        self.server.answers = [(200, {})]
        self.client.patch("x", {"resourceVersion": "3", "annotations": {"leader": None}})
        method, _, headers, body = self.server.requests[0]
        self.assertEqual((method, headers["Content-Type"]), ("PATCH", "application/merge-patch+json"))
        self.assertEqual(body, {"metadata": {"resourceVersion": "3", "annotations": {"leader": None}}})

    def test_a_deletion_names_the_object_it_means(self):
        self.server.answers = [(200, {})]
        self.client.delete("x", "uid-1")
        self.assertEqual(self.server.requests[0][3]["preconditions"], {"uid": "uid-1"})

    def test_a_kept_connection_that_has_ended_is_made_anew_for_reading(self):
        self.server.answers = [(200, {"a": 1}), None, (200, {"a": 2})]
        self.client.get("x")
        self.assertEqual(self.client.get("x")["a"], 2)
        self.assertEqual(self.connections, 2)

    def test_a_write_is_not_repeated(self):
        self.server.answers = [(200, {}), None, (200, {})]
        self.client.get("x")
        with self.assertRaises(OSError):
            self.client.patch("x", {})
        self.assertEqual(len(self.server.answers), 1)

    def test_a_server_that_hangs_up_at_once_is_an_error(self):
        self.server.answers = [None, (200, {})]
        with self.assertRaises(OSError):
            self.client.get("x")

    def test_a_watch_lists_and_goes_on_from_there(self):
        self.server.answers = [(200, PODS), [
            {"type": "MODIFIED", "object": {"a": 1}},
            {"type": "DELETED", "object": {"a": 2}},
        ]]
        seen = list(self.client.watch("pods?labelSelector=a%3Db"))
        self.assertEqual(seen, [("ADDED", PODS["items"][0]), ("LISTED", None), ("MODIFIED", {"a": 1}), ("DELETED", {"a": 2})])
        self.assertIn("?labelSelector=a%3Db&watch=1", self.server.requests[1][1])
        self.assertIn("resourceVersion=7", self.server.requests[1][1])
        self.assertNotIn("Bookmarks", self.server.requests[1][1])

    def test_the_server_ends_a_watch_before_it_is_taken_for_dead(self):
        self.server.answers = [(200, PODS), []]
        self.assertEqual(len(list(self.client.watch("pods?a=b"))), 2)
        asked = int(re.search(r"timeoutSeconds=(\d+)", self.server.requests[1][1])[1])
        self.assertLess(asked, self.timeouts[-1])

    def test_a_watch_whose_version_is_too_old_ends(self):
        self.server.answers = [(200, PODS), [{"type": "ERROR", "object": {"code": 410}}, {"type": "ADDED", "object": {}}]]
        self.assertEqual(len(list(self.client.watch("pods?a=b"))), 2)

    def test_a_watch_that_is_cut_off_is_an_os_error(self):
        self.server.answers = [(200, PODS), [{"type": "ADDED", "object": {}}, None]]
        with self.assertRaises(OSError):
            list(self.client.watch("pods?a=b"))

    def test_a_watch_that_is_refused_or_answers_nonsense_is_an_os_error(self):
        for answer in None, (410, {"kind": "Status", "code": 410}), [b"no JSON\n"], [{"type": "ADDED"}]:
            with self.subTest(answer):
                self.server.answers = [(200, PODS), answer]
                with self.assertRaises(OSError):
                    list(self.client.watch("pods?a=b"))
                self.assertEqual(self.server.answers, [])

    def test_endpoint_slices_are_in_a_group_of_their_own(self):
        self.server.answers = [(200, {}), (201, {}), (200, {})]
        self.client.get("endpointslices/db")
        self.client.call("POST", "endpointslices", {"kind": "EndpointSlice"})
        self.client.get("endpoints/db")
        group = "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices"
        self.assertEqual([path for _, path, _, _ in self.server.requests], [group + "/db", group, "/api/v1/namespaces/test/endpoints/db"])
        self.assertEqual(self.server.requests[1][3], {"kind": "EndpointSlice"})

    def test_where_patroni_keeps_its_state(self):
        endpoints = {"scope": "db", "kubernetes": {"use_endpoints": True}}
        self.assertEqual(self.pgk.objects(endpoints), ("endpoints/db", "endpoints/db-config", "endpoints/db-sync"))
        self.assertEqual(self.pgk.objects(PATRONI), ("configmaps/db-leader", "configmaps/db-config", "configmaps/db-sync"))
        self.assertEqual(self.pgk.pods_path(PATRONI), "pods?labelSelector=app%3Ddb,cluster-name%3Ddb")


class Lead(ProgramTest):
    """db-1 makes the read/write Service lead to itself."""

    slice = "endpointslices/db"

    def setUp(self):
        self.load("first_start", "db-1")
        self.pgk.ADDRESS = "10.0.0.1"
        self.api.put("services/db")
        self.leads(leader="db-1")

    def lead(self):
        self.api.calls.clear()
        self.pgk.lead(self.api, self.pgk.mounted_config())

    def slice_for(self, *addresses, kind="IPv4"):
        endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
        self.api.put(self.slice).update(addressType=kind, endpoints=endpoints or None, ports=[{"port": 5432}])

    def addresses(self):
        return [one["addresses"] for one in self.api.objects[self.slice]["endpoints"]]

    def written(self):
        return [call for call in self.api.calls if call[0] != "GET"]

    def test_the_first_primary_makes_it(self):
        self.lead()
        self.assertEqual(self.written(), [("POST", "endpointslices")])
        made = self.api.bodies[-1][1]
        self.assertEqual((made["apiVersion"], made["kind"], made["addressType"]), ("discovery.k8s.io/v1", "EndpointSlice", "IPv4"))
        self.assertEqual(self.addresses(), [["10.0.0.1"]])
        self.assertEqual(made["endpoints"][0]["conditions"], {"ready": True})
        self.assertEqual(made["endpoints"][0]["targetRef"]["name"], "db-1")
        self.assertEqual([(port["name"], port["port"]) for port in made["ports"]], [("postgresql", 5432)])
        labels = made["metadata"]["labels"]
        self.assertEqual(labels["kubernetes.io/service-name"], "db", "by this the Service finds it")
        self.assertEqual(labels["app"], "db")
        self.assertNotEqual(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io")
        owner = made["metadata"]["ownerReferences"]
        self.assertEqual([one["uid"] for one in owner], [self.api.objects["services/db"]["metadata"]["uid"]])

    def test_the_former_primarys_address_is_replaced_by_one_write(self):
        for former in ("10.0.0.0",), (), ("10.0.0.0", "10.0.0.1"):
            with self.subTest(former):
                self.slice_for(*former)
                self.lead()
                self.assertEqual(self.written(), [("PATCH", self.slice)])
                self.assertEqual(self.addresses(), [["10.0.0.1"]])
                self.assertEqual(self.api.objects[self.slice]["ports"], [{"port": 5432}])

    def test_what_is_right_is_left_alone(self):
        self.slice_for("10.0.0.1")
        self.lead()
        self.assertEqual(self.written(), [])

    def test_what_it_has_made_is_right(self):
        self.lead()
        self.lead()
        self.assertEqual(self.written(), [])

    def test_nothing_is_done_without_the_lease(self):
        self.slice_for("10.0.0.0")
        for leader in "db-0", "db-11", None:
            with self.subTest(leader):
                self.leads(**{"leader": leader} if leader else {})
                self.lead()
                self.assertEqual(self.written(), [])
        del self.api.objects[self.leader_path]
        self.lead()
        self.assertEqual((self.written(), self.addresses()), ([], [["10.0.0.0"]]))

    def test_nothing_is_done_if_it_has_changed_meanwhile(self):
        self.slice_for("10.0.0.0")
        self.api.before["PATCH", self.slice] = lambda: self.slice_for("10.0.0.2")
        with self.assertRaises(self.pgk.ApiError):
            self.lead()
        self.assertEqual(self.addresses(), [["10.0.0.2"]])

    def test_another_family_of_addresses_needs_another_object(self):
        self.slice_for("10.0.0.0")
        self.pgk.ADDRESS = "fd00::1"
        self.lead()
        self.assertEqual(self.written(), [("DELETE", self.slice), ("POST", "endpointslices")])
        self.assertEqual((self.addresses(), self.api.objects[self.slice]["addressType"]), ([["fd00::1"]], "IPv6"))
        self.lead()
        self.assertEqual(self.written(), [])


class LeadByEndpoints(ProgramTest):
    use_endpoints = True

    def test_it_is_patronis_business(self):
        self.load("first_start", "db-1")
        self.leads(leader="db-1")
        self.pgk.lead(self.api, self.pgk.mounted_config())
        self.assertEqual(self.api.calls, [])


if __name__ == "__main__":
    main()
