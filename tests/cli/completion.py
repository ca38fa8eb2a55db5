#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""completion.py HBAKIT MANUAL: bash, asked with our completion, offers every command and every option that --help tells of, and files.
The manual page has them, too."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

HBAKIT = os.path.abspath(sys.argv[1])
MANUAL = os.path.abspath(sys.argv[2])
TIMEOUT_S = 60


def run(*arguments):
    r = subprocess.run([HBAKIT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
    return r.stdout + r.stderr


SCRIPT = run('completion')
COMMANDS = re.findall(r'^  ([a-z]+) +\S', run('--help'), re.M)


def complete(words, script=SCRIPT, cwd='/'):
    """What is offered for the last of `words`, which are as bash cuts them."""
    quoted = ' '.join(f"'{w}'" for w in ['hbakit', *words])
    ask = f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; compopt() {{ :; }}; _hbakit; printf "%s\\n" "${{COMPREPLY[@]}}"\n'
    r = subprocess.run(['bash', '-eu', '-c', script + ask], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd,
                       timeout=TIMEOUT_S, check=False)
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout.split()


def options_of(command):
    """All that stand in its help, by argp's own hand."""
    return set(re.findall(r'(?<![\w-])(--?[a-z]+(?:-[a-z]+)*)', '\n'.join(re.findall(r'^ +(-.{0,28})', run(command, '--help'), re.M))))


def missing(script):
    offered = set(complete([''], script))
    yield from (c for c in COMMANDS if c not in offered)
    for command in COMMANDS:
        offered = set(complete([command, '-'], script))
        yield from (f'{command} {o}' for o in options_of(command) if o not in offered)


class Completion(unittest.TestCase):
    def test_everything_is_offered(self):
        self.assertIn('bench', COMMANDS)
        self.assertLessEqual({'--plugin', '--rw', '--json', '-t', '--target'}, options_of('bench'))
        self.assertEqual(list(missing(SCRIPT)), [])

    def test_what_is_missing_is_seen(self):
        self.assertEqual(list(missing(SCRIPT.replace(' --seed', ''))), ['check --seed'])
        self.assertEqual(list(missing(SCRIPT.replace(' inquiry', '', 1)))[0], 'inquiry')

    def test_the_manual_has_them(self):
        with open(MANUAL, encoding='utf-8') as f:
            text = f.read()
        for command in COMMANDS:
            self.assertTrue(f'\n.It Cm {command}' in text, command)
            for option in options_of(command) - {'--help'}:
                self.assertTrue(re.search(f'(Fl|,) {option[1:]}\\b', text), f'{command} {option}')

    def test_only_what_fits(self):
        self.assertEqual(complete(['be']), ['bench'])
        self.assertEqual(complete(['check', '--w']), ['--write'])
        self.assertNotIn('--write', complete(['scan', '--']))

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in 'disk.img', 'my.so':
                with open(os.path.join(folder, name), 'w', encoding='ascii'):
                    pass
            self.assertEqual(complete(['scan', '--plugin', 'm'], cwd=folder), ['my.so'])
            self.assertEqual(complete(['write', 'soft', ':', 'di'], cwd=folder), ['disk.img'])
            self.assertEqual(sorted(complete(['write', 'soft', ':'], cwd=folder)), ['disk.img', 'my.so'])
            self.assertEqual(complete(['bench', '--bs', 'd'], cwd=folder), [])

    def test_schemes_and_drivers(self):
        known = re.search(r'there are (.*)$', run('scan', 'floppy:')).group(1).split(', ')
        self.assertEqual(sorted(complete(['scan', ''])), sorted(known))
        self.assertIn('virtio-scsi', complete(['drivers', 'v']))


unittest.main(argv=sys.argv[:1])
