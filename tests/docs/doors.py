#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""doors.py ROOT: what the README and the pages lead to is there, and the README's picture is that
of its page."""
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.abspath(sys.argv[1])
PAGES = ('README.md', 'HACKING.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs/application-guide.md',
         'docs/driver-guide.md', 'docs/architecture.md', 'docs/contract.md')
TREES = ('include/', 'src/', 'tests/', 'docs/', 'examples/', 'tools/', 'bench/')


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


def dead(page, text):
    """Links, and paths in the text, that lead nowhere; `unit/` in a table of tests is no path."""
    links = re.findall(r'\]\(([^)#:]+)\)', text)
    paths = [p for p in re.findall(r'`([\w./-]+)`', text) if p.startswith(TREES)]
    yield from (link for link in links
                if not os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)))
    yield from (path for path in paths if not os.path.exists(os.path.join(ROOT, path)))


def picture(page='docs/picture.md'):
    return subprocess.run([os.path.join(ROOT, 'tools/picture'),
                           os.path.join(ROOT, page)], stdout=subprocess.PIPE, text=True,
                          check=True).stdout


class Doors(unittest.TestCase):
    def test_every_door_leads_somewhere(self):
        for page in PAGES:
            with self.subTest(page):
                self.assertEqual(list(dead(page, read(page))), [])

    def test_a_dead_one_is_seen(self):
        self.assertEqual(
            list(dead('README.md', '[a](docs/none.md) `src/none.c` `tests/docs/doors.py`')),
            ['docs/none.md', 'src/none.c'])

    def test_the_picture_is_the_pages(self):
        self.assertTrue(
            read('docs/picture.svg') == picture(),
            'tools/picture docs/picture.md docs/picture.svg draws it anew')
        self.assertIn('docs/picture.svg', read('README.md'))
        self.assertFalse(read('docs/picture.svg') == picture('README.md'))


unittest.main(argv=sys.argv[:1])
