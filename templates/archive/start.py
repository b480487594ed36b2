"""first_start.py, for a cluster with an archive. What differs:

- When no member holds data, the first member (pg-0) looks into the repositories. A backup is
  restored, before Patroni starts; a new database is made only if every repository answers and holds
  nothing, and Patroni's objects know of no former one. Everything else is waited out, or is for a
  human to decide.
- The first member does not begin to clone as long as no primary lives, so that it can still decide.

While DATA is being restored, FIRST_START is there: an interrupted restore is dropped and begun
again. Once the WAL is replayed, FIRST_START says so, and only what is left to do is done again."""

import collections
import json
import os
import re
import time
from pathlib import Path

import first_start
from backrest import (
    CHECKSUM, MISMATCH, OK, RESTORED_AS, RESTORED_FROM, Found, Replay, archive, candidates, clean,
    decide, found, label_of, lsn_of, newest_file, pgbackrest, restore_options, short_of, survey,
    take_out_recovery_settings, target_to_restore,
)
from first_start import api, forget_the_old_cluster, patiently, what_the_others_tell
from pgk import (
    DATA, FIRST_START, NAME, ORDINAL, SEGMENT, START_EMPTY, annotations, file_at, instance, log,
    mounted_config, read, say, write,
)

MANIFEST = DATA + "/backup.manifest"  # pgBackRest's, in a restore that is not complete
RETRY = 3  # seconds
AGAIN = 300  # seconds after which what did not succeed is tried anew from its beginning
FAILURES = 5  # the same complaint so many times, while the repository answers, is no accident

class Abandoned(Exception):
    """This restore is given up, and all is decided anew."""

written = None  # what write_repositories() wrote last

def write_repositories() -> None:
    """Where fetch-wal.sh and pgbackrest-push.sh find the repositories."""
    global written
    repos = archive()["repos"]
    lines = "".join(f"{repo['number']} {repo['host']} {repo['port']}\n" for repo in repos)
    if lines != written:
        write("/tmp/repositories", lines)
        written = lines

class Lease:
    """Whether a primary lives: its lease has been renewed since the last look."""

    def __init__(self):
        self.version = None

    def renewed(self) -> bool:
        item = api.get(instance().leader)
        leader = annotations(item).get("leader")
        version = item and item["metadata"]["resourceVersion"]
        before, self.version = self.version, version
        return bool(leader and leader != NAME and before and version != before)

def who_is_not_empty() -> list[str]:
    others = patiently("list the members", what_the_others_tell)
    return [name for name, told in others.items() if told.get("pgk/volume") != "empty"]

def wait_for(not_empty: list[str]) -> None:
    say("wait", "waiting: this volume holds nobody's data, there is no primary, and these members"
        " have not said that theirs is empty: " + ", ".join(not_empty))
    time.sleep(1)

def may_bootstrap() -> bool:
    """Whether Patroni makes a new database here. False as well after a restore, or to clone."""
    lease = Lease()
    while True:
        if ORDINAL != 0 or os.path.exists(START_EMPTY):
            return first_start.may_bootstrap()
        state = patiently("read Patroni's state", lambda: api.get(instance().dynamic))
        cluster = annotations(state)
        not_empty = who_is_not_empty()
        if patiently("look at the lease", lease.renewed):
            log("the volume is empty, and there is a primary: cloning it")
            return False
        if not_empty:
            wait_for(not_empty)
            continue
        repositories = survey()
        what, why = decide(repositories, cluster.get("initialize"))
        if what == "initdb":
            if "initialize" in cluster:  # the mark of a first start of ours that was interrupted
                patiently("clear the interrupted first start", forget_the_old_cluster)
            log(why + ": making a database")
            return True
        if what == "restore":
            log(why + ": restoring it")
            try:
                restore(repositories)
                return False
            except Abandoned:
                continue
        prefix = "" if why.startswith("WAITING") else "waiting, and making no new database: "
        say("wait", prefix + why)
        time.sleep(RETRY)

wanted = None  # the configuration of the archive when the restore began

def give_up(why: str) -> None:
    log("giving the restore up: " + why)
    clean(DATA)
    os.remove(FIRST_START)
    raise Abandoned

def pause(subject: str, message: str, seconds: int = RETRY) -> None:
    """Says what is waited for. A human may decide otherwise meanwhile."""
    say(subject, message)
    for _ in range(0, seconds, RETRY):
        time.sleep(RETRY)
        if os.path.exists(START_EMPTY):
            give_up("somebody asked for an empty database")
        if archive() != wanted:
            give_up("the configuration has changed")

