#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""exported-symbols: what the library exports, what its map says and what the headers promise are
one list.

`exported-symbols.py ROOT LIBRARY`. A function that is declared before it is written waits in
not-yet.txt; and nothing inside src/ is called hba_ without being promised."""
import re
import subprocess
import sys

import tree

MAP = "src/hbakit.map"
NOT_YET = "tests/style/not-yet.txt"
MISUSED = "tests/unit/core/null.c"


def exported(library):
  out = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True,
                       check=True).stdout
  symbols = (line.split()[-2:] for line in out.splitlines())
  return {name.split("@")[0] for kind, name in symbols if kind != "A"}


def mapped(root):
  text = re.sub(r"/\*.*?\*/|#[^\n]*", "", tree.read(root, MAP), flags=re.S)
  body = " ".join(re.findall(r"global:(.*?)(?:local:|\})", text, re.S))
  return set(re.findall(r"[\w*?]+", body))


def declared(root):
  """Functions promised by the public headers; an inline one is the header's own and exports
  nothing."""
  headers = [p for p in tree.files(root, ".h") if p.startswith("include/")]
  inline = {t["name"] for t in tree.tags(root, headers, "f")}
  return {t["name"] for t in tree.tags(root, headers, "p")} - inline


def misused(root):
  """Functions whose wrong use is tried: one row each."""
  return set(re.findall(r"\bX\(\w+, (hba_\w+),", tree.read(root, MISUSED)))


def pretenders(root, promised):
  sources = [p for p in tree.files(root, ".c", ".h") if p.startswith("src/")]
  return [
      t for t in tree.tags(root, sources, "f")
      if t["name"].startswith("hba_") and t["name"] not in promised
  ]


def main(root, library):
  promised, in_map, in_library = declared(root), mapped(root), exported(library)
  not_yet = {words[0] for words in tree.table(root, NOT_YET)}
  violations = [
      f"{t['path']}: {t['name']} is called hba_, which only the public API is"
      for t in pretenders(root, promised)
  ]
  for names, complaint in (
      (in_library - in_map, f"is exported, but not in {MAP}"),
      (in_map - in_library, f"is in {MAP}, but not exported"),
      (in_map - misused(root), f"is in {MAP}, but {MISUSED} does not say what NULL does to it"),
      (in_library - promised, "is exported, but no header in include/hbakit/ declares it"),
      (promised - in_library - not_yet,
       f"is declared, but not exported; write it, or put it into {NOT_YET}"),
      (not_yet & in_library, f"exists now: take it out of {NOT_YET}"),
      (not_yet - promised, f"waits in {NOT_YET}, but no header declares it"),
  ):
    violations += [f"{name} {complaint}" for name in sorted(names)]
  tree.finish("exported-symbols", violations,
              f"{len(in_library)} exported, {len(not_yet)} declared and not yet written")


main(*sys.argv[1:])
