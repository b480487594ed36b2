"""pgk.py: how the programs talk to the Kubernetes API and to Patroni."""

import copy
import http.client
import http.server
import json
import re
import socket
import threading
import time
import types
from unittest import main, mock

from fakes import OBJECTS, PATRONI, ProgramTest, certificate

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
            self.close_connection = None in answer
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


class Mounted(ProgramTest):
    def test_a_member_starts_without_parameters_that_cannot_be_read(self):
        self.load("pgk", "db-1")
        said = []
        self.pgk.log = said.append
        parameters = self.pgk.mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"]
        self.assertEqual(parameters["work_mem"], "8MB")
        for text in "work_mem: [", "- work_mem", "just words":
            with self.subTest(text):
                (self.folder / "config/parameters.yaml").write_text(text)
                self.assertEqual(self.pgk.mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"], {"wal_sender_timeout": "5s"})
                self.assertIn("going on without it", said[-1])
        (self.folder / "config/parameters.yaml").write_text("")
        self.assertEqual(self.pgk.mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"], {"wal_sender_timeout": "5s"})

    def test_a_condition_is_written_when_it_changes(self):
        self.load("pgk", "db-1")
        condition = self.pgk.Condition("pgk/x")
        calls = []
        condition.api = types.SimpleNamespace(call=lambda *what: calls.append(what))
        for _ in range(2):
            condition.tell(None)
            condition.tell(None)
            condition.tell("Bad", "one", False, 1)
            condition.tell("Bad", "two", False, 1)
            condition.tell("Bad", "three", False, 2)
            condition.tell("Good", "four")
        self.assertEqual({what[:2] for what in calls}, {("PATCH", "pods/db-1/status")})
        written = [body["status"]["conditions"][0] for *_, body in calls]
        self.assertEqual([(one.get("status"), one.get("message"), one.get("$patch")) for one in written], [
            (None, None, "delete"), ("False", "one", None), ("False", "three", None), ("True", "four", None)] * 2)
        self.assertEqual({one["type"] for one in written}, {"pgk/x"})


class PatroniTest(ProgramTest):
    """Patroni's API, with TLS or without: of the other members, this one does not know which."""

    def setUp(self):
        self.load("handover", "db-0")
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        # Whatever the program connects to is this server.
        address = self.server.server_address
        real = http.client.HTTPConnection.connect

        def connect(connection):
            self.assertEqual((connection.host, connection.port), ("127.0.0.1", 8008))
            connection.host, connection.port = address
            real(connection)
        patch = mock.patch.object(http.client.HTTPConnection, "connect", connect)
        patch.start()
        self.addCleanup(patch.stop)

    def speak_tls(self):
        context = certificate(self.folder)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)

    def test_one_that_speaks_tls(self):
        self.speak_tls()
        self.server.answers = [(200, {"role": "primary"})]
        self.assertEqual(self.pgk.patroni("GET", "/patroni"), (200, {"role": "primary"}))
        self.server.answers = [(200, "ok")]
        self.pgk.patroni("POST", "/restart", {"a": 1})
        method, path, headers, body = self.server.requests[-1]
        self.assertEqual((method, path, body), ("POST", "/restart", {"a": 1}))
        self.assertTrue(headers["Authorization"].startswith("Basic "))

    def test_one_that_does_not_yet(self):
        self.server.answers = [(200, {"role": "replica"})]
        began = time.monotonic()
        self.assertEqual(self.pgk.patroni("GET", "/patroni"), (200, {"role": "replica"}))
        self.assertLess(time.monotonic() - began, 1)
        self.assertEqual(len(self.server.requests), 1, "what it could not read was no request")

    def test_silence_is_not_waited_for_twice(self):
        self.server.server_close()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.server.server_address = silent.getsockname()
            with mock.patch.object(http.client.HTTPConnection, "connect", lambda one: setattr(
                    one, "sock", socket.create_connection(silent.getsockname(), one.timeout))):
                began = time.monotonic()
                with self.assertRaises(OSError):
                    self.pgk.patroni("GET", "/patroni", timeout=1)
        self.assertLess(time.monotonic() - began, 1.8)

    def test_tls_is_configured_where_this_pod_has_a_certificate(self):
        self.pgk.CERTIFICATE = f"{self.folder}/tls/tls.crt"
        self.pgk.CERTIFICATE_KEY = f"{self.folder}/tls/tls.key"
        self.pgk.write_patroni_yaml(False)
        written = self.patroni_yaml()
        self.assertNotIn("certfile", written["restapi"])
        self.assertNotIn("pg_hba", written["postgresql"])
        self.assertNotIn("ssl", written["postgresql"].get("parameters", {}))
        certificate(self.folder)
        config = copy.deepcopy(PATRONI)
        config["bootstrap"]["dcs"]["postgresql"]["pg_hba"] = [
            "local all postgres peer", "host replication replicator all scram-sha-256", "host all all all scram-sha-256"]
        (self.folder / "config/patroni.yaml").write_text(json.dumps(config))
        self.pgk.write_patroni_yaml(False)
        written = self.patroni_yaml()
        self.assertEqual(written["restapi"]["certfile"], self.pgk.CERTIFICATE)
        self.assertEqual(written["restapi"]["keyfile"], self.pgk.CERTIFICATE_KEY)
        self.assertEqual(written["restapi"]["connect_address"], "127.0.0.1:8008")
        self.assertIs(written["ctl"]["insecure"], True)
        self.assertEqual(written["postgresql"]["pg_hba"], [
            "hostssl replication,all replicator all scram-sha-256",
            "hostnossl replication,all replicator all reject",
            "local all postgres peer", "host all all all scram-sha-256"])
        parameters = written["postgresql"]["parameters"]
        self.assertEqual(parameters["ssl"], "on")
        self.assertEqual(parameters["ssl_cert_file"], self.pgk.CERTIFICATE)
        self.assertEqual(parameters["ssl_key_file"], self.pgk.CERTIFICATE_KEY)
        for name in "tls.crt", "tls.key":
            self.assertEqual((self.folder / "tls" / name).stat().st_mode & 0o777, 0o600)


class PgkTest(ProgramTest):
    def setUp(self):
        self.load("first_start", "db-0")
        self.server = Server()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.connections = 0
        self.client = self.pgk.Api(timeout=1)
        self.client.connect = self.connect

    def connect(self):
        self.connections += 1
        self.connection = http.client.HTTPConnection(*self.server.server_address, timeout=self.client.timeout)
        return self.connection

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

    def test_of_a_pods_status_one_condition_is_patched(self):
        self.server.answers = [(200, {})]
        self.client.call("PATCH", "pods/db-0/status", {})
        self.assertEqual(self.server.requests[0][2]["Content-Type"], "application/strategic-merge-patch+json")

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
        self.server.answers = [(200, PODS), [{"type": "ADDED", "object": {}}]]
        timeouts = [self.connection.sock.gettimeout() for _ in self.client.watch("pods?a=b")]
        asked = int(re.search(r"timeoutSeconds=(\d+)", self.server.requests[1][1])[1])
        self.assertEqual(timeouts[:2], [1, 1], "the list")
        self.assertLess(asked, timeouts[2])

    def test_a_watch_that_has_ended_goes_on_with_its_connection(self):
        for end, connections in ([], 1), ([{"type": "ERROR", "object": {"code": 410}}], 2), ([b"no JSON\n"], 2):
            with self.subTest(end):
                self.connections, self.client.connection = 0, None
                for _ in range(2):
                    self.server.answers = [(200, PODS), end]
                    try:
                        list(self.client.watch("pods?a=b"))
                    except OSError:
                        pass
                self.assertEqual((self.connections, self.connection.timeout), (connections, 1))
                self.assertEqual(self.client.connection and self.client.connection.sock.gettimeout(), 1 if connections == 1 else None)

    def test_a_watch_that_is_left_is_not_gone_on_with(self):
        self.server.answers = [(200, PODS), [{"type": "ADDED", "object": {}}]]
        watch = self.client.watch("pods?a=b")
        self.assertEqual([next(watch)[0] for _ in range(3)], ["ADDED", "LISTED", "ADDED"])
        watch.close()
        self.assertIsNone(self.client.connection)

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
        for self.use_endpoints in True, False:
            self.load("first_start", "db-0")
            instance = self.pgk.instance()
            self.assertEqual((instance.leader, instance.dynamic, instance.sync), OBJECTS[self.use_endpoints])
            kind, lease = OBJECTS[self.use_endpoints][0].split("/")
            self.assertEqual(instance.lease, f"{kind}?fieldSelector=metadata.name%3D{lease}")
            self.assertEqual(instance.pods, "pods?labelSelector=app%3Ddb,cluster-name%3Ddb")
            self.assertEqual(instance.rendered, "configmaps/db-config-files")


class Secret(ProgramTest):
    def secret(self, text):
        self.load("first_start", "db-0")
        (self.folder / "credentials/replication-password").write_text(text, newline="")
        return self.pgk.secret("replication-password")

    def test_the_end_of_its_line_does_not_belong_to_a_password(self):
        for end in "", "\n", "\r\n", "\n\n":
            self.assertEqual(self.secret(" a b" + end), " a b")
        self.pgk.write_patroni_yaml(False)
        self.assertEqual(self.patroni_yaml()["postgresql"]["authentication"]["replication"]["password"], " a b")

    def test_patroni_sets_no_password_in_a_new_database(self):
        self.secret("50 € $$")
        self.pgk.write_patroni_yaml(True)
        roles = self.patroni_yaml()["postgresql"]["authentication"]
        self.assertEqual([role for role in roles if "password" in roles[role]], [])
        self.pgk.write_patroni_yaml(False)
        self.assertEqual(self.patroni_yaml()["postgresql"]["authentication"]["replication"]["password"], "50 € $$")

    def test_a_password_that_cannot_be_one_is_named(self):
        for text in "", "\n", "a\nb", "a\0b":
            with self.subTest(text), self.assertRaisesRegex(ValueError, "replication-password in the Secret"):
                self.secret(text)

    def test_members_know_each_other_whatever_ends_the_line(self):
        self.load("first_start", "db-0")
        known = self.pgk.patroni_password()
        (self.folder / "credentials/superuser-password").write_text("secret-1\n")
        self.assertEqual(self.pgk.patroni_password(), known)


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
        self.pgk.lead(self.api)

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

    def test_a_later_primary_is_not_overwritten(self):
        self.slice_for("10.0.0.0")

        def later():
            self.leads(leader="db-2")
            self.slice_for("10.0.0.2")

        # Between its two reads, and after both.
        for call in ("GET", "endpointslices/db"), ("GET", self.leader_path), ("PATCH", self.slice):
            with self.subTest(call):
                self.leads(leader="db-1")
                self.slice_for("10.0.0.0")
                self.api.before[call] = later
                try:
                    self.lead()
                except self.pgk.ApiError as error:
                    self.assertEqual(error.status, 409)
                self.assertEqual(self.addresses(), [["10.0.0.2"]])

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
        self.pgk.lead(self.api)
        self.assertEqual(self.api.calls, [])


if __name__ == "__main__":
    main()
