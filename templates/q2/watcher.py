"""Watches the members from beside PostgreSQL, and does four things that Patroni does not:

1. A primary whose machine is gone loses its lease after 3 s instead of 20.
2. A primary whose container has died, Patroni with it, gives its lease up before Kubernetes has started it
   again. (This watcher, in the same pod, sees it.)
3. A member whose machine is gone loses its label `role`, so that no Service leads to it (Kubernetes would
   take 50 s to notice).
4. A member whose machine was deleted, and its volume with it, is given a new volume elsewhere.

It never makes anybody primary: that is Patroni's election, as always.

Why taking the lease away early loses nothing
---------------------------------------------
Silent is a member that for 3 s has answered no attempt to connect, neither to PostgreSQL nor to Patroni. A
refusal is an answer: it means that the machine lives, and Patroni will see to the rest. The lease is
taken only if
  - the primary is silent to every living member, at least two of them, which the watchers ask each other;
  - the primary has not renewed its lease for 3 s either, as seen here by the clock of this machine;
  - the synchronous standby is one of these members.
But even if all of them were wrong, no acknowledged commit could be lost, and no two primaries acknowledge:
  - A commit is acknowledged only once the synchronous standby has it on disk. Patroni promotes only that
    standby. It stops receiving before it is promoted: what it has confirmed, it keeps, and from then on it
    confirms nothing more, so that the old primary, if it still runs, acknowledges nothing more.
  - The old primary could acknowledge alone again after it had struck the standby off the object `sync`.
    For that it must hold the lease. A primary that renewed it a moment ago, and is about to write `sync`
    just now, is stopped by the order of things here: first the lease is read, then `sync` is read and
    touched, which makes a write based on its former version fail, then the lease is taken, which fails if
    it was renewed since it was read. So either nothing is taken, or `sync` stays as the election reads it.
  - An old primary that finds its lease gone stops, or gets it back by the same election as anybody else.
"""

import http.server
import os
import signal
import socket
import socketserver
import threading
import time

from pgk import *

SILENCE = 3.0  # seconds without an answer from a member, or a renewal of the lease
ATTEMPT = 0.8  # seconds that one attempt to connect may take
PAUSE = 0.4  # seconds between two attempts, and between two looks
LATE = ATTEMPT + PAUSE + 1  # seconds between two attempts that are too many to draw conclusions
DEAD = 0.8  # seconds in which the own PostgreSQL and Patroni refuse every attempt
PORTS = (5432, 8008)
PORT = 8010  # where the watchers ask each other

api = Api(timeout=2)
config = mounted_config()
leader_path, config_path, sync_path = objects(config)


def knock(address, port):
    """Tries to connect: True if somebody is there, False if that is refused, None for silence."""
    try:
        socket.create_connection((address, port), ATTEMPT).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return None
    return True


class Member:
    """Another member's pod, and when it was last heard of."""

    def __init__(self, pod):
        self.name = pod["metadata"]["name"]
        self.address = pod["status"]["podIP"]
        self.heard = self.began = time.monotonic()
        self.excused = 0.0  # when this watcher was last late itself
        self.looked = dict.fromkeys(PORTS, self.heard)
        self.left = False  # the pod is gone, or has another address
        self.label_taken = 0.0
        for port in PORTS:
            threading.Thread(target=self.listen, args=(port,), daemon=True).start()

    def listen(self, port):
        while not self.left:
            answer = knock(self.address, port)
            now = time.monotonic()
            if answer is not None:
                self.heard = now
            elif now - self.looked[port] > LATE:  # who was not given the time to look has not heard silence
                self.excused = now
            self.looked[port] = now
            time.sleep(PAUSE)

    def silent(self):
        now = time.monotonic()
        return now - max(self.heard, self.excused) >= SILENCE and all(now - looked <= LATE for looked in self.looked.values())

    def well(self):
        """Whether it has answered of late."""
        return self.heard > self.began and time.monotonic() - self.heard < SILENCE


