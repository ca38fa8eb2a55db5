#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# check.py HBAKIT MODEL SHAPE: `hbakit check --write` on a machine of that shape, as TAP. What it excuses must be what device-faults.inc
# says of QEMU, all of it; and the disks must be as they were, byte for byte.
import hashlib
import os
import re
import subprocess
import sys

import rig

HBAKIT, MODEL, SHAPE = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
FAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../src/check/device-faults.inc')
MIB = 32
# Drives, options of the URI, of the command.
SHAPES = {
    'one': (['a.img'], {}, []),
    'polled': (['a.img'], {'irq': 'none'}, []),
    'targets': (['a.img', 'b.img,target=5', 'c.img,target=63'], {}, ['-t', '5']),
    'units': (['a.img', 'b.img,target=0,lun=3', 'c.img,target=7,lun=255'], {}, ['-t', '7', '-l', '255']),
    'large-blocks': (['a.img,block=4096'], {}, []),
    'large-blocks-polled': (['a.img,block=4096'], {'irq': 'none'}, []),
    'mixed': (['a.img,block=4096', 'b.img,target=1'], {}, ['-t', '1']),
}


def known():
    """(vendor pattern, test) of QEMU's rows."""
    with open(FAULTS, encoding='ascii') as f:
        return set(re.findall(r'DEVICE_FAULT\("QEMU", "[^"]*", "([^"]+)"', f.read()))


def digests():
    return {name: hashlib.sha256(open(name, 'rb').read()).hexdigest() for name in sorted(os.listdir()) if name.endswith('.img')}


def main():
    drives, options, words = SHAPES[SHAPE]
    r = rig.Rig(HBAKIT, MODEL)
    for seed, drive in enumerate(drives):
        r.image(drive.partition(',')[0], MIB, seed=seed)
    before = digests()
    done = subprocess.run([HBAKIT, 'check', '--write', r.uri(*drives, **options), *words], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, timeout=rig.TIMEOUT_S, check=False)
    plan = re.search(r'^1\.\.(\d+)$', done.stdout, re.M)
    if not plan:
        sys.exit('the check did not begin')
    # The two results of ours come after the command's own.
    print(re.sub(r'^1\.\.\d+$', f'1..{int(plan[1]) + 2}', done.stdout, flags=re.M), end='')
    excused = {name for name in re.findall(r'^not ok \d+ - (.*?) # TODO device: ', done.stdout, re.M)}
    print(f"{'ok' if excused == known() else 'not ok'} {int(plan[1]) + 1} - what is excused is what device-faults.inc says of QEMU")
    print(f"{'ok' if digests() == before else 'not ok'} {int(plan[1]) + 2} - the disks are as they were")
    os.chdir('/')
    r.folder.cleanup()
    return done.returncode


sys.exit(main())
