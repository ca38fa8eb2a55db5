#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# commands.py HBAKIT: what the subcommands do when all goes well, and when a signal or a closed pipe
# ends them.
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

HBAKIT = os.path.abspath(sys.argv.pop(1))
TIMEOUT_S = 120
MIB = 1 << 20
RAM = 'soft:ram?size=64M&luns=2'


def run(*arguments, stdin=None, status=0):
    r = subprocess.run([HBAKIT, *arguments], input=stdin or b'', stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=TIMEOUT_S)
    assert r.returncode == status, f'{arguments}: exit status {r.returncode}: {r.stderr.decode()}'
    return r


def run_json(*arguments, **named):
    return json.loads(run(*arguments, '--json', **named).stdout)


def has_computed(process):
    """A fifth of a second of its own time: far beyond bring-up."""
    with open(f'/proc/{process.pid}/stat', encoding='ascii') as f:
        user, system = f.read().rpartition(')')[2].split()[11:13]
    return int(user) + int(system) > os.sysconf('SC_CLK_TCK') / 5


def blocks(process, which):
    with open(f'/proc/{process.pid}/status', encoding='ascii') as f:
        mask = next(line.split()[1] for line in f if line.startswith('SigBlk:'))
    return int(mask, 16) >> which - 1 & 1


