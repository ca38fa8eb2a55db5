#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""guard: has a command become dearer? Counts the framework's instructions per command and compares
them with bench/guard.json, function by function. `bench/guard.py [--build DIR] [--update]`

More than 3 % up fails, and shows what went up. A number of instructions is also the compiler's, the
C library's and valgrind's: where one of these is another one than the baseline's, that is said, and
only a bound as wide as compilers differ is held. Exit code 77 is then `skipped`, as in meson. Below
the baseline is good news: `--update` writes it down."""
import argparse
import json
import sys

import core
import layers
import page
import rounds
from page import common

BASELINE = "bench/guard.json"
MOST_UP = 0.03
MOST_UP_ELSEWHERE = 0.5  # compilers and their options lie that far apart
SKIPPED = 77
SHOWN = 12
LEAST_SHOWN = 0.5  # instructions: less is not worth a line


def counted(build):
  """{load: {"function in file": instructions per command}}, of the framework only."""
  bench = core.Bench(build, 1, 1)
  found = {}
  for name, (uri, *arguments) in core.LOADS.items():
    functions = bench.count(*arguments, uri=uri).functions(layers.FRAMEWORK)
    found[name] = {f"{cost.function} in {cost.file}": round(n, 2) for cost, n in functions.items()}
  return found


def total(functions):
  return sum(functions.values())


def difference(now, before):
  """What went up, or came down, the most first: one line each."""
  changes = {name: now.get(name, 0) - before.get(name, 0) for name in {*now, *before}}
  worst = sorted((name for name in changes if abs(changes[name]) >= LEAST_SHOWN),
                 key=lambda name: -changes[name])
  return [
      f"    {changes[name]:+8.1f}  {name}: {before.get(name, 0):.1f} -> {now.get(name, 0):.1f}"
      for name in worst[:SHOWN]
  ]


def compare(now, baseline, most_up):
  """The loads that went up by more than `most_up`; every load has a line."""
  up = []
  for name, functions in now.items():
    before = baseline.get(name)
    if before is None:
      raise common.Failed(f"{BASELINE} has no load '{name}'; `bench/guard.py --update` writes it")
    share = total(functions) / total(before) - 1
    print(
        f"  {name}: {total(functions):.1f} instructions, baseline {total(before):.1f}, {share:+.1%}"
    )
    if share > most_up:
      up.append(name)
      print("\n".join(difference(functions, before)))
  return up


def other_versions(baseline):
  here = core.versions()
  return [
      f"{what} is '{here[what]}', the baseline's '{baseline[what]}'" for what in here
      if here[what] != baseline.get(what)
  ]


def update(now):
  with open(BASELINE, "w", encoding="utf-8") as f:
    json.dump({"versions": core.versions(), "loads": now}, f, indent=1, sort_keys=True)
    f.write("\n")
  print(
      f"guard: {BASELINE} is written: "
      f"{', '.join(f'{name} {total(functions):.0f}' for name, functions in now.items())}"
  )


def main():
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--build", default="build")
  parser.add_argument("--update", action="store_true", help="write the baseline anew")
  args = parser.parse_args()
  common.at_root()
  rounds.pin()
  now = counted(args.build)
  if args.update:
    update(now)
    return
  with open(BASELINE, encoding="utf-8") as f:
    baseline = json.load(f)
  others = other_versions(baseline["versions"])
  most_up = MOST_UP_ELSEWHERE if others else MOST_UP
  up = compare(now, baseline["loads"], most_up)
  if up:
    raise common.Failed(
        f"more than {most_up:.0%} above {BASELINE}: {'; '.join(up)}. Make it cheaper, or say in "
        f"the commit why it has "
        "to cost more, and `bench/guard.py --update`")
  if others:
    print(
        f"guard: SKIPPED the bound of {MOST_UP:.0%}, held that of {MOST_UP_ELSEWHERE:.0%}: "
        f"{'; '.join(others)}"
    )
    sys.exit(SKIPPED)
  print(f"guard: no load is more than {MOST_UP:.0%} above the baseline")


if __name__ == "__main__":
  common.main_of("bench/guard.py", main)
