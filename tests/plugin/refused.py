#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""refused.py HBAKIT FOLDER: every plug-in that is refused says why in one sentence; those that are
right are let in."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HBAKIT = os.path.abspath(sys.argv[1])
FOLDER = os.path.abspath(sys.argv[2])
TIMEOUT_S = 60
FAILED = 1
ELF_HEAD = 64
CUTS = 100
PAGE = 4096

# The plug-in, and the sentence behind its path.
TABLES = {
    'newer-used':
    r"the driver's table uses more than the \d+ bytes that hbakit [\d.]+ has: it needs a newer "
    r"hbakit",
    'too-small':
    r"the size in the driver's table is \d+ bytes, and may be \d+ to 4096: begin it with "
    r"HBA_DRIVER_HEADER",
    'too-large':
    r"the size in the driver's table is 1099511627776 bytes, and may be \d+ to 4096: begin it with "
    r"HBA_DRIVER_HEADER",
    'no-header':
    r"the driver's table has version 0, and hbakit [\d.]+ has version 1: build it with these "
    r"headers",
    'version':
    r"the driver's table has version 2, and hbakit [\d.]+ has version 1: build it with these "
    r"headers",
    'no-name':
    r"the driver's table lacks name, initialize or process_task",
    'bad-name':
    r"a driver's name is made of a-z, 0-9 and -, not 'Table!'",
    'no-initialize':
    r"the driver's table lacks name, initialize or process_task",
    'name-taken':
    r"there is a driver 'soft' already, built in: give this one another name",
    'scheme-taken':
    r"driver table: 'soft:' leads to driver soft already: give it another scheme",
    'bus-taken':
    r"driver table: 'qemu:' leads to bus qemu already: give it another scheme",
    'bad-scheme':
    r"driver table: 'table:' is no URI scheme: a-z, then a-z, 0-9, \+, \. and -, without the colon",
    'neither':
    r"driver table has neither scheme nor ids: a URI leads to it by one of them",
    'both':
    r"driver table has both scheme and ids: a URI leads to it by one of them",
    'no-entry':
    r"is no driver: it has no hba_plugin\(\); end the driver's file with HBA_PLUGIN\(its table\)",
    'no-function':
    r"its hba_plugin is no function; end the driver's file with HBA_PLUGIN\(its table\)",
    'no-table':
    r"its hba_plugin\(\) returned no table",
    'undefined':
    r"cannot be loaded: undefined symbol: nobody_has_this",
    'another':
    r"brings another libhbakit with it than the one that loads it, [\d.]+; link it with that, or "
    r"with none",
}
RIGHT = ('right', 'older', 'newer')


def run(*arguments, cwd=None):
    return subprocess.run([HBAKIT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=TIMEOUT_S, check=False, cwd=cwd)


def table(name):
    return os.path.join(FOLDER, f'table-{name}.so')


class Refused(unittest.TestCase):
    def expect(self, path, sentence, cwd=None):
        """The same sentence from a command that takes a controller, and from `hbakit drivers`."""
        shown = path if '/' in path else './' + path
        for arguments, before in ((('scan', 'table:'), 'table:: '), (('drivers',), '')):
            r = run(*arguments, '--plugin', path, cwd=cwd)
            self.assertEqual(r.returncode, FAILED, r.stderr)
            self.assertRegex(r.stderr, f'^hbakit: {before}{re.escape(shown)}: {sentence}\n$')

    def test_every_table(self):
        for name, sentence in TABLES.items():
            with self.subTest(name):
                self.expect(table(name), sentence)

    def test_every_file(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'text.so'), 'w', encoding='ascii') as f:
                f.write('static const struct hba_driver')
            with open(os.path.join(folder, 'short.so'), 'wb') as f:
                f.write(b'\x7fELF' + bytes(12) +
                        b'\x03\0')  # all that says "shared object", and no more
            with open(os.path.join(folder, 'object.so'), 'wb') as f:
                f.write(b'\x7fELF' + bytes(12) + b'\x01\0')
            os.mkfifo(os.path.join(folder, 'pipe.so'))
            self.expect('none.so', 'there is no such file', cwd=folder)
            self.expect(folder, 'is not a file, but a plug-in is one: a shared object')
            self.expect('pipe.so', 'is not a file, but a plug-in is one: a shared object',
                        cwd=folder)
            self.expect('text.so', 'is not a shared object; build one by cc -shared -fPIC',
                        cwd=folder)
            self.expect('object.so', 'is not a shared object; build one by cc -shared -fPIC',
                        cwd=folder)
            self.expect('short.so', 'is cut short, at 18 bytes: build or copy it again', cwd=folder)
            self.expect(
                HBAKIT, 'cannot be loaded: cannot dynamically load position-independent executable')

    def test_every_length(self):
        """A file that is cut anywhere is refused, or it is whole in all that is loaded of it."""
        with open(table('right'), 'rb') as f:
            whole = f.read()
        step = len(
            whole) // CUTS | 1  # odd, so that neither pages nor tables are hit only at their edges
        refused = 0
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'cut.so')
            for length in range(ELF_HEAD - 1, len(whole), step):
                with open(path, 'wb') as f:
                    f.write(whole[:length])
                r = run('drivers', '--plugin', path)
                if r.returncode:
                    self.assertEqual(
                        r.stderr,
                        f'hbakit: {path}: is cut short, at {length} bytes: build or copy it again\n'
                    )
                    self.assertEqual((r.returncode, refused),
                                     (FAILED, length - step if refused else 0))
                    refused = length
        self.assertGreater(refused, PAGE, 'what is behind the last page of a file is what kills')

    def test_right_ones(self):
        for name in RIGHT:
            with self.subTest(name):
                r = run('scan', 'table:', '--plugin', table(name))
                self.assertEqual((r.returncode, r.stderr), (0, ''))
                self.assertIn('no targets', r.stdout)
                r = run('drivers', '--plugin', table(name))
                self.assertRegex(r.stdout, '^table +table: +a table for the tests\nsoft ')

    def test_without_it_nobody_knows_the_scheme(self):
        r = run('scan', 'table:')
        self.assertEqual(r.returncode, FAILED)
        self.assertIn("no driver has 'table:'", r.stderr)
        r = run('scan', 'floppy:', '--plugin', table('right'))
        self.assertIn('there are table:, soft:, ', r.stderr)

    @unittest.skipUnless(shutil.which('qemu-system-x86_64'), 'there is no QEMU')
    def test_a_chip_is_offered_to_it_first(self):
        """Its id is that of a driver that is built in."""
        r = run('info', 'qemu:pvscsi', '--plugin', table('chip'))
        self.assertEqual((r.returncode, r.stderr), (0, ''))
        self.assertRegex(r.stdout, r'driver table, ')

    def test_a_name_without_a_slash_is_here(self):
        r = run('drivers', 'table', '--plugin', 'table-right.so', cwd=FOLDER)
        self.assertIn('URI: table:', r.stdout)


unittest.main(argv=sys.argv[:1])
