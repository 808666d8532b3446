# SPDX-License-Identifier: Apache-2.0
"""Writes the guest's initramfs: a newc cpio archive with /init and nothing else.

usage: mkcpio.py STRIP PROGRAM OUTPUT

The same program gives the same bytes: no time, owner or inode number of the build machine goes in.
"""
import os
import subprocess
import sys
import tempfile

REGULAR_0755 = 0o100755


def entry(name, mode, data):
    """One member (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel)."""
    name = name.encode() + b"\0"
    fields = [1 if data else 0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + name
    return pad(head) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def main():
    strip, program, output = sys.argv[1:]
    with tempfile.TemporaryDirectory() as tmp:
        stripped = os.path.join(tmp, "init")
        subprocess.run([strip, "-s", "-o", stripped, program], check=True)
        with open(stripped, "rb") as f:
            init = f.read()
    with open(output, "wb") as f:
        f.write(entry("init", REGULAR_0755, init) + entry("TRAILER!!!", 0, b""))


main()
