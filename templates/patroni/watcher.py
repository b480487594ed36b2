"""Watches the members from beside PostgreSQL, and does four things that Patroni does not:

1. A primary whose machine is gone loses its lease after 3 s instead of 20.
2. A primary whose container has died, Patroni with it, gives its lease up before Kubernetes has
   started it again. (This watcher, in the same pod, sees it.)
3. A replica whose machine is gone loses its label `role` after 1.6 s, so that no Service leads to
   it (Kubernetes would take 50 s to notice). A primary loses it after its lease.
4. A member whose machine was deleted, and its volume with it, is given a new volume elsewhere.

It never makes anybody primary: that is Patroni's election, as always.

Why taking the lease away early loses nothing
---------------------------------------------
Silent is a member that for 3 s has answered nothing: no ping of this watcher to the watcher there,
and no attempt to connect, neither to PostgreSQL nor to Patroni (which are asked once a ping has no
answer). A refusal is an answer: it means that the machine lives, and Patroni will see to the rest.
The lease is taken only if
  - the primary is silent to every living member, at least two of them, which the watchers ask each
    other;
  - the primary has not renewed its lease for 3 s either, as seen here by the clock of this machine;
  - the synchronous standby is one of these members.
But even if all of them were wrong, no acknowledged commit could be lost, and no two primaries
acknowledge:
  - A commit is acknowledged only once the synchronous standby has it on disk. Patroni promotes only
    that standby. It stops receiving before it is promoted: what it has confirmed, it keeps, and
    from then on it confirms nothing more, so that the old primary, if it still runs, acknowledges
    nothing more.
  - The old primary could acknowledge alone again after it had struck the standby off the object
    `sync`. For that it must hold the lease. A primary that renewed it a moment ago, and is about to
    write `sync` just now, is stopped by the order of things here: first the lease is read, then
    `sync` is read and touched, which makes a write based on its former version fail, then the lease
    is taken, which fails if it was renewed since it was read. So either nothing is taken, or `sync`
    stays as the election reads it.
  - An old primary that finds its lease gone stops, or gets it back by the same election as others.
"""

import contextlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import threading
import time

from pgk import ADDRESS, NAME, Api, ApiError, annotations, follow, instance, knock, log, say

SILENCE = 3.0  # seconds without an answer from a member, or a renewal of the lease
UNSERVED = 1.6  # the same, of a member that is not the leader, before it loses its label
ATTEMPT = 0.8  # seconds that one attempt to connect may take
PAUSE = 0.4  # seconds between two attempts, two pings and two looks
LATE = ATTEMPT + PAUSE + 1  # seconds between two attempts that are too many to draw conclusions
# Seconds without an answer after which attempts begin.
QUIET = SILENCE - LATE
UNKNOWN = 4.0  # seconds without news of the lease (renewed every 2 s): its age is not known
DEAD = 0.8  # seconds in which the own PostgreSQL and Patroni refuse every attempt
ELSEWHERE = 60.0  # seconds for a new machine to come that has the volume of one that was deleted
PORTS = (8008, 5432)  # who asks for both begins with what is cheaper
PORT = 8010  # where the watchers ask each other, and answer pings
SILENT = {"/": SILENCE, "/unserved": UNSERVED}  # what they ask each other for
PING, PONG = b"pgk ping", b"pgk pong"

api = Api(timeout=2)

