#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""completion.py HBAKIT MANUAL: bash, asked with our completion, offers every command and every
option that --help tells of, and files. The manual page has them, too."""
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
import unittest

HBAKIT = os.path.abspath(sys.argv[1])
MANUAL = os.path.abspath(sys.argv[2])
TIMEOUT_S = 60
SAID = 9  # the descriptor by which bash tells of its line


def run(*arguments):
    r = subprocess.run([HBAKIT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=TIMEOUT_S, check=False)
    return r.stdout + r.stderr


SCRIPT = run('completion')
COMMANDS = re.findall(r'^  ([a-z]+) +\S', run('--help'), re.M)


def complete(words, script=SCRIPT, cwd='/'):
    """What is offered for the last of `words`, which are as bash cuts them."""
    quoted = ' '.join(f"'{w}'" for w in ['hbakit', *words])
    ask = (f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; compopt() {{ :; }}; _hbakit; printf '
           f'"%s\\n" "${{COMPREPLY[@]}}"\n')
    r = subprocess.run(['bash', '-eu', '-c', script + ask], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, cwd=cwd, timeout=TIMEOUT_S, check=False)
    assert r.returncode == 0 and not r.stderr, r.stderr
    return r.stdout.split()


class Shell:
    """An interactive bash on a terminal of its own, in a folder, that has read our completion. Keys
    tell what its line has become."""
    SAY, INSERT_ALL, FORGET = '\x14', '\x1b*', '\x1bk'

    def __init__(self, folder):
        with open(os.path.join(folder, '.completion'), 'w', encoding='utf-8') as f:
            f.write(SCRIPT + f"""
                bind 'set enable-bracketed-paste off'; bind '"{self.FORGET}": kill-whole-line'
                bind -x '"{self.SAY}": printf "%s\\0" "$READLINE_LINE" >&{SAID}'
            """)
        self.said, says = os.pipe()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.dup2(says, SAID)
            os.execvpe(
                'bash', ['bash', '--noprofile', '--rcfile', '.completion', '-i'], {
                    'PATH': os.environ['PATH'],
                    'HOME': folder,
                    'TERM': 'dumb',
                    'INPUTRC': '/dev/null',
                    'LC_ALL': 'C.UTF-8'
                })
        os.close(says)
        self.ask('')

    def ask(self, keys):
        """The line after these keys."""
        os.write(self.terminal, (keys + self.SAY + self.FORGET).encode())
        line, until = b'', time.monotonic() + TIMEOUT_S
        while not line.endswith(b'\0'):
            ready = select.select([self.said, self.terminal], [], [],
                                  max(0, until - time.monotonic()))[0]
            assert ready, f'bash does not answer to {keys!r}'
            if self.terminal in ready:
                os.read(
                    self.terminal, 4096
                )  # what a person would see; nobody reads it, and bash must not wait for that
            if self.said in ready:
                line += os.read(self.said, 4096)
        return line[:-1].decode()

    def close(self):
        os.close(self.terminal)
        os.close(self.said)
        os.waitpid(self.pid, 0)


def options_of(command):
    """All that stand in its help, by argp's own hand."""
    return set(
        re.findall(r'(?<![\w-])(--?[a-z]+(?:-[a-z]+)*)',
                   '\n'.join(re.findall(r'^ +(-.{0,28})', run(command, '--help'), re.M))))


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

    def test_a_value_that_may_be_left_out(self):
        """It stands behind a `=` only: the next word is not it."""
        for words in ['read', '--skip-bad'], ['serve', '--reopen']:
            self.assertIn('soft:', complete([*words, '']), words)
            self.assertIn('--timeout', complete([*words, '--t']), words)

    def test_schemes_and_drivers(self):
        known = re.search(r'there are (.*)$', run('scan', 'floppy:')).group(1).split(', ')
        self.assertEqual(sorted(complete(['scan', ''])), sorted(known))
        self.assertIn('virtio-scsi', complete(['drivers', 'v']))
        self.assertIn('qemu', complete(['drivers', 'q']))


