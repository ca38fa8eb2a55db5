#!/bin/sh
# SPDX-License-Identifier: MIT
# test-run-store.sh HBAKIT: `make run` with the real command. One byte flipped in the store behind the controller turns it red, at any
# place of the image: all bytes are checked. That they went through the HBA, test-run-hba.sh knows.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
hbakit=$(realpath "$1")
requires mke2fs e2fsck debugfs python3
MIB=24
IMAGE_BYTES=$((MIB * 1024 * 1024))

mkdir -p "$tmp/tree/include" "$tmp/build/src/cli"
cp -r "$here/../../tools" "$here/../../bench" "$tmp/tree"
cp "$here"/*.sh "$tmp/tree/include"

# The real command, and a hand in the store just before or just after it. Only the figures are made up: they take their time.
cat >"$tmp/build/src/cli/hbakit" <<END
#!/bin/sh
flip() {
  python3 -c 'import sys
with open(sys.argv[1], "r+b") as f:
  f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(-1, 1); f.write(bytes([b ^ 1]))' "\$1" "\$2"
}
[ "\$1" != bench ] || exec python3 "$here/stand-in.py" "\$@"
[ "\$1" != read ] || [ -z "\${FLIP_BEHIND_READ-}" ] || flip run/disk.img "\$FLIP_BEHIND_READ"
"$hbakit" "\$@" || exit
case "\$*" in
write*target.img*) [ -z "\${FLIP_AFTER_WRITE-}" ] || flip run/target.img "\$FLIP_AFTER_WRITE" ;;
esac
END
chmod +x "$tmp/build/src/cli/hbakit"

run() {
  "$tmp/tree/tools/run" --build "$tmp/build" --mib $MIB
}

run >"$tmp/out" || fail "red without a flipped byte: $(cat "$tmp/out")"
grep -q "All checks passed" "$tmp/out" || fail "it does not say that all is well: $(cat "$tmp/out")"

for at in 0 $((IMAGE_BYTES / 2 + 1)) $((IMAGE_BYTES - 1)); do
  export FLIP_BEHIND_READ=$at
  expect_stderr "run/copy.img differs from run/disk.img" run
  unset FLIP_BEHIND_READ
  export FLIP_AFTER_WRITE=$at
  expect_stderr "run/target.img differs from run/disk.img" run
  unset FLIP_AFTER_WRITE
done
