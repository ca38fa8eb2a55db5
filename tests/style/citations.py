#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""citations: comments and pages cite only pages of the repository. `docs/contract.md 9.5`, or
contract.md beside it, must be a section there; `contract 9.5` or `design 7` names no page at
all. `citations.py ROOT`"""
import re
import sys

import tree

CONTRACT, TABLE = "docs/contract.md", "docs/from-driverkit.md"
LEFT_OUT = ("tests/abi/v1/", "tests/style/citations.py", "tests/style/contract-self-test.py"
            )  # frozen, and their own plants
TEXTS = (".c", ".h", ".py", ".sh", ".md", ".build", ".txt")
NO_PAGE = re.compile(
    r"\bcontract \d+\.\d+|\b(?:contract|design|taste|peers|models|users)(?:\.md)? ?§ "
    r"?\d+|\b(?:design|taste|peers) \d+(?:\.\d+)?(?=[,)])"
)
SECTION = re.compile(r"\b(?:contract|from-driverkit)\.md,? (\d+(?:\.\d+)?)")


def sections(root):
  """The numbers at the heads of both pages of the contract."""
  heads = tree.read(root, CONTRACT) + tree.read(root, TABLE)
  return set(re.findall(r"^## (\d+(?:\.\d+)?) ", heads, re.M))


def wrong(path, text, known):
  for number, line in enumerate(text.splitlines(), 1):
    cited = SECTION.findall(line)
    yield from (f"{path}:{number}: section {section} is in neither page of the contract"
                for section in cited
                if section not in known)
    if not cited and (found := NO_PAGE.search(line)):
      yield f"{path}:{number}: '{found.group()}' is no page of the repository"


def rows_wrong(root, known):
  """A mutant's row that is a number is a section, or an open point of 10.1."""
  for section in re.findall(r"^row +([\d.]+)(?:/\d+)?$",
                            tree.read(root, "tests/mutants/mutants.txt"), re.M):
    if section not in known and not any(k.startswith(section + ".") for k in known):
      yield (f"tests/mutants/mutants.txt: a row names section {section}, which is in neither page "
             f"of the contract")


def main(root):
  known = sections(root)
  paths = [p for p in tree.files(root, *TEXTS) if not p.startswith(LEFT_OUT)]
  violations = [v for p in paths for v in wrong(p, tree.read(root, p), known)]
  tree.finish("citations", violations + list(rows_wrong(root, known)),
              f"{len(paths)} files cite what is there")


main(sys.argv[1])
