#!/usr/bin/env python3
"""Runs the commands of the READMEs under tp8/, in their order, in one shell: measure/readme.py FOLDER...

Each block of shell in a README must have a rule below: it is run as it stands, run with what a reader is told to fill in, or
left out, with the reason. A block without a rule, or a rule without a block, is an error: a README cannot be changed without
this. While the blocks run, the README's own writer runs in a second shell, and no row that it was told of may be missing.

`docker`, `kind` and the like are functions over the commands that break the cluster (see `just cluster`)."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 420  # seconds that a block may take
WHOLE = 420  # seconds until every member is back after it

# What the README calls by the names of kind, by the commands of this cluster.
FUNCTIONS = r"""
on_node() { sh -c "${1//\{node\}/$2}" >/dev/null 2>&1; }
docker() {
  local each
  case "$1 $2" in
    'network disconnect') on_node "$PGK_NODE_CUT" "$4" ;;
    'network connect') on_node "$PGK_NODE_HEAL" "$4" ;;
    'rm -f') on_node "$PGK_NODE_DELETE" "$3" ;;
    'exec kind-control-plane') if [ "$4" = /etc/kubernetes/manifests/kube-apiserver.yaml ]; then sh -c "$PGK_API_OFF"; else sh -c "$PGK_API_ON"; fi ;;
    kill\ *|stop\ *) shift; for each; do on_node "$PGK_NODE_OFF" "$each" & done; wait ;;
    start\ *) shift; for each; do on_node "$PGK_NODE_ON" "$each" & done; wait ;;
    *) echo "docker $* is not known here" >&2; return 1 ;;
  esac
}
kind() { kubectl get nodes -o jsonpath='{.items[*].metadata.name}'; }
# A command of the README's own level that fails is noted: not one in a condition or in a function. (Within ERR, BASH_COMMAND is
# what failed in a function, and DEBUG runs for the command of ERR, too.)
trap 'before=$own own=$BASH_COMMAND' DEBUG
trap 'echo "$before" >>"$FAILED"' ERR
"""

# ------------------------------------------------------------------ the rules


class Rule:
    """`pattern` finds the blocks. `instead` rewrites what a reader is to fill in; `before` and `after` are commands of this
    program; `shows` must be in what the block prints, or what comes after it, in which THE BLOCK is it once more; `fails` is the one command that must fail; `whole` says that every
    member is waited for; `skip` is the reason not to run it."""

    def __init__(self, pattern, *, skip=None, instead=None, before="", after="", shows=(), fails=None, whole=False, then=None):
        self.pattern = re.compile(pattern)
        self.skip, self.instead, self.before, self.after = skip, instead, before, after
        self.shows, self.fails, self.whole, self.then = shows, fails, whole, then


IMAGE = "the nodes have the image"
DRILL = "`just failures` and `just restore` run the drill"
GROWS = "needs a storage class that grows; `just incidents volumes-full` grows the volumes"
NO_WATCH = [(r"(?m)^.*--watch.*\n?", "")]
PASSWORD = Rule(r"^kubectl patch secret", after="sleep 130; sql pg-ro 'SELECT 1'", shows=["(?m)^1$"])
TLS = Rule(r"^sql pg-rw 'SELECT ssl, version FROM pg_stat_ssl", shows=[r"t\|TLSv1"])
CREATE = Rule(r"^kubectl create secret generic pg-credentials")
APPLY = Rule(r"^kubectl apply -f \.\nkubectl rollout", whole=True)


Q1 = [
    CREATE,
    APPLY,
    Rule(r"^sql\(\)"),
    Rule(r"^sql pg-rw 'CREATE TABLE essai", shows=["(?m)^1$", "read-only transaction", "streaming"], fails="sql pg-ro 'INSERT", then="write"),
    TLS,
    Rule(r"^kubectl delete pod --wait=false .*role=replica", instead=NO_WATCH, whole=True),
    # The README has the reader choose a node with a replica and without the primary.
    Rule(
        r"^kubectl get pods [^\n]* -o wide\nkubectl get pods [^\n]*--watch",
        instead=NO_WATCH,
        before="primary=$(kubectl get pod pg-primary-0 -o jsonpath='{.spec.nodeName}'); node=$(kubectl get pods -l role=replica -o "
        "jsonpath='{range .items[*]}{.spec.nodeName}{\"\\n\"}{end}' | grep -vx \"$primary\" | head -n 1); docker stop \"$node\"; sleep 75",
        after="kubectl rollout status deployment/pg-replica --timeout=180s; docker start \"$node\"",
        whole=True,
    ),
    Rule(r"^kubectl logs deploy/pg-replica", shows=["pgk:"]),
    Rule(r"^kubectl delete pod pg-primary-0 --wait=false\nsql", shows=["(?m)^1$"], whole=True),
    Rule(r"^kubectl scale deployment", after="sleep 20", whole=True),
    Rule(r"^# un pod de réplica supprimé, tué", skip=DRILL),
    Rule(r"^# la VM d'un réplica est éteinte", skip=DRILL),
    Rule(
        r"^kubectl logs pg-primary-0 \| tail",
        before="stop_writer; kubectl delete pvc data-pg-primary-0 --wait=false; kubectl delete pod pg-primary-0; "
        "until kubectl logs pg-primary-0 2>/dev/null | grep -q 'WAITING FOR A HUMAN'; do sleep 2; done",
        shows=["WAITING FOR A HUMAN: this volume is empty"],
    ),
    # (Only where the pod is Pending.)
    Rule(r"^kubectl delete pvc data-pg-primary-0 --wait", skip="for a pod that is Pending as its VM is gone; the same two commands began this"),
    Rule(r"^received=", shows=[r"(?m)^\d+ \d+\.\d+\.\d+\.\d+$"], then="address"),
    Rule(r"restore-from-replica\.sh ADRESSE", instead=[("ADRESSE", "$address")], whole=True, then="rows"),
    Rule(r"^kubectl exec pg-primary-0 -- touch /pgdata/data\.start-empty", skip="`just long q1_changed_drained_and_begun_anew` makes an empty database"),
    Rule(r"^kubectl patch pvc", skip=GROWS),
    PASSWORD,
    Rule(r"^kubectl delete -f \."),
]
Q2 = [
    Rule(r"docker build|kind load|docker save|minikube image", skip=IMAGE),
    CREATE,
    Rule(APPLY.pattern.pattern, whole=True, shows=["Leader", "Sync Standby"]),
    Rule(r"^client\(\)"),
    Rule(r"^sql pg-rw 'CREATE TABLE IF NOT EXISTS essai[^\n]*\nwhile sleep", then="write"),
    Rule(r"^sql pg-rw 'SELECT max\(pas\)", shows=[r"\d\d:\d\d:\d\d"]),
    Rule(r"^kubectl exec \"\$\(client\)\" .*switchover --force", shows=["Successfully switched over"], whole=True),
    Rule(r"^kubectl delete pod \"\$\(primary\)\"", whole=True),
    Rule(r"kill -9", whole=True),
    Rule(r"kubectl drain", whole=True),
    Rule(r"docker kill \"\$noeud\"", whole=True),
    Rule(r"docker network disconnect", whole=True),
    Rule(r"^membre=\$\(primary\)", after="sleep 20", whole=True),
    Rule(r"docker rm -f \"\$noeud\"", after="sleep 150", whole=True),
    Rule(
        r"^kubectl get pods .*-L role -o wide\nmembre=pg-2",
        # The VM is replaced; the member is the one that shares a node, and is not the primary.
        before="docker start \"$noeud\"; until kubectl get node \"$noeud\" | grep -q ' Ready'; do sleep 2; done; shared=$(kubectl get pods -l cluster-name=pg-rw -o "
        "jsonpath='{range .items[*]}{.spec.nodeName}{\"\\n\"}{end}' | sort | uniq -d); member=$(kubectl get pods -l cluster-name=pg-rw -o "
        "jsonpath='{range .items[*]}{.spec.nodeName} {.metadata.name}{\"\\n\"}{end}' | sed -n \"s/^$shared //p\" | grep -vx \"$(primary)\" | head -n 1)",
        instead=[("membre=pg-2", "membre=$member")],
        after="sleep 20",
        whole=True,
    ),
    Rule(r"docker kill \$\(kind get nodes\)", whole=True),
    Rule(r"kube-apiserver\.yaml", then="fresh", shows=[r"(?m)^\d+\|\d\d:\d\d:\d\d"], whole=True),
    Rule(r"^eteindre=|^pgk drill", skip=DRILL),
    TLS,
    Rule(r"^kubectl get pods .*custom-columns", shows=["pg-0"]),
    Rule(r"touch /pgdata/start-empty", skip="`changes::a_cluster_that_is_changed` makes an empty database"),
    Rule(r"--cascade=foreground\nkubectl apply", whole=True),
    Rule(r"^for n in \$\(seq .*\n *kubectl patch pvc", skip=GROWS),
    PASSWORD,
    Rule(r"patronictl pause --wait", shows=["paused", "resumed"]),
    Rule(r"^kubectl delete -f \."),
]
RESTORE = [
    CREATE,
    APPLY,
    Rule(r"^sql\(\)"),
    Rule(r"^sql pg-rw 'CREATE TABLE essai", shows=["(?m)^1$", "streaming", "(?m)^ready "], then="write"),
    TLS,
    Rule(r"^old=\$\(primary\)", shows=["(?m)^2$"], whole=True),
    Rule(r"^kubectl delete pod \"\$\(primary\)\" --force", before="sleep 20", shows=["(?m)^2$"], whole=True),
    Rule(r"^kubectl exec \"\$\(primary\)\" -- bash -c 'kill -9", whole=True),
    Rule(r"rm \"\$PGDATA/global/pg_control\"", after="sleep 20", shows=["data.damaged"], whole=True),
    Rule(
        r"docker kill \"\$node\"",
        instead=[(r"kubectl get pods [^\n]*--watch[^\n]*", "sleep 90; kubectl rollout status deployment/pg-primary --timeout=240s")],
        whole=True,
    ),
    Rule(r"^kubectl delete pod pg-store-0\n", shows=["(?m)^ready "], whole=True),
    Rule(r"^kubectl delete pvc backup-pg-store-0 --wait=false; kubectl delete pod pg-store-0 --force", after="sleep 20", whole=True),
    Rule(r"^off=|^pgk drill", skip=DRILL),
    Rule(
        r"^received=",
        before="stop_writer; kubectl delete pvc --wait=false backup-pg-store-0; kubectl delete pod --force --grace-period=0 pg-store-0 \"$(primary)\"; "
        "until kubectl logs deploy/pg-primary 2>/dev/null | grep -q 'WAITING FOR A HUMAN'; do sleep 2; done",
        shows=[r"(?m)^\d+ \d+\.\d+\.\d+\.\d+$"],
        then="address",
    ),
    Rule(r"restore-from-replica\.sh ADRESSE", instead=[("ADRESSE", "$address")], after="sleep 10", whole=True, then="rows"),
    Rule(r"touch /pgdata/data\.start-empty", skip="`just long restore_damaged_and_begun_anew` makes an empty database"),
    PASSWORD,
    Rule(r"^kubectl delete -f \."),
]
Q3 = [
    Rule(r"docker build", skip=IMAGE),
    Rule(r"^pgk secret q3 -f \.\./pgk\.yaml \| kubectl create -f -$", skip="the next block does the same without pgk"),
    CREATE,
    Rule(APPLY.pattern.pattern, after="until kubectl exec pg-0 -c postgres -- pgbackrest info | grep -q 'status: ok'; do sleep 3; done", whole=True, shows=["Leader"]),
    # The table that the checks after a disaster count.
    Rule(r"^client\(\)", after="sql pg-rw 'CREATE TABLE essai (t timestamptz); INSERT INTO essai VALUES (now())'"),
    Rule(r"^kubectl get cronjobs,jobs", shows=["pg-restore-test", '"status":"True"']),
    Rule(r"^kubectl get pods -o wide -l cluster-name=pg-rw\nmembre=pg-0", whole=True),
    Rule(
        r"^pgk secret q3 [^\n]*# s'ils ont disparu",
        before="vider; kubectl delete -f . >/dev/null; kubectl delete secret pg-credentials pg-backrest-tls; "
        "kubectl delete pvc data-pg-0 data-pg-1 data-pg-2; kubectl delete configmap pg-rw-leader pg-rw-config pg-rw-sync pg-rw-failover --ignore-not-found",
        # Until Ctrl-C
        instead=[(r"\njournal\b", "\nattendre")],
        shows=["restored up to"],
        whole=True,
    ),
    Rule(r"^volume=", skip="for a namespace that is deleted; `just measure-q3 objects-gone` does it"),
    Rule(r"^kubectl exec pg-0 [^\n]*patronictl list [^\n]*\nsql pg-rw", shows=["Leader", r"(?m)^1\|", "restore test: passed"]),
    Rule(r"touch /pgdata/start-empty", skip="for what a human decides; unit tests and `changes::` try each of the files"),
    Rule(
        r"^kubectl create job passe",
        before="sql pg-rw 'CREATE TABLE IF NOT EXISTS essai (t timestamptz); INSERT INTO essai VALUES (now())'; lancer pg-backup-diff; "
        "at=$(admin 'SELECT now()'); sleep 2; sql pg-rw 'INSERT INTO essai VALUES (now())'; vider",
        instead=[("2026-11-24 10:00:00\\+01", "'\"$at\"'")],
        after="grep -c '^20' essai.sql",
        whole=True,
    ),
    Rule(
        r"^vider  ",
        before="at=$(admin 'SELECT now()'); sleep 2; sql pg-rw 'INSERT INTO essai VALUES (now())'; "
        "newest() { kubectl exec pg-0 -c postgres -- pgbackrest info | grep -o '[0-9-]*F$' | tail -n 1; }; full=$(newest)",
        instead=[("'2026-11-24 10:00:00\\+01'", '"$at"')],
        after="until [ \"$(newest)\" != \"$full\" ]; do sleep 3; done; "
        "pgk gen q3 -f ../pgk.yaml -o . && kubectl apply -f .",
        shows=["restored up to"],
        whole=True,
    ),
    Rule(r"^kubectl create namespace copie", skip="a second cluster of the same size has no room in this one"),
    Rule(r"^sql pg-rw 'CREATE TABLE IF NOT EXISTS essai[^\n]*\nwhile sleep", then="write"),
    TLS,
    Rule(r"^# 3a", before="stop_writer; vider", shows=["restored up to"], whole=True, then="rows"),
    Rule(r"^# 5", before="lancer pg-backup-diff", shows=["restored up to"], whole=True),
    Rule(
        r"^# 8",
        after="lancer pg-restore-test\nTHE BLOCK\nlancer pg-restore-test",
        before="until lancer pg-restore-test | grep passed; do sleep 10; done",
        shows=["restore test: FAILED", "(?s)FAILED.*restore test: passed"],
    ),
    Rule(r"^eteindre=|^pgk drill", skip=DRILL),
    PASSWORD,
    Rule(r"^pgk secret q3 --only tls [^\n]*replace", shows=["certificates have changed"], whole=True),
    Rule(r"^pgk secret q3 --only tls [^\n]*create -f -\nkubectl delete statefulset pg --cascade=orphan", skip="from Q2 to Q3: this is Q3 already"),
    Rule(r"^kubectl patch pvc|^for n in \$\(seq", skip=GROWS),
    Rule(r"^kubectl delete -f \."),
    Rule(r"^kubectl delete pvc repo-pg-repo-0 "),
]
READMES = {"tp8/Q1": ("q1", Q1), "tp8/Q2": ("q2", Q2), "tp8/Q2/restore": ("q2-restore", RESTORE), "tp8/Q3": ("q3", Q3)}

# ------------------------------------------------------------------ the shell


class Shell:
    """A bash that is given one block after another, as a reader pastes them."""

    def __init__(self, folder, environment, failed):
        self.failed = failed
        self.output, self.arrived = [], threading.Condition()
        environment = {**environment, "FAILED": str(self.failed)}
        self.bash = subprocess.Popen(
            ["bash"], cwd=folder, env=environment, text=True, bufsize=1, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )
        threading.Thread(target=self.read, daemon=True).start()
        self.run(FUNCTIONS)

    def read(self):
        for line in self.bash.stdout:
            with self.arrived:
                self.output.append(line)
                self.arrived.notify()

    def run(self, text, limit=LIMIT):
        """What it prints, and the commands that failed."""
        self.failed.write_text("")
        mark = f"end-of-block-{time.monotonic_ns()}"
        with self.arrived:
            self.output.clear()
        self.bash.stdin.write(f"{text}\necho; echo {mark}\n")
        end = time.monotonic() + limit
        with self.arrived:
            while not any(mark in line for line in self.output[-3:]):
                left = end - time.monotonic()
                if left <= 0 or self.bash.poll() is not None:
                    raise Failure(f"it did not end in {limit} s", "".join(self.output))
                self.arrived.wait(min(left, 1))
            said = "".join(line for line in self.output if mark not in line)
        return said, self.failed.read_text().splitlines()

    def close(self):
        try:
            os.killpg(self.bash.pid, 9)
        except ProcessLookupError:
            pass


class Failure(Exception):
    pass


# ------------------------------------------------------------------ a README


def blocks(readme):
    """Its blocks of shell, without their indentation."""
    for indent, text in re.findall(r"^([ ]*)```sh\n(.*?)^\1```", readme.read_text(), re.M | re.S):
        yield re.sub(rf"(?m)^{indent}", "", text).rstrip("\n")


def planned(readme, rules):
    """The blocks with their rules; an error if one has none, or a rule has no block."""
    plan = []
    for block in blocks(readme):
        rule = next((rule for rule in rules if rule.pattern.search(block)), None)
        if rule is None:
            raise Failure(f"{readme}: no rule for this block", block)
        plan.append((block, rule))
    for rule in rules:
        if all(rule is not used for _, used in plan):
            raise Failure(f"{readme}: no block for {rule.pattern.pattern}", "")
    return plan


class Readme:
    """One README, run in a namespace of its own."""

    def __init__(self, folder, work):
        self.folder, self.work = folder, work
        self.key, rules = READMES[folder]
        self.plan = planned(ROOT / folder / "README.md", rules)
        self.namespace = f"pgk-readme-{self.key}-{os.getpid()}"
        self.ran = self.skipped = 0
        self.loop = self.writer = None
        self.acknowledged = self.kept = 0

    def kubectl(self, *arguments):
        return subprocess.run(["kubectl", *arguments], env=self.environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def begin(self):
        """The folder as a reader has it, with pgk.yaml beside it, and kubectl in a namespace."""
        self.copy = self.work / "tp8" / "folder"
        shutil.copytree(ROOT / self.folder, self.copy)
        (self.work / "tp8" / "pgk.yaml").write_text("name: pg\n")
        programs = self.work / "bin"
        programs.mkdir()
        (programs / "pgk").symlink_to(pathlib.Path(os.environ.get("PGK", ROOT / "target/debug/pgk")).resolve())
        config = self.work / "kubeconfig"
        shutil.copy(os.environ["KUBECONFIG"], config)
        self.environment = {**os.environ, "KUBECONFIG": str(config), "PATH": f"{programs}:{os.environ['PATH']}"}
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("config", "set-context", "--current", f"--namespace={self.namespace}")
        self.shell = Shell(self.copy, self.environment, self.work / "failed")
        self.log = self.work / "writer"
        # What the second terminal writes is kept, until `stop_writer`.
        self.shell.run(f'stop_writer() {{ touch "{self.work}/enough"; sleep 5; }}')

    def end(self):
        self.shell.close()
        if self.writer:
            self.writer.close()
        self.kubectl("delete", "pods,persistentvolumeclaims", "--all", "--grace-period=1", "--wait=false")
        self.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def is_whole(self):
        """Every pod that shall run is ready, and the members stream."""
        pods = json.loads(self.kubectl("get", "pods", "--output=json") or '{"items": []}')["items"]
        pods = [pod for pod in pods if not any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))]
        ready = [any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", [])) for pod in pods]
        wanted = {"q1": 3, "q2": 3, "q2-restore": 4, "q3": 4}[self.key]
        if not all(ready) or len(pods) != wanted:
            return False
        primary = self.kubectl("get", "pods", "--selector=role=primary", "--output=jsonpath={.items[*].metadata.name}").split()
        if len(primary) != 1:
            return False
        query = "SELECT count(*) FILTER (WHERE application_name LIKE 'pg-%'), bool_or(sync_state = 'sync') FROM pg_stat_replication WHERE state = 'streaming'"
        said = self.kubectl("exec", primary[0], "--container=postgres", "--", "psql", "-qAtXc", query).strip()
        return re.fullmatch("2\\|f|2\\|t" if self.key == "q1" else "[23]\\|t", said) is not None

    def wait_until_whole(self):
        end = time.monotonic() + WHOLE
        while not self.is_whole():
            if time.monotonic() > end:
                raise Failure("not every member came back", self.kubectl("get", "pods,pvc", "--output=wide"))
            time.sleep(2)

    def start_writer(self, loop):
        """The second terminal: rows with their numbers, and what was acknowledged."""
        if loop is None:
            # The README's table has no times: one row more, each half a second, with its number.
            loop = "for ((n = 100; ; n++)); do sleep 0.5; sql pg-rw \"INSERT INTO essai VALUES ($n) RETURNING n\"; done"
        functions = "\n".join(block for block, _ in self.plan if re.match(r"(sql|client)\(\)", block))
        self.writer = Shell(self.copy, self.environment, self.work / "failed-writer")
        self.writer.run(functions)
        loop = loop.replace("while sleep 0.5", f'while sleep 0.5 && [ ! -e "{self.work}/enough" ]').replace(
            "for ((n = 100; ;", f'for ((n = 100; ! $([ -e "{self.work}/enough" ] && echo 1 || echo 0);'
        )
        self.writer.bash.stdin.write(f'{{ {loop}\n}} >"{self.log}" 2>/dev/null &\n')

    def rows(self):
        """No row that was acknowledged is missing."""
        self.acknowledged = len(re.findall(r"^\d", self.log.read_text(), re.M)) if self.log.exists() else 0
        said, _ = self.shell.run("sql pg-rw 'SELECT count(*) FROM essai'")
        self.kept = int(re.search(r"(?m)^(\d+)$", said)[1])
        if not 0 < self.acknowledged <= self.kept:
            raise Failure(f"{self.acknowledged} rows were acknowledged, {self.kept} are there", said)

    def block(self, text, rule):
        for old, new in rule.instead or ():
            if not re.search(old, text):
                raise Failure(f"the block has no {old}", text)
            text = re.sub(old, lambda _, new=new: new, text)
        if rule.then == "write" and "while sleep" in text:
            text, loop = text.split("\nwhile sleep", 1)
            self.loop = "while sleep" + loop
        if rule.then == "fresh":
            self.shell.run("stop_writer")
            self.rows()
        said, failed = self.shell.run(rule.before)
        if failed:
            raise Failure(f"before it: {failed[0]}", said)
        said, failed = self.shell.run(text)
        if rule.after:
            more, others = self.shell.run(rule.after.replace("THE BLOCK", text))
            said, failed = said + more, failed + others
        if rule.fails:
            if not any(command.startswith(rule.fails) for command in failed):
                raise Failure(f"it should have failed: {rule.fails}", said)
            failed = [command for command in failed if not command.startswith(rule.fails)]
        if failed:
            raise Failure(f"this failed: {failed[0]}", said)
        for pattern in rule.shows:
            if not re.search(pattern, said):
                raise Failure(f"it does not show {pattern}", said)
        if rule.then == "address":
            self.shell.run(f"address={re.findall(r'(?m)^[0-9]+ ([0-9.]+)$', said)[-1]}")
        if rule.whole:
            self.wait_until_whole()
        if rule.then == "rows":
            self.rows()
        if rule.then == "write":
            self.start_writer(self.loop)
            time.sleep(5)

    def run(self):
        for number, (text, rule) in enumerate(self.plan, 1):
            first = text.splitlines()[0][:90]
            if rule.skip:
                self.skipped += 1
                print(f"# {self.key} {number}: {first}: left out: {rule.skip}", flush=True)
                continue
            began = time.monotonic()
            try:
                self.block(text, rule)
            except Failure as failure:
                raise Failure(f"block {number} ({first}): {failure.args[0]}", failure.args[1]) from failure
            self.ran += 1
            print(f"# {self.key} {number}: {first}: {time.monotonic() - began:.0f} s", flush=True)


def main(folders):
    failures = 0
    for folder in folders or READMES:
        with tempfile.TemporaryDirectory() as work:
            readme, failure = Readme(folder, pathlib.Path(work)), None
            readme.begin()
            try:
                readme.run()
            except Failure as reason:
                failure = reason
            finally:
                readme.end()
        figure = {
            "key": f"readme {readme.key}",
            "blocks": readme.ran,
            "left_out": readme.skipped,
            "acknowledged": readme.acknowledged,
            "lost": max(readme.acknowledged - readme.kept, 0),
            "passed": failure is None,
        }
        if failure:
            failures += 1
            figure["reasons"] = [failure.args[0]]
            print(f"FAILED: {failure.args[0]}\n{failure.args[1]}", flush=True)
        print("figure " + json.dumps(figure, ensure_ascii=False), flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        for name, (_, rules) in READMES.items():
            planned(ROOT / name / "README.md", rules)
    else:
        sys.exit(main(sys.argv[1:]))
