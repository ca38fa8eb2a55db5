#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# flush.py HBAKIT FAILING_FS: after one flush has failed, all fail, of every client, until the disk
# is opened again.
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import server
from server import call

HBAKIT, FAILING_FS = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]

OPTION, CLIENT_FLAGS, OPT_GO, ACKNOWLEDGED = 0x49484156454F5054, 3, 7, 1
REQUEST, READ, WRITE, FLUSH, FUA = 0x25609513, 0, 1, 3, 1
EIO, BLOCK = 5, 4096


class Client:
    """A bare one: each command is asked and answered before the next."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(server.TIMEOUT_S)
        self.socket.connect('nbd.sock')
        self.pull(18)
        data = struct.pack('>IH', 0, 0)
        self.socket.sendall(struct.pack('>IQII', CLIENT_FLAGS, OPTION, OPT_GO, len(data)) + data)
        kind = 0
        while kind != ACKNOWLEDGED:
            _, _, kind, length = struct.unpack('>QIII', self.pull(20))
            self.pull(length)
            assert kind < 1 << 31, f'refused: {kind:x}'

    def pull(self, n):
        data = b''
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            assert more, 'the server hung up'
            data += more
        return data

    def ask(self, kind, flags=0, offset=0, length=0):
        """The error of the answer."""
        data = b'x' * length if kind == WRITE else b''
        self.socket.sendall(struct.pack('>IHHQQI', REQUEST, flags, kind, 1, offset, length) + data)
        _, error, _ = struct.unpack('>IIQ', self.pull(16))
        if kind == READ and error == 0:
            self.pull(length)
        return error

    def flush(self):
        return self.ask(FLUSH)

    def close(self):
        self.socket.close()


class Flush(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='hbakit-flush-')
        os.chdir(self.folder.name)
        server.image('image', 1)
        os.mkdir('fs')
        self.fs = subprocess.Popen([FAILING_FS, 'image', 'fs'], stdin=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + server.TIMEOUT_S
        while not os.path.ismount('fs') and self.fs.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if self.fs.poll() is not None:
            self.skipTest(
                f'no FUSE file system can be mounted here: {self.fs.stderr.read().strip()}')

    def tearDown(self):
        self.fs.terminate()
        self.fs.wait(server.TIMEOUT_S)
        self.fs.stderr.close()
        os.chdir('/')
        self.folder.cleanup()

    def fail_next(self):
        with open('fs/fail', 'wb', buffering=0) as f:
            f.write(b'1')

    def test_two_connections(self):
        with server.Server(HBAKIT, 'soft:fs/disk.img') as s:
            a, b = Client(), Client()
            self.assertEqual([a.ask(WRITE, length=BLOCK), a.flush(), b.flush()], [0, 0, 0])
            self.fail_next()
            self.assertEqual(a.ask(WRITE, length=BLOCK), 0)
            self.assertEqual(b.flush(), EIO)
            late = Client()
            for client in a, b, late:
                self.assertEqual([client.flush(), client.flush()], [EIO, EIO])
                self.assertEqual(client.ask(WRITE, FUA, length=BLOCK), EIO)
                self.assertEqual([client.ask(WRITE, length=BLOCK),
                                  client.ask(READ, length=BLOCK)], [0, 0])
                client.close()
            # The keeper of the loop prints events, some time later.
            until = time.monotonic() + server.TIMEOUT_S
            while 'a flush failed' not in s.said() and time.monotonic() < until:
                time.sleep(0.02)
            said = s.said()
        self.assertEqual(said.count('fs/disk.img: a flush failed (Input/output error)'), 1, said)
        self.assertIn('close this disk and open it again', said)
        with server.Server(HBAKIT, 'soft:fs/disk.img'):
            a = Client()
            self.assertEqual([a.ask(WRITE, length=BLOCK), a.flush()], [0, 0])
            a.close()

    def test_fua_write_that_fails(self):
        with server.Server(HBAKIT, 'soft:fs/disk.img'):
            a, b = Client(), Client()
            self.fail_next()
            self.assertEqual(a.ask(WRITE, FUA, length=BLOCK), EIO)
            self.assertEqual([a.flush(), b.flush()], [EIO, EIO])
            a.close()
            b.close()

    def test_hbakit_write_fails(self):
        server.image('data', 1, seed=9)
        self.fail_next()
        r = call(HBAKIT, 'write', 'soft:fs/disk.img', '-i', 'data', status=1)
        self.assertIn('SYNCHRONIZE CACHE', r.stderr)
        call(HBAKIT, 'write', 'soft:fs/disk.img', '-i', 'data')


if __name__ == '__main__':
    server.requires('nbdkit')
    result = unittest.main(exit=False).result
    sys.exit(server.SKIPPED if result.skipped else not result.wasSuccessful())
