#!/bin/sh
# SPDX-License-Identifier: MIT
# sight.sh HBAKIT SICK.SO: what a user sees of a disk that hangs, is slow or busy, and of a driver that breaks its contract: live and in
# words with --verbose, in one line without; and what hangs, in either case.
. "$(dirname "$0")/../lib/lib.sh"
hbakit=$(realpath "$1")
plugin=$(realpath "$2")

# says PATTERN: standard error of the last command has it.
says() {
  grep -Eq -- "$1" "$tmp/stderr" || fail "no '$1' in: $(cat "$tmp/stderr")"
}

lines_are() {
  [ "$(grep -c '^hbakit: ' "$tmp/stderr")" -eq "$1" ] || fail "not $1 lines: $(cat "$tmp/stderr")"
}

read_one() {
  "$hbakit" read --plugin "$plugin" "$@" --length 512 -o "$tmp/copy" >"$tmp/stdout" 2>"$tmp/stderr" || fail "read: $(cat "$tmp/stderr")"
}

read_one sick:late --slow 100ms --verbose
says '^hbakit: sick:late: READ\(10\) of 0:0, block 0 took [0-9.]+ m?s$'
read_one sick:late --slow 100ms
says '^hbakit: sick:late: slow commands: 1; --verbose shows each$'
lines_are 1
read_one sick:late --slow 1m
lines_are 0

read_one sick:busy --verbose
says '^hbakit: sick:busy: READ\(10\) of 0:0, block 0 is sent again in 1 ms, try 2: BUSY$'
read_one sick:busy
says '^hbakit: sick:busy: retries: 1; --verbose shows each$'
lines_are 1

# A device error is told, and is no violation of the driver's.
read_one sick:lie --verbose
says '^hbakit: sick:lie: .*index 32 in a ring of 32$'
read_one sick:lie
says '^hbakit: sick:lie: .*index 32 in a ring of 32$'
lines_are 1
read_one sick:lie --json
python3 -c 'import json, sys; o = json.load(sys.stdin); sys.exit((o["violations"], o["device_errors"]) != (0, 1))' <"$tmp/stdout" ||
  fail "not one device error in $(cat "$tmp/stdout")"

# Of many violations the first ten are told whole, then one a second, then the number; --json stays one object.
"$hbakit" bench --plugin "$plugin" sick:break --time 1 --depth 8 --json --verbose >"$tmp/stdout" 2>"$tmp/stderr" || fail "bench"
n=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["violations"])' <"$tmp/stdout")
[ "$n" -gt 300 ] || fail "$n violations in the JSON"
told=$(grep -c ': driver sick, process_task: hba_complete of the task' "$tmp/stderr")
[ "$told" -ge 11 ] && [ "$told" -le 30 ] || fail "$told lines of $n violations"
says "more such after that, [0-9]+ in all; the first: driver sick, process_task: hba_complete"
"$hbakit" bench --plugin "$plugin" sick:break --time 1 --depth 8 >"$tmp/stdout" 2>"$tmp/stderr" || fail "bench"
says '^hbakit: sick:break: driver sick, process_task: .* \(the first of [0-9]+ such\)$'

# Also when the command fails.
expect_failure 1 "$hbakit" bench --plugin "$plugin" sick:bad --time 1
says '^hbakit: sick:bad: ([0-9]+) of \1 commands failed; the first: READ\(10\) at block [0-9]+: Check Condition: Medium Error: Unrecovered read error$'

# Also when the input had failed before: then what is said of it is not all.
head -c 700 /dev/zero >"$tmp/odd"
worn='^hbakit: sick:worn: WRITE of [0-9]+ bytes at offset 0: Input/output error \(Medium Error: Write error\)$'
expect_failure 1 sh -c "cat '$tmp/odd' | '$hbakit' write --plugin '$plugin' sick:worn"
says '^hbakit: standard input: its length is no multiple of 512 bytes, the unit.s block; the last 188 bytes are not written$'
says "$worn"
lines_are 2
# One line of the disk, however many commands failed.
expect_failure 1 sh -c "head -c 1048576 /dev/zero | '$hbakit' write --plugin '$plugin' sick:worn"
says "$worn"
lines_are 1

