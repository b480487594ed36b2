"""What the tests of q2's programs run against: Kubernetes' API in memory, a clock, a folder for a volume.

The programs are found by PYTHONPATH; tests/scripts.rs sets it."""

import copy
import importlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

os.environ.setdefault("POD_NAMESPACE", "test")
os.environ.setdefault("POD_IP", "127.0.0.1")

try:
    import yaml
except ImportError as error:  # as for every tool that is missing: seen, or an error where all is to be tried
    if "PGK_TRY_ALL" in os.environ:
        raise
    raise unittest.SkipTest("PyYAML is missing") from error



def rendered(text, tls="encrypted"):
    """A program as it is rendered with this `tls`: the only thing that it depends on."""
    lines, kept = [], [True]
    for line in text.splitlines(keepends=True):
        word = re.fullmatch(r"\{% (?:if tls (==|!=) \"off\"|(else|endif)) %\}\n", line)
        if word is None:
            lines += [line] * all(kept)
        elif word[1]:
            kept.append((tls == "off") == (word[1] == "=="))
        elif word[2] == "else":
            kept.append(not kept.pop())
        else:
            kept.pop()
    return "".join(lines)


def render_programs(tls):
    """Puts the programs, as they are rendered with this `tls`, where they are imported from."""
    folder = tempfile.TemporaryDirectory()
    for path in sorted(path for kind in ("patroni", "archive") for path in (TEMPLATES / kind).glob("*.py")):
        Path(folder.name, path.name).write_text(rendered(path.read_text(), tls))
    sys.path.insert(0, folder.name)
    return folder


