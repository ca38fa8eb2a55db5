#!/bin/sh
# SPDX-License-Identifier: MIT
# vfio.sh: runs in the guest. Every driver's adapter over VFIO: found, read, written, checked; asleep between commands and busy; up
# to 4 MiB in one piece; several targets and units. One line "ok NAME" or "not ok NAME" for each; vfio.py counts them.
. /lib.sh

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
