"""What the programs of a member share: the log, the configuration, and how to talk to the Kubernetes API
and to Patroni. Only Python's own library, and the YAML of Patroni."""

import base64
import hashlib
import http.client
import json
import os
import ssl
import time

import yaml

NAME = os.environ["POD_NAME"]
NAMESPACE = os.environ["POD_NAMESPACE"]
ADDRESS = os.environ["POD_IP"]
ORDINAL = int(NAME.rsplit("-", 1)[1])
SET = NAME.rsplit("-", 1)[0]

DATA = "/pgdata/data"
# There while pg-0 makes the very first database: what the volume holds is not complete, and nobody's data.
FIRST_START = "/pgdata/first-start"
# Made by a human who wants an empty database, whatever other members hold.
START_EMPTY = "/pgdata/start-empty"
CONFIG = "/etc/pgk/config/"
CREDENTIALS = "/etc/pgk/credentials/"
PATRONI_YAML = "/tmp/patroni.yaml"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"


def log(message):
    print(time.strftime("%Y-%m-%d %H:%M:%S UTC pgk:", time.gmtime()), message, flush=True)


_said = {}


def say(subject, message):
    """Logs a state when it begins, and every five minutes as long as it lasts."""
    known, when = _said.get(subject, (None, 0))
    if message != known or time.monotonic() - when > 300:
        _said[subject] = message, time.monotonic()
        if message:
            log(message)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class ApiError(OSError):
    """The Kubernetes API has answered, with something else than what was asked for."""

    def __init__(self, status, text):
        super().__init__(f"HTTP {status}: {text[:200]}")
        self.status = status


class Api:
    """The Kubernetes API, for the objects of this namespace. One connection, made anew when it fails.
    Every call may raise an OSError, and takes no longer than a few times `timeout` seconds."""

    def __init__(self, timeout=3):
        self.timeout = timeout
        self.connection = None

    def connect(self, timeout):
        context = ssl.create_default_context(cafile=ACCOUNT + "ca.crt")
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return http.client.HTTPSConnection(host, int(port), context=context, timeout=timeout)

    def headers(self, method="GET"):
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        return {"Authorization": "Bearer " + read(ACCOUNT + "token"), "Content-Type": kind}

    def url(self, path):
        group = "/apis/discovery.k8s.io/v1" if path.startswith("endpointslices") else "/api/v1"
        return f"{group}/namespaces/{NAMESPACE}/{path}"

    def call(self, method, path, body=None):
        fresh = self.connection is None
        try:
            if fresh:
                self.connection = self.connect(self.timeout)
            self.connection.request(method, self.url(path), body and json.dumps(body), self.headers(method))
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

    def get(self, path):
        """The object, or None if there is none."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def patch(self, path, metadata):
        """Changes an object's metadata; with a resourceVersion in it, only if that is still the object's."""
        return self.call("PATCH", path, {"metadata": metadata})

    def delete(self, path, uid):
        """Deletes the object if it still is the one with this uid."""
        self.call("DELETE", path, {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}})

    def watch(self, path):
        """The objects at `path`, which ends in a query, as ADDED; then LISTED; then every change to one."""
        answer = self.call("GET", path)
        for item in answer["items"]:
            yield "ADDED", item
        yield "LISTED", None
        # The server ends it after a while, and whoever watches lists again: a connection that has silently
        # died is noticed soon after.
        connection = self.connect(timeout=30)
        query = f"watch=1&timeoutSeconds=25&resourceVersion={answer['metadata']['resourceVersion']}"
        try:
            connection.request("GET", self.url(f"{path}&{query}"), None, self.headers())
            for line in connection.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]
        except (http.client.HTTPException, ValueError, KeyError) as error:
            raise OSError(f"the watch was cut off: {error!r}") from error
        finally:
            connection.close()


def patroni_password():
    """What Patroni's members prove to each other that they are members with. Not a password of the Secret
    itself, since it travels between the pods in the clear."""
    return hashlib.sha256(("patroni " + read(CREDENTIALS + "superuser-password")).encode()).hexdigest()


def patroni(method, path, body=None, host="127.0.0.1", timeout=3):
    """A request to the Patroni at `host`: the HTTP status, and the answer's JSON or text."""
    headers = {"Content-Type": "application/json"}
    if method != "GET":
        headers["Authorization"] = "Basic " + base64.b64encode(f"patroni:{patroni_password()}".encode()).decode()
    connection = http.client.HTTPConnection(host, 8008, timeout=timeout)
    try:
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


