"""Decides, before Patroni starts, whether this member may make a new, empty database.

Only the first member (pg-0) may, only when its own volume is empty, when the cluster has no history in
Patroni's objects, and when every other member's running pod says that its volume is empty, too. A member
that says nothing may hold the data, so it is waited for. Everybody else clones from the leader."""

import os
import shutil
import time

from pgk import *

api = Api()
config = mounted_config()
leader_path, config_path, sync_path = objects(config)


def patiently(what, action):
    """Tries until the Kubernetes API lets it succeed."""
    while True:
        try:
            return action()
        except OSError as error:
            say("api", f"waiting: cannot {what}: {error}")
            time.sleep(1)


def tell_what_the_volume_holds(what):
    patiently("note what the volume holds", lambda: api.patch(f"pods/{NAME}", {"annotations": {"pgk/volume": what}}))


def what_the_others_hold():
    """Each other member's word (`data` or `empty`), None from those that cannot say."""
    pods = {pod["metadata"]["name"]: pod for pod in api.get(pods_path(config))["items"]}
    expected = {f"{SET}-{ordinal}" for ordinal in range(settings()["members"])} | set(pods)
    words = {name: annotations(pods.get(name)).get("pgk/volume") for name in sorted(expected - {NAME})}
    return {name: word if word in ("data", "empty") else None for name, word in words.items()}


def forget_the_old_cluster():
    """Takes back what Patroni's objects say of a database that is no more."""
    for path, keys in (
        (leader_path, ["optime", "failsafe", "slots", "retain_slots"]),
        (sync_path, ["leader", "sync_standby", "quorum"]),
        (config_path, ["history", "initialize"]),  # the last one lets a new start begin
    ):
        if api.get(path):
            api.patch(path, {"annotations": dict.fromkeys(keys)})


def may_bootstrap():
    if ORDINAL != 0:
        log("the volume is empty: cloning the primary as soon as there is one")
        return False
    while True:
        cluster = annotations(patiently("read Patroni's state", lambda: api.get(config_path)))
        others = patiently("list the members", what_the_others_hold)
        silent = [name for name, word in others.items() if not word]
        if os.path.exists(START_EMPTY):
            log(f"somebody asked for an empty database ({START_EMPTY}): making one")
            patiently("forget the old cluster", forget_the_old_cluster)
            os.remove(START_EMPTY)
            return True
        if cluster.get("initialize"):
            log("the volume is empty, the cluster is not new: cloning the primary as soon as there is one")
            return False
        if "data" in others.values():
            holders = ", ".join(name for name, word in others.items() if word == "data")
            log(f"the volume is empty, and {holders} holds data: no new database, cloning it")
            return False
        if not silent:
            if "initialize" in cluster:  # the mark of a first start of ours that was interrupted
                patiently("clear the interrupted first start", forget_the_old_cluster)
            log("first start, no member holds data: making a database")
            return True
        say("wait", "waiting: not every member has said that its volume is empty, and one may hold the data: " + ", ".join(silent))
        time.sleep(0.5)


def prepare_the_folder():
    """Whether the volume can be used. One that was made anew by a node under its old name may not be."""
    try:
        if os.path.exists(FIRST_START):
            log("the first start was interrupted before anybody could connect: beginning it again")
            shutil.rmtree(DATA, ignore_errors=True)
            os.remove(FIRST_START)
        os.makedirs(DATA, mode=0o700, exist_ok=True)
        os.chmod(DATA, 0o700)
    except OSError as error:
        say("volume", f"waiting: the volume cannot be used: {error}")
        return False
    return True


while not prepare_the_folder():
    tell_what_the_volume_holds("unusable")  # watcher.py may know why
    time.sleep(5)

if os.listdir(DATA):
    log("the volume holds data: joining the cluster with it")
    tell_what_the_volume_holds("data")
    write_patroni_yaml(may_bootstrap=False)
else:
    tell_what_the_volume_holds("empty")
    first = may_bootstrap()
    if first:
        open(FIRST_START, "x").close()
    write_patroni_yaml(may_bootstrap=first)
