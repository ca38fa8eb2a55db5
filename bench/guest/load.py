#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""load: hbakit over VFIO beside Linux's own driver: same guest, same model of an adapter, same null
drive. `bench/guest/load.py`

Each boot has two halves: one is timed, in rounds in which every way has its turn; in the other a
plug-in of QEMU counts instructions, which slows Linux more than hbakit, and so is never timed.
Before them all ways read a disk that says of every word what it must be. load.sh runs in the guest,
load.c is the load, count.c the plug-in."""
import argparse
import array
import bisect
import collections
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tests", "guest")]
import guest  # pylint: disable=wrong-import-position
import page  # pylint: disable=wrong-import-position
import rounds  # pylint: disable=wrong-import-position
from page import common  # pylint: disable=wrong-import-position

FIGURES = "run/bench-guest.json"
SECONDS = 1200  # for one boot on a busy machine
STAMPED_BYTES = 8 << 20
WAYS = {
    "polled": "hbakit, polled",
    "interrupts": "hbakit, asleep",
    "uring": "Linux, io_uring",
    "aio": "Linux, libaio"
}
LINUX = ("uring", "aio")
DEPTHS = (1, 32)
TIMED = {1: 4000, 32: 20000}
COUNTED = {1: 2000, 32: 10000}
VERIFIED = {1: 500, 32: 4000}
KERNEL = 1 << 63  # from here on addresses are the kernel's
FUNCTIONS = 20    # shown of a profile
LEAST_BOOTS = 3   # without them a range means little


def arguments():
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--build", default="build")
  parser.add_argument("--boots", type=int, default=LEAST_BOOTS,
                      help="below the default the page is not written")
  parser.add_argument("--rounds", type=int, default=3, help="in each boot")
  parser.add_argument("--scale", type=float, default=1, help="of the number of commands")
  parser.add_argument("--profile", action="store_true",
                      help="only print where hbakit's instructions go, function by function")
  return parser.parse_args()


# ---- a boot

@dataclasses.dataclass(frozen=True)
class Adapter:
  """One of QEMU's models. Its goals are at least so many times Linux's commands/s at each depth,
  and at most so many instructions."""
  model: str
  slot: int
  driver: str  # Linux's, as sysfs names it
  module: str
  goals: dict
  instructions: int = 0  # no goal
  disk: str = ""         # properties of its disks that Linux's driver needs


FAST = {1: 2.5, 32: 5}
ADAPTERS = {
    "pvscsi":
    Adapter("pvscsi", 2, "vmw_pvscsi", "vmw_pvscsi", FAST, 700),
    "virtio-scsi":
    Adapter("virtio-scsi-pci,disable-legacy=on,iommu_platform=on", 3, "virtio-pci", "virtio_scsi",
            FAST, 700),
    "megasas":
    Adapter("megasas", 4, "megaraid_sas", "megaraid_sas", {
        1: 2.5,
        32: 2.5
    }),
    "mptsas":
    Adapter("mptsas1068", 5, "mptsas", "mptsas", {
        1: 2.5,
        32: 3.5
    }, disk=",wwn={wwn}"),
    "sym53c8xx":
    Adapter("lsi53c895a", 6, "sym53c8xx", "sym53c8xx", {
        1: 1,
        32: 1
    }),
}
FIRST_WWN = 0x5000c50012345678  # a SAS address: mptsas finds no disk without one


def devices(stamped):
  for number, adapter in enumerate(ADAPTERS.values()):
    yield from ("-device", f"{adapter.model},id=a{number},addr={adapter.slot}")
    drives = ("file.driver=null-co,file.size=1G,file.read-zeroes=off",
              f"file.filename={stamped},file.locking=off,read-only=on")
    for target, drive in enumerate(drives):
      more = adapter.disk.format(wwn=hex(FIRST_WWN + target))
      yield from ("-drive", f"if=none,id=d{number}{target},format=raw,{drive}")
      yield from ("-device",
                  f"scsi-hd,drive=d{number}{target},bus=a{number}.0,scsi-id={target}{more}")


def adapters_word():
  """For load.sh, as the kernel's command line takes it."""
  return "ADAPTERS=" + ",".join(f"{name}:{a.slot}:{a.driver}:{a.module}"
                                for name, a in ADAPTERS.items())


