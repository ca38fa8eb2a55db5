#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""format: clang-format would change nothing. `format.py ROOT`; `make format` mends it."""
import shutil
import subprocess
import sys

import tree

SKIP = 77


def main(root):
  if not shutil.which("clang-format"):
    print("format: skipped, there is no clang-format")
    sys.exit(SKIP)
  paths = tree.files(root, ".c", ".h")
  done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=root, capture_output=True, text=True, check=False)
  violations = [line for line in done.stderr.splitlines() if ": error:" in line]
  if done.returncode and not violations:
    violations = [done.stderr]
  tree.finish("format", violations, f"{len(paths)} files as clang-format writes them")


main(sys.argv[1])
