#!/usr/bin/env python3
"""How long pgk takes to render Q3, against helm and kustomize rendering the same documents: whole processes, one after the
other in turn, wall time and the most memory; and how long 10,000 instances take in one run. What is required of them is in
BARS. Run as: benches/compare.py [RUNS [FILE]], on a machine that does nothing else, with Go, kubectl, Rust, GNU time and PyYAML
installed; what it needs besides is installed into target/peers. The tables go to FILE, such as docs/proof/speed.md, too."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "target/peers"
MODULES = {"helm": "helm.sh/helm/v4/cmd/helm@v4.3.1", "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"}

# The first lines of what is printed.
BARS = """Required: `pgk gen q3` at least 5 times faster than `helm template` and 8 times than `kubectl kustomize`, in less than
24 MB; 10,000 instances of Q3 at least 1,000 a second on 2 cores; a release binary of less than 16 MB."""


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **options).stdout


def install():
    PEERS.mkdir(parents=True, exist_ok=True)
    for name, module in MODULES.items():
        if not (PEERS / name).exists():
            run("go", "install", module, env={**os.environ, "GOBIN": str(PEERS)})
    run("cargo", "build", "--release", "--locked", cwd=ROOT)
    empty = PEERS / "empty"
    if not empty.exists():
        run("rustc", "-O", "--edition=2024", "-o", str(empty), "-", input=b"fn main() {}")


def compiler():
    return run("rustc", "--version", cwd=ROOT, text=True).strip()


def instances(folder, number):
    """Writes the configurations of so many instances."""
    for index in range(number):
        text = f"name: customer-{index:05}\nnamespace: db-{index:05}\nreplicas: {1 + index % 3}\n"
        (folder / f"{index:05}.yaml").write_text(text)


def documents(text):
    return sorted(yaml.safe_dump(document) for document in yaml.safe_load_all(text) if document)


def chart(folder):
    """Makes a chart that renders what the folder holds, its names out of the values, as a person would write it."""
    target = PEERS / "chart"
    (target / "templates").mkdir(parents=True, exist_ok=True)
    (target / "Chart.yaml").write_text("apiVersion: v2\nname: q3\nversion: 1.0.0\n")
    (target / "values.yaml").write_text("name: pg\nuser: app\nversion: 17\n")
    for old in (target / "templates").iterdir():
        old.unlink()
    for file in sorted(folder.glob("*.yaml")):
        text = file.read_text().replace("{{", '{{ "{{" }}')
        text = re.sub(r"\bpg(?=-[a-z])", "{{ .Values.name }}", text)
        text = re.sub(r"(?<=instance: )pg\b", "{{ .Values.name }}", text)
        (target / "templates" / file.name).write_text(text)
    return target


def seconds(command):
    """How long one run takes."""
    begin = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def memory(command):
    """The most memory of one run, in MiB, by GNU time: what Python says of a child is never less than its own."""
    process = subprocess.run(["/usr/bin/time", "-f", "%M", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
    return int(process.stderr.split()[-1]) / 1024


def processor():
    names = re.findall(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{len(names)} × {names[0]}"


def table(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] + ["--:"] * (len(head) - 1), *rows])


def whole_processes(runs, pgk):
    folder = ROOT / "tp8/Q3"
    commands = {
        "an empty Rust program": [str(PEERS / "empty")],
        "`pgk gen q3`": [pgk, "gen", "q3"],
        "`helm template`": [str(PEERS / "helm"), "template", "pg", str(chart(folder))],
        "`kustomize build`": [str(PEERS / "kustomize"), "build", str(folder)],
        "`kubectl kustomize`": ["kubectl", "kustomize", str(folder)],
    }
    wanted = documents(run(pgk, "gen", "q3"))
    for name, command in list(commands.items())[2:]:
        if documents(run(*command)) != wanted:
            sys.exit(f"{name} renders other documents than pgk")
    measured = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            measured[name].append(seconds(command))
    ours = statistics.median(measured["`pgk gen q3`"])
    rows = []
    for name, times in measured.items():
        median = statistics.median(times)
        cells = [1000 * median, 1000 * min(times), memory(commands[name]), median / ours]
        rows.append([name, *(f"{cell:.1f}" for cell in cells)])
    head = ["", "median, ms", "fastest, ms", "most memory, MiB", "times pgk"]
    return f"{len(wanted)} documents of Q3, checked; whole processes, {runs} runs each, in turn.\n\n{table(head, rows)}"


def many_instances(pgk):
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for number in (1, 100, 1000, 10_000):
            folder = pathlib.Path(root) / str(number)
            folder.mkdir()
            instances(folder, number)
            for scenario in ("q1", "q2", "q3"):
                command = [pgk, "gen", scenario, "-f", str(folder)]
                took = min(seconds(command) for _ in range(3))
                rows.append([f"{number:,} of {scenario}", f"{took:.3f}", f"{number / took:,.0f}", f"{memory(command):.1f}"])
    head = ["", "fastest of 3, s", "instances a second", "most memory, MiB"]
    return f"Instances in one run, as a stream: other names and namespaces, three numbers of replicas.\n\n{table(head, rows)}"


def main(runs, file):
    install()
    pgk = str(ROOT / "target/release/pgk")
    size = pathlib.Path(pgk).stat().st_size / 1e6
    commit = run("git", "describe", "--always", "--dirty", "--abbrev=10", cwd=ROOT, text=True).strip()
    about = f"benches/compare.py, {time.strftime('%Y-%m-%d', time.gmtime())}, commit {commit}, {processor()}, {compiler()}; "
    about += f"the release binary (not the static one) has {size:.1f} MB."
    text = "\n\n".join([BARS, about, whole_processes(runs, pgk), many_instances(pgk)])
    print(text)
    if file:
        pathlib.Path(file).write_text(f"# Speed\n\n{text}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50, sys.argv[2] if len(sys.argv) > 2 else None)
