#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# hostile.py HBAKIT HOSTILE.SO [NBD]: whatever a device, a driver, a client or a file's name holds,
# no command prints anything that a terminal
# obeys: on neither output is there a control but the end of a line, nor anything that is no UTF-8.
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile

HBAKIT, PLUGIN = map(os.path.abspath, sys.argv[1:3])
TIMEOUT_S = 120
# As TEXT in hostile.c, but for the end of a string.
TEXT = b'\033[31m\nfake\r\x9b\xc2\x9b\xff\a'
HARMFUL = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]')
URI = 'hostile:x'
COMMANDS = [
    ['drivers', '--plugin', PLUGIN],
    ['drivers', '--plugin', PLUGIN, 'hostile'],
    ['scan', '--plugin', PLUGIN, URI],
    ['scan', '-v', '--plugin', PLUGIN, URI],
    ['info', '--plugin', PLUGIN, URI],
    ['inquiry', '--plugin', PLUGIN, URI],
    ['inquiry', '--plugin', PLUGIN, URI, '-p', '0x80'],
    ['inquiry', '--plugin', PLUGIN, URI, '-p', '0'],
    ['cdb', '--plugin', PLUGIN, URI, '--in', '96', '120000006000'],
    ['read', '--plugin', PLUGIN, URI, '-o', b'out' + TEXT],
    ['write', '--plugin', PLUGIN, URI, '-i', b'none' + TEXT],
    ['bench', '--plugin', PLUGIN, URI, '--time', '1'],
    ['check', '--plugin', PLUGIN, URI],
    ['scan', '--plugin', PLUGIN, 'hostile:fails'],
    ['drivers', TEXT],
    [TEXT],
    ['scan', TEXT],
    ['scan', b'soft:' + TEXT],
    ['scan', b'soft:disk' + TEXT],
    ['read', b'soft:disk' + TEXT, '-o', b'disk' + TEXT],
    ['scan', b'soft:ram?' + TEXT + b'=1'],
    ['scan', b'soft:ram?size=' + TEXT],
    ['scan', b'--' + TEXT],
    ['scan', 'soft:ram', TEXT],
    ['inquiry', 'soft:ram', '-l', TEXT],
    ['bench', 'soft:ram', '--rw', TEXT],
    ['cdb', 'soft:ram', TEXT],
    ['scan', '--plugin', TEXT, 'soft:ram'],
    ['serve', 'soft:ram', '--nbd', TEXT],
    ['serve', 'soft:ram', '--nbd', b'unix:/none/' + TEXT],
    ['serve', 'soft:ram', '--nbd', b'tcp:' + TEXT + b':1'],
]


def look(what, output):
    text = output.decode('utf-8')  # or it is no UTF-8
    found = HARMFUL.search(text)
    assert not found, f'{what}: {text[max(0, found.start() - 40):found.end() + 20]!r}'
    assert '\nfake' not in text, f'{what}: a line of its own: {text!r}'


def run(command):
    r = subprocess.run([HBAKIT, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    assert r.returncode in (0, 1, 2), f'{command}: {r.returncode}'
    look(f'{command}: standard output', r.stdout)
    look(f'{command}: standard error', r.stderr)
    return r


def ask_for(name):
    """A client that wants an export of this name."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIMEOUT_S)
    s.connect('nbd.sock')
    s.recv(18, socket.MSG_WAITALL)
    data = struct.pack('>I', len(name)) + name + struct.pack('>H', 0)
    s.sendall(struct.pack('>IQII', 3, 0x49484156454F5054, 7, len(data)) + data)
    assert struct.unpack('>QIII', s.recv(20,
                                         socket.MSG_WAITALL))[2] >> 31, 'there is such an export'
    s.close()


def serve():
    with open('said', 'wb') as said:
        p = subprocess.Popen(
            [HBAKIT, 'serve', '--plugin', PLUGIN, URI, '--verbose', '--nbd', 'unix:nbd.sock'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        first = p.stdout.readline()
        ask_for(TEXT.replace(b'\xff', b'').replace(b'\x9b', b''))
        ask_for(TEXT)
        p.send_signal(signal.SIGINT)
        rest = p.stdout.read()
        p.stdout.close()
        assert p.wait(TIMEOUT_S) == 0
    look('serve: standard output', first + rest)
    with open('said', 'rb') as f:
        text = f.read()
    look('serve: standard error', text)
    assert b'there is no unit' in text, text


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open(b'disk' + TEXT, 'wb') as f:
            f.write(bytes(1 << 20))
        for command in COMMANDS:
            run(command)
            if command[0] in ('drivers', 'scan', 'info', 'inquiry', 'cdb', 'check'):
                r = run([*command, '--json'])
                assert r.returncode or json.loads(r.stdout)
        # What is no harm stays: a name in UTF-8.
        with open('größe.img', 'wb') as f:
            f.write(bytes(1 << 20))
        assert 'soft:größe.img  driver soft'.encode() in run(['scan', 'soft:größe.img']).stdout
        # A device sends more than its data are long by their own account.
        assert 'x' * 8 not in run(['inquiry', '--plugin', PLUGIN, URI]).stdout.decode()
        assert '7878' not in json.loads(
            run(['inquiry', '--plugin', PLUGIN, URI, '-p', '0x80', '--json']).stdout)['bytes']
        if 'nbd' in sys.argv[3:]:
            serve()
        os.chdir('/')
    print(f'{len(COMMANDS)} commands')


main()
