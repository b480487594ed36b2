"""Decides, before Patroni starts, what this member begins with.

With an empty volume, it clones the primary. Only the first member (pg-0) may make a new, empty
database, and only when the cluster has no history in Patroni's objects and every other member's
running pod says that its volume is empty, too. A member that says nothing may hold the data, so it
is waited for.

With data, it joins. If Patroni's objects were lost, nobody knows any more which members have every
acknowledged commit; then the one with the most WAL leads, after all have said how much that is."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable

from pgk import (
    DATA, FIRST_START, NAME, ORDINAL, SET, START_EMPTY, Api, annotations, instance, log, say,
    settings, write_patroni_yaml,
)

# Made by a human who wants this member to lead with what it has, whatever others hold.
LEAD = "/pgdata/lead"

api = Api()

def patiently(what: str, action: Callable):
    """Tries until the Kubernetes API lets it succeed."""
    while True:
        try:
            return action()
        except OSError as error:
            say("api", f"waiting: cannot {what}: {error}")
            time.sleep(1)

def tell_what_the_volume_holds(what: str, wal_end: str | None = None) -> None:
    told = {"annotations": {"pgk/volume": what, "pgk/wal-end": wal_end}}
    patiently("note what the volume holds", lambda: api.patch(f"pods/{NAME}", told))

def what_the_others_tell() -> dict[str, dict]:
    """Of each other member the annotations of its pod, empty if there is no pod that could tell."""
    pods = {pod["metadata"]["name"]: pod for pod in api.get(instance().pods)["items"]}
    expected = {f"{SET}-{ordinal}" for ordinal in range(settings()["members"])} | set(pods)
    present = {name: pod for name, pod in pods.items()
               if not pod["metadata"].get("deletionTimestamp")}
    return {name: annotations(present.get(name)) for name in sorted(expected - {NAME})}

def forget_the_old_cluster() -> None:
    """Takes back what Patroni's objects say of a database that is no more."""
    for path, keys in (
        # (If this member held the lease, its Patroni would think it does, and nobody could begin.)
        (instance().leader, ["leader", "optime", "failsafe", "slots", "retain_slots"]),
        (instance().sync, ["leader", "sync_standby", "quorum"]),
        (instance().dynamic, ["history", "initialize"]),  # the last one lets a new start begin
    ):
        if api.get(path):
            api.patch(path, {"annotations": dict.fromkeys(keys)})

def may_bootstrap() -> bool:
    """Whether this member, its volume being empty, makes a new database: waits for certainty."""
    if ORDINAL != 0:
        log("the volume is empty: cloning the primary as soon as there is one")
        return False
    while True:
        state = patiently("read Patroni's state", lambda: api.get(instance().dynamic))
        cluster = annotations(state)
        others = patiently("list the members", what_the_others_tell)
        not_empty = [name for name, told in others.items() if told.get("pgk/volume") != "empty"]
        if os.path.exists(START_EMPTY):
            log(f"somebody asked for an empty database ({START_EMPTY}): making one")
            patiently("forget the old cluster", forget_the_old_cluster)
            os.remove(START_EMPTY)
            return True
        if cluster.get("initialize"):
            log("the volume is empty, the cluster is not new:"
                " cloning the primary as soon as there is one")
            return False
        if not not_empty:
            if "initialize" in cluster:  # the mark of a first start of ours that was interrupted
                patiently("clear the interrupted first start", forget_the_old_cluster)
            log("first start, no member holds data: making a database")
            return True
        say("wait", "waiting: the volume is empty, and these members have not said that theirs is,"
            " too: " + ", ".join(not_empty))
        time.sleep(0.5)

def wal_end() -> str:
    """Up to where this volume has WAL: timeline and position, as text that sorts like them."""
    folder = DATA + "/pg_wal/"
    segments = [name for name in os.listdir(folder) if re.fullmatch("[0-9A-F]{24}", name)]
    # The newest first; those made in advance hold no valid record.
    for segment in sorted(segments, reverse=True):
        last, words = None, ["pg_waldump", folder + segment]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              errors="replace") as dump:
            for line in dump.stdout:
                last = re.search("lsn: ([0-9A-F]+)/([0-9A-F]+)", line) or last
        if last:
            return f"{segment[:8]} {int(last[1], 16):08X}/{int(last[2], 16):08X}"
    return "00000000 00000000/00000000"

