#!/bin/sh
# SPDX-License-Identifier: MIT
# languages.sh HBAKIT INCLUDE: HBA_PLUGIN() makes a plug-in in C and in C++, whatever a compiler hides by default.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
hbakit=$1
include=$2
requires cc c++

# found COMPILER...: builds the plug-in, and hbakit finds its driver.
found() {
  "$@" "$here/languages.c" -Wall -Werror -shared -fPIC -I "$include" -o "$tmp/languages.so" || fail "'$*' does not build it"
  "$hbakit" drivers --plugin "$tmp/languages.so" >"$tmp/drivers" || fail "'$*' builds a plug-in that is none"
  grep -q '^languages ' "$tmp/drivers" || fail "'$*' builds a plug-in that does not bring its driver"
}

found cc -std=c17
found cc -std=c17 -fvisibility=hidden
found c++ -x c++ -std=c++20
found c++ -x c++ -std=c++20 -fvisibility=hidden
