"""Runs beside Patroni and does what Patroni leaves to its surroundings:

- makes sure that the read/write Service leads to the primary,
- carries changes of the configuration and of the Secret over to the running cluster, parameters
  once PostgreSQL has taken them on trial,
- notes on the pod that its volume holds data,
- sees to it that the synchronous standby is on another node than the primary, if any replica is,
- has a replica cloned anew that lacks WAL which nobody has any more,
- ends a Patroni that hangs, or that leads while its disk hangs,
- says what a member waits for that only a human can give."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import yaml

from pgk import (
    CONFIG, CREDENTIALS, DATA, FIRST_START, NAME, ORDINAL, PATRONI_YAML, Api, Condition,
    annotations, as_lines, ends_of_timelines, file_at, follow, instance, lead, log, merged, patroni,
    position, psql, read, say, secret, settings, write, write_patroni_yaml,
)

PERIOD = 2  # seconds between two looks
RARELY = 6  # seconds between two looks at what changes rarely, and at all while nothing changes
RELOAD_LIMIT = 30  # seconds that a changed configuration waits for a PostgreSQL that starts
ASK = 10  # seconds after an answer of Patroni's that it is alive in which it is not asked again
HANGS = 60  # seconds without an answer after which Patroni is started anew
DISK_HANGS = 20  # seconds that a write to the volume may take; Patroni's lease lasts as long again
LATE = 10  # seconds between two looks after which this program itself was not given the time
STUCK = 30  # seconds in which a replica receives no WAL
TRY_AGAIN = 60  # seconds after which parameters that PostgreSQL refuses are tried once more
BACK_UP = 60  # seconds after which a member that was restarted should be up
LOCK = "/pgdata/lock"  # member.sh's; what is in it means nothing

api = Api()

class Elected:
    """Leads the read/write Service here as soon as this member gets the lease: while PostgreSQL is
    still being promoted, before other changes busy the nodes' proxies (they act once a second)."""

    def __init__(self):
        self.api, self.leader = Api(), None

    def changed(self, change: str, item: dict | None) -> None:
        if change != "LISTED":
            before, self.leader = self.leader, None  # tried again at the next list if it fails
            leader = annotations(item).get("leader")
            if leader == NAME != before:
                lead(self.api)
            self.leader = leader

def mounted(folder: str) -> str:
    """Another text each time Kubernetes has changed what is mounted there."""
    return os.readlink(folder + "..data")

def note_data() -> bool:
    """Whether the volume holds data; if so, the pod says it from now on (first_start.py asks)."""
    if not os.path.exists(DATA + "/global/pg_control") or os.path.exists(FIRST_START):
        return False
    api.patch(f"pods/{NAME}", {"annotations": {"pgk/volume": "data"}})
    return True

def own_state() -> tuple[dict, bool]:
    """What this member's Patroni says of it, and whether it is the primary of a database that is
    whole: as long as FIRST_START is there, Patroni still makes it, and post-init.sh its roles."""
    own = patroni("GET", "/patroni")[1]
    return own, own.get("role") == "primary" and not os.path.exists(FIRST_START)

def apart_from_the_primary() -> bool:
    """Whether the primary is on another node than this member. (Where there are fewer nodes than
    members, or were for a while, some share one.)"""
    pods = api.get(instance().pods)["items"]
    nodes = {pod["metadata"]["name"]: pod.get("spec", {}).get("nodeName") for pod in pods}
    primaries = {pod["metadata"]["name"] for pod in pods
                 if pod["metadata"].get("labels", {}).get("role") == "primary"}
    theirs = {nodes[name] for name in primaries - {NAME}}
    return nodes.get(NAME) is None or nodes[NAME] not in theirs

def apply_roles() -> bool:
    """Roles and passwords as the Secret says. Returns whether that worked."""
    for key in "superuser-password", "replication-password", "app-password":
        secret(key)  # raises an error if it cannot be one
    command = ["psql", "--no-psqlrc", "-qX", "-d", "postgres", "-f", CONFIG + "roles.sql"]
    if subprocess.run(command, timeout=30, check=False).returncode != 0:
        return False
    log("roles and passwords are those of the Secret")
    return True

