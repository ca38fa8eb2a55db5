#!/bin/sh
# SPDX-License-Identifier: MIT
# mptsas.sh: runs in the guest. A SAS1068 over VFIO, with the names of its SAS devices; and one that is pulled out under I/O.
. /lib.sh

load_vfio
bind 0000:00:02.0
uri=pci:0000:00:02.0
says "mptsas: firmware version and SAS address" "SAS Address .*3525400000000200" hbakit info $uri
polled mptsas $uri 4M 2
all_of mptsas 0000:00:02.0 "0:0:a 5:0:b 5:1:c"
says "mptsas: target 5 has a SAS address" "5000c50000000002" hbakit scan $uri
bind 0000:00:03.0
for irq in intx msi none; do
  woken "mptsas, irq=$irq" "pci:0000:00:03.0?irq=$irq" 0000:00:03.0 $irq
done
checked "mptsas: check --write" hbakit check --write $uri
checked "mptsas: check --write, by a line" hbakit check --write "$uri?irq=intx"
checked "mptsas: check --write, polled" hbakit check --write "$uri?irq=none"
pull mptsas 0000:00:08.0 mq
no_iommu_fault
