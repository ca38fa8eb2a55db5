# SPDX-License-Identifier: MIT
"""listing.py: the units that Linux's driver and hbakit find behind the same adapter, from the lines
of listing.sh. They are the same disks if vendor, product, revision, capacity, serial number and
names agree; where a unit stands is each driver's own numbering."""
import json

SECTOR = 512  # the unit of /sys/block/*/size
HEAD = 4      # bytes of a VPD page before its contents
NAA, T10, EUI = 3, 1, 2


def designators(page):
  """The names in VPD page 83h that are the unit's own, as hbakit writes them."""
  at = HEAD
  while at + HEAD <= len(page):
    length, association, kind = page[at + 3], page[at + 1] >> 4 & 3, page[at + 1] & 15
    name = page[at + HEAD:at + HEAD + length]
    if association == 0 and kind in (NAA, EUI):
      yield {NAA: "naa.", EUI: "eui."}[kind] + name.hex()
    elif association == 0 and kind == T10:
      yield "t10." + name.decode("ascii", "replace").rstrip()
    at += HEAD + length


def words_of(line):
  vendor, product, revision, sectors, block, serial, names = line
  page = bytes.fromhex(names) if names != "-" else b""
  serial = bytes.fromhex(serial)[HEAD:].decode("ascii",
                                               "replace").strip("\0 ") if serial != "-" else ""
  disk = (vendor.replace("_", " "), product.replace("_", " "), revision.replace("_", " "),
          int(sectors) * SECTOR, int(block), serial)
  return disk, set(designators(page))


def by_linux(lines):
  """{adapter: {disk: names}}"""
  found = {}
  for line in lines:
    if line.startswith("linux "):
      adapter, *words = line.split()[1:]
      disk, names = words_of(words)
      found.setdefault(adapter, {})[disk] = names
  return found


def by_hbakit(lines):
  """{adapter: {disk: name}}; only disks, as Linux's are."""
  texts, found = {}, {}
  for line in lines:
    if line.startswith("hbakit "):
      _, adapter, text = line.split(" ", 2)
      texts[adapter] = texts.get(adapter, "") + text
  for adapter, text in texts.items():
    for target in json.loads(text)["targets"]:
      for lun in target["luns"]:
        if lun.get("block_size"):
          disk = (lun["vendor"], lun["product"], lun["revision"], lun["blocks"] * lun["block_size"],
                  lun["block_size"], lun["serial"])
          found.setdefault(adapter, {})[disk] = lun["id"]
  return found


def differences(lines, expected):
  """`expected`: {adapter: number of disks}."""
  linux, ours = by_linux(lines), by_hbakit(lines)
  for adapter, number in expected.items():
    theirs, mine = linux.get(adapter, {}), ours.get(adapter, {})
    if len(theirs) != number:
      yield f"{adapter}: Linux found {len(theirs)} disks, {number} are there"
    yield from (f"{adapter}: Linux found {disk}, hbakit did not" for disk in theirs.keys() -
                mine.keys())
    yield from (f"{adapter}: hbakit found {disk}, Linux did not" for disk in mine.keys() -
                theirs.keys())
    yield from (
        f"{adapter}: {disk} is called {mine[disk]} by hbakit, which is not among "
        f"{sorted(theirs[disk])}"
        for disk in theirs.keys() & mine.keys()
        if mine[disk] not in theirs[disk])
