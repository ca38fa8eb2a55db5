# SPDX-License-Identifier: MIT
"""guest: boots Debian's kernel in QEMU with a busybox initramfs and runs one shell script in it. No
image, no root, no network.

The kernel package is downloaded and unpacked, not installed; what was made from it is kept in
~/.cache/hbakit/guest (or $HBAKIT_GUEST_CACHE). QEMU starts the uncompressed vmlinux itself (PVH),
which saves firmware and decompression."""
import glob
import hashlib
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import tempfile

# depmod is root's; a user's path may leave it out.
os.environ["PATH"] += ":/usr/sbin:/sbin"

PACKAGE = "linux-image-amd64"
XZ_MAGIC = b"\xfd7zXZ\x00"
ELF_MAGIC = b"\x7fELF"
DONE = "GUEST-DONE"
ASK_SECONDS = 20
IOMMU = "intel-iommu,intremap=on"
MODULES = ("vfio_iommu_type1", "vfio-pci", "sd_mod", "vmw_pvscsi", "virtio_pci", "virtio_scsi",
           "pci-stub", "megaraid_sas", "mptsas", "sym53c8xx")
APPLETS = (
    "sh mount mkdir cat echo ls modprobe poweroff sleep dd head tail grep ln basename dirname "
    "readlink dmesg printf cut sed "
    "wc od cmp sha256sum awk seq expr test true rm kill timeout sync sort tr chown chmod su cp tee")
INIT = f"""#!/bin/sh
export PATH=/bin:/usr/bin HOME=/tmp
mount -t proc proc /proc; mount -t sysfs sys /sys
mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
cd /tmp
echo "root:x:0:0::/tmp:/bin/sh" >/etc/passwd
echo "nobody:x:65534:65534::/tmp:/bin/sh" >>/etc/passwd; chmod 1777 /tmp
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
  """The vmlinux in a vmlinuz: the one xz stream that begins an ELF file; its place differs by
  kernel."""
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
    out = run("modprobe", "-d", folder, "-S", release, "--show-depends", module,
              stdout=subprocess.PIPE, text=True).stdout
    files |= {line.split()[1] for line in out.splitlines() if line.startswith("insmod ")}
  return sorted(files)


def pack(tree, archive):
  os.chmod(tree, 0o755)  # it becomes the root folder, which everybody may enter
  names = run("find", ".", cwd=tree, stdout=subprocess.PIPE).stdout
  data = run("cpio", "-o", "-H", "newc", "--quiet", cwd=tree, input=names,
             stdout=subprocess.PIPE).stdout
  with open(archive, "wb") as f:
    f.write(data)


def make_base(folder, release, archive):
  with tempfile.TemporaryDirectory() as tree:
    for name in ("bin", "proc", "sys", "dev", "tmp", "usr/bin", "etc"):
      os.makedirs(os.path.join(tree, name))
    shutil.copy(shutil.which("busybox"), os.path.join(tree, "bin/busybox"))
    for applet in APPLETS.split():
      os.symlink("busybox", os.path.join(tree, "bin", applet))
    for path in module_files(folder, release):
      to = os.path.join(tree, os.path.relpath(path, folder))
      os.makedirs(os.path.dirname(to), exist_ok=True)
      shutil.copy(path, to)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
      shutil.copy(os.path.join(folder, "lib/modules", release, name),
                  os.path.join(tree, "lib/modules", release))
    run("depmod", "-b", tree, release)
    with open(os.path.join(tree, "init"), "w", encoding="utf-8") as f:
      f.write(INIT)
    os.chmod(os.path.join(tree, "init"), 0o755)
    pack(tree, archive)


def recipe():
  """What is made from a package depends on these too."""
  return hashlib.sha256(repr((MODULES, APPLETS, INIT)).encode()).hexdigest()[:8]


def kernel():
  """(vmlinux, base initramfs), made once per kernel package and recipe."""
  package = kernel_package()
  folder = os.path.join(cache(), f"{package}-{recipe()}")
  if not os.path.exists(folder):
    with tempfile.TemporaryDirectory(dir=cache()) as work:
      release = unpack_kernel(package, work)
      made = os.path.join(work, "made")
      os.makedirs(made)
      make_base(work, release, os.path.join(made, "base.cpio"))
      os.replace(os.path.join(work, "vmlinux"), os.path.join(made, "vmlinux"))
      try:
        os.rename(made, folder)
      except OSError:
        if not os.path.exists(folder):  # else somebody beside us was faster
          raise
  return os.path.join(folder, "vmlinux"), os.path.join(folder, "base.cpio")


# ---- what is run in it

def libraries(program):
  out = run("ldd", program, stdout=subprocess.PIPE, text=True).stdout
  return {path for path in re.findall(r"(/\S+) \(0x", out)}


def make_overlay(programs, scenario, archive, files=()):
  """`files` lie beside the scenario, under their own names."""
  with tempfile.TemporaryDirectory() as tree:
    os.makedirs(os.path.join(tree, "usr/bin"))
    shutil.copy(scenario, os.path.join(tree, "scenario.sh"))
    for path in files:
      shutil.copy(path, tree)
    for program in programs:
      shutil.copy(program, os.path.join(tree, "usr/bin"))
      for library in libraries(program):
        # The loader's place is written into the program; the others are found in the directory that
        # it looks into.
        place = library if "ld-linux" in library else os.path.join("/usr/lib/x86_64-linux-gnu",
                                                                   os.path.basename(library))
        to = os.path.join(tree, place.lstrip("/"))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(library, to)
    pack(tree, archive)


def command(vmlinux, initrd, devices, words, iommu=IOMMU):
  return [
      "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "768M", "-smp",
      "1", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
      "-kernel", vmlinux, "-initrd", initrd, "-append",
      "console=ttyS0 quiet loglevel=3 panic=-1 intel_iommu=on iommu=pt no_timer_check " + words, *(
          ("-device", iommu) if iommu else ())
  ] + devices


def boot(programs, scenario, devices, seconds, words="", show=None, iommu=IOMMU, files=()):
  """The lines on the serial port. A boot that does not reach the end is tried once more. `iommu`:
  QEMU's device, or none."""
  vmlinux, base = kernel()
  with tempfile.TemporaryDirectory(prefix="hbakit-guest-") as folder:
    overlay, initrd = os.path.join(folder, "overlay.cpio"), os.path.join(folder, "initrd")
    make_overlay(programs, scenario, overlay, files)
    with open(initrd, "wb") as f:
      for part in (base, overlay):
        with open(part, "rb") as p:
          shutil.copyfileobj(p, f)
    for _ in range(2):
      lines = boot_once(command(vmlinux, initrd, devices, words, iommu), seconds, show,
                        os.path.join(folder, "monitor"))
      if any(line.startswith(DONE) for line in lines):
        return lines
  raise RuntimeError("the guest did not reach its end twice; it said last: " +
                     " | ".join(lines[-5:]))