def certificate(folder):
    """What make_certificate (templates/common) makes, in that folder."""
    if not shutil.which("openssl") or not shutil.which("bash"):
        raise unittest.SkipTest("openssl or bash is missing")
    script = (TEMPLATES / "common/make-certificate.sh").read_text().replace("/tmp/", f"{folder}/")
    script = "set -eu\nlog() { echo \"$*\"; }\nHOSTNAME=db-0\n" + script + "make_certificate"
    subprocess.run(["bash", "-c", script], check=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{folder}/tls/tls.crt", f"{folder}/tls/tls.key")
    return context


TEMPLATES = Path(__file__).parents[2] / "templates"
PROGRAMS = render_programs("encrypted")  # kept as long as the tests run
MEMBERS = 3
PATRONI = {
    "scope": "db",
    "kubernetes": {"use_endpoints": False, "labels": {"app": "db"}},
    "restapi": {"listen": "*:8008"},
    "postgresql": {"authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}}},
    "bootstrap": {"dcs": {"ttl": 20, "synchronous_mode": True, "postgresql": {"parameters": {"wal_sender_timeout": "5s"}}}, "initdb": []},
}
# Where Patroni keeps its state, by `use_endpoints`.
OBJECTS = {
    False: ("configmaps/db-leader", "configmaps/db-config", "configmaps/db-sync"),
    True: ("endpoints/db", "endpoints/db-config", "endpoints/db-sync"),
}


class Clock:
    """In the place of the module `time`: it goes on only while somebody sleeps."""

    strftime, gmtime = staticmethod(time.strftime), staticmethod(time.gmtime)

    def __init__(self):
        self.now = 1000.0
        self.on_sleep = lambda: None

    def monotonic(self):
        return self.now

    def time(self):
        return 1_700_000_000 + self.now

    def sleep(self, seconds):
        self.now += seconds
        self.on_sleep()


class Api:
    """Kubernetes' API with what the programs rely on: a new resourceVersion with every change, and a refusal
    of what names an old one."""

    def __init__(self, refusal):
        self.refusal = refusal  # the programs' ApiError
        self.objects = {}
        self.version = 100
        self.calls = []
        self.bodies = []  # of every change
        self.before = {}  # (method, path): what happens just before that call, once
        self.away = False

    def put(self, path, **metadata):
        self.version += 1
        metadata.update(name=path.split("/")[1], resourceVersion=str(self.version))
        metadata.setdefault("uid", f"uid-{self.version}")
        self.objects[path] = {"metadata": metadata, "status": {}}
        return self.objects[path]

    def called(self, method, path):
        self.before.pop((method, path), lambda: None)()
        if self.away:
            raise OSError("the Kubernetes API does not answer")
        self.calls.append((method, path))

    def get(self, path):
        self.called("GET", path)
        if "?" in path:
            kind = path.split("?")[0] + "/"
            return {"items": [copy.deepcopy(one) for name, one in self.objects.items() if name.startswith(kind)]}
        return copy.deepcopy(self.objects.get(path))

    def call(self, method, path, body=None):
        self.called(method, path)
        self.bodies.append((path, body))
        rest = {key: value for key, value in body.items() if key != "metadata"}
        if method == "POST":
            path += "/" + body["metadata"]["name"]
            if path in self.objects:
                raise self.refusal(409, path)
            self.put(path, **body["metadata"]).update(rest)
            return copy.deepcopy(self.objects[path])
        if method != "PATCH":
            raise NotImplementedError(method)
        if path not in self.objects:
            raise self.refusal(404, path)
        known, metadata = self.objects[path]["metadata"], body["metadata"]
        if metadata.get("resourceVersion", known["resourceVersion"]) != known["resourceVersion"]:
            raise self.refusal(409, path)
        for kind in "annotations", "labels":
            for key, value in metadata.get(kind, {}).items():
                known.setdefault(kind, {}).pop(key, None)
                if value is not None:
                    known[kind][key] = value
        self.objects[path].update(rest)
        self.version += 1
        known["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.objects[path])

    def patch(self, path, metadata):
        return self.call("PATCH", path, {"metadata": metadata})

    def delete(self, path, uid):
        self.called("DELETE", path)
        if path not in self.objects:
            raise self.refusal(404, path)
        if self.objects[path]["metadata"]["uid"] != uid:
            raise self.refusal(409, path)
        del self.objects[path]

    def annotations(self, path):
        return self.objects[path]["metadata"].get("annotations", {})


class End(BaseException):
    """Ends what a program does for ever: none of them catches it."""


class ProgramTest(unittest.TestCase):
    """Loads a program anew for each test, as the member `name`, with a folder in the place of its mounts."""

    use_endpoints = False

    def load(self, program, name):
        self.leader_path, self.config_path, self.sync_path = OBJECTS[self.use_endpoints]
        rendered = copy.deepcopy(PATRONI)
        rendered["kubernetes"]["use_endpoints"] = self.use_endpoints
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for path, text in {
            "config/patroni.yaml": json.dumps(rendered),
            "config/parameters.yaml": json.dumps({"work_mem": "8MB"}),
            "config/settings.yaml": json.dumps({"members": MEMBERS, "config-map": "db-config-files", "help": "README"}),
            "credentials/superuser-password": "secret-1",
            "credentials/replication-password": "secret-2",
            "account/token": "token",
        }.items():
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_text(text)
        (self.folder / "volume").mkdir()
        for mounted in "config", "credentials":
            self.mount(mounted, "first")
        os.environ["POD_NAME"] = name
        for module in "pgk", program:
            sys.modules.pop(module, None)
        self.pgk = importlib.import_module("pgk")
        for constant, path in {
            "DATA": "volume/data",
            "FIRST_START": "volume/first-start",
            "START_EMPTY": "volume/start-empty",
            "CONFIG": "config/",
            "CREDENTIALS": "credentials/",
            "ACCOUNT": "account/",
            "PATRONI_YAML": "patroni.yaml",
        }.items():
            self.assertTrue(hasattr(self.pgk, constant))
            setattr(self.pgk, constant, f"{self.folder}/{path}")
        self.program = importlib.import_module(program)
        self.clock = self.program.time = Clock()
        self.api = self.program.api = Api(self.pgk.ApiError)
        return self.program

    def mount(self, folder, version):
        """What Kubernetes does when a ConfigMap or a Secret has changed."""
        (self.folder / folder / "new").symlink_to(version)
        (self.folder / folder / "new").rename(self.folder / folder / "..data")

    def leads(self, **annotations):
        """Makes the leader's lease anew, with these annotations."""
        self.api.put(self.leader_path, annotations=annotations)
        if self.use_endpoints:
            self.api.objects[self.leader_path]["subsets"] = [{"addresses": [{"ip": "10.0.0.0"}]}]

    def patroni_yaml(self):
        return yaml.safe_load((self.folder / "patroni.yaml").read_text())
