"""fetch-wal.sh, fetch-wal-strict.sh and pgbackrest-push.sh, with a pgBackRest that answers as the test says."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from fakes import certificate, rendered

Q3 = Path(__file__).parents[2] / "templates/archive"
FILE = "00000001000000000000000A"
# Repository N answers the word in the file repo-N: has it, has it not (1), an error (any other status), or "sleeps".
# Without --repo, in the background, a repository that has it is enough, and an error of one is not told.
PGBACKREST = """#!/bin/bash
echo "$*" >>CALLS
for word; do [[ $word != --repo=* ]] || number=${word#--repo=}; done
[ -e FILES/all ] && [ -z "${number:-}" ] && exit "$(<FILES/all)"
answer=$(<"FILES/repo-${number:-1}")
[[ $* != *FFFFFFFF.history* || $answer != 0 ]] || exit 1
case $answer in sleeps) sleep 20 ;; *) exit "$answer" ;; esac
"""


class Fetch(unittest.TestCase):
    def setUp(self):
        if shutil.which("bash") is None:
            self.skipTest("bash is missing")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name in "fetch-wal.sh", "fetch-wal-strict.sh", "pgbackrest-push.sh", "repositories.sh":
            text = rendered((Q3 / name).read_text())
            text = re.sub("/etc/pgk/scripts/|/tmp/|/pgdata/", f"{self.folder}/", text)
            text = text.replace("/proc/", f"{self.folder}/proc/")
            text = text.replace("127.0.0.1/8008", f"127.0.0.1/{self.patroni()}")
            (self.folder / name).write_text(text.replace("127.0.0.1:8008", "127.0.0.1:PORT"))
        program = self.folder / "pgbackrest"
        program.write_text(PGBACKREST.replace("CALLS", f"{self.folder}/calls").replace("FILES", str(self.folder)))
        program.chmod(0o755)
        self.leads = False

    def listen(self, answer):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    caller = server.accept()[0]
                    answer(caller)
                    caller.close()
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    def patroni(self, tls=None):
        def answer(caller):
            if tls:
                with tls.wrap_socket(caller, server_side=True) as caller:
                    speak(caller)
            else:
                speak(caller)

        def speak(caller):
            caller.recv(1000)  # closed with this unread, the connection would be reset, and the answer lost
            caller.send(b"HTTP/1.0 " + (b"200 OK" if self.leads else b"503 no") + b"\r\n")
        return self.listen(answer)

    def run_it(self, script, *answers, cwd=None, **environment):
        """Its status, and how long it took."""
        port = self.listen(lambda caller: None)
        lines = [f"{number} 127.0.0.1 {port}\n" for number in range(1, len(answers) + 1)]
        (self.folder / "repositories").write_text("".join(lines))
        for number, answer in enumerate(answers, 1):
            (self.folder / f"repo-{number}").write_text(str(answer))
        began = time.monotonic()
        path = f"{self.folder}:{os.environ['PATH']}"
        self.done = subprocess.run(["bash", self.folder / script, FILE, self.folder / "file"], text=True, check=False,
                                   capture_output=True, cwd=cwd, env=os.environ | {"PATH": path} | environment)
        return self.done.returncode, time.monotonic() - began

    def strict(self, *answers, all_of_them=1, **environment):
        (self.folder / "all").write_text(str(all_of_them))
        numbers = " ".join(map(str, range(1, len(answers) + 1)))
        return self.run_it("fetch-wal-strict.sh", *answers, **{"PGK_REPO": numbers} | environment)[0]

    def in_a_hurry(self):
        """The script has no time to try again."""
        script = self.folder / "fetch-wal-strict.sh"
        script.write_text(script.read_text().replace("-lt 60", "-lt 0"))

    def test_the_end_of_the_wal_is_what_every_repository_says(self):
        self.in_a_hurry()
        for answers, wanted in (
            ((0,), 0), ((1,), 1), ((103,), 126), ((1, 1), 1), ((1, 0), 0),
            ((1, 103), 126), ((103, 1), 126), ((103, 0), 0), ((45, 103), 126),
        ):
            with self.subTest(answers):
                # What it says of them all together, as if the failing one were not there.
                self.assertEqual(self.strict(*answers), wanted)

    def test_an_error_is_named(self):
        self.in_a_hurry()
        self.strict(1, 103)
        self.assertIn(f"does not give {FILE}: repository 2 (status 103)", self.done.stderr)

    def test_the_next_files_are_fetched_in_the_background(self):
        self.assertEqual(self.strict(1, 1, all_of_them=0), 0)
        self.assertNotIn("--no-archive-async", (self.folder / "calls").read_text())

    def test_one_repository_alone(self):
        self.assertEqual(self.strict(1, 0, PGK_REPO="1"), 1)
        self.assertNotIn("--repo=2", (self.folder / "calls").read_text())
        self.assertTrue(all("--repo=1" in line for line in (self.folder / "calls").read_text().splitlines()))

    def test_not_knowing_whom_to_ask_is_not_the_end_of_the_wal(self):
        self.assertEqual(self.strict(1, PGK_REPO=""), 126)

    def test_a_standby_is_told_what_the_archive_does_not_have(self):
        end = self.folder / "archive-end"
        for answers, wanted, told in ((0,), 0, False), ((1,), 1, True), ((1, 103), 1, False), ((1, 1), 1, True), ((1, 0), 0, False):
            with self.subTest(answers):
                for away in self.folder.glob("archive-away*"):
                    away.unlink()
                self.assertEqual(self.run_it("fetch-wal.sh", *answers)[0], wanted)
                self.assertEqual(end.exists() and end.read_text() == FILE + "\n", told)

    def test_the_same_where_patroni_speaks_tls(self):
        tls = certificate(self.folder)
        script = self.folder / "fetch-wal.sh"
        text = script.read_text().replace("127.0.0.1:PORT", f"127.0.0.1:{self.patroni(tls)}")
        script.write_text(re.sub("127.0.0.1/[0-9]+", "127.0.0.1/1", text))
        self.test_a_slow_archive_is_waited_for_unless_this_member_is_to_be_promoted()

    def test_a_slow_archive_is_waited_for_unless_this_member_is_to_be_promoted(self):
        script = self.folder / "fetch-wal.sh"
        script.write_text(script.read_text().replace("briefly 10", "briefly 4"))
        self.assertGreater(self.run_it("fetch-wal.sh", "sleeps")[1], 3.9)
        (self.folder / "archive-away-1").unlink()
        self.leads = True
        status, took = self.run_it("fetch-wal.sh", "sleeps")
        self.assertEqual(status, 1)
        self.assertLess(took, 3.9)
        self.assertEqual(self.done.stderr.count("\n"), 1, "nothing of the command that was ended")

    def test_one_that_is_away_is_named_once_in_five_minutes_and_asked_again(self):
        self.run_it("fetch-wal.sh", 103)
        self.assertIn("repository 1 does not answer", self.done.stderr)
        for age, said, asked in (0, "", False), (20, "", True), (400, "does not answer", True), (-3600, "does not answer", True):
            with self.subTest(age):
                for file in self.folder.glob("archive-away-*"):
                    file.write_text(f"{int(time.time()) - age}\n")
                (self.folder / "calls").write_text("")
                self.run_it("fetch-wal.sh", 103)
                self.assertIn(said, self.done.stderr)
                self.assertEqual(bool(self.done.stderr), bool(said))
                self.assertEqual(bool((self.folder / "calls").read_text()), asked)

    def test_what_is_pushed_waits_while_nobody_answers(self):
        self.assertEqual(self.run_it("pgbackrest-push.sh", 0)[0], 0)
        (self.folder / "repositories").write_text("")
        done = subprocess.run(["bash", self.folder / "pgbackrest-push.sh", "pg_wal/" + FILE], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the WAL waits on this volume", done.stderr)

    def test_a_repository_that_is_away_holds_nothing_up_for_the_others(self):
        status = self.folder / "pg_wal/archive_status"
        status.mkdir(parents=True)
        for name in "A", "B":
            (status / f"{name}.ready").touch()
        (self.folder / "conf").write_text("[global]\nrepo1-path=/a\nrepo2-type=s3\nrepo12-path=/b\n")
        program = self.folder / "pgbackrest"
        program.write_text(program.read_text().replace("echo", f"env >{self.folder}/env; echo", 1))
        # A push that was begun before: it is ended.
        old = subprocess.Popen(["sleep", "60"])
        self.addCleanup(old.kill)
        (self.folder / f"proc/{old.pid}").mkdir(parents=True)
        (self.folder / f"proc/{old.pid}/cmdline").write_text("pgbackrest\0archive-push:async\0")
        (self.folder / "archive-away-2").write_text(str(int(time.time())))
        environment = {"PGBACKREST_CONFIG": str(self.folder / "conf"), "PGBACKREST_REPO2_CIPHER_PASS": "secret",
                       "PGBACKREST_REPO12_CIPHER_PASS": "other"}

        def push():
            return self.run_it("pgbackrest-push.sh", 0, 0, cwd=self.folder, **environment)[0]

        self.assertEqual(push(), 1, "archived before the second one has it")
        others, spool = self.folder / "pgbackrest-others.conf", self.folder / "spool/without-2"
        call = f"--config={others} --spool-path={spool} archive-push pg_wal/"
        self.assertEqual((self.folder / "calls").read_text(), call + "A\n")
        self.assertEqual(others.read_text(), "[global]\nrepo1-path=/a\nrepo12-path=/b\n")
        self.assertEqual(re.findall("PGBACKREST_REPO.*", (self.folder / "env").read_text()), ["PGBACKREST_REPO12_CIPHER_PASS=other"])
        self.assertEqual(old.wait(5), -15)
        out = spool / "archive/pg/out"
        out.mkdir(parents=True)
        (out / "A.ok").touch()
        self.assertEqual(push(), 1)
        self.assertEqual((self.folder / "calls").read_text(), call + "A\n" + call + "B\n")
        (out / "B.ok").touch()
        self.assertEqual(push(), 1)
        self.assertEqual(len((self.folder / "calls").read_text().split("\n")), 3, "nothing is sent twice")
        (self.folder / "archive-away-2").unlink()
        self.assertEqual(push(), 0, "it is back")


if __name__ == "__main__":
    unittest.main()
