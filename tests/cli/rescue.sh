#!/bin/sh
# SPDX-License-Identifier: MIT
# rescue.sh HBAKIT SCRATCHED.SO: `read --skip-bad` finds exactly the bad blocks, rescues all others, keeps a map, and goes on from it.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")
cd "$tmp"

rescue() {
  uri=$1
  shift
  "$hbakit" read --plugin "$plugin" "$uri" "$@" >stdout 2>stderr || fail "read $uri $*: $(cat stderr)"
}

# areas_are MAP: its areas are the standard input's.
areas_are() {
  cat >areas
  grep -v '^#' "$1" | tail -n +2 | diff - areas || fail "other areas in $1"
}

says() {
  grep -Eq -- "$1" "$2" || fail "no '$1' in: $(cat "$2")"
}

"$hbakit" read --plugin "$plugin" scratched: -o whole 2>stderr || fail "read: $(cat stderr)"

# without_blocks FILE FIRST COUNT...: makes these blocks of it zeros.
without_blocks() {
  name=$1
  shift
  while [ $# -gt 0 ]; do
    dd if=/dev/zero of="$name" bs=512 seek="$1" count="$2" conv=notrunc status=none
    shift 2
  done
}

# Found one by one, with the disk's hint, without it, and with one that is wrong: first, last, alone, in a row, at the edge of a request.
cp whole wanted
without_blocks wanted 0 1 7 1 511 2 1500 4 2047 1
for how in '' i l; do
  rescue "scratched:${how}0,7,511-512,1500-1503,2047" --skip-bad -o "copy$how"
  cmp "copy$how" wanted || fail "'$how': other bytes"
  says 'rescued 1043968 of 1048576 bytes; 9 bad blocks in 5 areas; map copy'"$how"'.map$' stdout
  areas_are "copy$how.map" <<MAP
0x00000000  0x00000200  -
0x00000200  0x00000C00  +
0x00000E00  0x00000200  -
0x00001000  0x0003EE00  +
0x0003FE00  0x00000400  -
0x00040200  0x0007B600  +
0x000BB800  0x00000800  -
0x000BC000  0x00043E00  +
0x000FFE00  0x00000200  -
MAP
done
says '^0x[0-9A-F]+ +\+ +1$' copy.map

# A disk of which nothing can be read costs no more than two reads a block, and one more.
"$hbakit" read --plugin "$plugin" scratched:0-2047 --skip-bad=all.map -o all --json >json 2>stderr || fail "$(cat stderr)"
says '"bad_bytes": 1048576' json
says '"rescued_bytes": 0' json
commands=$(sed -n 's/.*"commands": \([0-9]*\).*/\1/p' json)
[ "$commands" -le 4100 ] || fail "$commands commands for 2048 bad blocks"
[ "$(stat -c %s all)" -eq 1048576 ] || fail "bad blocks at the end are no hole"

# What the map says is rescued is not read again, nor is what it calls bad; what is untried or failed is.
cp all.map resumed.map
cp all resumed
sed -i 's/^0x00000000  0x00100000  -/0x00000000  0x00040000  +\n0x00040000  0x00000200  -\n0x00040200  0x0003FE00  ?\n0x00080000  0x00040000  *\n0x000C0000  0x00040000  \//' resumed.map
rescue scratched: --skip-bad -o resumed
cp whole wanted
without_blocks wanted 0 513
cmp resumed wanted || fail "a resumed rescue has read what it should not, or not what it should"
areas_are resumed.map <<MAP
0x00000000  0x00040000  +
0x00040000  0x00000200  -
0x00040200  0x000BFE00  +
MAP
grep "^0x.* 0x" resumed.map >before
rescue scratched:0-2047 --skip-bad -o resumed
areas_are resumed.map <before

# A part has its own place, in the file and in the map.
rescue scratched:i5 --skip-bad -o part --offset 2k --length 4k
cp whole wanted
truncate -s 6k wanted
without_blocks wanted 0 4 5 1
cmp part wanted || fail "a part lies elsewhere"
areas_are part.map <<MAP
0x00000000  0x00000800  ?
0x00000800  0x00000200  +
0x00000A00  0x00000200  -
0x00000C00  0x00000C00  +
0x00001800  0x000FE800  ?
MAP

# An error that is not about the blocks ends it, and leaves a map of what there was; nothing is called bad.
expect_failure 1 "$hbakit" read --plugin "$plugin" scratched:g600 --skip-bad -o gone
grep -q -- '-$' gone.map && fail "a disk that is gone is called bad: $(cat gone.map)"
rescue scratched: --skip-bad -o gone
cmp gone whole || fail "a rescue that was ended does not go on well"

# After a signal too the map is whole, and true.
"$hbakit" read --plugin "$plugin" scratched:s3 --skip-bad -o cut --length 512k >/dev/null 2>stderr &
pid=$!
until [ -s cut.map ]; do
  kill -0 "$pid" 2>/dev/null || break
done
kill -INT "$pid" 2>/dev/null || true
wait "$pid" || true
rescue scratched: --skip-bad -o cut
cp whole wanted
grep -q '0x00000600  0x00000200  -' cut.map && without_blocks wanted 3 1
cmp cut wanted || fail "a rescue that was stopped does not go on well: $(cat cut.map)"

# What does not fit together is refused, before anything is read or changed.
expect_stderr 'add -o FILE' "$hbakit" read --plugin "$plugin" scratched: --skip-bad
expect_stderr 'copy: has 1048576 bytes, and there is no map none.map' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=none.map -o copy
expect_stderr 'short: ends at 3 bytes, and the map copy.map has bytes up to 1048064 as rescued' \
  sh -c 'printf abc >short; exec "$@"' sh "$hbakit" read --plugin "$plugin" scratched: --skip-bad=copy.map -o short
expect_stderr 'missing: No such file' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=copy.map -o missing
[ ! -e missing ] || fail "an output is made for a map of another"
expect_stderr 'the map needs a file of its own' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=copy -o copy
expect_stderr 'whole: line 1: this is no mapfile of ddrescue' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=whole -o new
expect_stderr '/dev/null: a map is a regular file' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=/dev/null -o new
expect_stderr '--skip-bad needs a regular file' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=new.map -o /dev/null
printf '0 ?\n0 100 +\n' >odd.map
expect_stderr 'odd.map: line 2: the area is not of whole blocks' "$hbakit" read --plugin "$plugin" scratched: --skip-bad=odd.map -o new
