# SPDX-License-Identifier: MIT
"""rig.py: what the tests on QEMU's models share: the command, images, and an end with 77 where
there is no QEMU."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
TIMEOUT_S = 100
MIB = 1 << 20
os.environ['PATH'] += ':/usr/sbin:/sbin'


def requires(*tools):
    for tool in tools:
        if not shutil.which(tool):
            print(f'skipped: there is no {tool}')
            sys.exit(SKIPPED)


class Rig:
    """A folder of its own, and the command on one model. Everybody may enter: the tests become
    nobody."""

    def __init__(self, hbakit, model):
        requires('qemu-system-x86_64')
        self.hbakit, self.model = hbakit, model
        self.folder = tempfile.TemporaryDirectory(prefix='hbakit-qemu-')
        os.chmod(self.folder.name, 0o755)
        os.chdir(self.folder.name)

    def uri(self, *drives, **options):
        items = [f'drive={d}' for d in drives] + [f'{k}={v}' for k, v in options.items()]
        return f'qemu:{self.model}?' + '&'.join(items)

    def image(self, name, mib, seed=None):
        """`seed`: full of random bytes; without, of nothing."""
        with open(name, 'wb') as f:
            if seed is None:
                f.truncate(mib * MIB)
            else:
                f.write(random.Random(seed).randbytes(mib * MIB))
        os.chmod(name, 0o666)
        return name

    def call(self, *words, status=0, prefix=()):
        command = [*prefix, self.hbakit, *map(str, words)]
        r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
        assert status is None or r.returncode == status, (
            f'{command} ended with {r.returncode}, not {status}: {r.stderr}')
        return r

    def json(self, *words, **named):
        return json.loads(self.call(*words, '--json', **named).stdout)


def tool(*command):
    r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S, check=False)
    assert r.returncode == 0, f'{command} ended with {r.returncode}: {r.stdout}'
    return r.stdout