class Member:
    """Another member's pod, and when it was last heard of."""

    def __init__(self, pod):
        self.name = pod["metadata"]["name"]
        self.address = pod["status"]["podIP"]
        self.heard = self.began = time.monotonic()
        self.excused = 0.0  # when this watcher was last late itself
        self.looked = dict.fromkeys(PORTS, self.heard)
        self.tried = dict.fromkeys(PORTS, self.heard)  # when an attempt last had no answer
        self.left = False  # the pod is gone, or has another address
        self.doubted = threading.Event()  # pings have had no answer for QUIET
        self.label_taken = 0.0
        for port in PORTS:
            threading.Thread(target=self.listen, args=(port,), daemon=True).start()

    def listen(self, port):
        """Tries to connect while pings have no answer: each attempt costs PostgreSQL a process."""
        while not self.left:
            if not self.quiet():
                self.doubted.wait(SILENCE)
                time.sleep(max(0.01, self.heard + QUIET - time.monotonic()))
                continue
            answer, now = knock(self.address, port, ATTEMPT), time.monotonic()
            if answer is not None:
                self.heard = now
            elif now - self.looked[port] > LATE:
                self.excused = now  # who was not given the time to look has not heard silence
            else:
                self.tried[port] = now
            self.looked[port] = now
            time.sleep(PAUSE)

    def quiet(self, early=0.0):
        return time.monotonic() - self.heard >= QUIET - early

    def doubt(self):
        """At each ping: lets the attempts begin when QUIET ends, so that nobody waits by the clock
        while all is well."""
        now = time.monotonic()
        if self.quiet(early=PAUSE * 3 / 4):  # however late the last answer was
            self.doubted.set()
        else:
            self.doubted.clear()
            self.looked = dict.fromkeys(PORTS, now)

    def leave(self):
        self.left = True
        self.doubted.set()

    def silent(self, seconds=SILENCE):
        """Whether it has not answered for so long, though it was asked of late on each port."""
        now = time.monotonic()
        return (now - max(self.heard, self.excused) >= seconds
                and all(now - looked <= LATE for looked in self.looked.values())
                and all(tried > self.heard for tried in self.tried.values()))

    def well(self):
        """Whether it has answered of late."""
        return self.heard > self.began and time.monotonic() - self.heard < SILENCE

class Members:
    """The pods of this instance, kept up to date by a watch."""

    def __init__(self):
        self.pods = {}  # by name, as the API has them
        self.listed = {}  # the same, while it is being listed
        self.others = {}  # by name: those that have an address
        self.collected = {}  # by name: pods whose machine Kubernetes finds gone; uid and when
        self.placeless = {}  # by uid: since when their successors find no machine with their volume
        self.current = False

    def changed(self, change, pod):
        if change == "LISTED":
            self.pods, self.current = self.listed, True
        elif change == "ENDED":
            self.listed, self.current = {}, False
        elif change == "DELETED":
            self.pods.pop(pod["metadata"]["name"], None)
            self.note_collected(pod)
        else:
            self.note_collected(pod)
            (self.pods if self.current else self.listed)[pod["metadata"]["name"]] = pod
        if self.current:
            self.compare()

    def compare(self):
        """One Member for every other pod that has an address."""
        seen = {name: pod["status"]["podIP"] for name, pod in self.pods.items()
                if name != NAME and pod.get("status", {}).get("podIP")}
        others = dict(self.others)
        for name, member in self.others.items():
            if seen.get(name) != member.address:
                others.pop(name).leave()
        for name in seen.keys() - others.keys():
            others[name] = Member(self.pods[name])
        self.others = others

    def note_collected(self, pod):
        """Kubernetes' garbage collector says on a pod that its Node is gone, and deletes it."""
        for condition in pod.get("status", {}).get("conditions", []):
            if condition["type"] == "DisruptionTarget" \
                    and condition.get("reason") == "DeletionByPodGC" \
                    and "node no longer exists" in condition.get("message", ""):
                self.collected[pod["metadata"]["name"]] = pod["metadata"]["uid"], time.monotonic()

members = Members()

def ping(post):
    """Pings the other watchers through the socket `post`, notes who answers, answers theirs."""
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            due = now + PAUSE
            for member in members.others.values():
                send(post, PING, member.address)
                member.doubt()
        post.settimeout(due - now)
        try:
            word, (sender, *_) = post.recvfrom(64)
        except OSError:
            continue
        if word == PING:
            send(post, PONG, sender)
        for member in members.others.values():
            if word == PONG and member.address == sender:
                member.heard = time.monotonic()

def send(post, word, address):
    with contextlib.suppress(OSError):  # no way there: no answer
        post.sendto(word, (address, PORT))

class Answer(http.server.BaseHTTPRequestHandler):
    """What the other watchers ask: whose addresses are silent as seen from here? (A watcher of
    before knows one path alone, and so names nobody earlier.)"""

    timeout = 2

    def do_GET(self):
        seconds = SILENT.get(self.path, SILENCE)
        silent = [one.address for one in members.others.values() if one.silent(seconds)]
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

def agrees(member, suspect, path):
    """Whether `member` hears nothing of `suspect` either."""
    connection = http.client.HTTPConnection(member.address, PORT, timeout=1)
    try:
        connection.request("GET", path)
        return suspect.address in json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()

