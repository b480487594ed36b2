"""Looks after the repositories, from where they can be written: beside the repository in the cluster, or on the
primary.

    repository.py watch        creates the stanza and takes the first backup, whenever one is missing
    repository.py once         the same, once; status 0: nothing is missing
    repository.py backup TYPE  a backup of that type (full, diff, incr) in every repository

A stanza of another database system is never touched: nothing here upgrades or deletes one."""

import sys

from backrest import *

NOW = "/tmp/pgbackrest-now.conf"
BUSY = 20  # attempts, while another backup is running


def reachable():
    """pgBackRest's configuration with the members and repositories that answer, since it would wait minutes for
    each of the others. Returns the environment to run it in, and the repositories."""
    lines = read(os.environ["PGBACKREST_CONFIG"]).splitlines()
    hosts = dict(match.groups() for line in lines if (match := re.match(r"(pg\d+)-host=(.*)", line)))
    repos = archive()["repos"]
    away = {f"repo{repo['number']}": repo for repo in repos if not knock(repo["host"], repo["port"])}
    gone = {member for member, host in hosts.items() if not knock(host, 8432)} | set(away)
    with open(NOW + ".new", "w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in lines if line.split("-")[0] not in gone))
    os.replace(NOW + ".new", NOW)
    environment = {name: value for name, value in os.environ.items() if not any(name.startswith(f"PGBACKREST_{number.upper()}_") for number in away)}
    environment["PGBACKREST_CONFIG"] = NOW
    say("away", away and "repositories that do not answer: " + ", ".join(f"{repo['number']} at {repo['host']}:{repo['port']}" for repo in away.values()))
    if hosts and not hosts.keys() - gone:
        raise OSError("waiting for the members: none answers at port 8432")
    return environment, [repo for repo in repos if f"repo{repo['number']}" not in away]


def annotations_of_a_backup(repositories):
    """After a restore to a point in time, every backup carries on that it was done: the older ones expire."""
    target = archive().get("restore")
    if target and restored_to(repositories, target):
        return [f"--annotation={RESTORED_TO}={label_of(target)}"]
    return []


def due(one, repositories):
    """Why the repository needs a full backup now; empty if it does not."""
    target = archive().get("restore")
    if one.status in (NO_STANZA, NO_STANZA_DATA, DOUBT):
        return ""
    if not one.backups:
        return "it holds none of this database"
    if target and annotated(repositories, RESTORED_FROM, label_of(target)) and not annotated([one], RESTORED_TO, label_of(target)):
        return f"the database was restored to {label_of(target)}"
    gap = gap_after(one.backups[-1], one)
    return f"the WAL file number {gap} is missing in it after {one.backups[-1]['label']}" if lasts(one, gap) else ""


def lasts(one, gap):
    """Whether the gap was there a minute ago: WAL files may get into the archive out of turn."""
    path = f"/tmp/archive-gap-{one.number}"
    if not gap:
        if os.path.exists(path):
            os.remove(path)
        return False
    if not os.path.exists(path) or read(path) != gap:
        with open(path, "w", encoding="utf-8") as file:
            file.write(gap)
    return time.time() - os.path.getmtime(path) > 60


def gap_after(backup, one):
    """The WAL file that the archive lacks after the newest backup: a primary may have been lost, or rewound, before
    all of its WAL got away. Without another backup, what comes after could not be restored."""
    folder = f"archive/{archive()['stanza']}/{one.archive}"
    status, text, complaint = pgbackrest("repo-ls", "--recurse", "--filter=/[0-9A-F]{24}-[0-9a-f]{40}", f"--repo={one.number}", folder, timeout=300)
    if status != 0:
        raise OSError(f"{one}: cannot list its WAL: {complaint}")
    return missing_after(backup["archive"]["start"], [line.split("/")[-1][:24] for line in text.splitlines()])


def once():
    """Returns whether nothing is missing."""
    environment, repos = reachable()
    status, _, complaint = pgbackrest("stanza-create", timeout=300, environment=environment)
    if status == NO_DATABASE:
        say("stanza", "waiting for a primary")
        return False
    if status not in (0, None) and "do not match the database" in complaint:
        say("stanza", "WAITING FOR A HUMAN: the archive's stanza is of another database system than this cluster's: nothing is archived, and nothing in it is changed. "
            f"Point q3.path (or the bucket) elsewhere; or, if what it holds is not needed: {stanza_help()}")
        return False
    if status not in (0, LOCKED):  # archiving is under way: then there is a stanza
        say("stanza", f"waiting: the stanza cannot be created or checked (status {status}): {complaint}")
        return False
    say("stanza", "")
    repositories = [found(repo) for repo in repos]
    done = len(repos) == len(archive()["repos"]) and all(one.status == OK for one in repositories)
    for one in repositories:
        why = due(one, repositories)
        if why:
            done = backup("full", one, environment, annotations_of_a_backup(repositories), f" ({why})") and done
    return done


def backup(kind, one, environment, annotation, why=""):
    """A backup in one repository, and what it came to in one line."""
    log(f"{one}: {kind} backup begins{why}")
    began = time.monotonic()
    for _ in range(BUSY):
        status, _, complaint = pgbackrest("backup", f"--type={kind}", f"--repo={one.number}", *annotation, environment=environment)
        if status != LOCKED and "is another backup already running" not in complaint and "advisory lock" not in complaint:
            break
        say("busy", f"{one}: waiting, another backup is running")
        time.sleep(30)
    took = time.monotonic() - began
    if status != 0:
        log(f"{one}: {kind} backup FAILED after {took:.0f} s (status {status}): {complaint}")
        return False
    newest = found(one.repo).backups[-1:]
    for made in newest:
        log(f"{one}: {made['type']} backup {made['label']} done in {took:.0f} s, {made['info']['size'] >> 20} MB,"
            f" {made['info']['repository']['delta'] >> 20} MB of it new in the repository" + (f". {complaint}" if complaint else ""))
    return True


def backup_all(kind):
    environment, repos = reachable()
    failed = [f"repository {repo['number']} ({repo['kind']}) does not answer" for repo in archive()["repos"] if repo not in repos]
    repositories = [found(repo) for repo in repos]
    annotation = annotations_of_a_backup(repositories)
    failed += [str(one) for one in repositories if not backup(kind, one, environment, annotation)]
    log("backup FAILED: " + ", ".join(failed) if failed else "backup done in every repository")
    return not failed


def watch():
    while True:
        done = False
        try:
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
