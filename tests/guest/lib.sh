# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# lib.sh: what the scenarios in the guest share. One line "ok NAME" or "not ok NAME" for each thing shown; vfio.py counts them.
set -u

say() {
  if [ "$1" -eq 0 ]; then echo "ok $2"; else
    echo "not ok $2"
    sed 's/^/# /' log 2>/dev/null | tail -n 12
  fi
}

# name, command...: its end, and its words in case it fails
try() {
  name=$1
  shift
  timeout 100 "$@" >log 2>&1
  say $? "$name"
}

# name, words, command...: must fail with one sentence that has these words
refuses() {
  name=$1 words=$2
  shift 2
  if timeout 60 "$@" >log 2>&1; then say 1 "$name"; else
    grep -q "$words" log
    say $? "$name"
  fi
}

# name, words, command...: must do well, and say these words
says() {
  name=$1 words=$2
  shift 2
  timeout 60 "$@" >log 2>&1 && grep -q "$words" log
  say $? "$name"
}

bind() {
  echo vfio-pci >/sys/bus/pci/devices/"$1"/driver_override
  echo "$1" >/sys/bus/pci/drivers_probe
}

load_vfio() {
  modprobe vfio_iommu_type1
  modprobe vfio-pci
  echo 48 >/proc/sys/vm/nr_hugepages
}

# The function behind the root port at this address.
behind() {
  basename "$(ls -d /sys/bus/pci/devices/"$1"/0000:??:??.? | head -n 1)"
}

# What vfio.py is to ask QEMU's monitor.
device_del() {
  echo "ask {\"execute\": \"device_del\", \"arguments\": {\"id\": \"$1\"}}"
}

# text: until the monitor has told of an event with this text; vfio.py says so by a line
await() {
  echo "await $1"
  read -r -t 30 _ </dev/console
}

# seconds, command...: until it does well
until_well() {
  left=$(($1 * 10))
  shift
  while ! "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    sleep 0.1
  done
}

no_iommu_fault() {
  dmesg | grep -iE 'fault addr|DMAR:.*fault' >log
  [ ! -s log ]
  say $? "the IOMMU has seen no fault"
}