def witnesses(suspect, path):
    """The names of the living members, if every one of them agrees that `suspect` is silent."""
    others = [one for one in members.others.values()
              if one is not suspect and not one.silent(SILENT[path])]
    against = [one.name for one in others if not agrees(one, suspect, path)]
    say(suspect.name, against and f"{suspect.name} is silent here, but {', '.join(against)} does"
        " not say so, too")
    return [] if against else [NAME] + [one.name for one in others]

class Lease:
    """The leader's lease, and since when it is as it is: by a watch, and while anything may be
    wrong by looks, since a watch does not tell whether the API still answers."""

    def __init__(self):
        self.version = self.leader = self.since = None
        self.known = 0.0  # when
        self.doubted = False

    def changed(self, change, item):
        if change not in ("LISTED", "ENDED") and not self.doubted:
            self.note(None if change == "DELETED" else item, UNKNOWN)

    def look(self, doubted):
        longest, self.doubted = 2 if self.doubted else UNKNOWN, doubted
        if doubted:
            try:
                self.note(api.get(instance().leader), longest)
            except OSError:
                self.since = None

    def note(self, item, longest):
        now = time.monotonic()
        version = item and item["metadata"]["resourceVersion"]
        if version != self.version or self.since is None or now - self.known > longest:
            self.version, self.since = version, now
        self.leader, self.known = annotations(item).get("leader"), now

    def old(self):
        return self.since is not None and time.monotonic() - self.since >= SILENCE

lease = Lease()

def standbys_of(name, sync):
    """The synchronous standbys of the primary `name`, by the object `sync`."""
    known = annotations(sync)
    standbys = known.get("sync_standby") or ""
    return set(standbys.split(",")) if known.get("leader") == name else set()

def take_the_lease(name, witnesses):
    """Takes the lease of the primary `name`, in the order explained above. Whether it did."""
    sync = api.get(instance().sync)
    dynamic = json.loads(annotations(api.get(instance().dynamic)).get("config") or "{}")
    if not standbys_of(name, sync) & set(witnesses):
        return False
    if dynamic.get("pause") or not dynamic.get("synchronous_mode"):
        return False
    touched = {"pgk/lease-taken": f"{name} by {NAME} at {time.time():.3f}"}
    version = sync["metadata"]["resourceVersion"]
    api.patch(instance().sync, {"resourceVersion": version, "annotations": touched})
    # Patroni's election would wait 2 s for an answer of the silent primary. Without its address,
    # which its own Patroni writes again once it is back, it does not.
    with contextlib.suppress(ApiError):  # as when its pod is gone
        api.patch(f"pods/{name}", {"annotations": {"status": None}})
    free = {"metadata": {"resourceVersion": lease.version, "annotations": {"leader": None}}}
    if instance().uses_endpoints:
        free["subsets"] = []  # connections are refused at once until there is a new primary
    api.call("PATCH", instance().leader, free)
    return True

def refuses(port):
    return knock(ADDRESS, port, ATTEMPT) is False

refused_since = None

def own_member_is_dead():
    """Whether this pod's PostgreSQL and Patroni are both not there, though it has the lease. (One
    of them alone, Patroni or member.sh heals.)"""
    global refused_since
    if lease.leader != NAME or not all(refuses(port) for port in PORTS):
        refused_since = None
        return False
    refused_since = refused_since or time.monotonic()
    return time.monotonic() - refused_since >= DEAD

def take_a_former_address(name, pod):
    """Patroni writes its address on its pod, by the pod's name. One whose pod is deleted by force
    so writes it on the successor, and the others would wait seconds for an answer from there."""
    written = re.search(r"//\[?([0-9a-f.:]+?)\]?:\d+/", annotations(pod).get("status") or "")
    if written and written[1] != pod.get("status", {}).get("podIP"):
        version = pod["metadata"]["resourceVersion"]
        with contextlib.suppress(ApiError):  # another watcher was first, or Patroni has started
            api.patch(f"pods/{name}", {"resourceVersion": version, "annotations": {"status": None}})
            log(f"took from {name} the address of the pod before it, {written[1]}")

def take_the_label(suspect):
    pod = members.pods.get(suspect.name)
    # Not over and over, should its Patroni still reach the API and set the label again.
    if pod and "role" in pod["metadata"].get("labels", {}) \
            and time.monotonic() - suspect.label_taken > 10:
        changed = {"resourceVersion": pod["metadata"]["resourceVersion"], "labels": {"role": None}}
        api.patch(f"pods/{suspect.name}", changed)
        suspect.label_taken = time.monotonic()
        log(f"{suspect.name} is silent: no Service leads to it now")

