"""Looks after the repositories, from where they can be written: beside the repository in the
cluster, or on the primary.

    repository.py watch        creates the stanza and takes the first backup, whenever one is
                               missing, and makes room on the volume
    repository.py once         the same, once; status 0: nothing is missing
    repository.py backup TYPE  a backup of that type (full, diff, incr) in every repository

A stanza of another database system is never touched: nothing here upgrades or deletes one."""

import contextlib
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

from backrest import (
    DOUBT, LOCKED, NO_DATABASE, NO_STANZA, NO_STANZA_DATA, OK, RESTORED_FROM, RESTORED_TO, ROOM,
    STANZA_HELP, Found, annotated, archive, found, label_of, missing_after, pgbackrest, restored_to,
)
from pgk import knock, log, read, say, write

NOW = "/tmp/pgbackrest-now.conf"
BUSY = 20  # attempts, while another backup is running
VOLUME = "/repo"
# A file of a fiftieth of it, which makes room where pgBackRest cannot even write its lock any more.
RESERVE = VOLUME + "/reserve"
EXPIRE = 600  # seconds between two attempts to make room

def reachable() -> tuple[dict, list[dict]]:
    """pgBackRest's configuration with the members and repositories that answer, since it would wait
    minutes for each of the others. Returns the environment to run it in, and the repositories."""
    lines = read(os.environ["PGBACKREST_CONFIG"]).splitlines()
    found_hosts = (re.match(r"(pg\d+)-host=(.*)", line) for line in lines)
    hosts = dict(match.groups() for match in found_hosts if match)
    repos = archive()["repos"]
    away = {f"repo{repo['number']}": repo for repo in repos
            if not knock(repo["host"], repo["port"])}
    gone = {member for member, host in hosts.items() if not knock(host, 8432)} | set(away)
    write(NOW, "".join(line + "\n" for line in lines if line.split("-")[0] not in gone))
    theirs = tuple(f"PGBACKREST_{number.upper()}_" for number in away)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
    environment["PGBACKREST_CONFIG"] = NOW
    say("away", away and "repositories that do not answer: " + ", ".join(
        f"{repo['number']} at {repo['host']}:{repo['port']}" for repo in away.values()))
    if hosts and not hosts.keys() - gone:
        raise OSError("waiting for the members: none answers at port 8432")
    return environment, [repo for repo in repos if f"repo{repo['number']}" not in away]

def annotations_of_a_backup(repositories: list[Found]) -> list[str]:
    """After a restore to a point in time every backup says that it was done: older ones expire."""
    target = archive().get("restore")
    if target and restored_to(repositories, target):
        return [f"--annotation={RESTORED_TO}={label_of(target)}"]
    return []

def due(one: Found, repositories: list[Found]) -> str:
    """Why the repository needs a full backup now; empty if it does not."""
    target = archive().get("restore")
    if one.status in (NO_STANZA, NO_STANZA_DATA, DOUBT):
        return ""
    if not one.backups:
        return "it holds none of this database"
    if target and annotated(repositories, RESTORED_FROM, label_of(target)) \
            and not annotated([one], RESTORED_TO, label_of(target)):
        return f"the database was restored to {label_of(target)}"
    gap, label = gap_after(one.backups[-1], one), one.backups[-1]["label"]
    return f"the WAL file number {gap} is missing in it after {label}" if lasts(one, gap) else ""

def lasts(one: Found, gap: str) -> bool:
    """Whether the gap was there a minute ago: WAL files may get into the archive out of turn."""
    path = f"/tmp/archive-gap-{one.number}"
    if not gap:
        Path(path).unlink(missing_ok=True)
        return False
    if not os.path.exists(path) or read(path) != gap:
        write(path, gap)
    return time.time() - os.path.getmtime(path) > 60

def gap_after(backup: dict, one: Found) -> str:
    """The WAL file that the archive lacks after the newest backup: a primary may have been lost, or
    rewound, before all of its WAL got away. What comes after it cannot be restored."""
    words = ("repo-ls", "--recurse", "--filter=/[0-9A-F]{24}-[0-9a-f]{40}", f"--repo={one.number}",
             f"archive/{archive()['stanza']}/{one.archive}")
    status, text, complaint = pgbackrest(*words, timeout=300)
    if status != 0:
        raise OSError(f"{one}: cannot list its WAL: {complaint}")
    names = [line.split("/")[-1][:24] for line in text.splitlines()]
    return missing_after(backup["archive"]["start"], names)

def once() -> bool:
    """Returns whether nothing is missing."""
    environment, repos = reachable()
    status, _, complaint = pgbackrest("stanza-create", timeout=300, environment=environment)
    why = ""
    if status == NO_DATABASE:
        why = "waiting for a primary"
    elif status not in (0, None) and "do not match the database" in complaint:
        why = ("WAITING FOR A HUMAN: the archive's stanza is of another database system than this"
               " cluster's: nothing is archived, and nothing in it is changed. Point q3.path (or"
               f" the bucket) elsewhere; or, if what it holds is not needed: {STANZA_HELP}")
    elif status not in (0, LOCKED):  # archiving is under way: then there is a stanza
        why = f"waiting: the stanza cannot be created or checked (status {status}): {complaint}"
    say("stanza", why)
    if why:
        return False
    repositories = [found(repo) for repo in repos]
    done = len(repos) == len(archive()["repos"]) and all(one.status == OK for one in repositories)
    for one in repositories:
        if why := due(one, repositories):
            annotation = annotations_of_a_backup(repositories)
            done = backup("full", one, environment, annotation, f" ({why})") and done
    return done

