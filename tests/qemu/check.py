#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# check.py HBAKIT MODEL SHAPE: `hbakit check --write` on a machine of that shape, as TAP. What it
# excuses must be what device-faults.inc
# says of QEMU, all of it; and the disks must be as they were, byte for byte.
import hashlib
import os
import re
import subprocess
import sys

import rig

HBAKIT, MODEL, SHAPE = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
FAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      '../../src/check/device-faults.inc')
MIB = 32
# Drives, options of the URI, of the command.
SHAPES = {
    'one': (['a.img'], {}, []),
    'polled': (['a.img'], {
        'irq': 'none'
    }, []),
    'intx': (['a.img'], {
        'irq': 'intx'
    }, []),
    'msi': (['a.img'], {
        'irq': 'msi'
    }, []),
    'targets': (['a.img', 'b.img,target=5', 'c.img,target=63'], {}, ['-t', '5']),
    'units': (['a.img', 'b.img,target=0,lun=3',
               'c.img,target=7,lun=255'], {}, ['-t', '7', '-l', '255']),
    # Eight targets of two units each: what mptsas1068 has.
    'few-targets': (['a.img', 'b.img,target=5', 'c.img,target=7'], {}, ['-t', '5']),
    'few-units': (['a.img', 'b.img,target=0,lun=1',
                   'c.img,target=7,lun=1'], {}, ['-t', '7', '-l', '1']),
    # What lsi53c895a has: its own id is 7.
    'seven-targets': (['a.img', 'b.img,target=5', 'c.img,target=6'], {}, ['-t', '5']),
    'large-blocks': (['a.img,block=4096'], {}, []),
    'large-blocks-polled': (['a.img,block=4096'], {
        'irq': 'none'
    }, []),
    'mixed': (['a.img,block=4096', 'b.img,target=1'], {}, ['-t', '1']),
    'jbod': (['a.img', 'b.img,target=5', 'c.img,target=5,lun=3'], {}, ['-t', '261', '-l', '3']),
    'jbod-polled': (['a.img', 'b.img,target=63'], {
        'irq': 'none'
    }, ['-t', '319']),
    '4-queues': (['a.img'], {}, []),
    '16-queues-polled': (['a.img'], {
        'irq': 'none'
    }, []),
}
QUEUES = int(SHAPE.partition('-queues')[0]) if '-queues' in SHAPE else 1
# What of the model is not as usual.
PROPERTY = f',num_queues={QUEUES}' if QUEUES > 1 else ',use_jbod=on' if SHAPE.startswith(
    'jbod') else ''


def known():
    """(vendor pattern, test) of QEMU's rows."""
    with open(FAULTS, encoding='ascii') as f:
        return set(re.findall(r'DEVICE_FAULT\("QEMU", "[^"]*", "([^"]+)"', f.read()))


def digests():
    return {
        name: hashlib.sha256(open(name, 'rb').read()).hexdigest()
        for name in sorted(os.listdir())
        if name.endswith('.img')
    }


def main():
    drives, options, words = SHAPES[SHAPE]
    r = rig.Rig(HBAKIT, MODEL + PROPERTY)
    for seed, drive in enumerate(drives):
        r.image(drive.partition(',')[0], MIB, seed=seed)
    before = digests()
    done = subprocess.run(
        [HBAKIT, 'check', '--write', r.uri(*drives, **options), *words], stdin=subprocess.DEVNULL,
        text=True, stdout=subprocess.PIPE, timeout=rig.TIMEOUT_S, check=False)
    plan = re.search(r'^1\.\.(\d+)$', done.stdout, re.M)
    if not plan:
        sys.exit('the check did not begin')
    excused = {
        name
        for name in re.findall(r'^not ok \d+ - (.*?) # TODO device: ', done.stdout, re.M)
    }
    ours = {
        'what is excused is what device-faults.inc says of QEMU':
        excused == known(),
        'the disks are as they were':
        digests() == before,
        f'queues of the controller: {QUEUES}':
        r.json('info', r.uri(*drives, **options))['controller']['report']['queues'] == QUEUES
    }
    # Ours come after the command's own.
    print(re.sub(r'^1\.\.\d+$', f'1..{int(plan[1]) + len(ours)}', done.stdout, flags=re.M), end='')
    for number, (name, well) in enumerate(ours.items(), int(plan[1]) + 1):
        print(f"{'ok' if well else 'not ok'} {number} - {name}")
    os.chdir('/')
    r.folder.cleanup()
    return done.returncode


sys.exit(main())
