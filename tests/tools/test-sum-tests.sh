#!/bin/sh
# SPDX-License-Identifier: MIT
# test-sum-tests.sh: the line at the end of a CI run counts what failed, timed out, or never ran; and its exit code says so.
. "$(dirname "$0")/../lib/lib.sh"
sum=$(cd "$(dirname "$0")/../../tools" && pwd)/sum-tests

# build NAME RESULT...: a build directory whose last run had these results.
build() {
  name=$1
  shift
  mkdir -p "$tmp/$name/meson-logs"
  for result in "$@"; do
    printf '{"name": "a test", "result": "%s"}\n' "$result"
  done >"$tmp/$name/meson-logs/testlog.json"
}

# adds_up STATUS LINE ARGUMENT...
adds_up() {
  status=$1 line=$2
  shift 2
  expect_failure "$status" "$sum" "$@"
  [ "$(tail -n 1 "$tmp/stdout")" = "$line" ] || fail "'$*' said '$(tail -n 1 "$tmp/stdout")', not '$line'"
}

build good OK OK SKIP
build bad OK FAIL TIMEOUT ERROR
adds_up 0 "2 passed, 0 failed" "$tmp/good"
adds_up 1 "3 passed, 3 failed" "$tmp/good" "$tmp/bad"
adds_up 1 "2 passed, 1 failed" "$tmp/good" "$tmp/never-built"
adds_up 1 "4 passed, 1 failed" --extra 2,1 "$tmp/good"

"$sum" "$tmp/good" | grep -q "^1 skipped" || fail "a skipped test is not mentioned"
