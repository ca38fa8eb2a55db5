# SPDX-License-Identifier: MIT
"""chips.py: which drivers exercise a row of docs/from-driverkit.md, found in their sources.

A driver exercises a row if its source uses what the row's cell names: it has the op in its table,
calls the function, reads or writes the member, names the constant. "`A` with `B`" takes both; of
several others one will do. What a use is where the name alone does not show it stands in USE, a
rule each. Names that only the framework or a client can use are no driver's: such a row has nothing
to exercise, as has one that names nothing of ours."""
import os
import re

import tree

FOLDER = "src/drivers"
SHORT = {
    "pvscsi": "pvs",
    "virtio-scsi": "vio",
    "megasas": "meg",
    "mptsas": "mpt",
    "sym53c8xx": "sym"
}
SOFT = "soft"
NOTHING, NONE = "-", "none"
CLIENTS = "---- for clients"  # where task.h's part for drivers ends

# Of the headers that a driver includes, but set, raised or read by the framework and its clients
# alone.
NOT_DRIVERS = {
  "HBA_MAX_BATCH": "the framework counts the tasks before a kick",
  "HBA_MAX_CDB": "the size of an array in struct hba_task",
  "HBA_MAX_SENSE": "the framework cuts what is longer",
  "HBA_IN_PROCESS": "what a function's service response is before it has one",
  "HBA_TASK_TIMEOUT": "the framework measures time, and refuses this outcome from a driver",
  "HBA_UNSET": "written by the framework",
  "hba_status": "reads an outcome", "hba_response": "reads an outcome",
  "hba_task.reserved": "0", "hba_result.reserved": "0",
}

# A narrower place where a driver says the same, or the wider one whose value the narrower begins
# with (hbakit/driver.h).
ALSO = {
    "hba_constraints.max_transfer": "hba_target_report.max_transfer",
    "hba_target_report.features": "hba_report.features",
    "HBA_NO_DATA": "hba_task.direction",
    "HBA_TO_TARGET": "hba_task.direction",
    "HBA_FROM_TARGET": "hba_task.direction",
}

# What is used in place of the name: by a macro, a function that does two things, a call that raises
# the event.
USE = {
    "HBA_DRIVER_VERSION": r"\bHBA_DRIVER_HEADER\b",
    "hba_driver.version": r"\bHBA_DRIVER_HEADER\b",
    "hba_buffer_create": r"\bhba_(?:buffer|mapping)_create\(",
    "hba_buffer_map": r"\bhba_(?:buffer_map|mapping_create)\(",
    "hba_result.outcome": r"\bhba_complete(?:_good|_failed)?\(",
    "hba_segment": r"\bstruct hba_segment\b|\bdata\.segments\b",
    "hba_task": r"\bstruct hba_task\b",
    "hba_lun_id.bytes": r"\blun\.bytes\b",
    "HBA_EVENT_BUS_RESET": r"\bhba_bus_reset_seen\(",
    "HBA_EVENT_PORT": r"\bhba_port_status\(",
    "HBA_EVENT_TARGET_LEFT": r"\bhba_target_destroy\(",
    # A state without the op: off is stop, on is reset and start (hbakit/driver.h). Low and pause
    # are for those that have the op.
    "HBA_POWER_OFF": r"\.stop =",
    "HBA_POWER_ON": r"\.start =",
    "HBA_POWER_LOW": r"\.set_power_state =",
    "HBA_POWER_PAUSE": r"\.set_power_state =",
}
ATTRIBUTES = ("HBA_SIMPLE", "HBA_ORDERED", "HBA_HEAD_OF_QUEUE", "HBA_ACA")
TMFS = ("HBA_ABORT_TASK", "HBA_ABORT_TASK_SET", "HBA_CLEAR_TASK_SET", "HBA_CLEAR_ACA",
        "HBA_LOGICAL_UNIT_RESET", "HBA_TARGET_RESET")
ANSWERS = ("hba_report.manages_devices", "hba_report.performs_autosense"
           )  # a literal: the column says which


def sources(root, driver):
  """The driver's file, the headers that it includes of src/drivers and src/proto, and what they
  declare."""
  wanted, seen = [f"{FOLDER}/{driver}.c"], []
  while wanted:
    path = wanted.pop()
    if path in seen or not os.path.exists(os.path.join(root, path)):
      continue
    seen.append(path)
    found = re.findall(r'^#include "((?:drivers|proto)/[\w-]+)\.h"', tree.read(root, path), re.M)
    wanted += [
        f"src/{name}{ext}" for name in found if name != "drivers/drivers" for ext in (".h", ".c")
    ]
  return sorted(seen)


