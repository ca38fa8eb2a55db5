#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""core: what the framework itself costs: time per command beside others', instructions by layer,
growth, and the price of mapping on the I/O path. Writes the sections core-* of
docs/benchmarks.md. `bench/core.py [--time S] [--rounds N] [SECTION...]`"""
import argparse
import json
import subprocess

import layers
import page
import rounds
from page import common

NULL = "soft:null?size=1T&fill=none&tasks=256"
DEPTHS = (1, 32, 128)
COUNTED = 20_000  # commands under callgrind: it counts the same twice, so more would say no more
GOALS_NS = {"goal": 110, "in the end": 55}
GOALS_INSTRUCTIONS = {"goal": 300, "in the end": 200}
# growth: of instructions, and of time for the same tasks on the same units
FLAT, FLAT_NS = 0.02, 0.10
POOLS = (1, 16, 256, 4096, 65_533)
UNITS = (1, 16, 256, 4096, 16_384)
ACTIVE_UNITS = 16
NS_PER_S = 1e9
GUESS_NS = 400  # of a command, to choose how many make the time asked for


def run(command):
  try:
    done = subprocess.run(command, capture_output=True, text=True, timeout=common.DEADLINE,
                          check=False)
  except FileNotFoundError:
    raise common.Failed(f"there is no {command[0]}; `tools/deps bench` installs it") from None
  if done.returncode:
    raise common.Failed(
        f"`{' '.join(command)}` ended with {done.returncode}: "
        f"{(done.stderr or done.stdout).strip()[-300:]}"
    )
  return done.stdout


class Bench:
  """The programs of one build, and how long to measure."""

  def __init__(self, build, seconds, turns):
    self.core, self.mapping = f"{build}/bench/bench-core", f"{build}/bench/bench-mapping"
    self.hbakit = common.Hbakit(build)
    self.seconds, self.rounds = seconds, turns

  def commands(self):
    return int(self.seconds * NS_PER_S / GUESS_NS)

  # Each returns nanoseconds per command.

  def of_core(self, uri, *arguments):
    commands, ns = map(
        int,
        run([self.core, "--commands",
             str(self.commands()), *map(str, arguments), uri]).split()[:2])
    return ns / commands

  def of_command(self, depth):
    return NS_PER_S / self.hbakit.json("bench", NULL, "--depth", depth, "--time",
                                       self.seconds)["iops"]

  def of_qemu(self, depth):
    count = self.commands()
    said = run([
        "qemu-img", "bench", "-c",
        str(count), "-d",
        str(depth), "-s", "4096", "--image-opts", "driver=null-co,size=1T"
    ])
    return float(said.split("Run completed in")[1].split()[0]) * NS_PER_S / count

  def of_fio(self, depth):
    said = run([
        "fio", "--name=null", "--ioengine=null", "--rw=randread", "--bs=4k", f"--iodepth={depth}",
        "--size=1G", "--time_based", f"--runtime={self.seconds}", "--output-format=json"
    ])
    return NS_PER_S / json.loads(said)["jobs"][0]["read"]["iops"]

  def of_mapping(self, way, commands):
    count, ns, faults = map(int, run([self.mapping, way, str(commands)]).split())
    return {"ns": ns / count, "faults": faults / count}

  def count(self, *arguments, uri=NULL):
    return layers.Count(self.core, [*map(str, arguments), uri], COUNTED, "run/bench.callgrind")


def verdicts(figure, unit, goals):
  """A line for each goal: "100 ns; goal 110: met; in the end 55: **missed**"."""
  told = "; ".join(f"{name} {most}: {page.verdict(figure <= most)}" for name, most in goals.items())
  return f"{figure:.0f} {unit}; {told}."


# ---- time, beside others

def time_section(bench, found):
  peers = {
    "hbakit, the framework alone": lambda depth: bench.of_core(NULL, "--depth", depth),
    "`hbakit bench`": bench.of_command,
    "fio, null engine": bench.of_fio,
    "`qemu-img bench`, null-co": bench.of_qemu,
  }
  candidates = {(name, depth): lambda measure=measure, depth=depth: measure(depth)
                for name, measure in peers.items() for depth in DEPTHS}
  turns = rounds.Rounds(candidates, bench.rounds)
  ours = next(iter(peers))
  rows = [[
      "ns per command", *(f"depth {depth}" for depth in DEPTHS), "apart",
      f"ours, of it, at depth {DEPTHS[-1]}"
  ]]
  for name in peers:
    deepest = (name, DEPTHS[-1])
    rows.append([
        name, *(f"{turns.median((name, depth)):.0f}" for depth in DEPTHS),
        f"{turns.apart(deepest):.0%}",
        "" if name == ours else f"{turns.ratio((ours, DEPTHS[-1]), deepest):.2f} ×"
    ])
  values = [(name.replace("`", ""), round(turns.median((name, DEPTHS[-1])))) for name in peers]
  page.write("core-time", [
      f"{bench.seconds} s × {bench.rounds}, READ of 4 KiB; {turns.canary_line()}. "
      f"{page.machine_line(found)}.",
      page.table(rows),
      f"The framework alone, depth {DEPTHS[-1]}: "
      f"{verdicts(turns.median((ours, DEPTHS[-1])), 'ns', GOALS_NS)}",
      page.bars("core-time", f"A command on a null device, depth {DEPTHS[-1]}", "ns", values)
  ])
  common.table(rows)
  return {
      "ns": {f"{name}, depth {depth}": turns.results[name, depth]
             for name, depth in candidates},
      "canary_ms": turns.canaries
  }


# ---- instructions, by layer

LOADS = {
  "data by region, depth 128": (NULL, "--depth", 128),
  "data by region, depth 1": (NULL, "--depth", 1),
  "data by address, depth 128": (NULL, "--depth", 128, "--cpu"),
  "a DMA driver's segments, depth 128": (f"{NULL}&data=dma", "--depth", 128),
}


def versions():
  """What decides a number of instructions besides the code."""
  return {
    "compiler": page.output_of("cc", "--version").splitlines()[0],
    "libc": page.output_of("getconf", "GNU_LIBC_VERSION"),
    "valgrind": page.output_of("valgrind", "--version"),
  }


def instructions_section(bench, found):
  counts = {name: bench.count(*arguments, uri=uri) for name, (uri, *arguments) in LOADS.items()}
  rows = [[
      "instructions per command", *layers.FRAMEWORK, "**framework**", "driver and disk", "client",
      "all"
  ]]
  for name, count in counts.items():
    rows.append([
        name, *(f"{count.layer(layer):.0f}" for layer in layers.FRAMEWORK),
        f"**{count.framework():.0f}**", f"{count.layer('driver'):.0f}",
        f"{count.layer('client'):.0f}", f"{count.total():.0f}"
    ])
  first = next(iter(counts.values()))
  dearest = [["the framework's dearest functions, first row", "instructions"]]
  dearest += [[f"`{cost.function}` in {cost.file}", f"{n:.1f}"]
              for cost, n in list(first.functions(layers.FRAMEWORK).items())[:12]]
  page.write("core-instructions", [
      f"callgrind, {COUNTED} commands. {', '.join(versions().values())}; "
      f"{page.machine_line(found)}.",
      page.table(rows),
      "The framework, first row: "
      f"{verdicts(first.framework(), 'instructions', GOALS_INSTRUCTIONS)}",
      page.bars("core-instructions", "Instructions of a command, by layer", "instructions",
                [(layer, round(first.layer(layer))) for layer in layers.ORDER]),
      page.table(dearest)
  ])
  common.table(rows)
  return {
      name: {layer: count.layer(layer)
             for layer in layers.ORDER}
      for name, count in counts.items()
  }


# ---- growth

def pool_uri(tasks):
  return f"soft:null?size=1T&fill=none&tasks={tasks}"


def units_uri(units):
  return f"soft:null?size=1G&fill=none&tasks=256&luns={units}"


def growth_rows(head, sizes, counts, turns, kinds):
  rows = [head]
  for size in sizes:
    cells = [
        f"{counts[size][kind].framework():.1f}" if kind in counts[size] else ""
        for kind in kinds["counted"]
    ]
    times = [
        f"{turns.median((kind, size)):.0f}" if (kind, size) in turns.results else ""
        for kind in kinds["timed"]
    ]
    rows.append([f"{size:,}", *cells, *times])
  return rows


def growth_of(values):
  """How far the largest lies above the smallest."""
  return max(values) / min(values) - 1


def flatness(by_pool, by_units, turns):
  """How far the figures grow with pool and units, against the goals of docs/benchmarks.md, as lines
  of a list."""
  grown = {
      "instructions over the pool, depth 1":
      (growth_of([counts["one"].framework() for counts in by_pool.values()]), FLAT),
      "instructions over the pool, depth 128":
      (growth_of([c["many"].framework() for c in by_pool.values() if "many" in c]), FLAT),
      "instructions over units":
      (growth_of([counts["many"].framework() for counts in by_units.values()]), FLAT),
      "instructions over units, from as many as are busy on": (growth_of([
          counts["many"].framework() for n, counts in by_units.items() if n >= ACTIVE_UNITS
      ]), FLAT),
      f"time of 128 tasks on {ACTIVE_UNITS} units":
      (growth_of([turns.median(("units", n)) for n in UNITS if n >= ACTIVE_UNITS]), FLAT_NS),
  }
  return "\n".join(f"- {what}: {more:.1%}, at most {most:.0%}: {page.verdict(more <= most)}"
                   for what, (more, most) in grown.items())


def growth_section(bench, found):
  by_pool = {
      n: {
          "one": bench.count("--depth", 1, uri=pool_uri(n)),
          **({
              "many": bench.count("--depth", 128, uri=pool_uri(n))
          } if n >= 128 else {})
      }
      for n in POOLS
  }
  by_units = {
      n: {
          "many": bench.count("--units", min(n, ACTIVE_UNITS), uri=units_uri(n))
      }
      for n in UNITS
  }
  candidates = {("pool", n): lambda n=n: bench.of_core(pool_uri(n)) for n in POOLS if n >= 128}
  candidates.update({("units", n):
                     lambda n=n: bench.of_core(units_uri(n), "--units", min(n, ACTIVE_UNITS))
                     for n in UNITS})
  candidates.update({("roam", n): lambda n=n: bench.of_core(units_uri(n), "--units", n, "--roam")
                     for n in UNITS})
  turns = rounds.Rounds(candidates, bench.rounds)
  pool_rows = growth_rows(
      ["tasks in the pool", "instructions, depth 1", "instructions, depth 128", "ns, depth 128"],
      POOLS, by_pool, turns, {
          "counted": ("one", "many"),
          "timed": ("pool", )
      })
  unit_rows = growth_rows([
      "units", "instructions, depth 128", "ns, 128 tasks on 16 units",
      "ns, each command to another unit"
  ], UNITS, by_units, turns, {
      "counted": ("many", ),
      "timed": ("units", "roam")
  })
  page.write("core-growth", [
      f"Instructions are the framework's. {turns.canary_line()}. {page.machine_line(found)}.",
      page.table(pool_rows),
      page.table(unit_rows),
      f"From the smallest to the largest:\n\n{flatness(by_pool, by_units, turns)}",
      page.lines(
          "core-growth", "Growth",
          ("tasks in the pool, or units", "instructions per command, depth 128"), {
              "pool": [(n, by_pool[n]["many"].framework()) for n in POOLS if "many" in by_pool[n]],
              "units": [(n, by_units[n]["many"].framework()) for n in UNITS]
          })
  ])
  common.table(pool_rows)
  common.table(unit_rows)
  return {"pool": pool_rows, "units": unit_rows, "canary_ms": turns.canaries}


# ---- mapping

MAPPED_AT_CREATION, MAPPED_EACH = 1_000_000, 5_000


def mapping_section(bench, found):
  ways = {
      "when the task is made": ("creation", MAPPED_AT_CREATION),
      "for each command": ("command", MAPPED_EACH)
  }
  turns = rounds.Rounds(
      {name: lambda way=way: bench.of_mapping(*way)
       for name, way in ways.items()}, bench.rounds, number=lambda result: result["ns"])
  rows = [["HBA data mapped", "ns per command", "page faults per command", "apart"]]
  rows += [[
      name, f"{turns.median(name):,.0f}", f"{turns.middle(name)['faults']:.2f}",
      f"{turns.apart(name):.0%}"
  ] for name in ways]
  once, each = ways
  page.write("core-mapping", [
      f"Depth 32, one page for each task; {turns.canary_line()}. {page.machine_line(found)}.",
      page.table(rows), f"Mapping on the I/O path: {turns.ratio(each, once):,.0f} times as long."
  ])
  common.table(rows)
  return {"ways": turns.results, "canary_ms": turns.canaries}


SECTIONS = {
    "time": time_section,
    "instructions": instructions_section,
    "growth": growth_section,
    "mapping": mapping_section
}


def main():
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--build", default="build")
  parser.add_argument("--time", type=int, default=1, help="seconds for each measurement")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("sections", nargs="*", metavar="SECTION",
                      help=f"of {', '.join(SECTIONS)}; default: all")
  args = parser.parse_args()
  unknown = set(args.sections) - set(SECTIONS)
  if unknown:
    parser.error(
        f"there is no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
  common.at_root()
  found = page.circumstances()
  rounds.pin()
  bench = Bench(args.build, args.time, args.rounds)
  for name in args.sections or SECTIONS:
    page.keep(f"run/bench-core-{name}.json", found, {"figures": SECTIONS[name](bench, found)})


if __name__ == "__main__":
  common.main_of("bench/core.py", main)
