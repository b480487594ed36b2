#!/usr/bin/env python3
"""Enforces the NetworkPolicies of a cluster whose network does not: for the lab, where each pod has
a leg to its node, which routes.

    measure/enforce.py COMMAND      for as long as it runs, on the cluster of KUBECONFIG

COMMAND runs a program on {node}, such as "lab exec {node}": its words are followed by those of
`nft`, which has to be there. Once a second, this program looks at policies, pods and namespaces,
and gives each node the rules of its own pods as one nftables table, which drops what no policy lets
through. For a second or two, a new pod is open, and the rules of others do not know it. SIGTERM or
SIGINT ends this program, which removes its tables.

What it enforces: a pod that a policy selects for a direction gets only what some policy for it
allows (podSelector, namespaceSelector, ipBlock with except, ports by number, range and name,
protocols). Replies and what belongs to a connection pass, and so do a pod's packets to itself. What
comes from the node itself or goes to it is not routed, and so not looked at. Pods of the host's
network are not looked at either, and no podSelector stands for them."""

import contextlib
import http.client
import ipaddress
import json
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE = "pgk_policies"
LOOK = 1  # seconds between two looks
TRUST = 5  # seconds after which it is looked whether a node still has its table
LISTS = {
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "nodes": "/api/v1/nodes",
}


def matches(selector, labels):
    """Whether a label selector stands for what has these labels. An empty one stands for all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for one in selector.get("matchExpressions") or []:
        there, values = one["key"] in labels, one.get("values") or []
        holds = {
            "In": there and labels.get(one["key"]) in values,
            "NotIn": labels.get(one["key"]) not in values,
            "Exists": there,
            "DoesNotExist": not there,
        }[one["operator"]]
        if not holds:
            return False
    return True


def labels_of(item):
    return item["metadata"].get("labels") or {}


def addresses(pod):
    """The addresses of a pod that has some of its own, and still uses them."""
    if pod["spec"].get("hostNetwork") or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return []
    return [one["ip"] for one in pod["status"].get("podIPs") or [] if one.get("ip")]


def family(address):
    return "ip6" if ":" in address else "ip"


def port_named(pod, name, protocol):
    """The number of the pod's port of this name; None if it has none."""
    sidecars = [one for one in pod["spec"].get("initContainers") or []
                if one.get("restartPolicy") == "Always"]
    containers = pod["spec"]["containers"] + sidecars
    for port in (port for one in containers for port in one.get("ports") or []):
        if port.get("name") == name and port.get("protocol", "TCP") == protocol:
            return port["containerPort"]
    return None


def ports_of(rule, pod):
    """What nft compares for each port of a rule, where it is this pod that listens; [""] is all."""
    found = []
    for one in rule.get("ports") or []:
        protocol, port = one.get("protocol", "TCP"), one.get("port")
        if isinstance(port, str):
            port = pod and port_named(pod, port, protocol)
            if port is None:
                continue
        word = protocol.lower()
        if port is None:
            found.append(f"meta l4proto {word}")
        elif one.get("endPort"):
            found.append(f"{word} dport {port}-{one['endPort']}")
        else:
            found.append(f"{word} dport {port}")
    return found if rule.get("ports") else [""]


def wants_names(rule):
    return any(isinstance(one.get("port"), str) for one in rule.get("ports") or [])


def one_of(addresses):
    return "{ " + ", ".join(sorted(addresses)) + " }"


class World:
    """The pods of the cluster, and which of them each policy is about."""

    def __init__(self, policies, pods, namespaces):
        self.policies = policies
        self.pods = [pod for pod in pods if addresses(pod)]
        self.namespaces = {one["metadata"]["name"]: labels_of(one) for one in namespaces}

    def about(self, pod, direction):
        """The policies that select the pod for this direction: `Ingress` or `Egress`."""
        def concerns(policy):
            spec = policy["spec"]
            types = spec.get("policyTypes") or ["Ingress"] + ["Egress"] * ("egress" in spec)
            return (policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
                    and direction in types
                    and matches(spec.get("podSelector") or {}, labels_of(pod)))
        return [policy for policy in self.policies if concerns(policy)]

    def peers(self, peer, namespace):
        """The pods that a peer stands for, in a policy of this namespace."""
        def is_one(pod):
            own = pod["metadata"]["namespace"]
            if "namespaceSelector" in peer:
                if not matches(peer["namespaceSelector"] or {}, self.namespaces.get(own, {})):
                    return False
            elif own != namespace:
                return False
            return matches(peer.get("podSelector") or {}, labels_of(pod))
        return [pod for pod in self.pods if is_one(pod)]

    def allowed(self, policy, rule, pod, direction, kind):
        """What nft compares for each way that a rule lets packets of this family through."""
        side, peers, listener = "daddr", rule.get("to"), None
        if direction == "Ingress":
            side, peers, listener = "saddr", rule.get("from"), pod
        if not peers and not (listener is None and wants_names(rule)):
            return ports_of(rule, listener)
        found = []
        for peer in peers or [{"namespaceSelector": {}}]:
            if "ipBlock" in peer:
                block = peer["ipBlock"]
                if family(block["cidr"]) == kind:
                    without = [one for one in block.get("except") or [] if family(one) == kind]
                    words = f"{kind} {side} {network(block['cidr'])}"
                    if without:
                        words += f" {kind} {side} != {one_of(network(one) for one in without)}"
                    found += [f"{words} {ports}" for ports in ports_of(rule, listener)]
                continue
            pods = self.peers(peer, policy["metadata"]["namespace"])
            # A name may be another number in each pod that listens.
            by_name = listener is None and wants_names(rule)
            for group in [[one] for one in pods] if by_name else [pods]:
                there = [one for pod in group for one in addresses(pod) if family(one) == kind]
                if there:
                    ports = ports_of(rule, group[0] if by_name else listener)
                    found += [f"{kind} {side} {one_of(there)} {one}" for one in ports]
        return found

    def rules(self, node):
        """The table of this node, as nft reads it; empty where it needs none."""
        jumps, chains = [], []
        local = [pod for pod in self.pods if pod["spec"].get("nodeName") == node]
        local.sort(key=lambda pod: (pod["metadata"]["namespace"], pod["metadata"]["name"]))
        for direction, own, other in (("Egress", "saddr", "daddr"), ("Ingress", "daddr", "saddr")):
            for pod in local:
                policies = self.about(pod, direction)
                if not policies:
                    continue
                for number, address in enumerate(addresses(pod)):
                    kind, chain = family(address), f"{direction.lower()}_{len(chains)}"
                    jumps.append(f"{kind} {own} {address} jump {chain}")
                    ways = {way for policy in policies
                            for rule in policy["spec"].get(direction.lower()) or []
                            for way in self.allowed(policy, rule, pod, direction, kind)}
                    where = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                    chains.append(
                        f"\tchain {chain} {{ # {where}, {direction}, {number}\n"
                        + f"\t\t{kind} {other} {address} return\n"
                        + "".join(f"\t\t{f'{way} return'.lstrip()}\n" for way in sorted(ways))
                        + "\t\tcounter drop\n\t}\n")
        if not jumps:
            return ""
        return (f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
                + "".join(chains)
                + "\tchain forward {\n\t\ttype filter hook forward priority -5; policy accept;\n"
                + "\t\tct state established,related accept\n"
                + "".join(f"\t\t{jump}\n" for jump in jumps)
                + "\t}\n}\n")


