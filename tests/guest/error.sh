#!/bin/sh
# SPDX-License-Identifier: MIT
# error.sh: runs in the guest. PCI Express errors that the adapter reports (AER) while commands are out.
. /lib.sh

inject() { # error
  echo "ask {\"execute\": \"human-monitor-command\", \"arguments\": {\"command-line\": \"pcie_aer_inject_error $1\"}}"
}

# name, error
report() {
  guest-io error pci:"$address" "$(inject "$2")" 2>&1 | tee log
  grep -q "^error: as it should be" log
  say $? "$1 under I/O: all ends, nothing remains"
  try "after $1: found again" hbakit scan pci:"$address"
}

load_vfio
address=$(behind 0000:00:08.0)
bind "$address"
try "found before" hbakit scan pci:"$address"
report "a fatal error (data link protocol)" "vi DLP"
report "an error that is not fatal (completion timeout)" "vi COMP_TIME"
# One that the hardware has corrected is nobody's business: the commands go on until the adapter is pulled out.
guest-io unplug pci:"$address" "$(inject "-c vi RCVR"; device_del vi)" 2>&1 | tee log
grep -q "^unplug: as it should be" log
say $? "a corrected error under I/O: nothing is lost"
dmesg | grep AER
