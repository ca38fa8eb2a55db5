#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heads.py ROOT HBAKIT CC...: what the heads of the examples say is true: their commands work as
they stand, and a fault shows."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT, HBAKIT = map(os.path.abspath, sys.argv[1:3])
EXAMPLES = os.path.join(ROOT, 'examples')
TIMEOUT_S = 120
MOST_LINES = {('seed-driver.c', 'ram-disk.h'): 300, ('smallest-driver.c',): 40}


def read(name):
    with open(os.path.join(EXAMPLES, name), encoding='utf-8') as f:
        return f.read()


def commands(name):
    """The lines of the first comment that stand in by a tab and begin with a program's name."""
    head = read(name).split('*/')[1]
    return [c for c in re.findall(r'^ \*\t(.+)$', head, re.M) if re.match(r'(cc|sed|hbakit) ', c)]


def lines_of_code(names):
    text = ''.join(re.sub(r'/\*.*?\*/', '', read(name), flags=re.S) for name in names)
    return sum(1 for line in text.splitlines() if line.strip())


class Heads(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        shutil.copytree(EXAMPLES, os.path.join(self.folder.name, 'examples'))
        os.symlink(os.path.join(ROOT, 'include'), os.path.join(self.folder.name, 'include'))
        self.cwd = os.path.join(self.folder.name, 'examples')

    def tearDown(self):
        self.folder.cleanup()

    def run_head(self, name):
        """The last command's result."""
        said = commands(name)
        self.assertTrue(said and said[-1].startswith('hbakit '), said)
        return self.run_script('\n'.join(said).replace('/path/to/hbakit/include', '../include'))

    def run_script(self, script):
        """`cc` is the compiler of this build, sanitizers and all would be too much to ask of it."""
        aliases = (f'hbakit() {{ {HBAKIT} "$@"; }}\ncc() {{ {" ".join(sys.argv[3:])} "$@"; }}\nset '
                   f'-e\n')
        return subprocess.run(['sh', '-c', aliases + script], cwd=self.cwd, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False)

    def test_commands_work(self):
        for name in ('seed-driver.c', 'template-driver.c'):
            with self.subTest(name):
                r = self.run_head(name)
                self.assertEqual(r.returncode, 0, r.stdout)
                self.assertRegex(r.stdout, r'# \d\d passed, 0 failed, ')

    def spoil(self, name, right, wrong):
        path = os.path.join(self.cwd, name)
        text = read(name)
        self.assertIn(right, text)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text.replace(right, wrong))

    def test_an_id_that_is_not_handed_back(self):
        self.spoil('seed-driver.c', '*ret_id = seed->last_id;', '')
        r = self.run_head('seed-driver.c')
        self.assertEqual(r.returncode, 1)
        self.assertIn('map_hba_data', r.stdout)

    def test_a_byte_count_that_is_wrong(self):
        self.spoil('template-driver.c', 'hba_complete(t, &f->result);',
                   'hba_complete_good(t, t->length);')
        r = self.run_head('template-driver.c')
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stdout, r'not ok \d+ - identity: the byte count is what really came')

    def test_a_violation_is_told_by_any_command(self):
        self.spoil('smallest-driver.c', 'hba_complete(t, &result);',
                   'hba_complete(t, &result);\n\thba_complete(t, &result);')
        r = self.run_script(
            'cc -shared -fPIC -I ../include smallest-driver.c -o two.so\nhbakit scan --plugin '
            'two.so smallest:'
        )
        self.assertEqual(r.returncode, 0, r.stdout)
        self.assertRegex(
            r.stdout,
            r'hbakit: smallest:: driver smallest, process_task: hba_complete of the task .* \(the '
            r'first of \d+ such\)'
        )

    def test_they_are_short(self):
        for names, most in MOST_LINES.items():
            self.assertLess(lines_of_code(names), most, names)


unittest.main(argv=sys.argv[:1])
