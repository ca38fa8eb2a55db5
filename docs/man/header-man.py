#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""header-man: generate hbakit-driver(7) and hbakit-application(7) from the public headers.
`header-man.py driver|application EXAMPLE DOCS HEADER MORE...`; DOCS is the directory of the
installed guides and examples.

The comment before a declaration is its text. The ops of the table become a list. The sections of
the first header are the page's; each further header is one section. A section for other readers
begins with "for" and is left out. Mdoc to standard output."""
import os
import re
import sys
import time
from dataclasses import dataclass

SECTION = re.compile(r'/\* -{3,} (.*?) -* ?\*/')
OP = re.compile(r'\t/\*(?P<comment>(?:(?!\*/).)*)\*/\n\t(?P<code>[^;]*\(\*(?P<name>\w+)\)[^;]*;)',
                re.S)
TABLE = 'struct hba_driver {'


@dataclass(frozen=True)
class Reader:
    """The reader of a page: its name, and the texts that differ."""
    name: str
    summary: str
    header: str
    first: str     # the first section
    sections: str  # the word after "for" in this reader's sections
    example: tuple

    def without_others(self, text):
        return re.sub(r'/\* -{3,} for (?!%s\b).*' % self.sections, '', text, flags=re.S)


READERS = {
    'driver':
    Reader('hbakit-driver', 'the interface of a driver for hbakit', 'driver.h',
           'THE REPORT AND THE TABLE', 'drivers',
           ('A complete driver.', 'The disk in place of its chip is', '.Pa ram-disk.h', 'in',
            '.Pa {docs}/examples ,', 'which also has a template.', '.Pa {docs}/driver-guide.md',
            'leads from there to a real chip.')),
    'application':
    Reader('hbakit-application', 'controllers, units and disks for a program', 'hbakit.h',
           'A CONTROLLER', 'clients',
           ('A complete program:', '.Pa application.c', 'in', '.Pa {docs}/examples .',
            'The guide is', '.Pa {docs}/application-guide.md .')),
}


def escaped(line):
    line = line.replace('\\', '\\e').replace('-', '\\-')
    line = ''.join(c if c.isascii() else f'\\[u{ord(c):04X}]' for c in line)
    return '\\&' + line if line[:1] in ".'" else line


def literal(lines):
    return ['.Bd -literal', *(escaped(line.replace('\t', '    ')) for line in lines), '.Ed']


def words_of(comment):
    """The lines of a comment without its stars."""
    text = re.sub(r'^/\*\*?|\*/\s*$', '', comment.strip())
    return [re.sub(r'^\s*\* ?', '', line).rstrip() for line in text.strip().splitlines()]


def prose(lines):
    """Paragraphs; lines indented by a tab are a drawing; @name: describes a parameter."""
    out, drawing = [], []
    for line in lines + ['']:
        if line.startswith('\t'):
            drawing.append(line)
            continue
        if drawing:
            out += literal(drawing)
            drawing = []
        if not line:
            out.append('.Pp')
        else:
            out += ['.br'] if line.startswith('@') else []
            out += [
                escaped(sentence)
                for sentence in re.split(r'(?<=[.!?]) +(?=[A-Z])', line.strip(' @'))
            ]
    return trimmed(out)


def trimmed(out):
    """No empty paragraphs: not before or after a display, and not at either end."""
    kept = []
    for line in out:
        if line == '.Pp' and (not kept or kept[-1] == '.Pp'):
            continue
        kept.append(line)
    while kept and kept[-1] == '.Pp':
        kept.pop()
    return kept


def without_bodies(code):
    """Inline functions as prototypes."""
    return re.sub(r'^static inline (.*?\))\n\{\n.*?^\}\n', r'\1;\n', code, flags=re.M | re.S)


def ops(code):
    out = ['.Bl -tag -width Ds']
    for op in OP.finditer(code):
        prototype = ' '.join(op['code'].split()).replace(f'(*{op["name"]})', op['name'])
        out += [f'.It Li "{escaped(prototype)}"', *prose(words_of('/*' + op['comment'] + '*/'))]
    return out + ['.El']


def fields(code):
    """The table without its ops."""
    return OP.sub('', code).replace('\n\n\n', '\n\n')


def block(comment, code):
    out = prose(words_of(comment)) if comment else []
    if not code.strip():
        return out
    if TABLE in code:
        return out + literal(
            fields(code).rstrip().splitlines()) + ['.Ss Its ops, in the order of life'] + ops(code)
    return out + literal(code.rstrip().splitlines())


def declarations(text):
    """Comment and code of each declaration; a struct is one declaration, with its empty lines and
    comments."""
    for part in re.split(r'\n\n(?![\t\n])', text):
        found = re.match(r'\s*(/\*(?:(?!\*/).)*\*/\n?)?(.*)', part, re.S)
        if part.strip():
            yield found[1], found[2]


def body(reader, text):
    """The text between the guard's parts."""
    text = reader.without_others(text)
    text = re.sub(r'^(/\*[^*]*\*/\n)?#if(def)? .*?#endif\n', '', text, flags=re.M | re.S)
    text = re.sub(r'^#(ifndef.*|define HBAKIT_\w+_H|include.*|endif)\n', '', text, flags=re.M)
    return re.sub(r'^(struct \w+;|static_assert\(.*)\n', '', text, flags=re.M)


