#!/bin/sh
# Installs the guest kernel, which kernel-config/build.sh made, beside the initramfs. Called by "meson install".
set -eu

dir=${MESON_INSTALL_DESTDIR_PREFIX:?}/$1
kernel=$("$MESON_SOURCE_ROOT/kernel-config/build.sh")
mkdir -p "$dir"
install -m 644 "$kernel" "$dir/vmlinux"
