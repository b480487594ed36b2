"""tend.py, for a cluster with an archive. Besides, it

- watches the archiving on the primary, and says when WAL no longer gets away: in the log, and as the condition
  `pgk/archiving` of the pod, which takes nothing away from the primary;
- takes the first backup, where the repository is nobody's own (repository.py);
- lets a member lead whose data is all that is left;
- lets the first member decide again when nobody holds data any more (start.py)."""

import glob
import signal
import sys

import first_start
import start
import tend
from backrest import *

LEADERLESS = 10  # seconds without a primary, the lease having run out, after which Patroni's own rules make nobody one
FAILS = 60  # seconds that a WAL file may wait while none gets away
WAKE = 10  # seconds after which a failing archiving is tried again
LEAD = first_start.LEAD
CONDITION = "pgk/archiving"


def sql(query):
    done = psql(query, "-F", " ", "-d", "postgres", timeout=10)
    if done.returncode != 0:
        raise OSError(f"psql: {done.stderr.strip()}")
    return done.stdout.split()


class Alone:
    """Whether this member is the last resort: no primary for a while, and every other member's pod says that
    its volume is empty."""

    def __init__(self):
        self.since = None

    def look(self):
        leaders = [member for member in patroni("GET", "/cluster")[1]["members"] if member["role"] == "leader"]
        others = {} if leaders else first_start.what_the_others_tell()
        if leaders or any(told.get("pgk/volume") != "empty" for told in others.values()):
            self.since = None
            return False
        self.since = self.since or time.monotonic()
        return time.monotonic() - self.since >= LEADERLESS


alone = Alone()


def say_what_is_missing():
    """In the place of tend.py's: nobody leads, and what is done about it."""
    if not alone.look():
        say("missing", "")
    elif os.path.exists(FIRST_START):
        say("missing", "")  # Patroni is making the first database
    elif os.path.exists(DATA + "/global/pg_control"):
        lead_with_what_is_left()
    elif ORDINAL == 0:
        log("no member holds data any more: looking into the archive")
        os.kill(os.getppid(), signal.SIGTERM)  # member.sh: the container begins again
        time.sleep(60)
    else:
        say("missing", f"waiting: no running member holds the data; {SET}-0 sees to it (its log says how)")


def lead_with_what_is_left():
    """Patroni's objects may forbid this member to lead, since it was not the synchronous standby. What it lacks
    is in the archive, or lost: so once it has replayed the archive, they are told to forget."""
    if not os.path.exists(LEAD):
        why = behind()
        if why:
            say("missing", f"the only member that holds data does not lead yet: {why}. To lead with what is here: touch {LEAD}")
            return
    log("no other member holds data, and this one has all of the archive: Patroni may promote it")
    for path, keys in (tend.sync_path, ["leader", "sync_standby", "quorum"]), (tend.leader_path, ["optime", "failsafe"]):
        item = tend.api.get(path)
        if item:
            version = {"resourceVersion": item["metadata"]["resourceVersion"]}
            tend.api.patch(path, {**version, "annotations": dict.fromkeys(keys)})
    if os.path.exists(LEAD):
        os.remove(LEAD)
    alone.since = None


def behind():
    """Why this member may lack something that the archive has; empty if it does not."""
    try:
        replayed = sql("SELECT pg_last_wal_replay_lsn() FROM pg_control_checkpoint() WHERE pg_is_in_recovery()")
    except (OSError, subprocess.TimeoutExpired):
        return "its PostgreSQL does not run as a standby (its log says why; if its history has parted from the archive's, delete its volume: all of it is then restored)"
    repositories = survey()
    for one in repositories:
        if one.status not in (OK, NO_STANZA, NO_BACKUP):
            return f"{one} does not answer, and may hold more: {one.message}"
    newest = newest_file(repositories)
    if newest and replayed and position(replayed[0]) <= segment_start(newest):
        if os.path.exists("/tmp/archive-end"):
            return f"the archive ends with {newest}, but no longer has {read('/tmp/archive-end').strip()}, which comes next here: delete this volume, and all of it is restored"
        return f"it replays the archive, up to {newest}"
    return ""


# ------------------------------------------------------------------ the primary's archiving