def stamp(path):
  with open(path, "wb") as f:
    array.array("Q", range(STAMPED_BYTES // 8)).tofile(f)


def as_word(loads, scale):
  return ",".join(
      f"{depth}:{max(int(commands * scale), 10 * depth)}" for depth, commands in loads.items())


class Boots:
  """Boots guests of one build."""

  def __init__(self, build, folder):
    self.load, self.plugin = (os.path.join(build, "bench", "guest", name)
                              for name in ("load", "count.so"))
    self.folder = folder
    self.stamped = os.path.join(folder, "stamped.img")
    stamp(self.stamped)

  def boot(self, turns, words, plugin=None):
    """Its measurements in the order in which they were made."""
    options = ["-plugin", f"{self.plugin},{plugin}"] if plugin else []
    lines = guest.boot([self.load], os.path.join(HERE,
                                                 "load.sh"), [*devices(self.stamped), *options],
                       SECONDS, words=f"{adapters_word()} {words}")
    found = list(measurements(lines))
    wanted = turns * len(ADAPTERS) * len(DEPTHS) * len(WAYS)
    if len(found) != wanted:
      raise common.Failed(f"the guest made {len(found)} of {wanted} measurements; it said last: " +
                          " | ".join(lines[-6:]))
    return found

  def counted(self, words, option=""):
    """As boot(), each measurement with its instructions."""
    out = os.path.join(self.folder, "counted")
    found = self.boot(1, words, f"out={out}{option}")
    with open(out, encoding="ascii") as f:
      told = list(counts(f))
    if len(told) != len(found):
      raise common.Failed(f"{len(found)} measurements, and {len(told)} counts of instructions")
    for measurement, count in zip(found, told):
      measurement.update(count)
    return found


def measurements(lines):
  adapter, objects = None, []
  for line in lines:
    first, *rest = line.split() or [""]
    if first == "on":
      adapter, objects = rest[0], []
    elif first == "object":
      objects.append((int(rest[0], 16), rest[1]))
    elif first == "load" and adapter:
      told = dict(word.split("=") for word in rest)
      yield {
          "adapter": adapter,
          "objects": objects,
          **{name: int(v) if v.isdigit() else v
             for name, v in told.items()}
      }


def counts(lines):
  """The plug-in's counts: instructions, those of waiting, for a profile those of each block."""
  told = None
  for line in lines:
    words = line.split()
    if words[0] == "counted":
      if told:
        yield told
      told = {"instructions": int(words[1]), "waiting": int(words[3]), "blocks": []}
    else:
      told["blocks"].append((int(words[1], 16), int(words[2])))
  if told:
    yield told


# ---- a profile

def symbols(path):
  """(address, name) of functions, sorted."""
  dynamic = [] if os.path.realpath(path).startswith(os.getcwd()) else ["--dynamic"]
  out = subprocess.run(["nm", "--numeric-sort", "--defined-only", *dynamic, path],
                       capture_output=True, text=True, check=False).stdout
  split = (line.split() for line in out.splitlines())
  return [(int(words[0], 16), words[2].split("@")[0])
          for words in split
          if len(words) == 3 and words[1] in "tTwWi"]


class Symbols:
  """Names for addresses of one measurement."""

  def __init__(self, boots):
    self.boots = boots
    self.known = {}

  def of_object(self, name):
    if name not in self.known:
      ours = {"load": self.boots.load}
      ours.update({os.path.basename(path): path for path in guest.libraries(self.boots.load)})
      self.known[name] = symbols(ours.get(os.path.basename(name), name))
    return self.known[name]

  def name(self, objects, address):
    if address >= KERNEL:
      return "the kernel"
    base, name = max((o for o in objects if o[0] <= address), default=(0, "?"))
    table = self.of_object(name)
    at = bisect.bisect(table, (address - base, "~")) - 1
    return table[at][1].split(".")[0] if at >= 0 else os.path.basename(name)


def by_function(names, measurement):
  """[(function, instructions per command)], the dearest first."""
  sums = collections.Counter()
  for address, instructions in measurement["blocks"]:
    sums[names.name(measurement["objects"], address)] += instructions
  return [(name, n / measurement["commands"]) for name, n in sums.most_common()]


def profile(boots, scale):
  found = boots.counted(f"ROUNDS=1 COUNTED={as_word(COUNTED, scale)} VERIFIED= OPTIONS=--objects",
                        ",profile=on")
  names = Symbols(boots)
  return {(m["adapter"], m["way"], m["depth"]): by_function(names, m)
          for m in found
          if m["way"] not in LINUX}


# ---- figures

class Figures:
  """Measurements by adapter, way and depth."""

  def __init__(self, timed, counted):
    self.timed, self.counted = timed, counted

  def rates(self, adapter, way, depth):
    return [
        m["commands"] * 1e9 / m["ns"]
        for m in self.timed
        if (m["adapter"], m["way"], m["depth"]) == (adapter, way, depth)
    ]

  def per_command(self, adapter, way, depth, what="instructions"):
    return [
        m[what] / m["commands"]
        for m in self.counted
        if (m["adapter"], m["way"], m["depth"]) == (adapter, way, depth)
    ]

  def ratios(self, adapter, way, depth):
    """Each round's own: against the faster of Linux's ways in it."""
    linux = [max(pair) for pair in zip(*(self.rates(adapter, peer, depth) for peer in LINUX))]
    return [ours / theirs for ours, theirs in zip(self.rates(adapter, way, depth), linux)]


def with_range(values, form):
  return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def cells():
  return [(adapter, depth) for adapter in ADAPTERS for depth in DEPTHS]


def rate_rows(figures):
  yield [
      "model, depth", *(f"{name}" for name in WAYS.values()), "polled / Linux's faster",
      "asleep / Linux's faster"
  ]
  for adapter, depth in cells():
    yield [
        f"{adapter}, {depth}",
        *(with_range(figures.rates(adapter, way, depth), ",.0f") for way in WAYS),
        *(with_range(figures.ratios(adapter, way, depth), ".2f")
          for way in ("polled", "interrupts"))
    ]


def instruction_rows(figures):
  yield ["model, depth", *WAYS.values(), "waiting, polled"]
  for adapter, depth in cells():
    yield [
        f"{adapter}, {depth}",
        *(with_range(figures.per_command(adapter, way, depth), ",.0f") for way in WAYS),
        with_range(figures.per_command(adapter, "polled", depth, "waiting"), ",.0f")
    ]


def profile_rows(columns):
  """`columns` = {title: [(function, instructions)…]}; a function to a row, by what it costs where
  it is dearest."""
  costs = [dict(functions) for functions in columns.values()]
  names = sorted({name
                  for column in costs
                  for name in column},
                 key=lambda name: -max(column.get(name, 0) for column in costs))
  others = [sum(column.get(name, 0) for name in names[FUNCTIONS:]) for column in costs]
  yield ["function", *columns]
  yield from ([f"`{name}`", *(f"{column.get(name, 0):,.0f}"
                              for column in costs)]
              for name in names[:FUNCTIONS])
  yield [f"{max(len(names) - FUNCTIONS, 0)} others", *(f"{n:,.0f}" for n in others)]
  yield ["all", *(f"{sum(column.values()):,.0f}" for column in costs)]


def goals(figures):
  """(adapter and depth, a line, is it met) for each."""
  for adapter, depth in cells():
    ratio = statistics.median(figures.ratios(adapter, "polled", depth))
    instructions = statistics.median(figures.per_command(adapter, "polled", depth))
    least, most = ADAPTERS[adapter].goals[depth], ADAPTERS[adapter].instructions
    for value, goal, met, unit in ((ratio, least, ratio >= least,
                                    " × Linux's commands/s, at least {}"),
                                   (instructions, most, instructions <= most,
                                    " instructions, at most {}")):
      if not goal:
        continue
      shown = f"{value:.2f}" if value < 100 else f"{value:,.0f}"
      yield (adapter, depth
             ), f"- {adapter}, depth {depth}: {shown}{unit.format(goal)}: {page.verdict(met)}", met


def profile_of_missed(figures, functions):
  """Sections: none, if no goal is missed."""
  missed = {cell for cell, _, met in goals(figures) if not met}
  columns = {
      f"{adapter}, {depth}": functions[adapter, "polled", depth]
      for adapter, depth in cells()
      if (adapter, depth) in missed
  }
  return [
      "Where the instructions of hbakit polled go, where it misses a goal, without the turns that "
      "wait:",
      page.table(list(profile_rows(columns)))
  ] if columns else []


def plots(figures):
  labels = [f"{adapter}, depth {depth}" for adapter, depth in cells()]
  for name, title, values in (("guest-rate", "commands per second", figures.rates),
                              ("guest-instructions", "guest instructions per command",
                               figures.per_command)):
    yield page.groups(
        name, f"hbakit over VFIO and Linux's driver: {title}", title, labels, {
            label: [values(adapter, way, depth) for adapter, depth in cells()]
            for way, label in WAYS.items()
        })


def how(args, found, figures):
  qemu = page.output_of("qemu-system-x86_64", "--version").splitlines()[0]
  canaries = [m["canary"] / 1e6 for m in figures.timed]
  return (
      f"{qemu}, TCG, one processor; guest {guest.kernel_package()}; median and range over "
      f"{args.boots} boots"
      f" with {args.rounds} rounds each, of depth:commands {as_word(TIMED, args.scale)}; "
      f"{rounds.canary_line(canaries)} in the guest."
      f" {page.machine_line(found)}.")


def lines_of(figures):
  return "\n".join(line for _, line, _ in goals(figures))


def write(args, found, figures, functions):
  page.write("guest", [
      how(args, found, figures), "Commands per second:",
      page.table(list(rate_rows(figures))), "Guest instructions per command, user and kernel:",
      page.table(list(instruction_rows(figures))), *plots(figures), "Goals, for hbakit polled:",
      lines_of(figures), *profile_of_missed(figures, functions)
  ])


# ---- all of it

def measure(args, boots):
  boots.boot(1, f"ROUNDS=0 COUNTED= VERIFIED={as_word(VERIFIED, args.scale)}")
  print("  every way has read what is on the disk", flush=True)
  timed, counted = [], []
  for boot in range(args.boots):
    timed += boots.boot(args.rounds,
                        f"ROUNDS={args.rounds} COUNTED={as_word(TIMED, args.scale)} VERIFIED=")
    counted += boots.counted(f"ROUNDS=1 COUNTED={as_word(COUNTED, args.scale)} VERIFIED=")
    print(f"  boot {boot + 1} of {args.boots} done", flush=True)
  return Figures(timed, counted)


def print_profile(functions):
  for (adapter, way, depth), sums in functions.items():
    print(
        f"  {adapter}, {way}, depth {depth}: {sum(n for _, n in sums):,.0f} instructions per "
        f"command"
    )
    common.table(list(profile_rows({"instructions": sums})))


def main():
  args = arguments()
  common.at_root()
  found = page.circumstances()
  with tempfile.TemporaryDirectory(prefix="hbakit-load-") as folder:
    boots = Boots(args.build, folder)
    if args.profile:
      print_profile(profile(boots, args.scale))
      return
    figures = measure(args, boots)
    functions = profile(boots, args.scale)
  common.table(list(rate_rows(figures)))
  common.table(list(instruction_rows(figures)))
  print(lines_of(figures))
  page.keep(FIGURES, found, {"timed": figures.timed, "counted": figures.counted})
  if args.boots >= LEAST_BOOTS:
    write(args, found, figures, functions)
  print(f"  all figures in {FIGURES}")


common.main_of("bench/guest/load.py", main)
