#!/bin/sh
# SPDX-License-Identifier: MIT
# installed.sh ROOT SOURCE NBD: a tree that hbakit was installed into, seen by those who have nothing else of it: pkg-config alone finds
# headers and library for a program in C and in C++; the command runs; headers and manual pages are all there, and with NBD, which is true
# or false, nbdkit's plugin. That all is found where it was installed for is in-place.sh's.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
root=$(realpath "$1")
source=$(realpath "$2")
nbd=$3
requires pkg-config cc c++
! $nbd || requires nbdkit nbdinfo

# at NAME: where it was installed; exactly one place.
at() {
  found=$(find "$root" -path "*/$1")
  [ -n "$found" ] && [ -e "$found" ] || fail "there is not one $1 in what was installed, but: ${found:-none}"
  printf '%s\n' "$found"
}

pc=$(at pkgconfig/hbakit.pc)
include=$(at include/hbakit)
export PKG_CONFIG_LIBDIR="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$root"
# A prefix of /usr is left out of flags as what compilers look into anyway: not below a root of our own.
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
export LD_LIBRARY_PATH="${pc%/pkgconfig/hbakit.pc}"

version=$("$source/tools/version")
said=$(pkg-config --modversion hbakit)
[ "$said" = "$version" ] || fail "pkg-config says version $said, the headers $version"

# program LANGUAGE COMPILER...: builds and runs it; an unfound header or library is the compiler's sentence.
program() {
  language=$1
  shift
  # shellcheck disable=SC2046 # flags are words
  "$@" -x "$language" "$here/ram-disk.c" -x none -o "$tmp/ram-disk" $(pkg-config --cflags --libs hbakit)
  said=$("$tmp/ram-disk") || fail "the program in $language ended with $?"
  [ "$said" = "$version" ] || fail "the program in $language runs with version $said, not $version"
}

program c cc -std=c17 -Wall -Wextra -Werror
program c++ c++ -std=c++17 -Wall -Wextra -Werror

for header in "$source"/include/hbakit/*.h; do
  cmp "$header" "$include/${header##*/}" || fail "a public header is not installed as it is: see include/hbakit/meson.build"
done

docs=$(pkg-config --variable=docdir hbakit)
for file in "$source"/examples/*.[ch]; do
  cmp "$file" "$docs/examples/${file##*/}" || fail "an example is not installed as it is: see docs/meson.build"
done
for page in application-guide.md driver-guide.md from-driverkit.md; do
  cmp "$source/docs/$page" "$docs/$page" || fail "a page is not installed as it is: see docs/meson.build"
done

at bash-completion/completions/hbakit.bash >/dev/null
! $nbd || at system/hbakit@.service >/dev/null
for page in "$source"/docs/man/*.[1-9] hbakit-driver.7; do
  installed=$(find "$root" -path "*/man/man${page##*.}/${page##*/}*")
  [ -n "$installed" ] || fail "${page##*/} is not installed: see docs/man/meson.build"
done

hbakit=$(at bin/hbakit)
"$hbakit" drivers | grep -q '^soft' || fail "the installed hbakit lists no driver called soft"
[ "$("$hbakit" --version)" = "hbakit $version" ] || fail "the installed hbakit is not version $version"

# The guide's first minutes, with nothing but what was installed.
sed s/template/mychip/g "$docs/examples/template-driver.c" >"$tmp/mychip.c"
cp "$docs/examples/ram-disk.h" "$tmp"
# shellcheck disable=SC2046 # flags are words
cc -Wall -g -shared -fPIC $(pkg-config --cflags hbakit) "$tmp/mychip.c" -o "$tmp/mychip.so"
"$hbakit" scan --plugin "$tmp/mychip.so" mychip: | grep -q 'RAM disk' || fail "the template that is installed is no driver with a disk"

# Where the loader looks anyway nobody says it again; the folder it was built in is nobody's.
libdir=$(pkg-config --variable=libdir hbakit)
libdir=${libdir#"$root"}
looks_in() {
  said=$(readelf -d "$1" | sed -n 's/.*R\(UN\)\{0,1\}PATH.*\[\(.*\)\]/\2/p')
  case $libdir in /usr/lib*) wanted= ;; *) wanted=$libdir ;; esac
  [ "$said" = "$wanted" ] || fail "the installed ${1##*/} looks for its library in '$said', not in '$wanted'"
}
looks_in "$hbakit"

if $nbd; then
  plugin=$(at nbdkit/plugins/nbdkit-hbakit-plugin.so)
  looks_in "$plugin"
  # shellcheck disable=SC2016 # $uri is nbdkit's
  said=$(nbdkit "$plugin" 'uri=soft:ram?size=1M' --run 'nbdinfo --size "$uri"') || fail "nbdkit does not serve by the installed plugin"
  [ "$said" = 1048576 ] || fail "nbdkit serves a disk of $said bytes by the installed plugin, not of 1 MiB"
fi
