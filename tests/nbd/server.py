# SPDX-License-Identifier: MIT
"""server.py: what the NBD tests share: `hbakit serve` as a child, foreign clients, and an end with
77 where something is missing."""
import json
import math
import os
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from typing import NamedTuple

SKIPPED = 77
TIMEOUT_S = 100
GIVING_BACK_S = 30
MIB = 1 << 20
# clients at once, after which the C library keeps about as many stacks as it ever does: 40 MiB
WARM = 8
# for each client that has been there: for a hundred more than those stacks, and half of a leak of 1
# MiB
MOST_KIB = 512
OPTION, CLIENT_FLAGS, OPT_GO = 0x49484156454F5054, 3, 7
REQUEST, READ, WRITE = 0x25609513, 0, 1
os.environ['PATH'] += ':/usr/sbin:/sbin'


def requires(*tools):
    for tool in tools:
        if not shutil.which(tool):
            print(f'skipped: there is no {tool}')
            sys.exit(SKIPPED)


def call(*command, status=0, **named):
    r = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False, **named)
    assert status is None or r.returncode == status, (
        f'{command} ended with {r.returncode}, not {status}: {r.stdout}{r.stderr}')
    return r


def image(name, mib, seed=None):
    """`seed`: full of random bytes; without, of nothing."""
    with open(name, 'wb') as f:
        if seed is None:
            f.truncate(mib * MIB)
        else:
            f.write(random.Random(seed).randbytes(mib * MIB))
    return name


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
        return list(map(int, f.read().split()))


def pull(s, n):
    data = b''
    while len(data) < n:
        more = s.recv(n - len(data))
        assert more, 'the server hung up'
        data += more
    return data


def shake_hands(path='nbd.sock', name=b''):
    """A connection in the middle of which one can leave; no client is as rude as that."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIMEOUT_S)
    s.connect(path)
    pull(s, 18)
    data = struct.pack('>I', len(name)) + name + struct.pack('>H', 0)
    s.sendall(struct.pack('>IQII', CLIENT_FLAGS, OPTION, OPT_GO, len(data)) + data)
    while True:
        _, _, kind, length = struct.unpack('>QIII', pull(s, 20))
        pull(s, length)
        if kind == 1:
            return s
        assert kind < 1 << 31, f'refused: {kind:x}'


def request(kind, offset, length, handle=1, flags=0):
    return struct.pack('>IHHQQI', REQUEST, flags, kind, handle, offset, length)


def reply(s):
    magic, error, handle = struct.unpack('>IIQ', pull(s, 16))
    assert magic == 0x67446698, hex(magic)
    return error, handle


def eventually(condition):
    until = time.monotonic() + TIMEOUT_S
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def has_ended(pid):
    """Gone, or dead and nobody's to wait for."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().rsplit(') ', 1)[1][0] == 'Z'
    except FileNotFoundError:
        return True


class Holds(NamedTuple):
    """What nbdkit has taken. Memory is what it may write to, whether it has or not."""
    descriptors: int
    threads: int
    kib: int


class Server:
    """Serves until the `with` ends, and then must end in order: told once, 0, the socket gone,
    nobody left."""

    def __init__(self, hbakit, uri, *options, where='unix:nbd.sock'):
        self.where, self.stderr = where, open('serve.log', 'w+', encoding='utf-8')
        self.process = subprocess.Popen([hbakit, 'serve', uri, '--nbd', where, '--json', *options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.stderr)
        try:
            self.about = self.hear()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.exports = {e['name']: e for e in self.about['exports']}
        self.uri = self.about['exports'][0]['uri']
        self.nbdkit = children(self.process.pid)[0]

    def hear(self):
        """The one object, which comes when it serves."""
        text, until = b'', time.monotonic() + TIMEOUT_S
        while not text.endswith(b'\n}\n'):
            assert select.select([self.process.stdout], [], [],
                                 until - time.monotonic())[0], 'it does not serve'
            more = os.read(self.process.stdout.fileno(), 65536)
            assert more, f'it has ended: {self.said()}'
            text += more
        return json.loads(text)

    def said(self):
        with open('serve.log', encoding='utf-8') as f:
            return f.read()

    def holds(self):
        with open(f'/proc/{self.nbdkit}/status', encoding='ascii') as f:
            status = dict(line.split(':', 1) for line in f)
        return Holds(len(os.listdir(f'/proc/{self.nbdkit}/fd')), int(status['Threads']),
                     int(status['VmData'].split()[0]))

    def has_given_back(self, before, clients, kib_each=MOST_KIB):
        """What they took, sooner or later: each of the numbers."""
        most, now = before._replace(kib=before.kib + clients * kib_each), self.holds()
        until = time.monotonic() + GIVING_BACK_S
        while any(n > m for n, m in zip(now, most)) and time.monotonic() < until:
            time.sleep(0.02)
            now = self.holds()
        for name, was, is_now, limit in zip(now._fields, before, now, most):
            assert is_now <= limit, (
                f'{clients} clients left {name} behind: {was} before, {is_now} now')
        return now

    def idle(self, connect):
        """Before any client: the resources without one, after the first ones have been there."""
        start = self.holds()
        for c in [connect() for _ in range(WARM)]:
            c.close()
        return self.has_given_back(start, WARM, kib_each=math.inf)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            os.kill(self.nbdkit, signal.SIGKILL)
            raise
        finally:
            self.process.stdout.close()
            self.stderr.close()
        if kind is not None:
            print(f'what the server said: {self.said()}', file=sys.stderr)
        else:
            assert status == 0, f'serve ended with {status}'
            assert not os.path.exists('nbd.sock'), 'the socket is still there'
            assert not os.path.exists(f'/proc/{self.nbdkit}'), 'nbdkit is still there'