class NoArchive:
    """What differs where there is an archive (tend_archive.py)."""

    def adjusted(self, wanted: dict, current: dict) -> dict:
        """The dynamic configuration as it is to be, `wanted` being the rendered one."""
        return wanted

    def gone_for_good(self, segment: str) -> bool:
        """Whether a WAL file that the primary no longer has is nowhere else either. (Its name has
        the newest timeline that there is WAL of here.)"""
        return True

    def waits(self) -> bool:
        """Whether WAL waits for the archive: `adjusted` is then asked as often as can be."""
        return False

    def say_what_is_missing(self) -> None:
        """All volumes empty, but Patroni's objects speak of a database: a human has to say why."""
        missing = False
        if not os.listdir(DATA) and annotations(api.get(instance().dynamic)).get("initialize"):
            pods = api.get(instance().pods)["items"]
            members = patroni("GET", "/cluster")[1]["members"]
            leaders = [member for member in members if member["role"] == "leader"]
            words = [annotations(pod).get("pgk/volume") for pod in pods]
            missing = not leaders and "data" not in words
        say("missing", missing and "WAITING FOR A HUMAN: the cluster is not new, but no running"
            " member holds its data. No new database is made in its place. See "
            + settings()["help"])

@functools.lru_cache(1)
def dynamic(*texts: str) -> str:
    """The dynamic configuration as it is rendered, as JSON, which is read faster than YAML."""
    return json.dumps(merged(*texts)["bootstrap"]["dcs"])

def memory() -> int:
    """What this container may use at most, in bytes."""
    try:
        return int(read("/sys/fs/cgroup/memory.max"))
    except (OSError, ValueError):  # no limit is "max"
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

def words_of(complaint: str) -> str:
    """What PostgreSQL says is wrong, without the rest."""
    lines = re.findall(r"(?:LOG|FATAL|DETAIL|HINT|postgres):\s+(.+)", complaint)
    lines = [re.sub(' in file "[^"]*" line [0-9]+', "", line) for line in lines
             if "skipping missing" not in line and "contains errors" not in line]
    return " ".join(lines or complaint.split())[-1000:]

