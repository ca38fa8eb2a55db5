#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run: are the tests any good? Each mutant of mutants.txt is one statement made wrong; the test it
names must go red.

The tree is copied to ROOT/build-mutants/N, once per worker and only as far as it has changed since
the last run. There a mutant is put in, what its test needs is built, only that test is run, and it
is taken out again. The named function must fail; that some other one of the same program does is
not enough. `run.py ROOT [--only ID]... [--short N] [--jobs N] [--list]`"""
import argparse
import collections
import concurrent.futures
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import time

SCRATCH = "build-mutants"
LIST = "tests/mutants/mutants.txt"
TABLE = "docs/from-driverkit.md"
ON_CHIPS = "## Rows shown on a chip"
FIELDS = ("mutant", "row", "file", "old", "new", "test")
NOT_OURS = {".git", "run", "__pycache__"}
MOST_JOBS = 2
BUILD_S, TEST_S, GRACE_S = 600, 120, 10

Mutant = collections.namedtuple("Mutant", FIELDS)
Outcome = collections.namedtuple("Outcome", "mutant caught what seconds")


class Wrong(Exception):
  """Something that is the list's or the tree's fault: one sentence for a person."""


# ---- the list

def read_list(root):
  with open(os.path.join(root, LIST), encoding="utf-8") as f:
    text = re.sub(r"^#.*\n", "", f.read(), flags=re.M)
  mutants = []
  for block in re.split(r"\n\s*(?=mutant )", text.strip()):
    fields = dict((line.split(None, 1) + [""])[:2] for line in block.splitlines())
    if set(fields) != set(FIELDS) or len(block.splitlines()) != len(FIELDS):
      raise Wrong(
          f"{LIST}: the block of '{block.splitlines()[0]}' has {', '.join(fields)}; it needs "
          f"{', '.join(FIELDS)}"
      )
    mutants.append(Mutant(**{field: fields[field].strip() for field in FIELDS}))
  twice = [m for m, n in collections.Counter(m.mutant for m in mutants).items() if n > 1]
  if twice:
    raise Wrong(f"{LIST}: more than one mutant is called {', '.join(twice)}")
  return mutants


def rows(root):
  """The test of each name that is ours or merged."""
  with open(os.path.join(root, TABLE), encoding="utf-8") as f:
    found = re.findall(r"^\| (.*?) \| (?:ours|merged) \| .* \| `(.*?)` \|$", f.read(), re.M)
  return dict(found)


def rows_on_chips(root):
  """Of each name that is shown on a chip, too: the name and the test."""
  with open(os.path.join(root, TABLE), encoding="utf-8") as f:
    below = f.read().partition(ON_CHIPS)[2]
  return set(re.findall(r"^\| (.*?) \| \w+ \| `(.*?)` \|$", below, re.M))


def rows_of(mutant):
  """A mutant may be about several rows that are one thing here."""
  return mutant.row.split("; ")


def check_list(root, mutants):
  """
  A row's mutant is for the row's own test, or for the one that shows it on a chip. A row that is a
  number is a section of the contract: the table has no name for it."""
  shown, on_chips = rows(root), rows_on_chips(root)
  for m in mutants:
    if re.fullmatch(r"[\d.]+(/\d+)?", m.row):
      continue
    for row in rows_of(m):
      if row not in shown:
        raise Wrong(
            f"{LIST}: {m.mutant} is about {row}, which {TABLE} shows neither as ours nor as merged")
      if shown[row] != m.test and (row, m.test) not in on_chips:
        raise Wrong(f"{LIST}: {m.mutant} names {m.test}, but {row} is shown by {shown[row]}")


def squeezed(text):
  """Without white space and the seams of broken strings; and where each character that is left
  stands in the text."""
  left = [(m.start(), m.group())
          for m in re.finditer(r'"\s*\n\s*"|\s+|[^\s]', text)
          if len(m.group()) == 1 and not m.group().isspace()]
  return "".join(c for _, c in left), [i for i, _ in left]


def whole_lines(text, begin, end):
  return not text[text.rfind("\n", 0, begin) + 1:begin].strip() and not text[end:].split(
      "\n", 1)[0].strip()


def mutated(text, mutant):
  """The file with the one statement changed, be it on one line or on several. It must be there
  once, with no other on its lines."""
  (old, _), (packed, place) = squeezed(mutant.old), squeezed(text)
  found = [m.start() for m in re.finditer("(?=" + re.escape(old) + ")", packed)]
  spans = [(place[i], place[i + len(old) - 1] + 1) for i in found]
  spans = [span for span in spans if whole_lines(text, *span)]
  if len(spans) != 1:
    raise Wrong(
        f"{mutant.mutant}: {mutant.file} has {len(spans)} statements '{mutant.old}', not one")
  begin, end = spans[0]
  return text[:begin] + mutant.new + text[end:]


# ---- a copy to work in

def read_bytes(path):
  try:
    with open(path, "rb") as f:
      return f.read()
  except FileNotFoundError:
    return None


def write_bytes(path, content):
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with open(path, "wb") as f:
    f.write(content)


def tree_files(root):
  for folder, folders, names in os.walk(root):
    folders[:] = [f for f in folders if f not in NOT_OURS and not f.startswith("build")]
    yield from (os.path.relpath(os.path.join(folder, n), root) for n in names)


def sync(root, copy):
  """Only what differs is written, so that a second run builds next to nothing."""
  wanted = set(tree_files(root))
  for path in wanted:
    source, target = os.path.join(root, path), os.path.join(copy, path)
    content = read_bytes(source)
    if read_bytes(target) != content:
      write_bytes(target, content)
      shutil.copymode(source, target)
  for path in set(tree_files(copy)) - wanted:
    os.unlink(os.path.join(copy, path))


def call(command, cwd, seconds):
  """One that has to be ended is asked first: meson then ends its test, which would otherwise take a
  processor for ever."""
  with subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        text=True, errors="replace") as child:
    try:
      said = child.communicate(timeout=seconds)[0]
      return child.returncode, said
    except subprocess.TimeoutExpired:
      child.terminate()
    try:
      return None, child.communicate(timeout=GRACE_S)[0]
    except subprocess.TimeoutExpired:
      child.kill()
      return None, child.communicate()[0]


class Workshop:
  """One copy of the tree and its build."""

  def __init__(self, root, number):
    self.tree = os.path.join(root, SCRATCH, str(number))
    self.build = os.path.join(self.tree, "build")
    os.makedirs(self.tree, exist_ok=True)
    sync(root, self.tree)
    if not os.path.exists(os.path.join(self.build, "build.ninja")):
      shutil.rmtree(self.build, ignore_errors=True)
      self.must(["meson", "setup", "--buildtype=debug", "build"], self.tree)
    self.must(["ninja", "build.ninja"], self.build)
    self.tests = self.introspect("--tests")
    self.targets = {t["id"]: t for t in self.introspect("--targets")}

  def must(self, command, cwd):
    status, output = call(command, cwd, BUILD_S)
    if status != 0:
      raise Wrong(f"{' '.join(command)} in {cwd} has failed:\n{output[-2000:]}")
    return output

  def introspect(self, what):
    return json.loads(self.must(["meson", "introspect", what], self.build))

  def sources(self, target):
    return {s for group in target["target_sources"] for s in group["sources"]}

  def meson_test(self, path):
    """The meson test whose program is made of this file, or is this script; and the targets that
    must be built for it."""
    full = os.path.join(self.tree, path)
    for test in self.tests:
      targets = [self.targets[i] for i in test.get("depends", []) if i in self.targets]
      own = [t for t in self.targets.values() if test["cmd"][0] in t["filename"]]
      if full in map(os.path.normpath, test["cmd"]) or any(full in self.sources(t) for t in own):
        files = [f for t in targets + own for f in t["filename"]]
        return test["name"], [os.path.relpath(f, self.build) for f in files]
    raise Wrong(f"no meson test runs {path}")

  def make(self, targets):
    return call(["ninja", *targets], self.build, BUILD_S) if targets else (0, "")

  def run(self, name, function=""):
    """A script of unittest's runs only the one function; cmocka has no such choice."""
    only = ["--test-args=-k " + function] if function.startswith("test_") else []
    return call(["meson", "test", "--no-rebuild", "--verbose", name, *only], self.build, TEST_S)

  def baseline(self, tests):
    """Every test that is named must be green while nothing is wrong."""
    for path in sorted({t.split(":")[0] for t in tests}):
      name, targets = self.meson_test(path)
      status, output = self.make(targets)
      if status != 0:
        raise Wrong(f"{name} does not build before anything is changed:\n{output[-2000:]}")
      status, output = self.run(name)
      if status != 0:
        raise Wrong(f"{name} is red before anything is changed:\n{output[-2000:]}")

  def try_one(self, mutant):
    path = os.path.join(self.tree, mutant.file)
    before = read_bytes(path)
    if before is None:
      raise Wrong(f"{mutant.mutant}: there is no {mutant.file}")
    test, function = mutant.test.split(":")
    name, targets = self.meson_test(test)
    write_bytes(path, mutated(before.decode(), mutant).encode())
    try:
      status, output = self.make(targets)
      if status != 0:
        return False, "does not compile: " + (re.findall(r"error: .*", output)
                                              or [output[-200:]])[0]
      return verdict(test, function, *self.run(name, function if test.endswith(".py") else ""))
    finally:
      write_bytes(path, before)


