#!/bin/sh
# SPDX-License-Identifier: MIT
# destdir.sh BUILD SOURCE NBD: `meson install` with a DESTDIR puts all of hbakit below it, nothing is missing there, and the
# system's own list of libraries is left alone.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
source=$2
nbd=$3
requires meson
mkdir "$tmp/bin"
printf '#!/bin/sh\ntouch %s/ldconfig-ran\n' "$tmp" >"$tmp/bin/ldconfig"
chmod +x "$tmp/bin/ldconfig"
DESTDIR=$tmp/root PATH=$tmp/bin:$PATH meson install -C "$1" --no-rebuild >"$tmp/said" 2>&1 || fail "meson install failed: $(cat "$tmp/said")"
[ ! -e "$tmp/ldconfig-ran" ] || fail "an installation below DESTDIR runs ldconfig for the system"
"$here/installed.sh" "$tmp/root" "$source" "$nbd"

# without THING WORDS: what is missing must be seen, and named.
without() {
  away=$(find "$tmp/root" -path "*/$1")
  mv "$away" "$tmp/away"
  expect_stderr "$2" "$here/installed.sh" "$tmp/root" "$source" "$nbd"
  mv "$tmp/away" "$away"
}

without pkgconfig/hbakit.pc 'not one pkgconfig/hbakit.pc'
without include/hbakit/disk.h 'hbakit/disk.h: No such file'
without man/man1/hbakit.1 'hbakit.1 is not installed'
without man/man7/hbakit-driver.7 'hbakit-driver.7 is not installed'
without bash-completion/completions/hbakit.bash 'not one bash-completion/completions/hbakit.bash'
without examples/ram-disk.h 'examples/ram-disk.h: No such file'
without hbakit/driver-guide.md 'driver-guide.md: No such file'
without libhbakit.so 'cannot find -lhbakit'
without bin/hbakit 'not one bin/hbakit'
! $nbd || without system/hbakit@.service 'not one system/hbakit@.service'
! $nbd || without nbdkit/plugins/nbdkit-hbakit-plugin.so 'not one nbdkit/plugins/nbdkit-hbakit-plugin.so'

echo >>"$(find "$tmp/root" -path '*/hbakit/pci.h')"
expect_stderr 'a public header is not installed as it is' "$here/installed.sh" "$tmp/root" "$source" "$nbd"
