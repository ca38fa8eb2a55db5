#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""spdx: each file of code says its licence, once, in its first lines. `spdx.py ROOT`"""
import os
import re
import sys

import tree

CODE = (".c", ".h", ".py", ".sh", ".txt", "meson.build", "Makefile")
LINE = re.compile(r"^(?:/\*|#|//) SPDX-License-Identifier: MIT(?: \*/)?$")
FIRST = 2  # a script's first line is its interpreter's


def is_code(root, path):
  return path.endswith(CODE) or (os.access(os.path.join(root, path), os.X_OK)
                                 and tree.read(root, path).startswith("#!"))


def check(root, path):
  lines = tree.read(root, path).splitlines()
  if not any(LINE.match(line) for line in lines[:FIRST]):
    yield f"{path}: no `SPDX-License-Identifier: MIT` in its first {FIRST} lines"
  if sum(bool(LINE.match(line)) for line in lines) > 1:
    yield f"{path}: says its licence more than once"


def main(root):
  paths = [p for p in tree.files(root) if is_code(root, p)]
  tree.finish("spdx", [v for p in paths for v in check(root, p)],
              f"{len(paths)} files say their licence")


main(sys.argv[1])
