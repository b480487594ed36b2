"""tend.py, for a cluster with an archive. Besides, it

- watches the archiving on the primary, and says when WAL no longer gets away, or the repository's
  volume fills up: in the log, and as the condition `pgk/archiving` of the pod, which takes nothing
  away from the primary;
- takes the first backup, where the repository is nobody's own (repository.py);
- has every member keep the WAL that waits for the archive, whoever is primary next;
- lets a member lead whose data is all that is left;
- lets the first member decide again when nobody holds data any more (start.py)."""

import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import start
import tend
from backrest import (
    NO_BACKUP, NO_STANZA, OK, ROOM, SCRIPTS, archive, newest_file, pgbackrest, segment_start,
    survey,
)
from first_start import LEAD, what_the_others_tell
from pgk import (
    DATA, FIRST_START, ORDINAL, SEGMENT, SET, Condition, annotations, ends_of_timelines, instance,
    knock, log, patroni, position, psql, read, say,
)

# Seconds without a primary, the lease having run out, after which Patroni by its rules makes none.
LEADERLESS = 10
FAILS = 60  # seconds that a WAL file may wait while none gets away
ASK = 60  # seconds between two looks at how full the repository is
WAKE = 10  # seconds after which a failing archiving is tried again
SETTLED = 30  # seconds in which a new primary's archiver finds out what the archive has already
STEP = 512 << 20  # bytes by which wal_keep_size changes
DUPLICATE = "45\n"  # pgBackRest's error: the archive has another file of this name
ARCHIVE_END = "/tmp/archive-end"  # fetch-wal.sh's: the next WAL file, which no repository has
UNITS = {"B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}

def sql(query: str) -> list[str]:
    done = psql(query, "-F", " ", "-d", "postgres", timeout=10)
    if done.returncode != 0:
        raise OSError(f"psql: {done.stderr.strip()}")
    return done.stdout.split()

class Archive(tend.NoArchive):
    """What an archive changes in what tend.py does."""

    def __init__(self):
        self.backlog = None  # how many WAL files wait for the archive; None: not known (yet)
        self.alone_since = None

    def is_last_resort(self) -> bool:
        """Whether there was no primary for a while, and the others say that they are empty."""
        members = patroni("GET", "/cluster")[1]["members"]
        if any(member["role"] == "leader" for member in members) or any(
                told.get("pgk/volume") != "empty" for told in what_the_others_tell().values()):
            self.alone_since = None
            return False
        self.alone_since = self.alone_since or time.monotonic()
        return time.monotonic() - self.alone_since >= LEADERLESS

    def say_what_is_missing(self) -> None:
        """Nobody leads, and what is done about it."""
        # (Or Patroni is making the first database.)
        if not self.is_last_resort() or os.path.exists(FIRST_START):
            say("missing", "")
        elif os.path.exists(DATA + "/global/pg_control"):
            self.lead_with_what_is_left()
        elif ORDINAL == 0:
            log("no member holds data any more: looking into the archive")
            os.kill(os.getppid(), signal.SIGTERM)  # member.sh: the container begins again
            time.sleep(60)
        else:
            say("missing", f"waiting: no running member holds the data; {SET}-0 sees to it (its log"
                " says how)")

    def lead_with_what_is_left(self) -> None:
        """Patroni's objects may forbid this member to lead, since it was not the synchronous
        standby. What it lacks is in the archive, or lost: so once that is replayed, they forget."""
        if not os.path.exists(LEAD) and (why := behind()):
            say("missing", f"the only member that holds data does not lead yet: {why}. To lead with"
                f" what is here: touch {LEAD}")
            return
        log("no other member holds data, and this one has all of the archive:"
            " Patroni may promote it")
        for path, keys in ((instance().sync, ["leader", "sync_standby", "quorum"]),
                           (instance().leader, ["optime", "failsafe"])):
            if item := tend.api.get(path):
                version = {"resourceVersion": item["metadata"]["resourceVersion"]}
                tend.api.patch(path, {**version, "annotations": dict.fromkeys(keys)})
        Path(LEAD).unlink(missing_ok=True)
        self.alone_since = None

    def gone_for_good(self, segment: str) -> bool:
        """Whether the archive lacks a WAL file of this number, too."""
        return archive_end()[-16:] == segment[-16:]

    def waits(self) -> bool:
        return bool(self.backlog)

    def adjusted(self, wanted: dict, current: dict) -> dict:
        """As long as WAL waits for the archive, every member keeps it (wal_keep_size), so that
        whoever is primary next can archive it. (A standby may remove what waits, and a rewind
        forgets that it does.) It is raised early, in large steps, and lowered late: every change
        goes to all members."""
        parameters = wanted["postgresql"]["parameters"]
        rendered = size_of(parameters.get("wal_keep_size"))
        if rendered is None:
            return wanted
        now = current.get("postgresql", {}).get("parameters", {})
        kept = size_of(now.get("wal_keep_size")) or 0
        waits = (self.backlog or 0) * SEGMENT
        limit = max(rendered, STEP) // (8 if kept > rendered else 2)
        if self.backlog is not None and waits <= limit:
            return wanted
        needed = -(-(waits * 5 // 4 + rendered) // STEP) * STEP if waits else 0
        keep = min(max(kept, needed), most_to_keep())
        if keep > rendered:
            parameters["wal_keep_size"] = f"{keep >> 20}MB"
        return wanted

def behind() -> str:
    """Why this member may lack something that the archive has; empty if it does not."""
    try:
        replayed = sql("SELECT pg_last_wal_replay_lsn() FROM pg_control_checkpoint()"
                       " WHERE pg_is_in_recovery()")
    except (OSError, subprocess.TimeoutExpired):
        return ("its PostgreSQL does not run as a standby (its log says why; if its history has"
                " parted from the archive's, delete its volume: all of it is then restored)")
    repositories = survey()
    for one in repositories:
        if one.status not in (OK, NO_STANZA, NO_BACKUP):
            return f"{one} does not answer, and may hold more: {one.message}"
    newest, end = newest_file(repositories), archive_end()
    if not newest or not replayed:
        return ""
    if end and position(replayed[0]) <= segment_start(newest):
        return (f"the archive ends with {newest}, but no longer has {end}, which comes next here:"
                " delete this volume, and all of it is restored")
    # PostgreSQL asks for the next file on the timeline that it follows, if not on a later one.
    if end and end[:8] < newest[:8]:
        return (f"it does not follow the archive's newest timeline, of {newest}: if that lasts,"
                " delete this volume, and all of it is restored")
    if not end or segment_start(end) <= segment_start(newest):
        return f"it replays the archive, up to {newest}"
    return ""

def archive_end() -> str:
    with contextlib.suppress(FileNotFoundError):
        return read(ARCHIVE_END).strip()
    return ""

# ------------------------------------------------------------------ the primary's archiving

def timelines() -> tuple[str, dict[int, int]]:
    """This primary's timeline, and where each of the former ones ended."""
    own = sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][:8]
    path = f"{DATA}/pg_wal/{own}.history"
    return own, ends_of_timelines(read(path) if os.path.exists(path) else "")

def is_whole(name: str, ends: dict[int, int]) -> bool:
    """Whether all of that WAL file is of the timeline that it is named after."""
    return segment_start(name) + SEGMENT <= ends.get(int(name[:8], 16), 0)

def archive_what_the_former_primary_may_not_have() -> None:
    """Lets this member, just promoted, archive the WAL that it holds of the former timelines: the
    former primary may have lost some of it before it got away, and with a gap in it the archive
    ends there. (What the archive has already is compared, not sent again.) Where a timeline ended
    within a file, what follows in it differs from member to member: that file is left out."""
    _, ends = timelines()
    status = DATA + "/pg_wal/archive_status/"
    names = [name for name in os.listdir(DATA + "/pg_wal") if re.fullmatch("[0-9A-F]{24}", name)]
    for name in sorted(name for name in names if is_whole(name, ends)):
        if os.path.exists(status + name + ".done"):
            os.rename(status + name + ".done", status + name + ".ready")
        elif not os.path.exists(status + name + ".ready"):
            open(status + name + ".ready", "w", encoding="utf-8").close()

def let_go_of_what_differs() -> None:
    """A file in which its timeline ended may be in the archive as another member had it. It would
    be refused for ever, and everything after it would wait."""
    for path in glob.glob("/pgdata/spool/archive/*/out/*.error"):
        name = os.path.basename(path)[:-len(".error")]
        ready = f"{DATA}/pg_wal/archive_status/{name}.ready"
        if not re.fullmatch(r"[0-9A-F]{24}(\.partial)?", name) or not os.path.exists(ready):
            continue
        own, ends = timelines()
        if read(path).startswith(DUPLICATE) and name[:8] < own and not is_whole(name, ends):
            os.rename(ready, ready[:-len("ready")] + "done")
            log(f"{name} is in the archive as another member had it, and is left out. No loss: its"
                " timeline ended within it or before, and the next one's first file has it up to"
                " there")
            sql("SELECT pg_reload_conf()")  # which wakes PostgreSQL's archiver

# ------------------------------------------------------------------ the WAL that waits

def size_of(value) -> int | None:
    """In bytes a size as PostgreSQL reads it, where MB is what is meant without a unit; or None."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*(B|kB|MB|GB|TB)?", str(value).strip())
    return int(float(found[1]) * UNITS[found[2] or "MB"]) if found else None

def most_to_keep() -> int:
    """Half of the volume, in bytes, a tenth of which stays free: members all full help nobody."""
    disk, folder = shutil.disk_usage("/pgdata"), DATA + "/pg_wal"
    kept = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
    return max(0, min(disk.total // 2, kept + disk.free - disk.total // 10))

def waiting() -> list[int]:
    """How many files wait to be archived, and how many were."""
    return [int(word) for word in sql(
        "SELECT count(*), (SELECT archived_count FROM pg_stat_archiver)"
        " FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")]

def last_error() -> str:
    """What the asynchronous pgBackRest last complained of."""
    errors = glob.glob("/pgdata/spool/archive/*/out/*.error")
    newest = max(errors, key=os.path.getmtime, default=None)
    return " ".join(read(newest).split("\n")[1:])[:300] if newest else ""

class Archiving:
    def __init__(self):
        self.condition = Condition("pgk/archiving")
        self.archived = None
        self.logged = self.woken = 0.0
        self.room, self.asked = ["", ""], time.monotonic() - ASK
        self.since = time.monotonic()  # by this clock, since the other may be set back

    def look(self) -> int:
        """Returns how many files wait."""
        count, archived = waiting()
        if count:
            let_go_of_what_differs()
        if not count or archived != self.archived:
            self.archived, self.since = archived, time.monotonic()
        quiet = time.monotonic() - self.since
        fails, scarce, text = quiet > FAILS, False, ""
        if fails:
            most = most_to_keep()
            scarce = count * SEGMENT > most * 4 // 5
            repos = archive()["repos"]
            away = [f"repository {repo['number']} does not answer at {repo['host']}:{repo['port']}"
                    for repo in repos if not knock(repo["host"], repo["port"])]
            error = ", ".join(away) or last_error()
            limit = (f"THE OTHER MEMBERS KEEP NO MORE than {most >> 20} MB (half of the volume, or"
                     f" what is free), and {count * SEGMENT >> 20} MB wait: a change of the primary"
                     " loses to the archive what is beyond. ") if scarce else ""
            free = shutil.disk_usage("/pgdata").free >> 20
            text = (f"ARCHIVING FAILS for {quiet:.0f} s: {count} WAL files wait on the volume,"
                    f" which has {free} MB left (each takes 16 MB). {limit}Writes go on. See to the"
                    " repository" + (f": {error}" if error else ""))
            told = (self.condition.told or [""])[:2]
            if told != ("Fails", scarce) or time.monotonic() - self.logged > 300:
                self.logged = time.monotonic()
                log(text)
            if len(away) < len(repos) and time.monotonic() - self.woken >= WAKE:
                self.woken = time.monotonic()
                # After a failure, PostgreSQL's archiver sleeps for a minute, unless this wakes it.
                sql("SELECT pg_reload_conf()")
        elif self.condition.told and self.condition.told[0] == "Fails":
            log("archiving works again")
        reason, room = self.ask_for_room()
        if not fails:
            text = "the WAL gets into the archive"
        reason = "Fails" if fails else reason or "Works"
        good = reason not in ("Fails", "RepositoryFull")
        self.condition.tell(reason, text + (room and f"; {room}"), good, scarce, room)
        return count

    def ask_for_room(self) -> list[str]:
        """What the repository in the cluster says of its volume: a reason and a text."""
        if time.monotonic() - self.asked >= ASK:
            self.asked = time.monotonic()
            words = "repo-get", "--raw", "--ignore-missing", "--io-timeout=10", ROOM
            for repo in archive()["repos"]:
                if repo["kind"] != "posix" or not knock(repo["host"], repo["port"]):
                    continue
                status, told, _ = pgbackrest(*words, f"--repo={repo['number']}", timeout=30)
                if status == 0:
                    self.room = (told.splitlines() + ["", ""])[:2]
        return self.room

def leads(led: bool) -> bool:
    """Whether this member is the primary, which it may have been before. A database that Patroni is
    still making may yet be thrown away, and another made: a repository must not hear of it before
    Patroni's objects do."""
    return tend.own_state()[1] and (
        led or bool(annotations(tend.api.get(instance().dynamic)).get("initialize")))

def watch_the_archive(changes: Archive) -> None:
    """While this member is the primary. In a thread of its own, as it may hang."""
    archiving, backup, ended, led, taken = Archiving(), None, 0.0, False, 0.0
    own = all(repo["kind"] != "posix" for repo in archive()["repos"])
    while True:
        time.sleep(2)
        try:
            start.write_repositories()
            primary = leads(led)
            if backup and backup.poll() is not None:
                ended = time.monotonic() + (300 if backup.returncode == 0 else 10)
                backup = None
            if primary and not led:
                archive_what_the_former_primary_may_not_have()
                archiving.archived, taken = None, time.monotonic()
            led = primary
            if primary:
                if own and not backup and time.monotonic() >= ended:
                    backup = subprocess.Popen([sys.executable, SCRIPTS + "/repository.py", "once"])
                count = archiving.look()
                if time.monotonic() - taken >= SETTLED:
                    changes.backlog = count
            else:
                changes.backlog = None
                if backup:
                    backup.terminate()
                archiving.condition.tell(None)
            say("archive", "")
        except Exception as error:  # whatever it is: nobody would notice that this thread has ended
            say("archive", f"cannot watch the archiving at the moment: {error!r}")

if __name__ == "__main__":
    changes = Archive()
    threading.Thread(target=watch_the_archive, args=(changes,), daemon=True).start()
    tend.main(int(sys.argv[1]), changes)