# ---- the verdict

def others_red(output):
  found = re.findall(r"^\[  FAILED  \] (\w+)(?: \(.*\))?$|^(?:FAIL|ERROR): (\w+) ", output, re.M)
  names = list(dict.fromkeys(a or b for a, b in found))
  return "not the test that is named is red, but " + (", ".join(names) or "none: " +
                                                      output.strip()[-200:].replace("\n", " "))


def verdict(path, function, status, output):
  if status == 0:
    return False, "the test stays green"
  if path.endswith(".py"):
    named = not function.startswith("test_") or re.search(
        r"^(FAIL|ERROR): %s " % re.escape(function), output, re.M)
    return (True, "red") if named else (False, others_red(output))
  # A function that is run for several stores has the store behind its name.
  if re.search(r"^\[  FAILED  \] %s(?: \(.*\))?$" % re.escape(function), output, re.M):
    return True, "red"
  began = output.rfind("[ RUN      ] ")
  if began >= 0 and output[began:].split("\n")[0].split(" ] ")[1].split(
      " (")[0] == function and "[       OK ]" not in output[began:]:
    return True, "red: it did not end"
  return False, others_red(output)


def work(root, mutants, jobs, tell):
  shops = queue.Queue()
  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    for shop in pool.map(lambda n: Workshop(root, n), range(jobs)):
      shops.put(shop)

    def prepare():
      shop = shops.get()
      shop.baseline({m.test for m in mutants})
      shops.put(shop)

    def one(mutant):
      shop, began = shops.get(), time.monotonic()
      try:
        caught, what = shop.try_one(mutant)
      except Wrong as e:
        caught, what = False, str(e)
      shops.put(shop)
      outcome = Outcome(mutant, caught, what, time.monotonic() - began)
      tell(outcome)
      return outcome

    prepare()
    return list(pool.map(one, mutants))


