# SPDX-License-Identifier: MIT
"""proof.py: tests that a text names as its proof, written `path:function`."""
import os
import re

import tree


def exists(root, test):
  path, _, function = test.partition(":")
  if not function or not os.path.exists(os.path.join(root, path)):
    return False
  definition = r"^\s*def %s\(" if path.endswith(".py") else r"^(?:static )?(?:void|int) %s\("
  return re.search(definition % re.escape(function), tree.read(root, path), re.M) is not None


def complaint(root, test):
  """What is wrong with naming this test; None: nothing."""
  return None if exists(root, test) else f"is shown by {test}, which does not exist"
