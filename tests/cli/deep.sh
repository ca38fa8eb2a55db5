#!/bin/sh
# SPDX-License-Identifier: MIT
# deep.sh HBAKIT DEEP.SO: a unit without a plain number is named by what scan shows of it, and shown the same everywhere.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")
name=0100000300000000

run() {
  "$hbakit" "$@" --plugin "$plugin" deep:
}

shows() { # WHAT COMMAND...
  what=$1
  shift
  run "$@" >"$tmp/out" || fail "$* ended with $?"
  grep -qF "$what" "$tmp/out" || fail "$* does not show $what: $(cat "$tmp/out")"
}

shows " lun $name " scan
shows "\"lun\": \"$name\"" scan --json
for lun in $name 0x$name; do
  shows "\"lun\": \"$name\"" read --json -o "$tmp/copy" -l $lun
  shows "\"lun\": \"$name\"" write --json -i "$tmp/copy" -l $lun
done
shows '"lun": 0' read --json -o "$tmp/copy" -l 0000000000000000
expect_stderr "unit 0:$name ends at" run read -o "$tmp/copy" --offset 2M --length 512 -l $name
expect_stderr "there is no unit with LUN 0100000400000000; " run inquiry -l 0100000400000000
# What such a unit has in the place of a number is no name.
expect_stderr "there is no unit with LUN 18446744073709551615; " run inquiry -l 18446744073709551615
