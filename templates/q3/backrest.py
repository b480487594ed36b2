"""What the programs around pgBackRest share: running it, seeing what the repositories hold, what follows from
that for a cluster that has lost everything, and how a backup is restored and replayed."""

import datetime
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

# The repository's pod and the jobs are no members: pgk.py asks for names that they do not have.
for variable, value in {"POD_NAME": "none-0", "POD_NAMESPACE": "", "POD_IP": ""}.items():
    os.environ.setdefault(variable, value)

from pgk import *

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
# The annotations of backups: one that was made after a restore to that point in time, or the one that was restored.
RESTORED_TO = "pgk-restored-to"
RESTORED_FROM = "pgk-restored-from-to"
# Exit statuses of pgBackRest.
LOCKED, MISMATCH, NO_DATABASE = 50, 58, 56
SEGMENT = 16 << 20  # bytes in a WAL file
# Its statuses of a stanza, as `info` gives them.
OK, NO_STANZA, NO_BACKUP, NO_STANZA_DATA, DOUBT = 0, 1, 2, 3, 99


def archive():
    return settings()["archive"]


def knock(host, port, seconds=1.0):
    try:
        socket.create_connection((host, port), seconds).close()
    except OSError:
        return False
    return True


def pgbackrest(command, *options, timeout=None, environment=None):
    """Runs it: exit status, what it printed, and what it complained of. None as the status: it took too long."""
    words = ["pgbackrest", command, "--log-level-console=off", "--log-level-stderr=warn", *options]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", timeout=timeout, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return None, "", f"no answer within {timeout} s"
    return done.returncode, done.stdout, shortened(done.stderr)


def psql(query, *options, timeout=15, environment=None):
    """Asks a PostgreSQL: what subprocess.run returns."""
    words = ["psql", "--no-psqlrc", "-qAtX", *options, "-c", query]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, env=environment, check=False)


def shortened(complaints):
    """pgBackRest's complaints without times, processes and line breaks: what a log line can hold."""
    lines = [re.sub(r"^[0-9-]{10} [0-9:.]+ P\d+ +", "", line).strip() for line in complaints.splitlines()]
    return " ".join(line for line in lines if line)[-600:]


class Found:
    """What one repository holds of the stanza."""

    def __init__(self, repo, status, message="", info=None):
        self.repo, self.number, self.kind = repo, repo["number"], repo["kind"]
        self.status, self.message = status, message
        info = info or {}
        systems = [one for one in info.get("db", []) if one["repo-key"] == self.number]
        self.system = str(systems[-1]["system-id"]) if systems else None
        current = systems[-1]["id"] if systems else None
        present = {"id": current, "repo-key": self.number}  # what is of a former system does not count
        self.backups = [one for one in info.get("backup", []) if one["database"] == present]  # oldest first
        archives = [one for one in info.get("archive", []) if one["database"] == present]
        self.archive = next((one["id"] for one in archives), "")
        self.end = max((one["max"] for one in archives if one["max"]), default="")  # the newest WAL file in the archive

    def __str__(self):
        return f"repository {self.number} ({self.kind})"


def found(repo):
    if not knock(repo["host"], repo["port"]):
        return Found(repo, DOUBT, f"nobody answers at {repo['host']}:{repo['port']}")
    status, text, complaint = pgbackrest("info", "--output=json", f"--repo={repo['number']}", "--io-timeout=10", timeout=90)
    if status != 0:
        return Found(repo, DOUBT, complaint)
    try:
        # The JSON comes on one line; older versions print warnings before it.
        info = json.loads(text[text.index("[{"):])[0]
        state = next(one["status"] for one in info["repo"] if one["key"] == repo["number"])
        return Found(repo, state["code"], " ".join(filter(None, [state["message"], complaint])), info)
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        return Found(repo, DOUBT, f"cannot read what `pgbackrest info` says: {error!r}")


def survey():
    return [found(repo) for repo in archive()["repos"]]


def newest_file(repositories):
    """The newest WAL file in any of them; empty if there is none."""
    return max((one.end for one in repositories), default="")


def stanza_help():
    """How a stanza that is in the way is dropped."""
    return "pgbackrest stop && pgbackrest stanza-delete --force && pgbackrest start, beside the repository"


