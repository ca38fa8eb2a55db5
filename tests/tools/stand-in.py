#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""stand-in: answers as hbakit would for a soft:IMAGE?scratch=… controller, with one fault planted:
$FAULT. Only test-run.sh uses it."""
import json
import os
import shutil
import sys

BLOCK = 512


def flip_a_byte(path, at):
  with open(path, "r+b") as f:
    f.seek(at)
    byte = f.read(1)
    f.seek(at)
    f.write(bytes([byte[0] ^ 1]))


def option(words, name):
  return words[words.index(name) + 1]


def conduct(fault):
  return {"io_path_mappings": int(fault == "late"), "violations": 2 * (fault == "broken")}


def scan(image, fault):
  made = {"client": 64, "internal": 2, "tmf": 1}
  mapped = sum(made.values()) - (fault == "unmapped")
  blocks = os.path.getsize(image) // BLOCK - (fault == "short")
  unit = {"lun": 0, "block_size": BLOCK, "blocks": blocks}
  return {
    "controller": {"tasks": made, "hba_data": {"mapped": mapped, "bytes": 64 * mapped, "us": 1}},
    "targets": [] if fault == "empty" else [{"id": 0, "luns": [unit]}],
  }


def read(image, words, fault):
  copy = option(words, "-o")
  shutil.copyfile(image, copy)
  if fault == "read":
    flip_a_byte(copy, os.path.getsize(copy) // 2)
  return {
      "bytes": os.path.getsize(image) - (BLOCK if fault == "counted" else 0),
      "commands": 1,
      **conduct(fault)
  }


def write(image, words, fault):
  source = option(words, "-i")
  if "-l" not in words:
    shutil.copyfile(source, image)
    if fault == "write":
      flip_a_byte(image, os.path.getsize(image) // 2)
  if fault == "verify":
    print("planted: verify failed", file=sys.stderr)
    sys.exit(1)
  size = os.path.getsize(source)
  return {"bytes": size, "verified_bytes": 0 if fault == "unverified" else size, "commands": 1,
          **conduct(fault.removeprefix("write-"))}


def bench(fault):
  latency = {name: 1.0 for name in ("mean", "p50", "p99", "p999", "max")}
  return {
      "iops": 0 if fault == "idle" else 1e6,
      "bytes_per_s": 4e9,
      "latency_us": latency,
      "errors": int(fault == "errors"),
      **conduct(fault.removeprefix("bench-"))
  }


def main(words):
  fault = os.environ.get("FAULT", "")
  command, uri = words[:2]
  image = uri.removeprefix("soft:").split("?")[0]
  if fault == "crash" and command == "read":
    os.abort()
  if fault == "babble":
    return print("no JSON here")
  answer = {"scan": lambda: scan(image, fault), "read": lambda: read(image, words, fault),
            "write": lambda: write(image, words, fault), "bench": lambda: bench(fault)}[command]()
  return print(json.dumps(answer))


main(sys.argv[1:])