class Members:
    """The pods of this instance, kept up to date by a watch."""

    def __init__(self):
        self.pods = {}  # by name, as the API has them
        self.others = {}  # by name: those that have an address
        self.collected = {}  # by name: pods whose machine Kubernetes has found to exist no more; uid and when
        self.current = False

    def follow(self):
        stream = Api()
        while True:
            listed = {}
            try:
                for change, pod in stream.watch(pods_path(config)):
                    if change == "LISTED":
                        self.pods = listed
                        self.current = True
                    elif change == "DELETED":
                        self.pods.pop(pod["metadata"]["name"], None)
                        self.note_collected(pod)
                    else:
                        self.note_collected(pod)
                        (self.pods if self.current else listed)[pod["metadata"]["name"]] = pod
                    if self.current:
                        self.compare()
                say("watch", "")
            except Exception as error:  # whatever it is: nobody would notice that this thread has ended
                say("watch", f"cannot watch the members: {error!r}")
                time.sleep(1)
            self.current = False

    def compare(self):
        """One Member for every other pod that has an address."""
        seen = {name: pod["status"]["podIP"] for name, pod in self.pods.items() if name != NAME and pod.get("status", {}).get("podIP")}
        others = dict(self.others)
        for name, member in self.others.items():
            if seen.get(name) != member.address:
                others.pop(name).left = True
        for name in seen.keys() - others.keys():
            others[name] = Member(self.pods[name])
        self.others = others

    def note_collected(self, pod):
        """Kubernetes' own garbage collector says on a pod that its Node object is gone, and deletes it."""
        for condition in pod.get("status", {}).get("conditions", []):
            if condition["type"] == "DisruptionTarget" and condition.get("reason") == "DeletionByPodGC" \
                    and "node no longer exists" in condition.get("message", ""):
                self.collected[pod["metadata"]["name"]] = pod["metadata"]["uid"], time.monotonic()


members = Members()


class Answer(http.server.BaseHTTPRequestHandler):
    """What the other watchers ask: whose addresses are silent as seen from here?"""

    timeout = 2

    def do_GET(self):
        silent = [member.address for member in members.others.values() if member.silent()]
        body = json.dumps(silent).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Door(socketserver.ThreadingTCPServer):  # HTTPServer would ask the DNS for its own name first
    daemon_threads = True
    allow_reuse_address = True
    address_family = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET


def agrees(member, suspect):
    """Whether `member` hears nothing of `suspect` either."""
    connection = http.client.HTTPConnection(member.address, PORT, timeout=1)
    try:
        connection.request("GET", "/")
        return suspect.address in json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def witnesses(suspect):
    """The names of the living members, if every one of them agrees that `suspect` is silent."""
    others = [one for one in members.others.values() if one is not suspect and not one.silent()]
    against = [one.name for one in others if not agrees(one, suspect)]
    say(suspect.name, against and f"{suspect.name} is silent here, but {', '.join(against)} does not say so, too")
    return [] if against else [NAME] + [one.name for one in others]


class Lease:
    """The leader's lease, and since when it is as it is."""

    def __init__(self):
        self.version = self.leader = self.since = None
        self.looked = 0.0

    def look(self):
        try:
            item = api.get(leader_path)
        except OSError:
            self.since = None  # not looked: nothing is known of its age
            return
        now = time.monotonic()
        version = item and item["metadata"]["resourceVersion"]
        if version != self.version or self.since is None or now - self.looked > 2:
            self.version, self.since = version, now
        self.leader, self.looked = annotations(item).get("leader"), now

    def old(self):
        return self.since is not None and time.monotonic() - self.since >= SILENCE


lease = Lease()


def standbys_of(name, sync):
    """The synchronous standbys of the primary `name`, by the object `sync`."""
    known = annotations(sync)
    return set((known.get("sync_standby") or "").split(",")) if known.get("leader") == name else set()


def take_the_lease(name, witnesses):
    """Takes the lease of the primary `name`, in the order that is explained above. Whether it did."""
    sync = api.get(sync_path)
    dynamic = json.loads(annotations(api.get(config_path)).get("config") or "{}")
    if not standbys_of(name, sync) & set(witnesses):
        return False
    if dynamic.get("pause") or not dynamic.get("synchronous_mode"):
        return False
    touched = {"pgk/lease-taken": f"{name} by {NAME} at {time.time():.3f}"}
    api.patch(sync_path, {"resourceVersion": sync["metadata"]["resourceVersion"], "annotations": touched})
    free = {"metadata": {"resourceVersion": lease.version, "annotations": {"leader": None}}}
    if leader_path.startswith("endpoints"):
        free["subsets"] = []  # connections are refused at once until there is a new primary
    api.call("PATCH", leader_path, free)
    return True


