"""Patroni's way to make a replica from the newest backup, so that the primary need not send its
data again. Any status but 0, and Patroni takes a base backup of the primary instead; so what is in
doubt is declined at once."""

import sys
import time

from backrest import (
    OK, Found, candidates, clean, pgbackrest, survey, take_out_recovery_settings,
)
from pgk import ends_of_timelines, log, position, psql

def primary(connection: str, command: str) -> str:
    """What the primary answers to a command of the replication protocol."""
    done = psql(command, "-F", " ", "-d", connection + " replication=true connect_timeout=5")
    if done.returncode != 0:
        decline(f"the primary does not say where it is: {done.stderr.strip()}")
    return done.stdout.strip()

def decline(why: str) -> None:
    log(f"no clone from the archive: {why}")
    sys.exit(1)

def leads_to(backup: dict, timeline: int, history: str) -> bool:
    """Whether the primary's WAL goes on from where the backup ends."""
    of = int(backup["archive"]["stop"][:8], 16)
    if of == timeline:
        return True
    return position(backup["lsn"]["stop"]) <= ends_of_timelines(history).get(of, -1)

def choose(repositories: list[Found], system: str, timeline: int, history: str, now: str) -> tuple:
    """The repository and the backup to clone from, or why there is none."""
    known = [one for one in repositories if one.status == OK and one.system == system]
    choices = candidates(known, None)
    if not choices:
        return None, "no repository that answers holds a backup of this database"
    one, label = choices[0]
    backup = next(backup for backup in one.backups if backup["label"] == label)
    if not leads_to(backup, timeline, history):
        return None, (f"the primary's timeline {timeline} parted from that of {label} before it was"
                      " made")
    since = position(now) - position(backup["lsn"]["stop"])
    if since > max(backup["info"]["size"], 1 << 30):
        return None, f"{since >> 20} MB of WAL came after {label}: more than there is to copy"
    return (one, label), ""

def main() -> None:
    told = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)  # by Patroni
    data, connection = told["--datadir"], told["--connstring"]
    system, timeline, now = primary(connection, "IDENTIFY_SYSTEM").split()[:3]
    history = ""
    if timeline != "1":
        # The answer is the file's name and its text.
        history = primary(connection, f"TIMELINE_HISTORY {timeline}").split(" ", 1)[1]
    choice, why = choose(survey(), system, int(timeline), history, now)
    if not choice:
        decline(why)
    one, label = choice
    log(f"cloning from {label} of {one}")
    began = time.monotonic()
    words = "restore", f"--repo={one.number}", f"--set={label}", "--delta", "--type=standby"
    status, _, complaint = pgbackrest(*words)
    if status != 0:
        clean(data)
        decline(f"the restore failed (status {status}): {complaint}")
    take_out_recovery_settings(data)
    log(f"{label} is here, in {time.monotonic() - began:.0f} s")

if __name__ == "__main__":
    main()
