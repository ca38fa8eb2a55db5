#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""core-order: the objects of src/core/ use symbols of their own room and of lower ones only.
`core-order.py ROOT ARCHIVE`; the order of the rooms is core-order.txt."""
import collections
import os
import re
import subprocess
import sys

import tree

Symbol = collections.namedtuple("Symbol", "object name defined")


def symbols(archive):
  """The global symbols of the archive's members that come from src/core/."""
  out = subprocess.run(["nm", "-A", "-g", archive], capture_output=True, text=True,
                       check=True).stdout
  for line in out.splitlines():
    m = re.search(r"(src_)?core_([\w-]+)\.c\.o:\s*(?:[0-9a-f]+)? ([A-Za-z]) (\S+)$", line)
    if m:
      yield Symbol(m.group(2), m.group(4), m.group(3) != "U")


def room_of(name):
  """diag_error is error.c in diag/; driver-call stands alone."""
  return name.split("_")[0]


def violations(found, order):
  owner = {s.name: s.object for s in found if s.defined}
  for s in found:
    if s.defined or s.name not in owner:
      continue
    user, used = room_of(s.object), room_of(owner[s.name])
    if order.index(user) < order.index(used):
      yield f"{s.object.replace('_', '/', 1)}.c uses {s.name}() of {used}, which is above {user}"


def main(root, archive):
  order = [words[0] for words in tree.table(root, os.path.join("tests", "style", "core-order.txt"))]
  found = list(symbols(archive))
  rooms = {room_of(s.object) for s in found}
  wrong = [f"room {r} is not in core-order.txt" for r in sorted(rooms - set(order))]
  wrong += [f"room {r} of core-order.txt has no object" for r in sorted(set(order) - rooms)]
  if not wrong:
    wrong = sorted(set(violations(found, order)))
  # The check must be able to fail: upside down, nearly every call goes the wrong way.
  if not wrong and not list(violations(found, order[::-1])):
    wrong = ["no violation is found with the order upside down"]
  tree.finish("core-order", wrong, f"{len(rooms)} rooms, each above those that it uses")


main(*sys.argv[1:])