def decide(repositories, initialize):
    """What becomes of a cluster of which no member holds data: "restore", "initdb" or "wait", and why.
    `initialize` is the system that Patroni's objects remember. Nothing is guessed: a doubt is waited out."""
    for one in repositories:
        if one.status not in (OK, NO_STANZA, NO_BACKUP, NO_STANZA_DATA):
            return "wait", f"{one} is in doubt, and may hold a backup: {one.message}. (If it is gone for good, take it out of q3.repos)"
    for one in repositories:
        if one.status == NO_STANZA_DATA:
            return "wait", f"WAITING FOR A HUMAN: {one} holds parts of a stanza, but not its description (archive.info, backup.info): {one.message}"
    systems = {one.system for one in repositories if one.system}
    if len(systems) > 1:
        return "wait", "WAITING FOR A HUMAN: the repositories are of different database systems: " + ", ".join(f"{one}: {one.system}" for one in repositories if one.system)
    if any(one.status == OK and one.backups for one in repositories):
        if initialize and {initialize} != systems:
            return "wait", (f"WAITING FOR A HUMAN: this cluster's database was system {initialize}, the archive's is {systems.pop()}. "
                            "To restore the archive's: take the annotation `initialize` off Patroni's object " + objects(mounted_config())[1])
        return "restore", "no member holds data, and there is a backup"
    if systems:
        return "wait", (f"WAITING FOR A HUMAN: the archive knows the database system {systems.pop()}, but holds no backup of it, and no member holds its data. "
                        f"If a new, empty database is wanted: touch {START_EMPTY}; the archive then refuses it until the old stanza is dropped ({stanza_help()})")
    if initialize:
        return "wait", (f"WAITING FOR A HUMAN: the cluster is not new, but no member holds its data, and there is no backup. "
                        f"If a new, empty database is wanted: touch {START_EMPTY}")
    return "initdb", "first start: no member holds data, and no repository holds anything of this instance"


def label_of(target):
    """What is noted of a restore to a point in time."""
    line = target.get("timeline", "latest")
    return f"{target['type']} {target['target']}" + ("" if line == "latest" else f" timeline {line}")


def annotated(repositories, key, label):
    return any((backup.get("annotation") or {}).get(key) == label for one in repositories for backup in one.backups)


def restored_to(repositories, target):
    """Whether a restore to that point in time has been done."""
    return any(annotated(repositories, key, label_of(target)) for key in (RESTORED_TO, RESTORED_FROM))


def target_to_restore(repositories, target):
    """The point in time that is still to be restored to, or None for the end of the archive: a restore that was
    done is not done again, whatever is lost later on."""
    if not target or restored_to(repositories, target):
        return None
    return target


def position(lsn):
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_of(position):
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def segment_start(name):
    """Where the WAL file of this name begins."""
    return int(name[8:16], 16) << 32 | int(name[16:24], 16) * SEGMENT


def candidates(repositories, target):
    """The backups that the target can be reached from, as (repository, label), the best one first: of the
    repository whose archive reaches furthest, the newest one."""
    def fits(backup):
        if not target:
            return True
        wanted = target["target"]
        if target["type"] == "time":
            return backup["timestamp"]["stop"] < datetime.datetime.fromisoformat(wanted).timestamp()
        if target["type"] == "lsn":
            return position(backup["lsn"]["stop"]) <= position(wanted)
        return target["type"] != "set" or backup["label"] == wanted

    chosen = [(not backup.get("error"), one.end, -one.number, backup["timestamp"]["stop"], one, backup["label"])
              for one in repositories for backup in one.backups if fits(backup)]
    chosen.sort(key=lambda choice: choice[:4], reverse=True)
    return [choice[4:] for choice in chosen]


def restore_options(target):
    """How pgBackRest is asked for a point in time."""
    if not target:
        return []
    if target["type"] == "set":
        return ["--type=immediate", "--target-action=promote"]
    options = [f"--type={target['type']}", f"--target={target['target']}", "--target-action=promote"]
    if target.get("timeline", "latest") != "latest":
        options.append(f"--target-timeline={target['timeline']}")
    return options


def clean(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)


RECOVERY = re.compile(r"\s*(restore_command|recovery_\w+|primary_conninfo|primary_slot_name|archive_cleanup_command|standby_mode)\b")


