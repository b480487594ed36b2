"""What the programs of a member share: the log, the configuration, and how to talk to the
Kubernetes API and to Patroni. Only Python's own library, and the YAML of Patroni."""

import base64
import functools
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator

import yaml

# (The repository's pod and the jobs are no members, and are not given these.)
NAME = os.environ.get("POD_NAME", "none-0")
NAMESPACE = os.environ.get("POD_NAMESPACE", "")
ADDRESS = os.environ.get("POD_IP", "")
SET, ORDINAL = NAME.rsplit("-", 1)[0], int(NAME.rsplit("-", 1)[1])

SEGMENT = 16 << 20  # bytes in a WAL file

DATA = "/pgdata/data"
# There while pg-0 makes the very first database: what the volume holds is not complete.
FIRST_START = "/pgdata/first-start"
# Made by a human who wants an empty database, whatever other members hold.
START_EMPTY = "/pgdata/start-empty"
CONFIG = "/etc/pgk/config/"
CREDENTIALS = "/etc/pgk/credentials/"
PATRONI_YAML = "/tmp/patroni.yaml"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"
{% if tls != "off" %}
# Made by member.sh. A pod that a configuration without TLS has started has none.
CERTIFICATE, CERTIFICATE_KEY = "/tmp/tls/tls.crt", "/tmp/tls/tls.key"
{% endif %}

def log(message: str) -> None:
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC pgk:", time.gmtime()), message, flush=True)

_said = {}

def say(subject: str, message: str) -> None:
    """Logs a state when it begins, and every five minutes as long as it lasts."""
    known, when = _said.get(subject, (None, 0))
    if message != known or time.monotonic() - when > 300:
        _said[subject] = message, time.monotonic()
        if message:
            log(message)

def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()

def write(path: str, text: str, mode: int = 0o666) -> None:
    """Whole or not at all."""
    descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)

def knock(host: str, port: int, seconds: float = 1.0) -> bool | None:
    """Tries to connect: True if somebody is there, False if that is refused, None for silence."""
    try:
        socket.create_connection((host, port), seconds).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True

def secret(key: str) -> str:
    """A password of the Secret: one line, or a ValueError. A line break at its end, as of a file,
    does not belong to it (roles.sql leaves it out, too)."""
    password = read(CREDENTIALS + key).rstrip("\r\n")
    if not password or set(password) & set("\r\n\0"):
        what = "more than one line" if password else "empty"
        raise ValueError(f"{key} in the Secret cannot be used as a password: it is {what}")
    return password

class ApiError(OSError):
    """The Kubernetes API has answered, with something else than what was asked for."""

    def __init__(self, status: int, text: str):
        super().__init__(f"HTTP {status}: {text[:200]}")
        self.status = status

