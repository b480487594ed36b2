"""first_start.py, for a cluster with an archive. What differs:

- When no member holds data, the first member (pg-0) looks into the repositories. A backup is restored, before
  Patroni starts; a new database is made only if every repository answers and holds nothing, and Patroni's
  objects know of no former one. Everything else is waited out, or is for a human to decide.
- The first member does not begin to clone as long as no primary lives, so that it can still decide."""

import first_start
from backrest import *
from first_start import api, config, patiently, remove, what_the_others_tell

# There while DATA is being restored: it is nobody's data, and begun again when it is interrupted.
MANIFEST = DATA + "/backup.manifest"  # pgBackRest's, in a restore that is not complete
RETRY = 3  # seconds

decide_by_patroni = first_start.may_bootstrap
prepare_the_folder = first_start.prepare_the_folder
forget_the_old_cluster = first_start.forget_the_old_cluster


class Abandoned(Exception):
    """A human has decided otherwise meanwhile: by START_EMPTY, or by another configuration."""


written = None  # what write_repositories() wrote last


def write_repositories():
    """Where fetch-wal.sh and pgbackrest-push.sh find the repositories."""
    global written
    lines = "".join(f"{repo['number']} {repo['host']} {repo['port']}\n" for repo in archive()["repos"])
    if lines == written:
        return
    with open("/tmp/repositories.new", "w", encoding="utf-8") as file:
        file.write(lines)
    os.replace("/tmp/repositories.new", "/tmp/repositories")
    written = lines


class Lease:
    """Whether a primary lives: its lease has been renewed since the last look."""

    def __init__(self):
        self.version = None

    def renewed(self):
        item = api.get(first_start.leader_path)
        leader = annotations(item).get("leader")
        version = item and item["metadata"]["resourceVersion"]
        before, self.version = self.version, version
        return bool(leader and leader != NAME and before and version != before)


def may_bootstrap():
    """Whether Patroni makes a new database here. Returns False as well after a restore, or to clone."""
    if ORDINAL != 0:
        return decide_by_patroni()
    lease = Lease()
    while True:
        if os.path.exists(START_EMPTY):
            return decide_by_patroni()
        cluster = annotations(patiently("read Patroni's state", lambda: api.get(first_start.config_path)))
        others = patiently("list the members", what_the_others_tell)
        not_empty = [name for name, told in others.items() if told.get("pgk/volume") != "empty"]
        if patiently("look at the lease", lease.renewed):
            log("the volume is empty, and there is a primary: cloning it")
            return False
        if not_empty:
            say("wait", "waiting: the volume is empty, there is no primary, and these members have not said that theirs is empty, too: " + ", ".join(not_empty))
            time.sleep(1)
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
        say("wait", ("" if why.startswith("WAITING") else "waiting, and making no new database: ") + why)
        time.sleep(RETRY)


wanted = None  # the configuration of the archive when the restore began


def pause(subject, message):
    say(subject, message)
    time.sleep(RETRY)
    if os.path.exists(START_EMPTY) or archive() != wanted:
        log("giving the restore up: " + ("somebody asked for an empty database" if archive() == wanted else "the configuration has changed"))
        clean(DATA)
        os.remove(FIRST_START)
        raise Abandoned


