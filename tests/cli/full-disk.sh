#!/bin/sh
# SPDX-License-Identifier: MIT
# full-disk.sh HBAKIT: a sparse image outgrows its file system: one line, exit status 1, and what was written before is there. So does a
# copy: one line, and what was there before it is there.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
requires unshare mount

# A mount of our own, which ends with us.
namespace="unshare --mount"
[ "$(id -u)" -eq 0 ] || namespace="$namespace --map-root-user"
mkdir "$tmp/small"
small="mount -t tmpfs -o size=1M none $tmp/small"
$namespace sh -c "$small" 2>"$tmp/stderr" || skip "a file system cannot be mounted here: $(cat "$tmp/stderr")"

head -c 4194304 /dev/urandom >"$tmp/data"

# write_to_small OPTION...: in a fresh small file system; what the image then holds is kept outside of it.
write_to_small() {
  $namespace sh -c "$small && cd $tmp && truncate -s 8M small/disk.img && result=0
    '$hbakit' write soft:small/disk.img -i data $* || result=\$?
    cp --sparse=always small/disk.img image; exit \$result"
}

line='hbakit: soft:small/disk.img: WRITE of 262144 bytes at offset 1048576: No space left on device (Data Protect: Space allocation failed write protect)'
for option in '' --verify; do
  expect_failure 1 write_to_small $option
  [ "$(cat "$tmp/stderr")" = "$line" ] || fail "it says: $(cat "$tmp/stderr")"
  cmp -n 1048576 "$tmp/data" "$tmp/image" || fail "what was written before the disk was full is lost"
done

# read_into_small NAME: a copy that does not fit; what lies in the file system afterwards is kept outside of it.
read_into_small() {
  $namespace sh -c "$small && cd $tmp/small && echo 'as it was' >old && result=0
    '$hbakit' read 'soft:ram?size=4M' -o $1 || result=\$?
    ls -A >../left; cp old ..; exit \$result"
}

for name in old new; do
  expect_failure 1 read_into_small $name
  grep -Eq "^hbakit: $name: No space left on device after [0-9]+ bytes; the copy is not complete, and not kept$" "$tmp/stderr" ||
    fail "it says: $(cat "$tmp/stderr")"
  [ "$(cat "$tmp/left" "$tmp/old")" = "old
as it was" ] || fail "a copy to $name left: $(cat "$tmp/left" "$tmp/old")"
done
