#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""decisions: docs/decisions/ decides each open point of docs/contract.md (section 10.1) on exactly
one page, and each page has its parts, names files that exist, and is shown by tests that exist.
`decisions.py ROOT`"""
import collections
import os
import re
import sys

import proof
import tree

FOLDER = "docs/decisions"
CONTRACT = "docs/contract.md"
PARTS = ("Decides:", "## Context", "## Decision", "## Consequences", "Where:")
MOST_LINES = 60
PLACE = re.compile(r"`((?:src|include|tests|docs)/[\w./-]+)`")


def pages(root):
  return [
      p for p in tree.files(root, ".md")
      if p.startswith(FOLDER + "/") and os.path.basename(p) != "README.md"
  ]


def paragraph(text, begin):
  """The lines from one that begins so to the next empty one or the next part."""
  found = re.search(r"^%s(.*?)(?:\n\n|\n(?=[A-Z][a-z ]+: )|\Z)" % re.escape(begin), text,
                    re.S | re.M)
  return found.group(1) if found else ""


def open_points(root):
  """The numbers in the table of section 10.1."""
  return [int(n) for n in re.findall(r"^\| (\d+) \|", tree.read(root, CONTRACT), re.M)]


def points_wrong(points, decided_by):
  for point in points:
    where = decided_by.pop(point, [])
    if not where:
      yield f"10.1/{point} is decided nowhere"
    elif len(where) > 1:
      yield f"10.1/{point} is decided {len(where)} times: {', '.join(where)}"
  for point, where in sorted(decided_by.items()):
    yield f"{where[0]}: there is no 10.1/{point}"


def page_wrong(root, path, text):
  lines = text.splitlines()
  if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", os.path.basename(path)):
    yield "is not called NNNN-short-name.md"
  if not lines or not lines[0].startswith("# "):
    yield "does not begin with its title"
  yield from (f"lacks its part '{part}'" for part in PARTS
              if not re.search("^" + re.escape(part), text, re.M))
  if len(lines) > MOST_LINES:
    yield f"has {len(lines)} lines; {MOST_LINES} are the most"
  yield from (f"names {place}, which does not exist"
              for place in PLACE.findall(paragraph(text, "Where:"))
              if not os.path.exists(os.path.join(root, place)))
  for test in re.findall(r"`([^`]+:\w+)`", paragraph(text, "Shown by:")):
    complaint = proof.complaint(root, test)
    if complaint:
      yield complaint


def numbers_wrong(paths):
  numbers = collections.Counter(os.path.basename(p)[:4] for p in paths)
  yield from (f"{FOLDER}: {n} pages have the number {number}" for number, n in numbers.items()
              if n > 1)


def violations(root, paths, points):
  decided_by = collections.defaultdict(list)
  for path in paths:
    text = tree.read(root, path)
    for point in re.findall(r"10\.1/(\d+)", paragraph(text, "Decides:")):
      decided_by[int(point)].append(path)
    yield from (f"{path}: {complaint}" for complaint in page_wrong(root, path, text))
  yield from numbers_wrong(paths)
  yield from points_wrong(points, decided_by)


def main(root):
  paths, points = pages(root), open_points(root)
  tree.finish("decisions", list(violations(root, paths, points)),
              f"{len(paths)} pages decide each of the {len(points)} points once")


main(*sys.argv[1:])
