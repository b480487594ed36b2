"""What the programs around pgBackRest share: running it, seeing what the repositories hold, what
follows from that for a cluster that has lost everything, how a backup is restored and replayed."""

import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from pgk import (
    SEGMENT, START_EMPTY, as_lines, ends_of_timelines, file_at, instance, knock, position, read,
    settings, write,
)

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
# Annotations of backups: one that was made after a restore to that point in time, the one restored.
RESTORED_TO = "pgk-restored-to"
RESTORED_FROM = "pgk-restored-from-to"
RESTORED_AS = "pgk-restored-as"  # of the latter: the timeline that was restored, and the new one
# A file in the repository in the cluster: a reason and a text, if its volume fills up.
ROOM = "pgk-room"
# Exit statuses of pgBackRest.
CHECKSUM, LOCKED, NO_DATABASE, MISMATCH = 26, 50, 56, 58
# Its statuses of a stanza, as `info` gives them.
OK, NO_STANZA, NO_BACKUP, NO_STANZA_DATA, DOUBT = 0, 1, 2, 3, 99

def archive() -> dict:
    return settings()["archive"]

def pgbackrest(command: str, *options: str, timeout: float | None = None, environment=None):
    """Runs it: exit status (None: it took too long), what it printed, and what it complained of."""
    words = ["pgbackrest", command, "--log-level-console=off", "--log-level-stderr=warn", *options]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False,
                              timeout=timeout, env=environment)
    except subprocess.TimeoutExpired:
        return None, "", f"no answer within {timeout} s"
    return done.returncode, done.stdout, shortened(done.stderr)

def shortened(complaints: str) -> str:
    """pgBackRest's complaints for a log line: without times, processes and line breaks."""
    lines = [re.sub(r"^[0-9-]{10} [0-9:.]+ P\d+ +", "", line).strip()
             for line in complaints.splitlines()]
    return " ".join(line for line in lines if line)[-600:]

class Found:
    """What one repository holds of the stanza."""

    def __init__(self, repo: dict, status: int, message: str = "", info: dict | None = None):
        self.repo, self.number, self.kind = repo, repo["number"], repo["kind"]
        self.status, self.message = status, message
        info = info or {}
        systems = [one for one in info.get("db", []) if one["repo-key"] == self.number]
        self.system = str(systems[-1]["system-id"]) if systems else None
        current = systems[-1]["id"] if systems else None
        # The oldest first. What is of a former system does not count.
        present = {"id": current, "repo-key": self.number}
        self.backups = [one for one in info.get("backup", []) if one["database"] == present]
        archives = [one for one in info.get("archive", []) if one["database"] == present]
        self.archive = next((one["id"] for one in archives), "")
        # The newest WAL file in the archive.
        self.end = max((one["max"] for one in archives if one["max"]), default="")

    def __str__(self):
        return f"repository {self.number} ({self.kind})"

def found(repo: dict) -> Found:
    if not knock(repo["host"], repo["port"]):
        return Found(repo, DOUBT, f"nobody answers at {repo['host']}:{repo['port']}")
    words = "info", "--output=json", f"--repo={repo['number']}", "--io-timeout=10"
    status, text, complaint = pgbackrest(*words, timeout=90)
    if status != 0:
        return Found(repo, DOUBT, complaint)
    try:
        # The JSON comes on one line; older versions print warnings before it.
        info = json.loads(text[text.index("[{"):])[0]
        state = next(one["status"] for one in info["repo"] if one["key"] == repo["number"])
        message = " ".join(filter(None, [state["message"], complaint]))
        return Found(repo, state["code"], message, info)
    except (ValueError, KeyError, IndexError, StopIteration) as error:
        return Found(repo, DOUBT, f"cannot read what `pgbackrest info` says: {error!r}")

def survey() -> list[Found]:
    return [found(repo) for repo in archive()["repos"]]

def newest_file(repositories: list[Found]) -> str:
    """The newest WAL file in any of them; empty if there is none."""
    return max((one.end for one in repositories), default="")

# How a stanza that is in the way is dropped.
STANZA_HELP = ("pgbackrest stop && pgbackrest stanza-delete --force && pgbackrest start, beside the"
               " repository")

