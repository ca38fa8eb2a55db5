#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""driver-man: hbakit-driver(7), made of driver.h and what that includes, so that it says what the headers say.
`driver-man.py EXAMPLE DOCS HEADER MORE...`; DOCS is where guide and examples are installed.

What stands before a declaration is its text; the table's ops become a list; sections are the header's own, and each further header is one
more. What a header has for others than drivers comes after a section's head that says "for" whom. Mdoc to standard output."""
import os
import re
import sys
import time

SECTION = re.compile(r'/\* -{3,} (.*?) -* ?\*/')
FOR_OTHERS = re.compile(r'/\* -{3,} for .*', re.S)
OP = re.compile(r'\t/\*(?P<comment>(?:(?!\*/).)*)\*/\n\t(?P<code>[^;]*\(\*(?P<name>\w+)\)[^;]*;)', re.S)
TABLE = 'struct hba_driver {'


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
    """Paragraphs; what stands in by a tab is a drawing; @name: is a parameter's."""
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
            out += [escaped(sentence) for sentence in re.split(r'(?<=[.!?]) +(?=[A-Z])', line.strip(' @'))]
    return trimmed(out)


def trimmed(out):
    """No empty paragraphs: none before or after a display, nor at either end."""
    kept = []
    for line in out:
        if line == '.Pp' and (not kept or kept[-1] == '.Pp'):
            continue
        kept.append(line)
    while kept and kept[-1] == '.Pp':
        kept.pop()
    return kept


def without_bodies(code):
    """An inline function is its prototype."""
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
        return out + literal(fields(code).rstrip().splitlines()) + ['.Ss Its ops, in the order of life'] + ops(code)
    return out + literal(code.rstrip().splitlines())


def declarations(text):
    """Comment and code of each declaration; a struct is one, whatever empty lines and comments are in it."""
    for part in re.split(r'\n\n(?![\t\n])', text):
        found = re.match(r'\s*(/\*(?:(?!\*/).)*\*/\n?)?(.*)', part, re.S)
        if part.strip():
            yield found[1], found[2]


def body(text):
    """What is between the guard's parts."""
    text = FOR_OTHERS.sub('', text)
    text = re.sub(r'^(/\*[^*]*\*/\n)?#if(def)? .*?#endif\n', '', text, flags=re.M | re.S)
    text = re.sub(r'^#(ifndef.*|define HBAKIT_\w+_H|include.*|endif)\n', '', text, flags=re.M)
    return re.sub(r'^(struct \w+;|static_assert\(.*)\n', '', text, flags=re.M)


def head_and_rest(header):
    """The comment that says what the header is, without the licence's; all that follows it."""
    head, rest = re.match(r'/\*.*?\*/\s*(/\*.*?\*/)(.*)', header, re.S).groups()
    return words_of(head), without_bodies(body(rest))


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


def further(header):
    """A header that driver.h includes: a section by its name."""
    head, text = head_and_rest(header)
    name, head[0] = head[0].split(': ', 1)
    return ['.Sh ' + name.upper(), *prose([head[0][0].upper() + head[0][1:], *head[1:]]), *described(text)]


def page(example, docs, header, *more):
    head, text = head_and_rest(header)
    out = ['.Dd ' + date(), '.Dt HBAKIT-DRIVER 7', '.Os', '.Sh NAME', '.Nm hbakit-driver', '.Nd the world of a driver for hbakit',
           '.Sh SYNOPSIS', '.In hbakit/driver.h', '.Sh DESCRIPTION', *prose(head[1:]), '.Sh THE REPORT AND THE TABLE', *described(text)]
    for other in more:
        out += further(other)
    out += ['.Sh EXAMPLES', 'A whole driver; the disk that stands in for its chip is', '.Pa ram-disk.h', 'in', f'.Pa {docs}/examples ,',
            'where there is a template to begin with, too.', 'A guide from there to a chip is', f'.Pa {docs}/driver-guide.md .', *literal(example.rstrip().splitlines()), '.Sh SEE ALSO', '.Xr hbakit 1']
    return '\n'.join(after_heads(out)) + '\n'


def after_heads(out):
    """A paragraph is begun by a section and ended by a display."""
    kept = []
    for line in out:
        if line == '.Pp' and kept and (kept[-1].startswith(('.Sh', '.Ss')) or kept[-1] == '.Pp'):
            continue
        if line.startswith(('.Bd', '.Sh', '.Ss', '.Bl')) and kept and kept[-1] == '.Pp':
            kept.pop()
        kept.append(line)
    return kept


def date():
    """For the same text the same page: SOURCE_DATE_EPOCH, if somebody sets it."""
    return time.strftime('%B %d, %Y', time.gmtime(int(os.environ.get('SOURCE_DATE_EPOCH', time.time())))).replace(' 0', ' ')


def read(name):
    with open(name, encoding='utf-8') as f:
        return f.read()


def main(example, docs, *headers):
    sys.stdout.write(page(read(example), docs, *map(read, headers)))


main(*sys.argv[1:])
