#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""consoles.py ROOT HBAKIT PAGE [--write]: what a page shows of a terminal is what comes when its
commands are run.

All ```console blocks of a page are one session of a shell, in a tree with this one's examples and
headers; command and library are in build/src, the command also in PATH. `$ ` begins a command; what
follows is its output. Times are not compared. --write puts in what came."""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT, HBAKIT, PAGE = map(os.path.abspath, sys.argv[1:4])
WRITE = sys.argv[4:] == ['--write']
TIMEOUT_S = 300
END = '@@ end of a command @@'
CONSOLE = re.compile(r'^```console\n(.*?)^```\n', re.M | re.S)
# Times, and what was counted meanwhile, are others each time; how many tests there are is not what
# a page is about.
VARIES = re.compile(
    r'\b\d+(\.\d+)? (ns|us|ms|s|per second|[KMG]iB/s|times|passed|skipped)\b|\b(ok|test) '
    r'\d+|(?<=commands  )\d+| {2,}'
)


def commands_of(block):
    return [line[2:] for line in block.splitlines() if line.startswith('$ ')]


def run(commands):
    """The output of each."""
    script = ''.join(f'{c}\necho "{END}"\n' for c in commands)
    with tempfile.TemporaryDirectory() as folder:
        for name in ('examples', 'include', 'src'):
            os.symlink(os.path.join(ROOT, name), os.path.join(folder, name))
        os.makedirs(os.path.join(folder, 'build', 'src'))
        os.symlink(os.path.dirname(HBAKIT), os.path.join(folder, 'build', 'src', 'cli'))
        for library in glob.glob(os.path.join(os.path.dirname(HBAKIT), '..', 'libhbakit.so*')):
            os.symlink(os.path.abspath(library),
                       os.path.join(folder, 'build', 'src', os.path.basename(library)))
        env = {**os.environ, 'PATH': f'{os.path.dirname(HBAKIT)}:{os.environ["PATH"]}'}
        done = subprocess.run(['bash', '-c', script], cwd=folder, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False)
    outputs = done.stdout.split(END + '\n')
    assert len(outputs) == len(commands) + 1, f'the shell ended early: {done.stdout[-500:]}'
    return outputs[:-1]


def with_outputs(text, outputs):
    left = iter(outputs)

    def block(match):
        return '```console\n' + ''.join(f'$ {c}\n{next(left)}'
                                        for c in commands_of(match[1])) + '```\n'
    return CONSOLE.sub(block, text)


def differences(said, is_now):
    pairs = zip(said.splitlines(), is_now.splitlines())
    return [(a, b) for a, b in pairs if VARIES.sub(' T ', a) != VARIES.sub(' T ', b)]


def judge(text, outputs):
    is_now = with_outputs(text, outputs)
    different = differences(text, is_now)
    if not different and len(text.splitlines()) != len(is_now.splitlines()):
        different = [('', 'the number of lines')]
    return is_now, different


def spoilt(text):
    """A page that says something else, which must be seen: the last word of its last terminal is
    another."""
    end = list(CONSOLE.finditer(text))[-1].end(1)
    return re.sub(r'\S+\n\Z', 'spoilt\n', text[:end]) + text[end:]


def main():
    with open(PAGE, encoding='utf-8') as f:
        text = f.read()
    commands = [c for block in CONSOLE.findall(text) for c in commands_of(block)]
    outputs = run(commands)
    is_now, different = judge(text, outputs)
    if WRITE:
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write(is_now)
        return 0
    for page, now in different[:5]:
        print(
            f'{PAGE}: a terminal shows {page!r}, and now it is {now!r}; consoles.py --write renews '
            f'it',
            file=sys.stderr)
    if not different and not judge(spoilt(text), outputs)[1]:
        print(f'{PAGE}: a wrong output was not seen', file=sys.stderr)
        return 1
    print(f'{len(commands)} commands of {os.path.basename(PAGE)} say what the page says')
    return 1 if different else 0


sys.exit(main())
