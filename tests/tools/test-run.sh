#!/bin/sh
# SPDX-License-Identifier: MIT
# test-run.sh: `make run` ends green only if every byte arrived: with a stand-in for hbakit that does one thing wrong at a time.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
requires mke2fs e2fsck debugfs python3

# tools/run works in the tree that it lies in: here, one of the test's own.
mkdir -p "$tmp/tree/include" "$tmp/build/src/cli"
cp -r "$here/../../tools" "$here/../../bench" "$tmp/tree"
cp "$here"/*.sh "$tmp/tree/include"
cp "$here/stand-in.py" "$tmp/build/src/cli/hbakit"

run() {
  "$tmp/tree/tools/run" --build "$tmp/build" --mib 24
}

red() {
  export FAULT=$1
  expect_stderr "$2" run
}

FAULT='' run >"$tmp/out" || fail "red without a fault: $(cat "$tmp/out")"
grep -q "All checks passed" "$tmp/out" || fail "it does not say that all is well: $(cat "$tmp/out")"

red unmapped "67 tasks were made, but 66 have HBA data"
for command in "" write- bench-; do
  red ${command}late "1 mappings on the I/O path"
  red ${command}broken "the driver broke its contract 2 times"
done
red empty "the scan found no logical unit"
red short "the first unit has 25165312 bytes, the image 25165824"
red counted "READ commands brought 25165312 bytes"
red read "run/copy.img differs from run/disk.img"
red crash "was killed by signal 6"
red verify "\`hbakit write"
red unverified "\`verified_bytes\` of writing run/random.img"
red write "run/target.img differs from run/disk.img"
red babble "printed no JSON object"
red errors "1 commands failed"
red idle "no command came back"
