#!/bin/sh
# SPDX-License-Identifier: MIT
# in-place.sh BUILD NBD: after `meson install` by root, and nothing else, what was installed is found: the command runs, a program that
# is built with pkg-config's words alone starts, and with NBD (true or false) `hbakit serve` finds its plugin. It all happens in a mount
# namespace of the test's own, in which /usr/local and the loader's cache are the test's.
. "$(dirname "$0")/../lib/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
build=$1
nbd=$2
prefix=/usr/local
cache=/etc/ld.so.cache
unset DESTDIR LD_LIBRARY_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_PATH

if [ "${3:-}" != inside ]; then
  requires meson pkg-config cc ldconfig unshare
  ! $nbd || requires nbdkit nbdinfo
  [ -d $prefix ] && [ -f $cache ] || skip "there is no $prefix, or no $cache"
  unshare --map-root-user --mount true 2>"$tmp/said" || skip "no namespaces here: $(cat "$tmp/said")"
  unshare --map-root-user --mount "$0" "$build" "$nbd" inside
  exit
fi

# The system's ldconfig renames a new cache over the old one, which cannot be done to a mount.
mkdir "$tmp/local" "$tmp/bin"
cp $cache "$tmp/cache"
mount --bind "$tmp/local" $prefix
mount --bind "$tmp/cache" $cache
cat >"$tmp/bin/ldconfig" <<EOF
#!/bin/sh
$(command -v ldconfig) -X -i -C "$tmp/new-cache" 2>/dev/null
cat "$tmp/new-cache" >$cache
EOF
chmod +x "$tmp/bin/ldconfig"
PATH=$tmp/bin:$PATH meson install -C "$build" --no-rebuild >"$tmp/said" 2>&1 || fail "meson install failed: $(cat "$tmp/said")"

"$prefix/bin/hbakit" drivers | grep -q '^soft' || fail "the installed hbakit lists no driver called soft"
# shellcheck disable=SC2046 # flags are words
cc "$here/ram-disk.c" -o "$tmp/ram-disk" $(pkg-config --cflags --libs hbakit)
"$tmp/ram-disk" >/dev/null || fail "a program that is built against the installed library ended with $?"

if $nbd; then
  mkfifo "$tmp/serves"
  "$prefix/bin/hbakit" serve 'soft:ram?size=1M' --nbd "unix:$tmp/nbd.sock" >"$tmp/serves" &
  cleanup "kill $! 2>/dev/null; wait $!"
  exec 3<"$tmp/serves"
  read -r said <&3 || fail "the installed hbakit does not serve"
  said=$(nbdinfo --size "nbd+unix:///?socket=$tmp/nbd.sock")
  [ "$said" = 1048576 ] || fail "the installed hbakit serves a disk of $said bytes, not of 1 MiB"
fi
