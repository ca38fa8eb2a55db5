#!/bin/sh
# SPDX-License-Identifier: MIT
# destdir.sh BUILD SOURCE: `meson install` with a DESTDIR puts all of hbakit below it, and nothing is missing there.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
source=$2
requires meson
DESTDIR=$tmp/root meson install -C "$1" --no-rebuild >"$tmp/said" 2>&1 || fail "meson install failed: $(cat "$tmp/said")"
"$here/installed.sh" "$tmp/root" "$source"

# without THING WORDS: what is missing must be seen, and named.
without() {
  away=$(find "$tmp/root" -path "*/$1")
  mv "$away" "$tmp/away"
  expect_stderr "$2" "$here/installed.sh" "$tmp/root" "$source"
  mv "$tmp/away" "$away"
}

without pkgconfig/hbakit.pc 'not one pkgconfig/hbakit.pc'
without include/hbakit/disk.h 'hbakit/disk.h: No such file'
without man/man1/hbakit.1 'hbakit.1 is not installed'
without man/man7/hbakit-driver.7 'hbakit-driver.7 is not installed'
without bash-completion/completions/hbakit.bash 'not one bash-completion/completions/hbakit.bash'
without libhbakit.so 'cannot find -lhbakit'
without bin/hbakit 'not one bin/hbakit'

echo >>"$(find "$tmp/root" -path '*/hbakit/pci.h')"
expect_stderr 'a public header is not installed as it is' "$here/installed.sh" "$tmp/root" "$source"