def what_refuses(parameters: dict) -> str:
    """Why PostgreSQL would not start with these parameters, or serve nobody; empty if it would. A
    reload only complains of most of them, and of the others not even that; the next start, for
    whatever reason, fails. It is started up to the point where it knows how much memory it would
    share: it has read every value then, and loaded its libraries. This is done on a folder that has
    no more of a database than that takes."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(folder + "/global")
        shutil.copy(DATA + "/global/pg_control", folder + "/global")
        for entry in os.scandir(DATA):  # what initdb has set, and certificates perhaps
            if entry.is_file() and entry.name not in ("postgresql.conf", "postmaster.pid"):
                os.symlink(entry.path, f"{folder}/{entry.name}")
        base = "include_if_exists 'postgresql.base.conf'\n"
        write(folder + "/postgresql.conf", base + as_lines(parameters))
        words = ["postgres", "-D", folder, "-C", "shared_memory_size"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode == 1:
        return words_of(done.stderr)
    if done.returncode != 0:  # somebody has killed it: no answer
        raise OSError(f"postgres -C: {done.returncode}, {done.stderr[-1000:]}")
    shared, most = int(done.stdout) << 20, memory()
    if shared >= most:
        return (f"it would share {shared >> 20} MB of memory (shared_buffers above all), and this"
                f" container has {most >> 20} MB")
    if str(parameters.get("wal_level")).strip().lower() != "logical":
        done = psql("SELECT slot_name FROM pg_replication_slots"
                    " WHERE slot_type = 'logical' AND NOT temporary", "-d", "postgres")
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        if done.stdout:
            return ("wal_level has to be logical as long as there are logical slots: "
                    + ", ".join(done.stdout.split()))
    # A reload is enough for these, and nobody gets a session if one is missing.
    for name in "session_preload_libraries", "local_preload_libraries":
        if parameters.get(name):
            value = re.sub(r"([\\ ])", r"\\\1", str(parameters[name]))
            options = os.environ | {"PGOPTIONS": f"-c {name}={value}"}
            done = psql("SELECT 1", "-d", "postgres", environment=options)
            if re.search("could not (access|load)", done.stderr):
                return f"{name}: {words_of(done.stderr)}"
    return ""

class Trial:
    """Remembers what PostgreSQL said of the last parameters."""

    def __init__(self):
        self.tried, self.answer, self.when = None, "", 0.0

    def refuses(self, parameters: dict) -> str:
        again = self.answer and time.monotonic() - self.when >= TRY_AGAIN
        if again or parameters != self.tried:
            self.answer = what_refuses(parameters)
            self.tried, self.when = dict(parameters), time.monotonic()
        return self.answer

trial = Trial()

def carry_over_parameters(archive: NoArchive) -> str:
    """Makes the cluster's dynamic configuration what is rendered now. The ConfigMap is read from
    the API: a mounted one can be a minute behind, and another minute on the next primary. Where
    PostgreSQL refuses the parameters, those that it has are kept: returns why."""
    rendered = api.get(instance().rendered)["data"]
    try:
        wanted = json.loads(dynamic(rendered["patroni.yaml"], rendered["parameters.yaml"]))
    except ValueError as error:
        return f"{error} (nothing is carried over)"
    status, current = patroni("GET", "/config")
    if status != 200:
        return ""
    if "pause" in current:  # `patronictl pause` is a human's, for a while
        wanted["pause"] = current["pause"]
    parameters = wanted["postgresql"]["parameters"]
    now = current.get("postgresql", {}).get("parameters", {})
    refused = trial.refuses(parameters)
    if refused:
        changed = [name for name in sorted(parameters.keys() | now.keys())
                   if parameters.get(name) != now.get(name)]
        refused += f" (changed: {', '.join(changed) or 'nothing'})"
        wanted["postgresql"]["parameters"] = dict(now)
    wanted = archive.adjusted(wanted, current)
    if current != wanted:
        status, answer = patroni("PUT", "/config", wanted)
        log("the configuration has changed: carried over" if status == 200
            else f"configuration refused: {answer}")
    return refused

restarted: dict[str, float] = {}  # member: when

def restart_where_needed() -> str:
    """For a changed parameter that PostgreSQL reads only at its start: one member at a time, the
    primary after the replicas. Once a look, so that a member that needs it twice (a replica, when a
    limit was lowered) waits for the others in between. Returns which member that was restarted is
    not up again."""
    members = patroni("GET", "/cluster")[1]["members"]
    away = [member["name"] for member in members
            if member["state"] not in ("running", "streaming")]
    if away:
        return ", ".join(name for name in away
                         if time.monotonic() - restarted.get(name, time.monotonic()) >= BACK_UP)
    waiting = [member for member in members if member.get("pending_restart")]
    if not waiting:
        # A Patroni that reloads while PostgreSQL starts forgets that a restart is still pending
        # (4.1.5); it finds that out again when it reloads once more.
        for member in members:
            if member["name"] in restarted:
                patroni("POST", "/reload", host=member["host"])
        restarted.clear()
    else:
        waiting.sort(key=lambda one: (restarted.get(one["name"], 0), one["role"] == "leader"))
        name, host = waiting[0]["name"], waiting[0]["host"]
        restarted[name] = time.monotonic()
        log(f"restarting {name}: a changed parameter needs it")
        answer = patroni("POST", "/restart", {"restart_pending": True}, host=host, timeout=60)[1]
        log(f"restart of {name}: {answer}")
    return ""

def tell_of_parameters(condition: Condition, refused: str, down: str) -> None:
    """In the log, and in a condition of the primary's pod."""
    refused = refused and (f"THE CONFIGURATION IS NOT APPLIED, PostgreSQL refuses it: {refused}."
                           " The members keep the parameters that they have. Correct them"
                           " (postgres.parameters), and apply them again")
    down = down and (f"RESTARTED FOR A CHANGED PARAMETER, AND NOT UP AGAIN: {down}. The others are"
                     " not restarted. Its log says why; correct the parameter, and apply it again")
    say("parameters refused", refused)
    say("parameters down", down)
    if refused or down:
        condition.tell("Refused" if refused else "RestartFails", refused or down, False,
                       refused, down)
    else:
        condition.tell("Taken", "PostgreSQL takes the parameters")