def standby_is_well():
    """Whether this member, the primary, has a synchronous standby that answers."""
    standbys = [members.others.get(name) for name in standbys_of(NAME, api.get(instance().sync))]
    return any(one and one.well() for one in standbys)

def has_lost_its_volume(pod):
    """Whether the pod finds no place, and has not for a while, since its volume was elsewhere; or
    says that it cannot use it, since a new machine has taken the name of the old one
    (first_start.py). (Whether a volume can be attached to another machine, only rights on all
    volumes of Kubernetes would tell.)"""
    if annotations(pod).get("pgk/volume") == "unusable":
        return True
    uid, now = pod["metadata"]["uid"], time.monotonic()
    if any(
        condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable"
        and re.search("volume('s)? node affinity", condition["message"], re.IGNORECASE)
        for condition in pod.get("status", {}).get("conditions", [])
    ):
        return now - members.placeless.setdefault(uid, now) >= ELSEWHERE
    members.placeless.pop(uid, None)
    return False

def replace_the_volume(name):
    """For a member whose machine was deleted. Done by the primary's watcher, and only while another
    member has all of the data, too."""
    pod = members.pods.get(name)
    uid, when = members.collected[name]
    if not pod or pod["metadata"]["uid"] == uid:
        return  # the new pod is not there yet
    by_hand = f"kubectl delete pvc data-{name} --wait=false && kubectl delete pod {name}"
    if annotations(pod).get("pgk/volume") in ("data", "empty"):
        members.collected.pop(name)  # it has a volume
    elif time.monotonic() - when > 1800:
        log(f"the machine of {name} was deleted half an hour ago, and {name} does not run: its "
            f"volume is not replaced from now on. If it is lost: {by_hand}")
        members.collected.pop(name)  # something else is the matter
    elif not has_lost_its_volume(pod) or lease.leader != NAME:
        return
    elif not standby_is_well():
        say(f"volume of {name}", f"WAITING FOR A HUMAN: the machine of {name} was deleted; its "
            "volume is not replaced while no synchronous standby has the data, too. If it is lost:"
            f" {by_hand}")
    else:
        log(f"the machine of {name} was deleted, its volume with it: giving {name} a new one")
        claim = api.get(f"persistentvolumeclaims/data-{name}")
        if claim:
            api.delete(f"persistentvolumeclaims/data-{name}", claim["metadata"]["uid"])
        api.delete(f"pods/{name}", pod["metadata"]["uid"])
        members.collected.pop(name)

def look():
    others = list(members.others.values())
    lease.look(refused_since or members.collected or any(one.quiet() for one in others))
    dead = own_member_is_dead()
    for name, pod in list(members.pods.items() if members.current else ()):
        take_a_former_address(name, pod)
    if lease.since is None or not members.current:
        return
    if dead and take_the_lease(NAME, [one.name for one in others if one.well()]):
        log("gave up this member's lease: neither PostgreSQL nor Patroni is there any more")
    for suspect in others:
        leads = suspect.name == lease.leader
        path = "/" if leads else "/unserved"
        if not suspect.silent(SILENT[path]):
            say(suspect.name, "")
            continue
        names = witnesses(suspect, path)
        if len(names) < min(2, len(members.pods) - 1):
            continue
        if not leads:
            take_the_label(suspect)
        elif lease.old() and len(names) >= 2:
            if take_the_lease(suspect.name, names):
                log(f"took the lease of {suspect.name}: silent to {', '.join(names)}, and not"
                    f" renewed, for {SILENCE:.0f} s")
            else:
                say("lease", f"{suspect.name} is silent, but none of {', '.join(names)} is its"
                    " synchronous standby, or Patroni is paused or not synchronous: its lease"
                    " stays")
    for name in list(members.collected):
        replace_the_volume(name)

def main():
    # As the first process of its container it would otherwise not hear it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    here = ("::" if ":" in ADDRESS else "0.0.0.0", PORT)
    post = socket.socket(Door.address_family, socket.SOCK_DGRAM)
    post.bind(here)
    for each, *arguments in (
        (Door(here, Answer).serve_forever, 60),
        (ping, post),
        (follow, "watch the members", instance().pods, members.changed),
        (follow, "watch the lease", instance().lease, lease.changed),
    ):
        threading.Thread(target=each, args=arguments, daemon=True).start()
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
