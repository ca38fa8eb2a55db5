#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""headers-alone: each public header compiles by itself, in C17 and C++17, with gcc and clang.
`headers-alone.py ROOT [HEADER...]`"""
import concurrent.futures
import shutil
import subprocess
import sys

import tree

COMPILERS = (
  ("gcc", "-xc", "-std=c17"),
  ("clang", "-xc", "-std=c17"),
  ("g++", "-xc++", "-std=c++17"),
  ("clang++", "-xc++", "-std=c++17"),
)
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror")
SKIP = 77


def first_error(said):
  """The rest mostly follows from it."""
  return next((line for line in said.splitlines() if "error" in line), said)


def compile_alone(root, header, compiler):
  """None, or what the compiler said. Included twice: a header without a guard fails too."""
  name = header[len("include/"):]
  source = f"#include <{name}>\n#include <{name}>\n"
  command = [*compiler, *WARNINGS, "-fsyntax-only", "-Iinclude", "-"]
  done = subprocess.run(command, cwd=root, input=source, capture_output=True, text=True,
                        check=False)
  if not done.returncode:
    return None
  return f"{header} alone, {compiler[0]} {compiler[2]}: {first_error(done.stderr)}"


def main(root, headers):
  absent = [c[0] for c in COMPILERS if not shutil.which(c[0])]
  if absent:
    print("headers-alone: skipped, there is no", " ".join(absent))
    sys.exit(SKIP)
  headers = headers or [p for p in tree.files(root, ".h") if p.startswith("include/")]
  work = [(root, h, c) for h in headers for c in COMPILERS]
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    violations = [v for v in pool.map(lambda w: compile_alone(*w), work) if v]
  tree.finish("headers-alone", violations,
              f"{len(headers)} headers with {len(COMPILERS)} compilers")


main(sys.argv[1], sys.argv[2:])