def archive_what_the_former_primary_may_not_have():
    """Lets this member, just promoted, archive the WAL that it holds of the former timelines: the former primary
    may have lost some of it before it got away, and with a gap in it the archive ends there. (What the archive
    has already is compared, not sent again.)"""
    timeline = sql("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][:8]
    history = f"{DATA}/pg_wal/{timeline}.history"
    if not os.path.exists(history):
        return
    end = position(re.findall(r"^\d+\t([0-9A-F/]+)", read(history), re.MULTILINE)[-1])
    status = DATA + "/pg_wal/archive_status/"
    names = [name for name in os.listdir(DATA + "/pg_wal") if re.fullmatch("[0-9A-F]{24}", name)]
    for name in sorted(name for name in names if name[:8] < timeline and segment_start(name) + SEGMENT <= end):
        if os.path.exists(status + name + ".done"):
            os.rename(status + name + ".done", status + name + ".ready")
        elif not os.path.exists(status + name + ".ready"):
            open(status + name + ".ready", "w", encoding="utf-8").close()


class StatusApi(Api):
    """A pod's conditions are a list that others write, too: what is patched is one of them, by its type."""

    def headers(self, method="GET"):
        return super().headers(method) | ({"Content-Type": "application/strategic-merge-patch+json"} if method == "PATCH" else {})

    def condition(self, **condition):
        self.call("PATCH", f"pods/{NAME}/status", {"status": {"conditions": [{"type": CONDITION, **condition}]}})


def waiting():
    """What waits to be archived, how long the oldest has waited, and how long ago one got away, in seconds."""
    return [float(word) for word in sql(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(modification)), 0),"
        " coalesce(extract(epoch FROM now() - (SELECT greatest(last_archived_time, stats_reset) FROM pg_stat_archiver)), 0)"
        " FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")]


def last_error():
    """What the asynchronous pgBackRest last complained of."""
    for path in sorted(glob.glob("/pgdata/spool/archive/*/out/*.error"), key=os.path.getmtime, reverse=True):
        return " ".join(read(path).split("\n")[1:])[:300]
    return ""


def free_space():
    disk = os.statvfs("/pgdata")
    return disk.f_bavail * disk.f_frsize


class Archiving:
    def __init__(self):
        self.api = StatusApi()
        self.told = None
        self.logged = self.woken = 0.0

    def look(self):
        count, oldest, quiet = waiting()
        fails = oldest > FAILS and quiet > FAILS
        text = ""
        if fails:
            away = [f"repository {repo['number']} does not answer at {repo['host']}:{repo['port']}" for repo in archive()["repos"] if not knock(repo["host"], repo["port"])]
            error = ", ".join(away) or last_error()
            text = (f"ARCHIVING FAILS for {oldest:.0f} s: {count:.0f} WAL files wait on the volume, which has {free_space() >> 20} MB left"
                    f" (each takes 16 MB). Writes go on. See to the repository" + (f": {error}" if error else ""))
            if self.told != "False" or time.monotonic() - self.logged > 300:
                self.logged = time.monotonic()
                log(text)
            if not away and time.monotonic() - self.woken >= WAKE:
                self.woken = time.monotonic()
                sql("SELECT pg_reload_conf()")  # after a failure, PostgreSQL's archiver sleeps for a minute, unless this wakes it
        elif self.told == "False":
            log("archiving works again")
        self.tell("False" if fails else "True", text or "the WAL gets into the archive")

    def tell(self, status, message=""):
        if status == self.told:
            return
        if status is None:
            self.api.condition(**{"$patch": "delete"})
        else:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self.api.condition(status=status, reason="Works" if status == "True" else "Fails", message=message, lastTransitionTime=now)
        self.told = status


def leads(led):
    """Whether this member is the primary, which it may have been before. A database that Patroni is still making may
    yet be thrown away, and another made: a repository must not hear of it before Patroni's objects do."""
    return tend.is_primary() and (led or bool(annotations(tend.api.get(tend.config_path)).get("initialize")))


def watch_the_archive():
    """As long as this member is the primary. In a thread of its own: what hangs here, hangs nothing else."""
    archiving, backup, ended, led = Archiving(), None, 0.0, False
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
            led = primary
            if primary:
                if own and not backup and time.monotonic() >= ended:
                    backup = subprocess.Popen([sys.executable, SCRIPTS + "/repository.py", "once"])
                archiving.look()
            else:
                if backup:
                    backup.terminate()
                archiving.tell(None)
            say("archive", "")
        except Exception as error:  # whatever it is: nobody would notice that this thread has ended
            say("archive", f"cannot watch the archiving at the moment: {error!r}")


if __name__ == "__main__":
    threading.Thread(target=watch_the_archive, daemon=True).start()
    tend.say_what_is_missing = say_what_is_missing
    tend.main(int(sys.argv[1]))
