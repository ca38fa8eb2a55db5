#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""contract-table: docs/from-driverkit.md against docs/contract-names.txt, the public headers and
the tests.

Each name of the contract stands in the table exactly once and in its section. A row that is *ours*
names something of include/hbakit/ and a test that exists. Numbers are compared by the compiler. The
column `chips` is found in the drivers' sources (chips.py); rows that no chip exercises are listed
with a reason; for the rows that are shown on a chip a mutant of that driver is in
tests/mutants/mutants.txt. `contract-table.py ROOT` checks; `contract-table.py ROOT --write` renews
the column and the table's second half, from our names to theirs."""
import collections
import os
import re
import subprocess
import sys

import chips
import proof
import tree

NAMES = "docs/contract-names.txt"
TABLE = "docs/from-driverkit.md"
HEADERS = "include/hbakit"
HALF = "<!-- ours to theirs: written by tests/style/contract-table.py ROOT --write -->"
UNUSED = "## Rows that no chip exercises"
ON_CHIPS = "## Rows shown on a chip"
MUTANTS = "tests/mutants/mutants.txt"
VALUES = "tests/style/contract-table.py:values_differ"
KINDS = ("ours", "merged", "not here")
SHOWN = ("ours", "merged")  # by a test

Name = collections.namedtuple("Name", "section name value")
Row = collections.namedtuple("Row", "section name kind what chips test line")
OnChip = collections.namedtuple("OnChip", "name chip test line")

# What is one number here and two in the contract: task status, under the service response it comes
# with.
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
  for number, line in enumerate(tree.read(root, TABLE).split(UNUSED)[0].splitlines(), 1):
    if line.startswith("## "):
      section = line.split()[1]
    elif line.startswith("| ") and not line.startswith("| contract |"):
      cells = [cell.strip() for cell in line.strip("|").split("|")]
      name, kind, what, who, test = (cells + [""] * 5)[:5]
      yield Row(section, name, kind, what, who, test.strip("`"), number)


def read_list(root, title):
  """The lines of a table below the rows, cut into cells, and where they stand."""
  inside = False
  for number, line in enumerate(tree.read(root, TABLE).split(HALF)[0].splitlines(), 1):
    if line.startswith("## "):
      inside = line == title
    elif inside and line.startswith("| ") and not line.startswith("| row"):
      yield number, [cell.strip() for cell in line.strip("|").split("|")]


def read_unused(root):
  """Name, who, reason."""
  for number, (names, who, why) in read_list(root, UNUSED):
    yield from ((name, who, why, number) for name in names.split("; "))


def read_on_chips(root):
  return [
      OnChip(name.strip("`"), chip, test.strip("`"), number)
      for number, (name, chip, test) in read_list(root, ON_CHIPS)
  ]


class Headers:
  """The names that the public headers promise."""

  def __init__(self, root):
    paths = sorted(p for p in tree.files(root, ".h") if p.startswith(HEADERS + "/"))
    self.text = tree.code_only("\n".join(tree.read(root, p) for p in paths))
    self.words = set(re.findall(r"\w+", self.text))
    self.functions = sorted(
        set(
            re.findall(r"\b(hba_\w+)\((?!\*)", re.sub(r"__attribute__\(\(.*?\)\)\)?", "",
                                                      self.text))))

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
  yield from (f"{TABLE}: {name} has {shown[name]} rows, not one" for name in listed
              if shown[name] != 1)
  for row in rows:
    if row.name not in listed:
      yield f"{TABLE}:{row.line}: {row.name} is not in {NAMES}"
    elif section_of[row.name] != row.section:
      yield (f"{TABLE}:{row.line}: {row.name} stands in section {row.section}, it is of "
             f"{section_of[row.name]}")


def row_wrong(row, headers):
  if row.kind not in KINDS:
    yield f"is '{row.kind}'; a row is one of {', '.join(KINDS)}"
  if not row.what:
    yield "does not say which, or why"
  yield from (f"names {s}, which is not in {HEADERS}/" for s in symbols(row.what)
              if not headers.has(s))
  if row.kind == "ours" and not symbols(row.what):
    yield "is ours, but names nothing of ours"
  if row.kind in SHOWN and not row.test:
    yield f"is {row.kind}, but no test shows it"
  if row.kind not in SHOWN and row.test:
    yield f"is {row.kind}, but names a test"