# A command that writes is sent data by --out, which the hint at what is missing says.
numb() {
  "$hbakit" cdb --plugin "$plugin" sick:numb "$1" >"$tmp/stdout" 2>"$tmp/stderr" || fail "cdb: $(cat "$tmp/stderr")"
  says "^hbakit: $2 takes up to $3 bytes of data, and there is no --out; --out FILE sends the data of FILE\$"
  lines_are 1
}
numb 151000001800 'MODE SELECT\(6\)' 24
numb 42000000000000001800 UNMAP 24
numb 2a000000000000000300 'WRITE\(10\)' 1536
"$hbakit" cdb --plugin "$plugin" sick:numb --out "$tmp/odd" 2a000000000000000100 >"$tmp/stdout" 2>"$tmp/stderr" || fail "cdb --out"
lines_are 0

expect_failure 1 "$hbakit" cdb --plugin "$plugin" sick:hang --timeout 500ms --in 512 28 00 00 00 00 07 00 00 01 00
says '^hbakit: sick:hang: READ\(10\): timed out$'
says '^hbakit: sick:hang: READ\(10\) of 0:0, block 7 \(unique id [0-9]+\) did not come back within 500 ms; abort task is next, and has 10 s \(the first of 2 such\)$'
lines_are 2
expect_failure 1 "$hbakit" cdb --plugin "$plugin" sick:hang --timeout 0.5 --verbose --in 512 28 00 00 00 00 07 00 00 01 00
says '^hbakit: sick:hang: READ\(10\) of 0:0, block 7 \(unique id [0-9]+\) did not come back within 500 ms; abort task is next, and has 10 s$'
says '^hbakit: sick:hang: abort task: READ\(10\) of 0:0, block 7 came back after [0-9]+ ms; recovery took [0-9]+ ms$'

# A medium that is changed under a command ends it: one copy is never of two disks.
head -c 1048576 /dev/zero >"$tmp/zeros"
expect_failure 1 "$hbakit" read --plugin "$plugin" sick:swap -o "$tmp/mixed"
says '^hbakit: sick:swap: READ of [0-9]+ bytes at offset [0-9]+: the medium of unit 0:0 was changed, and another disk is there now; begin again$'
[ ! -e "$tmp/mixed" ] || fail "a copy of two disks is kept"
expect_failure 1 "$hbakit" write --plugin "$plugin" sick:swap -i "$tmp/zeros"
says '^hbakit: sick:swap: WRITE of [0-9]+ bytes at offset [0-9]+: the medium of unit 0:0 was changed, and another disk'
expect_failure 1 "$hbakit" write --plugin "$plugin" sick:swap -i "$tmp/zeros" --verify
says '^hbakit: sick:swap: (WRITE|READ for --verify) of [0-9]+ bytes at offset [0-9]+: the medium of unit 0:0 was changed, and another'
expect_failure 1 "$hbakit" bench --plugin "$plugin" sick:swap --verify --rw randrw --depth 4
says '^hbakit: sick:swap: bench: the medium of unit 0:0 was changed, and another disk is there now; begin again$'

# What hangs is told while it does, with --verbose or without; at a start, too.
expect_failure 1 "$hbakit" cdb --plugin "$plugin" sick:hang --timeout 6 --in 512 28 00 00 00 00 07 00 00 01 00
says '^hbakit: sick:hang: READ\(10\) of 0:0, block 7 has been with the driver for [0-9.]+ s; abort task at 6 s$'
"$hbakit" scan --plugin "$plugin" sick:start --timeout 6 >"$tmp/stdout" 2>"$tmp/stderr" || fail "scan: $(cat "$tmp/stderr")"
says '^hbakit: sick:start: INQUIRY of 0:0 has been with the driver for [0-9.]+ s; abort task at 6 s$'

for bad in 0 1d x 25h 1.2.3 86401 0.0001s '' -5 1e3; do
  expect_failure 2 "$hbakit" scan soft:ram "--timeout=$bad"
  says "^hbakit: --timeout $bad: a time is needed, from 1 ms to 24 hours"
done
"$hbakit" scan soft:ram --timeout 24h >"$tmp/stdout" 2>&1 && fail "24h is taken"
"$hbakit" scan soft:ram --timeout 1440m --slow 1.5s >"$tmp/stdout" || fail "1440m is not"
