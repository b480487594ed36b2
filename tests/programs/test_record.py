"""measure/record.py: each run is a file of its own, whole, and names no path of the machine."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "measure"))
import drill_figures

RECORD = pathlib.Path(__file__).resolve().parent.parent.parent / "measure/record.py"


class Record(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.runs = pathlib.Path(folder.name) / "runs"
        self.runs.mkdir()
        kubectl = pathlib.Path(folder.name) / "kubectl"
        kubectl.write_text("""#!/bin/sh
            case $1 in version) echo '{"serverVersion": {"gitVersion": "v1.36.1"}}' ;; get) echo node/n1; echo node/n2 ;; esac""")
        kubectl.chmod(0o755)
        self.environment = {**os.environ, "PGK_RUNS": str(self.runs), "PATH": f"{folder.name}:{os.environ['PATH']}"}

    def start(self, script, **environment):
        return subprocess.Popen(
            [sys.executable, RECORD, "try", "bash", "-c", script],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def record(self, script, **environment):
        """The exit status, what was shown, and the lines of the file that it wrote."""
        before = set(self.runs.iterdir())
        process = self.start(script, **environment)
        shown, _ = process.communicate()
        [path] = set(self.runs.iterdir()) - before
        return process.returncode, shown, path, self.lines(path)

    def lines(self, path):
        return [json.loads(line) for line in path.read_text().splitlines()]

    def test_a_run_that_passes(self):
        script = "echo '# 2 clients'; echo chatter; echo 'figure {\"key\": \"q2 x primary\", \"write_ms\": 12}'"
        status, shown, path, [first, remark, figure, end] = self.record(script, PGK_LAB="up 3 8G")
        self.assertEqual(status, 0)
        self.assertIn("chatter", shown)
        self.assertEqual((first["run"], first["lab"], len(first["commit"])), ("try", "up 3 8G", 40))
        self.assertEqual((first["kubernetes"], first["nodes"]), ("v1.36.1", 2))
        self.assertIsInstance(first["dirty"], bool)
        self.assertLessEqual({"cpu", "cores", "memory_gb"}, set(first["machine"]))
        self.assertEqual(path.name, f"{first['date'][:10]}-try.jsonl")
        self.assertEqual(remark, {"said": "# 2 clients"})
        self.assertGreaterEqual(figure.pop("at"), 0)
        self.assertEqual(figure, {"key": "q2 x primary", "write_ms": 12})
        self.assertEqual(end["end"], 0)

    def test_a_run_that_fails_is_kept_with_its_last_words(self):
        script = "seq 100; echo 'FAILED: nothing was written'; exit 3"
        status, _, _, [_, said, tail, end] = self.record(script)
        self.assertEqual((status, end["end"]), (3, 3))
        self.assertEqual(said, {"said": "FAILED: nothing was written"})
        self.assertEqual((len(tail["tail"]), tail["tail"][0], tail["tail"][-1]), (80, "22", said["said"]))

    def test_what_tests_print(self):
        script = """echo "test it_lasts ... figure {\\"key\\": \\"a\\"}"
            echo "thread 'it_lasts' (7) panicked at tests/x.rs:1:2:" >&2; echo '3 of 4' >&2; echo no >&2"""
        _, _, _, [_, figure, where, why, _] = self.record(script)
        self.assertEqual(figure["key"], "a")
        self.assertIn("panicked", where["said"])
        self.assertEqual(why, {"said": "3 of 4"})

    def test_nothing_is_replaced(self):
        first = self.record("echo 'figure {\"key\": \"a\"}'")[2]
        before = first.read_text()
        second = self.record("exit 1")[2]
        third = self.record("true")[2]
        self.assertEqual([second.name, third.name], [first.stem + "-2.jsonl", first.stem + "-3.jsonl"])
        self.assertEqual(first.read_text(), before)

    def test_an_interrupted_run_is_kept_and_may_clean_up(self):
        process = self.start("trap 'echo FAILED: cut short; exit 130' INT; echo begun; while :; do sleep 0.1; done")
        self.assertEqual(process.stdout.readline(), "begun\n")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        [path] = self.runs.iterdir()
        [_, said, _, end] = self.lines(path)
        self.assertEqual((said["said"], end["end"], process.returncode), ("FAILED: cut short", 130, 130))

    def test_no_path_of_the_machine_is_kept(self):
        script = 'echo "# $HOME/a and $PWD/b and /somewhere/tools/c"; echo "# /somewhere/else"; echo "# /pgdata/d"'
        tools = {"HOME": "/somewhere/home", "PGK_NODE_OFF": "/somewhere/tools/lab kill {node}"}
        process = subprocess.run(
            [sys.executable, RECORD, "try", "bash", "-c", script],
            env={**self.environment, **tools}, cwd=RECORD.parent.parent, stdout=subprocess.DEVNULL,
        )
        self.assertEqual(process.returncode, 0)
        [path] = self.runs.iterdir()
        said = [line["said"] for line in self.lines(path) if "said" in line]
        self.assertEqual(said[0], "# a and b and c")
        self.assertIn("left out", said[1])
        self.assertEqual(said[2], "# /pgdata/d")

    def test_a_figure_that_cannot_be_kept_fails_the_run(self):
        lost = ["figure {\"key\": \"a\", \"reasons\": [\"/somewhere/else\"]}", "figure {\"ms\": 1}", "figure not JSON", "figure [1]"]
        for line in lost:
            status, _, _, lines = self.record(f"echo '{line}'", HOME="/somewhere/home")
            self.assertEqual((status, lines[-1]["end"]), (1, 1), line)
            self.assertIn("error:", lines[1]["said"])


HOOKS = ["NODE_OFF", "NODE_ON", "NODE_DELETE", "NODE_CUT", "NODE_CUT_PEERS", "NODE_CUT_API", "NODE_HEAL", "CONTAINER_KILL"]


class Common(unittest.TestCase):
    """measure/common.sh, with programs in the place of cargo, kubectl and pgk."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.program("cargo", "")
        self.program("kubectl", "")

    def program(self, name, script):
        path = self.folder / name
        path.write_text("#!/bin/bash\n" + script)
        path.chmod(0o755)
        return path

    def run_script(self, script):
        """The exit status and the figures of a measurement that does this."""
        process = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f". measure/common.sh\n{script}"], cwd=RECORD.parent.parent,
            env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}, stdout=subprocess.PIPE, text=True,
        )
        figures = [line.split(" ", 1)[1] for line in process.stdout.splitlines() if line.startswith("figure ")]
        return process.returncode, [json.loads(figure) for figure in figures]

    def test_a_figure(self):
        status, figures = self.run_script("measuring='q3 x'; figure ms=12 share=0.5 zero=0 code=007 'said=it \"says\" C:\\x'")
        self.assertEqual(status, 0)
        said = 'it "says" C:\\x'
        self.assertEqual(figures, [{"key": "q3 x", "ms": 12, "share": 0.5, "zero": 0, "code": "007", "said": said, "passed": True}])

    def test_what_fails_has_a_figure_that_says_why(self):
        failed = {"key": "q3 x", "passed": False, "reasons": ["no \"primary\""]}
        self.assertEqual(self.run_script("measuring='q3 x'; fail 'no \"primary\"'"), (1, [failed]))
        failed["reasons"] = ["it ended with status 3"]
        self.assertEqual(self.run_script("measuring='q3 x'; (exit 3)"), (3, [failed]))
        self.assertEqual(self.run_script("measuring=a; figure; false"), (1, [{"key": "a", "passed": True}]))

    def lost(self, kept, acknowledged):
        (self.folder / "kept").write_text(kept)
        (self.folder / "acknowledged").write_text(acknowledged)
        return self.run_script(
            f"measuring=x; cp {self.folder}/acknowledged $work; sql() {{ cat {self.folder}/kept; }}; none_lost; figure lost=$lost"
        )

    def test_what_is_lost(self):
        self.assertEqual(self.lost("1\n2\n3\n", "10.0 1\n10.5 2\n")[1][0]["lost"], 0)
        status, [figure] = self.lost("1\n", "10.0 1\n10.5 2\n12.0 3\n")
        self.assertEqual((status, figure["reasons"]), (1, ["2 of 3 acknowledged rows lost, those of 1500 ms"]))
        status, [figure] = self.lost("", "10.0 1\n")
        self.assertEqual((status, figure["reasons"]), (1, ["1 of 1 acknowledged rows lost, those of 0 ms"]))
        status, [figure] = self.lost("1\n", "")
        self.assertEqual((status, figure["reasons"]), (1, ["nothing was written"]))

    def test_a_drill_that_fails_has_figures_and_fails_the_measurement(self):
        report = RECORD.parent.parent / "docs/proof/drill-postgres-kill/report.json"
        pgk = self.program("pgk", f'while [ "$1" != --report ]; do shift; done; mkdir "$2"; cp {report} "$2"; exit $FAILS')
        commands = "".join(f"export PGK_{name}=x; " for name in HOOKS)
        for fails in (0, 1):
            status, [figure] = self.run_script(f"pgk={pgk}; export FAILS={fails}; {commands} drill q1 postgres-kill")
            self.assertEqual(status, fails)
            self.assertEqual((figure["key"], figure["write_ms"], figure["read_ms"]), ("q1 postgres-kill primary", 4670, 670))

    def test_an_outage_without_an_end(self):
        report = json.loads((RECORD.parent.parent / "docs/proof/drill-postgres-kill/report.json").read_text())
        [run] = report["events"][0]["runs"]
        run["write_outage"]["worst"]["not_back"] = True
        run["read_outage_replica"]["worst"] = None
        run["verdict"] = {"passed": False, "reasons": [{"kind": "not-back", "text": "never"}]}
        figure = drill_figures.figure("q1", run)
        self.assertEqual((figure["write_ms"], figure["read_rw_ms"], figure["reasons"]), (None, 4520, ["never"]))
        self.assertNotIn("read_ms", figure)


if __name__ == "__main__":
    unittest.main()
