#!/usr/bin/env python3
"""How many instructions pgk takes, which is the same on a busy machine and on an idle one: fails where that is more than a
tenth above what benches/instructions.txt has. Run as: benches/instructions.py [--update] [PGK], with valgrind installed.
Without PGK, the debug build is made and counted, which the tests need anyhow. --update writes what is counted into the
file: do so after a change that is worth its instructions, and after an update of the compiler."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
COUNTS = ROOT / "benches/instructions.txt"
COMMANDS = [
    "--version",
    "gen q1",
    "gen q2",
    "gen q3",
    "gen q3 -f examples/q3-s3.yaml --set replicas=3",
    "gen q2 -f INSTANCES",
    "check tp8/Q3",
]
INSTANCES = 50
MARGIN = 1.10


def instances(folder, number):
    """Writes the configurations of so many instances."""
    for index in range(number):
        text = f"name: customer-{index:05}\nnamespace: db-{index:05}\nreplicas: {1 + index % 3}\n"
        (folder / f"{index:05}.yaml").write_text(text)


def count(pgk, arguments):
    """The instructions of one run, by callgrind; little depends on what the environment holds, and so it is empty."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(pgk), *arguments]
    process = subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"]}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)}: {process.stderr}")
    return int(re.search(r"Collected *: (\d+)", process.stderr)[1])


def counts(pgk):
    with tempfile.TemporaryDirectory() as folder:
        instances(pathlib.Path(folder), INSTANCES)
        return {command: count(pgk, command.replace("INSTANCES", folder).split()) for command in COMMANDS}


def debug_build():
    subprocess.run(["cargo", "build", "--locked", "--quiet"], cwd=ROOT, check=True)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/pgk"


def compiler():
    return subprocess.run(["rustc", "--version"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main(arguments):
    update = "--update" in arguments
    given = [argument for argument in arguments if argument != "--update"]
    counted = counts(pathlib.Path(given[0]).resolve() if given else debug_build())
    if update:
        lines = [f"# Instructions of the debug build, {compiler()}; INSTANCES is a folder of {INSTANCES}. Written by benches/instructions.py --update"]
        lines += [f"{number:12} {command}" for command, number in counted.items()]
        COUNTS.write_text("\n".join(lines) + "\n")
        return
    first, *lines = COUNTS.read_text().splitlines()
    known = {command: int(number) for number, command in (line.split(maxsplit=1) for line in lines)}
    if known.keys() != counted.keys():
        sys.exit("benches/instructions.txt has other commands: run benches/instructions.py --update")
    slower = []
    for command, number in counted.items():
        change = number / known[command]
        print(f"{number:12} {change - 1:+7.1%} {command}")
        if change > MARGIN:
            slower.append(command)
    if slower:
        other = "" if compiler() in first else f"; they were counted with another compiler than {compiler()}, which may be why"
        sys.exit(f"more than a tenth above benches/instructions.txt: {', '.join(slower)}{other}")


if __name__ == "__main__":
    main(sys.argv[1:])
