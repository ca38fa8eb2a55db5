# SPDX-License-Identifier: MIT
"""rounds.py: fair turns: every candidate once in each round, pinned, with a canary before, between
and after.

The canary is a fixed piece of work that fits into the first cache. Nothing in this tree changes how
long it takes, so whatever does is a neighbour: another process on this core, another machine on
this processor. A round whose canary was slow is told of."""
import hashlib
import os
import statistics
import time

CANARY_ROUNDS = 60_000  # of SHA-256, about 20 ms
QUIET = 1.05            # times the best of the run


def last_core():
  """Where measured work runs; the first core has the machine's own business."""
  return max(os.sched_getaffinity(0))


def pin(core=None):
  """This process, and all it starts from now on."""
  os.sched_setaffinity(0, {last_core() if core is None else core})


def canary():
  """Milliseconds that the fixed piece of work takes now."""
  began = time.perf_counter_ns()
  hashlib.pbkdf2_hmac("sha256", b"canary", b"cage", CANARY_ROUNDS)
  return (time.perf_counter_ns() - began) / 1e6


def canary_line(times):
  """Whether the machine was quiet while canaries took these many milliseconds."""
  best = min(times)
  slow = sum(time > best * QUIET for time in times)
  verdict = "quiet" if slow == 0 else (
      f"loud: {slow} of {len(times)} were more than {QUIET - 1:.0%} slower than the best")
  return f"canary {best:.1f} to {max(times):.1f} ms, {verdict}"


class Rounds:
  """candidates: {name: function that measures once}. results: {name: [what it returned, per
  round]}. number: of such a result."""

  def __init__(self, candidates, rounds, number=lambda result: result):
    self.number = number
    self.results = {name: [] for name in candidates}
    self.canaries = [canary()]
    for _ in range(rounds):
      for name, measure in candidates.items():
        self.results[name].append(measure())
        self.canaries.append(canary())

  def numbers(self, name):
    return [self.number(result) for result in self.results[name]]

  def median(self, name):
    return statistics.median(self.numbers(name))

  def middle(self, name):
    """The result whose number is the median."""
    return sorted(self.results[name], key=self.number)[len(self.results[name]) // 2]

  def apart(self, name):
    """How far the rounds lie apart, as a share of their middle."""
    values = self.numbers(name)
    return (max(values) - min(values)) / statistics.median(values)

  def ratio(self, name, peer):
    """The middle of each round's own ratio: both saw the same neighbour."""
    return statistics.median(a / b for a, b in zip(self.numbers(name), self.numbers(peer)))

  def canary_line(self):
    return canary_line(self.canaries)
