#!/bin/sh
# SPDX-License-Identifier: MIT
# load.sh: runs in the guest: the same load on the same adapter, by hbakit over VFIO and by Linux's own driver in turn, so that a
# slow moment of the machine hits both. Then all of it once more on the disk that says what must be read. load.py sets ADAPTERS
# (NAME:SLOT:DRIVER:MODULE,…), ROUNDS, COUNTED and VERIFIED (DEPTH:COMMANDS,…), and reads the lines.
set -u
options=${OPTIONS:-} # for every call of load

NULL_TARGET=0
STAMPED_TARGET=1

give_up() {
  echo "failed $*"
  exit 1
}

give() { # address, driver
  device=/sys/bus/pci/devices/$1
  if [ -e "$device/driver" ]; then
    echo "$1" >"$device/driver/unbind"
  fi
  echo "$2" >"$device/driver_override"
  echo "$1" >/sys/bus/pci/drivers_probe
  [ "$(basename "$(readlink "$device/driver")")" = "$2" ] || give_up "$1 is not with $2"
}

# The disk that Linux has found at LUN 0 of a target behind an adapter; it looks for them in its own time.
disk_of() { # address, target
  for _ in $(seq 200); do
    for disk in /sys/block/sd*; do
      case $(readlink -f "$disk/device" 2>/dev/null) in
      */"$1"/*:"$2":0) # whichever channel: logical drives have one of their own
        echo "${disk##*/}"
        return
        ;;
      esac
    done
    sleep 0.05
  done
  give_up "Linux found no disk at target $2 of $1"
}

# What Linux does for others than who measures costs it time: no scheduler, no statistics, no merging.
make_lean() { # disk
  queue=/sys/block/$1/queue
  echo none >"$queue/scheduler"
  echo 0 >"$queue/iostats"
  echo 2 >"$queue/nomerges"
  echo 0 >"$queue/add_random"
}

once() { # way, where, load, option...
  way=$1 where=$2 depth=${3%%:*} commands=${3#*:}
  shift 3
  echo "on $adapter"
  # shellcheck disable=SC2086 # several words
  load "$way" "$where" "$depth" "$commands" $options "$@" || give_up "load $way $where"
}

by_hbakit() { # target, loads, option...
  target=$1 loads=$2
  shift 2
  give "$address" vfio-pci
  for load in $(echo "$loads" | tr , " "); do
    once polled "pci:$address" "$load" --target "$target" "$@"
    once interrupts "pci:$address" "$load" --target "$target" "$@"
  done
}

by_linux() { # target, loads, option...
  target=$1 loads=$2
  shift 2
  give "$address" "$driver"
  disk=$(disk_of "$address" "$target") || exit 1
  make_lean "$disk"
  for load in $(echo "$loads" | tr , " "); do
    once uring "/dev/$disk" "$load" "$@"
    once aio "/dev/$disk" "$load" "$@"
  done
}

modprobe vfio_iommu_type1
modprobe vfio-pci
modprobe sd_mod
modprobe virtio_pci
echo 48 >/proc/sys/vm/nr_hugepages

for words in $(echo "$ADAPTERS" | tr , " "); do
  # shellcheck disable=SC2046 # four words
  set -- $(echo "$words" | tr : " ")
  adapter=$1 address=0000:00:0$2.0 driver=$3
  modprobe "$4" || give_up "modprobe $4"
  for _ in $(seq "$ROUNDS"); do
    by_hbakit "$NULL_TARGET" "$COUNTED"
    by_linux "$NULL_TARGET" "$COUNTED"
  done
  if [ "$VERIFIED" ]; then
    by_hbakit "$STAMPED_TARGET" "$VERIFIED" --verify
    by_linux "$STAMPED_TARGET" "$VERIFIED" --verify
  fi
done
