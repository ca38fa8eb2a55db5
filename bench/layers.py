# SPDX-License-Identifier: MIT
"""layers.py: instructions per command of the framework, by layer: which function of the source
belongs to which layer of a command's way."""
import callgrind
from page import common

# Helpers that all rooms call are counted where they are called from; so is what public headers have
# inline.
SHARED = ("src/scsi/", "src/base/",
          *(f"src/core/{room}"
            for room in ("diag/diag.h", "sched/sched.h", "task/task.h", "topology/topology.h",
                         "io/io.h", "scan/scan.h", "eh/eh.h", "controller/controller.h")),
          "include/")

# A file, or one function of it ("file function"), and its layer; the longest that fits decides.
LAYERS = {
    "bench/": "client",
    "src/drivers/": "driver",
    "src/target/": "driver",
    "src/core/": "dispatch",
    "src/core/io/submit.c": "submit",
    "src/core/io/admit.c": "submit",
    "src/core/io/intake.c": "submit",
    "src/core/io/data.c": "submit",
    "src/core/sched/inbox.c": "submit",
    "src/core/topology/lun.c": "submit",
    "src/core/dma/": "submit",
    "src/core/dma/device.c": "dispatch",
    **{
        f"src/core/io/queue.c {name}": "submit"
        for name in ("list_to_join", "queue_add", "queue_add_again")
    },
    "src/core/io/data.c data_restore": "completion",
    "src/core/io/data.c data_settle": "completion",
    "src/core/task/pool.c": "completion",
    "src/core/io/disposition.c": "completion",
    "src/core/io/completion.c": "completion",
    "src/core/io/deliver.c queue_deliver": "completion",
    "src/core/driver-upcall.c": "completion",
}
FRAMEWORK = ("submit", "dispatch", "completion")
ORDER = (*FRAMEWORK, "driver", "client")
STRAY = 0.5  # instructions per command that may be of no layer


def layer_of(cost):
  name = f"{cost.file} {cost.function}"
  fits = [
      prefix for prefix in LAYERS
      if name == prefix or (name.startswith(prefix) and " " not in prefix)
  ]
  return LAYERS[max(fits, key=len)] if fits else "other"


class Count:
  """Instructions per command of one load."""

  def __init__(self, program, arguments, commands, out):
    printed = callgrind.count([program, "--commands", str(commands), *arguments], out)
    self.commands = int(printed.split()[0])
    self.profile = callgrind.Profile(out, shared=SHARED)
    strays = self.functions(("other",))
    if sum(strays.values()) > STRAY:
      raise common.Failed(
          f"{next(iter(strays))} is of no layer; bench/layers.py has to say which it belongs to")

  def functions(self, layers=ORDER):
    """{cost: instructions per command}, the dearest first."""
    return {
        cost: n / self.commands
        for cost, n in self.profile.costs.most_common()
        if layer_of(cost) in layers
    }

  def layer(self, *layers):
    return sum(self.functions(layers).values())

  def framework(self):
    return self.layer(*FRAMEWORK)

  def total(self):
    return self.profile.total() / self.commands
