#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""nbd: what a disk costs by NBD: our plugin of nbdkit beside nbdkit's own, which have no controller
behind them. `bench/nbd.py`

fio's NBD engine on the last core, nbdkit on the first, all in one round after another. Beside
requests per second stands nbdkit's own time for each: it depends less on neighbours, and on the
wake-ups of the machine."""
import argparse
import json
import os
import signal
import subprocess
import tempfile
import time

import page
import rounds
from page import common

DEPTHS = (1, 32)
SIZE = "1G"
GOAL = 0.9
START_S = 20


def candidates(build):
  plugin = f"{build}/src/frontends/nbd/nbdkit-hbakit-plugin.so"
  if not os.path.exists(plugin):
    raise common.Failed(f"there is no {plugin}; `tools/deps build` installs what it is built with")
  return {
    "nbdkit null": ["null", f"size={SIZE}"],
    "hbakit soft:null": [plugin, f"uri=soft:null?size={SIZE}"],
    "nbdkit memory": ["memory", SIZE],
    "hbakit soft:ram": [plugin, f"uri=soft:ram?size={SIZE}"],
  }


def cpu_seconds(pid):
  """Of the process so far, threads that have ended included: a client's end with it."""
  with open(f"/proc/{pid}/stat", encoding="ascii") as f:
    fields = f.read().rsplit(")", 1)[1].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(words, socket, core):
  """One thread, with which it is fastest here, and as `hbakit serve` has it."""
  server = subprocess.Popen([
      "taskset", "-c",
      str(core), "nbdkit", "--foreground", "--threads=1", f"--unix={socket}", *words
  ], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
  until = time.monotonic() + START_S
  while not os.path.exists(socket) and server.poll() is None and time.monotonic() < until:
    time.sleep(0.01)
  if not os.path.exists(socket):
    server.kill()
    raise common.Failed(
        f"nbdkit {' '.join(words)} does not serve: {server.communicate()[1].strip()[-300:]}")
  return server


def run_fio(socket, depth, seconds):
  command = [
      "fio", "--name=nbd", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", "--rw=randread",
      "--bs=4k", f"--iodepth={depth}", f"--size={SIZE}", "--time_based", f"--runtime={seconds}",
      "--output-format=json"
  ]
  done = subprocess.run(command, capture_output=True, text=True, timeout=common.DEADLINE,
                        check=False)
  if done.returncode:
    raise common.Failed(
        f"fio ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
  return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]["read"]


def measure(words, depth, seconds, core):
  with tempfile.TemporaryDirectory() as folder:
    socket = os.path.join(folder, "nbd.sock")
    server = serve(words, socket, core)
    try:
      began = cpu_seconds(server.pid)
      done = run_fio(socket, depth, seconds)
      used = cpu_seconds(server.pid) - began
    finally:
      server.send_signal(signal.SIGTERM)
      server.communicate(timeout=common.DEADLINE)
  return {"iops": done["iops"], "cpu_us": used / done["total_ios"] * 1e6}


def rows_of(turns, names):
  yield [
      "4 KiB random reads", "depth", "requests/s", "apart", "of nbdkit null's",
      "nbdkit's µs per request"
  ]
  for depth in DEPTHS:
    for name in names:
      cell = (name, depth)
      yield [
          name,
          str(depth), f"{turns.median(cell):,.0f}", f"{turns.apart(cell):.0%}",
          f"{turns.ratio(cell, (names[0], depth)):.2f} ×",
          f"{sorted(r['cpu_us'] for r in turns.results[cell])[len(turns.results[cell]) // 2]:.2f}"
      ]


def goals(turns, names):
  null, *others = names
  ratios = {
      name: turns.ratio((name, DEPTHS[-1]), (null, DEPTHS[-1]))
      for name in others
      if name.startswith("hbakit")
  }
  lines = [
      f"- {name}, depth {DEPTHS[-1]}: {ratio:.2f} ×, at least {GOAL}: {page.verdict(ratio >= GOAL)}"
      for name, ratio in ratios.items()
  ]
  return "Beside nbdkit null's, in the same round:\n\n" + "\n".join(lines)


def main():
  parser = argparse.ArgumentParser(description=__doc__,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--build", default="build")
  parser.add_argument("--time", type=int, default=3, help="seconds for each measurement")
  parser.add_argument("--rounds", type=int, default=3)
  args = parser.parse_args()
  common.at_root()
  all_words, found = candidates(args.build), page.circumstances()
  core = min(os.sched_getaffinity(0))
  rounds.pin()
  turns = rounds.Rounds(
      {(name, depth): lambda words=words, depth=depth: measure(words, depth, args.time, core)
       for depth in DEPTHS
       for name, words in all_words.items()}, args.rounds, number=lambda result: result["iops"])
  rows = list(rows_of(turns, list(all_words)))
  common.table(rows)
  page.keep(
      "run/bench-nbd.json", found, {
          "seconds":
          args.time,
          "canary_ms":
          turns.canaries,
          "nbdkit":
          page.output_of("nbdkit", "--version"),
          "results": [{
              "server": name,
              "depth": depth,
              "rounds": results
          } for (name, depth), results in turns.results.items()]
      })
  page.write("nbd", [
      f"{page.output_of('nbdkit', '--version')}, {args.time} s × {args.rounds}; "
      f"{turns.canary_line()}. {page.machine_line(found)}.",
      page.table(rows),
      goals(turns, all_words)
  ])


common.main_of("bench/nbd.py", main)
