# SPDX-License-Identifier: MIT
# lib.sh: what shell tests share. `. "$(dirname "$0")/../lib/lib.sh"`; one behaviour, one file; exit 0 good, 1 bad, 77 skipped.
# After it $tmp is a directory of the test's own, removed at its end.
set -eu

export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin
test_name=$(basename "$0")
tmp=$(mktemp -d)

# cleanup COMMAND: runs when the test ends, however it ends; the last one given runs first.
at_end="rm -rf '$tmp'"
cleanup() {
  at_end="$1
$at_end"
}

run_cleanup() {
  result=$?
  trap - EXIT
  set +e
  eval "$at_end"
  exit $result
}
trap run_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# fail WHY: ends the test red.
fail() {
  echo "$test_name: $*" >&2
  exit 1
}

# skip WHY: ends the test as skipped; the reason is in the log.
skip() {
  echo "$test_name: skipped, $*"
  exit 77
}

# requires TOOL...: skips the test where one of them is not installed.
requires() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "there is no $tool"
  done
}

# expect_failure STATUS COMMAND...: it must end with that very status. Its standard error is then in $tmp/stderr.
expect_failure() {
  wanted=$1
  shift
  result=0
  "$@" >"$tmp/stdout" 2>"$tmp/stderr" || result=$?
  [ "$result" -eq "$wanted" ] || fail "'$*' ended with $result, not $wanted: $(cat "$tmp/stderr")"
}

# expect_stderr TEXT COMMAND...: it must fail and say TEXT, as it is, on standard error. A crash is not a failure.
expect_stderr() {
  text=$1
  shift
  result=0
  "$@" >"$tmp/stdout" 2>"$tmp/stderr" || result=$?
  [ "$result" -ne 0 ] || fail "'$*' succeeded, and should have said: $text"
  [ "$result" -lt 126 ] || fail "'$*' ended with $result: $(cat "$tmp/stderr")"
  grep -qF -- "$text" "$tmp/stderr" || fail "'$*' did not say '$text', but: $(cat "$tmp/stderr")"
}