def take_out_recovery_settings(data):
    """Takes what pgBackRest and `ALTER SYSTEM` say of a recovery out of the settings that PostgreSQL keeps."""
    path = data + "/postgresql.auto.conf"
    if not os.path.exists(path):
        return
    kept = "".join(line for line in read(path).splitlines(keepends=True) if not RECOVERY.match(line))
    with open(path, "w", encoding="utf-8") as file:
        file.write(kept)


class Replay:
    """A PostgreSQL that nobody but this program reaches: it replays the archive's WAL, and is promoted at its
    end or at the target."""

    socket = "/tmp/replay"

    def __init__(self, data, parameters, **settings):
        self.data, self.parameters = data, parameters
        self.settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.socket,
            "hba_file": "/tmp/replay-hba.conf",
            "ssl": "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            # Nothing can connect until it is promoted; so the limits of the former primary need not be known.
            "hot_standby": "off",
            "archive_cleanup_command": "",
            "recovery_end_command": "",
            "synchronous_standby_names": "",
            "restore_command": f"bash {SCRIPTS}/fetch-wal-strict.sh %f %p",
        } | settings
        self.process = None
        self.last = ""  # what it last complained of

    def run(self, environment=None):
        """Returns whether it was promoted; otherwise it has ended, and `last` says of what."""
        os.makedirs(self.socket, mode=0o700, exist_ok=True)
        with open("/tmp/replay-hba.conf", "w", encoding="utf-8") as file:
            file.write("local all postgres peer\n")
        with open("/tmp/replay.conf", "w", encoding="utf-8") as file:
            for name, value in self.parameters.items():
                text = str(value).replace("\\", "\\\\").replace("'", "''")
                file.write(f"{name} = '{text}'\n")
        if os.path.exists(self.data + "/postmaster.pid"):
            os.remove(self.data + "/postmaster.pid")  # nobody else runs on this volume (member.sh)
        words = ["postgres", "-D", self.data, "-c", "config_file=/tmp/replay.conf"]
        for name, value in self.settings.items():
            words += ["-c", f"{name}={value}"]
        self.last = ""
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=os.environ | (environment or {}))
        threading.Thread(target=self.listen, args=(self.process.stdout,), daemon=True).start()
        while self.process.poll() is None:
            if subprocess.run(["pg_isready", "-q", "-h", self.socket], check=False).returncode == 0:
                return True
            time.sleep(0.2)
        time.sleep(0.2)  # for its last words
        return False

    def listen(self, stream):
        for line in stream:
            print(line, end="", flush=True)
            complaint = re.search("(FATAL|PANIC): +(.*)", line)
            if complaint and "is starting up" not in line and "not accepting connections" not in line:
                self.last = complaint[2]

    def sql(self, query, database="postgres"):
        words = ["psql", "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-d", database, "-c", query]
        return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=600, check=True).stdout.strip()

    def end(self):
        """A clean shutdown."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait() == 0

    def reached(self):
        """Up to where it replayed, after it was promoted: the timeline, and where its own parts from that."""
        newest = max(name for name in os.listdir(self.data + "/pg_wal") if re.fullmatch(r"[0-9A-F]{8}\.history", name))
        lines = [line for line in read(f"{self.data}/pg_wal/{newest}").splitlines() if re.match(r"\d+\t", line)]
        timeline, lsn = lines[-1].split("\t")[:2]
        return int(timeline), position(lsn)


def short_of(reached, newest):
    """Whether a replay that ended there has not come to the archive's newest WAL file: some before it is missing."""
    timeline, lsn = reached
    of = int(newest[:8] or "0", 16)
    return bool(newest) and (timeline < of or timeline == of and lsn <= segment_start(newest))


def missing_after(label_segment, names):
    """The first WAL file, by its number, that the archive lacks after a backup's first; empty if it lacks none."""
    first = segment_start(label_segment)
    numbers = {segment_start(name) for name in names if name >= label_segment and segment_start(name) >= first}
    for number in range(first, max(numbers, default=first), SEGMENT):
        if number not in numbers:
            return f"{number >> 32:08X}{(number & 0xFFFFFFFF) // SEGMENT:08X}"
    return ""