# ---- its machine's monitor: the guest asks for a command by a line "ask JSON", QMP's own; by
# "await TEXT" it waits for an event with
# this text, and is told by an empty line on its console

class Monitor:
  def __init__(self, path):
    self.path, self.socket, self.unread, self.heard = path, None, b"", []

  def _connect(self):
    self.socket = socket.socket(socket.AF_UNIX)
    self.socket.settimeout(ASK_SECONDS)
    self.socket.connect(self.path)
    self._answer()  # its greeting
    self.ask('{"execute": "qmp_capabilities"}')

  def _line(self):
    """The next; empty: QEMU has ended, or says nothing."""
    while b"\n" not in self.unread:
      try:
        data = self.socket.recv(1 << 16)
      except TimeoutError:
        data = b""
      if not data:
        return ""
      self.unread += data
    line, self.unread = self.unread.split(b"\n", 1)
    return line.decode().strip()

  def _next_event(self):
    """True: one more has been heard."""
    line = self._line()
    if line:
      self.heard.append("event " + line)
    return bool(line)

  def _answer(self):
    line = self._line()
    while line and "event" in json.loads(line):
      self.heard.append("event " + line)
      line = self._line()
    self.heard.append("answer " + line)

  def ask(self, command):
    if not self.socket:
      self._connect()
    self.socket.sendall(command.encode() + b"\n")
    self._answer()

  def wait_for(self, text):
    while self.socket and not any(text in line for line in self.heard) and self._next_event():
      pass

  def rest(self):
    """All of it, once QEMU has ended."""
    while self.socket and self._next_event():
      pass
    return self.heard


def boot_once(words, seconds, show, monitor_path):
  """The guest's lines, then the monitor's events and answers."""
  lines, monitor = [], Monitor(monitor_path)
  words = [*words, "-qmp", f"unix:{monitor_path},server=on,wait=off"]
  with subprocess.Popen(["timeout", "--kill-after=5", str(seconds)] + words, stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE, text=True, errors="replace") as guest:
    for line in guest.stdout:
      lines.append(line.rstrip("\r\n"))
      if show:
        show(lines[-1])
      if lines[-1].startswith("ask "):
        monitor.ask(lines[-1][len("ask "):])
      if lines[-1].startswith("await "):
        monitor.wait_for(lines[-1][len("await "):])
        guest.stdin.write("\n")
        guest.stdin.flush()
  return lines + monitor.rest()
