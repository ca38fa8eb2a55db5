# SPDX-License-Identifier: MIT
"""callgrind.py: instructions of a program between its markers, by function *of the source*: what a
compiler has inlined is counted where it was written, so that a figure moves when the code does
and not when the compiler's mind does.

What our files call in others (the C library, the little helpers that all rooms share) is counted at
the caller."""
import collections
import json
import os
import re
import subprocess

from page import common

DEADLINE = 300
NAME = re.compile(r"\((\d+)\)(?: (.*))?")

Cost = collections.namedtuple("Cost", "file function")  # where it was written


def count(command, out):
  """Runs it under callgrind; `out` is the file. The program switches counting on and off itself."""
  if os.path.exists(out):
    os.unlink(out)
  done = subprocess.run([
      "valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}",
      *command
  ], capture_output=True, text=True, timeout=DEADLINE, check=False)
  if done.returncode or not os.path.exists(out):
    raise common.Failed(
        f"`{' '.join(command)}` under callgrind ended with {done.returncode}: "
        f"{done.stderr.strip()[-500:]}"
    )
  return done.stdout


def source_functions(paths):
  """{path: [(first line, last line, name)…]} by universal-ctags."""
  command = [
      "ctags", "-L", "-", "--output-format=json", "--fields=+ne", "--language-force=C",
      "--kinds-C=f", "-f", "-"
  ]
  out = subprocess.run(command, input="\n".join(paths), capture_output=True, text=True,
                       check=True).stdout
  found = collections.defaultdict(list)
  for tag in map(json.loads, out.splitlines()):
    if tag["_type"] == "tag":
      found[tag["path"]].append((tag["line"], tag.get("end", tag["line"]), tag["name"]))
  return found


class Names:
  """callgrind writes each name once, with a number, and then only the number."""

  def __init__(self):
    self.known = {}

  def of(self, text):
    number, name = NAME.fullmatch(text).groups()
    return self.known.setdefault(number, name)


class Profile:
  """One file of callgrind's. costs: {(path in the tree, function): instructions}."""

  def __init__(self, path, root=".", ours=("src/", "bench/", "include/"), shared=()):
    self.root, self.ours, self.shared = os.path.realpath(root), ours, shared
    self.files, self.functions = Names(), Names()
    self.places = {}
    self.lines = []  # (file, line, function it is in, function called or None, instructions)
    with open(path, encoding="utf-8") as f:
      self._read(f)
    paths = sorted({
        place
        for line in self.lines
        for place in (line[0], line[2][0])
        if place.startswith(self.ours)
    })
    self.sources = source_functions(paths)
    self.defined_in = collections.defaultdict(list)
    for file, functions in self.sources.items():
      for _, _, name in functions:
        self.defined_in[name].append(file)
    self.costs = collections.Counter()
    for line in self.lines:
      self._add(*line)
    if self.total() != self.counted:
      raise common.Failed(
          f"{path}: the parts add up to {self.total()} instructions, callgrind has counted "
          f"{self.counted}"
      )

  def _place(self, name):
    if name not in self.places:
      path = os.path.realpath(os.path.join(self.root, name)) if name.startswith(
          ("/", ".")) else name
      self.places[name] = os.path.relpath(path, self.root) if path.startswith(self.root +
                                                                              "/") else name
    return self.places[name]

  def _is_ours(self, path):
    return path.startswith(self.ours) and not path.startswith(self.shared)

  def _read(self, f):
    home = file = function = called = None
    line = 0
    for text in f:
      key, equals, value = text.strip().partition("=")
      if equals and key in ("fl", "fi", "fe"):
        file = self._place(self.files.of(value))
        home = file if key == "fl" else home
      elif equals and key == "fn":
        function = self.functions.of(value)
      elif equals and key in ("cfi", "cfl"):
        called = (self._place(self.files.of(value)), called and called[1])
      elif equals and key == "cfn":
        called = (called[0] if called else home, self.functions.of(value))
      elif equals and key == "calls":
        pass
      elif text.startswith("totals:"):
        self.counted = int(text.split()[1])
      elif text[0] in "+-*0123456789":
        words = text.split()
        line = line if words[0] == "*" else line + int(words[0]) if words[0][0] in "+-" else int(
            words[0])
        self.lines.append((file, line, (home, function), called, int(words[1])))
        called = None

  def _written_in(self, path, line):
    return next((name for first, last, name in self.sources.get(path, ()) if first <= line <= last),
                None)

  def _home(self, function):
    """(file, function) as callgrind has it, whose file is that of the first instruction: of a
    header, if that was inlined from there."""
    file, name = function
    plain = name.split(".")[0].split("'")[0]
    places = self.defined_in.get(plain, ())
    if not places or file in places:
      return file, plain
    return next((place for place in places if self._is_ours(place)), file), plain

  def _add(self, file, line, inside, called, instructions):
    home, function = self._home(inside)
    if called and self._is_ours(self._home(called)[0]):
      return  # counts for itself
    if self._is_ours(file):
      self.costs[Cost(file, self._written_in(file, line) or function)] += instructions
    elif self._is_ours(home):
      self.costs[Cost(home, function)] += instructions
    # else: already counted where it was called from

  def total(self):
    return sum(self.costs.values())
