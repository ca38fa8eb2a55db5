#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""controllers: commands per second and latency of controllers, side by side. `bench/controllers.py
[URI...]`

Every URI and depth has its turn in every round, so that a slow minute of the machine hits all of
them; shown is the median round, and how far the rounds lie apart. Queue and device share one
thread; nothing else should run beside it."""
import argparse
import os

import page
import rounds
from page import common

FILE = "run/bench.img"
FILE_MIB = 256
USUAL = ("soft:null?size=1T&fill=none", "soft:ram?size=1G", f"soft:{FILE}")


def arguments():
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--build", default="build")
  parser.add_argument("--time", type=int, default=3, help="seconds for each measurement")
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--depth", default="1,32,128", help="queue depths")
  parser.add_argument("--rw", default="randread")
  parser.add_argument("--bs", default="4k")
  parser.add_argument("--json", default="run/bench-controllers.json",
                      help="file for all figures, with machine and commit")
  parser.add_argument("uris", nargs="*")
  return parser.parse_args()


def make_file():
  """Of random bytes: a hole in a file is read without its file system."""
  if os.path.exists(FILE) and os.path.getsize(FILE) == FILE_MIB * common.MIB:
    return
  with open(FILE, "wb") as f:
    for _ in range(FILE_MIB):
      f.write(os.urandom(common.MIB))


def measure(hbakit, args, uri, depth):
  result = hbakit.json("bench", uri, "--rw", args.rw, "--bs", args.bs, "--depth", depth, "--time",
                       str(args.time))
  if common.member(result, "errors") != 0:
    raise common.Failed(
        f"{result['errors']} commands failed in `hbakit bench {uri} --depth {depth}`")
  if common.member(result, "iops") <= 0:
    raise common.Failed(f"no command came back in `hbakit bench {uri} --depth {depth}`")
  common.check_conduct(result)
  return result


def row(turns, cell):
  uri, depth = cell
  middle = turns.middle(cell)
  latency = [
      f"{common.member(middle, 'latency_us.' + name):,.2f}" for name in ("mean", "p50", "p99",
                                                                         "max")
  ]
  return [
      uri, depth, f"{middle['iops']:,.0f}", f"{middle['bytes_per_s'] / common.MIB:,.0f}", *latency,
      f"{turns.apart(cell):.0%}"
  ]


def main():
  args = arguments()
  common.at_root()
  hbakit = common.Hbakit(args.build)
  uris = args.uris or USUAL
  if f"soft:{FILE}" in uris:
    make_file()
  found = page.circumstances()
  rounds.pin()
  cells = [(uri, depth) for uri in uris for depth in args.depth.split(",")]
  turns = rounds.Rounds({cell: lambda cell=cell: measure(hbakit, args, *cell)
                         for cell in cells}, args.rounds, number=lambda result: result["iops"])
  rows = [["controller", "depth", "commands/s", "MiB/s", "mean µs", "p50", "p99", "max", "apart"]]
  rows += [row(turns, cell) for cell in cells]
  common.table(rows)
  page.keep(
      args.json, found, {
          "workload": {
              "rw": args.rw,
              "bs": args.bs,
              "seconds": args.time
          },
          "results": [{
              "uri": uri,
              "depth": depth,
              "rounds": results
          } for (uri, depth), results in turns.results.items()],
          "canary_ms":
          turns.canaries,
      })
  how = f"{args.rw}, {args.bs}, {args.time} s × {args.rounds}; {turns.canary_line()}"
  if not args.uris:
    page.write("controllers", [f"{how}. {page.machine_line(found)}.", page.table(rows)])
  print(f"  {how}; {found['machine']['cpu']}; all figures in {args.json}")


common.main_of("bench/controllers.py", main)
