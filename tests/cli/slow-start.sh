#!/bin/sh
# SPDX-License-Identifier: MIT
# slow-start.sh HBAKIT SLOW-START.SO: a signal calls off a start whose driver waits for its chip. Not called off, the wait would end as too
# long, and that would be what is said.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")

expect_failure 1 timeout --preserve-status -s INT 2 "$hbakit" scan --plugin "$plugin" slow:
echo 'hbakit: slow:: start: stopped by Interrupt; the controller was stopped in order' | cmp - "$tmp/stderr" ||
  fail "after a signal it says: $(cat "$tmp/stderr")"
