#!/bin/sh
# SPDX-License-Identifier: MIT
# no-iommu.sh: runs in a guest whose machine has no IOMMU.
. /lib.sh

load_vfio
bind 0000:00:03.0
hbakit pci --json >log
grep -q '"reason": *"no-iommu"' log
say $? "hbakit pci says no-iommu"
refuses "to open it says what to do" "is behind no IOMMU: turn it on in the firmware" hbakit scan pci:0000:00:03.0
