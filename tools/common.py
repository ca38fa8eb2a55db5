# SPDX-License-Identifier: MIT
"""common.py: what the tools share: calling hbakit, numbers as people write them, a table, one way
to give up."""
import json
import os
import subprocess
import sys

DEADLINE = 100  # seconds for one command; none of ours should come near
MIB = 1 << 20


class Failed(Exception):
  """One sentence: what was wrong, where, what to do."""


class Hbakit:
  """The command of one build."""

  def __init__(self, build):
    self.path = os.path.join(build, "src", "cli", "hbakit")
    if not os.access(self.path, os.X_OK):
      raise Failed(f"there is no {self.path}; `make build` makes it")

  def call(self, *words, quiet=False):
    """Runs it; its progress and its complaints go where ours go. Returns what it printed, or prints
    it."""
    command = [self.path, *map(str, words)]
    said = " ".join(["hbakit", *map(str, words)])
    sys.stdout.flush()
    try:
      done = subprocess.run(command, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE if quiet else None, text=True, timeout=DEADLINE,
                            check=False)
    except subprocess.TimeoutExpired:
      raise Failed(f"`{said}` was not done after {DEADLINE} seconds") from None
    if done.returncode:
      how = (f"was killed by signal {-done.returncode}" if done.returncode < 0 else
             f"ended with {done.returncode}")
      raise Failed(f"`{said}` {how}; what it said is above")
    return done.stdout

  def json(self, *words):
    out = self.call(*words, "--json", quiet=True)
    try:
      return json.loads(out)
    except ValueError:
      raise Failed(
          f"`hbakit {' '.join(map(str, words))} --json` printed no JSON object: {out[:200]!r}"
      ) from None


def member(values, path):
  """values["a"]["b"] for "a.b", or a sentence that says what is missing."""
  for name in path.split("."):
    if not isinstance(values, dict) or name not in values:
      raise Failed(f"the JSON has no `{path}`")
    values = values[name]
  return values


def check_conduct(done):
  """Of a command that did I/O: its driver mapped nothing meanwhile, and kept to its contract."""
  mappings, violations = member(done, "io_path_mappings"), member(done, "violations")
  if mappings:
    raise Failed(f"{mappings} mappings on the I/O path")
  if violations:
    raise Failed(f"the driver broke its contract {violations} times; `hbakit check` says where")


def mib(n):
  return f"{n / MIB:,.1f} MiB"


def table(rows):
  """First column to the left, the others to the right; the first row is the head."""
  widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
  for row in rows:
    print("  " + "  ".join(
        c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def at_root():
  """Names in run/ are short, and hold no odd characters, seen from the top of the tree."""
  os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
  os.makedirs("run", exist_ok=True)


def main_of(tool, run):
  """Runs run(); a failed check is one sentence and exit code 1."""
  try:
    run()
  except Failed as failure:
    sys.stdout.flush()
    print(f"{tool}: {failure}", file=sys.stderr)
    sys.exit(1)
  except KeyboardInterrupt:
    sys.exit(130)
