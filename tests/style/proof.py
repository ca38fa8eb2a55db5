# SPDX-License-Identifier: MIT
"""proof.py: tests that a text names as its proof, written `path:function`, and those that are still to be written.

A text that says "pending: `path:function`" names a test that PENDING waits for. The list is for the time until issue 3 ends:
without the file nothing may be pending."""
import os
import re

import tree

PENDING = "tests/style/pending-tests.txt"
TEXTS = ("docs/from-driverkit.md", "docs/decisions/")


def exists(root, test):
  path, _, function = test.partition(":")
  if not function or not os.path.exists(os.path.join(root, path)):
    return False
  definition = r"^\s*def %s\(" if path.endswith(".py") else r"^(?:static )?(?:void|int) %s\("
  return re.search(definition % re.escape(function), tree.read(root, path), re.M) is not None


def waited_for(root):
  if not os.path.exists(os.path.join(root, PENDING)):
    return set()
  return {words[0] for words in tree.table(root, PENDING)}


def complaint(root, test, is_pending, waiting):
  """What is wrong with naming this test; None: nothing."""
  there = exists(root, test)
  if is_pending and there:
    return f"waits for {test}, which exists: tests/style/contract-table.py ROOT --write takes `pending` away, everywhere"
  if is_pending and test not in waiting:
    return f"waits for {test}, which is not in {PENDING}"
  if not is_pending and not there:
    return f"is shown by {test}, which does not exist"
  return None


def texts(root):
  return [path for path in tree.files(root, ".md") if path.startswith(TEXTS)]


def pending(root):
  """Tests that a text waits for."""
  return {test for path in texts(root) for test in re.findall(r"pending: `([^`]+)`", tree.read(root, path))}


def unused(root):
  """Tests on the list that no text waits for."""
  return sorted(waited_for(root) - pending(root))


def settle(root):
  """Take `pending` away from tests that exist, in the texts and on the list; whoever merges two sides needs no more than this."""
  written = [test for test in waited_for(root) | pending(root) if exists(root, test)]
  for path in [*texts(root), PENDING] if written else ():
    text = after = tree.read(root, path)
    for test in written:
      after = after.replace(test + "\n", "") if path == PENDING else after.replace(f"pending: `{test}`", f"`{test}`")
    if after != text:
      with open(os.path.join(root, path), "w", encoding="utf-8") as f:
        f.write(after)