def decide(repositories: list[Found], initialize: str | None) -> tuple[str, str]:
    """What becomes of a cluster of which no member holds data: "restore", "initdb" or "wait", and
    why. `initialize` is the system that Patroni's objects remember. A doubt is waited out."""
    for one in repositories:
        if one.status not in (OK, NO_STANZA, NO_BACKUP, NO_STANZA_DATA):
            return "wait", (f"{one} is in doubt, and may hold a backup: {one.message}. (If it is"
                            " gone for good, take it out of q3.repos)")
    for one in repositories:
        if one.status == NO_STANZA_DATA:
            return "wait", (f"WAITING FOR A HUMAN: {one} holds parts of a stanza, but not its"
                            f" description (archive.info, backup.info): {one.message}")
    of = {str(one): one.system for one in repositories if one.system}
    systems = set(of.values())
    if len(systems) > 1:
        return "wait", ("WAITING FOR A HUMAN: the repositories are of different database systems: "
                        + ", ".join(f"{one}: {system}" for one, system in of.items()))
    if any(one.status == OK and one.backups for one in repositories):
        if initialize and {initialize} != systems:
            return "wait", (f"WAITING FOR A HUMAN: this cluster's database was system {initialize},"
                            f" the archive's is {systems.pop()}. To restore the archive's: take the"
                            f" annotation `initialize` off Patroni's object {instance().dynamic}")
        return "restore", "no member holds data, and there is a backup"
    empty = f"If a new, empty database is wanted: touch {START_EMPTY}"
    if systems:
        return "wait", (f"WAITING FOR A HUMAN: the archive knows the database system"
                        f" {systems.pop()}, but holds no backup of it, and no member holds its"
                        f" data. {empty}; the archive then refuses it until the old stanza is"
                        f" dropped ({STANZA_HELP})")
    if initialize:
        return "wait", ("WAITING FOR A HUMAN: the cluster is not new, but no member holds its data,"
                        f" and there is no backup. {empty}")
    return "initdb", ("first start: no member holds data, and no repository holds anything of this"
                      " instance")

def label_of(target: dict) -> str:
    """What is noted of a restore to a point in time."""
    line = target.get("timeline", "latest")
    of = "" if line == "latest" else f" timeline {line}"
    return f"{target['type']} {target['target']}{of}"

def notes(repositories: list[Found]) -> list[dict]:
    return [backup.get("annotation") or {} for one in repositories for backup in one.backups]

def annotated(repositories: list[Found], key: str, label: str) -> bool:
    return any(note.get(key) == label for note in notes(repositories))

def restores_begun(repositories: list[Found], target: dict) -> list[tuple[int, ...]]:
    """Of each restore to that point in time the timeline that was restored, and the new one."""
    return [tuple(map(int, note.get(RESTORED_AS, "0 0").split())) for note in notes(repositories)
            if note.get(RESTORED_FROM) == label_of(target)]

def restored_to(repositories: list[Found], target: dict) -> bool:
    """Whether a restore to that point in time was done: its new timeline is in the archive, the end
    of which is on it."""
    newest = int(newest_file(repositories)[:8] or "0", 16)
    return annotated(repositories, RESTORED_TO, label_of(target)) or any(
        timeline <= newest for _, timeline in restores_begun(repositories, target))

def target_to_restore(repositories: list[Found], target: dict | None) -> dict | None:
    """The point in time that is still to be restored to, or None for the end of the archive: a
    restore that was done is not done again, whatever is lost later on."""
    if not target or restored_to(repositories, target):
        return None
    begun = restores_begun(repositories, target)
    if begun and target.get("timeline", "latest") == "latest":
        # The archive may know the number of the one that was lost: it would be the latest.
        return target | {"timeline": str(begun[-1][0])}
    return target

