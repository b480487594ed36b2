"""Run before Patroni is stopped: a primary hands over to a replica while it still can.

Without it, the lease would be held until PostgreSQL has written its last checkpoint, which can take
longer than the lease lasts."""

import subprocess
import time

from pgk import *


def is_primary():
    return patroni("GET", "/patroni")[1].get("role") == "primary"


try:
    if is_primary():
        # So that the checkpoint of the shutdown has little left to write.
        subprocess.run(["psql", "-qX", "-d", "postgres", "-c", "CHECKPOINT"], timeout=30, check=False)
        log("handing over to a replica")
        status, answer = patroni("POST", "/switchover", {"leader": NAME}, timeout=30)
        log(f"handover: {answer}")
        deadline = time.monotonic() + 10
        while status == 200 and is_primary() and time.monotonic() < deadline:
            time.sleep(0.1)
except (OSError, AttributeError, subprocess.TimeoutExpired) as error:
    log(f"no handover: {error!r}")
