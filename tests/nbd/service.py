#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# service.py HBAKIT UNIT: serve as a service: what the service manager is told, how seldom an idle
# server wakes, a controller that is lost.
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import server
from server import MIB, READ, call, eventually, has_ended, pull, reply, request, shake_hands

HBAKIT, UNIT = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:3]
IDLE_S = 2
ESHUTDOWN = 108
QEMU = 'qemu-system-x86_64'


def sleeps(pid):
    """How often each thread has gone to sleep so far."""
    found = {}
    for name in glob.glob(f'/proc/{pid}/task/*/status'):
        with open(name, encoding='ascii') as f:
            found[name] = int(
                re.search(r'^voluntary_ctxt_switches:\s*(\d+)', f.read(), re.M).group(1))
    return found


def sleeps_in(pid, seconds):
    before = sleeps(pid)
    time.sleep(seconds)
    return sum(n - before.get(name, 0) for name, n in sleeps(pid).items())


class Manager:
    """In a service manager's place: the socket that NOTIFY_SOCKET names."""

    def __init__(self, name='notify.sock'):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(server.TIMEOUT_S)
        self.socket.bind(name)
        self.heard = []

    def hear(self, wanted):
        while True:
            lines = self.socket.recv(4096).decode().split('\n')
            self.heard += lines
            if wanted in lines:
                return

    def __enter__(self):
        name = self.socket.getsockname()
        os.environ['NOTIFY_SOCKET'] = os.path.abspath(name) if isinstance(
            name, str) else '@' + name[1:].decode()
        return self

    def __exit__(self, *_):
        for name in 'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID':
            os.environ.pop(name, None)
        self.socket.close()


def qemu_of(s):
    """QEMU's process behind the server: its threads may have started it, and each has children of
    its own."""
    for name in glob.glob(f'/proc/{s.nbdkit}/task/*/children'):
        with open(name, encoding='ascii') as f:
            for pid in map(int, f.read().split()):
                with open(f'/proc/{pid}/comm', encoding='ascii') as comm:
                    if comm.read().startswith('qemu'):
                        return pid
    return None


def read_one(client, handle):
    client.sendall(request(READ, 0, 512, handle))
    error, _ = reply(client)
    return error if error else pull(client, 512)


