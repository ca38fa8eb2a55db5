#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vfio: drivers over VFIO in a guest, with an IOMMU that translates. `vfio.py BUILD [--short]
[--verbose] [SCENARIO...]`

A scenario is a machine and a script that runs inside and says what it found; here that is counted,
and what was written through the adapters is compared with the images they lie on."""
import hashlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass

import guest
import listing

IMAGE_BYTES = 32 << 20
FIRST_WWN = 0x5000c50012345678
OFFSET = 1 << 20
SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("src/cli/hbakit", "tests/guest/guest-io", "tests/guest/guest-device")

PVSCSI = "pvscsi,id=pv"
VIRTIO = "virtio-scsi-pci,id=vi,disable-legacy=on,iommu_platform=on"
SLOW = ",throttling.iops-total=200"  # answers in 5 ms: who waits for one sleeps
# in 25 ms: what a chip with many registers takes itself is little beside it
SLOWER = ",throttling.iops-total=40"
STUCK = ",throttling.iops-total=8"   # commands stay out for seconds
MPTSAS = "mptsas1068,id=mp"
MEGASAS = ("megasas,id=me,addr=2", "megasas-gen2,id=mg,addr=3",
           "megasas-gen2,id=mj,addr=4,use_jbod=on", "megasas,id=ms,addr=5",
           "megasas-gen2,id=mt,addr=6")


@dataclass(frozen=True)
class Disk:
  name: str
  place: str  # QEMU's: bus, target, unit
  drive: str = ""


@dataclass(frozen=True)
class Scenario:
  name: str
  adapters: tuple  # QEMU's devices, in order
  disks: tuple
  least: int  # of a short cut; one that lost its way says less
  seconds: int = 150
  iommu: str = guest.IOMMU
  words: str = ""
  writes_all: bool = False  # every disk has been written, and is compared
  heard: tuple = ()  # what the monitor must have said
  listed: dict = None  # disks of each adapter, where Linux and hbakit are to list the same


def port(slot, chassis):
  return f"pcie-root-port,id=port{chassis},addr={slot},chassis={chassis}"


def listed_disk(name, place, number):
  """With the name that mptsas of Linux wants a disk to have."""
  return Disk(name, f"{place},wwn={FIRST_WWN + number:#x}")


SCENARIOS = (
    Scenario("vfio", (PVSCSI + ",addr=2", VIRTIO + ",addr=3"),
             (Disk("a", "bus=pv.0,scsi-id=0"), Disk("b", "bus=pv.0,scsi-id=5"),
              Disk("c", "bus=vi.0,scsi-id=0,lun=0"), Disk("d", "bus=vi.0,scsi-id=0,lun=3"),
              Disk("e", "bus=vi.0,scsi-id=7,lun=0")), least=30, seconds=400, writes_all=True),
    Scenario("megasas", MEGASAS + (port(8, 1), "megasas-gen2,id=mu,bus=port1"),
             (Disk("a", "bus=me.0,scsi-id=0"), Disk("b", "bus=me.0,scsi-id=5"),
              Disk("c", "bus=mg.0,scsi-id=0"), Disk("d", "bus=mj.0,scsi-id=7,lun=0"),
              Disk("e", "bus=mj.0,scsi-id=7,lun=3"), Disk("f", "bus=ms.0,scsi-id=0", SLOW),
              Disk("g", "bus=mt.0,scsi-id=0", SLOW), Disk("h", "bus=mu.0,scsi-id=0", STUCK)),
             least=52, seconds=500),
    Scenario("sym53c8xx", ("lsi53c895a,id=ls,addr=2", "lsi53c895a,id=lw,addr=3", port(
        8, 1), "lsi53c895a,id=lq,bus=port1"),
             (Disk("a", "bus=ls.0,scsi-id=0"), Disk("b", "bus=ls.0,scsi-id=5"),
              Disk("c", "bus=ls.0,scsi-id=6"), Disk("d", "bus=lw.0,scsi-id=0", SLOWER),
              Disk("e", "bus=lq.0,scsi-id=0", STUCK)), least=26, seconds=500),
    Scenario(
        "mptsas",
        (MPTSAS + ",addr=2", "mptsas1068,id=ms,addr=3", port(8, 1), "mptsas1068,id=mq,bus=port1"),
        (Disk("a", "bus=mp.0,scsi-id=0,wwn=0x5000c50000000001"),
         Disk("b", "bus=mp.0,scsi-id=5,lun=0,wwn=0x5000c50000000002"),
         Disk("c", "bus=mp.0,scsi-id=5,lun=1,wwn=0x5000c50000000003"),
         Disk("d", "bus=ms.0,scsi-id=0", SLOW), Disk("e", "bus=mq.0,scsi-id=0", STUCK)), least=29,
        seconds=400),
    Scenario("irq", (PVSCSI + ",addr=2", VIRTIO + ",addr=3"),
             (Disk("a", "bus=pv.0,scsi-id=0", SLOW), Disk("b", "bus=vi.0,scsi-id=0", SLOW)),
             least=13),
    Scenario(
        "device",
        (port(8, 1), port(9, 2), VIRTIO + ",bus=port1", PVSCSI + ",bus=port2", "lsi53c895a,addr=4",
         "am53c974,addr=5", "megasas,id=me,addr=6", "pvscsi,id=pw,addr=7"),
        (Disk("a", "bus=vi.0,scsi-id=0"), Disk("b", "bus=pv.0,scsi-id=0")), least=10),
    Scenario("unplug", (port(8, 1), port(9, 2), VIRTIO + ",bus=port1", PVSCSI + ",bus=port2"),
             (Disk("a", "bus=vi.0,scsi-id=0", STUCK), Disk("b", "bus=pv.0,scsi-id=0", STUCK)),
             least=11, heard=('"DEVICE_DELETED", "data": {"device": "vi"', )),
    Scenario("error", (port(8, 1), VIRTIO + ",bus=port1,aer=on"),
             (Disk("a", "bus=vi.0,scsi-id=0", STUCK), ), least=6),
    Scenario("preflight", (PVSCSI + ",addr=2", VIRTIO + ",addr=3",
                           "pvscsi,id=sa,addr=4.0,multifunction=on", "pvscsi,id=sb,addr=4.1"),
             (Disk("a", "bus=vi.0,scsi-id=0"), ), least=25),
    Scenario(
        "listing",
        (PVSCSI + ",addr=2", VIRTIO + ",addr=3", "megasas,id=ms,addr=4",
         "megasas-gen2,id=mg,addr=5", "mptsas1068,id=mp,addr=6", "lsi53c895a,id=sy,addr=7"),
        tuple(
            listed_disk(f"d{i}", place, i)
            for i, place in enumerate(("bus=pv.0,scsi-id=0", "bus=pv.0,scsi-id=5",
                                       "bus=vi.0,scsi-id=0,lun=0", "bus=vi.0,scsi-id=0,lun=3",
                                       "bus=vi.0,scsi-id=7", "bus=ms.0,scsi-id=0",
                                       "bus=ms.0,scsi-id=3", "bus=mg.0,scsi-id=0",
                                       "bus=mg.0,scsi-id=2", "bus=mp.0,scsi-id=0",
                                       "bus=mp.0,scsi-id=4", "bus=sy.0,scsi-id=0",
                                       "bus=sy.0,scsi-id=6"))), least=6, words=
        " ADAPTERS=pvscsi:2:vmw_pvscsi,virtio-scsi:3:virtio_scsi,megasas:4:megaraid_sas,"
        "megasas-gen2:5:megaraid_sas,"
        "mptsas:6:mptsas,sym53c8xx:7:sym53c8xx", listed={
            "pvscsi": 2,
            "virtio-scsi": 3,
            "megasas": 2,
            "megasas-gen2": 2,
            "mptsas": 2,
            "sym53c8xx": 2
        }),
    Scenario("no-iommu", (VIRTIO.replace("on,iommu_platform=on", "on") + ",addr=3", ), (), least=2,
             iommu=""),
    Scenario("no-remap", (VIRTIO + ",addr=3", ), (), least=2, iommu="intel-iommu,intremap=off"),
)


def image(folder, name):
  return os.path.join(folder, name + ".img")


def devices(scenario, folder):
  for adapter in scenario.adapters:
    yield from ("-device", adapter)
  for disk in scenario.disks:
    with open(image(folder, disk.name), "wb") as f:
      f.truncate(IMAGE_BYTES)
    yield from (
        "-drive",
        f"if=none,id=drive-{disk.name},file={image(folder, disk.name)},format=raw{disk.drive}")
    yield from ("-device", f"scsi-hd,drive=drive-{disk.name},serial=guest-{disk.name},{disk.place}")


def images_wrong(folder, lines):
  """What the guest says it wrote, against the bytes of the image."""
  for line in lines:
    if not line.startswith("sha256 "):
      continue
    name, digest, length = line.split()[1:]
    with open(image(folder, name), "rb") as f:
      f.seek(OFFSET)
      if hashlib.sha256(f.read(int(length))).hexdigest() != digest:
        yield f"image {name} does not hold what was written through the adapter"


def wrong_in(scenario, folder, lines):
  yield from (line for line in lines if line.startswith(("not ok ", "# ")))
  yield from images_wrong(folder, lines)
  passed = sum(line.startswith("ok ") for line in lines)
  if passed < scenario.least:
    yield f"only {passed} passed, {scenario.least} are the least"
  for text in scenario.heard:
    if not any(text in line and line.startswith(("event ", "answer ")) for line in lines):
      yield f"the monitor never said {text}"
  if scenario.listed:
    yield from listing.differences(lines, scenario.listed)
  if scenario.writes_all and sum(line.startswith("sha256 ")
                                 for line in lines) != len(scenario.disks):
    yield "not every unit was written"


def run(scenario, build, short, show):
  started = time.monotonic()
  with tempfile.TemporaryDirectory(prefix="hbakit-vfio-") as folder:
    lines = guest.boot([os.path.join(build, p) for p in PROGRAMS],
                       os.path.join(HERE, scenario.name + ".sh"), list(devices(scenario, folder)),
                       scenario.seconds, words=scenario.words + (" hbakit.short" if short else ""),
                       show=show, iommu=scenario.iommu, files=[os.path.join(HERE, "lib.sh")])
    wrong = list(wrong_in(scenario, folder, lines))
    if show:
      for line in lines:
        if line.startswith(("event {", "answer {")):
          show(line)
  for line in wrong:
    print(line, file=sys.stderr)
  count = {end: sum(line.startswith(end + " ") for line in lines) for end in ("ok", "not ok")}
  print(
      f"{scenario.name}: {count['ok']} ok in the guest, {count['not ok']} not ok, "
      f"{time.monotonic() - started:.0f} s",
      flush=True)
  return not wrong


def main(build, *arguments):
  missing = [
      tool for tool in ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get")
      if not shutil.which(tool)
  ]
  if missing:
    print("vfio: skipped, there is no", ", ".join(missing))
    return SKIPPED
  names = [a for a in arguments if not a.startswith("--")]
  unknown = [n for n in names if n not in {s.name for s in SCENARIOS}]
  if unknown:
    print("vfio: there is no scenario", ", ".join(unknown), file=sys.stderr)
    return 2
  show = (lambda line: print(line, flush=True)) if "--verbose" in arguments else None
  ends = [
      run(s, build, "--short" in arguments, show) for s in SCENARIOS if not names or s.name in names
  ]
  return 0 if all(ends) else 1


sys.exit(main(*sys.argv[1:]))