def lsn_of(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"

def segment_start(name: str) -> int:
    """Where the WAL file of this name begins."""
    return int(name[8:16], 16) << 32 | int(name[16:24], 16) * SEGMENT

def candidates(repositories: list[Found], target: dict | None) -> list[tuple[Found, str]]:
    """The backups that the target can be reached from, as (repository, label), the best one first:
    of the repository whose archive reaches furthest, the newest one."""
    def fits(backup: dict) -> bool:
        if not target:
            return True
        wanted = target["target"]
        if target["type"] == "time":
            return backup["timestamp"]["stop"] < datetime.datetime.fromisoformat(wanted).timestamp()
        if target["type"] == "lsn":
            return position(backup["lsn"]["stop"]) <= position(wanted)
        return target["type"] != "set" or backup["label"] == wanted

    all_that_fit = [(one, backup) for one in repositories for backup in one.backups if fits(backup)]
    all_that_fit.sort(reverse=True, key=lambda choice: (
        not choice[1].get("error"), choice[0].end, -choice[0].number,
        choice[1]["timestamp"]["stop"]))
    return [(one, backup["label"]) for one, backup in all_that_fit]

def restore_options(target: dict | None) -> list[str]:
    """How pgBackRest is asked for a point in time."""
    if not target:
        return []
    if target["type"] == "set":
        return ["--type=immediate", "--target-action=promote"]
    options = [f"--type={target['type']}", f"--target={target['target']}",
               "--target-action=promote"]
    if target.get("timeline", "latest") != "latest":
        options.append(f"--target-timeline={target['timeline']}")
    return options

def clean(folder: str) -> None:
    for entry in list(os.scandir(folder)):
        shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.remove(entry)

RECOVERY = re.compile(r"\s*(restore_command|recovery_\w+|primary_conninfo|primary_slot_name"
                      r"|archive_cleanup_command|standby_mode)\b")

def take_out_recovery_settings(data: str) -> None:
    """Takes what pgBackRest and `ALTER SYSTEM` say of a recovery out of what PostgreSQL keeps."""
    path = data + "/postgresql.auto.conf"
    if not os.path.exists(path):
        return
    kept = [line for line in read(path).splitlines(keepends=True) if not RECOVERY.match(line)]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(kept)

class Replay:
    """A PostgreSQL that nobody but this program reaches: it replays the archive's WAL, and is
    promoted at its end or at the target."""

    socket = "/tmp/replay"

    def __init__(self, data: str, parameters: dict, **settings: str):
        self.data, self.parameters = data, parameters
        self.settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.socket,
            "hba_file": "/tmp/replay-hba.conf",
            "ssl": "off",
            "logging_collector": "off",
            "log_destination": "stderr",
            # Nothing connects until it is promoted: the former primary's limits need not be known.
            "hot_standby": "off",
            "archive_cleanup_command": "",
            "recovery_end_command": "",
            "synchronous_standby_names": "",
            "restore_command": f"bash {SCRIPTS}/fetch-wal-strict.sh %f %p",
        } | settings
        self.process = None
        self.last = ""  # what it last complained of

    def restartpoint(self) -> str:
        """Where it would go on from."""
        words = ["pg_controldata", self.data]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return "".join(line for line in done.stdout.splitlines() if "REDO location" in line)

    def run(self, environment: dict | None = None) -> bool:
        """Returns whether it was promoted; otherwise it has ended, and `last` says of what."""
        os.makedirs(self.socket, mode=0o700, exist_ok=True)
        write("/tmp/replay-hba.conf", "local all postgres peer\n")
        write("/tmp/replay.conf", as_lines(self.parameters))
        # Nobody else runs on this volume (member.sh).
        Path(self.data, "postmaster.pid").unlink(missing_ok=True)
        words = ["postgres", "-D", self.data, "-c", "config_file=/tmp/replay.conf"]
        for name, value in self.settings.items():
            words += ["-c", f"{name}={value}"]
        self.last = ""
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=os.environ | (environment or {}))
        threading.Thread(target=self.listen, args=(self.process.stdout,), daemon=True).start()
        while self.process.poll() is None:
            if subprocess.run(["pg_isready", "-q", "-h", self.socket], check=False).returncode == 0:
                return True
            time.sleep(0.2)
        time.sleep(0.2)  # for its last words
        return False

    def listen(self, stream) -> None:
        for line in stream:
            print(line, end="", flush=True)
            complaint = re.search("(FATAL|PANIC): +(.*)", line)
            if complaint and not re.search("is starting up|not accepting connections", line):
                self.last = complaint[2]

    def sql(self, query: str, database: str = "postgres") -> str:
        words = ["psql", "--no-psqlrc", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", self.socket,
                 "-d", database, "-c", query]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=600, check=True)
        return done.stdout.strip()

    def end(self) -> bool:
        """A clean shutdown."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait() == 0

    def reached(self) -> tuple[int, int]:
        """After the promotion: the timeline that it replayed, and where its own parts from that."""
        history = read(f"{self.data}/pg_wal/{self.timeline():08X}.history")
        return list(ends_of_timelines(history).items())[-1]

    def timeline(self) -> int:
        """Its own, after it was promoted."""
        names = os.listdir(self.data + "/pg_wal")
        histories = [name for name in names if re.fullmatch(r"[0-9A-F]{8}\.history", name)]
        return int(max(histories)[:8], 16)

def short_of(reached: tuple[int, int], newest: str) -> bool:
    """Whether a replay that ended there lacks some WAL before the archive's newest file."""
    timeline, lsn = reached
    of = int(newest[:8] or "0", 16)
    return bool(newest) and (timeline < of or timeline == of and lsn <= segment_start(newest))

def missing_after(label_segment: str, names: list[str]) -> str:
    """The number of the first WAL file that the archive lacks after a backup's first; or empty."""
    first = segment_start(label_segment)
    numbers = {segment_start(name) for name in names
               if name >= label_segment and segment_start(name) >= first}
    for number in range(first, max(numbers, default=first), SEGMENT):
        if number not in numbers:
            return file_at(number)
    return ""
