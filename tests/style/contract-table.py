#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""contract-table: docs/from-driverkit.md against docs/contract-names.txt, the public headers and the tests.

Each name of the contract stands in the table exactly once and in its section. A row that is *ours* names something of
include/hbakit/ and a test that exists. Numbers are compared by the compiler.
`contract-table.py ROOT` checks; `contract-table.py ROOT --write` renews the table's second half, from our names to theirs."""
import collections
import os
import re
import subprocess
import sys

import proof
import tree

NAMES = "docs/contract-names.txt"
TABLE = "docs/from-driverkit.md"
HEADERS = "include/hbakit"
HALF = "<!-- ours to theirs: written by tests/style/contract-table.py ROOT --write -->"
VALUES = "tests/style/contract-table.py:values_differ"
KINDS = ("ours", "merged", "not here")
SHOWN = ("ours", "merged")  # by a test

Name = collections.namedtuple("Name", "section name value")
Row = collections.namedtuple("Row", "section name kind what test line")

# What is one number here and two in the contract: task status, under the service response it comes with.
RESPONSE_OF = {"task status": 2, "delivery failure": 1}


def read_names(root):
  for line in tree.read(root, NAMES).splitlines():
    if not line or line.startswith("#"):
      continue
    section, rest = line.split(" ", 1)
    name, _, value = rest.partition(" = ")
    yield Name(section, name, int(value, 0) if value else None)


def read_rows(root):
  section = None
  for number, line in enumerate(tree.read(root, TABLE).split(HALF)[0].splitlines(), 1):
    if line.startswith("## "):
      section = line.split()[1]
    elif line.startswith("| ") and not line.startswith("| contract |"):
      cells = [cell.strip() for cell in line.strip("|").split("|")]
      name, kind, what, test = (cells + [""] * 4)[:4]
      yield Row(section, name, kind, what, test.strip("`"), number)


class Headers:
  """The names that the public headers promise."""

  def __init__(self, root):
    paths = sorted(p for p in tree.files(root, ".h") if p.startswith(HEADERS + "/"))
    self.text = tree.code_only("\n".join(tree.read(root, p) for p in paths))
    self.words = set(re.findall(r"\w+", self.text))
    self.functions = sorted(set(re.findall(r"\b(hba_\w+)\((?!\*)", re.sub(r"__attribute__\(\(.*?\)\)\)?", "", self.text))))

  def members(self, struct):
    body = re.search(r"\bstruct %s \{(.*?)\n\};" % re.escape(struct), self.text, re.S)
    return set(re.findall(r"\w+", body.group(1))) if body else set()

  def has(self, symbol):
    struct, *members = symbol.split(".")
    if struct not in self.words:
      return False
    return not members or members[0] in self.members(struct)


def symbols(what):
  """Our names in a cell, in their order."""
  quoted = " ".join(re.findall(r"`([^`]*)`", what))
  return list(dict.fromkeys(re.findall(r"\b(?:hba|HBA)_\w+(?:\.\w+)*", quoted)))


def names_wrong(names, rows):
  listed = collections.Counter(n.name for n in names)
  shown = collections.Counter(r.name for r in rows)
  section_of = {n.name: n.section for n in names}
  yield from (f"{NAMES}: {name} is listed {n} times" for name, n in listed.items() if n > 1)
  yield from (f"{TABLE}: {name} has {shown[name]} rows, not one" for name in listed if shown[name] != 1)
  for row in rows:
    if row.name not in listed:
      yield f"{TABLE}:{row.line}: {row.name} is not in {NAMES}"
    elif section_of[row.name] != row.section:
      yield f"{TABLE}:{row.line}: {row.name} stands in section {row.section}, it is of {section_of[row.name]}"


def row_wrong(row, headers):
  if row.kind not in KINDS:
    yield f"is '{row.kind}'; a row is one of {', '.join(KINDS)}"
  if not row.what:
    yield "does not say which, or why"
  yield from (f"names {s}, which is not in {HEADERS}/" for s in symbols(row.what) if not headers.has(s))
  if row.kind == "ours" and not symbols(row.what):
    yield "is ours, but names nothing of ours"
  if row.kind in SHOWN and not row.test:
    yield f"is {row.kind}, but no test shows it"
  if row.kind not in SHOWN and row.test:
    yield f"is {row.kind}, but names a test"


def assertion(row, value):
  group = row.name.split(":")[0]
  number = RESPONSE_OF[group] << 8 | value if group in RESPONSE_OF else value
  symbol = symbols(row.what)[0]
  return f'_Static_assert({symbol} == {number:#x}, "{row.name}: {symbol} is not {number:#x}");'


def values_differ(root, rows, names):
  """Numbers that are not the contract's, by the compiler's word."""
  value_of = {n.name: n.value for n in names}
  asserts = [assertion(r, value_of[r.name]) for r in rows
             if r.test == VALUES and value_of.get(r.name) is not None and symbols(r.what)]
  source = "#include <hbakit/driver.h>\n#include <hbakit/hbakit.h>\n" + "\n".join(asserts) + "\n"
  command = ["cc", "-std=gnu17", "-fsyntax-only", "-I", os.path.join(root, "include"), "-x", "c", "-"]
  done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
  told = re.findall(r'static assertion failed: "(.*)"', done.stderr)
  if done.returncode and not told:
    return ["the numbers cannot be compared: " + done.stderr.strip()]
  return told + [f"{r.name} is shown by its number, and has none in {NAMES}"
                 for r in rows if r.test == VALUES and value_of.get(r.name) is None]


def second_half(rows, headers):
  """From our names to theirs; functions that the contract has nothing for are told as well."""
  theirs = collections.defaultdict(list)
  for row in rows:
    for symbol in symbols(row.what) if row.kind != "not here" else ():
      theirs[symbol].append(row.name)
  for function in headers.functions:
    theirs.setdefault(function, [])
  lines = [HALF, "", "## Ours to theirs", "", "Functions of ours that the contract has nothing for are here too.", "",
           "| ours | contract |", "|---|---|"]
  lines += [f"| `{ours}` | {', '.join(names) or '-'} |" for ours, names in sorted(theirs.items())]
  return "\n".join(lines) + "\n"


def write(root, rows, headers):
  first = tree.read(root, TABLE).split(HALF)[0]
  with open(os.path.join(root, TABLE), "w", encoding="utf-8") as f:
    f.write(first + second_half(rows, headers))


def violations(root, names, rows, headers):
  yield from names_wrong(names, rows)
  for row in rows:
    complaints = list(row_wrong(row, headers))
    if row.test:
      complaints.append(proof.complaint(root, row.test))
    yield from (f"{TABLE}:{row.line}: {row.name} {complaint}" for complaint in complaints if complaint)
  yield from values_differ(root, rows, names)
  if not tree.read(root, TABLE).endswith("\n" + second_half(rows, headers)):
    yield f"{TABLE}: its second half is old; tests/style/contract-table.py ROOT --write renews it"


def main(root, *arguments):
  if arguments == ("--write",):
    write(root, list(read_rows(root)), Headers(root))
    return
  names, rows, headers = list(read_names(root)), list(read_rows(root)), Headers(root)
  counts = collections.Counter(row.kind for row in rows)
  tree.finish("contract-table", list(violations(root, names, rows, headers)),
              f"{len(rows)} names: {counts['ours']} ours, {counts['merged']} merged, both shown; {counts['not here']} not here")


main(*sys.argv[1:])