class Api:
    """The Kubernetes API, for the objects of this namespace. One connection, made anew when it
    fails. Every call may raise an OSError, and takes a few times `timeout` seconds at most."""

    def __init__(self, timeout: float = 3):
        self.timeout = timeout
        self.connection = None

    def connect(self) -> http.client.HTTPConnection:
        context = ssl.create_default_context(cafile=ACCOUNT + "ca.crt")
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return http.client.HTTPSConnection(host, int(port), context=context, timeout=self.timeout)

    def request(self, connection, method: str, path: str, body: dict | None = None) -> None:
        group = "/apis/discovery.k8s.io/v1" if path.startswith("endpointslices") else "/api/v1"
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        if path == f"pods/{NAME}/status":  # its conditions are a list that others write, too
            kind = "application/strategic-merge-patch+json"
        headers = {"Authorization": "Bearer " + read(ACCOUNT + "token"), "Content-Type": kind}
        url = f"{group}/namespaces/{NAMESPACE}/{path}"
        connection.request(method, url, body and json.dumps(body), headers)

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        fresh = self.connection is None
        try:
            if fresh:
                self.connection = self.connect()
            self.request(self.connection, method, path, body)
            response = self.connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            if self.connection:
                self.connection.close()
            self.connection = None
            if not fresh and not isinstance(error, TimeoutError) and method == "GET":
                return self.call(method, path, body)  # the kept connection had ended meanwhile
            raise OSError(f"the Kubernetes API does not answer: {error!r}") from error
        if response.status >= 300:
            raise ApiError(response.status, text)
        return json.loads(text)

    def get(self, path: str) -> dict | None:
        """The object, or None if there is none."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def patch(self, path: str, metadata: dict) -> dict:
        """Changes an object's metadata; with a resourceVersion in it, only if that is still its."""
        return self.call("PATCH", path, {"metadata": metadata})

    def delete(self, path: str, uid: str) -> None:
        """Deletes the object if it still is the one with this uid."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}
        self.call("DELETE", path, options)

    def watch(self, path: str) -> Iterator[tuple[str, dict | None]]:
        """What is at `path`, which ends in a query, as ADDED; then LISTED; then every change."""
        answer = self.call("GET", path)
        for item in answer["items"]:
            yield "ADDED", item
        yield "LISTED", None
        connection, self.connection = self.connection, None  # kept only if the watch ends well
        # The server ends it after a while, and whoever watches lists again: a connection that has
        # silently died is noticed soon after.
        query = f"watch=1&timeoutSeconds=25&resourceVersion={answer['metadata']['resourceVersion']}"
        try:
            self.request(connection, "GET", f"{path}&{query}")
            connection.sock.settimeout(30)
            for line in connection.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
            if connection.sock:
                connection.sock.settimeout(self.timeout)
            self.connection, connection = connection, None
        except (http.client.HTTPException, ValueError, KeyError) as error:
            raise OSError(f"the watch was cut off: {error!r}") from error
        finally:
            if connection:
                connection.close()

class Condition:
    """A condition of this member's pod, which is written when it changes."""

    def __init__(self, kind: str):
        self.api, self.kind = Api(), kind
        self.told = ()  # not known: a container that ran here before may have told something

    def tell(self, reason: str | None, message: str = "", good: bool = True, *what) -> None:
        """No reason: no condition. Another message alone is not written; another `what` is."""
        told = reason and (reason, *what)
        if told == self.told:
            return
        condition = {"type": self.kind, "$patch": "delete"}
        if reason is not None:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            condition = {"type": self.kind, "status": "True" if good else "False",
                         "reason": reason, "message": message, "lastTransitionTime": now}
        self.api.call("PATCH", f"pods/{NAME}/status", {"status": {"conditions": [condition]}})
        self.told = told

def follow(what: str, path: str, changed: Callable) -> None:
    """Calls `changed` with all that a watch tells, for ever."""
    api = Api()
    while True:
        try:
            for change, item in api.watch(path):
                changed(change, item)
            say(what, "")
        except Exception as error:  # whatever it is: nobody would notice that this thread has ended
            say(what, f"cannot {what}: {error!r}")
            time.sleep(1)
        changed("ENDED", None)

def patroni_password() -> str:
    """What Patroni's members prove to each other that they are members with. Not a password of the
{% if tls == "off" %}
    Secret itself, since it travels between the pods in the clear."""
{% else %}
    Secret itself, since nobody verifies whom it is sent to."""
{% endif %}
    return hashlib.sha256(("patroni " + secret("superuser-password")).encode()).hexdigest()

{% if tls != "off" %}
@functools.cache
def anybody() -> ssl.SSLContext:
    """TLS with whoever answers: it keeps out those who listen in, no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context

def connected(host: str, timeout: float) -> http.client.HTTPConnection:
    """A connection to the Patroni at `host`. While `tls` is being changed, some members still speak
    without it, and refuse at once what they do not understand."""
    connection = http.client.HTTPSConnection(host, 8008, timeout=timeout, context=anybody())
    try:
        connection.connect()
    except (ssl.SSLError, ConnectionResetError):
        connection.close()
        connection = http.client.HTTPConnection(host, 8008, timeout=timeout)
        connection.connect()
    return connection

