#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# units.py HBAKIT MODEL: targets and units, as an ordinary user; what is written is in the image,
# and what is in the image is read.
import filecmp
import os
import random
import shutil
import sys
import time
import unittest

import rig

HBAKIT, MODEL = os.path.abspath(sys.argv[1]), sys.argv[2]
del sys.argv[1:]
# The highest target, and where units may be that say so; pvscsi's model has LUN 0 only.
HIGHEST = {'mptsas1068': 7, 'lsi53c895a': 6}.get(MODEL, 63)
UNITS = {'virtio-scsi': [(0, 0), (0, 1), (0, 255), (0, 256), (5, 0), (5, 16383), (255, 1)],
         'mptsas1068': [(0, 0), (0, 1), (3, 1), (5, 0), (7, 0), (7, 1)]}.get(MODEL)


def found(scan):
    return {(t['id'], u['lun']): u for t in scan['targets'] for u in t['luns']}


def as_nobody():
    """How to be nobody: of root's power only. An ordinary user is good as it is."""
    if os.geteuid() != 0:
        return []
    return ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--no-new-privs']


class Units(unittest.TestCase):
    def setUp(self):
        self.rig = rig.Rig(HBAKIT, MODEL)

    def tearDown(self):
        os.chdir('/')
        self.rig.folder.cleanup()

    def copy_for_nobody(self):
        """The command and its library where nobody may read them: a home may be closed."""
        copy = os.path.join(self.rig.folder.name, 'bin')
        shutil.copytree(os.path.dirname(self.rig.hbakit), copy,
                        ignore=lambda d, n: [x for x in n if x != 'hbakit'])
        for name in os.listdir(os.path.join(os.path.dirname(self.rig.hbakit), '..')):
            if name.startswith(
                    'libhbakit.so') and not name.endswith('.p') and not name.endswith('.symbols'):
                shutil.copy(os.path.join(os.path.dirname(self.rig.hbakit), '..', name),
                            os.path.join(copy, name))
        os.environ['LD_LIBRARY_PATH'] = copy
        self.addCleanup(os.environ.pop, 'LD_LIBRARY_PATH')
        os.system(f"chmod -R a+rX '{copy}'")
        return os.path.join(copy, 'hbakit')

    def test_scan_by_an_ordinary_user(self):
        uri = self.rig.uri(self.rig.image('disk.img', 8, seed=1))
        self.rig.hbakit = self.copy_for_nobody()
        began = time.monotonic()
        scan = self.rig.json('scan', uri, prefix=as_nobody())
        print(
            f'{MODEL}: a scan by an ordinary user took {time.monotonic() - began:.2f} s '
            f'(goal: 2 s)',
            file=sys.stderr)
        self.assertEqual(found(scan)[0, 0]['blocks'], 8 * rig.MIB // 512)

    def test_several_targets(self):
        drives = [self.rig.image(f'{i}.img', i + 1) for i in range(4)]
        drives[3] += f',target={HIGHEST}'
        units = found(self.rig.json('scan', self.rig.uri(*drives)))
        self.assertEqual({k: u['blocks']
                          for k, u in units.items()}, {(t, 0): (n + 1) * rig.MIB // 512
                                                       for n, t in enumerate([0, 1, 2, HIGHEST])})

    @unittest.skipUnless(UNITS, 'this model has LUN 0 only')
    def test_several_units(self):
        drives = [
            self.rig.image(f'{n}.img', n + 1) + f',target={t},lun={u}'
            for n, (t, u) in enumerate(UNITS)
        ]
        units = found(self.rig.json('scan', self.rig.uri(*drives)))
        self.assertEqual({k: u['blocks'] for k, u in units.items()},
                         {place: (n + 1) * rig.MIB // 512 for n, place in enumerate(UNITS)})
        # Each is the one it says it is.
        data = self.rig.image('data', 1, seed=9)
        self.rig.call('write', self.rig.uri(*drives), '-i', data, '--verify', '-t', UNITS[-1][0],
                      '-l', UNITS[-1][1])
        written = f'{len(UNITS) - 1}.img'
        self.assertTrue(filecmp.cmp('data', written, shallow=False) is False)
        with open(written, 'rb') as f, open('data', 'rb') as g:
            self.assertEqual(f.read(rig.MIB), g.read())

    @unittest.skipUnless(MODEL.startswith('megasas'), 'this model has no firmware that says so')
    def test_what_the_firmware_says(self):
        self.rig.model += ',hba_serial=SN-1234,sas_address=0x500605b000112233'
        said = self.rig.json('info', self.rig.uri(self.rig.image('a.img',
                                                                 1)))['controller']['properties']
        names = {
            'megasas': ('LSI MegaRAID SAS 8708EM2', '1.70-QEMU', 1000),
            'megasas-gen2': ('LSI MegaRAID SAS 9260-8i', '1.80-QEMU', 1008)
        }
        product, firmware, commands = names[MODEL]
        self.assertEqual(
            {
                **said,
                **{
                    'Vendor Name': 'LSI',
                    'Product Name': product,
                    'Firmware Name': 'APP',
                    'Firmware Version': firmware,
                    'Serial Number': 'SN-1234',
                    'SAS Address': '500605b000112233',
                    'Maximum Commands': commands,
                    'Maximum Segments': 80,
                    'Maximum Transfer Bytes': 80 << 12,
                    'Maximum Logical Drives': 64
                }
            }, said)
        self.assertTrue(said['Product Revision Level'].endswith('-QEMU'))

    @unittest.skipUnless(MODEL.startswith('megasas'), 'this model hands out all disks')
    def test_disks_without_a_logical_drive(self):
        self.rig.model += ',use_jbod=on'
        drives = [
            self.rig.image(f'{n}.img', n + 1) + f',target={t},lun={u}'
            for n, (t, u) in enumerate([(0, 0), (5, 0), (5, 7), (63, 255)])
        ]
        scan = self.rig.json('scan', self.rig.uri(*drives))
        self.assertEqual({k: u['blocks']
                          for k, u in found(scan).items()}, {
                              place: (n + 1) * rig.MIB // 512
                              for n, place in enumerate([(256, 0), (261, 0), (261, 7), (319, 255)])
                          })
        self.assertEqual([t['properties']['SAS Address'][:4] for t in scan['targets']],
                         ['1221'] * 3)

    def test_names_with_commas_and_percent_signs(self):
        for name, said in ('a,b.img', 'a,b.img'), ('a,lun=9',
                                                   'a%2clun=9'), ('a%b&c', 'a%b%26c'), ('100%25',
                                                                                        '100%2525'):
            units = found(self.rig.json('scan', self.rig.uri(self.rig.image(name, 1) and said)))
            self.assertEqual(list(units), [(0, 0)], name)

    def test_drives_that_cannot_be(self):
        self.rig.image('disk.img', 1)
        for said, words in (('none.img', 'No such file'),
                            ('disk.img,target=300',
                             'target 300, lun 0: QEMU refuses it: bad scsi device id: 300'),
                            ('disk.img,lun=x', 'target= and lun= are numbers'),
                            ('disk.img,iops=0', 'iops= is a number'), ('disk.img,rerror=perhaps',
                                                                       'rerror= and werror=')):
            r = self.rig.call('scan', self.rig.uri(said), status=1)
            self.assertIn(words, r.stderr)
            self.assertEqual(len(r.stderr.splitlines()), 1, r.stderr)

    def test_what_is_written_is_in_the_image(self):
        uri = self.rig.uri(self.rig.image('disk.img', 24))
        self.rig.image('data', 24, seed=2)
        done = self.rig.json('write', uri, '-i', 'data', '--verify')
        self.assertEqual(done['verified_bytes'], 24 * rig.MIB)
        self.assertTrue(filecmp.cmp('data', 'disk.img', shallow=False))
        if shutil.which('qemu-img'):
            self.assertIn(
                'identical',
                rig.tool('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', 'data', 'disk.img'))
        self.rig.call('read', uri, '-o', 'copy')
        self.assertTrue(filecmp.cmp('data', 'copy', shallow=False))

    def test_one_and_many_outstanding(self):
        self.rig.image('disk.img', 8)
        for irq in 'auto', 'none':
            for depth in 1, 32:
                done = self.rig.json('bench', self.rig.uri('disk.img', irq=irq), '--rw', 'randrw',
                                     '--bs', '4k', '--depth', depth, '--time', 1, '--verify')
                self.assertEqual(done['errors'], 0, (irq, depth))
                self.assertGreater(done['verified'], 0, (irq, depth))

    def test_a_file_system_survives(self):
        os.mkdir('files')
        for n in range(60):
            with open(f'files/{n}', 'wb') as f:
                f.write(random.Random(n).randbytes(random.Random(n).randrange(200000)))
        rig.tool('mke2fs', '-q', '-t', 'ext4', '-d', 'files', 'made.img', '32M')
        uri = self.rig.uri(self.rig.image('disk.img', 32))
        self.rig.call('write', uri, '-i', 'made.img')
        rig.tool('e2fsck', '-fn', 'disk.img')
        os.mkdir('back')
        rig.tool('debugfs', '-R', 'rdump / back', 'disk.img')
        same, differ, odd = filecmp.cmpfiles('files', 'back', [str(n) for n in range(60)],
                                             shallow=False)
        self.assertEqual((len(same), differ, odd), (60, [], []))


if __name__ == '__main__':
    rig.requires('qemu-system-x86_64', 'mke2fs', 'debugfs', 'setpriv')
    unittest.main()