def column_wrong(root, rows, column):
  """The column, and the list of those rows that only `soft` exercises, or no driver here."""
  for row in rows:
    if row.chips != column[row.name]:
      yield (f"{TABLE}:{row.line}: {row.name} is exercised by '{column[row.name]}', not "
             f"'{row.chips}'; --write renews the column")
  listed = {name: (who, why, line) for name, who, why, line in read_unused(root)}
  unused = {name: who for name, who in column.items() if who in (chips.SOFT, chips.NONE)}
  yield from (f"{TABLE}: {name} is exercised by no chip ({who}), and not listed"
              for name, who in unused.items()
              if name not in listed)
  for name, (who, why, line) in listed.items():
    if unused.get(name) != who or not why:
      yield (f"{TABLE}:{line}: {name} is listed as '{who}', but the column has "
             f"'{column.get(name, 'no such row')}', or there is no reason")


def taken_away(root):
  """Of each mutant: row, file, the line that is taken away, test."""
  for block in re.split(r"\n\s*(?=mutant )", tree.read(root, MUTANTS)):
    fields = dict(
        (line.split(None, 1) + [""])[:2] for line in block.splitlines() if not line.startswith("#"))
    if "test" in fields:
      yield fields["row"], fields["file"], fields["old"], fields["test"]


def on_chips_wrong(root, rows, found):
  """A row, or a name of ours that has none, is shown on a chip if without the driver's use of it
  the test goes red: a mutant proves it."""
  mutants = list(taken_away(root))
  driver_of = {short: name for name, short in chips.SHORT.items()}
  row_of = {row.name: row for row in rows}
  for shown in read_on_chips(root):
    place = f"{TABLE}:{shown.line}: {shown.name}"
    if shown.chip not in driver_of:
      yield f"{place} names the chip {shown.chip}, which is none"
      continue
    files = chips.sources(root, driver_of[shown.chip])
    if proof.complaint(root, shown.test):
      yield f"{place} {proof.complaint(root, shown.test)}"
    if shown.name in row_of and shown.chip not in [
        chips.SHORT[d.name]
        for d in found.who(row_of[shown.name], symbols(row_of[shown.name].what)) or ()
    ]:
      yield f"{place} is not exercised by {shown.chip}"
    if not any(test == shown.test and file in files and
               (shown.name in row.split("; ") or shown.name in old)
               for row, file, old, test in mutants):
      yield (f"{place} has no mutant in {MUTANTS} that takes it out of {driver_of[shown.chip]} for "
             f"{shown.test}")


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
  command = [
      "cc", "-std=gnu17", "-fsyntax-only", "-I",
      os.path.join(root, "include"), "-x", "c", "-"
  ]
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
  lines = [
      HALF, "", "## Ours to theirs", "",
      "Functions of ours that the contract has nothing for are here too.", "",
      "| ours | contract |", "|---|---|"
  ]
  lines += [f"| `{ours}` | {', '.join(names) or '-'} |" for ours, names in sorted(theirs.items())]
  return "\n".join(lines) + "\n"


def with_column(text, rows, column):
  """The rows, each with who exercises it."""
  lines = text.splitlines(keepends=True)
  for row in rows:
    test = f"`{row.test}`" if row.test else ""
    lines[row.line -
          1] = f"| {row.name} | {row.kind} | {row.what} | {column[row.name]} | {test} |\n"
  return "".join(lines)


def find_column(rows, found):
  return {row.name: found.cell(row, symbols(row.what)) for row in rows}


def write(root, rows, headers):
  first = with_column(
      tree.read(root, TABLE).split(HALF)[0], rows, find_column(rows, chips.Chips(root)))
  with open(os.path.join(root, TABLE), "w", encoding="utf-8") as f:
    f.write(first + second_half(rows, headers))


def violations(root, names, rows, headers):
  yield from names_wrong(names, rows)
  for row in rows:
    complaints = list(row_wrong(row, headers))
    if row.test:
      complaints.append(proof.complaint(root, row.test))
    yield from (f"{TABLE}:{row.line}: {row.name} {complaint}" for complaint in complaints
                if complaint)
  yield from values_differ(root, rows, names)
  found = chips.Chips(root)
  yield from column_wrong(root, rows, find_column(rows, found))
  yield from on_chips_wrong(root, rows, found)
  if not tree.read(root, TABLE).endswith("\n" + second_half(rows, headers)):
    yield f"{TABLE}: its second half is old; tests/style/contract-table.py ROOT --write renews it"


def main(root, *arguments):
  if arguments == ("--write",):
    write(root, list(read_rows(root)), Headers(root))
    return
  names, rows, headers = list(read_names(root)), list(read_rows(root)), Headers(root)
  counts = collections.Counter(row.kind for row in rows)
  tree.finish(
      "contract-table", list(violations(root, names, rows, headers)),
      f"{len(rows)} names: {counts['ours']} ours, {counts['merged']} merged, both shown; "
      f"{counts['not here']} not here"
  )


main(*sys.argv[1:])
