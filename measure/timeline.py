#!/usr/bin/env python3
"""When each step of a failover happened: measure/timeline.py TIME FOLDER

TIME is when the node was lost, in seconds since 1970. FOLDER has, of each member that is left, MEMBER.log (its log, with
timestamps) and MEMBER.probe (a line for each connection through pg-rw that was tried), `acknowledged`, of the writer, and
`answered`, of the reader. It prints a line for each step: STEP_ms=MILLISECONDS since TIME, and how long writes (write_ms) and reads
(read_ms) were away."""

import calendar
import pathlib
import re
import sys
import time

STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)Z (.*)$")
# In the order of their happening; each is read in one member's log alone.
STEPS = {
    "lease": r"pgk: took the lease of ",
    "elected": r"INFO: promoted self to leader by acquiring session lock",
    "asked": r"received promote request",
    "promoted": r"database system is ready to accept connections",
    "endpoint": r"pgk: the Service pg-rw leads here now",
}


def lines(path):
    """Of a log: each line's time and text."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := STAMP.match(line):
            stamp, fraction, text = match.groups()
            yield calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) + float(fraction), text


def steps(off, logs):
    """The first time of each step, by name."""
    found = {}
    for path in logs:
        for at, text in lines(path):
            for name, pattern in STEPS.items():
                if at >= off and re.search(pattern, text):
                    found[name] = min(at, found.get(name, at))
    return found


def answered(off, probe):
    """When the first connection came through after those that did not."""
    away = False
    for line in probe.read_text(encoding="utf-8").splitlines():
        at, *said = line.split()
        if float(at) < off:
            continue
        if said:
            away = True
        elif away:
            return float(at)
    return None


def gap(answers):
    """The longest time between two answers: when it began, and when it ended."""
    times = [float(line.split()[0]) for line in answers.read_text(encoding="utf-8").splitlines()]
    return max(zip(times, times[1:]), key=lambda pair: pair[1] - pair[0])


def main(off, folder):
    found = steps(off, sorted(folder.glob("*.log")))
    proxies = [answered(off, probe) for probe in sorted(folder.glob("*.probe"))]
    if None not in proxies:
        found["first_proxy"], found["last_proxy"] = min(proxies), max(proxies)
    last, first = gap(folder / "acknowledged")
    found["last_commit"], found["first_commit"] = last, first
    for name in (*STEPS, "first_proxy", "last_proxy", "last_commit", "first_commit"):
        if name in found:
            print(f"{name}_ms={1000 * (found[name] - off):.0f}")
    print(f"write_ms={1000 * (first - last):.0f}")
    last, first = gap(folder / "answered")
    print(f"read_ms={1000 * (first - last):.0f}")


if __name__ == "__main__":
    main(float(sys.argv[1]), pathlib.Path(sys.argv[2]))
