#!/bin/sh
# SPDX-License-Identifier: MIT
# vfio.sh: runs in the guest. Every driver's adapter over VFIO: found, read, written, checked; asleep between commands and busy; up
# to 4 MiB in one piece; several targets and units. One line "ok NAME" or "not ok NAME" for each; vfio.py counts them.
. /lib.sh

copy() { # name, URI, target, lun, bytes, image
  head -c "$5" /dev/urandom >data
  try "$1: $5 bytes written and verified" hbakit write "$2" -t "$3" -l "$4" --offset 1M -i data --verify
  try "$1: $5 bytes read" hbakit read "$2" -t "$3" -l "$4" --offset 1M --length "$5" -o back
  cmp -s data back
  say $? "$1: what is read is what was written"
  echo "sha256 $6 $(sha256sum <data | cut -d' ' -f1) $5"
}

# All of hbakit check; what the device itself does wrong it says (TODO).
checked() { # name, command...
  # A short cut: minutes where there are other machines beside this one.
  grep -q hbakit.short /proc/cmdline && return
  name=$1
  shift
  timeout 200 "$@" >log 2>&1
  grep "^not ok" log | grep -v "# TODO" >failed
  grep -q "^1\.\." log && grep -q "^ok 1 " log && tail -n 1 log | grep -q "^# .* passed" && [ ! -s failed ]
  result=$?
  # For who reads the serial port: what failed, and how it ended.
  { cat failed; grep -A 8 "^not ok" log | grep -v "^ok "; tail -n 1 log; } >short
  mv short log
  say $result "$name"
}

polled() { # name, URI, bytes, depth
  try "$1: $4 of $3 outstanding, polled, verified" hbakit bench "$2" --rw randrw --bs "$3" --depth "$4" --time 1 --verify
}

all_of() { # name, address, units as "t:l:image"
  uri=pci:$2
  try "$1: scan" hbakit scan "$uri"
  mv log found
  try "$1: read, asleep between commands" hbakit read "$uri" --length 24M -o back # whether it sleeps: irq.sh
  polled "$1" "$uri" 4k 1
  polled "$1" "$uri" 4k 32
  polled "$1" "$uri" 1M 2
  for unit in $3; do
    t=${unit%%:*} rest=${unit#*:}
    grep -q "target $t\$" found
    say $? "$1: target $t is found"
    copy "$1 $t:${rest%%:*}" "$uri" "$t" "${rest%%:*}" 5242880 "${rest#*:}"
  done
}

modprobe vfio_iommu_type1
refuses "not bound: says so" "is not bound to vfio-pci\|VFIO is not loaded" hbakit scan pci:0000:00:02.0
modprobe vfio-pci
bind 0000:00:02.0
bind 0000:00:03.0
refuses "pvscsi without huge pages: says so" "nr_hugepages" hbakit scan pci:0000:00:02.0
echo 48 >/proc/sys/vm/nr_hugepages
# Physical addresses lie together in huge pages only: 4 MiB are several ranges.
polled pvscsi pci:0000:00:02.0 4M 2
all_of pvscsi 0000:00:02.0 "0:0:a 5:0:b"
checked "pvscsi: check --write" hbakit check --write pci:0000:00:02.0
checked "pvscsi: check --write, polled" hbakit check --write "pci:0000:00:02.0?irq=none"
polled virtio-scsi pci:0000:00:03.0 4M 2
all_of virtio-scsi 0000:00:03.0 "0:0:c 0:3:d 7:0:e"
checked "virtio-scsi: check --write" hbakit check --write pci:0000:00:03.0
checked "virtio-scsi: check --write, polled" hbakit check --write "pci:0000:00:03.0?irq=none"
no_iommu_fault