def settings():
    return yaml.safe_load(read(CONFIG + "settings.yaml"))


def merged(patroni_yaml, parameters_yaml):
    """Patroni's configuration as it was rendered, the user's parameters on top."""
    config = yaml.safe_load(patroni_yaml)
    config["bootstrap"]["dcs"]["postgresql"]["parameters"].update(yaml.safe_load(parameters_yaml))
    return config


def mounted_config():
    return merged(read(CONFIG + "patroni.yaml"), read(CONFIG + "parameters.yaml"))


def objects(config):
    """The kind of object in which Patroni keeps its state, and the paths of leader, config and sync."""
    scope = config["scope"]
    if config["kubernetes"]["use_endpoints"]:
        return f"endpoints/{scope}", f"endpoints/{scope}-config", f"endpoints/{scope}-sync"
    return f"configmaps/{scope}-leader", f"configmaps/{scope}-config", f"configmaps/{scope}-sync"


def pods_path(config):
    """Where the members' pods are listed."""
    labels = config["kubernetes"]["labels"]
    return "pods?labelSelector=" + ",".join(f"{key}%3D{labels[key]}" for key in sorted(labels)) + f",cluster-name%3D{config['scope']}"


def lead(api, config):
    """Makes the read/write Service lead here, if this member holds the leader's lease: one write that
    replaces the former primary's address, so that there is never a moment with none or with two."""
    if config["kubernetes"]["use_endpoints"]:
        return  # Patroni does it itself
    if annotations(api.get(objects(config)[0])).get("leader") != NAME:
        return
    name = config["scope"]
    kind = "IPv6" if ":" in ADDRESS else "IPv4"
    target = {"kind": "Pod", "name": NAME, "namespace": NAMESPACE}
    endpoints = [{"addresses": [ADDRESS], "conditions": {"ready": True}, "targetRef": target}]
    known = api.get(f"endpointslices/{name}")
    if known and known["addressType"] != kind:
        api.delete(f"endpointslices/{name}", known["metadata"]["uid"])
        known = None
    if known is None:
        service = api.get(f"services/{name}")
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"]}
        labels = {"kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "pgk"}
        metadata = {"name": name, "labels": config["kubernetes"]["labels"] | labels, "ownerReferences": [owner]}
        ports = [{"name": "postgresql", "port": 5432, "protocol": "TCP"}]
        whole = {"metadata": metadata, "addressType": kind, "endpoints": endpoints, "ports": ports}
        api.call("POST", "endpointslices", {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"} | whole)
    elif [one["addresses"] for one in known["endpoints"] or []] != [[ADDRESS]]:
        version = {"resourceVersion": known["metadata"]["resourceVersion"]}
        api.call("PATCH", f"endpointslices/{name}", {"metadata": version, "endpoints": endpoints})
    else:
        return
    log(f"the Service {name} leads here now")


def annotations(item):
    return (item or {}).get("metadata", {}).get("annotations") or {}


def write_patroni_yaml(may_bootstrap, apart=True):
    """Writes the configuration that Patroni runs with. Without `may_bootstrap` it can make no new database,
    whatever happens: it waits for a leader to clone from. A member that is `apart` from the primary, on another
    node, comes first as the synchronous standby: no node then takes both of them."""
    config = mounted_config()
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
        config["postgresql"]["authentication"][role]["password"] = read(f"{CREDENTIALS}{role}-password")
    descriptor = os.open(PATRONI_YAML + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(config, file)
    os.replace(PATRONI_YAML + ".new", PATRONI_YAML)