{% endif %}
def patroni(method: str, path: str, body=None, host="127.0.0.1", timeout: float = 3) -> tuple:
    """A request to the Patroni at `host`: the HTTP status, and the answer's JSON or text."""
    headers = {"Content-Type": "application/json"}
    if method != "GET":
        password = base64.b64encode(f"patroni:{patroni_password()}".encode()).decode()
        headers["Authorization"] = "Basic " + password
{% if tls == "off" %}
    connection = http.client.HTTPConnection(host, 8008, timeout=min(timeout, 3))
    try:
        connection.connect()  # a machine that is gone costs no more than this
{% else %}
    connection = connected(host, min(timeout, 3))  # a machine that is gone costs no more than this
    try:
{% endif %}
        connection.sock.settimeout(timeout)
        connection.request(method, path, body and json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"Patroni at {host}: {error!r}") from error
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text

def position(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)

def file_at(position: int) -> str:
    """The number of the WAL file that this position is in, as its name ends."""
    return f"{position >> 32:08X}{(position & 0xFFFFFFFF) // SEGMENT:08X}"

def ends_of_timelines(history: str) -> dict[int, int]:
    """Of each former timeline where the next one parted from it, as a history file says."""
    lines = re.findall(r"^(\d+)\t([0-9A-F]+/[0-9A-F]+)", history, re.MULTILINE)
    return {int(timeline): position(lsn) for timeline, lsn in lines}

def psql(query: str, *options: str, timeout: float = 15, environment: dict | None = None):
    """Asks a PostgreSQL: what subprocess.run returns."""
    words = ["psql", "--no-psqlrc", "-qAtX", *options, "-c", query]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=timeout, env=environment, check=False)

def as_lines(parameters: dict) -> str:
    """PostgreSQL's parameters as its configuration file has them."""
    quoted = [(name, str(value).replace("\\", "\\\\").replace("'", "''"))
              for name, value in parameters.items()]
    return "".join(f"{name} = '{value}'\n" for name, value in quoted)

def settings() -> dict:
    return yaml.safe_load(read(CONFIG + "settings.yaml"))

def merged(patroni_yaml: str, parameters_yaml: str) -> dict:
    """Patroni's configuration as it was rendered, the user's parameters on top."""
    try:
        config, parameters = yaml.safe_load(patroni_yaml), yaml.safe_load(parameters_yaml) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"the ConfigMap's patroni.yaml or parameters.yaml: {error}") from error
    if not isinstance(parameters, dict):
        raise ValueError("the ConfigMap's parameters.yaml is no map of parameters")
    config["bootstrap"]["dcs"]["postgresql"]["parameters"].update(parameters)
    return config

def mounted_config() -> dict:
    """What is mounted. A member starts without the user's parameters where they cannot be read:
    but for the first start, it gets the cluster's from Patroni's objects."""
    rendered = read(CONFIG + "patroni.yaml")
    try:
        config = merged(rendered, read(CONFIG + "parameters.yaml"))
        say("parameters.yaml", "")
    except ValueError as error:
        config = merged(rendered, "{}")
        say("parameters.yaml", f"going on without it: {error}")
    return config

class Instance:
    """Patroni's configuration, and where the API has its objects."""

    def __init__(self):
        self.config = mounted_config()
        scope, kubernetes = self.config["scope"], self.config["kubernetes"]
        self.uses_endpoints = kubernetes["use_endpoints"]
        kind, lease = "configmaps", f"{scope}-leader"
        if self.uses_endpoints:
            kind, lease = "endpoints", scope
        self.leader, self.dynamic = f"{kind}/{lease}", f"{kind}/{scope}-config"
        self.sync = f"{kind}/{scope}-sync"
        # Where the leader's lease alone, and the members' pods, are listed.
        self.lease = f"{kind}?fieldSelector=metadata.name%3D{lease}"
        # Where it is newest: what is mounted can be a minute behind.
        self.rendered = "configmaps/" + settings()["config-map"]
        labels = [*sorted(kubernetes["labels"].items()), ("cluster-name", scope)]
        self.pods = "pods?labelSelector=" + ",".join(f"{key}%3D{value}" for key, value in labels)

@functools.cache
def instance() -> Instance:
    """As it was when this program first asked."""
    return Instance()