def head_and_rest(reader, header):
    """The head comment, without the licence, and the rest of the header."""
    head, rest = re.match(r'/\*.*?\*/\s*(/\*.*?\*/)(.*)', header, re.S).groups()
    return words_of(head), without_bodies(body(reader, rest))


def described(text):
    """Declarations, under the header's own sections."""
    out, at = [], 0
    for section in [*SECTION.finditer(text), None]:
        for comment, code in declarations(text[at:section.start() if section else len(text)]):
            out += ['.Pp', *block(comment, code)]
        if section:
            at = section.end()
            out.append('.Sh ' + escaped(section[1].upper()))
    return out


def further(reader, header):
    """One section for a further header."""
    head, text = head_and_rest(reader, header)
    name, head[0] = head[0].split(': ', 1)
    return [
        '.Sh ' + name.upper(), *prose([head[0][0].upper() + head[0][1:], *head[1:]]),
        *described(text)
    ]


def page(reader, example, docs, header, *more):
    head, text = head_and_rest(reader, header)
    out = [
        '.Dd ' + date(), f'.Dt {reader.name.upper()} 7', '.Os', '.Sh NAME', f'.Nm {reader.name}',
        f'.Nd {reader.summary}', '.Sh SYNOPSIS', f'.In hbakit/{reader.header}', '.Sh DESCRIPTION',
        *prose(head[1:]), f'.Sh {reader.first}', *described(text)
    ]
    for other in more:
        out += further(reader, other)
    others = [f'.Xr {r.name} 7' for r in READERS.values() if r != reader]
    out += [
        '.Sh EXAMPLES', *(line.format(docs=docs) for line in reader.example),
        *literal(example.rstrip().splitlines()), '.Sh SEE ALSO', '.Xr hbakit 1 ,', *others
    ]
    return '\n'.join(after_heads(out)) + '\n'


def after_heads(out):
    """Drop the paragraph breaks after a section's head and before a display."""
    kept = []
    for line in out:
        if line == '.Pp' and kept and (kept[-1].startswith(('.Sh', '.Ss')) or kept[-1] == '.Pp'):
            continue
        if line.startswith(('.Bd', '.Sh', '.Ss', '.Bl')) and kept and kept[-1] == '.Pp':
            kept.pop()
        kept.append(line)
    return kept


def date():
    """SOURCE_DATE_EPOCH if set, for reproducible pages; else the current date."""
    return time.strftime('%B %d, %Y',
                         time.gmtime(int(os.environ.get('SOURCE_DATE_EPOCH',
                                                        time.time())))).replace(' 0', ' ')


def read(name):
    with open(name, encoding='utf-8') as f:
        return f.read()


def main(reader, example, docs, *headers):
    sys.stdout.write(page(READERS[reader], read(example), docs, *map(read, headers)))


main(*sys.argv[1:])
