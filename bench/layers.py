# SPDX-License-Identifier: MIT
"""layers.py: instructions per command of the framework, by layer: which function of the source belongs to which layer of a command's way."""
import callgrind
from page import common

# Helpers that all rooms call are counted where they are called from; so is what public headers have inline.
SHARED = ("src/scsi/", "src/base/", "src/core/core.h", "include/")

# A file, or one function of it ("file function"), and its layer; the longest that fits decides.
LAYERS = {
  "bench/": "client",
  "src/drivers/": "driver",
  "src/target/": "driver",
  "src/core/": "dispatch",
  "src/core/submit.c": "submit",
  "src/core/admit.c": "submit",
  "src/core/data.c": "submit",
  "src/core/guest.c": "submit",
  "src/core/lun.c": "submit",
  "src/core/memory.c": "submit",
  "src/core/spans.": "submit",
  "src/core/split.": "submit",
  **{f"src/core/queue.c {name}": "submit" for name in ("list_to_join", "queue_add", "queue_add_again")},
  "src/core/data.c data_restore": "completion",
  "src/core/data.c data_settle": "completion",
  "src/core/pool.c": "completion",
  "src/core/settle.c": "completion",
  **{f"src/core/queue.c {name}": "completion" for name in (
    "complete_with_care", "file_result", "hba_complete", "hba_task_by_cookie", "hba_task_by_id", "is_believable", "is_out", "is_plain",
    "queue_deliver", "retrieve", "task_end", "task_with_driver")},
}
FRAMEWORK = ("submit", "dispatch", "completion")
ORDER = (*FRAMEWORK, "driver", "client")
STRAY = 0.5  # instructions per command that may be of no layer


def layer_of(cost):
  name = f"{cost.file} {cost.function}"
  fits = [prefix for prefix in LAYERS if name == prefix or (name.startswith(prefix) and " " not in prefix)]
  return LAYERS[max(fits, key=len)] if fits else "other"


class Count:
  """Instructions per command of one load."""

  def __init__(self, program, arguments, commands, out):
    printed = callgrind.count([program, "--commands", str(commands), *arguments], out)
    self.commands = int(printed.split()[0])
    self.profile = callgrind.Profile(out, shared=SHARED)
    strays = self.functions(("other",))
    if sum(strays.values()) > STRAY:
      raise common.Failed(f"{next(iter(strays))} is of no layer; bench/layers.py has to say which it belongs to")

  def functions(self, layers=ORDER):
    """{cost: instructions per command}, the dearest first."""
    return {cost: n / self.commands for cost, n in self.profile.costs.most_common() if layer_of(cost) in layers}

  def layer(self, *layers):
    return sum(self.functions(layers).values())

  def framework(self):
    return self.layer(*FRAMEWORK)

  def total(self):
    return self.profile.total() / self.commands
