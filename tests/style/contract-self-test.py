#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""contract-self-test: `decisions` and `contract-table` must be able to fail. Plants one fault at a
time in a copy of the tree and demands that the check ends red and says which.
`contract-self-test.py ROOT`"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TABLE, NAMES = "docs/from-driverkit.md", "docs/contract-names.txt"
PAGE_1 = "docs/decisions/0001-naming-that-fails.md"
PAGE_2 = "docs/decisions/0002-ids-are-judged-when-given.md"

# What is planted: name, check, file, pattern, what its first match becomes, words of the complaint.
# No pattern: the file goes.
PLANTS = (
    ("a point is missing", "decisions", PAGE_1, r"10\.1/1;", "", "10.1/1 is decided nowhere"),
    ("a point is doubled", "decisions", PAGE_1, r"10\.1/1;", "10.1/1, 10.1/2;",
     "10.1/2 is decided 2 times"),
    ("a page is missing", "decisions", PAGE_2, None, None, "10.1/2 is decided nowhere"),
    ("a point that there is not", "decisions", PAGE_1, r"10\.1/1;", "10.1/1, 10.1/36;",
     "there is no 10.1/36"),
    ("a point that the contract's page has not", "decisions", "docs/contract.md", r"\| 35 \|.*\n",
     "", "there is no 10.1/35"),
    ("a comment that cites no page", "citations", "src/core/scan/scan.c",
     r"docs/contract\.md 9\.5, 9\.10", "contract 9.5", "'contract 9.5' is no page"),
    ("a section that there is not", "citations", "src/core/scan/scan.c", r"contract\.md 9\.5",
     "contract.md 9.99", "section 9.99 is in neither"),
    ("a mutant of no section", "citations", "tests/mutants/mutants.txt", r"row    9\.10\n",
     "row    9.99\n", "names section 9.99"),
    ("a page without a consequence", "decisions", PAGE_1, "## Consequences", "", "lacks its part"),
    ("a page about a file that is gone", "decisions", PAGE_1, r"`src/core/task/pool\.c`\.",
     "`src/core/planted.c`.", "src/core/planted.c"),
    ("a page without `Decides:`", "decisions", PAGE_2, "Decides:", "About:",
     "lacks its part 'Decides:'"),
    ("a name without a row", "contract-table", TABLE, r"\| UserMapHBAData .*\n", "",
     "UserMapHBAData has 0 rows"),
    ("a name with two rows", "contract-table", TABLE, r"(\| UserMapHBAData .*\n)", r"\1\1",
     "UserMapHBAData has 2 rows"),
    ("a row that nobody listed", "contract-table", NAMES, r"2\.1 UserMapHBAData\n", "",
     "UserMapHBAData is not in"),
    ("a row in another section", "contract-table", NAMES, r"2\.1 UserMapHBAData",
     "2.2 UserMapHBAData", "UserMapHBAData stands in section"),
    ("a function that nobody declares", "contract-table", TABLE, "`hba_complete` ",
     "`hba_planted` ", "names hba_planted"),
    ("a member that the struct lacks", "contract-table", TABLE, r"`hba_report\.max_tasks`",
     "`hba_report.planted`", "hba_report.planted"),
    ("a test that does not exist", "contract-table", TABLE, ":ram_keeps_what_is_written",
     ":planted", "which does not exist"),
    ("a page shown by a test that does not exist", "decisions", PAGE_1, r"(Shown by: `[^`]+):\w+`",
     r"\1:planted`", "which does not exist"),
    ("a row that waits for its test", "contract-table", TABLE,
     r"\| `tests/unit/target/test_soft\.c:ram_keeps_what_is_written` \|",
     "| pending: `tests/unit/target/test_soft.c:ram_keeps_what_is_written` |",
     "which does not exist"),
    ("ours without a test", "contract-table", TABLE, r"(\| ParallelTaskCompletion \|.*)\| `tests.*",
     r"\1|  |", "no test shows it"),
    ("ours without a name", "contract-table", TABLE, r"\| ours \| `hba_driver\.start` ",
     "| ours | it starts ", "names nothing of ours"),
    ("not here without a reason", "contract-table", TABLE, r"\| not here \| [^|]* \|",
     "| not here |  |", "does not say which, or why"),
    ("a kind that there is not", "contract-table", TABLE, r"\| merged \|", "| perhaps |",
     "is 'perhaps'"),
    ("another number", "contract-table", NAMES, r"(task status: BUSY) = 8", r"\1 = 9",
     "HBA_BUSY is not 0x209"),
    ("another number of ours", "contract-table", "include/hbakit/scsi.h", "HBA_ORDERED = 1",
     "HBA_ORDERED = 3", "HBA_ORDERED is not 0x1"),
    ("a number that nobody listed", "contract-table", NAMES, r"(power: pause) = \w+", r"\1",
     "power: pause is shown by its number"),
    ("a driver that does it no more", "contract-table", "src/drivers/mptsas.c",
     r"\bhba_bus_reset_seen\(c\);", "", "bus-reset message is exercised by 'sym', not 'mpt sym'"),
    ("another answer of a driver", "contract-table", "src/drivers/sym53c8xx.c",
     "performs_autosense = false", "performs_autosense = true", "is exercised by 'yes: all'"),
    ("a chip that does not do it", "contract-table", TABLE, r"\| sym \|", "| all |",
     "is exercised by 'sym', not 'all'"),
    ("a row of soft alone that is not listed", "contract-table", TABLE,
     r"(\n\| )SetPowerState\(flags\); ", r"\1",
     "SetPowerState(flags) is exercised by no chip (soft), and not listed"),
    ("a row that is listed and has a chip", "contract-table", TABLE,
     r"(\n\| )SetPowerState\(flags\); ", r"\1UserStartController; SetPowerState(flags); ",
     "UserStartController is listed as 'soft', but the column has 'all'"),
    ("a listed row without a reason", "contract-table", TABLE,
     r"(\| kIOHierarchicalLogicalUnitSupportKey \| soft \|).*", r"\1  |", "or there is no reason"),
    ("a row on a chip that does not have it", "contract-table", TABLE,
     r"(\n\| port offline \|) mpt", r"\1 meg", "port offline is not exercised by meg"),
    ("a row on a chip that there is not", "contract-table", TABLE, r"(\n\| port offline \|) mpt",
     r"\1 esp", "names the chip esp, which is none"),
    ("a row on a chip without a mutant", "contract-table", "tests/mutants/mutants.txt",
     r"(mutant chip-port-offline\nrow    ).*", r"\g<1>9.14", "port offline has no mutant"),
    ("a row on a chip with a test that does not exist", "contract-table", TABLE,
     r"(\| port offline \| mpt \| `[^:`]*:)", r"\1planted_", "which does not exist"),
    ("an old second half", "contract-table", TABLE, r"\| `hba_error` \| - \|\n", "",
     "second half is old"),
)


