# SPDX-License-Identifier: MIT
"""guest: boots Debian's kernel in QEMU with a busybox initramfs and runs one shell script in it. No image, no root, no network.

The kernel package is downloaded and unpacked, not installed; what was made from it is kept in ~/.cache/hbakit/guest (or
$HBAKIT_GUEST_CACHE). QEMU starts the uncompressed vmlinux itself (PVH), which saves firmware and decompression."""
import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

PACKAGE = "linux-image-amd64"
XZ_MAGIC = b"\xfd7zXZ\x00"
ELF_MAGIC = b"\x7fELF"
DONE = "GUEST-DONE"
MODULES = ("vfio_iommu_type1", "vfio-pci", "sd_mod", "vmw_pvscsi", "virtio_pci", "virtio_scsi")
APPLETS = ("sh mount mkdir cat echo ls modprobe poweroff sleep dd head tail grep ln basename dirname readlink dmesg printf cut sed "
           "wc cmp sha256sum awk seq expr test true rm kill timeout sync sort tr")
INIT = f"""#!/bin/sh
export PATH=/bin:/usr/bin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
cd /tmp
sh /scenario.sh
echo "{DONE} $?"
poweroff -f
"""


def run(*command, **options):
  return subprocess.run(command, check=True, **options)


def cache():
  path = os.environ.get("HBAKIT_GUEST_CACHE") or os.path.expanduser("~/.cache/hbakit/guest")
  os.makedirs(path, exist_ok=True)
  return path


# ---- the kernel

def kernel_package():
  out = run("apt-cache", "depends", PACKAGE, stdout=subprocess.PIPE, text=True).stdout
  found = re.search(r"Depends: (linux-image-\S+)", out)
  if not found:
    raise RuntimeError(f"apt knows no {PACKAGE}: apt-get update")
  return found.group(1)


def uncompressed(vmlinuz):
  """The vmlinux in a vmlinuz: the one xz stream that begins an ELF file; its place differs by kernel."""
  at = vmlinuz.find(XZ_MAGIC)
  while at >= 0:
    try:
      data = lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(vmlinuz[at:])
      if data.startswith(ELF_MAGIC):
        return data
    except lzma.LZMAError:
      pass
    at = vmlinuz.find(XZ_MAGIC, at + 1)
  raise RuntimeError("there is no vmlinux in this vmlinuz")


def unpack_kernel(package, folder):
  run("apt-get", "-qq", "download", package, cwd=folder)
  deb = glob.glob(os.path.join(folder, package + "_*.deb"))[0]
  run("dpkg-deb", "-x", deb, folder)
  os.unlink(deb)
  release = os.listdir(os.path.join(folder, "lib/modules"))[0]
  run("depmod", "-b", folder, release)
  with open(os.path.join(folder, "boot", "vmlinuz-" + release), "rb") as f:
    data = uncompressed(f.read())
  with open(os.path.join(folder, "vmlinux"), "wb") as f:
    f.write(data)
  return release


def module_files(folder, release):
  """The modules with all that they need, by modprobe's word."""
  files = set()
  for module in MODULES:
    out = run("modprobe", "-d", folder, "-S", release, "--show-depends", module, stdout=subprocess.PIPE, text=True).stdout
    files |= {line.split()[1] for line in out.splitlines() if line.startswith("insmod ")}
  return sorted(files)


def pack(tree, archive):
  names = run("find", ".", cwd=tree, stdout=subprocess.PIPE).stdout
  data = run("cpio", "-o", "-H", "newc", "--quiet", cwd=tree, input=names, stdout=subprocess.PIPE).stdout
  with open(archive, "wb") as f:
    f.write(data)


def make_base(folder, release, archive):
  with tempfile.TemporaryDirectory() as tree:
    for name in ("bin", "proc", "sys", "dev", "tmp", "usr/bin"):
      os.makedirs(os.path.join(tree, name))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    for applet in APPLETS.split():
      os.symlink("busybox", os.path.join(tree, "bin", applet))
    for path in module_files(folder, release):
      to = os.path.join(tree, os.path.relpath(path, folder))
      os.makedirs(os.path.dirname(to), exist_ok=True)
      shutil.copy(path, to)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
      shutil.copy(os.path.join(folder, "lib/modules", release, name), os.path.join(tree, "lib/modules", release))
    run("depmod", "-b", tree, release)
    with open(os.path.join(tree, "init"), "w", encoding="utf-8") as f:
      f.write(INIT)
    os.chmod(os.path.join(tree, "init"), 0o755)
    pack(tree, archive)


def kernel():
  """(vmlinux, base initramfs), made once per kernel package."""
  package = kernel_package()
  folder = os.path.join(cache(), package)
  if not os.path.exists(folder):
    with tempfile.TemporaryDirectory(dir=cache()) as work:
      release = unpack_kernel(package, work)
      make_base(work, release, os.path.join(work, "base.cpio"))
      shutil.rmtree(os.path.join(work, "lib"))
      os.makedirs(folder + ".new", exist_ok=True)
      for name in ("vmlinux", "base.cpio"):
        os.replace(os.path.join(work, name), os.path.join(folder + ".new", name))
      os.replace(folder + ".new", folder)
  return os.path.join(folder, "vmlinux"), os.path.join(folder, "base.cpio")


# ---- what is run in it

def libraries(program):
  out = run("ldd", program, stdout=subprocess.PIPE, text=True).stdout
  return {path for path in re.findall(r"(/\S+) \(0x", out)}


def make_overlay(programs, scenario, archive):
  with tempfile.TemporaryDirectory() as tree:
    os.makedirs(os.path.join(tree, "usr/bin"))
    shutil.copy(scenario, os.path.join(tree, "scenario.sh"))
    for program in programs:
      shutil.copy(program, os.path.join(tree, "usr/bin"))
      for library in libraries(program):
        # The loader's place is written into the program; the others are found in the directory that it looks into.
        place = library if "ld-linux" in library else os.path.join("/usr/lib/x86_64-linux-gnu", os.path.basename(library))
        to = os.path.join(tree, place.lstrip("/"))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(library, to)
    pack(tree, archive)


def command(vmlinux, initrd, devices, words):
  return ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "768M", "-smp", "1", "-nodefaults",
          "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", vmlinux, "-initrd", initrd,
          "-append", "console=ttyS0 quiet loglevel=3 panic=-1 intel_iommu=on iommu=pt no_timer_check " + words,
          "-device", "intel-iommu,intremap=on"] + devices


def boot(programs, scenario, devices, seconds, words="", show=None):
  """The lines on the serial port. A boot that does not reach the end is tried once more."""
  vmlinux, base = kernel()
  with tempfile.TemporaryDirectory(prefix="hbakit-guest-") as folder:
    overlay, initrd = os.path.join(folder, "overlay.cpio"), os.path.join(folder, "initrd")
    make_overlay(programs, scenario, overlay)
    with open(initrd, "wb") as f:
      for part in (base, overlay):
        with open(part, "rb") as p:
          shutil.copyfileobj(p, f)
    for _ in range(2):
      lines = boot_once(command(vmlinux, initrd, devices, words), seconds, show)
      if any(line.startswith(DONE) for line in lines):
        return lines
  raise RuntimeError("the guest did not reach its end twice; it said last: " + " | ".join(lines[-5:]))


def boot_once(words, seconds, show):
  lines = []
  with subprocess.Popen(["timeout", "--kill-after=5", str(seconds)] + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        text=True, errors="replace") as guest:
    for line in guest.stdout:
      lines.append(line.rstrip("\r\n"))
      if show:
        show(lines[-1])
  return lines
