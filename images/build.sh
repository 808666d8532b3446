#!/bin/sh
# Packs the example images from Debian packages and the folders beside this script.
#
# usage: build.sh APPC_VM OUT_DIR
# The packages are downloaded with apt, unpacked, never installed; no root is needed.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
appc_vm=$(realpath "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
debs=${APPC_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/appc-vm}/debs
mkdir -p "$debs"

# Which packages make which image; what an image depends on is not repeated.
packages_base='busybox-static libc6 libgcc-s1 libssl3 zlib1g'
packages_redis='redis-server redis-tools libatomic1 libhiredis0.14 libjemalloc2 liblua5.1-0
    liblzf1 libsystemd0 lua-bitop lua-cjson libstdc++6 libcap2 libgcrypt20 libgpg-error0 liblz4-1
    liblzma5 libzstd1'
packages_python='python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 libbz2-1.0
    libffi8 liblzma5 libuuid1 libcrypt1'

download() {
    for p in "$@"; do
        [ -n "$(find "$debs" -name "${p}_*.deb" | head -1)" ] || missing="${missing:-} $p"
    done
    [ -z "${missing:-}" ] || (cd "$debs" && apt-get -qq download $missing 2>&1 | grep -v '^W:' >&2 || true)
    for p in "$@"; do
        [ -n "$(find "$debs" -name "${p}_*.deb" | head -1)" ] || {
            echo "build.sh: the Debian package $p can't be downloaded (apt-get update?)" >&2
            exit 1
        }
    done
}

# layout NAME PACKAGE…: the image layout in $out/layout/NAME.
layout() {
    name=$1
    shift
    dir=$out/layout/$name
    rm -rf "$dir"
    mkdir -p "$dir/rootfs"
    for p in "$@"; do
        dpkg-deb -x "$(find "$debs" -name "${p}_*.deb" | sort | tail -1)" "$dir/rootfs"
    done
    # An image of its own needs none of this.
    rm -rf "$dir/rootfs/usr/share/doc" "$dir/rootfs/usr/share/man" "$dir/rootfs/usr/share/lintian" \
        "$dir/rootfs/usr/share/locale" "$dir/rootfs/etc/init.d" "$dir/rootfs/lib/systemd"
    cp -R "$here/$name/manifest" "$dir/manifest"
    [ ! -d "$here/$name/rootfs" ] || cp -R "$here/$name/rootfs/." "$dir/rootfs/"
}

pack() {
    "$appc_vm" build --overwrite --owner=root --mtime=2024-01-01T00:00:00Z --compress=zstd \
        "$out/layout/$1" "$out/$1.aci" >"$out/$1.id"
    echo "$1: $(cut -c1-27 "$out/$1.id")…, $(du -h "$out/$1.aci" | cut -f1)"
}

download $packages_base $packages_redis $packages_python

layout base $packages_base
mkdir -p "$out/layout/base/rootfs/tmp" "$out/layout/base/rootfs/usr/bin"
chmod 1777 "$out/layout/base/rootfs/tmp"
for tool in $("$out/layout/base/rootfs/bin/busybox" --list); do
    [ -e "$out/layout/base/rootfs/bin/$tool" ] || ln -s busybox "$out/layout/base/rootfs/bin/$tool"
done
ln -sf /bin/env "$out/layout/base/rootfs/usr/bin/env"
pack base

layout redis $packages_redis
pack redis
layout redis-client
pack redis-client
layout python $packages_python
pack python
for name in reduce-worker worker-backup reduce-worker-register; do
    layout $name
    pack $name
done
rm -rf "$out/layout"
