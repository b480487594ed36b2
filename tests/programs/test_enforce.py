"""measure/enforce.py: the rules for each node follow from the policies, and the kernel does what
they say."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

MEASURE = pathlib.Path(__file__).resolve().parent.parent.parent / "measure"
sys.path.insert(0, str(MEASURE))
import enforce

DB, WEB, OTHER = "10.9.1.2", "10.9.1.3", "10.9.2.2"


def pod(name, address, namespace="db", node="n1", ports=(), **spec):
    named = [{"name": word, "containerPort": port, "protocol": protocol}
             for word, port, protocol in ports]
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": named}], **spec},
        "status": {"phase": "Running", "podIPs": [{"ip": address}] if address else None},
    }


def expects(key, operator, values=()):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def policy(spec, namespace="db"):
    return {"metadata": {"name": "p", "namespace": namespace}, "spec": spec}


NAMESPACES = [{"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
              for name in ("db", "shop")]
PODS = [
    pod("db", DB, ports=[("sql", 5432, "TCP"), ("ping", 8010, "UDP")]),
    pod("web", WEB),
    pod("far", OTHER, node="n2", ports=[("sql", 6543, "TCP")]),
    pod("web", "10.9.2.3", namespace="shop", node="n2"),
]
OF_DB = {"matchLabels": {"app": "db"}}


def ways(spec, direction="Ingress", kind="ip", pods=tuple(PODS)):
    """What a policy for the pod `db` lets through."""
    one = policy({"podSelector": OF_DB, "policyTypes": [direction], **spec})
    world = enforce.World([one], list(pods), NAMESPACES)
    return [way for rule in one["spec"].get(direction.lower()) or []
            for way in world.allowed(one, rule, pods[0], direction, kind)]


class Rules(unittest.TestCase):
    def test_selectors(self):
        labels = {"app": "web", "tier": "a"}
        for selector, holds in [
            ({}, True),
            ({"matchLabels": {"app": "web"}}, True),
            ({"matchLabels": {"app": "web", "x": "y"}}, False),
            (expects("tier", "In", ["a", "b"]), True),
            (expects("x", "In", ["a"]), False),
            (expects("tier", "NotIn", ["a"]), False),
            (expects("x", "NotIn", ["a"]), True),
            (expects("x", "Exists"), False),
            (expects("x", "DoesNotExist"), True),
        ]:
            self.assertEqual(enforce.matches(selector, labels), holds, selector)

    def test_ports(self):
        rule = [{"ports": [
            {"port": 5432}, {"port": 8010, "protocol": "UDP"}, {"port": 1, "endPort": 9},
            {"protocol": "SCTP"}, {"port": "sql"}, {"port": "none"}]}]
        self.assertEqual(ways({"ingress": rule}), [
            "tcp dport 5432", "udp dport 8010", "tcp dport 1-9", "meta l4proto sctp",
            "tcp dport 5432"])
        self.assertEqual(ways({"ingress": [{}]}), [""])
        # A rule whose only port is a name that the pod does not have lets nothing through.
        self.assertEqual(ways({"ingress": [{"ports": [{"port": "none"}]}]}), [])
        self.assertEqual(ways({"ingress": []}), [])

    def test_peers(self):
        shop = {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}
        web = {"matchLabels": {"app": "web"}}
        for peer, expected in [
            ({"podSelector": web}, [f"ip saddr {{ {WEB} }} "]),
            ({"podSelector": {}}, [f"ip saddr {{ {DB}, {WEB}, {OTHER} }} "]),
            ({"namespaceSelector": shop}, ["ip saddr { 10.9.2.3 } "]),
            ({"namespaceSelector": {}, "podSelector": web}, [f"ip saddr {{ {WEB}, 10.9.2.3 }} "]),
            ({"podSelector": {"matchLabels": {"app": "x"}}}, []),
            ({"ipBlock": {"cidr": "10.0.0.1/8"}}, ["ip saddr 10.0.0.0/8 "]),
            ({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}},
             ["ip saddr 10.0.0.0/8 ip saddr != { 10.9.0.0/16 } "]),
            ({"ipBlock": {"cidr": "fd00::/8"}}, []),
        ]:
            self.assertEqual(ways({"ingress": [{"from": [peer]}]}), expected, peer)

    def test_a_name_is_a_port_of_the_pod_that_listens(self):
        rule = {"ports": [{"port": "sql"}]}
        by_pod = [f"ip daddr {{ {DB} }} tcp dport 5432", f"ip daddr {{ {OTHER} }} tcp dport 6543"]
        self.assertEqual(ways({"egress": [rule | {"to": [{"podSelector": {}}]}]}, "Egress"), by_pod)
        self.assertEqual(ways({"egress": [rule]}, "Egress"), by_pod)
        dns = {"ports": [{"port": 53, "protocol": "UDP"}]}
        self.assertEqual(ways({"egress": [dns]}, "Egress"), ["udp dport 53"])

    def test_both_families(self):
        both = PODS[0] | {"status": {"podIPs": [{"ip": DB}, {"ip": "fd00::2"}]}}
        six = PODS[1] | {"status": {"podIPs": [{"ip": "fd00::3"}]}}
        rule = {"ingress": [{"from": [{"podSelector": {}}]}]}
        expected = ["ip6 saddr { fd00::2, fd00::3 } "]
        self.assertEqual(ways(rule, kind="ip6", pods=(both, six)), expected)
        one = policy({"podSelector": OF_DB} | rule)
        text = enforce.World([one], [both, six], NAMESPACES).rules("n1")
        self.assertIn("ip daddr 10.9.1.2 jump ingress_0\n", text)
        self.assertIn("ip6 daddr fd00::2 jump ingress_1\n", text)

    def test_which_pods_are_meant(self):
        def selected(spec, pods):
            return enforce.World([policy(spec)], pods, NAMESPACES).rules("n1").count(" jump ")
        everybody = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        self.assertEqual(selected(everybody, PODS), 4, "two pods of this node, two directions")
        self.assertEqual(selected({"podSelector": {}}, PODS), 2)
        self.assertEqual(selected({"podSelector": {}, "egress": []}, PODS), 4)
        ended = pod("x", "10.9.1.9")
        ended["status"]["phase"] = "Succeeded"
        for other in (pod("x", None), pod("x", "10.9.1.9", hostNetwork=True), ended,
                      pod("x", "10.9.1.9", namespace="shop"), pod("x", "10.9.2.9", node="n2")):
            self.assertEqual(selected(everybody, [other]), 0, other)

    def test_the_rules_do_not_depend_on_the_order(self):
        one = policy({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]})
        texts = {enforce.World([one], pods, NAMESPACES).rules("n1")
                 for pods in (PODS, PODS[::-1])}
        self.assertEqual(len(texts), 1)


# A network like that of a node: each pod has a leg, and what goes between them is routed.
NODE = """
set -eu
mount -t tmpfs none /run && mkdir -p /run/netns
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
for address in "$@"; do
    ip netns add "$address"
    ip link add "v$address" type veth peer name eth0 netns "$address"
    ip link set "v$address" up
    ip address add 169.254.1.1/32 dev "v$address"
    ip route add "$address/32" dev "v$address"
    ip -n "$address" link set lo up
    ip -n "$address" link set eth0 up
    ip -n "$address" address add "$address/32" dev eth0
    ip -n "$address" route add 169.254.1.1 dev eth0
    ip -n "$address" route add default via 169.254.1.1