def tell(outcome):
  m = outcome.mutant
  print(
      f"{'caught' if outcome.caught else 'MISSED':6} {m.mutant:32} {outcome.seconds:5.1f} s  "
      f"{m.row}: {outcome.what}",
      flush=True)


def parse(arguments):
  parser = argparse.ArgumentParser(
      description="Makes one statement wrong at a time; the named test must go red.")
  parser.add_argument("root")
  parser.add_argument("--only", action="append", metavar="ID",
                      help="this mutant; may be said again")
  parser.add_argument("--short", type=int, default=1, metavar="N", help="only every Nth")
  parser.add_argument("--jobs", type=int, default=MOST_JOBS, choices=range(1, MOST_JOBS + 1),
                      help="builds at a time")
  parser.add_argument("--list", action="store_true",
                      help="only check the list, and name the rows that have no mutant")
  return parser.parse_args(arguments)


def choose(mutants, options):
  if options.only:
    unknown = set(options.only) - {m.mutant for m in mutants}
    if unknown:
      raise Wrong(f"no mutant is called {', '.join(sorted(unknown))}")
    return [m for m in mutants if m.mutant in options.only]
  return mutants[::options.short]


def fits(root, mutant):
  """None, or why the mutant cannot be put in."""
  content = read_bytes(os.path.join(root, mutant.file))
  if content is None:
    return f"{mutant.mutant}: there is no {mutant.file}"
  try:
    mutated(content.decode(), mutant)
  except Wrong as e:
    return str(e)
  return None


def check_only(root, mutants):
  wrong = [w for w in (fits(root, m) for m in mutants) if w]
  without = sorted(set(rows(root)) - {row for m in mutants for row in rows_of(m)})
  for line in wrong + ["no mutant: " + row for row in without]:
    print(line)
  print(
      f"mutants: {len(mutants)} in the list, {len(wrong)} do not fit; {len(without)} rows that are "
      f"shown have none"
  )
  return 1 if wrong or without else 0


def main(arguments):
  options = parse(arguments)
  root = os.path.abspath(options.root)
  mutants = read_list(root)
  check_list(root, mutants)
  if options.list:
    return check_only(root, mutants)
  chosen = sorted(choose(mutants, options), key=lambda m: (m.file, m.test))
  outcomes = work(root, chosen, min(options.jobs, len(chosen)), tell)
  missed = [o for o in outcomes if not o.caught]
  # Also of those that were not tried now: a list that nobody holds against the code is soon about
  # another one.
  stale = [w for w in (fits(root, m) for m in mutants if m not in chosen) if w]
  print(
      f"mutants: {len(outcomes)} of {len(mutants)} tried, {len(outcomes) - len(missed)} caught, "
      f"{len(missed)} missed, {len(stale)} others do not fit"
      + "".join(f"\n  {o.mutant.mutant}: {o.what}" for o in missed) + "".join("\n  " + w
                                                                              for w in stale))
  return 1 if missed or stale else 0


try:
  sys.exit(main(sys.argv[1:]))
except Wrong as e:
  print("mutants:", e, file=sys.stderr)
  sys.exit(2)