def backup(kind: str, one: Found, environment: dict, annotation: list[str], why: str = "") -> bool:
    """A backup in one repository, and what it came to in one line."""
    log(f"{one}: {kind} backup begins{why}")
    began = time.monotonic()
    words = ["backup", f"--type={kind}", f"--repo={one.number}", *annotation]
    for _ in range(BUSY):
        status, _, complaint = pgbackrest(*words, environment=environment)
        running = re.search("is another backup already running|advisory lock", complaint)
        if status != LOCKED and not running:
            break
        say("busy", f"{one}: waiting, another backup is running")
        time.sleep(30)
    took = time.monotonic() - began
    if status != 0:
        log(f"{one}: {kind} backup FAILED after {took:.0f} s (status {status}): {complaint}")
        return False
    for made in found(one.repo).backups[-1:]:
        size, new = made["info"]["size"] >> 20, made["info"]["repository"]["delta"] >> 20
        log(f"{one}: {made['type']} backup {made['label']} done in {took:.0f} s, {size} MB, {new}"
            " MB of it new in the repository" + (f". {complaint}" if complaint else ""))
    return True

def backup_all(kind: str) -> bool:
    environment, repos = reachable()
    failed = [f"repository {repo['number']} ({repo['kind']}) does not answer"
              for repo in archive()["repos"] if repo not in repos]
    repositories = [found(repo) for repo in repos]
    annotation = annotations_of_a_backup(repositories)
    failed += [str(one) for one in repositories if not backup(kind, one, environment, annotation)]
    log("backup FAILED: " + ", ".join(failed) if failed else "backup done in every repository")
    return not failed

class Room:
    """How full the repository's volume is. A backup removes what q3.retention does not keep, but
    only when it is done, and on a full volume none is ever done: so that goes before."""

    def __init__(self):
        self.number = next(repo["number"] for repo in archive()["repos"] if repo["kind"] == "posix")
        self.expired = None

    def filled(self) -> tuple[int, int, int]:
        """In percent, and how many bytes there are and are free."""
        size, used, free = shutil.disk_usage(VOLUME)
        return 100 * used // (used + free), size, free

    def expire(self) -> tuple[int | None, str]:
        status, _, complaint = pgbackrest("expire", f"--repo={self.number}", timeout=EXPIRE)
        return status, complaint

    def tell(self, reason: str = "", text: str = "") -> None:
        """In the log, and for the primary, whose pod says it as a condition (tend_archive.py)."""
        say("room", text)
        config = read(os.environ["PGBACKREST_CONFIG"])
        path = re.search(rf"^repo{self.number}-path=(.*)$", config, re.MULTILINE)[1] + "/" + ROOM
        with contextlib.suppress(OSError):  # not even room for that, or nothing there yet
            write(path, text and f"{reason}\n{text}\n")

    def look(self) -> None:
        percent, size, free = self.filled()
        how_full = f"{percent} % of its {size >> 20} MB"
        if percent < 80:
            self.tell()
        elif percent < 90:
            self.tell("RepositoryFillsUp", f"the repository's volume is filling up: {how_full}."
                      " At 90 %, what q3.retention does not keep is removed")
        elif self.expired is None or time.monotonic() - self.expired >= EXPIRE:
            status, complaint = self.expire()
            if status not in (0, LOCKED) and free < size // 100 and os.path.exists(RESERVE):
                os.remove(RESERVE)
                status, complaint = self.expire()
            if status != LOCKED:  # a backup is running, so once more soon
                self.expired = time.monotonic()
            if status == 0:
                complaint = f"Without what q3.retention does not keep: {self.filled()[0]} %"
            self.tell("RepositoryFull", f"THE REPOSITORY'S VOLUME IS NEARLY FULL: {how_full}."
                      f" {complaint}. If it stays like this: keep fewer full backups"
                      " (q3.retention), make the volume larger, or add a repository. Without room,"
                      " no backup is made, and WAL waits on the primary's volume")
        if not os.path.exists(RESERVE) and self.filled()[2] > size // 50:
            with open(RESERVE, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size // 50)

def watch() -> None:
    room = Room()
    while True:
        done = False
        try:
            room.look()
            done = once()
            say("watch", "")
        except OSError as error:
            say("watch", str(error))
        time.sleep(60 if done else 5)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if sys.argv[1] == "backup":
            sys.exit(0 if backup_all(sys.argv[2]) else 1)
        sys.exit(0 if once() else 1) if sys.argv[1] == "once" else watch()
    except OSError as error:
        log(f"FAILED: {error}")
        sys.exit(1)
