#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test-guard: bench/guard.py sees a command become dearer, wherever the dearer code is written: in
a file of the core, or inline in a public header, which is counted where it is called from.
`tests/tools/test-guard.py`"""
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "bench"))
import callgrind  # pylint: disable=wrong-import-position
import guard  # pylint: disable=wrong-import-position
import layers  # pylint: disable=wrong-import-position

TURNS = 1000
TREE = {
    "include/hbakit/task.h":
    "static inline void work(volatile int *n) { for (int i = 0; i < TURNS; i++) *n += i; }\n",
    "src/core/io/submit.c":
    '#include "../../../include/hbakit/task.h"\nvoid hba_submit(volatile int *n);\n'
    "void hba_submit(volatile int *n)\n{\n  work(n);\n}\n",
    "bench/load.c":
    "void hba_submit(volatile int *n);\nint main(void)\n{\n  volatile int n = 0;\n  "
    "hba_submit(&n);\n  return 0;\n}\n",
}


def profile(folder):
  """What callgrind counts in a program of such a tree, by function."""
  for path, text in TREE.items():
    os.makedirs(os.path.join(folder, os.path.dirname(path)), exist_ok=True)
    with open(os.path.join(folder, path), "w", encoding="utf-8") as f:
      f.write(text.replace("TURNS", str(TURNS)))
  sources = [path for path in TREE if path.endswith(".c")]
  subprocess.run(["cc", "-O2", "-g", "-o", "program", *sources], cwd=folder, check=True)
  subprocess.run([
      "valgrind", "-q", "--tool=callgrind", "--toggle-collect=main", "--callgrind-out-file=out",
      "./program"
  ], cwd=folder, check=True)
  here = os.getcwd()
  os.chdir(folder)
  try:
    return callgrind.Profile("out", shared=layers.SHARED)
  finally:
    os.chdir(here)


class Guard(unittest.TestCase):
  def test_inline_of_a_public_header_is_its_callers(self):
    with tempfile.TemporaryDirectory() as folder:
      costs = profile(folder).costs
    submit = callgrind.Cost("src/core/io/submit.c", "hba_submit")
    self.assertGreater(costs[submit], TURNS)
    self.assertEqual(layers.layer_of(submit), "submit")
    self.assertEqual([cost for cost in costs if layers.layer_of(cost) == "other"], [])

  def test_more_than_the_bound_fails(self):
    baseline = {
        "load": {
            "hba_submit in src/core/io/submit.c": 60.0,
            "send in src/core/io/queue.c": 40.0
        }
    }
    for more, up in ((2.9, []), (3.1, ["load"]), (-50.0, [])):
      now = {"load": {**baseline["load"], "send in src/core/io/queue.c": 40.0 + more}}
      self.assertEqual(guard.compare(now, baseline, guard.MOST_UP), up)

  def test_what_went_up_is_named(self):
    lines = guard.difference({"dearer": 15.0, "new": 1.0}, {"dearer": 10.0, "gone": 2.0})
    self.assertEqual([line.split(":")[0].split()[-1] for line in lines], ["dearer", "new", "gone"])


if __name__ == "__main__":
  unittest.main()