# Where the WAL of this standby ends, and what its replay waits for.
HERE = """SELECT system_identifier, greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()),
    coalesce((SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'),
        to_hex(timeline_id)),
    (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup')
    FROM pg_control_system(), pg_control_checkpoint()"""
WAITS_FOR_WAL = "RecoveryWalStream", "RecoveryRetrieveRetryInterval", "RestoreCommand"
# The oldest WAL file of a primary, without its timeline.
OLDEST = """SELECT min(substr(name, 9)) FROM pg_ls_waldir()
    WHERE name ~ '^[0-9A-F]{24}$' AND NOT pg_is_in_recovery()"""

def ask(connection: str, *commands: str) -> list[str]:
    """What a PostgreSQL answers, a value a line."""
    *before, last = commands
    options = ["-F", "\n", "-v", "ON_ERROR_STOP=1", "-d", connection]
    for command in before:
        options += ["-c", command]
    environment = os.environ | {"PGPASSWORD": secret("replication-password")}
    done = psql(last, *options, timeout=10, environment=environment)
    if done.returncode != 0:
        raise OSError(done.stderr.strip())
    return done.stdout.splitlines()

def is_being_cloned(member: dict) -> bool:
    try:
        answer = patroni("GET", "/patroni", host=member["host"])[1]
    except OSError:
        return False
    return answer.get("state") == "creating replica"

class Copy:
    """A replica's data. It is given up in one case only: the primary is the same system, has all
    that is here, and no longer has the WAL that comes next. It is then nothing but an older state
    of the primary's. In every other case it is kept."""

    def __init__(self, archive: NoArchive):
        self.archive = archive
        self.end, self.since, self.fresh, self.streams = None, 0.0, False, False

    def look(self, own: dict) -> None:
        now = time.monotonic()
        streamed, self.streams = self.streams, own.get("replication_state") == "streaming"
        if self.streams and not streamed:
            return  # so looks for a moment a receiver that is about to be refused, too
        if self.streams:
            self.fresh = False
            if os.path.exists(DATA + ".incomplete"):
                log("this member streams: dropping data.incomplete, which was kept aside")
                shutil.rmtree(DATA + ".incomplete", ignore_errors=True)
        end = None
        if own["state"] == "running" and not self.streams:
            system, end, timeline, wait = ask("dbname=postgres", HERE)
        if not end or end != self.end:
            self.end, self.since = end, now
            say("copy", "")
        # One member after the other. (One that has WAL here, or is paused, is not concerned.)
        elif wait in WAITS_FOR_WAL and now - self.since >= STUCK + 10 * ORDINAL:
            self.since += 10  # the next look at the primary
            self.judge(system, end, int(timeline, 16))

    def judge(self, system: str, end: str, timeline: int) -> None:
        cluster = patroni("GET", "/cluster")[1]
        members = {member["name"]: member for member in cluster["members"]}
        hosts = [member["host"] for member in members.values() if member["role"] == "leader"]
        if not hosts or "pause" in cluster or members.pop(NAME)["role"] != "replica":
            return
        primary = (f"host={hosts[0]} user=replicator dbname=postgres replication=database"
                   " connect_timeout=3")
        theirs, their_timeline, their_end, _, oldest = ask(primary, "IDENTIFY_SYSTEM", OLDEST)
        if not oldest:  # it is still being promoted
            return
        history = []
        if their_timeline != "1":
            history = ask(primary, f"TIMELINE_HISTORY {their_timeline}")
        # Up to where the primary's WAL of this copy's timeline goes.
        ends = ends_of_timelines("\n".join(history)) | {int(their_timeline): position(their_end)}
        segment = f"{timeline:08X}{file_at(position(end))}"
        copy = f"this copy, up to {end} of timeline {timeline},"
        if theirs != system:
            say("copy", f"WAITING FOR A HUMAN: the primary is another database system ({theirs},"
                f" not {system}). This copy is kept. If it is not wanted: "
                f"kubectl delete pvc data-{NAME} --wait=false && kubectl delete pod {NAME}")
        elif position(end) > ends.get(timeline, -1):
            say("copy", f"{copy} has WAL that the primary does not have: Patroni has to rewind it")
        elif segment[8:] >= oldest:
            say("copy", f"{copy} receives no WAL, though the primary has what comes next: "
                "PostgreSQL's own lines say why")
        elif self.archive.gone_for_good(segment):
            others = [name for name, member in members.items() if is_being_cloned(member)]
            if others:
                say("copy", f"{copy} lacks WAL that the primary no longer has: waiting until "
                    f"{', '.join(others)} is cloned")
                return
            log(f"fell behind: this copy ends at {end}, and the primary no longer has the WAL from"
                " there on. Cloning it anew")
            if self.fresh:
                log("it has just been cloned: the primary keeps too little WAL for the time that a"
                    " copy takes. Raise max_slot_wal_keep_size (postgres.parameters), or it may go"
                    " on like this")
            # Without `force`, which would break off whatever else Patroni is doing with this copy.
            # (A backup that the archive has too little WAL for would be of no use again.)
            body = {"from_leader": True} if self.fresh else None
            status, answer = patroni("POST", "/reinitialize", body)
            log(f"Patroni: {answer}")
            self.end, self.fresh = None, status == 200
        else:
            say("copy", f"{copy} lacks WAL that the primary no longer has: waiting for the archive "
                "to give it, or to say that it has it not")