def lead(api: Api) -> None:
    """Makes the read/write Service lead here, if this member holds the leader's lease: one write
    that replaces the former primary's address, so that there is never a moment with none or two."""
    if instance().uses_endpoints:
        return  # Patroni does it itself
    config = instance().config
    name, kind = config["scope"], "IPv6" if ":" in ADDRESS else "IPv4"
    # Read before the lease: what a later primary has written meanwhile is then not overwritten.
    known = api.get(f"endpointslices/{name}")
    there = known and [one["addresses"] for one in known["endpoints"] or []]
    right = there == [[ADDRESS]] and known["addressType"] == kind
    if right or annotations(api.get(instance().leader)).get("leader") != NAME:
        return
    target = {"kind": "Pod", "name": NAME, "namespace": NAMESPACE}
    endpoints = [{"addresses": [ADDRESS], "conditions": {"ready": True}, "targetRef": target}]
    if known and known["addressType"] != kind:
        api.delete(f"endpointslices/{name}", known["metadata"]["uid"])
        known = None
    if known is None:
        service = api.get(f"services/{name}")
        uid = service["metadata"]["uid"]
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": uid}
        labels = config["kubernetes"]["labels"] | {
            "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "pgk"}
        metadata = {"name": name, "labels": labels, "ownerReferences": [owner]}
        ports = [{"name": "postgresql", "port": 5432, "protocol": "TCP"}]
        api.call("POST", "endpointslices", {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": kind, "endpoints": endpoints, "ports": ports})
    else:
        version = {"resourceVersion": known["metadata"]["resourceVersion"]}
        api.call("PATCH", f"endpointslices/{name}", {"metadata": version, "endpoints": endpoints})
    log(f"the Service {name} leads here now")

def annotations(item: dict | None) -> dict:
    return (item or {}).get("metadata", {}).get("annotations") or {}

def write_patroni_yaml(may_bootstrap: bool, apart: bool = True) -> None:
    """Writes the configuration that Patroni runs with. Without `may_bootstrap` it can make no new
    database, whatever happens: it waits for a leader to clone from. A member that is `apart` from
    the primary, on another node, comes first as the synchronous standby: no node takes both."""
    config = mounted_config()
{% if tls != "off" %}
    dynamic = config["bootstrap"]["dcs"]["postgresql"]
{% endif %}
    if not may_bootstrap:
        del config["bootstrap"]
    config["tags"] = {"sync_priority": 2 if apart else 1}
    host = f"[{ADDRESS}]" if ":" in ADDRESS else ADDRESS
    config["name"] = NAME
    config["kubernetes"].update(namespace=NAMESPACE, pod_ip=ADDRESS)
    config["restapi"]["connect_address"] = f"{host}:8008"
    config["restapi"]["authentication"] = {"username": "patroni", "password": patroni_password()}
    config["postgresql"]["connect_address"] = f"{host}:5432"
    for role in "superuser", "replication":
        password = secret(f"{role}-password")
        # Not for a new database: Patroni would set it there by SQL that takes neither `€` nor `$$`.
        # roles.sql sets it, and once the database is made, tend.py writes this file again.
        if not may_bootstrap:
            config["postgresql"]["authentication"][role]["password"] = password
{% if tls != "off" %}
    # Here, and not in patroni.yaml, which pods without a certificate take up as well.
    if os.path.exists(CERTIFICATE):
        config["restapi"] |= {"certfile": CERTIFICATE, "keyfile": CERTIFICATE_KEY}
        config["ctl"] = {"insecure": True}  # nobody could verify these certificates
        # What copies the data is encrypted, always. (libpq begins with TLS; where that fails, it
        # tries without, which is right for a primary that has no TLS yet.)
        config["postgresql"]["pg_hba"] = [
            "hostssl replication,all replicator all scram-sha-256",
            "hostnossl replication,all replicator all reject",
            *(line for line in dynamic["pg_hba"] if not line.startswith("host replication "))]
        config["postgresql"].setdefault("parameters", {}).update(
            ssl="on", ssl_cert_file=CERTIFICATE, ssl_key_file=CERTIFICATE_KEY)
{% endif %}
    write(PATRONI_YAML, yaml.safe_dump(config), 0o600)
