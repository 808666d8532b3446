#!/bin/sh
# Builds the guest kernel from Debian's linux-source package and a config
# fragment, and keeps it in a cache keyed by the hash of everything that goes
# in, so that a second checkout does not build it again. An interrupted build
# goes on where it stopped.
#
# usage: build.sh [--flavour NAME] [--print-path]
# Prints the path of the finished vmlinux as the only line of standard output.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
flavour=x86_64
print_only=
while [ $# -gt 0 ]; do
    case $1 in
    --flavour) flavour=$2; shift ;;
    --print-path) print_only=1 ;;
    *) echo "build.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
fragment=$here/$flavour.config
[ -r "$fragment" ] || { echo "build.sh: no config fragment $fragment" >&2; exit 2; }

source=${APPC_VM_KERNEL_SOURCE:-/usr/src/linux-source-6.12.tar.xz}
[ -r "$source" ] || {
    echo "build.sh: $source is missing: apt-get install linux-source-6.12" >&2
    exit 1
}
cache=${APPC_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/appc-vm}/kernel

# The tarball is identified by its package's version, or by its content when
# it is somebody's own: hashing 150 MB on every start is too slow.
source_id() {
    dpkg-query -W -f '${Version}' linux-source-6.12 2>/dev/null ||
        sha256sum <"$source"
}
key=$({
    cat "$fragment" "$0"
    cat "$here"/patches/*.patch 2>/dev/null || true
    source_id
    cc -dumpfullversion 2>/dev/null || true
    uname -m
} | sha256sum | cut -c1-16)
out=$cache/$flavour-$key
if [ -r "$out/vmlinux" ]; then
    echo "$out/vmlinux"
    exit 0
fi
[ -z "$print_only" ] || exit 1

mkdir -p "$cache"
# Two set-ups at once build it only once.
exec 9>"$cache/$flavour-$key.lock"
flock 9
if [ -r "$out/vmlinux" ]; then
    echo "$out/vmlinux"
    exit 0
fi

build=$cache/$flavour-$key.build
say() { printf '%s\n' "kernel: $*" >&2; }

if [ ! -e "$build/.unpacked" ]; then
    say "unpacking $(basename "$source")"
    rm -rf "$build"
    mkdir -p "$build"
    # The documentation, the tests and other boards' device trees are left out.
    xz -T0 -dc "$source" | tar -x -C "$build" --strip-components=1 \
        --exclude='*.rst' --exclude='*/arch/*/boot/dts/*' \
        --exclude='*/tools/testing/*' --exclude='*/drivers/gpu/drm/amd/include/*'
    for p in "$here"/patches/*.patch; do
        [ -e "$p" ] && patch -s -d "$build" -p1 <"$p"
    done
    : >"$build/.unpacked"
fi
cd "$build"
if [ ! -e .configured ]; then
    say "configuring"
    make -s tinyconfig >/dev/null
    ./scripts/kconfig/merge_config.sh -m .config "$fragment" >/dev/null
    make -s olddefconfig >/dev/null
    # A symbol that did not take is a mistake in the fragment, not a detail.
    bad=$(sed -n 's/^\(CONFIG_[A-Z0-9_]*\)=\(.*\)$/\1 \2/p' "$fragment" |
        while read -r name value; do
            case $value in
            n) grep -q "^$name=" .config && echo "$name" ;;
            *) grep -qx "$name=$value" .config || echo "$name" ;;
            esac
        done)
    [ -z "$bad" ] || { say "the config did not take:" $bad; exit 1; }
    : >.configured
fi

# The number of objects is known from an earlier build; it only feeds the
# progress display.
total=1290
jobs=$(nproc)
say "compiling with $jobs jobs (some minutes, once)"
log=$build/build.log
n=$(find . -name '*.o' | wc -l) # of an interrupted build
{
    make -j"$jobs" KBUILD_BUILD_USER=appc-vm KBUILD_BUILD_HOST=appc-vm \
        KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' vmlinux 2>&1
    echo "make-status $?"
} | while read -r line; do
    printf '%s\n' "$line"
    case $line in
    *' CC '* | CC* | *' AS '* | AS*)
        n=$((n + 1))
        if [ -t 2 ]; then
            printf '\rkernel: %d of about %d files' "$n" "$total" >&2
        elif [ $((n % 300)) -eq 0 ]; then
            say "$n of about $total files"
        fi
        ;;
    esac
done >"$log"
[ -t 2 ] && printf '\n' >&2
grep -qx 'make-status 0' "$log" || {
    say "the build failed; the end of $log:"
    tail -20 "$log" >&2
    exit 1
}
mkdir -p "$out.tmp"
objcopy -S vmlinux "$out.tmp/vmlinux"
cp .config "$out.tmp/config"
mv "$out.tmp" "$out"
cd /
rm -rf "$build"
say "done"
echo "$out/vmlinux"
