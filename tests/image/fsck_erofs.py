# SPDX-License-Identifier: Apache-2.0
"""fsck.erofs of the Debian release after this one, as 12's (1.5) knows no blocks of 512 bytes.

The packages are downloaded with apt, checked by it, unpacked into the cache beside the nested bench's
kernel, and run with the C library that came along; nothing is installed. APPC_FSCK_EROFS names another one.
"""
import fcntl
import functools
import os
import subprocess
import tempfile
from pathlib import Path

RELEASE = "trixie"
PACKAGES = ["erofs-utils", "libc6", "libselinux1", "libpcre2-8-0", "liblz4-1", "liblzma5", "libuuid1", "libzstd1",
            "zlib1g", "libdeflate0", "libxxhash0"]
WRAPPER = """#!/bin/sh
top=$(dirname "$(readlink -f "$0")")
exec "$top/usr/lib64/ld-linux-x86-64.so.2" --library-path "$top/usr/lib/x86_64-linux-gnu" "$top/usr/bin/fsck.erofs" "$@"
"""


def mirror():
    """Where this machine has its Debian packages from."""
    out = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"],
                         check=True, capture_output=True, text=True).stdout
    return next(uri for uri, name in map(str.split, out.splitlines()) if "-" not in name)


def download(where):
    """The packages, in `where`, with indexes of their own that leave with it."""
    os.chmod(where, 0o755)
    (where / "lists/partial").mkdir(parents=True)
    (where / "sources.list").write_text(f"deb {mirror()} {RELEASE} main\n")
    apt = ["apt-get", "-qq"]
    for option in (f"Dir::Etc::sourcelist={where}/sources.list", "Dir::Etc::sourceparts=/dev/null",
                   f"Dir::State::lists={where}/lists", "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
                   "Acquire::Languages=none"):
        apt += ["-o", option]
    subprocess.run([*apt, "update"], check=True, capture_output=True)
    subprocess.run([*apt, "download", *PACKAGES], check=True, capture_output=True, cwd=where)


@functools.cache
def fsck_erofs():
    """The program's path, made on first use."""
    if os.environ.get("APPC_FSCK_EROFS"):
        return os.environ["APPC_FSCK_EROFS"]
    base = os.environ.get("APPC_VM_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "appc-vm")
    cache = Path(base)
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"fsck-erofs-{RELEASE}"
    with open(cache / "fsck-erofs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as tmp:
                tmp = Path(tmp)
                download(tmp)
                for deb in tmp.glob("*.deb"):
                    subprocess.run(["dpkg-deb", "-x", deb, tmp / "root"], check=True)
                (tmp / "root/fsck.erofs").write_text(WRAPPER)
                (tmp / "root/fsck.erofs").chmod(0o755)
                (tmp / "root").rename(folder)
    return str(folder / "fsck.erofs")


if __name__ == "__main__":
    print(fsck_erofs())
