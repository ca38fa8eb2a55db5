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

# ---- an adapter as a whole: what every driver's scenario does

copy() { # name, URI, target, lun, bytes, image
  head -c "$5" /dev/urandom >data
  try "$1: $5 bytes written and verified" hbakit write "$2" -t "$3" -l "$4" --offset 1M -i data --verify
  try "$1: $5 bytes read" hbakit read "$2" -t "$3" -l "$4" --offset 1M --length "$5" -o back
  cmp -s data back
  say $? "$1: what is read is what was written"
  echo "sha256 $6 $(sha256sum <data | cut -d' ' -f1) $5"
}

# All of hbakit check; what the device itself does wrong it says (TODO).
checked() { # name, command...
  # A short cut: minutes where there are other machines beside this one.
  grep -q hbakit.short /proc/cmdline && return
  name=$1
  shift
  timeout 200 "$@" >log 2>&1
  grep "^not ok" log | grep -v "# TODO" >failed
  grep -q "^1\.\." log && grep -q "^ok 1 " log && tail -n 1 log | grep -q "^# .* passed" && [ ! -s failed ]
  result=$?
  # For who reads the serial port: what failed, and how it ended.
  { cat failed; grep -A 8 "^not ok" log | grep -v "^ok "; tail -n 1 log; } >short
  mv short log
  say $result "$name"
}

polled() { # name, URI, bytes, depth
  try "$1: $4 of $3 outstanding, polled, verified" hbakit bench "$2" --rw randrw --bs "$3" --depth "$4" --time 1 --verify
}

all_of() { # name, address, units as "t:l:image"
  uri=pci:$2
  try "$1: scan" hbakit scan "$uri"
  mv log found
  try "$1: read, asleep between commands" hbakit read "$uri" --length 24M -o back # whether it sleeps: irq.sh
  polled "$1" "$uri" 4k 1
  polled "$1" "$uri" 4k 32
  polled "$1" "$uri" 1M 2
  for unit in $3; do
    t=${unit%%:*} rest=${unit#*:}
    grep -q "target $t\$" found
    say $? "$1: target $t is found"
    copy "$1 $t:${rest%%:*}" "$uri" "$t" "${rest%%:*}" 5242880 "${rest#*:}"
  done
}

woken() { # name, URI, address, kind
  try "$1: verified, and $4 wakes it" guest-io verify "$2" "$4" "$3"
  tail -n 1 log
}

is_gone() { [ ! -e "/sys/bus/pci/devices/$1" ]; }
is_there() { [ -n "$(behind "$1")" ]; }

# name, port's address, device's id
pull() {
  address=$(behind "$2")
  group=$(basename "$(readlink /sys/bus/pci/devices/"$address"/iommu_group)")
  bind "$address"
  try "$1: found before" hbakit scan pci:"$address"
  # Its own output is the request; so it goes to the serial port too.
  guest-io unplug pci:"$address" "$(device_del "$3")" 2>&1 | tee log
  grep -q "^unplug: as it should be" log
  say $? "$1: pulled out under I/O: all ends, nothing remains"
  until_well 20 is_gone "$address"
  say $? "$1: the system has taken it out"
  [ ! -e /dev/vfio/"$group" ]
  say $? "$1: its group is gone"
  refuses "$1: not there: says so" "there is no PCI device" hbakit scan pci:"$address"
}

no_iommu_fault() {
  dmesg | grep -iE 'fault addr|DMAR:.*fault' >log
  [ ! -s log ]
  say $? "the IOMMU has seen no fault"
}