def restore(repositories: list[Found]) -> None:
    """Fills the volume with a database that has been restored, replayed, promoted, and shut down
    cleanly. Patroni then starts with it like a member of a cluster whose objects were lost."""
    global wanted
    began, wanted = time.monotonic(), archive()
    asked = wanted.get("restore")
    target = target_to_restore(repositories, asked)
    if asked and not target:
        log(f"the restore to {label_of(asked)} has been done before:"
            " restoring to the end of the archive")
    open(FIRST_START, "w", encoding="utf-8").close()
    where, complaints = label_of(target) if target else "the end of the archive", []
    for one, label in candidates(repositories, target):
        complaint = fetch(one, label, target)
        replay = replay_here(**({} if target else {"recovery_target_timeline": "latest"}))
        if not complaint:
            take_over_recovery_settings(replay, target)
            log(f"{label} is here, {time.monotonic() - began:.0f} s after the restore began:"
                f" replaying the WAL up to {where}")
            complaint = replay_patiently(replay, target, repositories)
        if not complaint:
            state = {"number": one.number, "label": label, "to": target and label_of(asked),
                     "newest": newest_file(repositories), "archive": wanted}
            write(FIRST_START, json.dumps(state))  # what finish() must know
            return finish(replay, state)
        complaints.append(f"{label} of {one}: {complaint}")
        log(f"{label} does not lead there, trying the next backup: {complaint}")
        clean(DATA)
    pause("fetch", f"WAITING FOR A HUMAN: no backup is left that {where} can be reached from. See"
          f" q3.restore. All are tried every {AGAIN // 60} minutes. " + "; ".join(complaints),
          AGAIN)
    give_up("trying every backup again")

def replay_here(**settings: str) -> Replay:
    """It archives nothing: what is to be archived waits for the primary that Patroni starts."""
    # (As they are now: those that PostgreSQL does not start with may have been corrected.)
    parameters = mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"]
    return Replay(DATA, parameters, archive_mode="on", archive_command="", **settings)

def resume() -> None:
    """Goes on with a restore that was interrupted after the replay. If it is no longer what is
    wanted, or another member leads, prepare_the_folder() drops it."""
    global wanted
    try:
        state = json.loads(read(FIRST_START))
    except (OSError, ValueError):
        return
    wanted, lease, seen = state["archive"], Lease(), collections.Counter()
    while archive() == wanted and not os.path.exists(START_EMPTY):
        if patiently("look at the lease", lease.renewed):
            return
        not_empty = who_is_not_empty()
        if not_empty:
            wait_for(not_empty)
            continue
        log(f"{state['label']} had been restored and replayed: going on from there")
        replay = replay_here()
        try:
            while not replay.run():
                seen[replay.last] += 1
                if seen[replay.last] >= FAILURES:
                    give_up(f"what was restored does not start: {replay.last}")
                pause("replay", f"waiting: what was restored does not start: {replay.last}")
            finish(replay, state)
        except Abandoned:
            pass
        return

def finish(replay: Replay, state: dict) -> None:
    """What is left to do when the database is promoted, and runs. It may be done again."""
    replay.sql("SELECT pg_switch_wal()")  # the first WAL file of the new timeline is whole now
    reached, timeline = replay.reached(), replay.timeline()
    if not replay.end():
        log("PostgreSQL did not end cleanly after the restore: Patroni will see to it")
    if state["to"]:
        put_into_the_archive(state, reached[0], timeline)
    else:
        wait_for_what_is_missing(state, reached)
    take_out_recovery_settings(DATA)
    # Patroni begins with what is rendered now, not with what it was at the time of the backup.
    write(DATA + "/patroni.dynamic.json", json.dumps(mounted_config()["bootstrap"]["dcs"]))
    # What Patroni's objects say of the former database would be in the way of this one.
    patiently("forget the old cluster", forget_the_old_cluster)
    for mark in FIRST_START, first_start.LEAD:
        Path(mark).unlink(missing_ok=True)
    os.sync()
    first_start.tell_what_the_volume_holds("data")
    log(f"restored up to {lsn_of(reached[1])} of timeline {reached[0]}")

def in_the_archive(name: str) -> bool:
    """Whether a repository gives this file."""
    words = "archive-get", "--no-archive-async", name, "/tmp/archive-probe"
    return pgbackrest(*words, timeout=300)[0] == 0

def put_into_the_archive(state: dict, parent: int, timeline: int) -> None:
    """Makes a restore to a point in time one that has been done (backrest.restored_to): whoever
    then restores the end of the archive ends on the new timeline. First the note, which counts for
    nothing before that timeline's WAL is there; then its history, so that its number is not given
    twice; then its first WAL file, or PostgreSQL would replay the former timeline's, beyond the
    point in time."""
    words = ["annotate", f"--set={state['label']}", f"--repo={state['number']}",
             f"--annotation={RESTORED_FROM}={state['to']}",
             f"--annotation={RESTORED_AS}={parent} {timeline}"]
    while (done := pgbackrest(*words, timeout=120))[0] != 0:
        pause("annotate", f"waiting: cannot note in repository {state['number']} that this restore"
              f" was done: {done[2]}")
    for file in sorted(os.listdir(DATA + "/pg_wal/archive_status")):  # the history comes first
        name, mark = os.path.splitext(file)
        if mark != ".ready" or not name.startswith(f"{timeline:08X}"):
            continue
        words = ["archive-push", "--no-archive-async", f"{DATA}/pg_wal/{name}"]
        # (It fails as well if one repository of several does not take it.)
        while (done := pgbackrest(*words, timeout=300))[0] != 0 and not in_the_archive(name):
            pause("push", f"waiting: the archive does not take {name}: {done[2]}")

