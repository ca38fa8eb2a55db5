#!/bin/sh
# SPDX-License-Identifier: MIT
# application.sh APPLICATION: the example of an application reads a whole disk, in memory as it is and through bounce space, and fails
# with a sentence where there is no disk.
. "$(dirname "$0")/../lib/lib.sh"
application=$1

head -c 3000320 /dev/urandom >"$tmp/disk.img"
truncate -s 3000320 "$tmp/disk.img"
sum=$(od -An -v -tu1 -w1 "$tmp/disk.img" | awk '{ s += $1 } END { printf "%d", s }')
for options in '' '?data=dma' '?tasks=1' '?autosense=0&attention=3'; do
  said=$("$application" "soft:$tmp/disk.img$options") || fail "with '$options' it ended with $?: $said"
  printf '%s\n' "$said" | grep -qx "3000320 bytes, sum $sum" || fail "with '$options' it printed another sum than $sum: $said"
done

expect_stderr 'No such file' "$application" "soft:$tmp/none"
expect_stderr 'application: no disk' "$application" "soft:$tmp/disk.img?max_cdb=6"
