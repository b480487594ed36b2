"""Proves that the archive can be restored from: restores the newest backup of every repository into
an empty volume, replays all WAL that the repository has, and looks whether everything is there that
the primary had written when the test began. A last line says so. What cannot be checked, failed."""

import os
import re
import subprocess
import sys
import time

from backrest import (
    OK, Found, Replay, archive, clean, found, lsn_of, newest_file, pgbackrest, segment_start,
    short_of, shortened, survey, take_out_recovery_settings,
)
from pgk import CREDENTIALS, DATA, SEGMENT, file_at, log, mounted_config, psql, read

PATIENCE = 60  # seconds in which a primary is replaced, and a WAL file gets into the archive

# What `pgbackrest verify` says where it finds no fault.
RESULT = re.compile(r"(?:archiveId|backup): (\S+), (?:status: valid, )?"
                    r"total (?:WAL|files) checked: (\d+), total valid (?:WAL|files): \2")
SOUND = re.compile(r"stanza: .+|status: ok|backup: \S+, status: in-progress, .+|"
                   r"missing: 0, checksum invalid: 0, size invalid: 0, other: 0")

class Failed(Exception):
    pass

class Primary:
    """What it says of itself: its database system, the WAL file that it writes, and the one before
    that, which it has archived or is about to."""

    system, writes, finished = "", "", ""

    # Only a primary has an answer.
    question = ("SELECT system_identifier, pg_walfile_name(pg_current_wal_lsn())"
                " FROM pg_control_system()")

    def ask(self, newest: str) -> str:
        """`newest` begins with a timeline that is in the archive: who is of an older one is not the
        primary, or no longer."""
        target = f"host={archive()['primary']} dbname=postgres user=replicator connect_timeout=5"
        environment = os.environ | {"PGPASSWORD": read(CREDENTIALS + "replication-password")}
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                done = psql(self.question, "-F", " ", "-d", target, environment=environment)
                said = done.stdout.strip() or done.stderr.strip()
            except subprocess.TimeoutExpired:
                said = "it takes too long"
            answer = re.fullmatch("([0-9]+) ([0-9A-F]{24})", said)
            if answer and answer[2][:8] >= newest[:8]:
                self.system, self.writes = answer.groups()
                before = segment_start(self.writes) - SEGMENT
                self.finished = self.writes[:8] + file_at(before)
                return f"it writes {self.writes} of the database system {self.system}"
            if time.monotonic() > deadline:
                older = f", of an older timeline than the archive's {newest}" if answer else ""
                raise Failed("no primary says what it has written, so whether the archive is recent"
                             f" is not known: {said or 'no answer'}{older}")
            time.sleep(2)

def complete(one: Found, wanted: str) -> Found:
    """The repository as soon as it has the WAL file `wanted`, or as it is when it is too late."""
    deadline = time.monotonic() + PATIENCE
    while (one.status != OK or one.end < wanted) and time.monotonic() < deadline:
        time.sleep(2)
        one = found(one.repo)
    return one

def holds_something(one: Found) -> bool:
    return one.status == OK and bool(one.backups and one.end)

def look(one: Found, primary: Primary) -> str:
    """Whether it can be the archive of this cluster, and whether backups are still made."""
    if not holds_something(one):
        raise Failed(f"no backup, or no WAL, to restore (status {one.status}): {one.message}")
    if primary.system and primary.system != one.system:
        raise Failed(f"it is of the database system {one.system}, not of {primary.system}")
    age = (time.time() - one.backups[-1]["timestamp"]["stop"]) / 86400
    limit = archive()["backup-age"]
    if limit is not None and age > limit:
        raise Failed(f"its newest backup is {age:.1f} days old, which is more than {limit}")
    return f"its newest backup is {age:.1f} days old"

def restore(one: Found, primary: Primary) -> str:
    """Whether the newest backup, with the WAL after it, is the database as it was."""
    label, wanted = one.backups[-1]["label"], max(one.end, primary.finished)
    compared = f"the primary wrote {primary.writes or '(unknown)'}, the repository had {one.end}"
    os.makedirs(DATA, mode=0o700, exist_ok=True)
    os.chmod(DATA, 0o700)
    clean(DATA)
    began = time.monotonic()
    status, _, complaint = pgbackrest("restore", f"--repo={one.number}", f"--set={label}")
    if status != 0:
        raise Failed(f"restore of {label} (status {status}): {complaint}")
    restored = time.monotonic()
    take_out_recovery_settings(DATA)
    parameters = mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"]
    replay = Replay(DATA, parameters, archive_mode="off", recovery_target_timeline="latest")
    if not replay.run({"PGK_REPO": str(one.number)}):
        raise Failed(f"replay after {label}: {replay.last}")
    replayed = time.monotonic()
    try:
        timeline, lsn = replay.reached()
        databases = content(replay)
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Failed(f"{label} is restored, but unreadable: {error!r} {replay.last}") from error
    finally:
        clean_end = replay.end()
    if not clean_end:
        raise Failed(f"PostgreSQL did not end cleanly after the restore of {label}")
    compared = f"the replay ended at {lsn_of(lsn)} of timeline {timeline}; at the begin {compared}"
    if short_of((timeline, lsn), wanted):
        raise Failed(f"WAL is missing after {label}, or was not archived in time: {compared}")
    if primary.writes and timeline > int(primary.writes[:8], 16):
        primary.ask(f"{timeline:08X}")  # it has been replaced meanwhile; if not, what is that?
    return (f"{label} restored in {restored - began:.0f} s, WAL replayed in"
            f" {replayed - restored:.0f} s: {compared}; {databases}, {checked_blocks()} blocks with"
            " right checksums")

