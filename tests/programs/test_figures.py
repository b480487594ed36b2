"""measure/figures.py: what it makes of raw files."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "measure"))
import figures


def drill(key, write_ms, read_ms, **more):
    whole = {"acknowledged": 1000, "lost": 0, "two_primaries": 0, "full_strength_ms": 9000, "passed": True, "reasons": []}
    return {"key": key, "write_ms": write_ms, "read_ms": read_ms, **whole, **more}


NEVER_BACK = {"full_strength_ms": None, "lost": 2, "passed": False, "reasons": ["2 lost | gone"]}
FIGURES = [
    {"key": "versions", "postgres": "17.12"},
    drill("q2 pod-delete primary", 1500, 300),
    drill("q2 pod-delete primary", None, 250, **NEVER_BACK),
    drill("q2 pod-delete primary", 1730, 12345),
    drill("q2 node-off primary", 6800, 400),
    drill("q2 node-off primary", 7000, 500, isolated={"for_ms": 20000, "last_write_ms": 400, "last_read_ms": 16800, "replaced_ms": 6400}),
    drill("q2-restore node-off primary", 61000, 400),
    {"key": "q3 lost-s3", "primary_ms": 22000, "acknowledged": 100, "lost": 0, "said": "text", "passed": True, "at": 1},
    {"key": "q3 lost-s3", "primary_ms": 55000, "acknowledged": 1000, "lost": 7, "said": "text", "passed": True, "at": 2},
    *({"key": "pgbench q2 synchronous at-rest", "cpu_percent": percent, "seconds": 60, "passed": True} for percent in (2.3, 2.48)),
    *({"key": f"sizing {sizing} read-only", "tps": tps, "passed": True} for sizing, tps in (("none", 1000), ("auto", 1300), ("none", 900), ("auto", 1200))),
    {"key": "sizing auto read-only", "tps": 1, "passed": False, "reasons": ["killed"]},
    {"key": "sizing none read-write", "tps": 500, "passed": True},
    {"key": "q3 one-volume sync", "passed": False, "reasons": ["pg-2 leads"]},
]


class Figures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("2026-11-27-a.jsonl", "2026-11-27T10:00:00Z", FIGURES[:5], end=1)
        self.write("2026-11-28-b.jsonl", "2026-11-28T10:00:00Z", FIGURES[5:])

    def write(self, name, date, lines, end=0):
        first = {"run": "a", "command": "sh x", "date": date, "commit": "0123456789abcdef", "dirty": True, "kubernetes": "v1.36.1"}
        (self.folder / name).write_text("".join(json.dumps(line) + "\n" for line in [first, *lines, {"end": end, "seconds": 1}]))

    def block(self, what):
        runs = figures.load(self.folder)
        return figures.block(what, runs, figures.by_key(runs))

    def test_medians_count_runs_that_failed(self):
        before = {"q2 node-off primary": {"runs": 9, "write_ms": 1}, "q1 x": {"runs": 3, "read_ms": 2}}
        table = json.loads(figures.medians(figures.by_key(figures.load(self.folder)), before))
        # Of 1.5 s, 1.73 s and one without an end.
        self.assertEqual(table["q2 pod-delete primary"], {"runs": 3, "write_ms": 1730, "read_ms": 300, "worst_read_ms": 12345})
        self.assertEqual(table["q2 node-off primary"], {"runs": 2, "write_ms": 6900, "read_ms": 450, "worst_read_ms": 500})
        self.assertEqual(table["q1 x"], {"runs": 0, "read_ms": 2})
        self.assertEqual(list(table), ["q1 x", "q2 node-off primary", "q2 pod-delete primary", "q2-restore node-off primary"])

    def test_outages(self):
        lines = self.block("outages q2 full").splitlines()
        self.assertEqual(lines[2:4], [
            "| pod deleted (drain, rollout) (`pod-delete`) | 1.7 | no end | 0.3 | 12 | 9.0 | – | 3, 1 of them failed |",
            "| node powered off (`node-off`) | 6.9 | 7.0 | 0.5 | 0.5 | 9.0 | 17 | 2 |",
        ])
        self.assertEqual(lines[5:], [
            "Commits acknowledged: 5,000; lost: 2; acknowledged by two primaries at once: 0. Runs: 5, 1 of them failed; 2026-11-27 to 2026-11-28."
        ])

    def test_outages_of_some_events(self):
        whole, some = self.block("outages q2").splitlines(), self.block("outages q2 events=node-off").splitlines()
        self.assertEqual(some, [*whole[:2], whole[3], *whole[4:]])
        with self.assertRaises(figures.Wrong):
            self.block("outages q2 events=node-of")

    def test_in_french(self):
        lines = self.block("outages q2 lang=fr").splitlines()
        self.assertIn("| nœud éteint (`node-off`) | 6,9 | 7,0 | 0,5 | 0,5 | 2 |", lines)
        self.assertIn("5 000", lines[-1])

    def test_two_variants(self):
        lines = self.block("outages q2 q2-restore").splitlines()
        self.assertEqual(lines[3], "| node powered off (`node-off`) | 6.9 | 61 |")
        self.assertEqual(lines[2].split(" | ")[-1], "– |")

    def test_rows(self):
        lines = self.block("rows q3").splitlines()
        self.assertEqual(lines[2].split(" | ")[1:], ["a primary after 22 – 55 s; 100 – 1,000 acknowledged; 0 – 7 acknowledged commits lost", "2 |"])
        self.assertEqual(lines[3].split(" | ")[1:], ["FAILED: pg-2 leads", "1, 1 of them failed |"])

    def test_a_number_with_decimals_keeps_two(self):
        self.assertIn("| 2.30 – 2.48 in all pods; 60 seconds | 2 |", self.block("rows pgbench"))

    def test_without_and_with_the_sizing(self):
        lines = self.block("sizing").splitlines()
        # Of reads and writes, there is nothing to compare.
        self.assertEqual(lines[2:], ["| reads (`pgbench -S`) | 950 (900 – 1,000) | 1,250 (1,200 – 1,300) | +32 % | 2 and 2 |", "", "Runs: 4; 2026-11-28."])

    def test_without_runs(self):
        self.assertEqual(self.block("outages q1"), "No run is recorded yet: `just measure`.")
        self.assertEqual(self.block("outages q3"), "No run is recorded yet: `just failures q3`.")
        self.assertEqual(self.block("rows backup lang=fr"), "Aucune mesure n'est encore enregistrée : `just backup`.")

    def test_the_runs(self):
        [_, _, first, second] = self.block("runs").splitlines()
        self.assertIn("| 0123456789, dirty | – | kubernetes 1.36.1, postgres 17.12 | 4 | 1 | FAILED, exit status 1 |", first)
        self.assertIn("| passed |", second)

    def test_a_file_that_was_cut_is_refused(self):
        (self.folder / "2026-11-29-c.jsonl").write_text('{"run": "c", "date": "2026-11-29"}\n')
        with self.assertRaisesRegex(figures.Wrong, "2026-11-29-c.jsonl is no whole run"):
            self.block("runs")

    def test_proofs(self):
        of_key, known = figures.by_key(figures.load(self.folder)), {"cluster::q1::it_lasts", "folder::it_lasts"}
        self.assertEqual(figures.proof("cluster q1::it_lasts", of_key, known)[1:], ("every CI run", "passes"))
        self.assertEqual(figures.proof("unit folder::it_lasts", of_key, known)[1:], ("every CI run", "passes"))
        for wrong in ("cluster q1::it_ends", "cluster folder::it_lasts", "unit q1::it_lasts"):
            with self.assertRaisesRegex(figures.Wrong, f"there is no test {wrong.split()[1]}"):
                figures.proof(wrong, of_key, known)
        self.assertEqual(figures.proof("key q3 one-volume sync", of_key, known)[1:], ("2026-11-28", "FAILED: pg-2 leads"))
        self.assertEqual(figures.proof("key q3 lost-posix", of_key, known), ("`just measure-q3 lost-posix`: q3 lost-posix", "–", "not run yet"))
        self.assertRegex(figures.proof("key q3 lost-s3", of_key, known)[2], "^passed: a primary after 55 s; ")

    def test_a_long_test_is_named(self):
        self.assertEqual(figures.command_of("q1 more-wal"), "just long q1_changed_drained_and_begun_anew")
        self.assertEqual(figures.command_of("q2-restore damage-checksum"), "just long restore_damaged_and_begun_anew")
        self.assertEqual(figures.command_of("q2-restore node-off primary"), "just restore 0")

    def test_a_file_is_made_again(self):
        path = self.folder / "templates/README.en.md"
        path.parent.mkdir()
        marks = "{{# figures: outages q2 #}}\n{}\n{{# end of figures #}}\n"
        path.write_text("before\n" + marks.format("old") + "after\n")
        runs = figures.load(self.folder)
        text = figures.written(path, runs, figures.by_key(runs))
        self.assertEqual(text, "before\n" + marks.format(self.block("outages q2")) + "after\n")
        path.write_text("{# figures: outages q2 #}\n")
        with self.assertRaisesRegex(figures.Wrong, "without the other"):
            figures.written(path, runs, {})


if __name__ == "__main__":
    unittest.main()