ended_at = None  # where a replay has ended once although the archive has what comes next

def wait_for_what_is_missing(state: dict, reached: tuple[int, int]) -> None:
    """After a replay that has not come to the end of the archive: until the WAL that is missing is
    there, or a human puts up with what is here."""
    global ended_at
    was_missing = ended_at != reached  # or it may have come while the last files were replayed
    newest = max(state["newest"], newest_file(survey()))
    while short_of(reached, newest) and not os.path.exists(first_start.LEAD):
        timelines = range(reached[0], int(newest[:8], 16) + 1)
        # The replay ended within the file before the one that is missing, or at its end.
        there = all(any(in_the_archive(f"{timeline:08X}{file_at(at)}") for timeline in timelines)
                    for at in (reached[1], reached[1] + SEGMENT))
        if there and was_missing:
            ended_at = reached
            give_up("the WAL that was missing is in the archive now")
        was_missing = was_missing or not there
        pause("gap", f"WAITING FOR A HUMAN: the archive goes up to {newest}, but WAL before it is"
              f" missing, so the replay ended at {lsn_of(reached[1])} of timeline {reached[0]}."
              " When it is there, all is restored anew. To go on with what is here:"
              f" touch {first_start.LEAD}", 10 * RETRY)
        newest = max(newest, newest_file(survey()))

def fetch(one: Found, label: str, target: dict | None) -> str:
    """Restores the files of a backup. Returns why it does not lead to the target, or cannot be
    read; empty if they are here. A repository that is away is waited for."""
    log(f"restoring {label} of {one}")
    seen = collections.Counter()
    while True:
        words = ["restore", f"--repo={one.number}", f"--set={label}", "--delta"]
        status, _, complaint = pgbackrest(*words, *restore_options(target))
        if status == 0:
            return ""
        complaint = complaint or f"pgBackRest ended with status {status}"
        if status == MISMATCH:  # the newest timeline parted from its own before it was made
            return complaint
        # Whichever process it was, after however long; of several damaged files, any.
        same = status if status == CHECKSUM else re.sub(r"\d+", "", complaint)
        seen[same] += 1
        if seen[same] >= FAILURES and found(one.repo).status == OK:
            return complaint
        pause("fetch", f"waiting: the restore stopped (status {status}), and goes on as soon as it"
              f" can: {complaint}")

def take_over_recovery_settings(replay: Replay, target: dict | None) -> None:
    """pgBackRest has written them where `ALTER SYSTEM` does; from here on, on the command line."""
    if not target:
        return
    if target["type"] == "set":
        where = {"recovery_target": "immediate", "recovery_target_timeline": "current"}
    else:
        where = {f"recovery_target_{target['type']}": target["target"],
                 "recovery_target_timeline": target.get("timeline", "latest")}
    replay.settings |= where | {"recovery_target_action": "promote"}

def replay_patiently(replay: Replay, target: dict | None, repositories: list[Found]) -> str:
    """Returns why the target cannot be reached from this backup; empty once it was."""
    take_out_recovery_settings(DATA)
    # All that know the database are asked for WAL; one that was added since would never answer.
    environment = {"PGK_REPO": " ".join(str(one.number) for one in repositories if one.system)}
    seen = collections.Counter()
    while not replay.run(environment):
        last = replay.last or "PostgreSQL ended without a word (killed for its memory?)"
        if "before configured recovery target was reached" in last:
            if target["type"] == "name":
                return "the archive has no such name after it"
            pause("replay", f"WAITING FOR A HUMAN: the archive ends before {label_of(target)}. Set"
                  " q3.restore.target to what it holds, or to none. It is read again every"
                  f" {AGAIN // 60} minutes", AGAIN)
            continue
        if ("is not a child of this server's history" in last
                or "requested recovery stop point is before" in last):
            return last
        # Counted from the last progress on, as a replay may take hours.
        here = last, replay.restartpoint()
        seen[here] += 1
        stuck = seen[here] >= FAILURES and all(
            found(one.repo).status == one.status for one in repositories)
        file = re.search('could not restore file "([^"]+)" from archive', last)
        if stuck and not file:
            return last
        # No other backup would help: each needs this WAL.
        pause("replay", f"WAITING FOR A HUMAN: {file[1]} cannot be read in any repository (lines"
              " above say how). Put a good copy of it there, or set q3.restore.target to a time"
              " before it"
              if stuck else f"waiting: the replay stopped, and goes on as soon as it can: {last}")
    return ""

def prepare() -> bool:
    """Half a restore by pgBackRest is dropped like half a base backup."""
    if os.path.exists(MANIFEST) and not os.path.exists(FIRST_START):
        log("the volume holds a restore that was interrupted: dropping it")
        first_start.remove(DATA)
    return first_start.prepare_the_folder()

def main() -> None:
    write_repositories()
    resume()
    first_start.main(prepare, may_bootstrap)

if __name__ == "__main__":
    main()
