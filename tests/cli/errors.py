#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# errors.py HBAKIT: every way to be wrong that we know of: one line on stderr, this line, this exit
# status, nothing hangs.
import os
import shutil
import subprocess
import sys
import tempfile

HBAKIT = os.path.abspath(sys.argv[1])
OK, FAILED, USAGE = 0, 1, 2
TIMEOUT_S = 60
FILES = {
    'small.img': b'abc',
    'empty.img': b'',
    'odd.bin': b'1' * 700,
    'ones.bin': b'1' * 4096,
    'disk.img': b'2' * (1 << 20),
    'a,b.img': b'3' * (1 << 20),
    'old': b'as it was'
}

# arguments, exit status, the line without "hbakit: "
CASES = [
    ('', USAGE, "no command given: see `hbakit --help'"),
    ('nope', USAGE, "nope: no such command: see `hbakit --help'"),
    ('scan', USAGE, "which controller? Give its URI, as in `hbakit scan soft:disk.img'"),
    ('scan --foo soft:ram', USAGE, "--foo: no such option: see `hbakit scan --help'"),
    ('scan soft:ram -x', USAGE, "-x: no such option: see `hbakit scan --help'"),
    ('scan soft:ram extra', USAGE, "extra: one argument too many: see `hbakit scan --help'"),
    ('scan -t 3 soft:ram', USAGE, "-t: no such option: see `hbakit scan --help'"),
    ('read --offset', USAGE,
     "--offset: its value is missing: --offset N; see `hbakit read --help'"),
    ('read --off', USAGE, "--off: its value is missing: --off N; see `hbakit read --help'"),
    ('read soft:ram -o', USAGE, "-o: its value is missing: -o FILE; see `hbakit read --help'"),
    ('drivers nope', FAILED, "nope: no such driver or bus; `hbakit drivers' lists them"),
    ('drivers a b', USAGE, "b: one argument too many: one driver's name, or none"),
    # controllers that are not there; which drivers and options there are changes, so lists of them
    # are not fixed here
    ('scan ram', FAILED, ["ram: 'ram' names no controller: begin with one of ", 'soft:']),
    ('scan floppy:a', FAILED, ["floppy:a: no driver has 'floppy:'; there are ", 'soft:']),
    ('scan soft:', FAILED, 'soft:: soft: needs a path: soft:FILE, soft:ram or soft:null'),
    ('scan soft:none', FAILED,
     'soft:none: there is no file none, and no store of that name: the stores are ram and null'),
    ('scan soft:none.img', FAILED,
     'soft:none.img: cannot open none.img: No such file or directory'),
    ('scan soft:small.img', FAILED,
     'soft:small.img: small.img: 3 bytes are less than one block of 512: make it larger'),
    ('scan soft:empty.img', FAILED,
     'soft:empty.img: empty.img: 0 bytes are less than one block of 512: make it larger'),
    ('scan soft:folder', FAILED, 'soft:folder: cannot open folder: Is a directory'),
    ('scan soft:ram?color=red', FAILED,
     "soft:ram?color=red: driver soft has no option 'color'; `hbakit drivers soft' lists its "
     "options"
     ),
    ('scan soft:ram?size=xyz', FAILED,
     "soft:ram?size=xyz: option 'size=xyz' is not a number (k, M, G or T may follow it)"),
    ('scan soft:ram?size=-1', FAILED,
     "soft:ram?size=-1: option 'size=-1' is below 0, or no number; it is 0 or more (k, M, G or T "
     "may follow it)"
     ),
    ('scan soft:ram?size=99999999999999999999', FAILED,
     "soft:ram?size=99999999999999999999: option 'size=99999999999999999999' is above "
     "18446744073709551615, the largest number there is"
     ),
    ('scan soft:ram?size', FAILED,
     "soft:ram?size: option 'size' needs a number: size=NUMBER (k, M, G or T may follow it)"),
    ('scan soft:ram?size=0', FAILED,
     'soft:ram?size=0: size=0: it may be from 1 to 9223372036854775807'),
    ('scan soft:ram?tasks=65534', FAILED,
     'soft:ram?tasks=65534: tasks=65534: it may be from 1 to 65533'),
    # units
    ('inquiry soft:ram -l 7', FAILED,
     "soft:ram: there is no unit with LUN 7; `hbakit scan soft:ram' lists its units"),
    ('read soft:ram -t 3 -o out', FAILED,
     "soft:ram: there is no unit at target 3; `hbakit scan soft:ram' lists its units"),
    ('check soft:ram -t 9', FAILED,
     "soft:ram: there is no unit at target 9; `hbakit scan soft:ram' lists its units"),
    ('check soft:ram --json -l 7', FAILED,
     "soft:ram: there is no unit with LUN 7; `hbakit scan soft:ram' lists its units"),
    ('inquiry soft:ram -l x', USAGE,
     '--lun x: not a number; write it in decimal, or in hex with 0x'),
    ('check soft:ram --seed 99999999999999999999', USAGE,
     '--seed 99999999999999999999: too large; the largest is 18446744073709551615'),
    ('inquiry soft:ram --page 256', USAGE, '--page 256: pages are 0 to 0xff'),
    ('inquiry soft:ram --page 0xc9', FAILED,
     'soft:ram: INQUIRY, page 0xc9: Check Condition: Illegal Request: Invalid field in cdb, byte 2 '
     'bit 7 of the CDB; '
     'page 0 lists the pages there are'),
    # CDBs
    ('cdb soft:ram', USAGE,
     "which command? Give its bytes in hex, as in `hbakit cdb soft:ram --in 36 12 00 00 00 24 00'"),
    ('cdb soft:ram --then 120000002400', USAGE,
     '--then stands between two commands; one of them has no bytes'),
    ('cdb soft:ram 000000000000 --then', USAGE,
     '--then stands between two commands; one of them has no bytes'),
    ('cdb soft:ram 000000000000 --then 12', USAGE, 'INQUIRY has a CDB of 6 bytes; 1 are given'),
    ('cdb soft:ram --in 8 000000000000 --then --in 8 --out f 000000000000', USAGE,
     '--in and --out: a command moves data one way; give one of them'),
    ('cdb soft:ram 12 0', USAGE,
     '0: not bytes in hex; write two digits for each, as in 12 00 00 00 24 00'),
    ('cdb soft:ram 120', USAGE,
     '120: not bytes in hex; write two digits for each, as in 12 00 00 00 24 00'),
    ('cdb soft:ram 12 00 0g 00 00 00', USAGE,
     '0g: not bytes in hex; write two digits for each, as in 12 00 00 00 24 00'),
    ('cdb soft:ram 28 00 00 00 00 00', USAGE, 'READ(10) has a CDB of 10 bytes; 6 are given'),
    ('cdb soft:ram ff 00 00', USAGE, 'a CDB has 6, 10, 12, 16 or 32 bytes; 3 are given'),
    ('cdb soft:ram ' + '00 ' * 40, USAGE,
     'the CDB is longer than 32 bytes, the longest there is here'),
    ('cdb soft:ram ' + '00 ' * 80, USAGE, ['longer than 32 bytes']),
    ('cdb soft:ram --in 0 000000000000', USAGE, '--in 0: from 1 byte to 16 MiB'),
    ('cdb soft:ram --in 8 --out f 000000000000', USAGE,
     '--in and --out: a command moves data one way; give one of them'),
    ('cdb soft:ram --out none 150000002400', FAILED,
     'none: cannot be opened for reading: No such file or directory'),
    ('cdb soft:ram ff0000000000', FAILED,
     'soft:ram: Vendor specific [0xff]: Check Condition: Illegal Request: Invalid command '
     'operation code'
     ),
    ('cdb soft:ram --in 512 28 00 ff ff ff ff 00 00 01 00', FAILED,
     'soft:ram: READ(10): Check Condition: Illegal Request: Logical block address out of range, '
     'information 0xffffffff'
     ),
    # reading
    ('read soft:ram --offset 64M --length 512 -o out', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes; --offset 67108864 and --length 512 go past it'),
    ('read soft:ram --offset 18446744073709551104 --length 1024 -o out', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes; --offset 18446744073709551104 and --length 1024 '
     'go past it'
     ),
    ('read --offset 65M soft:ram -o out', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes; there is nothing to read from --offset 68157440 on'
     ),
    ('read --offset 64M soft:ram -o out', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes; there is nothing to read from --offset 67108864 on'
     ),
    ('read --length 0 soft:ram -o out', USAGE,
     '--length 0: that is nothing to read; without --length it goes to the end'),
    ('read soft:ram --offset 1 -o out', FAILED,
     'soft:ram: unit 0:0 has blocks of 512 bytes; --offset and --length must be multiples of that'),
    ('read soft:ram --length 5x -o out', USAGE,
     '--length 5x: not a number of bytes; write digits, with k, M, G or T behind them if you like'),
    ('read soft:ram --length 99999999999T -o out', USAGE,
     '--length 99999999999T: not a number of bytes; write digits, with k, M, G or T behind them if '
     'you like'
     ),
    ('read soft:ram --json', USAGE,
     '--json prints an object on standard output, so the data need a place of their own: add -o '
     'FILE'
     ),
    ('read soft:ram -o /dev/full', FAILED,
     '/dev/full: No space left on device after 0 bytes; the copy is not complete'),
    ('read soft:ram -o none/out', FAILED,
     'none/out: cannot be opened for writing: No such file or directory'),
    ('read soft:disk.img -o disk.img', FAILED,
     'disk.img: is the very file that soft:disk.img uses; name another for the output'),
    ('read soft:./disk.img?serial=x -o link.img', FAILED,
     'link.img: is the very file that soft:./disk.img?serial=x uses; name another for the output'),
    ('read qemu:pvscsi?drive=disk.img -o disk.img', FAILED,
     'disk.img: is the very file that qemu:pvscsi?drive=disk.img uses; name another for the output'
     ),
    ('read qemu:pvscsi?drive=none.img&drive=a%2cb.img,target=3,lun=1 -o ./a,b.img', FAILED,
     './a,b.img: is the very file that qemu:pvscsi?drive=none.img&drive=a%2cb.img,target=3,lun=1 '
     'uses; name another for the output'
     ),
    ('read qemu:pvscsi?drive=json:{"driver":"file","filename":"disk.img"},lun=1 -o disk.img',
     FAILED, ['disk.img: is the very file that qemu:pvscsi?drive=json:']),
    ('read soft:ram -o folder', FAILED, 'folder: cannot be opened for writing: Is a directory'),
    ('read soft:none.img -o old', FAILED,
     'soft:none.img: cannot open none.img: No such file or directory'),
    ('read soft:ram --offset 1 -o old', FAILED,
     'soft:ram: unit 0:0 has blocks of 512 bytes; --offset and --length must be multiples of that'),
    # writing
    ('write soft:ram -i none', FAILED,
     'none: cannot be opened for reading: No such file or directory'),
    ('write soft:ram -i folder', FAILED, 'folder: is a directory; a file or a pipe is needed'),
    ('write soft:disk.img -i disk.img', FAILED,
     'disk.img: is the very file that soft:disk.img uses; name another for the input'),
    ('write soft:./disk.img -i link.img', FAILED,
     'link.img: is the very file that soft:./disk.img uses; name another for the input'),
    ('write soft:ram -i odd.bin', FAILED,
     "odd.bin: its 700 bytes are no multiple of 512, the unit's block; pad it; nothing was written"
     ),
    ('write soft:ram -i /dev/zero', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes, and /dev/zero is longer; the data that fit was '
     'written'
     ),
    ('write soft:ram --offset 64M -i disk.img', FAILED,
     'soft:ram: unit 0:0 ends at 67108864 bytes; 1048576 bytes at --offset 67108864 go past it; '
     'nothing was written'
     ),
    ('write soft:ram?readonly=1 -i disk.img', FAILED,
     'soft:ram?readonly=1: unit 0:0 is read-only; nothing was written'),
    ('write soft:null -i ones.bin --verify', FAILED,
     'soft:null: byte 0 reads back other data than were written; the unit or its path is broken'),
    # measuring
    ('bench soft:ram --rw foo', USAGE, '--rw foo: give randread, randwrite, randrw, read or write'),
    ('bench soft:ram --depth 0', USAGE,
     '--depth 0: a whole number of commands is needed, from 1 to 65533'),
    ('bench soft:ram --depth x', USAGE,
     '--depth x: a whole number of commands is needed, from 1 to 65533'),
    ('bench soft:ram --time 0.5', USAGE,
     '--time 0.5: a whole number of seconds is needed, from 1 to 86400'),
    ('bench soft:ram --bs 65M', USAGE,
     '--bs 65M: a whole number of bytes is needed, from 1 to 67108864'),
    ('bench soft:ram?tasks=16 --depth 17', FAILED,
     'soft:ram?tasks=16: the unit takes 16 commands at a time; give --depth 16 or less'),
    ('bench soft:ram --bs 1000', FAILED,
     'soft:ram: unit 0:0 has blocks of 512 bytes; --bs must be a multiple of that'),
    ('bench soft:ram?size=64k --bs 128k', FAILED,
     'soft:ram?size=64k: unit 0:0 is smaller than one command of --bs 131072'),
    ('bench soft:ram?size=64k --verify', FAILED,
     'soft:ram?size=64k: --verify needs a chunk for each command; this unit has 16 for --depth 32'),
    ('bench soft:ram?readonly=1 --rw write', FAILED,
     'soft:ram?readonly=1: unit 0:0 is read-only; --rw write cannot be done'),
    ('bench soft:disk.img --plot disk.img', FAILED,
     'disk.img: is the very file that soft:disk.img uses; name another for the output'),
    ('bench qemu:pvscsi?drive=disk.img --plot disk.img', FAILED,
     'disk.img: is the very file that qemu:pvscsi?drive=disk.img uses; name another for the output'
     ),
    ('bench soft:none.img --plot old', FAILED,
     'soft:none.img: cannot open none.img: No such file or directory'
     if shutil.which('gnuplot') else ['needs gnuplot']),
    ('bench soft:null?size=1M --rw randwrite --verify --time 1', FAILED,
     [' commands failed; the first: READ: other data than were there before']),
]


def prepare():
    os.mkdir('folder')
    for name, data in FILES.items():
        with open(name, 'wb') as f:
            f.write(data)
    os.symlink('disk.img', 'link.img')


def changed():
    """What is not as it was: no command that fails may take a file away, or leave one behind."""
    found = {}
    for name in os.listdir('.'):
        if os.path.isfile(name) and not os.path.islink(name):
            with open(name, 'rb') as f:
                found[name] = f.read()
    return [name for name in found.keys() | FILES.keys() if found.get(name) != FILES.get(name)]


def complaint(case, result):
    arguments, status, wanted = case
    if result.returncode != status:
        return f'exit status {result.returncode}, not {status}'
    if not result.stderr.startswith(
            'hbakit: ') or result.stderr.count('\n') != 1 or not result.stderr.endswith('\n'):
        return 'not one line that begins with "hbakit: "'
    line = result.stderr[len('hbakit: '):-1]
    if isinstance(wanted, str):
        return None if line == wanted else f'the line is not {wanted!r}'
    missing = [w for w in wanted if w not in line]
    return f'{missing} not in the line' if missing else None


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        for case in CASES:
            result = subprocess.run([HBAKIT] + case[0].split(), stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    timeout=TIMEOUT_S, text=True, errors='replace')
            why = complaint(case, result)
            if why:
                bad += 1
                print(f'hbakit {case[0]}: {why}\n  stderr: {result.stderr!r}')
        for name in changed():
            bad += 1
            print(f'{name} was changed, or made')
        os.chdir('/')
    print(f'{len(CASES)} cases, {bad} bad')
    return bad != 0


sys.exit(main())