class Guard:
    """Ends a Patroni that hangs, and that of a primary whose disk hangs: it answers, but no commit
    ends. Its lease is then renewed no more, and the synchronous standby takes over. This member
    acknowledges nothing more: when the disk answers again, each commit waits for that standby,
    which is a primary now, until the next Patroni (member.sh waits for the disk, too) stops this
    PostgreSQL. It looks in a thread of its own, which touches no disk; while the machine is paused,
    no time counts."""

    def __init__(self, patroni_pid: int):
        self.pid, self.api = patroni_pid, Api()
        self.heard = self.written = self.looked = time.monotonic()

    def write(self) -> None:
        """In another thread, which may hang. The file exists: only data is written, as of WAL."""
        while True:
            try:
                with open(LOCK, "rb+", buffering=0) as file:
                    file.write(b"\n")
                    os.fdatasync(file.fileno())
            except OSError:
                pass  # that is an answer, too
            self.written = time.monotonic()
            time.sleep(PERIOD)

    def look(self) -> None:
        now = time.monotonic()
        if now - self.looked > LATE:
            self.heard = self.written = now
        self.looked = now
        try:
            if now - self.heard >= ASK and patroni("GET", "/liveness")[0] == 200:
                self.heard = now
        except OSError:
            pass
        patroni_hangs = now - self.heard >= HANGS
        if patroni_hangs:
            why = f"Patroni has not been alive for {HANGS} s: starting it anew"
        elif now - self.written < DISK_HANGS:
            return
        # (Without a synchronous standby nobody would take over, or somebody who lacks commits.)
        elif annotations(self.api.get(instance().leader)).get("leader") == NAME \
                and annotations(self.api.get(instance().sync)).get("sync_standby"):
            why = (f"the disk of this primary has not written for {DISK_HANGS} s: ending Patroni"
                   " until it does, so that another member leads")
        else:
            return
        log(f"{why}; PostgreSQL goes on")
        os.kill(self.pid, signal.SIGKILL)
        self.heard = self.written = now
        if not patroni_hangs:  # until the next Patroni says what this member is
            self.api.patch(f"pods/{NAME}", {"labels": {"role": None}})

    def run(self) -> None:
        threading.Thread(target=self.write, daemon=True).start()
        while True:
            attempt("look after Patroni", self.look)
            time.sleep(PERIOD)