def refuses(port):
    return knock(ADDRESS, port) is False


refused_since = None


def own_member_is_dead():
    """Whether this pod's PostgreSQL and Patroni are both not there, though it has the lease. (One of them
    alone, Patroni or member.sh heals.)"""
    global refused_since
    if lease.leader != NAME or not all(refuses(port) for port in PORTS):
        refused_since = None
        return False
    refused_since = refused_since or time.monotonic()
    return time.monotonic() - refused_since >= DEAD


def take_the_label(suspect):
    pod = members.pods.get(suspect.name)
    # Not over and over, should its Patroni still reach the API and set the label again.
    if pod and "role" in pod["metadata"].get("labels", {}) and time.monotonic() - suspect.label_taken > 10:
        suspect.label_taken = time.monotonic()
        changed = {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": {"role": None}}
        api.patch(f"pods/{suspect.name}", changed)
        log(f"{suspect.name} is silent: no Service leads to it now")


def standby_is_well():
    """Whether this member, the primary, has a synchronous standby that answers."""
    standbys = [members.others.get(name) for name in standbys_of(NAME, api.get(sync_path))]
    return any(one and one.well() for one in standbys)


def has_lost_its_volume(pod):
    """Whether the pod finds no place, since its volume was elsewhere; or says that it cannot use it, since
    a new machine has taken the name of the old one (first_start.py)."""
    if annotations(pod).get("pgk/volume") == "unusable":
        return True
    return any(
        condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable"
        and "volume" in condition["message"].lower() and "affinity" in condition["message"]
        for condition in pod.get("status", {}).get("conditions", [])
    )


def replace_the_volume(name):
    """For a member whose machine was deleted. Done by the primary's watcher, and only while another member
    has all of the data, too."""
    pod = members.pods.get(name)
    uid, when = members.collected[name]
    if not pod or pod["metadata"]["uid"] == uid:
        return  # the new pod is not there yet
    if time.monotonic() - when > 1800 or annotations(pod).get("pgk/volume") in ("data", "empty"):
        members.collected.pop(name)  # it has a volume, or something else is the matter
    elif has_lost_its_volume(pod) and lease.leader == NAME and standby_is_well():
        log(f"the machine of {name} was deleted, its volume with it: giving {name} a new one")
        claim = api.get(f"persistentvolumeclaims/data-{name}")
        if claim:
            api.delete(f"persistentvolumeclaims/data-{name}", claim["metadata"]["uid"])
        api.delete(f"pods/{name}", pod["metadata"]["uid"])
        members.collected.pop(name)


def look():
    lease.look()
    dead = own_member_is_dead()
    if lease.since is None or not members.current:
        return
    if dead and take_the_lease(NAME, [one.name for one in members.others.values() if one.well()]):
        log("gave up this member's lease: neither PostgreSQL nor Patroni is there any more")
    for suspect in list(members.others.values()):
        if not suspect.silent():
            say(suspect.name, "")
            continue
        names = witnesses(suspect)
        if len(names) < min(2, len(members.pods) - 1):
            continue
        if suspect.name != lease.leader:
            take_the_label(suspect)
        elif lease.old() and len(names) >= 2:
            if take_the_lease(suspect.name, names):
                log(f"took the lease of {suspect.name}: silent to {', '.join(names)}, and not renewed, for {SILENCE:.0f} s")
            else:
                say("lease", f"{suspect.name} is silent, but none of {', '.join(names)} is its synchronous standby, or Patroni is paused or not synchronous: its lease stays")
    for name in list(members.collected):
        replace_the_volume(name)


def main():
    # As the first process of its container it would otherwise not hear it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    door = Door(("::" if ":" in ADDRESS else "0.0.0.0", PORT), Answer)
    threading.Thread(target=door.serve_forever, daemon=True).start()
    threading.Thread(target=members.follow, daemon=True).start()
    log("watching the other members")
    while True:
        try:
            look()
            say("look", "")
        except ApiError as error:
            if error.status != 409:  # somebody else was first, or things have changed
                say("look", f"the Kubernetes API refuses: {error}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            say("look", f"cannot look now: {error!r}")
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
