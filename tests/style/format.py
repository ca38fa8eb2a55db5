#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""format: clang-format would change nothing. `format.py ROOT`; `make format` mends it."""
import collections
import shutil
import subprocess
import sys

import tree

SKIP = 77


def first_of_each(places):
  """One line per file, not per place: the answer is `make format` anyhow."""
  seen = collections.Counter(place.rsplit(":", 2)[0] for place in places)
  for path, count in seen.items():
    first = next(place for place in places if place.startswith(path + ":"))
    yield f"{first}: not as clang-format writes it ({count} places in this file; `make format` mends them)"


def main(root):
  if not shutil.which("clang-format"):
    print("format: skipped, there is no clang-format")
    sys.exit(SKIP)
  paths = tree.files(root, ".c", ".h")
  done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=root, capture_output=True, text=True, check=False)
  places = [line.split(": error:")[0] for line in done.stderr.splitlines() if ": error:" in line]
  violations = list(first_of_each(places))
  if done.returncode and not violations:
    violations = [done.stderr]
  tree.finish("format", violations, f"{len(paths)} files as clang-format writes them")


main(sys.argv[1])
