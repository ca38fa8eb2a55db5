#!/bin/sh
# SPDX-License-Identifier: MIT
# test-lib.sh: lib.sh's own words, each tried in a script of its own, both ways.
. "$(dirname "$0")/lib.sh"
lib=$(cd "$(dirname "$0")" && pwd)/lib.sh

# ends STATUS SCRIPT: a script that begins with lib.sh ends with that status; its output is in $tmp/out.
ends() {
  printf '. %s\n%s\n' "'$lib'" "$2" >"$tmp/script"
  status=0
  sh "$tmp/script" >"$tmp/out" 2>&1 </dev/null || status=$?
  [ "$status" -eq "$1" ] || fail "ended with $status, not $1: $2: $(cat "$tmp/out")"
}

says() {
  grep -qF -- "$1" "$tmp/out" || fail "no '$1' in: $(cat "$tmp/out")"
}

ends 0 'requires sh cat'
ends 77 'requires sh no-such-tool'
says 'there is no no-such-tool'

ends 1 'fail "the reason"'
says 'the reason'
ends 1 'false; echo "not reached"'

ends 3 "cleanup 'echo first'; cleanup 'echo second'; exit 3"
[ "$(cat "$tmp/out")" = "second
first" ] || fail "cleanup ran in the wrong order: $(cat "$tmp/out")"
ends 0 'echo "$tmp"; test -d "$tmp"'
[ ! -e "$(cat "$tmp/out")" ] || fail "the test's directory is still there"

ends 0 'expect_stderr "bad luck" sh -c "echo bad luck >&2; exit 1"'
ends 1 'expect_stderr "bad luck" sh -c "echo other >&2; exit 1"'
ends 1 'expect_stderr "bad luck" sh -c "echo bad luck >&2; exit 0"'
ends 1 'expect_stderr "bad luck" sh -c "echo bad luck >&2; kill -SEGV \$\$"'

ends 0 'expect_failure 2 sh -c "exit 2"'
ends 1 'expect_failure 2 sh -c "exit 1"'
ends 1 'expect_failure 2 true'
