#!/bin/sh
# SPDX-License-Identifier: MIT
# packages.sh FOLDER SOURCE: the Debian packages in FOLDER, unpacked into a root of their own, are an hbakit that is all there; and the
# library's symbols file, by which others come to depend on it, is src/hbakit.map.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
source=$2
requires dpkg-deb

for package in libhbakit0 libhbakit-dev hbakit; do
  dpkg-deb --extract "$folder/${package}"_*.deb "$tmp/root" || fail "there is no good $package in $folder"
done
"$here/installed.sh" "$tmp/root" "$source" true

dpkg-deb --ctrl-tarfile "$folder"/libhbakit0_*.deb | tar -xf - -C "$tmp" ./symbols
sed -n 's/^ \(hba_[a-z0-9_]*\)@HBAKIT_0 .*/\1/p' "$tmp/symbols" | sort >"$tmp/packaged"
sed -n 's/^\t\(hba_[a-z0-9_]*\);$/\1/p' "$source/src/hbakit.map" | sort >"$tmp/promised"
[ -s "$tmp/promised" ] || fail "src/hbakit.map promises nothing"
diff "$tmp/promised" "$tmp/packaged" || fail "the symbols of libhbakit0 (>) are not those of src/hbakit.map (<)"