def network(text):
    return str(ipaddress.ip_network(text, strict=False))


REMOVE = f"table inet {TABLE}\ndelete table inet {TABLE}\n"


class Node:
    """A node, and the rules that it was given."""

    def __init__(self, name, command):
        self.name, self.command = name, [word.replace("{node}", name) for word in command]
        self.rules, self.looked, self.complaint = None, 0.0, ""
        self.fresh = True  # it may have those of an enforcer that was killed

    def nft(self, words, rules=None):
        try:
            return subprocess.run(self.command + ["nft", *words], input=rules, text=True,
                                  timeout=20, capture_output=True, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            return subprocess.CompletedProcess(words, 1, "", str(error))

    def apply(self, rules):
        """Gives it these rules, unless it has them. A node that was off has none."""
        if rules == self.rules and rules and time.monotonic() - self.looked >= TRUST:
            self.looked = time.monotonic()
            if self.nft(["list", "chain", "inet", TABLE, "forward"]).returncode != 0:
                self.rules = None
        if rules == self.rules or (self.rules is None and not rules and not self.fresh):
            return
        self.fresh = False
        done = self.nft(["-f", "-"], rules or REMOVE)
        self.rules, self.looked = (rules if done.returncode == 0 else None), time.monotonic()
        complaint = done.stderr.strip() if done.returncode else ""
        if complaint != self.complaint:
            self.complaint = complaint
            print(f"enforce: {self.name}: {complaint or 'has its rules again'}", file=sys.stderr)

    def end(self):
        if self.rules is None or self.rules:
            self.nft(["-f", "-"], REMOVE)


class Api(http.client.HTTPConnection):
    """The Kubernetes API, through the socket of `kubectl proxy`: a process of kubectl for each look
    would cost more than all the rest."""

    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def list(self, what):
        # As the API server has it in memory: it need not ask etcd.
        self.request("GET", LISTS[what] + "?resourceVersion=0")
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"HTTP {answer.status}: {body[:200]!r}")
        return json.loads(body)["items"]


class Enforcer:
    def __init__(self, command):
        self.command, self.nodes, self.complaint = command, {}, ""

    def look(self, api):
        policies = api.list("policies")
        if self.nodes and not policies and not any(node.rules for node in self.nodes.values()):
            return
        world = World(policies, api.list("pods"), api.list("namespaces"))
        for name in sorted(node["metadata"]["name"] for node in api.list("nodes")):
            node = self.nodes.setdefault(name, Node(name, self.command))
            node.apply(world.rules(name))

    def run(self, path):
        api = None
        while True:
            began, complaint = time.monotonic(), ""
            try:
                api = api or Api(path)
                self.look(api)
            except (OSError, http.client.HTTPException, ValueError) as error:
                api, complaint = None, f"the API does not answer: {error!r}"
            if complaint != self.complaint:
                self.complaint = complaint
                print(f"enforce: {complaint or 'the API answers again'}", file=sys.stderr)
            time.sleep(max(0.1, LOOK - (time.monotonic() - began)))

    def end(self):
        for node in self.nodes.values():
            node.end()


def main():
    if len(sys.argv) != 2 or "{node}" not in sys.argv[1]:
        sys.exit("usage: measure/enforce.py 'COMMAND {node}'")
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: sys.exit(0))
    enforcer = Enforcer(shlex.split(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "api")
        # In a session of its own, so that the terminal's Ctrl-C does not end it first.
        proxy = subprocess.Popen(["kubectl", "proxy", f"--unix-socket={path}"],
                                 stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            deadline = time.monotonic() + 20
            while not Path(path).exists() and proxy.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            if not Path(path).exists():
                sys.exit("enforce: kubectl proxy has not begun")
            enforcer.run(path)
        finally:
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, signal.SIG_IGN)
            proxy.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                proxy.wait(timeout=5)
            enforcer.end()


if __name__ == "__main__":
    main()
