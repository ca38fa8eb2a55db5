#!/bin/sh
# SPDX-License-Identifier: MIT
# device.sh: runs in the guest. Functions without a driver: reset, I/O BARs, a BAR that holds the MSI-X table.
. /lib.sh

methods() {
  cat /sys/bus/pci/devices/"$1"/reset_method 2>/dev/null
}

load_vfio
virtio=$(behind 0000:00:08.0)
pvscsi=$(behind 0000:00:09.0)
for address in 0000:00:04.0 0000:00:05.0 0000:00:06.0 0000:00:07.0 "$virtio" "$pvscsi"; do bind "$address"; done
for address in 0000:00:04.0 0000:00:05.0 0000:00:06.0 0000:00:07.0 "$virtio" "$pvscsi"; do
  echo "reset methods of $address: $(cat /sys/bus/pci/devices/"$address"/vendor) $(methods "$address")"
done
try "virtio-scsi behind a port: function reset" guest-device reset "$virtio"
try "pvscsi behind a port: function reset" guest-device reset "$pvscsi"
try "virtio-scsi behind a port: found after it" hbakit scan pci:"$virtio"
try "pvscsi behind a port: found after it" hbakit scan pci:"$pvscsi"
try "pvscsi on the root bus: has no reset, and says so" guest-device no-reset 0000:00:07.0
try "lsi53c895a on the root bus: has no reset, and says so" guest-device no-reset 0000:00:04.0
try "lsi53c895a: I/O BAR" guest-device io 0000:00:04.0
try "am53c974: I/O BAR" guest-device io 0000:00:05.0
try "megasas: registers beside the MSI-X table" guest-device msix-page 0000:00:06.0
no_iommu_fault