class Driver:
  """What one driver's sources use."""

  def __init__(self, root, name):
    texts = [tree.read(root, path) for path in sources(root, name)]
    self.name = name
    self.code = "\n}\n".join(map(tree.code_only, texts))
    self.keys = set(re.findall(r'"([^"\n]+)"', "\n".join(texts)))
    self.parts = re.split(r"^\}.*$", self.code, flags=re.M)  # a function each
    self.definitions = [part for part in self.parts if re.search(r"\bstruct \w+ \{", part)]
    self.everywhere = {}
    table = re.search(r"^const struct hba_driver \w+ = \{(.*?)^\};", self.code, re.M | re.S)
    self.table = table.group(1) if table else ""

  def has(self, pattern):
    return re.search(pattern, self.code) is not None

  def variables(self, struct, part):
    """Names that are declared with this type, as variable, parameter or member."""
    names = []
    if "struct " + struct not in part:
      return names
    for declared in re.findall(r"\bstruct %s\b([^;(){}=]*)" % struct, part):
      names += re.findall(r"(?:^|,)[\s*]*(?:const )?(\w+)\s*(?=,|$|\[)", declared)
    return names

  def declared(self, struct):
    """Those of the parts that define structs: any function may use them. Many rows ask after the
    same struct."""
    if struct not in self.everywhere:
      self.everywhere[struct] = {
          name
          for part in self.definitions
          for name in self.variables(struct, part)
      }
    return self.everywhere[struct]

  def member(self, struct, member):
    for part in self.parts:
      if member not in part:  # most have not, and the patterns below are dear
        continue
      names = set(self.variables(struct, part)) | self.declared(struct)
      names = "|".join(names | ({r"segments"} if struct == "hba_segment" else set()))
      if names and re.search(r"\b(?:%s)(?:\[[^\]]*\])?(?:->|\.)%s\b" % (names, member), part):
        return True
      if re.search(r"\bstruct %s\b[^;{]*\{[^;]*\.%s =" % (struct, member), part):
        return True
    return False

  def manages(self, function):
    """Functions that are reported; without a mask of them, all."""
    mask = re.search(r"->tmfs = ([^;]*\bHBA_TMF_BIT[^;]*);", self.code)
    reported = mask[1] if mask else self.code
    return ".manage =" in self.table and re.search(r"\b%s\b" % function, reported) is not None

  def attribute(self, name):
    """One that goes out as SIMPLE is not told apart."""
    sent = dict(re.findall(r"\[(HBA_\w+)\] = (\w+)", self.code))
    return name in sent and (name == "HBA_SIMPLE" or sent[name] != sent.get("HBA_SIMPLE"))

  def uses(self, symbol, row):
    return self.uses_itself(symbol, row) or (symbol in ALSO and self.uses_itself(ALSO[symbol], row))

  def uses_itself(self, symbol, row):
    if symbol in USE and self.has(USE[symbol]):
      return True
    if symbol in ATTRIBUTES:
      return self.attribute(symbol)
    if symbol in TMFS:
      return self.manages(symbol)
    if row.name.startswith("task status:"):  # whatever byte the target sent is made an outcome
      return self.has(r"\bHBA_OUTCOME\(")
    struct, _, member = symbol.partition(".")
    if struct == "hba_driver":
      return re.search(r"\.%s =" % member, self.table) is not None
    if member:
      return self.member(struct, member.split(".")[0])
    return self.has(r"\b%s\b" % symbol)

  def sets_property(self, row):
    """With its key, and of a controller or a target as the row says."""
    key = re.search(
        r'"([^"]+)"',
        row.name if row.name.startswith("target ") or "Time Out" in row.name else row.what)
    if "with a target" in row.what:
      found = re.findall(
          r"\bhba_(?:set_property\(\w+|target_create\((?:[^()]|\([^()]*\))*), (\w+)[,)]", self.code)
      called = any(name != "NULL" for name in found)
    else:
      called = self.has(r"\bhba_set_property\(")
    return called and (key is None or key[1] in self.keys)

  def answer(self, symbol):
    """What a driver says to a question: `yes`, `no`, or "" if it is no literal."""
    found = re.search(r"->%s = (true|false);" % symbol.split(".")[1], self.code)
    return {"true": "yes", "false": "no"}[found[1]] if found else ""


class Chips:
  """All drivers here, and what they exercise."""

  def __init__(self, root):
    self.drivers = [Driver(root, name) for name in SHORT]
    self.soft = Driver(root, SOFT)
    self.offered = offered(root)

  def for_drivers(self, symbol):
    return symbol not in NOT_DRIVERS and symbol.split(".")[0] in self.offered

  def exercises(self, driver, row, symbols):
    if "hba_set_property" in symbols:
      return driver.sets_property(row)
    both = re.search(r"`(\w[\w.]*)` with `(\w+)`", row.what)
    if both:
      return all(driver.uses(symbol, row) for symbol in both.groups())
    return any(driver.uses(symbol, row) for symbol in symbols)

  def who(self, row, symbols):
    """The drivers that exercise the row; None: there is nothing in it for a driver."""
    symbols = [s for s in symbols if self.for_drivers(s)] if row.kind != "not here" else []
    return [d for d in self.drivers if self.exercises(d, row, symbols)] if symbols else None

  def cell(self, row, symbols):
    """The column: who exercises the row."""
    who = self.who(row, symbols)
    if who is None:
      return NOTHING
    if not who:
      return SOFT if self.exercises(self.soft, row, list(filter(self.for_drivers,
                                                                symbols))) else NONE
    if symbols[0] in ANSWERS:
      groups = {
          answer: [d for d in who if d.answer(symbols[0]) == answer]
          for answer in ("yes", "no")
      }
      return "; ".join(f"{answer}: {self.short(group)}" for answer, group in groups.items()
                       if group)
    return self.short(who)

  def short(self, drivers):
    return "all" if drivers == self.drivers else " ".join(SHORT[d.name] for d in drivers)


def offered(root):
  """Words of the headers that a driver includes, up to the parts that are for clients."""
  wanted, text = ["hbakit/driver.h"], ""
  for path in wanted:
    header = tree.read(root, "include/" + path).split(CLIENTS)[0]
    wanted += [p for p in re.findall(r"#include <(hbakit/\w+\.h)>", header) if p not in wanted]
    text += header
  # Events are the framework's; the calls that raise them are a driver's.
  return set(re.findall(r"\w+", tree.code_only(text))) | set(USE)
