#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""abi: what was compiled with the frozen headers of a version still means the same. `abi.py ROOT
FROZEN CC...`

Every function, struct and enum of the frozen headers is compiled twice, with them and with today's,
and libabigail compares the two: sizes, offsets, values, parameters. Only structs that carry their
own size may grow, and only at their end. The second half plants breaking changes, each of which
must be found, and harmless ones, which must not."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, FROZEN = map(os.path.abspath, sys.argv[1:3])
CC = sys.argv[3:]
SKIP = 77
sys.path.insert(0, os.path.join(ROOT, 'tests', 'style'))
sys.dont_write_bytecode = True
import tree  # noqa: E402  the style checks' reader of C

GROWING = ('hba_driver', 'hba_report', 'hba_target_report', 'hba_bus', 'hba_options')
SUPPRESSIONS = ''.join(
    f'[suppress_type]\nname = {s}\ntype_kind = struct\nhas_data_member_inserted_at = end\n'
    for s in GROWING)

# What is changed in today's headers: a file, what stands there, what shall; and whether that breaks
# what is compiled.
CHANGES = (
    ('an op in the middle', 'driver.h', '\tvoid (*kick)(struct hba_queue *q);',
     '\tvoid (*other)(struct hba_queue *q);\n\tvoid (*kick)(struct hba_queue *q);', True),
    ('an op at the end', 'driver.h', '\tvoid (*stop)(struct hba_controller *c);\n',
     '\tvoid (*stop)(struct hba_controller *c);\n\tvoid (*other)(struct hba_queue *q);\n', False),
    ('an op with another parameter', 'driver.h',
     'unsigned (*poll)(struct hba_queue *q, unsigned budget)',
     'unsigned (*poll)(struct hba_queue *q, uint64_t budget)', True),
    ('a field of the report in the middle', 'driver.h', '\tuint64_t highest_target_id;',
     '\tuint64_t other;\n\tuint64_t highest_target_id;', True),
    ('a field of the report at its end', 'driver.h', '\n};\n\n/**\n * struct hba_target_report',
     '\n\tuint64_t other;\n};\n\n/**\n * struct hba_target_report', False),
    ('a constraint more, inside the report', 'dma.h', '\tuint64_t max_transfer;',
     '\tuint64_t other;\n\tuint64_t max_transfer;', True),
    ('two members of a task change places', 'task.h',
     '\tuint8_t queue;            /* index of its queue, for life */\n\tuint8_t kind; ',
     '\tuint8_t kind;\n\tuint8_t queue; ', True),
    ('a result that is larger', 'task.h', '\tuint8_t reserved[4]; ', '\tuint8_t reserved[12]; ',
     True),
    ('another number for an outcome', 'scsi.h', 'HBA_NOT_PRESENT = 0x104',
     'HBA_NOT_PRESENT = 0x114', True),
    ('another number for a limit', 'scsi.h', 'HBA_MAX_SENSE = 252', 'HBA_MAX_SENSE = 96', True),
    ('a function with another parameter', 'driver.h',
     'void hba_poll_within(struct hba_queue *q, unsigned ms)',
     'void hba_poll_within(struct hba_queue *q, uint64_t ms)', True),
    ('a function that is gone', 'driver.h', 'int hba_vector_bind(', 'int hba_vector_attach(', True),
    ('a function more', 'driver.h', 'int hba_vector_bind(',
     'int hba_other(void);\nint hba_vector_bind(', False),
)


def constant(name, value):
    return f'enum abi_enum_of_{name} {{ abi_value_of_{name} = {value} }} abi_constant_{name};'


def source(headers):
    """One pointer to each thing, so that libabigail looks at it; a constant is the value of an enum
    of its own.

    In a struct that may grow libabigail forgives more than growth, so each of its members is looked
    at for itself."""
    paths = [
        os.path.join(headers, 'hbakit', n)
        for n in sorted(os.listdir(os.path.join(headers, 'hbakit')))
    ]
    lines = [f'#include <hbakit/{os.path.basename(p)}>' for p in paths]
    inline = {t['name'] for t in tree.tags('/', paths, 'f')}
    for tag in tree.tags('/', paths, 'psgem'):
        name, kind = tag['name'], tag['kind']
        if kind == 'prototype' and name not in inline:
            lines.append(f'__typeof__({name}) *abi_function_{name};')
        elif kind in ('struct', 'enum') and not name.startswith('__anon'):
            lines.append(f'{kind} {name} *abi_{kind}_{name};')
        elif kind == 'member' and tag['scope'] in GROWING:
            place = f'{tag["scope"]}_{name}'
            lines.append(f'__typeof__(((struct {tag["scope"]} *)0)->{name}) *abi_type_of_{place};')
            lines.append(
                constant(f'offset_of_{place}',
                         f'__builtin_offsetof(struct {tag["scope"]}, {name})'))
        elif kind == 'enumerator' and tag['scope'].startswith('__anon'):
            lines.append(constant(name, name))
    return '\n'.join(lines) + '\n'


def build(text, include, output):
    command = [
        *CC, '-std=gnu17', '-g', '-w', '-shared', '-fPIC', '-xc', '-', '-I', include, '-o', output
    ]
    done = subprocess.run(command, input=text, stderr=subprocess.PIPE, text=True, check=False)
    return None if done.returncode == 0 else next(
        (line for line in done.stderr.splitlines() if 'error' in line), done.stderr)


def compare(folder, old, include):
    """None, or what is different."""
    new = os.path.join(folder, 'new.so')
    wrong = build(source(FROZEN), include, new)
    if wrong:
        return wrong
    done = subprocess.run(
        ['abidiff', '--suppressions',
         os.path.join(folder, 'growing'), '--no-added-syms', old, new], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout if done.returncode else None


def changed(folder, header, old, new):
    """Today's headers with one change."""
    include = os.path.join(folder, 'include')
    shutil.rmtree(include, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, 'include'), include)
    path = os.path.join(include, 'hbakit', header)
    text = tree.read('/', path)
    if text.count(old) != 1:
        return None
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text.replace(old, new))
    return include


def try_changes(folder, old):
    for what, header, right, wrong, breaks in CHANGES:
        include = changed(folder, header, right, wrong)
        if not include:
            yield f'{what}: {header} has not, or not once: {right!r}'
            continue
        found = compare(folder, old, include)
        if breaks and not found:
            yield f'{what} was not found'
        if not breaks and found:
            yield f'{what} breaks nothing, but was found: {found}'


def main():
    if not shutil.which('abidiff'):
        print('abi: skipped, there is no abidiff (abigail-tools)')
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, 'growing'), 'w', encoding='ascii') as f:
            f.write(SUPPRESSIONS)
        old = os.path.join(folder, 'old.so')
        text = source(FROZEN)
        wrong = build(text, FROZEN, old)
        violations = [wrong] if wrong else []
        if not wrong:
            different = compare(folder, old, os.path.join(ROOT, 'include'))
            violations += [f'{os.path.basename(FROZEN)} is broken:\n{different}'
                           ] if different else []
            violations += try_changes(folder, old)
    tree.finish(
        'abi', violations,
        f'{text.count(";")} things of {os.path.basename(FROZEN)} are as they were; {len(CHANGES)} '
        f'changes judged'
    )


main()
