#!/bin/sh
# SPDX-License-Identifier: MIT
# listing.sh: runs in the guest. The same adapters twice: their units as Linux's own driver shows them, then as hbakit finds them over VFIO.
# listing.py compares both listings. The kernel's words give the adapters: ADAPTERS=NAME:SLOT:MODULE,…
. /lib.sh

# Bytes of a file as one word of hexadecimal digits; "-" for none.
hex() { # file
  word=$(od -An -v -tx1 "$1" 2>/dev/null | tr -d ' \n')
  echo "${word:--}"
}

trimmed() { # file
  sed 's/ *$//; s/ /_/g' "$1"
}

# Linux looks for disks in its own time: until their number stays the same for a second, and 20 s at most.
settled() { # address
  n=0 same=0
  for _ in $(seq 40); do
    now=$(ls -d /sys/bus/pci/devices/"$1"/host*/target*/*:*:*:* /sys/bus/pci/devices/"$1"/host*/port*/*/*/target*/*:*:*:* \
      /sys/bus/pci/devices/"$1"/*/host*/target*/*:*:*:* 2>/dev/null | wc -l)
    if [ "$now" -gt 0 ] && [ "$now" -eq "$n" ]; then same=$((same + 1)); else same=0; fi
    [ $same -ge 2 ] && return
    n=$now
    sleep 0.5
  done
}

by_linux() { # name, address
  settled "$2"
  for disk in /sys/block/sd*; do
    case $(readlink -f "$disk/device") in
    */"$2"/*) ;;
    *) continue ;;
    esac
    device=$disk/device
    echo "linux $1 $(trimmed "$device/vendor") $(trimmed "$device/model") $(trimmed "$device/rev") $(cat "$disk/size")" \
      "$(cat "$disk/queue/logical_block_size") $(hex "$device/vpd_pg80") $(hex "$device/vpd_pg83")"
  done
}

by_hbakit() { # name, address
  if [ -e "/sys/bus/pci/devices/$2/driver" ]; then
    echo "$2" >"/sys/bus/pci/devices/$2/driver/unbind"
  fi
  bind "$2"
  hbakit scan --json "pci:$2" >found 2>log
  say $? "$1: scan"
  sed "s/^/hbakit $1 /" found
}

modprobe sd_mod
modprobe virtio_pci
load_vfio
for words in $(echo "$ADAPTERS" | tr , " "); do
  # shellcheck disable=SC2046 # three words
  set -- $(echo "$words" | tr : " ")
  modprobe "$3"
  by_linux "$1" "0000:00:0$2.0"
  by_hbakit "$1" "0000:00:0$2.0"
done
