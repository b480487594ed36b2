"""Proves that the archive can be restored from: restores the newest backup of every repository into an empty
volume, replays all WAL that the repository has, and looks whether everything is there. Says so in a last line."""

import sys

from backrest import *


class Failed(Exception):
    pass


def newest_archived():
    """The newest WAL file that the primary has archived, by its own account; None if it does not answer."""
    connection = f"host={archive()['primary']} dbname=postgres user=replicator connect_timeout=5"
    environment = os.environ | {"PGPASSWORD": read(CREDENTIALS + "replication-password")}
    done = psql("SELECT last_archived_wal FROM pg_stat_archiver", "-d", connection, environment=environment)
    name = done.stdout.strip()
    return name if re.fullmatch("[0-9A-F]{24}", name) else None


def verify(one):
    """All files of the repository, by their checksums. (The exit status does not tell.)"""
    status, text, complaint = pgbackrest("verify", "--output=text", "--verbose", f"--repo={one.number}")
    faults = [line.strip() for line in text.splitlines() if re.search(r"(missing|invalid|other): [1-9]|status: (invalid|error)", line)]
    if status != 0 or faults or "status: ok" not in text:
        raise Failed(f"verify (status {status}): " + "; ".join(faults or [complaint or "it does not say `status: ok`"]))
    return "pgBackRest verified every file of the repository"


def test(one):
    """Raises what is wrong; otherwise says what was found."""
    if one.status != OK or not one.backups:
        raise Failed(f"no backup to restore: {one.message}")
    label = one.backups[-1]["label"]
    wanted = max(one.end, newest_archived() or "")
    os.makedirs(DATA, mode=0o700, exist_ok=True)
    os.chmod(DATA, 0o700)
    clean(DATA)
    began = time.monotonic()
    status, _, complaint = pgbackrest("restore", f"--repo={one.number}", f"--set={label}")
    if status != 0:
        raise Failed(f"restore of {label} (status {status}): {complaint}")
    restored = time.monotonic()
    take_out_recovery_settings(DATA)
    parameters = parameters_of_the_cluster()
    replay = Replay(DATA, parameters, archive_mode="off", recovery_target_timeline="latest")
    if not replay.run({"PGK_REPO": str(one.number)}):
        raise Failed(f"replay after {label}: {replay.last}")
    replayed, reached = time.monotonic(), replay.reached()
    try:
        databases = replay.sql("SELECT datname FROM pg_database WHERE datallowconn").splitlines()
        relations = sum(int(replay.sql("SELECT count(*) FROM pg_class", name)) for name in databases)
        size = int(replay.sql("SELECT sum(pg_database_size(oid)) FROM pg_database"))
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, ValueError) as error:
        raise Failed(f"queries after the restore of {label}: {error}; {replay.last}") from error
    finally:
        clean_end = replay.end()
    if not clean_end:
        raise Failed(f"PostgreSQL did not end cleanly after the restore of {label}")
    if short_of(reached, wanted):
        raise Failed(f"the replay ended at {lsn_of(reached[1])} of timeline {reached[0]}, before {wanted}, the newest archived WAL file")
    sums = subprocess.run(["pg_checksums", "--check", "-D", DATA], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if sums.returncode != 0:
        raise Failed(f"checksums after the restore of {label}: " + " ".join(sums.stdout.split("\n"))[-500:])
    blocks = re.search(r"Blocks scanned: +(\d+)", sums.stdout)
    return (f"{label} restored in {restored - began:.0f} s, WAL replayed up to {wanted} in {replayed - restored:.0f} s; {len(databases)} databases, "
            f"{relations} relations, {size >> 20} MB, {blocks[1] if blocks else 'all'} blocks with right checksums")


def parameters_of_the_cluster():
    return mounted_config()["bootstrap"]["dcs"]["postgresql"]["parameters"]


def main():
    repositories = survey()
    failed = []
    for one in repositories:
        for check in test, verify:
            try:
                log(f"{one}: {check(one)}")
            except (Failed, OSError, subprocess.TimeoutExpired) as error:
                log(f"{one}: FAILED: {error}")
                failed.append(f"{one}: {error}")
        if os.path.isdir(DATA):
            clean(DATA)
    log("restore test: FAILED: " + " | ".join(failed) if failed else f"restore test: passed, {len(repositories)} of {len(repositories)} repositories")
    return not failed


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
