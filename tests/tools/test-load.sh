#!/bin/sh
# SPDX-License-Identifier: MIT
# test-load.sh LOAD: the load of make bench-guest reads through hbakit and through Linux, and sees one byte that is wrong.
. "$(dirname "$0")/../lib/lib.sh"
load=$1
requires python3

bytes=4194304
commands=20000
python3 -c "import array; array.array('Q', range($bytes // 8)).tofile(open('$tmp/good', 'wb'))"
cp "$tmp/good" "$tmp/bad"
printf x | dd of="$tmp/bad" bs=1 seek=1000001 conv=notrunc 2>/dev/null

for way in polled interrupts; do
  for depth in 1 32; do
    "$load" $way "soft:$tmp/good" $depth $commands --verify >"$tmp/line"
    grep -q "^load way=$way depth=$depth commands=$commands ns=[0-9]* canary=[0-9]* wrong=0$" "$tmp/line" ||
      fail "$way at depth $depth printed: $(cat "$tmp/line")"
  done
  expect_stderr "other data" "$load" $way "soft:$tmp/bad" 8 $commands --verify
done

# No O_DIRECT in a tmpfs, no io_uring in many a container: then there is nothing to see here.
for way in uring aio; do
  if "$load" $way "$tmp/good" 8 $commands --verify >"$tmp/line" 2>"$tmp/stderr"; then
    grep -q "wrong=0$" "$tmp/line" || fail "$way printed: $(cat "$tmp/line")"
    expect_stderr "other data" "$load" $way "$tmp/bad" 8 $commands --verify
  else
    grep -Eq "Invalid argument|not permitted|not implemented" "$tmp/stderr" || fail "$way: $(cat "$tmp/stderr")"
  fi
done

expect_stderr "no LUN 0 of target 5" "$load" polled "soft:$tmp/good" 1 1 --target 5
expect_stderr "no way" "$load" sideways "$tmp/good" 1 1
expect_stderr "is no number" "$load" polled "$tmp/good" 0 1
expect_stderr "No such file" "$load" aio "$tmp/none" 1 1
