#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""header-page.py ROOT driver|application PAGE: hbakit-driver(7) has every op, function and struct
of driver.h and of the headers that it includes, with its text, hbakit-application(7) those of
hbakit.h; neither has the other's; both are good mdoc."""
import os
import re
import subprocess
import sys
import unittest

ROOT, READER, PAGE = os.path.abspath(sys.argv[1]), sys.argv[2], os.path.abspath(sys.argv[3])
sys.path.insert(0, os.path.join(ROOT, 'tests', 'style'))
sys.dont_write_bytecode = True
import tree  # noqa: E402  the style checks' reader of C

HEADER = {'driver': 'include/hbakit/driver.h', 'application': 'include/hbakit/hbakit.h'}[READER]
SECTION_FOR_OTHERS = re.compile(r'/\* ---- for (?!%s)' % {
    'driver': 'drivers',
    'application': 'clients'
}[READER])
FORMATTED = subprocess.run(['mandoc', '-Tutf8', '-Owidth=1000', PAGE], stdout=subprocess.PIPE,
                           check=True).stdout.decode()
TEXT = re.sub(r'.\x08', '', FORMATTED)


def included(header, seen=()):
    """It, and our headers that it includes, each once."""
    seen = [*seen, header]
    for name in re.findall('#include <(hbakit/.*)>', tree.read(ROOT, header)):
        if f'include/{name}' not in seen:
            seen = included(f'include/{name}', seen)
    return seen


def names(header):
    """Declared in it for this reader."""
    for_reader = SECTION_FOR_OTHERS.split(tree.read(ROOT, header))[0].count('\n')
    for tag in tree.tags(ROOT, [header], 'pfsem'):
        if tag['line'] <= for_reader and not tag['name'].startswith('__anon'):
            yield tag['name']


def missing(text):
    """Names that the page does not have, and comments of ops that are not there whole."""
    words_there = set(re.findall(r'\w+', text))
    for header in included(HEADER):
        yield from (name for name in names(header) if name not in words_there)
    if READER != 'driver':
        return
    words = ' '.join(text.split())
    table = re.search(r'struct hba_driver \{.*?^\};', tree.read(ROOT, HEADER), re.S | re.M).group()
    for comment, name in re.findall(r'/\*((?:(?!\*/).)*)\*/\n\t[^;]*?\(\*(\w+)\)', table, re.S):
        if ' '.join(re.sub(r'\n\s*\*', '', comment).split()) not in words:
            yield f'the text of {name}'


class Page(unittest.TestCase):
    def test_all_is_there(self):
        self.assertEqual(list(missing(TEXT)), [])

    def test_good_mdoc(self):
        r = subprocess.run(['mandoc', '-Tlint', '-Wwarning', PAGE], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((r.returncode, r.stdout), (0, ''))


class DriverPage(Page):
    def test_sections(self):
        self.assertRegex(TEXT, r"FINDING THINGS(.|\n)*A TASK'S END(.|\n)*\nBUS.H\n")

    def test_declarations_for_others_are_left_out(self):
        self.assertIn('hba_option', TEXT)
        for name in 'struct hba_waiter', 'hba_manage', 'struct hba_bus_info':
            self.assertNotIn(name, TEXT)

    def test_a_missing_one_is_seen(self):
        self.assertEqual(list(missing(TEXT.replace('hba_requeue', 'hba_r'))),
                         ['hba_requeue', 'the text of process_task'])
        self.assertEqual(list(missing(TEXT.replace('hba_config_write', 'hba_c'))),
                         ['hba_config_write'])
        self.assertEqual(list(missing(TEXT.replace('The doorbell', 'A bell'))),
                         ['the text of kick'])


class ApplicationPage(Page):
    def test_sections(self):
        self.assertRegex(TEXT, r"A CONTROLLER(.|\n)*OWN LOOP(.|\n)*\nDISK.H\n(.|\n)*hba_task_get")

    def test_declarations_for_others_are_left_out(self):
        declared = set(re.findall(r'\w+', TEXT))
        self.assertEqual(declared & {'hba_bar_map', 'hba_lower', 'hba_bus_info'}, set())

    def test_a_missing_one_is_seen(self):
        self.assertEqual(list(missing(TEXT.replace('hba_disk_submit', 'hba_d'))),
                         ['hba_disk_submit'])


del Page
if READER == 'driver':
    del ApplicationPage
else:
    del DriverPage
unittest.main(argv=sys.argv[:1])
