"""Patroni's way to make a replica from the newest backup, so that the primary need not send its data again. Any
status but 0, and Patroni takes a base backup of the primary instead; so what is in doubt is declined at once."""

import argparse
import sys

from backrest import *

LIMIT = 4 * 3600  # seconds for the whole restore


def primary(connection, command):
    """What the primary answers to a command of the replication protocol."""
    done = psql(command, "-F", " ", "-d", connection + " replication=true connect_timeout=5")
    if done.returncode != 0:
        decline(f"the primary does not say where it is: {done.stderr.strip()}")
    return done.stdout.strip()


def decline(why):
    log(f"no clone from the archive: {why}")
    sys.exit(1)


def leads_to(backup, timeline, history):
    """Whether the primary's WAL goes on from where the backup ends."""
    of = int(backup["archive"]["stop"][:8], 16)
    if of == timeline:
        return True
    for line in history.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == str(of):
            return position(backup["lsn"]["stop"]) <= position(words[1])
    return False


def choose(repositories, system, timeline, history, now):
    """The repository and the backup to clone from, or why there is none."""
    choices = candidates([one for one in repositories if one.status == OK and one.system == system], None)
    if not choices:
        return None, "no repository that answers holds a backup of this database"
    one, label = choices[0]
    backup = next(backup for backup in one.backups if backup["label"] == label)
    if not leads_to(backup, timeline, history):
        return None, f"the primary's timeline {timeline} parted from that of {label} before it was made"
    since = position(now) - position(backup["lsn"]["stop"])
    if since > max(backup["info"]["size"], 1 << 30):
        return None, f"{since >> 20} MB of WAL came after {label}: more than there is to copy"
    return (one, label), ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--datadir", required=True)
    parser.add_argument("--connstring", required=True)
    arguments, _ = parser.parse_known_args()
    system, timeline, now = primary(arguments.connstring, "IDENTIFY_SYSTEM").split()[:3]
    # The answer is the file's name and its text.
    history = primary(arguments.connstring, f"TIMELINE_HISTORY {timeline}").split(" ", 1)[1] if timeline != "1" else ""
    choice, why = choose(survey(), system, int(timeline), history, now)
    if not choice:
        decline(why)
    one, label = choice
    log(f"cloning from {label} of {one}")
    began = time.monotonic()
    status, _, complaint = pgbackrest("restore", f"--repo={one.number}", f"--set={label}", "--delta", "--type=standby", timeout=LIMIT)
    if status != 0:
        clean(arguments.datadir)
        decline(f"the restore failed (status {status}): {complaint}")
    take_out_recovery_settings(arguments.datadir)
    log(f"{label} is here, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