def content(replay: Replay) -> str:
    """What the databases hold."""
    names = replay.sql("SELECT datname FROM pg_database WHERE datallowconn").splitlines()
    relations = {name: int(replay.sql("SELECT count(*) FROM pg_class", name)) for name in names}
    size = int(replay.sql("SELECT sum(pg_database_size(oid)) FROM pg_database"))
    wanted = archive()["database"]
    if wanted not in relations or not all(relations.values()) or not size:
        raise Failed(f"the database {wanted} is missing, or something is empty: {size} bytes,"
                     f" relations: {relations}")
    return f"{len(names)} databases, {sum(relations.values())} relations, {size >> 20} MB"

def checked_blocks() -> int:
    """How many blocks there are, all of them with the right checksum."""
    words = ["pg_checksums", "--check", "-D", DATA]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    blocks = re.search(r"Blocks scanned: +([1-9][0-9]*)\n", done.stdout)
    if done.returncode != 0 or not blocks:
        said = " ".join((done.stdout + done.stderr).split())[-500:]
        raise Failed(f"pg_checksums (status {done.returncode}): {said}")
    return int(blocks[1])

def verify(one: Found, _) -> str:
    """All files of the repository, by their checksums. Only the text tells of faults, not the exit
    status; and it is `ok` where there is nothing."""
    words = ["pgbackrest", "verify", "--output=text", "--verbose", f"--repo={one.number}",
             "--log-level-console=off", "--log-level-stderr=info"]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    results = {result[1]: int(result[2]) for result in map(RESULT.fullmatch, lines) if result}
    faults = re.findall("INFO: ((?:file missing|invalid [a-z]+) .+)", done.stderr)[:5]
    faults += [line for line in lines if not RESULT.fullmatch(line) and not SOUND.fullmatch(line)]
    now = found(one.repo)
    if now.status != OK:
        faults.append(f"it no longer says what it holds (status {now.status}): {now.message}")
    # (What was there before, and is there now: a backup may have expired in between.)
    labels = [{backup["label"] for backup in of.backups} for of in (one, now)]
    names = set.intersection(*labels) | {one.archive}
    if not faults:
        unchecked = sorted(name for name in names if not results.get(name))
        faults = [f"nothing of {name} was checked" for name in unchecked]
    if done.returncode != 0 or "status: ok" not in lines or faults:
        why = "; ".join(faults) or shortened(done.stderr)
        raise Failed(f"verify (status {done.returncode}): {why or 'it does not say `status: ok`'}")
    return f"pgBackRest verified {sum(results.values())} files: {', '.join(sorted(results))}"

def attempt(subject, check, *arguments) -> list[str]:
    """Logs what the check says. Returns what is wrong, as a list."""
    try:
        log(f"{subject}: {check(*arguments)}")
        return []
    except Exception as error:  # whatever it is: what cannot be checked has failed
        text = str(error) if isinstance(error, Failed) else repr(error)
        log(f"{subject}: FAILED: {text}")
        return [f"{subject}: {text}"]

def test(repositories: list[Found], primary: Primary) -> list[str]:
    """What is wrong, as a list."""
    failed = attempt("the primary", primary.ask, newest_file(repositories))
    for one in repositories:
        one = complete(one, primary.finished)
        for check in (look, restore, verify) if holds_something(one) else (look,):
            failed += attempt(one, check, one, primary)
        if os.path.isdir(DATA):
            clean(DATA)
    return failed

def main() -> bool:
    try:
        repositories = survey()
        failed = test(repositories, Primary()) if repositories else ["there is no repository"]
    except Exception as error:  # whatever it is, the last line says it
        failed = [repr(error)]
    log("restore test: FAILED: " + " | ".join(failed) if failed
        else "restore test: passed, {0} of {0} repositories".format(len(repositories)))
    return not failed

if __name__ == "__main__":
    sys.exit(0 if main() else 1)
