#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# clients.py HBAKIT soft|pvscsi|virtio-scsi [long]: programs that others wrote use a disk by NBD,
# and what they wrote is in its image.
import filecmp
import json
import os
import random
import shutil
import sys
import tempfile
import unittest

import server
from server import MIB, call

HBAKIT, KIND = os.path.abspath(sys.argv[1]), sys.argv[2]
SIZE = 256 if 'long' in sys.argv else 32
FILES = 400 if 'long' in sys.argv else 60
del sys.argv[1:3 + ("long" in sys.argv)]
SOFT = KIND == 'soft'


def uri(*images):
    if SOFT:
        return f'soft:{images[0]}'
    places = ['', ',target=1']
    return f'qemu:{KIND}?' + '&'.join(f'drive={image}{place}'
                                      for image, place in zip(images, places))


def make_files(folder):
    os.mkdir(folder)
    for n in range(FILES):
        with open(f'{folder}/{n}', 'wb') as f:
            f.write(random.Random(n).randbytes(random.Random(n).randrange(200000)))


class Clients(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='hbakit-nbd-')
        os.chdir(self.folder.name)
        server.image('disk.img', SIZE)

    def tearDown(self):
        os.chdir('/')
        self.folder.cleanup()

    def serve(self, *options, images=('disk.img',)):
        return server.Server(HBAKIT, uri(*images), *options)

    def test_list_and_info(self):
        with self.serve() as s:
            listed = json.loads(call('nbdinfo', '--list', '--json',
                                     s.about['uri']).stdout)['exports']
            self.assertEqual([e['export-name'] for e in listed], list(s.exports))
            for e in listed:
                self.assertEqual(e['export-size'], SIZE * MIB)
                self.assertEqual((e['block_size_minimum'], e['is_read_only']), (512, False))
                for can in ('can_flush', 'can_fua', 'can_multi_conn', 'can_zero', 'can_fast_zero',
                            'can_trim'):
                    self.assertTrue(e[can], can)
            # One name for the disk, its place, and nothing at all mean the same one.
            name, place = listed[0]['export-name'], s.about['exports'][0]['address']
            for asked in name, place, '':
                self.assertEqual(
                    call('nbdinfo', '--size', f'nbd+unix:///{asked}?socket=nbd.sock').stdout,
                    f'{SIZE * MIB}\n')

    @unittest.skipIf(SOFT, 'a file is one unit')
    def test_each_unit_is_the_one_it_says(self):
        server.image('two.img', 2, seed=2)
        server.image('one.img', 1, seed=1)
        with self.serve(images=('two.img', 'one.img')) as s:
            for e, name in zip(s.about['exports'], ('two.img', 'one.img')):
                call('nbdcopy', e['uri'], 'copy')
                self.assertTrue(filecmp.cmp('copy', name, shallow=False), name)

    def test_names_outlive_the_server(self):
        with self.serve() as s:
            first = list(s.exports)
        with self.serve() as s:
            self.assertEqual(list(s.exports), first)

    def test_nbdcopy_both_ways(self):
        server.image('data', SIZE, seed=1)
        with self.serve() as s:
            call('nbdcopy', '--flush', '--connections=4', '--requests=16', 'data', s.uri)
            self.assertTrue(filecmp.cmp('data', 'disk.img', shallow=False))
            call('nbdcopy', s.uri, 'back')
            self.assertTrue(filecmp.cmp('data', 'back', shallow=False))

    def test_map(self):
        with self.serve() as s:
            call('qemu-io', '-f', 'raw', '-c', 'write -P 7 1M 64k', s.uri)
            extents = json.loads(call('nbdinfo', '--map', '--json', s.uri).stdout)
        self.assertEqual(sum(e['length'] for e in extents), SIZE * MIB)
        self.assertTrue(
            any(e['offset'] <= MIB and MIB + 65536 <= e['offset'] +
                e['length'] and e['description'] == 'data' for e in extents))
        # QEMU's disks do not tell: all of it may be data.
        holes = sum(e['length'] for e in extents if e['description'] == 'hole,zero')
        self.assertEqual(holes, SIZE * MIB - 65536 if SOFT else 0)

    @unittest.skipUnless(SOFT, 'only the software disk has moods to be ordered')
    def test_a_moody_unit(self):
        """Attentions and BUSY are weather: no command of a copy fails for them, the questions about
        holes neither."""
        server.image('data', 2, seed=5)
        os.truncate('data', 4 * MIB)
        for mood in 'attention=5', 'attention=2', 'busy=3':
            with server.Server(HBAKIT, f'soft:ram?size=4M&{mood}') as s:
                for _ in range(3):
                    call('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'data', s.uri)
                    call('qemu-img', 'convert', '-f', 'raw', '-O', 'raw', s.uri, 'back')
                    self.assertTrue(filecmp.cmp('data', 'back', shallow=False), mood)
                    call('nbdcopy', s.uri, 'copy')
                    self.assertTrue(filecmp.cmp('data', 'copy', shallow=False), mood)
                    extents = json.loads(call('nbdinfo', '--map', '--json', s.uri).stdout)
                    self.assertEqual([(e['length'], e['description']) for e in extents],
                                     [(2 * MIB, 'data'), (2 * MIB, 'hole,zero')], mood)

    @unittest.skipUnless(SOFT, 'only the software disk is asked for shorter commands')
    def test_short_cdbs(self):
        """A controller without 16 bytes: whatever is too long for one command goes in several,
        holes are not told."""
        server.image('data', 33, seed=6)
        os.truncate('data', 64 * MIB)
        for most in 10, 12:
            with server.Server(HBAKIT, f'soft:ram?size=64M&max_cdb={most}') as s:
                call('nbdcopy', '--request-size', 32 * MIB, 'data', s.uri)
                call('nbdcopy', '--request-size', 32 * MIB, s.uri, 'back')
                self.assertTrue(filecmp.cmp('data', 'back', shallow=False), most)
                call('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'data', s.uri)
                self.assertIn(
                    'identical',
                    call('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', 'data', s.uri).stdout)
                out = call('qemu-io', '-f', 'raw', '-c', 'write -P 3 0 32M', '-c', 'write -z 0 32M',
                           '-c', 'read -P 0 0 32M', s.uri).stdout
                self.assertNotIn('failed', out)
                self.assertEqual([
                    e['description']
                    for e in json.loads(call('nbdinfo', '--map', '--json', s.uri).stdout)
                ], ['data'])
                self.assertEqual(s.said(), '')

    def test_qemu_img(self):
        server.image('data', SIZE, seed=3)
        with self.serve() as s:
            call('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', 'data', s.uri)
            self.assertIn(
                'identical',
                call('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', 'data', s.uri).stdout)
            call('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', s.uri, 'copy.qcow2')
            self.assertIn(
                'identical',
                call('qemu-img', 'compare', '-F', 'qcow2', '-f', 'raw', s.uri, 'copy.qcow2').stdout)
            call('qemu-io', '-f', 'raw', '-c', 'write -P 1 5M 512', s.uri)
            self.assertIn(
                'mismatch',
                call('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', 'data', s.uri,
                     status=1).stdout)

    def test_qemu_io(self):
        script = [
            'write -P 5 64k 128k', 'read -P 5 64k 128k', 'write -z 96k 4k', 'read -P 0 96k 4k',
            'write -z -u 128k 4k', 'read -P 0 128k 4k', 'write -f -P 6 1M 4k',
            'aio_write -P 8 2M 1M', 'aio_write -z 4M 1M', 'aio_flush', 'read -P 8 2M 1M',
            'read -P 6 1M 4k', 'discard 8M 1M', 'flush', f'write -P 9 {SIZE * MIB - 512} 512'
        ]
        with self.serve() as s:
            out = call('qemu-io', '-f', 'raw', *[w for c in script for w in ('-c', c)],
                       s.uri).stdout
            self.assertNotIn('Pattern verification failed', out)
            out = call('qemu-io', '-f', 'raw', '-c', 'read -P 4 64k 4k', s.uri, status=None).stdout
            self.assertIn('Pattern verification failed', out)
        with open('disk.img', 'rb') as f:
            f.seek(MIB)
            self.assertEqual(f.read(4096), b'\6' * 4096)
            f.seek(-512, os.SEEK_END)
            self.assertEqual(f.read(), b'\t' * 512)

    def test_fio(self):
        with self.serve() as s:
            out = call('fio', '--name=v', '--ioengine=nbd', f'--uri={s.uri}', '--rw=randrw',
                       '--bsrange=512-64k', '--iodepth=32', f'--size={SIZE // 2}M',
                       '--verify=crc32c', '--do_verify=1', '--verify_fatal=1', '--randseed=1',
                       '--output-format=json').stdout
            job = json.loads(out[out.index('{'):])['jobs'][0]
        self.assertEqual(job['error'], 0)
        self.assertGreater(job['write']['total_ios'], 100)
        self.assertGreater(job['read']['total_ios'], 100)

    def test_a_file_system_by_copies(self):
        make_files('files')
        call('mke2fs', '-q', '-t', 'ext4', '-d', 'files', 'made.img', f'{SIZE}M')
        with self.serve() as s:
            call('nbdcopy', '--flush', 'made.img', s.uri)
            call('nbdcopy', s.uri, 'out.img')
            call('e2fsck', '-fn', 'out.img')
            # Changed outside, brought in, and looked at again.
            call('debugfs', '-w', '-R', 'rm 0', 'out.img')
            call('nbdcopy', '--flush', 'out.img', s.uri)
        self.look_at_files('disk.img', gone=1)

    def look_at_files(self, name, gone=0):
        call('e2fsck', '-fn', name)
        os.mkdir('back')
        call('debugfs', '-R', 'rdump / back', name)
        same, differ, odd = filecmp.cmpfiles('files', 'back', [str(n) for n in range(FILES)],
                                             shallow=False)
        self.assertEqual((len(same), len(differ), len(odd)), (FILES - gone, 0, gone))

    @unittest.skipUnless(
        os.access('/dev/fuse', os.W_OK) and os.geteuid() == 0 and shutil.which('nbdfuse'),
        'no FUSE here')
    def test_a_file_system_in_place(self):
        make_files('files')
        os.mkdir('mnt')
        with self.serve() as s:
            fuse = server.subprocess.Popen(['nbdfuse', '-P', 'fuse.pid', 'mnt/nbd', s.uri],
                                           stdin=server.subprocess.DEVNULL,
                                           stdout=server.subprocess.DEVNULL,
                                           stderr=server.subprocess.PIPE, text=True)
            try:
                until = server.time.monotonic() + 20
                while not os.path.exists(
                        'fuse.pid') and fuse.poll() is None and server.time.monotonic() < until:
                    server.time.sleep(0.02)
                if not os.path.exists('fuse.pid'):
                    self.skipTest('FUSE does not mount here')
                call('mke2fs', '-q', '-F', '-t', 'ext4', '-d', 'files', 'mnt/nbd')
                call('e2fsck', '-fn', 'mnt/nbd')
            finally:
                fuse.terminate()
                fuse.communicate(timeout=server.TIMEOUT_S)
        self.look_at_files('disk.img')


if __name__ == '__main__':
    server.requires('nbdkit', 'nbdinfo', 'nbdcopy', 'qemu-img', 'qemu-io', 'fio', 'mke2fs',
                    'debugfs', *([] if SOFT else ['qemu-system-x86_64']))
    unittest.main()
