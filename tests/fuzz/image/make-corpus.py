#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the small tars that the fuzzer starts from: make-corpus.py DIR."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../image"))
import tarmaker  # noqa: E402
import tarfile  # noqa: E402


def mixed(path, fmt):
    t = tarmaker.Tar(path, fmt=fmt)
    t.add(b"d", tarmaker.DIR, mode=0o1777)
    t.add(b"d/file", data=b"data" * 200, mode=0o4755)
    t.add(b"link", tarmaker.LNK, link=b"d/file")
    t.add(b"sym", tarmaker.SYM, link=b"d/file")
    t.add(b"dev", tarmaker.CHR, devmajor=1, devminor=3)
    t.add(b"fifo", tarmaker.FIFO)
    return t.close()


def attributes(path):
    t = tarmaker.Tar(path)
    t.add(b"x", data=b"x", xattrs={"user.a": b"1", "trusted.b": b"\0\xff"}, pax={"mtime": "-1.25"})
    t.add(b"acl", tarmaker.DIR, pax={
        "SCHILY.acl.access": "user::rwx,user::rw-:1234,group::r-x,mask::rwx,other::---",
        "SCHILY.acl.default": "user::rwx,group:7:r-x,group::r-x,mask::rwx,other::---"})
    t.add(b"n" * 120, data=b"x", pax={"LIBARCHIVE.xattr.user.c": "eHg", "uid": "4000000000"})
    return t.close()


def gnu_sparse(path):
    t = tarmaker.Tar(path)
    data = b"2\n0\n100\n5000\n512\n"
    t.add(b"GNUSparseFile.0/s", data=data + bytes(512 - len(data)) + b"x" * 612, pax={
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "rootfs/s",
        "GNU.sparse.realsize": "1000000"})
    return t.close()


def main(top):
    os.makedirs(top, exist_ok=True)
    mixed(top + "/pax.tar", tarfile.PAX_FORMAT)
    mixed(top + "/gnu.tar", tarfile.GNU_FORMAT)
    mixed(top + "/ustar.tar", tarfile.USTAR_FORMAT)
    attributes(top + "/attributes.tar")
    gnu_sparse(top + "/sparse.tar")
    tarmaker.implied(top + "/implied.tar")
    for name in os.listdir(top):
        path = os.path.join(top, name)
        with open(path, "r+b") as f:
            f.truncate((len(f.read().rstrip(b"\0")) + 1535) // 512 * 512)


if __name__ == "__main__":
    main(sys.argv[1])
