#!/bin/sh
# SPDX-License-Identifier: MIT
# test-run-hba.sh HBAKIT COUNTED.SO: what `make run` checks has gone through the HBA: a driver of the test's own counts the bytes that the
# command says it has moved, one byte that only the HBA turns is seen while the image is as it was, and a driver that maps or breaks
# another rule while it reads is told on.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
hbakit=$(realpath "$1")
plugin=$(realpath "$2")
requires mke2fs e2fsck debugfs python3
MIB=24
IMAGE_BYTES=$((MIB * 1024 * 1024))

mkdir -p "$tmp/tree/include" "$tmp/build/src/cli"
cp -r "$here/../../tools" "$here/../../bench" "$tmp/tree"
cp "$here"/*.sh "$tmp/tree/include"

# The real command with our driver; what that counted for the last `read` and the last `write` is kept. Only the figures are made up.
cat >"$tmp/build/src/cli/hbakit" <<END
#!/bin/sh
[ "\$1" != bench ] || exec python3 "$here/stand-in.py" "\$@"
result=0
"$hbakit" "\$@" --plugin "$plugin" || result=\$?
mv "$tmp/counts" "$tmp/counts-of-\$1"
exit \$result
END
chmod +x "$tmp/build/src/cli/hbakit"

run() { # OPTION
  "$tmp/tree/tools/run" --build "$tmp/build" --mib $MIB --uri "counted:{image}?counts=$tmp/counts$1"
}

counted() { # COMMAND WORD
  tr ' ' '\n' <"$tmp/counts-of-$1" | sed -n "s/^$2=//p"
}

number() { # as people read it
  python3 -c 'import sys; print(f"{int(sys.argv[1]):,}")' "$1"
}

run '' >"$tmp/out" || fail "red with a good HBA: $(cat "$tmp/out")"
[ "$(counted scan read_bytes)" -eq 0 ] || fail "the scan reads: $(cat "$tmp/counts-of-scan")"
for word in read:read_bytes write:write_bytes write:read_bytes; do
  bytes=$(counted ${word%:*} ${word#*:})
  [ "$bytes" -eq $IMAGE_BYTES ] || fail "the HBA counted $bytes bytes of $word, the image has $IMAGE_BYTES"
done
said="$(number "$(counted read reads)") READ commands brought all $(number "$(counted read read_bytes)") bytes"
grep -qF "$said" "$tmp/out" || fail "the HBA counted '$said', but: $(cat "$tmp/out")"

for at in 0 $((IMAGE_BYTES / 2 + 1)) $((IMAGE_BYTES - 1)); do
  expect_stderr "run/copy.img differs from run/disk.img" run "&flip=$at"
  wanted=$(sha256sum <"$tmp/tree/run/disk.img")
  grep -qF "not ${wanted%% *}" "$tmp/stderr" || fail "the image was changed: it has $wanted, but: $(cat "$tmp/stderr")"
done
expect_stderr "mappings on the I/O path" run '&maps=1'
expect_stderr "the driver broke its contract" run '&twice=1'