class Service(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='hbakit-nbd-')
        os.chdir(self.folder.name)

    def tearDown(self):
        os.chdir('/')
        self.folder.cleanup()

    def test_the_manager_is_told(self):
        for name in 'notify.sock', '\0manager':
            with Manager(name) as m:
                with server.Server(HBAKIT, 'soft:ram'):
                    m.hear('READY=1')
                    self.assertIn('STATUS=soft:ram is served', m.heard)
                m.hear('STOPPING=1')
                self.assertNotIn('WATCHDOG=1', m.heard)

    def test_ready_means_that_clients_may_come(self):
        with Manager() as m:
            p = subprocess.Popen([HBAKIT, 'serve', 'soft:ram', '--nbd', 'unix:nbd.sock'],
                                 stdout=subprocess.DEVNULL)
            m.hear('READY=1')
            shake_hands().close()
            p.send_signal(signal.SIGTERM)
            self.assertEqual(p.wait(server.TIMEOUT_S), 0)
        with Manager('again.sock') as m:
            call(HBAKIT, 'serve', 'soft:none.img', '--nbd', 'unix:nbd.sock', status=1)
            m.socket.setblocking(False)
            self.assertRaises(BlockingIOError, m.socket.recv, 4096)

    def test_it_is_ready_before_it_is_alive(self):
        with Manager():
            os.environ['WATCHDOG_USEC'] = '300000'
            for _ in range(30):
                with server.Server(HBAKIT, 'soft:ram') as s:
                    self.assertEqual(len(s.about['exports']), 1)

    def test_the_watchdog_is_fed_while_the_loop_goes_round(self):
        with Manager() as m:
            os.environ['WATCHDOG_USEC'] = '300000'
            with server.Server(HBAKIT, 'soft:ram') as s:
                for _ in range(3):
                    m.hear('WATCHDOG=1')
                os.kill(s.nbdkit, signal.SIGSTOP)
                m.socket.settimeout(IDLE_S)
                try:
                    while True:
                        m.socket.recv(4096)
                except TimeoutError:
                    pass
                os.kill(s.nbdkit, signal.SIGCONT)
                m.socket.settimeout(server.TIMEOUT_S)
                m.hear('WATCHDOG=1')

    def test_a_watchdog_of_another_process_is_not_ours(self):
        with Manager() as m:
            os.environ.update(WATCHDOG_USEC='300000', WATCHDOG_PID='1')
            with server.Server(HBAKIT, 'soft:ram'):
                m.hear('READY=1')
            m.hear('STOPPING=1')
            self.assertNotIn('WATCHDOG=1', m.heard)

    def test_idle_it_does_not_wake(self):
        for uri in 'soft:ram', 'soft:disk.img':
            server.image('disk.img', 1)
            with server.Server(HBAKIT, uri) as s:
                client = shake_hands()
                self.assertIsInstance(read_one(client, 1), bytes)
                self.assertTrue(eventually(lambda s=s: sleeps_in(s.nbdkit, IDLE_S) == 0), 'nbdkit')
                self.assertEqual(sleeps_in(s.process.pid, IDLE_S), 0)
                # And yet it is all there.
                self.assertIsInstance(read_one(client, 2), bytes)
                client.close()

    def lose(self, s):
        pid = qemu_of(s)
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(eventually(lambda: has_ended(pid)))

    def test_a_lost_controller_ends_the_server(self):
        if not shutil.which(QEMU):
            self.skipTest(f'there is no {QEMU}')
        server.image('disk.img', 1)
        s = server.Server(HBAKIT, 'qemu:pvscsi?drive=disk.img')
        client = shake_hands()
        self.lose(s)
        self.assertEqual(s.process.wait(server.TIMEOUT_S), 1)
        self.assertRegex(s.said(), r'hbakit: qemu:pvscsi\?drive=disk\.img: .*; the server ends\n')
        self.assertFalse(os.path.exists('nbd.sock'))
        self.assertTrue(has_ended(s.nbdkit))
        client.close()
        s.process.stdout.close()
        s.stderr.close()

    def test_a_lost_controller_is_opened_again(self):
        if not shutil.which(QEMU):
            self.skipTest(f'there is no {QEMU}')
        server.image('disk.img', 1, seed=5)
        with open('disk.img', 'rb') as f:
            data = f.read(512)
        with server.Server(HBAKIT, 'qemu:pvscsi?drive=disk.img', '--reopen=2') as s:
            client = shake_hands()
            self.assertEqual(read_one(client, 1), data)
            for times in 1, 2:
                self.lose(s)
                self.assertEqual(read_one(client, 2), ESHUTDOWN)
                self.assertTrue(
                    eventually(
                        lambda times=times: s.said().count('opened again, and served') == times),
                    s.said())
                # The same connection, the same disk.
                self.assertEqual(read_one(client, 3), data)
            # Another size is another disk, for those who have come before.
            os.truncate('disk.img', 2 * MIB)
            self.lose(s)
            self.assertTrue(eventually(lambda: s.said().count('opened again, and served') == 3),
                            s.said())
            self.assertEqual(read_one(client, 4), ESHUTDOWN)
            self.assertIn('since the controller was opened again, this disk is not there', s.said())
            client.close()
            client = shake_hands()
            self.assertEqual(read_one(client, 5), data)
            client.close()

    def test_it_can_be_ended_while_it_waits_to_open_again(self):
        if not shutil.which(QEMU):
            self.skipTest(f'there is no {QEMU}')
        server.image('disk.img', 1)
        with server.Server(HBAKIT, 'qemu:pvscsi?drive=disk.img', '--reopen') as s:
            os.rename('disk.img', 'away')
            self.lose(s)
            self.assertTrue(eventually(lambda: 'opened again in 2 s' in s.said()), s.said())
            self.assertRaises(AssertionError, shake_hands)

    def test_the_unit_file_is_good(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('there is no systemd-analyze')
        with open(UNIT, encoding='utf-8') as f:
            text = f.read()
        self.assertRegex(text, r'(?m)^Type=notify$')
        self.assertRegex(text, r'(?m)^WatchdogSec=\d+$')
        program = re.search(r'(?m)^ExecStart=(\S+) serve ', text).group(1)
        with open('hbakit@.service', 'w', encoding='utf-8') as f:
            f.write(text.replace(program, HBAKIT))
        r = call('systemd-analyze', 'verify', '--man=no', './hbakit@disk.service', status=None)
        self.assertEqual((r.returncode, r.stderr), (0, ''))
        with open('hbakit@.service', 'a', encoding='utf-8') as f:
            f.write('[Service]\nNoSuchSetting=1\n')
        self.assertIn(
            'NoSuchSetting',
            call('systemd-analyze', 'verify', '--man=no', './hbakit@disk.service',
                 status=None).stderr)


if __name__ == '__main__':
    server.requires('nbdkit')
    unittest.main()
