#!/bin/sh
# SPDX-License-Identifier: MIT
# installed.sh ROOT SOURCE: a tree that hbakit was installed into, seen by those who have nothing else of it: pkg-config alone finds
# headers and library for a program in C and in C++; the command runs; headers and manual pages are all there.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
root=$(realpath "$1")
source=$(realpath "$2")
requires pkg-config cc c++

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

at bash-completion/completions/hbakit.bash >/dev/null
for page in "$source"/docs/man/*.[1-9] hbakit-driver.7; do
  installed=$(find "$root" -path "*/man/man${page##*.}/${page##*/}*")
  [ -n "$installed" ] || fail "${page##*/} is not installed: see docs/man/meson.build"
done

hbakit=$(at bin/hbakit)
"$hbakit" drivers | grep -q '^soft' || fail "the installed hbakit lists no driver called soft"
[ "$("$hbakit" --version)" = "hbakit $version" ] || fail "the installed hbakit is not version $version"
if readelf -d "$hbakit" | grep -E 'R(UN)?PATH'; then fail "the installed hbakit looks for its library in the folder it was built in"; fi
