"""Runs beside Patroni and does what Patroni leaves to its surroundings:

- makes sure that the read/write Service leads to the primary,
- carries changes of the configuration and of the Secret over to the running cluster,
- notes on the pod that its volume holds data,
- sees to it that the synchronous standby is on another node than the primary, if any replica is,
- ends a Patroni that hangs, and says what a member waits for that only a human can give."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

from pgk import *

PERIOD = 2  # seconds between two looks
APART_PERIOD = 10  # seconds between two looks at who shares a node with the primary
HANGS = 60  # seconds without an answer after which Patroni is started anew

api = Api()
config = mounted_config()
leader_path, config_path, sync_path = objects(config)


def lead_when_elected():
    """Leads the read/write Service here as soon as this member gets the lease: while PostgreSQL is still
    being promoted, and before any other change makes the nodes' proxies busy (they act once a second)."""
    calls, name = Api(), leader_path.split("/")[1]
    while True:
        leader = None
        try:
            for change, item in Api().watch(f"configmaps?fieldSelector=metadata.name%3D{name}"):
                if change == "LISTED":
                    continue
                before, leader = leader, annotations(item).get("leader")
                if leader == NAME != before:
                    lead(calls, config)
        except Exception as error:  # main() leads, too, if later
            say("lead", f"cannot follow the lease: {error!r}")
            time.sleep(1)


def checksum(folder):
    """Of everything that is mounted there."""
    digest = hashlib.sha256()
    for name in sorted(os.listdir(folder)):
        if not name.startswith("."):
            digest.update(name.encode() + b"\0" + read(folder + name).encode() + b"\0")
    return digest.hexdigest()


def note_data():
    """Whether the volume holds data; if so, the pod says it from now on (first_start.py asks)."""
    if not os.path.exists(DATA + "/global/pg_control") or os.path.exists(FIRST_START):
        return False
    api.patch(f"pods/{NAME}", {"annotations": {"pgk/volume": "data"}})
    return True


def is_primary():
    """Whether this member is the primary of a database that is whole: as long as FIRST_START is there, Patroni still makes
    it, and post-init.sh its roles."""
    return patroni("GET", "/patroni")[1].get("role") == "primary" and not os.path.exists(FIRST_START)


def apart_from_the_primary():
    """Whether the primary is on another node than this member. (Where there are fewer nodes than members, or
    were for a while, some share one.)"""
    pods = api.get(pods_path(config))["items"]
    nodes = {pod["metadata"]["name"]: pod.get("spec", {}).get("nodeName") for pod in pods}
    primaries = {pod["metadata"]["name"] for pod in pods if pod["metadata"].get("labels", {}).get("role") == "primary"}
    return nodes.get(NAME) is None or nodes[NAME] not in (nodes[name] for name in primaries - {NAME})


def apply_roles():
    """Roles and passwords as the Secret says. Returns whether that worked."""
    command = ["psql", "--no-psqlrc", "-qX", "-d", "postgres", "-f", CONFIG + "roles.sql"]
    if subprocess.run(command, timeout=30, check=False).returncode != 0:
        return False
    log("roles and passwords are those of the Secret")
    return True


def carry_over_parameters():
    """Makes the cluster's dynamic configuration what is rendered now. The ConfigMap is read from the API,
    where it is newest: a mounted one can be a minute behind, and another minute on the next primary."""
    rendered = api.get("configmaps/" + settings()["config-map"])["data"]
    wanted = merged(rendered["patroni.yaml"], rendered["parameters.yaml"])["bootstrap"]["dcs"]
    status, current = patroni("GET", "/config")
    if status != 200:
        return
    if "pause" in current:  # `patronictl pause` is a human's, for a while
        wanted["pause"] = current["pause"]
    if current != wanted:
        status, answer = patroni("PUT", "/config", wanted)
        log("the configuration has changed: carried over" if status == 200 else f"configuration refused: {answer}")


restarted = {}  # member: when


def restart_where_needed():
    """For a changed parameter that PostgreSQL reads only at its start: one member at a time, the primary
    after the replicas. Once a look, so that a member that needs it twice (a replica, when a limit was
    lowered) waits for the others in between."""
    members = patroni("GET", "/cluster")[1]["members"]
    if any(member["state"] not in ("running", "streaming") for member in members):
        return
    waiting = [member for member in members if member.get("pending_restart")]
    if not waiting:
        # A Patroni that reloads while PostgreSQL starts forgets that a restart is still pending (4.1.5); it
        # finds that out again when it reloads once more.
        for member in members:
            if member["name"] in restarted:
                patroni("POST", "/reload", host=member["host"])
        restarted.clear()
    else:
        member = min(waiting, key=lambda one: (restarted.get(one["name"], 0), one["role"] == "leader"))
        restarted[member["name"]] = time.monotonic()
        log(f"restarting {member['name']}: a changed parameter needs it")
        status, answer = patroni("POST", "/restart", {"restart_pending": True}, host=member["host"], timeout=60)
        log(f"restart of {member['name']}: {answer}")


def say_what_is_missing():
    """All volumes empty, but Patroni's objects speak of a database: only a human knows what that means."""
    missing = False
    if not os.listdir(DATA) and annotations(api.get(config_path)).get("initialize"):
        words = [annotations(pod).get("pgk/volume") for pod in api.get(pods_path(config))["items"]]
        leaders = [member for member in patroni("GET", "/cluster")[1]["members"] if member["role"] == "leader"]
        missing = not leaders and "data" not in words
    say("missing", missing and "WAITING FOR A HUMAN: the cluster is not new, but no running member holds its data. "
        "No new database is made in its place. See " + settings()["help"])


def end_a_hanging_patroni(patroni_pid, heard):
    """Returns when Patroni last said that it is alive."""
    try:
        if patroni("GET", "/liveness")[0] == 200:
            return time.monotonic()
    except OSError:
        pass
    if time.monotonic() - heard < HANGS:
        return heard
    log(f"Patroni has not been alive for {HANGS} s: starting it anew; PostgreSQL goes on")
    os.kill(patroni_pid, signal.SIGKILL)
    return time.monotonic()


def main(patroni_pid):
    if not config["kubernetes"]["use_endpoints"]:
        threading.Thread(target=lead_when_elected, daemon=True).start()
    heard = time.monotonic()
    holds_data = False
    apart, asked = True, time.monotonic() - APART_PERIOD
    written = (checksum(CONFIG), checksum(CREDENTIALS), False, True)
    roles_as_of = None
    while True:
        time.sleep(PERIOD)
        try:
            heard = end_a_hanging_patroni(patroni_pid, heard)
            holds_data = holds_data or note_data()
            if time.monotonic() - asked >= APART_PERIOD:
                apart, asked = apart_from_the_primary(), time.monotonic()
            secret = checksum(CREDENTIALS)
            seen = (checksum(CONFIG), secret, holds_data, apart)
            if seen != written:
                # A member that has held data never makes a new database.
                may_bootstrap = not holds_data and "bootstrap" in yaml.safe_load(read(PATRONI_YAML))
                write_patroni_yaml(may_bootstrap, apart)
                os.kill(patroni_pid, signal.SIGHUP)
                written = seen
            if is_primary():
                lead(api, config)
                if secret != roles_as_of and apply_roles():
                    roles_as_of = secret
                carry_over_parameters()
                restart_where_needed()
            else:
                roles_as_of = None
                say_what_is_missing()
            say("tend", "")
        except (OSError, AttributeError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
            say("tend", f"cannot look after this member at the moment: {error!r}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
