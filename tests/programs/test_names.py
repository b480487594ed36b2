"""The programs as text: every name that one uses is defined or imported by its name, and lines are short."""

import builtins
import itertools
import symtable
import unittest
from pathlib import Path

from fakes import rendered

PROGRAMS = sorted(Path(__file__).parents[2].glob("templates/*/*.py"))


def used(table):
    """The names of the module that are used in it."""
    of_module = table.get_type() == "module"
    names = {one.get_name() for one in table.get_symbols() if one.is_referenced() and (of_module or one.is_global())}
    return names.union(*map(used, table.get_children()))


class Names(unittest.TestCase):
    def test_there_are_programs(self):
        self.assertGreaterEqual(len(PROGRAMS), 12)

    def test_every_name_is_known_and_every_import_is_used(self):
        for path, tls in itertools.product(PROGRAMS, ("encrypted", "off")):
            with self.subTest(path.name, tls=tls):
                module = symtable.symtable(rendered(path.read_text(), tls), path.name, "exec")
                known = {one.get_name() for one in module.get_symbols() if one.is_assigned() or one.is_imported() or one.is_namespace()}
                imported = {one.get_name() for one in module.get_symbols() if one.is_imported()}
                self.assertEqual(used(module) - known - set(dir(builtins)) - {"__file__"}, set())
                self.assertEqual(imported - used(module), set())

    def test_lines_have_at_most_100_columns(self):
        for path in PROGRAMS:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                with self.subTest(f"{path.name}:{number}"):
                    self.assertLessEqual(len(line), 100)


if __name__ == "__main__":
    unittest.main()
