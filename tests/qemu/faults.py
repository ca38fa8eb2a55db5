#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# faults.py HBAKIT MODEL: every row of faults.txt ends as it says there.
import json
import os
import sys
import unittest

import rig

HBAKIT, MODEL = os.path.abspath(sys.argv[1]), sys.argv[2]
del sys.argv[1:]
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'faults.txt')
RESPONSES = {'TASK_COMPLETE': 2}
STATUSES = {'GOOD': 0x00, 'CHECK_CONDITION': 0x02}
EIO, ENOSPC = 5, 28


def rows():
    with open(TABLE, encoding='ascii') as f:
        lines = [line.split() for line in f if line.strip() and not line.startswith('#')]
    return [words for words in lines if words[0] != 'out']  # those are trouble.c's


def with_error(event, errno):
    return 'json:' + json.dumps(
        {
            'driver': 'blkdebug',
            'image': {
                'driver': 'file',
                'filename': 'disk.img'
            },
            'inject-error': [{
                'event': event,
                'errno': errno,
                'sector': 200
            }]
        }, separators=(',', ':'))


def disk(kind):
    return {
        'good': 'disk.img',
        'limited': 'disk.img,iops=4',
        'slow':
        'json:{"driver":"null-co","size":1048576,"read-zeroes":true,"latency-ns":333000000}',
        'eio-read': with_error('read_aio', EIO),
        'eio-write': with_error('write_aio', EIO),
        'full': with_error('write_aio', ENOSPC),
    }[kind]


class Faults(unittest.TestCase):
    def setUp(self):
        self.rig = rig.Rig(HBAKIT, MODEL)
        self.rig.image('disk.img', 1, seed=3)

    def tearDown(self):
        os.chdir('/')
        self.rig.folder.cleanup()

    def test_every_row(self):
        self.assertGreater(len(rows()), 5)
        for fault, kind, command, response, status, sense in rows():
            with self.subTest(fault):
                cdb = command[2:]
                length = int(cdb[14:18], 16) * 512
                with open('data', 'wb') as f:
                    f.write(bytes(length))
                data = [] if not length else ['--in', length
                                              ] if command.startswith('<-') else ['--out', 'data']
                kind, _, place = kind.partition('@')
                target, _, lun = (place or '0:0').partition(':')
                call = self.rig.call('cdb', self.rig.uri(disk(kind)), cdb, *data, '--json', '-t',
                                     target, '-l', lun, status=None)
                if response == 'NO_UNIT':
                    self.assertEqual((call.returncode, call.stdout, len(call.stderr.splitlines())),
                                     (1, '', 1))
                    self.assertIn('there is no unit', call.stderr)
                    continue
                done = json.loads(call.stdout)
                self.assertEqual(done['service_response'], RESPONSES[response])
                self.assertEqual(done['status'], STATUSES[status], done)
                if sense != '-':
                    s = done['sense']
                    self.assertEqual(f"{s['key']:02x}/{s['asc']:02x}/{s['ascq']:02x}", sense)


if __name__ == '__main__':
    unittest.main()
