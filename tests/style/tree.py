# SPDX-License-Identifier: MIT
"""tree.py: what the style checks share: which files there are, and how a check ends."""
import json
import os
import re
import subprocess
import sys

NOT_OURS = {".git", "run", "__pycache__"}


def files(root, *suffixes):
  """Paths below root, relative and sorted, with one of the suffixes; what is built or generated is
  left out."""
  found = []
  for folder, folders, names in os.walk(root):
    folders[:] = [f for f in folders if f not in NOT_OURS and not f.startswith("build")]
    found += [
        os.path.relpath(os.path.join(folder, n), root)
        for n in names
        if not suffixes or n.endswith(suffixes)
    ]
  return sorted(found)


def read(root, path):
  with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
    return f.read()


def table(root, path):
  """A list for people: one entry per line, its words; # begins a comment."""
  lines = (line.split("#")[0].split() for line in read(root, path).splitlines())
  return [words for words in lines if words]


COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
  """C without comments and literals; lines keep their numbers."""
  return COMMENT_OR_TEXT.sub(lambda m: " " + "\n" * m.group().count("\n"), text)


def tags(root, paths, kinds):
  """What universal-ctags finds in these files, one dictionary each."""
  if not paths:
    return []
  command = [
      "ctags", "-L", "-", "--output-format=json", "--fields=+ne", "--language-force=C",
      f"--kinds-C={kinds}", "-D", "static_assert(a,b)=", "-f", "-"
  ]
  out = subprocess.run(command, cwd=root, input="\n".join(paths), capture_output=True, text=True,
                       check=True).stdout
  return [tag for tag in map(json.loads, out.splitlines()) if tag["_type"] == "tag"]


def finish(name, violations, good):
  """One sentence per violation, or one about how good it is; the exit code for meson."""
  for violation in violations:
    print(f"{name}: {violation}", file=sys.stderr)
  if not violations:
    print(f"{name}: {good}")
  sys.exit(1 if violations else 0)
