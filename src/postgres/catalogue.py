#!/usr/bin/env python3
"""Makes the catalogue of PostgreSQL's parameters that pgk checks a configuration with, from a real server.

    catalogue.py FOLDER >src/postgres/17.tsv     FOLDER has that server's initdb, postgres, psql and pg_config

Nothing in a catalogue is typed by hand. A line is a parameter, and these are its columns, separated by tabs:

  name      as PostgreSQL writes it; the lines are sorted by it, in lower case
  type      bool, integer, real, string or enum; `alias` of an older name of another parameter, which is its default;
            `hidden` of one that pg_settings does not show
  context   what it takes to change it: internal (nobody can), postmaster (a restart), sighup (a reload), ...;
            `refused` of one that the server shows and does not take from a configuration either
  unit      of a number without one
  range     MIN..MAX of numbers. The words of an enum, then `|` and those that it takes and does not show. Of bool, the one
            word that the server takes, where that is not both
  default   what holds where nothing sets it
  library   of a parameter that comes with a library of the server's own: `preload` where that must be in
            shared_preload_libraries, `session` where it can be loaded at any time
  chapter   of the manual, as pg_settings has it
  meaning   in a few words

The first line has the server's version, and the libraries that came with it.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

FIELDS = """name, vartype, context, unit, min_val, max_val, array_to_string(enumvals, ','), boot_val,
    split_part(category, ' / ', 1), short_desc, setting"""


class Server:
    def __init__(self, folder, scratch):
        self.folder, self.scratch, self.data = folder, scratch, scratch + "/data"
        self.run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--locale=C", self.data)
        self.process = None

    def run(self, program, *words, text=None, check=True):
        done = subprocess.run([f"{self.folder}/{program}", *words], input=text, capture_output=True, text=True, cwd="/", check=False)
        if check and done.returncode:
            raise SystemExit(f"{program}: {done.stderr}")
        return done

    def takes(self, name, value):
        """Whether it starts to start with this setting."""
        words = ["-D", self.data, "-c", f"{name}={value}", "-C", "port"]
        return self.run("postgres", *words, check=False).returncode == 0

    def start(self, **settings):
        words = [f"{self.folder}/postgres", "-D", self.data, "-k", self.scratch, "-c", "listen_addresses="]
        for name, value in ({"fsync": "off", "log_min_messages": "panic"} | settings).items():
            words += ["-c", f"{name}={value}"]
        self.process = subprocess.Popen(words, cwd="/", stderr=subprocess.PIPE, text=True)
        for _ in range(300):
            if self.process.poll() is not None:
                raise SystemExit(self.process.stderr.read())
            if self.psql("SELECT 1", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit("PostgreSQL does not start")

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
            self.process = None

    def psql(self, text, check=True):
        words = ["-X", "-q", "-A", "-t", "-F", "\t", "-P", "null=", "-U", "postgres", "-h", self.scratch, "-f", "-"]
        return self.run("psql", *words, text=text, check=check)

    def rows(self, text):
        return [line.split("\t") for line in self.psql(text).stdout.splitlines()]


def words_of(binary):
    """The ends of all texts in the server's program: among them are the names that it knows."""
    words = set()
    with open(binary, "rb") as file:
        texts = re.findall(rb"[\x20-\x7e]{1,200}(?=\x00)", file.read())
    for text in texts:
        found = re.search(r"[A-Za-z0-9_.-]+$", text.decode())
        word = found[0] if found else ""
        # A linker keeps a text that is another's end only once.
        starts = (start for start in range(len(word)) if start == 0 or not word[start - 1].isalnum())
        words.update(word[start:] for start in starts if len(word) - start <= 40)
    return words


def quoted(words):
    return ", ".join("'" + word.replace("'", "''") + "'" for word in words)