def restore(repositories):
    """Fills the volume with a database that has been restored, replayed, promoted, and shut down cleanly.
    Patroni then starts with it like a member of a cluster whose objects were lost."""
    global wanted
    began, wanted = time.monotonic(), archive()
    target = target_to_restore(repositories, archive().get("restore"))
    if archive().get("restore") and not target:
        log(f"the restore to {label_of(archive()['restore'])} has been done before: restoring to the end of the archive")
    open(FIRST_START, "w", encoding="utf-8").close()
    parameters = config["bootstrap"]["dcs"]["postgresql"]["parameters"]
    # What is archived is archived by the primary that Patroni starts; until then it waits, marked as ready.
    replay = Replay(DATA, parameters, archive_mode="on", archive_command="", **({"recovery_target_timeline": "latest"} if not target else {}))
    while True:
        one, label = fetch(candidates(repositories, target), target)
        take_over_recovery_settings(replay, target)
        log(f"{label} is here, {time.monotonic() - began:.0f} s after the restore began: replaying the WAL up to " + (label_of(target) if target else "the end of the archive"))
        if replay_patiently(replay, target):
            break
        # A name may be older than the newest backup.
        repositories = without(repositories, one, label)
        clean(DATA)
    replay.sql("CHECKPOINT")
    reached, newest = replay.reached(), newest_file(repositories)
    if not replay.end():
        log("PostgreSQL did not end cleanly after the restore: Patroni will see to it")
    while not target and short_of(reached, newest) and not os.path.exists(first_start.LEAD):
        pause("gap", f"WAITING FOR A HUMAN: the archive goes up to {newest}, but WAL before it is missing, so the replay ended at {lsn_of(reached[1])} of timeline {reached[0]}. "
              f"To go on with what is here: touch {first_start.LEAD}")
    while target and (status := pgbackrest("annotate", f"--set={label}", f"--annotation={RESTORED_FROM}={label_of(target)}", f"--repo={one.number}", timeout=120))[0] != 0:
        pause("annotate", f"waiting: cannot note in {one} that this restore was done: {status[2]}")
    take_out_recovery_settings(DATA)
    # Patroni begins with what is rendered now, not with what it was at the time of the backup.
    with open(DATA + "/patroni.dynamic.json", "w", encoding="utf-8") as file:
        json.dump(config["bootstrap"]["dcs"], file)
    # What Patroni's objects say of the database that is no more would be in the way of the one that is.
    patiently("forget the old cluster", forget_the_old_cluster)
    for mark in FIRST_START, first_start.LEAD:
        if os.path.exists(mark):
            os.remove(mark)
    os.sync()
    first_start.tell_what_the_volume_holds("data")
    log(f"restored up to {lsn_of(reached[1])} of timeline {reached[0]} in {time.monotonic() - began:.0f} s")


def without(repositories, one, label):
    one.backups = [backup for backup in one.backups if backup["label"] != label]
    return repositories


def fetch(choices, target):
    """Restores the files of the best backup, and returns which one that was."""
    if not choices:
        while True:
            pause("fetch", f"WAITING FOR A HUMAN: no backup is left that {label_of(target) if target else 'the end of the archive'} can be reached from. See q3.restore")
    for one, label in choices:
        log(f"restoring {label} of {one}")
        while True:
            status, _, complaint = pgbackrest("restore", f"--repo={one.number}", f"--set={label}", "--delta", *restore_options(target))
            if status == 0:
                return one, label
            if status == MISMATCH:  # the newest timeline parted from its own before it was made
                log(f"{label} does not lead there, trying an older backup: {complaint}")
                break
            pause("fetch", f"waiting: the restore stopped (status {status}), and goes on as soon as it can: {complaint}")
        clean(DATA)
    return fetch([], target)


def take_over_recovery_settings(replay, target):
    """pgBackRest has written them where `ALTER SYSTEM` does; from here on they are on the command line."""
    if not target:
        return
    names = {"time": "recovery_target_time", "lsn": "recovery_target_lsn", "name": "recovery_target_name"}
    if target["type"] == "set":
        replay.settings |= {"recovery_target": "immediate", "recovery_target_timeline": "current"}
    else:
        replay.settings |= {names[target["type"]]: target["target"], "recovery_target_timeline": target.get("timeline", "latest")}
    replay.settings["recovery_target_action"] = "promote"


def replay_patiently(replay, target):
    """Returns whether the target was reached; if not, an older backup may lead there."""
    take_out_recovery_settings(DATA)
    while not replay.run():
        if "before configured recovery target was reached" in replay.last:
            if target["type"] == "name":
                log("the archive has no such name after this backup: trying an older one")
                return False
            while True:
                pause("replay", f"WAITING FOR A HUMAN: the archive ends before {label_of(target)}. Set q3.restore.target to what it holds, or to none")
        if "is not a child of this server's history" in replay.last or "requested recovery stop point is before" in replay.last:
            log("this backup does not lead there: trying an older one")
            return False
        pause("replay", f"waiting: the replay stopped, and goes on as soon as it can: {replay.last}")
    return True


def prepare():
    """Half a restore by pgBackRest is dropped like half a base backup."""
    if os.path.exists(MANIFEST) and not os.path.exists(FIRST_START):
        log("the volume holds a restore that was interrupted: dropping it")
        remove(DATA)
    return prepare_the_folder()


def main():
    write_repositories()
    first_start.prepare_the_folder = prepare
    first_start.may_bootstrap = may_bootstrap
    first_start.main()


if __name__ == "__main__":
    main()