def attempt(what: str, action: Callable, otherwise=None):
    """What the action returns, or `otherwise` where it fails. The other actions go on."""
    try:
        result = action()
        say(what, "")
        return result
    except (OSError, LookupError, AttributeError, TypeError, ValueError,
            subprocess.SubprocessError) as error:
        say(what, f"cannot {what} at the moment: {error!r}")
        return otherwise

def postgres_runs() -> bool:
    """Whether PostgreSQL runs, so that Patroni may reload: it then writes PostgreSQL's files anew,
    and one that starts at that moment starts with half of its parameters, and is restarted."""
    return patroni("GET", "/patroni")[1].get("state") == "running"

def configure(patroni_pid: int, holds_data: bool, apart: bool) -> bool:
    # A member that has held data never makes a new database.
    may_bootstrap = not holds_data and "bootstrap" in yaml.safe_load(read(PATRONI_YAML))
    write_patroni_yaml(may_bootstrap, apart)
    os.kill(patroni_pid, signal.SIGHUP)
    return True

def main(patroni_pid: int, archive: NoArchive = NoArchive()) -> None:
    if not instance().uses_endpoints:
        elected = "follow the lease", instance().lease, Elected().changed
        threading.Thread(target=follow, args=elected, daemon=True).start()
    threading.Thread(target=Guard(patroni_pid).run, daemon=True).start()
    copy, condition, refused, down = Copy(archive), Condition("pgk/parameters"), "", ""
    holds_data, apart, asked, settled = False, True, time.monotonic() - RARELY, False
    written = seen = (mounted(CONFIG), mounted(CREDENTIALS), holds_data, apart)
    passwords, roles_as_of, stands_by = seen[1], None, None
    changed = time.monotonic()
    while True:
        time.sleep(PERIOD)
        holds_data = holds_data or attempt("note that the volume holds data", note_data, False)
        rarely = time.monotonic() - asked >= RARELY
        if rarely:
            asked = time.monotonic()
            apart = attempt("see who shares the primary's node", apart_from_the_primary, apart)
        passwords = attempt("read the Secret", lambda: mounted(CREDENTIALS), passwords)
        rendered = attempt("read the configuration", lambda: mounted(CONFIG), seen[0])
        seen = (rendered, passwords, holds_data, apart)
        stood_by, stands_by = stands_by, os.path.exists(DATA + "/standby.signal")
        if seen == written:
            changed = time.monotonic()
            if settled and stands_by == stood_by and not rarely and not archive.waits():
                continue  # each question to Patroni costs it, and this, the begin of TLS
        elif time.monotonic() - changed > RELOAD_LIMIT or attempt(
                "see whether PostgreSQL runs", postgres_runs):
            if attempt("configure Patroni", lambda: configure(patroni_pid, *seen[2:])):
                written = seen
        own, primary = attempt("ask Patroni for its role", own_state, (None, None))
        if primary:
            leads = attempt("lead the Service here", lambda: lead(api) or True)
            if passwords != roles_as_of and attempt("apply the roles", apply_roles):
                roles_as_of = passwords
            said = attempt("carry the configuration over", lambda: carry_over_parameters(archive))
            refused = refused if said is None else said
            if rarely or restarted:
                down = attempt("restart where that is needed", restart_where_needed, down)
            attempt("tell of the parameters", lambda: tell_of_parameters(condition, refused, down))
            settled = leads and said == "" and passwords == roles_as_of and not (down or restarted)
        elif primary is not None:
            settled = own.get("replication_state") == "streaming"
            roles_as_of, refused, down = None, "", ""
            attempt("tell nothing of parameters", lambda: condition.tell(None))
            attempt("see what is missing", archive.say_what_is_missing)
            attempt("look after this copy", lambda: copy.look(own))
        else:
            settled = False

if __name__ == "__main__":
    main(int(sys.argv[1]))
