#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vfio: drivers over VFIO in a guest, with an IOMMU that translates. `vfio.py HBAKIT [--verbose]`

vfio.sh runs inside and says what it found; here it is counted, and what was written through the adapters is compared with the
images they lie on."""
import hashlib
import os
import shutil
import sys
import tempfile

import guest

SECONDS = 400
IMAGE_BYTES = 32 << 20
OFFSET = 1 << 20
LEAST = 30  # a scenario that lost its way says less
SKIPPED = 77

PVSCSI = ("pvscsi,id=pv,addr=2", (("a", "bus=pv.0,scsi-id=0"), ("b", "bus=pv.0,scsi-id=5")))
VIRTIO = ("virtio-scsi-pci,id=vi,addr=3,disable-legacy=on,iommu_platform=on",
          (("c", "bus=vi.0,scsi-id=0,lun=0"), ("d", "bus=vi.0,scsi-id=0,lun=3"), ("e", "bus=vi.0,scsi-id=7,lun=0")))


def image(folder, name):
  return os.path.join(folder, name + ".img")


def devices(folder):
  for adapter, disks in (PVSCSI, VIRTIO):
    yield from ("-device", adapter)
    for name, place in disks:
      with open(image(folder, name), "wb") as f:
        f.truncate(IMAGE_BYTES)
      yield from ("-drive", f"if=none,id=drive-{name},file={image(folder, name)},format=raw")
      yield from ("-device", f"scsi-hd,drive=drive-{name},serial=guest-{name},{place}")


def images_wrong(folder, lines):
  """What the guest says it wrote, against the bytes of the image."""
  said = [line.split()[1:] for line in lines if line.startswith("sha256 ")]
  for name, digest, length in said:
    with open(image(folder, name), "rb") as f:
      f.seek(OFFSET)
      if hashlib.sha256(f.read(int(length))).hexdigest() != digest:
        yield f"image {name} does not hold what was written through the adapter"
  if len(said) != len(PVSCSI[1]) + len(VIRTIO[1]):
    yield f"{len(said)} units were written"


def main(program, *arguments):
  missing = [tool for tool in ("qemu-system-x86_64", "busybox", "cpio", "depmod", "apt-get") if not shutil.which(tool)]
  if missing:
    print("vfio: skipped, there is no", ", ".join(missing))
    return SKIPPED
  scenario = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vfio.sh")
  show = (lambda line: print(line, flush=True)) if "--verbose" in arguments else None
  with tempfile.TemporaryDirectory(prefix="hbakit-vfio-") as folder:
    lines = guest.boot([program], scenario, list(devices(folder)), SECONDS, show=show)
    wrong = [line for line in lines if line.startswith(("not ok ", "# "))] + list(images_wrong(folder, lines))
  passed = sum(line.startswith("ok ") for line in lines)
  if passed < LEAST:
    wrong.append(f"only {passed} passed")
  for line in wrong:
    print(line, file=sys.stderr)
  print(f"vfio: {passed} ok in the guest, {sum(line.startswith('not ok ') for line in lines)} not ok")
  return 1 if wrong else 0


sys.exit(main(*sys.argv[1:]))