done
nft -f -
for address in "$@"; do
    ip netns exec "$address" python3 -c '
import socket, time
ports = [socket.create_server(("", port), backlog=9) for port in (5432, 8008)]
print("listens", flush=True)
while True:
    time.sleep(9)' >"/run/$address" &
    until [ -s "/run/$address" ]; do sleep 0.02; done
done
try() { # FROM ADDRESS PORT
    if timeout 0.4 $1 bash -c ": >/dev/tcp/$2/$3" 2>/dev/null
    then echo "$2:$3 yes"; else echo "$2:$3 no"; fi
}
for from in "$@"; do
    for to in "$@"; do
        for port in 5432 8008; do echo "$from -> $(try "ip netns exec $from" "$to" "$port")"; done
    done
done
echo "node -> $(try '' "$1" 8008)"
kill $(jobs -p)
"""


class Kernel(unittest.TestCase):
    def test_packets(self):
        if not os.environ.get("PGK_PACKETS"):
            self.skipTest("PGK_PACKETS does not say that nft can be tried")
        client, alien = "10.9.1.4", "10.9.1.5"
        pods = PODS[:2] + [pod("client", client, namespace="shop"), pod("alien", alien)]
        policies = [
            policy({"podSelector": OF_DB, "policyTypes": ["Ingress", "Egress"], "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                 "ports": [{"port": "sql"}]},
                {"from": [{"namespaceSelector": {},
                           "podSelector": {"matchLabels": {"app": "client"}}}],
                 "ports": [{"port": 8000, "endPort": 8010}]},
            ], "egress": [{"to": [{"ipBlock": {"cidr": "10.9.1.0/24", "except": [f"{alien}/32"]}}],
                           "ports": [{"port": 5432}]}]}),
        ]
        rules = enforce.World(policies, pods, NAMESPACES).rules("n1")
        script = ["unshare", "-nm", "bash", "-c", NODE, "node", DB, WEB, client, alien]
        done = subprocess.run(script, input=rules, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{rules}")
        tried = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
        self.assertEqual(len(tried), 33, done.stdout)
        refused = {f"{source} -> {DB}:{port}" for source in (WEB, client, alien)
                   for port in (5432, 8008)}
        refused -= {f"{WEB} -> {DB}:5432", f"{client} -> {DB}:8008"}
        refused |= {f"{DB} -> {to}:8008" for to in (WEB, client, alien)} | {f"{DB} -> {alien}:5432"}
        self.assertEqual({what for what, outcome in tried.items() if outcome == "no"}, refused)


# Stand for kubectl (`kubectl proxy --unix-socket=PATH`), and for what runs nft on a node.
KUBECTL = """#!{python}
import http.server, pathlib, socketserver, sys
folder = pathlib.Path(__file__).parent
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = (folder / self.path.split("?")[0].split("/")[-1]).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    def get_request(self):
        return super().get_request()[0], ("x", 0)
