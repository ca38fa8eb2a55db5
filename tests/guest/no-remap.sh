#!/bin/sh
# SPDX-License-Identifier: MIT
# no-remap.sh: runs in a guest whose IOMMU cannot keep interrupts apart: the kernel then gives a function out only if told to.
. /lib.sh

load_vfio
bind 0000:00:03.0
refuses "without interrupt remapping: says what to do" "allow_unsafe_interrupts=1" hbakit scan pci:0000:00:03.0
echo 1 >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts
try "and that helps" hbakit scan pci:0000:00:03.0
