#!/bin/sh
# SPDX-License-Identifier: MIT
# sym53c8xx.sh: runs in the guest. A 53C895A over VFIO, which has a pin only; and one that is pulled out under I/O.
. /lib.sh

load_vfio
bind 0000:00:02.0
uri=pci:0000:00:02.0
polled sym53c8xx $uri 4M 2
all_of sym53c8xx 0000:00:02.0 "0:0:a 5:0:b 6:0:c"
bind 0000:00:03.0
for irq in intx none; do
  woken "sym53c8xx, irq=$irq" "pci:0000:00:03.0?irq=$irq" 0000:00:03.0 $irq
done
checked "sym53c8xx: check --write" hbakit check --write $uri
checked "sym53c8xx: check --write, polled" hbakit check --write "$uri?irq=none"
pull sym53c8xx 0000:00:08.0 lq
no_iommu_fault