class Interactive(unittest.TestCase):
    """What a person gets who presses TAB, or ESC * for all that is offered."""
    FILES = ('disk.img', 'my disk.img', 'my.so', 'x.so', 'a:b=c.img')

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for name in cls.FILES:
            with open(os.path.join(cls.folder.name, name), 'w', encoding='ascii'):
                pass
        os.mkdir(os.path.join(cls.folder.name, 'images'))
        cls.shell = Shell(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.shell.close()
        cls.folder.cleanup()

    def becomes(self, typed, line):
        """A space after it says that it is the only one."""
        self.assertEqual(self.shell.ask(f'hbakit {typed}\t'), f'hbakit {line}')

    def test_options_files(self):
        self.becomes('scan --plugin x', 'scan --plugin x.so ')
        self.becomes('scan --plugin=x', 'scan --plugin=x.so ')
        self.becomes('scan --plugin=./x', 'scan --plugin=./x.so ')
        self.becomes('read --output=di', 'read --output=disk.img ')
        self.becomes('read -o di', 'read -o disk.img ')
        self.becomes('read --skip-bad=di', 'read --skip-bad=disk.img ')
        self.becomes('read --skip-bad so', 'read --skip-bad soft:')
        self.becomes('read -o ima', 'read -o images/')

    def test_files_behind_a_scheme(self):
        self.becomes('write soft:di', 'write soft:disk.img ')
        self.becomes('write soft:./di', 'write soft:./disk.img ')
        self.becomes('write soft:ima', 'write soft:images/')
        self.becomes('scan qemu:pvscsi?drive=di', 'scan qemu:pvscsi?drive=disk.img ')
        self.becomes('scan "qemu:pvscsi?drive=a.img&drive=di',
                     'scan "qemu:pvscsi?drive=a.img&drive=disk.img" ')

    def test_options_behind_a_question_mark(self):
        self.becomes('scan qemu:pvscsi?dr', 'scan qemu:pvscsi?drive=')
        self.becomes('scan "qemu:pvscsi?drive=disk.img&ir',
                     'scan "qemu:pvscsi?drive=disk.img&irq="')
        self.becomes('scan pci:0000:03:00.0?ir', 'scan pci:0000:03:00.0?irq=')
        self.becomes('scan soft:ram?si', 'scan soft:ram?size=')

    def test_names_that_bash_would_cut(self):
        self.becomes('write soft:my\\ ', 'write soft:my\\ disk.img ')
        self.becomes("write 'soft:my d", "write 'soft:my disk.img' ")
        self.becomes("write soft:'my d", "write soft:'my disk.img' ")
        self.becomes('read -o my\\ d', 'read -o my\\ disk.img ')
        self.becomes('write soft:a', 'write soft:a\\:b\\=c.img ')
        self.becomes('write --input=a', 'write --input=a\\:b\\=c.img ')

    def test_all_that_is_offered(self):
        for before in 'write soft:', 'read --output=', 'read -o ':
            line = self.shell.ask(f'hbakit {before}my{Shell.INSERT_ALL}')
            self.assertEqual(line, f'hbakit {before}my\\ disk.img my.so ')
        self.assertEqual(
            self.shell.ask(f'hbakit bench --r{Shell.INSERT_ALL}').split(),
            ['hbakit', 'bench', '--rw'])

    def test_nothing_is_offered(self):
        for typed in ('bench --bs d', 'bench --bs=d', 'scan soft:ram?size=d',
                      'scan qemu:pvscsi?irq=d'):
            self.becomes(typed, typed)

    def test_commands_and_schemes(self):
        self.becomes('ben', 'bench ')
        self.becomes('scan qe', 'scan qemu:')
        self.becomes('scan --plugin=x.so vi', 'scan --plugin=x.so vi')


unittest.main(argv=sys.argv[:1])
