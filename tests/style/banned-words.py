#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""banned-words: no names that C keeps for itself, no functions that cannot be used safely.
`banned-words.py ROOT`"""
import re
import sys

import tree

RESERVED = re.compile(r"^(?:__|_[A-Z])")
BANNED = re.compile(r"(?<![\w.>])(system|strcpy|strcat|sprintf|vsprintf|gets)\s*\(")
EVERY_KIND = "defgmpstuvx"


def banned(root, path):
  for number, line in enumerate(tree.code_only(tree.read(root, path)).splitlines(), 1):
    for match in BANNED.finditer(line):
      yield f"{path}:{number}: {match.group(1)}() is not used here"


def main(root):
  paths = tree.files(root, ".c", ".h")
  violations = [v for p in paths for v in banned(root, p)]
  for tag in tree.tags(root, paths, EVERY_KIND):
    if RESERVED.match(tag["name"]) and not tag["name"].startswith("__anon"):
      violations.append(
          f"{tag['path']}:{tag['line']}: {tag['name']} is a name that C keeps for itself")
  tree.finish("banned-words", violations, f"none in {len(paths)} files")


main(sys.argv[1])
