#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# any-model.py HBAKIT PLUGIN: a model that no table of the bus has, reached by a plug-in over its
# I/O BAR and its pin.
import os
import sys
import unittest

import rig

HBAKIT, PLUGIN = map(os.path.abspath, sys.argv[1:3])
del sys.argv[1:]


class AnyModel(unittest.TestCase):
    def setUp(self):
        self.rig = rig.Rig(HBAKIT, 'am53c974')
        self.rig.image('disk.img', 1)

    def tearDown(self):
        os.chdir('/')
        self.rig.folder.cleanup()

    def test_a_plug_in_needs_no_table(self):
        for model in 'am53c974', 'dc390':
            self.rig.model = model
            r = self.rig.call('scan', self.rig.uri('disk.img'), '--plugin', PLUGIN)
            self.assertIn('driver esp, started', r.stdout)
            self.assertEqual(r.stderr, '')

    def test_a_kind_of_interrupt_that_it_has_not(self):
        r = self.rig.call('scan', self.rig.uri('disk.img', irq='msi'), '--plugin', PLUGIN, status=1)
        self.assertIn('irq=msi: the model offers none of these', r.stderr)

    def test_without_the_plug_in(self):
        r = self.rig.call('scan', self.rig.uri('disk.img'), status=1)
        self.assertIn('there is no driver for chip 1022:2020', r.stderr)


if __name__ == '__main__':
    unittest.main()
