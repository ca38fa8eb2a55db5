#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""function-length: how long functions are, from the line with the name to the closing brace.
`function-length.py ROOT`"""
import statistics
import sys

import tree

MOST_LINES = 100


def lengths(root, paths):
  return {
      f"{t['path']}:{t['line']}: {t['name']}": t["end"] - t["line"] + 1
      for t in tree.tags(root, paths, "f")
      if "end" in t
  }


def describe(name, found):
  values = sorted(found.values())
  if values:
    p95 = values[int(0.95 * (len(values) - 1))]
    print(
        f"{name}: {len(values)} functions, median {statistics.median(values):g} lines, p95 {p95}, "
        f"longest {values[-1]}"
    )


def main(root):
  paths = tree.files(root, ".c", ".h")
  product = lengths(root, [p for p in paths if not p.startswith("tests/")])
  tests = lengths(root, [p for p in paths if p.startswith("tests/")])
  describe("product", product)
  describe("tests", tests)
  long = [
      f"{name} has {n} lines, more than {MOST_LINES}" for name, n in {
          **product,
          **tests
      }.items() if n > MOST_LINES
  ]
  tree.finish("function-length", long, f"none has more than {MOST_LINES} lines")


main(sys.argv[1])
