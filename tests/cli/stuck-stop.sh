#!/bin/sh
# SPDX-License-Identifier: MIT
# stuck-stop.sh HBAKIT STUCK-STOP.SO: a controller that does not stop is not said to have been stopped in order: one line, which says so,
# whether a signal ended the command or the command itself.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")

# The signal finds it at work, or on a slow machine still at its start.
expect_failure 1 timeout --preserve-status -s INT 2 "$hbakit" bench --plugin "$plugin" stuck: --time 60
grep -Eq '^hbakit: stuck:: (bench|start): stopped by Interrupt; driver stuck failed to stop; ' "$tmp/stderr" &&
  [ "$(wc -l <"$tmp/stderr")" -eq 1 ] || fail "after a signal it says: $(cat "$tmp/stderr")"

expect_failure 1 "$hbakit" scan --plugin "$plugin" stuck:
grep -Eq '^hbakit: stuck:: stop: driver stuck failed to stop; ' "$tmp/stderr" && [ "$(wc -l <"$tmp/stderr")" -eq 1 ] ||
  fail "at its end it says: $(cat "$tmp/stderr")"
