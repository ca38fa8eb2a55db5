#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""disk-commands.py ROOT: the commands that src/drivers/soft.md lists are those of the software
disk's table, no fewer and no more."""
import os
import re
import sys
import unittest

ROOT = os.path.abspath(sys.argv.pop(1))
ROW = re.compile(r'\.name = "([^"]+)"([^}]*)')
MACRO = re.compile(r'\b(?:PR_IN|PR_OUT|RESERVATION)\("([^"]+)"')


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def in_table(source):
    """A name that only leads to service actions is none of a command."""
    return {name
            for name, rest in ROW.findall(source)
            if '.actions' not in rest} | set(MACRO.findall(source))


def in_page(page):
    """The first column: `READ(6), (10)` is two commands, `MAINTENANCE IN: X` is X."""
    section = page.split('| command |')[1].split('\n\n')[0]
    found, base = set(), ''
    for line in section.splitlines()[2:]:
        for item in line.split('|')[1].split(': ')[-1].strip().split(', '):
            if not item.startswith('('):
                base = item.split('(')[0]
            found.add(item if item.startswith(base) else base + item)
    return found


class DiskCommands(unittest.TestCase):
    def test_page_lists_the_table(self):
        self.assertEqual(in_page(read('src/drivers/soft.md')),
                         in_table(read('src/target/execute.c')))

    def test_parsing(self):
        source = ('{ .name = "READ(6)", .run = a }, { .name = "IN", .actions = b }, PR_IN("KEYS", '
                  '0, c), RESERVATION("RESERVE(6)", 6, d)')
        self.assertEqual(in_table(source), {'READ(6)', 'KEYS', 'RESERVE(6)'})
        page = ('x\n\n| command | of it |\n|---|---|\n| READ(6), (10) | all |\n| IN: KEYS, READ '
                'RESERVATION | - |\n\ny')
        self.assertEqual(in_page(page), {'READ(6)', 'READ(10)', 'KEYS', 'READ RESERVATION'})


unittest.main()