def is_known() -> bool:
    """Whether Patroni's objects tell who has every acknowledged commit, as an election needs."""
    cluster, sync = annotations(api.get(instance().dynamic)), annotations(api.get(instance().sync))
    synchronous = instance().config["bootstrap"]["dcs"]["synchronous_mode"]
    return bool(cluster.get("initialize") and (sync.get("leader") or not synchronous))

def join() -> None:
    """With data here: at once, or when Patroni's objects were lost, after who has the most WAL."""
    log("the volume holds data: joining the cluster with it")
    tell_what_the_volume_holds("data")
    if not patiently("read Patroni's state", is_known):
        wait_for_the_most_wal()
        tell_what_the_volume_holds("data")  # what was told of the WAL is soon out of date
    if os.path.exists(LEAD):  # done, or somebody else leads already
        os.remove(LEAD)

def wait_for_the_most_wal() -> None:
    """Returns when this member, of all, is to lead, or when another one does."""
    mine = wal_end()
    log("Patroni's objects were lost: the member with the most WAL is to lead;"
        f" this one has it up to {mine}")
    tell_what_the_volume_holds("data", mine)
    while not patiently("read Patroni's state", is_known):
        others = patiently("list the members", what_the_others_tell)
        ends = {name: told["pgk/wal-end"] for name, told in others.items()
                if told.get("pgk/wal-end")} | {NAME: mine}
        silent = [name for name, told in others.items()
                  if told.get("pgk/volume") != "empty" and name not in ends]
        first = min(name for name, end in ends.items() if end == max(ends.values()))
        if os.path.exists(LEAD):
            log(f"somebody asked this member to lead ({LEAD})")
            return
        if not silent and first == NAME:
            log("no other member has more WAL: leading")
            return
        whom = (", ".join(silent) + " to say how much WAL it has" if silent
                else first + ", which has the most WAL")
        say("lost", f"waiting for {whom}. Should it not return: touch {LEAD} in the member that is "
            "to lead instead; what it lacks is then lost")
        time.sleep(0.5)

def prepare_the_folder() -> bool:
    """Makes the folder for the data, without what cannot be a database. Returns whether the volume
    can be used: one that was made anew by a node under its old name may not be."""
    try:
        if os.path.exists(FIRST_START):
            log("the first start was interrupted before anybody could connect: beginning it again")
            remove(DATA)
            os.remove(FIRST_START)
        there = os.path.isdir(DATA) and os.listdir(DATA)
        if there and not os.path.exists(DATA + "/global/pg_control"):
            if os.path.exists(DATA + "/backup_label"):
                log("the volume holds a clone that was interrupted: dropping it")
                remove(DATA)
            else:
                size = sum(os.lstat(os.path.join(folder, name)).st_size
                           for folder, _, names in os.walk(DATA) for name in names)
                log(f"the volume holds no whole database ({size >> 20} MB): keeping it aside as "
                    "data.incomplete until this member follows a primary")
                remove(DATA + ".incomplete")
                os.rename(DATA, DATA + ".incomplete")
        os.makedirs(DATA, mode=0o700, exist_ok=True)
        os.chmod(DATA, 0o700)
    except OSError as error:
        say("volume", f"waiting: the volume cannot be used: {error}")
        return False
    return True

def remove(folder: str) -> None:
    if os.path.exists(folder):
        shutil.rmtree(folder)

def main(prepare: Callable = prepare_the_folder, decide: Callable = may_bootstrap) -> None:
    """With an archive, start.py prepares the folder and decides what an empty volume becomes."""
    while not prepare():
        tell_what_the_volume_holds("unusable")  # watcher.py may know why
        time.sleep(5)

    if os.listdir(DATA):
        join()
        first = False
    else:
        tell_what_the_volume_holds("empty")
        first = decide()
    if first:
        open(FIRST_START, "x").close()
    while True:
        try:
            return write_patroni_yaml(may_bootstrap=first)
        except ValueError as error:
            say("secret", f"waiting: {error}")
            time.sleep(5)

if __name__ == "__main__":
    main()