def unseen_parameters(server, words, seen):
    """Of each name that the server knows and does not show: the one that it shows instead, if any."""
    array = quoted(sorted(word for word in words if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word)))
    names = server.rows(f"SELECT name FROM unnest(ARRAY[{array}]) AS name WHERE current_setting(name, true) IS NOT NULL")
    unseen = sorted({name.lower() for (name,) in names} - {name.lower() for name in seen})
    found = {}
    for name in unseen:
        # The column's name is the parameter's.
        shown = server.run("psql", "-X", "-A", "-U", "postgres", "-h", server.scratch, "-c", f"SHOW {name}").stdout.splitlines()[0]
        found[name] = shown if shown.lower() != name else None
    return found


def unseen_words(server, words, parameter, shown):
    """What an enum takes without showing it."""
    candidates = sorted(word for word in words if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,15}", word) and word not in shown)
    statements = [f"ALTER SYSTEM SET {parameter} = '{word}';" for word in candidates]
    refused = server.psql("\n".join(statements)).stderr
    lines = {int(number) for number in re.findall(r"<stdin>:(\d+): ERROR: ", refused)}
    server.psql(f"ALTER SYSTEM RESET {parameter}")
    return [word for number, word in enumerate(candidates, 1) if number not in lines]


def catalogue(folder, scratch):
    server = Server(folder, scratch)
    try:
        return lines_of(server)
    finally:
        server.stop()


def lines_of(server):
    binary, libraries = (server.run("pg_config", option).stdout.strip() for option in ("--bindir", "--pkglibdir"))
    root = os.environ.get("PGK_ROOT", "")  # of a server that runs in a root of its own
    words = words_of(f"{root}{binary}/postgres")
    server.start()
    (version,) = server.rows("SHOW server_version_num")[0]
    core = server.rows(f"SELECT {FIELDS} FROM pg_settings")
    names = [row[0] for row in core]
    # Of each library, whether it can be loaded, and what it then knows.
    loaded, session = [], set()
    for library in sorted(name.removesuffix(".so") for name in os.listdir(root + libraries) if name.endswith(".so")):
        load = server.psql(f"LOAD '{library}'; SELECT name FROM pg_settings WHERE name LIKE '%.%'", check=False)
        if "ERROR" not in load.stderr:
            loaded.append(library)
            session.update(load.stdout.split())
    unseen = unseen_parameters(server, words, names)
    hidden = {row[0]: unseen_words(server, words, row[0], row[6].split(",")) for row in core if row[1] == "enum" and row[2] != "internal"}
    server.stop()
    preloaded = [library for library in loaded if not re.search("_and_|^llvmjit|^libpqwalreceiver|^dict_|^pgoutput|^test_", library)]
    server.start(shared_preload_libraries=",".join(preloaded))
    everything = server.rows(f"SELECT {FIELDS} FROM pg_settings")
    server.stop()

    lines = []
    for name, kind, context, unit, least, most, shown, default, chapter, meaning, setting in everything:
        library = ("session" if name in session else "preload") if "." in name else ""
        span = f"{least}..{most}" if least else ""
        if kind == "enum":
            span = shown + ("|" + ",".join(hidden[name]) if hidden.get(name) else "")
        if not library and context != "internal":
            if kind == "bool":
                taken = [word for word in ("on", "off") if server.takes(name, word)]
                span = "" if len(taken) == 2 else ",".join(taken)
                context = context if taken else "refused"
            # Some defaults cannot be written down.
            elif not server.takes(name, default) and not server.takes(name, setting):
                context = "refused"
        lines.append([name, kind, context, unit, span, default, library, chapter, meaning])
    for name, target in unseen.items():
        lines.append([name, "alias" if target else "hidden", "", "", "", target or "", "", "", ""])
    lines.sort(key=lambda line: line[0].lower())
    first = f"# PostgreSQL {version}\t{','.join(loaded)}"
    return "".join(line + "\n" for line in [first, *("\t".join(line) for line in lines)])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o777)
        sys.stdout.write(catalogue(sys.argv[1], scratch))
