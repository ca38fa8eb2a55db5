#!/bin/sh
# SPDX-License-Identifier: MIT
# megasas.sh: runs in the guest. Both generations of MegaRAID over VFIO, logical drives and JBOD disks; one is pulled out under I/O.
. /lib.sh

load_vfio
for slot in 2 3 4 5 6; do
  bind 0000:00:0$slot.0
done
says "megasas: firmware and its version" "Firmware Version *1.70-QEMU" hbakit info pci:0000:00:02.0
says "megasas-gen2: firmware and its version" "Firmware Version *1.80-QEMU" hbakit info pci:0000:00:03.0
polled megasas pci:0000:00:02.0 4M 2
all_of megasas 0000:00:02.0 "0:0:a 5:0:b"
polled megasas-gen2 pci:0000:00:03.0 4M 2
all_of megasas-gen2 0000:00:03.0 "0:0:c"
all_of "megasas-gen2, JBOD" 0000:00:04.0 "263:0:d 263:3:e"
for irq in intx msi msix none; do
  woken "megasas, irq=$irq" "pci:0000:00:05.0?irq=$irq" 0000:00:05.0 $irq
  woken "megasas-gen2, irq=$irq" "pci:0000:00:06.0?irq=$irq" 0000:00:06.0 $irq
done
checked "megasas: check --write" hbakit check --write pci:0000:00:02.0
checked "megasas: check --write, polled" hbakit check --write "pci:0000:00:02.0?irq=none"
checked "megasas-gen2: check --write" hbakit check --write pci:0000:00:03.0
checked "megasas-gen2: check --write, polled" hbakit check --write "pci:0000:00:03.0?irq=none"
checked "megasas-gen2, JBOD: check --write" hbakit check --write pci:0000:00:04.0
pull megasas-gen2 0000:00:08.0 mu
no_iommu_fault
