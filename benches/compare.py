#!/usr/bin/env python3
"""How long pgk takes to render Q3, against helm and kustomize rendering the same documents: whole processes, one after the
other in turn, wall time and the most memory. Run as: benches/compare.py [RUNS], with Go, kubectl, Rust, GNU time and PyYAML
installed; what it needs besides is installed into target/peers."""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = ROOT / "target/peers"
MODULES = {"helm": "helm.sh/helm/v4/cmd/helm@v4.3.1", "kustomize": "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"}


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


def main(runs):
    install()
    pgk, folder = str(ROOT / "target/release/pgk"), ROOT / "tp8/Q3"
    helm = [str(PEERS / "helm"), "template", "pg", str(chart(folder))]
    commands = {
        "an empty Rust program": [str(PEERS / "empty")],
        "pgk gen q3": [pgk, "gen", "q3"],
        "helm template": helm,
        "kustomize build": [str(PEERS / "kustomize"), "build", str(folder)],
        "kubectl kustomize": ["kubectl", "kustomize", str(folder)],
    }
    wanted = documents(run(pgk, "gen", "q3"))
    for name, command in list(commands.items())[2:]:
        if documents(run(*command)) != wanted:
            sys.exit(f"{name} renders other documents than pgk")
    measured = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            measured[name].append(seconds(command))
    print(f"{len(wanted)} documents, {runs} runs each, in turn; {os.cpu_count()} cores")
    ours = statistics.median(measured["pgk gen q3"])
    for name, times in measured.items():
        median, most = statistics.median(times), memory(commands[name])
        print(f"{name:22} median {1000 * median:6.1f} ms, fastest {1000 * min(times):6.1f} ms, {most:6.1f} MiB; {median / ours:5.1f} times pgk")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