class Planted:
  """A file changed for as long as the `with` lasts."""

  def __init__(self, root, path, change):
    self.path, self.change = os.path.join(root, path), change

  def __enter__(self):
    self.before = None
    if os.path.exists(self.path):
      with open(self.path, encoding="utf-8") as f:
        self.before = f.read()
    after = self.change(self.before or "")
    if after == self.before:
      raise ValueError(f"nothing to plant in {self.path}")
    self.put(after)

  def __exit__(self, *_):
    self.put(self.before)

  def put(self, text):
    if text is None:
      os.unlink(self.path)
      return
    os.makedirs(os.path.dirname(self.path), exist_ok=True)
    with open(self.path, "w", encoding="utf-8") as f:
      f.write(text)


def run(root, check):
  command = [os.path.join(root, "tests/style", check + ".py"), root]
  return subprocess.run(command, capture_output=True, text=True, check=False)


def changer(pattern, becomes):
  if pattern is None:
    return lambda text: None if becomes is None else text + becomes
  return lambda text: re.sub(pattern, becomes, text, count=1)


def tries():
  for name, check, path, pattern, becomes, complaint in PLANTS:
    yield name, check, path, changer(pattern, becomes), complaint


def misses(root):
  for check in ("decisions", "contract-table"):
    done = run(root, check)
    if done.returncode:
      yield f"{check} is red before anything is planted: see its own test"
  for name, check, path, change, complaint in tries():
    with Planted(root, path, change):
      done = run(root, check)
    if done.returncode != 1 or complaint not in done.stderr:
      yield (f"{check} did not find: {name} (ended with {done.returncode}: "
             f"{done.stderr.strip() or done.stdout.strip()})")


def main(root):
  with tempfile.TemporaryDirectory(prefix="hbakit-contract-") as folder:
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("include", "src", "tests", "docs"):
      shutil.copytree(os.path.join(root, part), os.path.join(folder, part), ignore=ignored)
    missed, planted = list(misses(folder)), len(PLANTS)
  for miss in missed:
    print("contract-self-test:", miss, file=sys.stderr)
  print(f"contract-self-test: {planted} faults planted, {len(missed)} not found")
  return 1 if missed else 0


sys.exit(main(*sys.argv[1:]))
