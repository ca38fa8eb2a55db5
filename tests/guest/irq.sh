#!/bin/sh
# SPDX-License-Identifier: MIT
# irq.sh: runs in the guest. Each kind of interrupt with each model that has it: written, read back, and the interrupts counted.
. /lib.sh

# A disk that answers after milliseconds: so the loop sleeps for every command.
kind() { # name, address, kind
  woken "$1, irq=$3" "pci:$2?irq=$3" "$2" "$3"
}

load_vfio
bind 0000:00:02.0
bind 0000:00:03.0
kind pvscsi 0000:00:02.0 intx
kind pvscsi 0000:00:02.0 msi
kind pvscsi 0000:00:02.0 none
kind virtio-scsi 0000:00:03.0 intx
kind virtio-scsi 0000:00:03.0 msix
kind virtio-scsi 0000:00:03.0 none
woken "pvscsi, unasked" pci:0000:00:02.0 0000:00:02.0 msi
woken "virtio-scsi, unasked" pci:0000:00:03.0 0000:00:03.0 msix
refuses "pvscsi has no MSI-X: says so" "irq=msix: 0000:00:02.0 offers none" hbakit scan 'pci:0000:00:02.0?irq=msix'
refuses "virtio-scsi has no MSI: says so" "irq=msi: 0000:00:03.0 offers none" hbakit scan 'pci:0000:00:03.0?irq=msi'
refuses "an unknown kind: says which there are" "it is auto, msix, msi, intx or none" hbakit scan 'pci:0000:00:03.0?irq=edge'
refuses "a very long kind too" "it is auto, msix, msi, intx or none" hbakit scan 'pci:0000:00:03.0?irq=aaaaaaaaaaaaaaaaaaaaaaaaa'
# The count can fail: interrupts of another kind are none of this one.
refuses "interrupts of another kind do not count" "good" guest-io verify 'pci:0000:00:02.0?irq=intx' msi 0000:00:02.0
no_iommu_fault
