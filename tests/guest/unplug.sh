#!/bin/sh
# SPDX-License-Identifier: MIT
# unplug.sh: runs in the guest. Adapters pulled out behind root ports while commands are out, and put in again.
. /lib.sh

is_gone() { [ ! -e "/sys/bus/pci/devices/$1" ]; }
is_there() { [ -n "$(behind "$1")" ]; }

# name, port's address, device's id
pull() {
  address=$(behind "$2")
  group=$(basename "$(readlink /sys/bus/pci/devices/"$address"/iommu_group)")
  bind "$address"
  try "$1: found before" hbakit scan pci:"$address"
  # Its own output is the request; so it goes to the serial port too.
  guest-io unplug pci:"$address" "$(device_del "$3")" 2>&1 | tee log
  grep -q "^unplug: as it should be" log
  say $? "$1: pulled out under I/O: all ends, nothing remains"
  until_well 20 is_gone "$address"
  say $? "$1: the system has taken it out"
  [ ! -e /dev/vfio/"$group" ]
  say $? "$1: its group is gone"
  refuses "$1: not there: says so" "there is no PCI device" hbakit scan pci:"$address"
}

load_vfio
pull virtio-scsi 0000:00:08.0 vi
# Not waited for of pvscsi: QEMU 7.2's model never says so when an adapter reset has cancelled commands, though the guest has let go.
await '"DEVICE_DELETED", "data": {"device": "vi"'
pull pvscsi 0000:00:09.0 pv
no_iommu_fault
