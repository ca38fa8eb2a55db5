#!/bin/sh
# SPDX-License-Identifier: MIT
# unplug.sh: runs in the guest. Adapters pulled out behind root ports while commands are out, and put in again.
. /lib.sh

load_vfio
pull virtio-scsi 0000:00:08.0 vi
# Not waited for of pvscsi: QEMU 7.2's model never says so when an adapter reset has cancelled commands, though the guest has let go.
await '"DEVICE_DELETED", "data": {"device": "vi"'
pull pvscsi 0000:00:09.0 pv
no_iommu_fault