def waiting_in(pipe):
    """Bytes that are in a pipe, at either end."""
    return struct.unpack('i', fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def has_swallowed(process):
    """The one byte that we put into its standard input: it is reading, and wants more."""
    if not hasattr(process, 'fed'):
        process.fed = True
        process.stdin.write(b'x')
        process.stdin.flush()
    return waiting_in(process.stdin) == 0


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)

    def tearDown(self):
        os.chdir('/')
        self.folder.cleanup()

    def make(self, name, data):
        with open(name, 'wb') as f:
            f.write(data)
        return name

    def test_drivers(self):
        self.assertIn('soft', [d['name'] for d in run_json('drivers')['drivers']])
        self.assertEqual(run_json('drivers', 'soft')['scheme'], 'soft')
        self.assertIn(b'soft:', run('drivers').stdout)
        self.assertIn(b'luns', run('drivers', 'soft').stdout)
        self.assertIn(b'\nURI: qemu:MODEL?drive=FILE\n', run('drivers', 'qemu').stdout)
        self.assertIn(b'\nURI: pci:ADDRESS\n', run('drivers', 'pci').stdout)
        self.assertEqual({'pci', 'qemu'}, {b['name'] for b in run_json('drivers')['buses']})
        self.assertIn(b'qemu:', run('drivers').stdout)
        options = {o['name'] for o in run_json('drivers', 'qemu')['options']}
        self.assertLessEqual({'drive', 'irq', 'memory', 'qemu', 'qmp'}, options)
        for word in b'target=N', b'lun=N', b'iops=N', b'rerror=':
            self.assertIn(word, run('drivers', 'qemu').stdout)
        self.assertIn(b'irq=auto', run('drivers', 'pci').stdout)

    def test_pci_with_a_plug_in(self):
        self.assertIn('adapters', run_json('pci'))
        done = subprocess.run([HBAKIT, 'pci', '--plugin', './none.so'], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, 'hbakit: ./none.so: there is no such '
                                                             'file\n'))

    def test_help_and_version(self):
        self.assertIn(b'bench', run('--help').stdout)
        self.assertRegex(run('--version').stdout, rb'^hbakit \d+\.\d+\.\d+\n$')
        for command in 'drivers', 'scan', 'info', 'inquiry', 'read', 'write', 'cdb', 'bench':
            self.assertIn(b'Usage: hbakit ' + command.encode(), run(command, '--help').stdout)
        self.assertIn(b'DESTROY', run('bench', '--help').stdout)

    def test_scan_json(self):
        o = run_json('scan', RAM)
        c = o['controller']
        self.assertEqual((c['uri'], c['driver'], c['state'], c['io_path_mappings']), (RAM, 'soft',
            'started', 0))
        names = [s['name'] for s in c['steps']]
        self.assertLess(names.index('initialize'), names.index('map_hba_data'))
        self.assertLess(names.index('map_hba_data'), names.index('start'))
        self.assertTrue(all(s['us'] >= 0 for s in c['steps']))
        self.assertEqual(c['hba_data']['mapped'], sum(c['tasks'][k] for k in ('client', 'internal',
            'tmf')))
        self.assertEqual(c['report']['max_tasks'], c['tasks']['client'])
        self.assertGreater(c['hba_data']['bytes'], 0)
        self.assertIn('properties', c)
        self.assertEqual(len(o['targets']), 1)
        luns = o['targets'][0]['luns']
        self.assertEqual([u['lun'] for u in luns], [0, 1])
        for u in luns:
            self.assertEqual((u['type'], u['block_size'] * u['blocks']), ('disk', 64 * MIB))
            self.assertEqual(set(u),
                             {'lun', 'type', 'vendor', 'product', 'revision', 'serial', 'id',
                'block_size', 'blocks', 'generation'})
            self.assertGreater(u['generation'], 0)
        self.assertNotEqual(luns[0]['id'], luns[1]['id'])

    def test_scan_text(self):
        text = run('scan', RAM).stdout.decode()
        self.assertNotRegex(text, r'[\d.]+ [nmu]?s\b', 'a time in a scan without -v')
        self.assertRegex(run('scan', RAM, '-v').stdout.decode(),
                         r' of HBA data in [\d.]+ [nmu]?s; ')
        n = run_json('scan', RAM)['controller']['tasks']
        self.assertIn(f"{sum(n.values())} tasks mapped and named "
                      f"({n['client']}+{n['internal']}+{n['tmf']}), ", text)
        self.assertIn('the I/O path mapped nothing', text)
        self.assertEqual(text.count('64 MiB'), 2)
        # The disks come first, and times only when asked for.
        self.assertLess(text.index('  lun 1 '), text.index('Product Name'))
        self.assertNotIn('map_hba_data', text)
        self.assertEqual(run('scan', RAM, '-v').stdout.count(b' generation 1 '), 2)
        self.assertNotIn('generation', text)
        self.assertRegex(run('scan', RAM, '-v').stdout.decode(), r'\n  map_hba_data +[\d.]+ '
                                                                 r'[nmu]?s\n')

    def test_info(self):
        self.assertEqual(run_json('info', 'soft:ram?tasks=17')['controller']['report']['max_tasks'],
                         17)
        self.assertIn(b'max_tasks', run('info', 'soft:ram').stdout)

    def test_inquiry(self):
        unit = run_json('scan', RAM)['targets'][0]['luns'][1]
        o = run_json('inquiry', RAM, '-l', '1')
        self.assertEqual((o['vendor'], o['product'], o['page']),
                         (unit['vendor'], unit['product'], None))
        self.assertEqual(run_json('inquiry', RAM, '-l', '1', '--page', '0x80')['serial'], unit[
            'serial'])
        page = run_json('inquiry', RAM, '-l', '1', '--page', '0x83')
        self.assertEqual(page['id'], unit['id'])
        self.assertEqual(page['bytes'][2:4], '83')
        self.assertIn('0x83', run_json('inquiry', RAM, '--page', '0')['pages'].split())
        self.assertEqual(len(page['bytes']) // 2, 4 + int(page['bytes'][4:8], 16))

    def test_cdb(self):
        o = run_json('cdb', RAM, '--in', '36', '12 00', '00', '002400')
        self.assertEqual((o['command'], o['status'], o['bytes'], o['sense']),
                         ('INQUIRY', 0, 36, None))
        self.assertEqual(bytes.fromhex(o['data'])[8:14], b'HBAKIT')
        o = run_json('cdb', RAM, '--in', '36', '120001002400', status=1)
        self.assertEqual((o['status'], o['sense']['key'], o['sense']['asc'], o['sense']['ascq']),
                         (2, 5, 0x24, 0))
        self.assertEqual((o['sense']['field']['in'], o['sense']['field']['byte']), ('cdb', 2))
        text = run('cdb', RAM, '--in', '36', '120001002400', status=1).stdout
        for cdb, hint in (('120000002400', b'hbakit: INQUIRY moves up to 36 bytes of data, and '
                                           b'there is no --in; --in 36 shows the '
                           b'data that it reads\n'), ('120000000000', b''), ('000000000000', b''),
                          ('28000000000000000200', b'hbakit: READ(10) moves up to 1024 bytes of '
                                                   b'data, and there is no --in; --in 1024 '
                           b'shows the data that it reads\n'), ('28000000000000000000', b''), (
                               '2f000000000000000200', b'')):
            self.assertEqual(run('cdb', RAM, cdb).stderr, hint)
        self.assertIn(b'byte 2', text)

    def test_several_cdbs(self):
        disk, data = self.make('disk.img', bytes(MIB)), self.make('data', b'7' * 1024)
        write, read = ['--out', data, '2a 00 00 00 00 03 00 00 02 00'], ['--in', '512',
            '28000000000400000100']
        first, second = run_json('cdb', f'soft:{disk}', *write, '--then', *read)['commands']
        self.assertEqual((first['command'], first['bytes'], second['data']), ('WRITE(10)', 1024,
            '37' * 512))
        # In order, and options of all may stand anywhere.
        text = run('cdb', RAM, '-l', '1', '000000000000', '--then', '--in', '36',
                   '120000002400').stdout.decode()
        self.assertLess(text.index('TEST UNIT READY'), text.index('INQUIRY'))
        bad = ['cdb', RAM, 'ff0000000000', '--then', '000000000000']
        r = run(*bad, status=1)
        self.assertNotIn(b'TEST UNIT READY', r.stdout)
        self.assertEqual(r.stderr.count(b'hbakit: '), 1)
        self.assertIn(b'TEST UNIT READY', run(*bad, '--keep-going', status=1).stdout)
        self.assertEqual([len(run_json(*bad, *more, status=1)['commands']) for more in ([], [
            '--keep-going'])], [1, 2])

    def test_cdb_writes_what_it_is_given(self):
        disk = self.make('disk.img', bytes(MIB))
        data = self.make('data', os.urandom(1024))
        o = run_json('cdb', f'soft:{disk}', '--out', data, '2a 00 00 00 00 03 00 00 02 00')
        self.assertEqual((o['status'], o['bytes']), (0, 1024))
        with open(disk, 'rb') as f, open(data, 'rb') as d:
            self.assertEqual(f.read(), bytes(3 * 512) + d.read() + bytes(MIB - 5 * 512))

    def test_write_and_read_come_round(self):
        data = os.urandom(10 * MIB + 512)
        self.make('data', data)
        disk = 'soft:' + self.make('disk.img', bytes(16 * MIB))
        o = run_json('write', disk, '-i', 'data', '--offset', '512', '--verify')
        self.assertEqual((o['bytes'], o['verified_bytes']), (len(data), len(data)))
        with open('disk.img', 'rb') as f:
            self.assertEqual(f.read(), bytes(512) + data + bytes(16 * MIB - len(data) - 512))
        o = run_json('read', disk, '--offset', '512', '--length', str(len(data)), '-o', 'back')
        self.assertEqual((o['bytes'], o['io_path_mappings'], o['violations']), (len(data), 0, 0))
        self.assertEqual(o['commands'], -(-len(data) // (256 * 1024)))
        with open('back', 'rb') as f:
            self.assertEqual(f.read(), data)
        self.assertEqual(run('read', disk).stdout,
                         bytes(512) + data + bytes(16 * MIB - len(data) - 512))

    def test_pipes(self):
        disk = 'soft:' + self.make('disk.img', bytes(16 * MIB))
        data = os.urandom(3 * MIB)
        run('write', disk, stdin=data)
        self.assertEqual(run('read', disk, '--length', '3M').stdout, data)
        r = run('write', disk, stdin=data[:512] + b'x', status=1)
        self.assertIn(b'the last 1 bytes are not written', r.stderr)
        self.assertEqual(run('read', disk, '--length', '512').stdout, data[:512])
        self.assertEqual(run_json('write', disk, stdin=b'')['bytes'], 0)

    def test_read_from_the_second_unit(self):
        self.make('disk.img', os.urandom(MIB))
        run('write', 'soft:disk.img?scratch=1M', '-i', self.make('data', os.urandom(MIB)), '-l',
            '1')
        self.assertEqual(run('read', 'soft:disk.img?scratch=1M', '-l', '1').stdout, bytes(MIB))

    def test_an_error_of_a_disk_is_told_in_its_own_terms(self):
        """Not in those of files and sockets. Each command is refused, so that no READ succeeds,
        whatever is repeated."""
        r = run('read', 'soft:ram?attention=1', '-o', 'copy', status=1)
        self.assertIn(b': READ of 262144 bytes at offset 0: it can be tried again '
                      b'(Unit Attention: ', r.stderr)
        self.assertFalse(os.path.exists('copy'))

    def test_check_tells_how_much_it_read(self):
        """250 reads one after another, of 15 ms each, are more than there is time for."""
        line = next(l for l in run('check',
                                   'soft:ram?latency_us=15000').stdout.decode().splitlines() if
            'load: reads at' in l)
        self.assertRegex(line, r'^ok [0-9]+ - load: reads at every depth \([1-9][0-9]* reads, then '
                               r'the time was up\)$')

    def test_output_takes_the_place_of_what_was_there(self):
        old = self.make('old', b'as it was')
        os.chmod(old, 0o640)
        os.mkdir('folder')
        os.symlink('../old', 'folder/link')
        run('read', 'soft:ram?size=1M', '-o', 'folder/link')
        with open(old, 'rb') as f:
            self.assertEqual(f.read(), bytes(MIB))
        self.assertEqual(os.stat(old).st_mode & 0o777, 0o640)
        self.assertTrue(os.path.islink('folder/link'))
        run('read', 'soft:ram?size=1M', '--length', '512', '-o', 'new')
        mask = os.umask(0)
        os.umask(mask)
        self.assertEqual(os.stat('new').st_mode & 0o777, 0o666 & ~mask)
        self.assertEqual((sorted(os.listdir()), os.listdir('folder')), (['folder', 'new', 'old'], [
            'link']))

    def test_output_that_others_have_open_is_written_where_it_is(self):
        with open('old', 'w+b') as f:
            subprocess.run([HBAKIT, 'read', 'soft:ram?size=1M', '-o', f'/dev/fd/{f.fileno()}'],
                           pass_fds=[f.fileno()],
                           timeout=TIMEOUT_S, check=True)
            self.assertEqual(f.read(), bytes(MIB))

    def test_nothing_is_said_in_a_pipe(self):
        self.assertEqual(run('read', 'soft:null?size=2G', '-o', '/dev/null').stderr, b'')

    def test_bench(self):
        for load in 'randread', 'randwrite', 'randrw', 'read', 'write':
            # Two chunks for each command: however slow the machine, some are read again
            o = run_json('bench', 'soft:ram?size=256k', '--rw', load, '--time', '1', '--verify')
            self.assertEqual((o['errors'], o['io_path_mappings'], o['violations']), (0, 0, 0))
            self.assertGreater(o['verified'], 0)
            self.assertGreater(o['iops'], 0)
            self.assertAlmostEqual(o['bytes_per_s'] / o['iops'], 4096, delta=1)
            t = o['latency_us']
            self.assertTrue(0 < t['p50'] <= t['p99'] <= t['p999'] <= t['max'])
            # Little's law: what is out is rate times mean latency. Never more than the depth; less
            # while another program runs
            out = o['iops'] * t['mean'] / 1e6
            self.assertTrue(1 < out < 33, out)

    def test_bench_text(self):
        text = run('bench', 'soft:null?size=1G', '--time', '1', '--depth', '1', '--bs',
                   '64k').stdout
        self.assertIn(b'errors    0', text)
        self.assertIn(b'p999', text)

    def test_bench_wants_gnuplot(self):
        r = subprocess.run([HBAKIT, 'bench', RAM, '--plot', 'x.svg'], env={**os.environ, 'PATH':
            '/none'}, stderr=subprocess.PIPE)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b'needs gnuplot', r.stderr)
        self.assertFalse(os.path.exists('x.svg'))

    @unittest.skipUnless(shutil.which('gnuplot'), 'gnuplot is not installed')
    def test_bench_plots(self):
        run('bench', RAM, '--time', '1', '--plot', 'x.svg')
        with open('x.svg') as f:
            text = f.read()
        self.assertTrue(text.rstrip().endswith('</svg>'))
        self.assertIn('latency (us)', text)
        words = re.findall(r'translate\([\d.]+,([\d.]+)\)[^<]*<text[^>]*><tspan[^>]*>([^<]*)', text)
        places = {word.strip(): float(y) for y, word in words}
        for legend in 'share', 'not above':
            self.assertGreater(places[legend], places['0'], 'the legend lies on the picture')
        r = run('bench', RAM, '--time', '1', '--plot', 'none/x.svg', status=1)
        self.assertEqual(r.stderr, b'hbakit: none/x.svg: cannot be opened for writing: No such '
                                   b'file or directory\n')

    def interrupt(self, *arguments, begun, what=None, which=signal.SIGINT, **named):
        """Sends a signal once the work has begun, which `begun` knows: not after some time, for a
        machine may be slow."""
        p = subprocess.Popen([HBAKIT, *arguments], stderr=subprocess.PIPE, **named)
        while not begun(p):
            self.assertIsNone(p.poll(), 'it ended by itself')
            time.sleep(0.01)
        p.send_signal(which)
        stderr = p.stderr.read().decode()
        self.assertEqual(p.wait(TIMEOUT_S), 1)
        # On a busy machine it may have been out for so long that this is told.
        stderr = re.sub(r'hbakit: .* has been with the driver for .*\n', '', stderr)
        self.assertEqual(stderr, f'hbakit: {arguments[1]}: {what or arguments[0]}: stopped by '
                                 f'{signal.strsignal(which)}; '
                                 'the controller was stopped in order\n')
        for stream in p.stdin, p.stdout, p.stderr:
            if stream:
                stream.close()

    def test_signals(self):
        none = subprocess.DEVNULL
        self.interrupt('bench', RAM, '--time', '60', stdout=none, begun=has_computed)
        self.interrupt('read', 'soft:null?size=1T', '-o', '/dev/null', begun=has_computed)
        # into a pipe that nobody empties, from a pipe that nobody fills
        self.interrupt('read', 'soft:null?size=1T', stdout=subprocess.PIPE,
                       begun=lambda p: waiting_in(p.stdout) > 0)
        self.interrupt('write', RAM, stdin=subprocess.PIPE, which=signal.SIGTERM,
                       begun=has_swallowed)
        self.interrupt('cdb', RAM, '--out', '-', '2a000000000000000100', what='reading the data',
                       stdin=subprocess.PIPE,
                       begun=has_swallowed)

    def test_signal_during_a_long_command(self):
        """Four terabytes, compared with one block: the disk sees to them bit by bit, or nobody
        would hear the signal for minutes."""
        self.make('zeros', bytes(512))
        self.interrupt('cdb', 'soft:null?size=4T', '--out', 'zeros',
                       '8f060000000000000000ffffffff0000', what=
            'command',
                       stdout=subprocess.DEVNULL, begun=has_computed)

    def stop_at_fifo(self, *arguments):
        """Nobody is at the other end. A signal that it has blocked so far ends it, wherever it
        waits by then."""
        p = subprocess.Popen([HBAKIT, *arguments], stderr=subprocess.PIPE)
        while not blocks(p, signal.SIGTERM):
            self.assertIsNone(p.poll(), 'it ended by itself')
            time.sleep(0.01)
        time.sleep(0.2)
        p.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(p.wait(TIMEOUT_S / 4), 1)
        finally:
            p.kill()
        self.assertRegex(p.stderr.read(), b'^hbakit: soft:ram.*: stopped by Terminated; the '
                                          b'controller was stopped in order\n$')
        p.stderr.close()

    def test_signals_at_a_fifo(self):
        os.mkfifo('fifo')
        self.stop_at_fifo('write', RAM, '-i', 'fifo')
        self.stop_at_fifo('read', RAM, '-o', 'fifo')
        self.stop_at_fifo('cdb', RAM, '--out', 'fifo', '2a000000000000000100')
        if shutil.which('gnuplot'):
            self.stop_at_fifo('bench', RAM, '--plot', 'fifo')
        self.assertEqual(os.listdir(), ['fifo'])

    def test_fifo(self):
        os.mkfifo('fifo')
        data = os.urandom(MIB)
        self.make('data', data)
        with subprocess.Popen([HBAKIT, 'read', 'soft:data', '-o', 'fifo']) as p:
            with open('fifo', 'rb') as f:
                self.assertEqual(f.read(), data)
        self.assertEqual(p.returncode, 0)
        disk = self.make('disk.img', bytes(MIB))
        with subprocess.Popen([HBAKIT, 'write', f'soft:{disk}', '-i', 'fifo']) as p:
            with open('fifo', 'wb') as f:
                f.write(data)
        self.assertEqual(p.returncode, 0)
        with open(disk, 'rb') as f:
            self.assertEqual(f.read(), data)

    def test_closed_standard_descriptors(self):
        disk = 'soft:' + self.make('disk.img', b'x' * MIB)

        def said(redirection, *arguments):
            r = subprocess.run(['sh', '-c', f'exec "$@" {redirection}', 'sh', HBAKIT, *arguments],
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, timeout=TIMEOUT_S)
            return r.returncode, r.stderr.decode()
        self.assertEqual(said('<&-', 'write', disk), (0, ''))
        self.assertEqual(said('>&-', 'read', disk), (1, 'hbakit: standard output: Bad file '
                                                        'descriptor after 0 bytes; '
                                                        'the copy is not complete\n'))
        self.assertEqual(said('>&-', 'scan', disk), (1, 'hbakit: standard output: Bad file '
                                                        'descriptor; the output is not complete\n'))
        self.assertEqual(said('<&- >&- 2>&-', 'scan', disk), (1, ''))
        self.assertEqual(said('2>&-', 'scan', disk), (0, ''))
        with open('disk.img', 'rb') as f:
            self.assertEqual(f.read(), b'x' * MIB)

    def test_closed_pipe(self):
        p = subprocess.Popen([HBAKIT, 'read', 'soft:null?size=1T'], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        p.stdout.read(100)
        p.stdout.close()
        stderr = p.stderr.read().decode()
        self.assertEqual(p.wait(TIMEOUT_S), 1)
        self.assertRegex(stderr, r'^hbakit: standard output: its reader has gone after [1-9]\d* '
                                 r'bytes; the copy is not complete\n$')
        p.stderr.close()

    # More than a pipe holds and stdio buffers: the write that fails is not the last one.
    LONG = ('scan', 'soft:ram?size=1M&luns=1000'), ('scan', 'soft:ram?size=1M&luns=1000', '--json')

    def test_full_output(self):
        for arguments in ('scan', RAM), *self.LONG:
            with open('/dev/full', 'wb') as full:
                r = subprocess.run([HBAKIT, *arguments], stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(r.returncode, 1)
            self.assertEqual(r.stderr, b'hbakit: standard output: No space left on device; the '
                                       b'output is not complete\n')

    def test_closed_pipe_is_no_news(self):
        for arguments in self.LONG:
            self.assertGreater(len(run(*arguments).stdout), 1 << 16)
            with subprocess.Popen([HBAKIT, *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as p:
                p.stdout.read(1)
                p.stdout.close()
                self.assertEqual(p.stderr.read(), b'')
            self.assertEqual(p.returncode, 1)

    def on_terminal(self, *arguments):
        master, slave = pty.openpty()
        p = subprocess.Popen([HBAKIT, *arguments], stdin=subprocess.DEVNULL, stdout=slave,
                             stderr=slave)
        os.close(slave)
        text = b''
        try:
            while chunk := os.read(master, 4096):
                text += chunk
        except OSError:
            pass
        os.close(master)
        return p.wait(TIMEOUT_S), text

    def test_terminal(self):
        status, text = self.on_terminal('read', RAM)
        self.assertEqual(status, 2)
        self.assertIn(b'to a terminal', text)
        status, text = self.on_terminal('read', 'soft:null?size=64G', '--length', '24G', '-o',
            '/dev/null')
        self.assertEqual(status, 0)
        self.assertRegex(text, rb'reading +\d+ % \[#*\.*\] [\d.]+ \wiB, [\d.]+ \wiB/s, (\d+ min '
                               rb')?\d+ s left')
        self.assertTrue(text.endswith(b'\r\x1b[K'), 'the bar is taken away at the end')


unittest.main()
