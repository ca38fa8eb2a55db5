#!/bin/sh
# SPDX-License-Identifier: MIT
# rescue-ddrescuelog.sh HBAKIT SCRATCHED.SO: GNU ddrescue's own tool reads our map and sees the same in it, and we read what it writes.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")
requires ddrescuelog
cd "$tmp"

"$hbakit" read --plugin "$plugin" scratched:i7,100-103 --skip-bad -o copy >stdout || fail "read"
ddrescuelog --show-status copy.map >status || fail "ddrescuelog refuses: $(cat copy.map)"
[ "$(ddrescuelog --list-blocks=- copy.map | tr '\n' ' ')" = '7 100 101 102 103 ' ] || fail "other blocks are bad: $(cat status)"
grep -q 'current status: finished' status || fail "not finished: $(cat status)"

ddrescuelog --change-types=-,? copy.map >again.map
"$hbakit" read --plugin "$plugin" scratched: --skip-bad=again.map -o copy >stdout || fail "a map by ddrescuelog is refused"
ddrescuelog --done-status again.map || fail "blocks to be tried again were not: $(cat again.map)"
"$hbakit" read --plugin "$plugin" scratched: -o whole || fail "read"
cmp copy whole
