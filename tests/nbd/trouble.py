#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# trouble.py HBAKIT SICK [long]: clients that ask wrongly, vanish, or are a thousand; servers that
# cannot be. Words, nothing lost, nothing leaked.
import os
import re
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
import unittest

import server
from server import MIB, READ, WRITE, call, eventually, has_ended, pull, reply, request, shake_hands

HBAKIT = os.path.abspath(sys.argv[1])
PLUGIN = f'{os.path.dirname(HBAKIT)}/../frontends/nbd/nbdkit-hbakit-plugin.so'
CONNECTIONS = 1000
LOW_LIMIT = 64
VIOLATIONS, AT_ONCE, WHOLE = 10000, 50, 10
VANISHING = 500 if 'long' in sys.argv else 100
SICK = os.path.abspath(sys.argv[2])
del sys.argv[1:3 + ("long" in sys.argv)]


class Trouble(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='hbakit-nbd-')
        os.chdir(self.folder.name)

    def tearDown(self):
        os.chdir('/')
        self.folder.cleanup()

    def test_words_for_servers_that_cannot_be(self):
        server.image('disk.img', 1)
        with open('file', 'w', encoding='ascii'):
            pass
        for status, words, said in ((2, [
                'soft:disk.img'
        ], 'no place to serve: add --nbd unix:PATH or --nbd tcp:HOST:PORT'), (2, [
                'soft:disk.img', '--nbd', 'nbd.sock'
        ], '--nbd nbd.sock: write unix:PATH or tcp:HOST:PORT'), (2, [
                'soft:disk.img', '--nbd', 'tcp:port'
        ], '--nbd tcp:port: write tcp:HOST:PORT'), (2, [
                'soft:disk.img', '--nbd', 'tcp:localhost:65536'
        ], 'write tcp:HOST:PORT'), (2, [
                'soft:disk.img', '--nbd', 'unix:' + 'x' * 108
        ], "a socket's path has 1 to 107 characters"), (2, [
                'soft:disk.img', '--nbd', 'unix:a', '--threads', '0'
        ], '--threads 0: from 1 to 1024'), (1, [
                'soft:disk.img', '--nbd', 'unix:none/a'
        ], 'none/a: cannot listen there: No such file or directory'), (1, [
                'soft:disk.img', '--nbd', 'unix:file'
        ], 'file: there is a file of that name, and it is no socket'), (1, [
                'soft:disk.img', '--nbd', 'tcp:192.0.2.1:0'
        ], 'cannot listen there'), (1, [
                'soft:none.img', '--nbd', 'unix:a'
        ], 'soft:none.img: cannot open none.img: No such file or directory'), (1, [
                'floppy:a', '--nbd', 'unix:a'
        ], "no driver has 'floppy:'"), (1, ['soft:null?fill=none', '--nbd',
                                            'unix:a'], 'it is for measuring, not for serving'),
                                    (1, ['soft:ram?max_cdb=6', '--nbd',
                                         'unix:a'], 'it has no unit that NBD supports')):
            r = call(HBAKIT, 'serve', *words, status=status)
            self.assertIn(said, r.stderr)
            self.assertEqual(len(r.stderr.splitlines()), 1, r.stderr)
            self.assertFalse(os.path.exists('a'))
        self.assertTrue(os.path.exists('file'))
        r = call(HBAKIT, 'serve', 'soft:disk.img', '--nbd', 'unix:a', status=1,
                 env={'PATH': '/nowhere'})
        self.assertIn(
            'nbdkit cannot be started: No such file or directory; it is in the package nbdkit',
            r.stderr)

    def test_a_build_of_the_command_alone_has_no_plug_in(self):
        alone = shutil.copy(HBAKIT, 'hbakit')
        with open(alone, 'rb') as f:
            installed = re.search(rb'(/[^\0]*/nbdkit/plugins)/?; `make build', f.read()).group(1)
        if os.path.exists(f'{os.fsdecode(installed)}/nbdkit-hbakit-plugin.so'):
            self.skipTest('the plug-in is installed')
        library = os.path.dirname(os.path.dirname(HBAKIT))
        r = call(os.path.abspath(alone), 'serve', 'soft:ram', '--nbd', 'unix:a', status=1, env={
            **os.environ, 'LD_LIBRARY_PATH': library
        })
        self.assertIn("; `make build' builds it, if nbdkit-plugin-dev is installed", r.stderr)

    def test_a_socket_in_use_and_one_left_behind(self):
        with server.Server(HBAKIT, 'soft:ram') as s:
            r = call(HBAKIT, 'serve', 'soft:ram', '--nbd', 'unix:nbd.sock', status=1)
            self.assertIn('nbd.sock: a server listens there already', r.stderr)
            self.assertEqual(call('nbdinfo', '--size', s.uri).stdout, f'{64 * MIB}\n')
        left = socket.socket(socket.AF_UNIX)
        left.bind('nbd.sock')
        left.close()
        with server.Server(HBAKIT, 'soft:ram') as s:
            self.assertEqual(call('nbdinfo', '--size', s.uri).stdout, f'{64 * MIB}\n')

    def test_tcp(self):
        with server.Server(HBAKIT, 'soft:ram', where='tcp:127.0.0.1:0') as s:
            self.assertRegex(s.uri, r'^nbd://127\.0\.0\.1:[1-9][0-9]*/')
            self.assertEqual(call('nbdinfo', '--size', s.uri).stdout, f'{64 * MIB}\n')

    def test_tcp_is_this_machine_alone_unless_told_otherwise(self):
        for where in 'tcp:0', 'tcp::0':
            with server.Server(HBAKIT, 'soft:ram', where=where) as s:
                port = int(re.match(r'^nbd://localhost:([1-9][0-9]*)/', s.uri).group(1))
                self.assertEqual(call('nbdinfo', '--size', s.uri).stdout, f'{64 * MIB}\n')
                with open('/proc/net/tcp',
                          encoding='ascii') as f, open('/proc/net/tcp6', encoding='ascii') as g:
                    bound = [
                        line.split()[1]
                        for line in (*f, *g)
                        if f':{port:04X} ' in line.split(' 0A ')[0] + ' '
                    ]
                self.assertTrue(
                    all(
                        b.startswith(('0100007F:', '00000000000000000000000001000000:'))
                        for b in bound), bound)
                self.assertEqual(s.said(), '')
        for where in 'tcp:0.0.0.0:0', 'tcp:[::]:0':
            with server.Server(HBAKIT, 'soft:ram', where=where) as s:
                self.assertRegex(s.uri, rf'^nbd://{re.escape(socket.gethostname())}:[1-9][0-9]*/')
                self.assertEqual(
                    s.said(),
                    f'hbakit: --nbd {where}: every network of this machine can reach it, and NBD '
                    f'has no passwords\n'
                )

    def test_a_wrong_name(self):
        with server.Server(HBAKIT, 'soft:ram') as s:
            r = call('nbdinfo', 'nbd+unix:///nope?socket=nbd.sock', status=1)
            self.assertIn('No such file or directory for export: nope', r.stderr)
            self.assertIn("there is no unit 'nope'", s.said())

    def test_read_only(self):
        for uri, options in ('soft:disk.img', ['--read-only']), ('soft:disk.img?readonly=1', []):
            server.image('disk.img', 1, seed=4)
            with server.Server(HBAKIT, uri, *options) as s:
                self.assertEqual(call('nbdinfo', '--is', 'readonly', s.uri).stdout, '')
                call('nbdcopy', s.uri, 'copy')
                r = call('nbdcopy', 'copy', s.uri, status=1)
                self.assertIn('read-only', r.stderr)
                with shake_hands() as c:
                    c.sendall(request(WRITE, 0, 512) + b'x' * 512)
                    self.assertEqual(reply(c), (1, 1))  # NBD_EPERM
            with open('disk.img', 'rb') as f, open('copy', 'rb') as g:
                self.assertEqual(f.read(), g.read())

    def test_past_the_end_and_off_the_blocks(self):
        with server.Server(HBAKIT, 'soft:ram?size=1M&block=4096') as s:
            self.assertEqual(s.about['exports'][0]['block_size'], 4096)
            self.assertIn('block_size_minimum: 4096', call('nbdinfo', s.uri).stdout)
            for kind, offset, length, error in ((READ, MIB - 4096, 8192, 22),
                                                (WRITE, MIB, 4096, 28), (READ, 1 << 63, 4096, 22),
                                                (READ, 512, 512, 22), (WRITE, 0, 4097,
                                                                       22), (READ, 0, 4096, 0)):
                with shake_hands() as c:
                    c.sendall(
                        request(kind, offset, length) + (b'x' * length if kind == WRITE else b''))
                    self.assertEqual(reply(c), (error, 1), (kind, offset, length))
            self.assertIn('not whole blocks', s.said())

    def test_a_medium_error_is_an_error(self):
        server.image('disk.img', 4)
        with server.Server(HBAKIT, 'soft:disk.img') as s:
            os.truncate('disk.img', MIB)
            with shake_hands() as c:
                c.sendall(request(READ, 2 * MIB, 4096))
                self.assertEqual(reply(c), (5, 1))  # NBD_EIO
                c.sendall(request(READ, 0, 4096))
                self.assertEqual(reply(c), (0, 1))
            self.assertRegex(
                s.said(),
                r'read of 4096 bytes at 2097152: the medium or the target failed; sense f0 00 03')

    def test_ten_thousand_violations_are_few_lines_and_a_count(self):
        start = time.monotonic()
        with server.Server(HBAKIT, 'sick:break', '--plugin', SICK) as s, shake_hands() as c:
            for _ in range(VIOLATIONS // AT_ONCE):
                c.sendall(request(READ, 0, 512) * AT_ONCE)
                for _ in range(AT_ONCE):
                    self.assertEqual(reply(c), (0, 1))
                    pull(c, 512)
        with open('serve.log', encoding='utf-8') as f:
            lines = [
                line for line in f if 'sick:break: driver sick, process_task: hba_complete' in line
            ]
            f.seek(0)
            last = re.search(
                r'sick:break: (\d+) such in all, (\d+) of them told; the first: driver sick, '
                r'process_task: ',
                f.read())
        # The first ten, then no more than one a second, however long it took.
        self.assertGreaterEqual(len(lines), WHOLE)
        self.assertLessEqual(len(lines), WHOLE + 1 + time.monotonic() - start)
        self.assertTrue(last, lines)
        self.assertEqual(int(last.group(1)), VIOLATIONS)
        self.assertEqual(int(last.group(2)), len(lines))

    def test_clients_that_vanish(self):
        with server.Server(HBAKIT, 'soft:ram?latency_us=2000&tasks=8') as s:
            before = s.idle(shake_hands)
            with shake_hands() as c:
                c.sendall(request(WRITE, 0, 4096) + b'k' * 4096)
                self.assertEqual(reply(c), (0, 1))
            for n in range(VANISHING):
                c = shake_hands()
                # Requests unanswered, one whose data do not come, one that is cut in the middle.
                c.sendall(b''.join(request(READ, i * MIB, 65536, handle=i) for i in range(20)))
                c.sendall((request(WRITE, MIB, 65536) + b'x' * 100, request(READ, 0,
                                                                            512)[:11], b'')[n % 3])
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                c.close()
            s.has_given_back(before, VANISHING)
            # All tasks are back: more are out at once than there are, and all are answered.
            with shake_hands() as c:
                c.sendall(b''.join(request(READ, 0, 4096, handle=i) for i in range(64)))
                for _ in range(64):
                    self.assertEqual(reply(c)[0], 0)
                    self.assertEqual(pull(c, 4096), b'k' * 4096)

    def test_a_thousand_connections(self):
        with server.Server(HBAKIT, 'soft:ram?tasks=16') as s:
            before = s.idle(shake_hands)
            clients = [shake_hands() for _ in range(CONNECTIONS)]
            for i, c in enumerate(clients):
                c.sendall(request(WRITE, i * 512, 512) + struct.pack('>I', i) * 128)
            for c in clients:
                self.assertEqual(reply(c), (0, 1))
            for i, c in enumerate(reversed(clients)):
                c.sendall(request(READ, i * 512, 512))
            for i, c in enumerate(reversed(clients)):
                self.assertEqual(reply(c), (0, 1))
                self.assertEqual(pull(c, 512), struct.pack('>I', i) * 128)
            self.assertGreater(s.holds().descriptors, CONNECTIONS)
            for c in clients:
                c.close()
            s.has_given_back(before, CONNECTIONS)

    def test_more_clients_than_the_soft_limit_of_descriptors(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 4 * LOW_LIMIT:
            self.skipTest(f'the hard limit is {hard} open files')
        resource.setrlimit(resource.RLIMIT_NOFILE, (LOW_LIMIT, hard))
        try:
            s = server.Server(HBAKIT, 'soft:ram')
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with s:
            clients = [shake_hands() for _ in range(2 * LOW_LIMIT)]
            for c in clients:
                c.sendall(request(READ, 0, 512))
            for c in clients:
                self.assertEqual(reply(c), (0, 1))
                c.close()
            self.assertNotIn('Too many open files', s.said())

    def in_the_background(self, uri, **named):
        return call('nbdkit', '-U', 'nbd.sock', '-P', 'nbdkit.pid', PLUGIN, f'uri={uri}', **named)

    def test_nbdkit_alone_goes_into_the_background(self):
        server.image('disk.img', 1)
        server.image('data', 1, seed=7)
        self.in_the_background('soft:disk.img')
        self.assertTrue(
            eventually(lambda: os.path.exists('nbdkit.pid') and os.path.getsize('nbdkit.pid')))
        with open('nbdkit.pid', encoding='ascii') as f:
            pid = int(f.read())
        try:
            call('nbdcopy', '--flush', 'data', 'nbd+unix:///?socket=nbd.sock')
        finally:
            os.kill(pid, signal.SIGTERM)
            self.assertTrue(eventually(lambda: has_ended(pid)))
        with open('disk.img', 'rb') as f, open('data', 'rb') as g:
            self.assertEqual(f.read(), g.read())

    def test_nbdkit_alone_says_why_not(self):
        for uri, said in (('soft:none.img', 'cannot open none.img: No such file or directory'),
                          ('floppy:a', "no driver has 'floppy:'"),
                          ('soft:null?fill=none', 'it is for measuring, not for serving')):
            self.assertIn(said, self.in_the_background(uri, status=1).stderr)
            self.assertFalse(os.path.exists('nbdkit.pid'))

    def test_a_client_that_sits_there_does_not_stop_the_end(self):
        with server.Server(HBAKIT, 'soft:ram'):
            c = shake_hands()
        c.close()

    def test_the_server_dies_with_its_parent(self):
        s = server.Server(HBAKIT, 'soft:ram')
        s.process.kill()
        s.process.wait()
        self.assertTrue(eventually(lambda: not os.path.exists(f'/proc/{s.nbdkit}')))
        s.process.stdout.close()
        s.stderr.close()
        # What it left behind is nobody's, and no obstacle.
        self.assertTrue(os.path.exists('nbd.sock'))
        with server.Server(HBAKIT, 'soft:ram'):
            pass

    def test_nbdkit_that_dies_is_told_of(self):
        s = server.Server(HBAKIT, 'soft:ram')
        os.kill(s.nbdkit, signal.SIGKILL)
        self.assertEqual(s.process.wait(server.TIMEOUT_S), 1)
        self.assertTrue(re.search('nbdkit was ended by Killed', s.said()))
        self.assertFalse(os.path.exists('nbd.sock'))
        s.process.stdout.close()
        s.stderr.close()


if __name__ == '__main__':
    server.requires('nbdkit', 'nbdinfo', 'nbdcopy')
    unittest.main()