Server(sys.argv[2].split("=")[1], Answer).serve_forever()
"""
ON_NODE = """#!/bin/sh
folder=$(dirname "$0") node=$1
shift
[ ! -e "$folder/$node-off" ] || exit 1
case $* in
    'nft -f -') cat >"$folder/$node.nft" ;;
    'nft list chain inet pgk_policies forward') grep -q jump "$folder/$node.nft" ;;
    *) exit 1 ;;
esac
"""


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        kubectl = KUBECTL.replace("{python}", sys.executable)
        for name, text in (("kubectl", kubectl), ("on", ON_NODE)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)
        self.say("pods", PODS)
        self.say("namespaces", NAMESPACES)
        self.say("nodes", [{"metadata": {"name": name}} for name in ("n1", "n2")])

    def say(self, what, items):
        path = self.folder / what
        path.with_suffix(".new").write_text(json.dumps({"items": items}))
        path.with_suffix(".new").rename(path)

    def eventually(self, node, part):
        path = self.folder / f"{node}.nft"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if path.exists() and part in path.read_text():
                return
            time.sleep(0.05)
        self.fail(f"{node} has no {part!r}: {path.read_text() if path.exists() else 'nothing'}")

    def test_rules_come_and_go(self):
        self.say("networkpolicies", [])
        (self.folder / "n2-off").touch()
        environment = os.environ | {"PATH": f"{self.folder}:{os.environ['PATH']}"}
        command = [sys.executable, MEASURE / "enforce.py", f"{self.folder}/on {{node}}"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        # Of one that was killed, something may be left.
        self.eventually("n1", enforce.REMOVE)
        self.say("networkpolicies", [policy({"podSelector": {}})])
        self.eventually("n1", f"ip daddr {DB} jump ")
        self.assertFalse((self.folder / "n2.nft").exists())
        (self.folder / "n2-off").unlink()
        self.eventually("n2", f"ip daddr {OTHER} jump ")
        # A node that was off and on again has lost its rules.
        (self.folder / "n1.nft").write_text("")
        self.eventually("n1", f"ip daddr {DB} jump ")
        self.say("networkpolicies", [])
        self.eventually("n1", enforce.REMOVE)
        self.say("networkpolicies", [policy({"podSelector": OF_DB})])
        self.eventually("n1", f"ip daddr {DB} jump ")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, said)
        self.assertEqual((self.folder / "n1.nft").read_text(), enforce.REMOVE)


if __name__ == "__main__":
    unittest.main()
