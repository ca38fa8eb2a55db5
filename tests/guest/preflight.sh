#!/bin/sh
# SPDX-License-Identifier: MIT
# preflight.sh: runs in the guest. Each reason why VFIO refuses a function, as it really does: `hbakit pci' knows it before, and to
# open the function ends in a sentence that says what to do.
. /lib.sh

pvscsi=0000:00:02.0 virtio=0000:00:03.0 shared=0000:00:04.0 mate=0000:00:04.1

# address: its object out of `hbakit pci --json', as $who sees it
adapter() {
  su $who -c "hbakit pci --json" | sed -n "/\"address\": *\"$1\",/,/\"bind_driverctl\"/p"
}

# name, address, obstacle, words: known before, and told when it is opened
stands() {
  adapter "$2" >log
  grep -q "\"reason\": *\"$3\"" log
  say $? "$1: hbakit pci says $3"
  refuses "$1: to open it says what to do" "$4" su $who -c "hbakit scan pci:$2"
}

# name, address, obstacle: no more
is_away() {
  adapter "$2" >log
  grep -q '"address"' log && ! grep -q "\"reason\": *\"$3\"" log
  say $? "$1: hbakit pci says $3 no more"
}

group_of() {
  basename "$(readlink /sys/bus/pci/devices/"$1"/iommu_group)"
}

give_to() { # address, driver
  [ ! -e /sys/bus/pci/devices/"$1"/driver ] || echo "$1" >/sys/bus/pci/devices/"$1"/driver/unbind
  echo "$2" >/sys/bus/pci/devices/"$1"/driver_override
  echo "$1" >/sys/bus/pci/drivers_probe
}

# The command that hbakit itself gives, as a person would type it.
bind_as_told() {
  adapter "$1" | sed -n 's/^ *"bind": *"\(.*\)",*$/\1/p' >command
  sh ./command
}

who=root
stands "no module" $virtio no-module "modprobe vfio_iommu_type1; modprobe vfio-pci"
modprobe vfio_iommu_type1
stands "half of it" $virtio no-module "modprobe vfio-pci"
modprobe vfio-pci
is_away "both modules" $virtio no-module
stands "no driver" $virtio busy "is not bound to vfio-pci"
modprobe virtio_pci
stands "the kernel's driver" $virtio busy "is driven by virtio-pci: unmount its disks"
bind_as_told $virtio
is_away "bound as hbakit pci says" $virtio busy
try "bound as hbakit pci says: it is used" hbakit scan pci:$virtio

# A second user, while the first has it.
hbakit bench pci:$virtio --time 6 >/dev/null 2>&1 &
first=$!
until_well 20 grep -q vfio-msix /proc/interrupts
refuses "in use: to open it says by whom" "is open in another process: a device has one user at a time" hbakit scan pci:$virtio
wait $first
try "in use no more" hbakit scan pci:$virtio

bind $shared
modprobe vmw_pvscsi
bind $pvscsi
[ "$(group_of $shared)" = "$(group_of $mate)" ]
say $? "two functions are in one group"
give_to $mate vmw_pvscsi
stands "shared group" $shared shared "also holds $mate, driven by vmw_pvscsi"
give_to $mate pci-stub
is_away "shared with a stub" $shared shared
refuses "shared with a stub: only huge pages are missing" "nr_hugepages" hbakit scan pci:$shared

who=nobody
stands "no permission" $virtio no-permission "run as root, or chown 65534 /dev/vfio/$(group_of $virtio)"
chown 65534 /dev/vfio/"$(group_of $virtio)"
is_away "the group given to nobody" $virtio no-permission
ulimit -l 64
stands "little memory may be locked" $virtio low-memlock "ulimit -l"
ulimit -l 1048576
is_away "much memory may be locked" $virtio low-memlock
try "nobody uses it" su $who -c "hbakit scan pci:$virtio"
