#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""include-map: arrows only go down. Holds every #include against include-map.txt. `include-map.py
ROOT`"""
import os
import re
import sys

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
TREES = ("include", "src", "tests", "bench", "examples")


def room_of(path, rooms):
  """The longest line of the map that the path lies under."""
  return max((r for r in rooms if path == r or path.startswith(r + "/")), key=len, default=None)


def resolve(root, path, bracket, name):
  """The file an #include means, relative to root; None: the system's; a name that is not there
  stays as it is."""
  if name.startswith("hbakit/"):
    return "include/" + name
  if bracket == "<":
    return None
  near = [
      os.path.normpath(os.path.join(start, name))
      for start in (os.path.dirname(path), "src", "tests")
  ]
  return next((n for n in near if os.path.exists(os.path.join(root, n))), name)


def allowed(included, own, rooms):
  if own is None:
    return False
  if included.startswith("include/"):
    return own == "include/hbakit" or "public" in rooms[own] or included[len("include/"
                                                                             ):] in rooms[own]
  return any(included == room or included.startswith(room + "/") for room in [own] + rooms[own])


def tested_rooms(path, rooms):
  """Which one room a test may look into: any for tests/unit/, the room of that name for
  tests/NAME/, none for other tests."""
  if path.startswith("tests/unit/"):
    return [room for room in rooms if room.startswith("src/")]
  return [
      room for room in rooms if room.startswith("src/") and path.startswith(f"tests/{room[4:]}/")
  ]


def looks_into_one_room(inside, candidates, rooms):
  """Some room explains everything that a test includes from src/."""
  return any(all(allowed(i, room, rooms) for i in inside) for room in candidates)


def check(root, path, rooms):
  code = tree.read(root, path)
  found = [resolve(root, path, *m.groups()) for m in INCLUDE.finditer(code)]
  includes = [i for i in found if i]
  candidates = tested_rooms(path, rooms)
  granted = [i for i in includes if path in rooms and allowed(i, path, rooms)]
  inside = [i for i in includes if candidates and i.startswith("src/") and i not in granted]
  if inside and not looks_into_one_room(inside, candidates, rooms):
    yield f"{path}: a unit test may look inside one room, this one includes {' '.join(inside)}"
  includes = [i for i in includes if i not in inside]
  own = [r for r in (room_of(path, rooms), room_of(os.path.dirname(path), rooms)) if r]
  for included in includes:
    if os.path.dirname(included) != os.path.dirname(path) and not any(
        allowed(included, r, rooms) for r in own):
      yield f"{path}: may not include {included} (tests/style/include-map.txt)"


def main(root):
  rooms = {words[0]: words[1:] for words in tree.table(root, "tests/style/include-map.txt")}
  paths = [p for p in tree.files(root, ".c", ".h") if p.startswith(TREES)]
  tree.finish("include-map", [v for p in paths for v in check(root, p, rooms)],
              f"{len(paths)} files keep to the map")


main(sys.argv[1])
