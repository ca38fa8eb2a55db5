#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""format: clang-format would change nothing, and no line is wider than it may be. `format.py ROOT`;
`make format` mends the code, but not comments."""
import collections
import shutil
import subprocess
import sys

import tree

SKIP = 77
COLUMNS, TAB = 100, 8
FROZEN = "tests/abi/v1/"  # as strangers have compiled it


def first_of_each(places):
  """One line per file, not per place: the answer is `make format` anyhow."""
  seen = collections.Counter(place.rsplit(":", 2)[0] for place in places)
  for path, count in seen.items():
    first = next(place for place in places if place.startswith(path + ":"))
    yield (f"{first}: not as clang-format writes it ({count} places in this file; `make format` "
           f"mends them)")


def too_wide(root, paths):
  """clang-format leaves comments alone, and so their width."""
  for path in paths:
    for number, line in enumerate(tree.read(root, path).split("\n"), 1):
      if len(line.expandtabs(TAB)) > COLUMNS:
        yield (f"{path}:{number}: {len(line.expandtabs(TAB))} columns; a line ends by column "
               f"{COLUMNS}")


def main(root):
  if not shutil.which("clang-format"):
    print("format: skipped, there is no clang-format")
    sys.exit(SKIP)
  paths = [p for p in tree.files(root, ".c", ".h") if not p.startswith(FROZEN)]
  done = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths], cwd=root,
                        capture_output=True, text=True, check=False)
  places = [line.split(": error:")[0] for line in done.stderr.splitlines() if ": error:" in line]
  violations = list(first_of_each(places))
  if done.returncode and not violations:
    violations = [done.stderr]
  violations += too_wide(root, paths + tree.files(root, ".py"))
  tree.finish("format", violations, f"{len(paths)} files as clang-format writes them")


main(sys.argv[1])
