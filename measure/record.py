#!/usr/bin/env python3
"""Runs a measurement, shows what it prints, and keeps it whole: measure/record.py NAME COMMAND...

docs/proof/runs/DATE-NAME.jsonl says which command, commit and machine it was, every figure, and how it ended, also when
it failed or was interrupted. A file is never replaced: the next one of the day is DATE-NAME-2.jsonl.

A line `figure {"key": ...}` of the command is a figure. Of the other lines those are kept that say what failed or what
was not tried, and, of a command that fails, the last ones."""

import collections
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
RUNS = pathlib.Path(os.environ.get("PGK_RUNS", ROOT / "docs/proof/runs"))

# With one thread, cargo's tests print their first line behind the test's name.
TEST = re.compile(r"^test \S+ (?:- should panic )?\.\.\. (?=.)")
FIGURE = re.compile(r"^figure (.*)$")
KEPT = re.compile(r"^(FAILED|not tried:|panicked|error:|# |thread .* panicked at|test (\S+|result:) .*FAILED)")
TAIL = 80
LEFT_OUT = "error: left out, as it names a path of the machine"

# Folders that say nothing of a machine, as every machine has them.
COMMON = {"bin", "dev", "etc", "home", "opt", "proc", "run", "srv", "tmp", "usr", "var"}


class Paths:
    """Takes this machine's paths out of a text."""

    def __init__(self, root, home, environment):
        # The commands that take nodes away stand in some folder, too.
        commands = [word for name, value in environment.items() if name.startswith("PGK_") for word in words(value)]
        own = {str(root), str(home), *(os.path.dirname(word) for word in commands if word.startswith("/"))} - {"/"}
        longest = "|".join(re.escape(path) for path in sorted(own, key=len, reverse=True))
        self.own = re.compile(rf"(?:{longest})(?:/|(?![\w.-]))")
        first = {path.split("/")[1] for path in own} - COMMON
        self.refused = re.compile("|".join(rf"(?<![\w.])/{re.escape(name)}/" for name in sorted(first)) or r"(?!)")

    def clean(self, text):
        """`text` without them; None if it still names one."""
        text = self.own.sub("", text)
        return None if self.refused.search(text) else text


def words(command):
    try:
        return shlex.split(command)
    except ValueError:
        return []


def answer(*command):
    """What a command prints; None if there is none, or it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def machine():
    processors = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    kilobytes = int(re.search(r"^MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text(), re.M)[1])
    return {"cpu": processors[0] if processors else None, "cores": os.cpu_count(), "memory_gb": round(kilobytes / 2**20)}


def cluster():
    """The Kubernetes that is measured, if any."""
    version = answer("kubectl", "version", "--output=json", "--request-timeout=10s")
    nodes = answer("kubectl", "get", "nodes", "--output=name", "--request-timeout=10s")
    server = json.loads(version).get("serverVersion") if version else None
    return {"kubernetes": server["gitVersion"], "nodes": len(nodes.splitlines())} if server and nodes else {}


def heading(name, command, paths):
    changed = answer("git", "status", "--porcelain", "--", ".", ":(exclude)docs/proof/runs")
    lab = os.environ.get("PGK_LAB")
    return {
        "run": name,
        "command": paths.clean(shlex.join(command)) or LEFT_OUT,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": answer("git", "rev-parse", "HEAD"),
        "dirty": changed != "",
        "machine": machine(),
        **cluster(),
        **({"lab": lab} if lab else {}),
    }


class Record:
    """The file while it is written, and its name once it is whole."""

    def __init__(self, date, name, paths):
        RUNS.mkdir(parents=True, exist_ok=True)
        self.stem = f"{date}-{name}"
        self.part = RUNS / f"{self.stem}.{os.getpid()}.part"
        self.file = self.part.open("x", encoding="utf-8")
        self.paths = paths

    def add(self, line):
        """Whether the line may be kept as it is."""
        text = self.paths.clean(json.dumps(line, ensure_ascii=False))
        self.file.write((text or json.dumps({"said": LEFT_OUT})) + "\n")
        self.file.flush()
        return text is not None

    def whole(self):
        os.fsync(self.file.fileno())
        self.file.close()
        number = 1
        while True:
            path = RUNS / f"{self.stem}{'' if number == 1 else f'-{number}'}.jsonl"
            try:
                os.link(self.part, path)  # unlike a rename, it replaces nothing
                break
            except FileExistsError:
                number += 1
        self.part.unlink()
        return path


def main(name, command):
    paths = Paths(ROOT, pathlib.Path.home(), os.environ)
    first = heading(name, command, paths)
    begin = time.monotonic()
    # In a session of its own: a Ctrl-C reaches it once, through this program, and its clean-up is left alone.
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    record = Record(first["date"][:10], name, paths)
    record.add(first)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.killpg(process.pid, number))
    good, follows, tail = True, False, collections.deque(maxlen=TAIL)
    for raw in process.stdout:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        line = raw.decode(errors="replace").rstrip()
        cleaned = paths.clean(line)
        tail.append(LEFT_OUT if cleaned is None else cleaned)
        line = TEST.sub("", line)
        figure = FIGURE.match(line)
        if figure:
            try:
                fields = json.loads(figure[1])
                good &= record.add({"key": fields["key"], **fields, "at": round(time.monotonic() - begin, 1)})
            except (ValueError, TypeError, KeyError):
                record.add({"said": f"error: this is no figure: {line}"})
                good = False
        elif follows or KEPT.match(line):
            record.add({"said": line})
        follows = " panicked at " in line  # its message is the next line
    status = process.wait()
    status = 128 - status if status < 0 else status or int(not good)
    if status:
        record.add({"tail": list(tail)})
    record.add({"end": status, "seconds": round(time.monotonic() - begin, 1)})
    path = record.whole()
    print(f"recorded in {os.path.relpath(path, ROOT)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    if len(sys.argv) < 3 or not re.fullmatch(r"[A-Za-z0-9-]+", sys.argv[1]):
        sys.exit("usage: measure/record.py NAME COMMAND..., with letters, digits and hyphens in NAME")
    sys.exit(main(sys.argv[1], sys.argv[2:]))
