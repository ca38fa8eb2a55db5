#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""self-test: each style check must be able to fail. Plants one violation at a time in a copy of the
tree and demands that the check ends red and names it. `self-test.py ROOT LIBRARY`"""
import os
import shutil
import subprocess
import sys
import tempfile

CHECKS = "tests/style"

# What is planted: name, check, file, text put at the file's end, words that the complaint must
# hold.
PLANTS = (
    ("a base file includes core", "include-map", "src/base/planted.c",
     '#include "core/controller/controller.h"\n', "src/base/planted.c"),
    ("a base file includes a public header", "include-map", "src/base/planted.c",
     "#include <hbakit/lun.h>\n", "hbakit/lun.h"),
    ("siblings know each other", "include-map", "src/disk/planted.c", '#include "cli/cli.h"\n',
     "src/disk/planted.c"),
    ("a driver other than soft includes target", "include-map", "src/drivers/planted.c",
     '#include "target/target.h"\n', "src/drivers/planted.c"),
    ("a unit test looks into two rooms", "include-map", "tests/unit/planted.c",
     '#include "core/controller/controller.h"\n#include "target/target.h"\n',
     "tests/unit/planted.c"),
    ("a test looks into another room", "include-map", "tests/disk/planted.c",
     '#include "core/controller/controller.h"\n', "tests/disk/planted.c"),
    ("a test that is no unit test looks inside", "include-map", "tests/planted/planted.c",
     '#include "base/base.h"\n', "tests/planted/planted.c"),
    ("a room that the map does not know", "include-map", "src/planted/planted.c",
     '#include "base/base.h"\n', "src/planted/planted.c"),
    ("a header needs a friend", "headers-alone", "include/hbakit/planted.h",
     "size_t planted_size(void);\n", "planted.h alone, gcc"),
    ("a header is not C++", "headers-alone", "include/hbakit/planted.h",
     "struct planted { int class; };\n", "planted.h alone, g++"),
    ("a header without a guard", "headers-alone", "include/hbakit/planted.h",
     "struct planted { int a; };\n", "planted.h alone, clang"),
    ("declared, nowhere written", "exported-symbols", "include/hbakit/version.h",
     "int hba_planted(void);\n", "hba_planted is declared"),
    ("in the map, not in the library", "exported-symbols", "src/hbakit.map",
     "X { global: hba_planted; };\n", "hba_planted is in"),
    ("a function that nobody has given NULL", "exported-symbols", "src/hbakit.map",
     "X { global: hba_planted; };\n",
     "hba_planted is in src/hbakit.map, but tests/unit/core/null.c"),
    ("waits, but exists", "exported-symbols", "tests/style/not-yet.txt", "hba_version\n",
     "hba_version exists now"),
    ("waits, but nobody promised it", "exported-symbols", "tests/style/not-yet.txt",
     "hba_planted\n", "hba_planted waits"),
    ("an internal function called hba_", "exported-symbols", "src/base/planted.c",
     "int hba_planted(void)\n{\n\treturn 0;\n}\n", "src/base/planted.c: hba_planted"),
    ("a file without a licence", "spdx", "src/base/planted.c", "int planted;\n",
     "src/base/planted.c: no"),
    ("a licence twice", "spdx", "src/base/planted.c", "/* SPDX-License-Identifier: MIT */\n" * 2,
     "more than once"),
    ("spaces for a tab", "format", "src/base/planted.c", "int planted(void)\n{\n    return 0;\n}\n",
     "src/base/planted.c:"),
    ("a comment past column 100", "format", "src/base/planted.c", "/* " + "x" * 95 + " */\n",
     "src/base/planted.c:1: 101 columns"),
    ("a script past column 100", "format", "tests/planted.py", "# " + "x" * 99 + "\n",
   "tests/planted.py:1: 101 columns"),
  ("a reserved macro", "banned-words", "src/base/planted.h",
     "#ifndef __PLANTED_H\n#define __PLANTED_H\n#endif\n", "__PLANTED_H"),
    ("a reserved function", "banned-words", "src/base/planted.c",
     "int _Planted(void)\n{\n\treturn 0;\n}\n", "_Planted"),
    ("a reserved member", "banned-words", "src/base/planted.c",
     "struct planted {\n\tint __member;\n};\n", "__member"),
    ("system()", "banned-words", "src/base/planted.c",
     'void planted(void)\n{\n\tsystem("true");\n}\n', "planted.c:3: system()"),
    ("strcpy() after a comment", "banned-words", "src/base/planted.c",
     "/* a\n b */ void f(void) { strcpy(a, b); }\n", "planted.c:2: strcpy()"),
    ("a function of 101 lines", "function-length", "src/base/planted.c",
     "void planted(void)\n{\n" + "\n" * 98 + "}\n", "has 101 lines"),
)

# What must not be red: the checks' own blind alarms.
INNOCENT = (
    ("words in comments and texts", "banned-words", "src/base/planted.c",
     '/* system() */ const char *planted = "strcpy(a, b)";\n'),
    ("a unit test of one room", "include-map", "tests/unit/planted.c",
     '#include "base/base.h"\n#include "scsi/scsi.h"\n'),
    ("a test of the room it is named for", "include-map", "tests/scsi/planted.c",
     '#include "base/base.h"\n#include "scsi/scsi.h"\n'),
    ("a function of 100 lines", "function-length", "src/base/planted.c",
     "void planted(void)\n{\n" + "\n" * 97 + "}\n"),
)


def run(check, root, library, header="planted.h"):
  arguments = {"exported-symbols": [library], "headers-alone": ["include/hbakit/" + header]}
  command = [os.path.join(root, CHECKS, check + ".py"), root, *arguments.get(check, [])]
  return subprocess.run(command, capture_output=True, text=True, check=False)


class Plant:
  """A text at the end of a file, for as long as the `with` lasts."""

  def __init__(self, root, path, text):
    self.path, self.text = os.path.join(root, path), text

  def __enter__(self):
    os.makedirs(os.path.dirname(self.path), exist_ok=True)
    self.before = None
    if os.path.exists(self.path):
      with open(self.path, encoding="utf-8") as f:
        self.before = f.read()
    with open(self.path, "a", encoding="utf-8") as f:
      f.write(self.text)

  def __exit__(self, *_):
    os.unlink(self.path)
    if self.before is not None:
      with open(self.path, "w", encoding="utf-8") as f:
        f.write(self.before)


def library_with_more(folder):
  """A library that exports one name too many."""
  source, library = os.path.join(folder, "more.c"), os.path.join(folder, "more.so")
  with open(source, "w", encoding="utf-8") as f:
    f.write("int hba_planted(void)\n{\n\treturn 0;\n}\n")
  subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
  return library


def misses(root, library):
  """The checks that are red without a plant, the plants that were not found, and the innocents that
  were."""
  for check in sorted({plant[1] for plant in PLANTS}):
    done = run(check, root, library, header="version.h")
    if done.returncode:
      yield f"{check} is red before anything is planted: see its own test"
  for name, check, path, text, complaint in PLANTS:
    with Plant(root, path, text):
      done = run(check, root, library)
    if done.returncode != 1 or complaint not in done.stderr:
      yield (f"{check} did not find: {name} (ended with {done.returncode}: "
             f"{done.stderr.strip() or done.stdout.strip()})")
  for name, check, path, text in INNOCENT:
    with Plant(root, path, text):
      done = run(check, root, library)
    if "planted" in done.stderr:
      yield f"{check} is wrong about: {name} ({done.stderr.strip()})"
  done = run("exported-symbols", root, library_with_more(os.path.dirname(root)))
  if done.returncode != 1 or "hba_planted is exported, but not in" not in done.stderr:
    yield f"exported-symbols did not find: one export too many ({done.stderr.strip()})"


def main(root, library):
  with tempfile.TemporaryDirectory(prefix="hbakit-style-") as folder:
    copy = os.path.join(folder, "tree")
    ignored = shutil.ignore_patterns("build*", ".git", "run", "__pycache__")
    os.mkdir(copy)
    shutil.copy(os.path.join(root, ".clang-format"), copy)
    for part in ("include", "src", "tests", "examples"):
      shutil.copytree(os.path.join(root, part), os.path.join(copy, part), ignore=ignored)
    missed = list(misses(copy, os.path.abspath(library)))
  for miss in missed:
    print("self-test:", miss, file=sys.stderr)
  print(
      f"self-test: {len(missed)} of {len(PLANTS) + len(INNOCENT) + 1} plants not as they should be")
  return 1 if missed else 0


sys.exit(main(*sys.argv[1:]))
