"""Run before Patroni is stopped: a primary hands over to a replica while it still can.

Without it, the lease would be held until PostgreSQL has written its last checkpoint, which can take
longer than the lease lasts. Where several members are taken away at once, none of them takes over:
Patroni finds another synchronous standby within seconds, and that is waited for."""

import subprocess
import time

import yaml

from pgk import NAME, SET, Api, instance, log, patroni, say

# Kubernetes gives the pod 120 s for everything, of which PostgreSQL's shutdown needs some.
ALL = 75
BOUND = 30  # seconds of these to find who can take over

def is_primary() -> bool:
    return patroni("GET", "/patroni")[1].get("role") == "primary"

def staying(api: Api) -> set[str]:
    """The other members that are not about to end, by their pods and the size that is wanted."""
    rendered = api.get(instance().rendered)["data"]["settings.yaml"]
    pods = [pod["metadata"] for pod in api.get(instance().pods)["items"]]
    wanted = {f"{SET}-{ordinal}" for ordinal in range(yaml.safe_load(rendered)["members"])} - {NAME}
    return wanted & {pod["name"] for pod in pods if not pod.get("deletionTimestamp")}

def candidate(names: set[str]) -> str | None:
    """Which of these members can take over now: the synchronous standby, or else who lags least."""
    synchronous = instance().config["bootstrap"]["dcs"]["synchronous_mode"]
    role = "sync_standby" if synchronous else "replica"
    members = [one for one in patroni("GET", "/cluster")[1]["members"] if one["name"] in names]
    ready = [one for one in members if one["role"] == role and one["state"] == "streaming"]
    ready.sort(key=lambda one: (isinstance(one["lag"], str), one["lag"]))  # "unknown" is the last
    return ready[0]["name"] if ready else None

def hand_over(end: float) -> bool:
    api, deadline = Api(), min(time.monotonic() + BOUND, end - 25)
    while is_primary() and time.monotonic() < deadline:
        name, why = None, "no replica can take over yet"
        try:
            names = staying(api)
            name = candidate(names)
            if not names:
                log("no handover: no other member stays")
                return False
        except OSError as error:
            why = error
        if name:
            log(f"handing over to {name}")
            wanted = {"leader": NAME, "candidate": name}
            left = max(1, end - time.monotonic())
            status, why = patroni("POST", "/switchover", wanted, timeout=left)
            if status == 200:
                log(f"handover: {why}")
                return True
        say("handover", f"waiting to hand over: {why}")
        time.sleep(1)
    return False

def main() -> None:
    end = time.monotonic() + ALL
    try:
        if not is_primary():
            return
        try:
            # So that the checkpoint of the shutdown has little left to write.
            command = ["psql", "-qX", "-d", "postgres", "-c", "CHECKPOINT"]
            subprocess.run(command, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            log("the checkpoint goes on while this member hands over")
        deadline = time.monotonic() + 10 if hand_over(end) else 0
        while is_primary() and time.monotonic() < deadline:
            time.sleep(0.1)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        log(f"no handover: {error!r}")

if __name__ == "__main__":
    main()
