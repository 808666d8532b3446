# SPDX-License-Identifier: Apache-2.0
"""Hard tars: by Python's tarfile, and from a hard directory by GNU tar and bsdtar."""
import io
import os
import struct
import subprocess
import tarfile

MANIFEST = b'{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/hard"}'
REG, DIR, SYM, LNK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
CHR, BLK, FIFO = tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE


class Tar:
    """Writes a tar entry by entry. Names are bytes; they go below rootfs."""

    def __init__(self, path, fmt=tarfile.PAX_FORMAT, head=True):
        self.t = tarfile.open(path, "w", format=fmt, errors="surrogateescape")
        self.path = path
        if head:
            self.raw(b"manifest", data=MANIFEST)
            self.raw(b"rootfs", DIR, mode=0o755, mtime=10**9)

    def raw(self, name, kind=REG, data=b"", link=b"", xattrs=None, pax=None, **kw):
        info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
        info.type = kind
        info.size = len(data)
        info.linkname = link.decode("utf-8", "surrogateescape")
        info.mode = kw.pop("mode", 0o755 if kind == DIR else 0o777 if kind == SYM else 0o644)
        info.mtime = kw.pop("mtime", 1500000000)
        info.pax_headers = dict(pax or {})
        for k, v in (xattrs or {}).items():
            info.pax_headers["SCHILY.xattr." + k] = v.decode("utf-8", "surrogateescape")
        for k, v in kw.items():
            setattr(info, k, v)
        self.t.addfile(info, io.BytesIO(data))

    def add(self, name, kind=REG, **kw):
        if kind == LNK:
            kw["link"] = b"rootfs/" + kw["link"]
        self.raw(b"rootfs/" + name, kind, **kw)

    def close(self):
        self.t.close()
        return self.path


def names(path):
    t = Tar(path)
    for n in (b"!before-dots", b"-", b"+plus", b".hidden", b"...", b"..a", b".,", b"\xff\xfe", b"\x01",
              "ü-utf8".encode(), b"latin-\xe4", b"a", b"a.b", b"ab", b"A", b"n" * 255, b"m" * 254,
              b" leading", b"trailing ", b"tab\tnew\nline", b"back\\slash"):
        t.add(n, data=n)
        t.add(b"d-" + n[:250], DIR)
        t.add(b"d-" + n[:250] + b"/" + n, SYM, link=n)
    return t.close()


def sizes(path):
    t = Tar(path)
    for n in (0, 1, 511, 512, 513, 1023, 4095, 4096, 4097, 8192, 100000):
        t.add(b"f%06d" % n, data=bytes((k * 7 + n) % 251 for k in range(n)))
    for n in (1, 60, 384, 385, 447, 448, 449, 512, 513, 896, 897, 960, 961, 1024, 4000, 4095):
        t.add(b"l%06d" % n, SYM, link=(b"0123456789" * 410)[:n])
        t.add(b"lx%06d" % n, SYM, link=(b"0123456789" * 410)[:n], xattrs={"trusted.x": b"v" * 30})
    for n in list(range(0, 45)) + [100, 500, 3000]:
        t.add(b"dir%05d" % n, DIR)
        for k in range(n):
            t.add(b"dir%05d/e%0*d" % (n, 1 + n % 30, k), data=b"%d" % k)
    t.add(b"long", DIR)
    for k in range(20):
        t.add(b"long/%02d" % k + b"x" * 253, data=b"%d" % k)
    return t.close()


def links(path):
    t = Tar(path)
    t.add(b"forward", LNK, link=b"z/target")
    t.add(b"chain1", LNK, link=b"chain2")
    t.add(b"chain2", LNK, link=b"chain3")
    t.add(b"chain3", LNK, link=b"z/target")
    t.add(b"z", DIR)
    t.add(b"z/target", data=b"linked", mode=0o4755, xattrs={"user.t": b"1"})
    t.add(b"d/e/f", LNK, link=b"./z/../z/target")
    t.add(b"sym", SYM, link=b"nowhere")
    t.add(b"z/symlink-link", LNK, link=b"sym")
    t.add(b"fifo", FIFO)
    t.add(b"z/fifo-link", LNK, link=b"fifo")
    t.add(b"null", CHR, devmajor=1, devminor=3)
    t.add(b"z/null-link", LNK, link=b"null")
    t.add(b"empty", data=b"")
    t.add(b"z/empty-link", LNK, link=b"empty")
    t.add(b"up/../up2/x", data=b"cleaned")
    return t.close()


def metadata(path):
    t = Tar(path)
    for k, m in enumerate((0, 0o4755, 0o2755, 0o1777, 0o6711, 0o7777, 0o400)):
        t.add(b"mode%d" % k, data=b"x", mode=m)
        t.add(b"dmode%d" % k, DIR, mode=m)
    for k, (u, g) in enumerate(((0, 0), (65535, 65536), (4000000000, 3999999999), (4294967294, 1))):
        t.add(b"own%d" % k, data=b"x", uid=u, gid=g)
        t.add(b"lown%d" % k, SYM, link=b"x", uid=u, gid=g)
    for k, m in enumerate(("0", "1.5", "-1", "-0.25", "-1.25", "-2147483649.999999999", "0.000000001",
                           "4294967296.123456789", "253402300800", "-62135596800.5",
                           "1700000000.999999999")):
        t.add(b"time%d" % k, data=b"x", pax={"mtime": m})
        t.add(b"dtime%d" % k, DIR, pax={"mtime": m})
    for k, (a, b) in enumerate(((0, 0), (1, 255), (4, 256), (255, 65536), (4095, 1048575))):
        t.add(b"chr%d" % k, CHR, devmajor=a, devminor=b)
        t.add(b"blk%d" % k, BLK, devmajor=a, devminor=b, mode=0o660)
    t.add(b"fifo", FIFO, mode=0o600)
    cap = bytes.fromhex("0100000200200000000000000000000000000000")
    t.add(b"cap", data=b"x", mode=0o755, xattrs={"security.capability": cap})
    t.add(b"xsmall", data=b"x", xattrs={"user.a": b"", "user.b": b"1", "user." + "n" * 250: b"long name"})
    t.add(b"xmany", data=b"x", xattrs={f"user.{k:04}": b"v%d" % k for k in range(200)})
    t.add(b"xlarge", data=b"x", xattrs={"user.big": b"z\0" * 30000, "user.more": bytes(range(256)) * 30})
    t.add(b"xdir", DIR, xattrs={"user.d": b"dir", "trusted.t": b"t" * 700})
    for k in range(60):
        t.add(b"xdir/f%d" % k, data=b"x", xattrs={"user.k": b"k" * (k * 8)})
    t.add(b"xlink", SYM, link=b"x" * 300, xattrs={"trusted.l": b"on a link" * 20})
    t.add(b"xfifo", FIFO, xattrs={"trusted.f": b"on a fifo"})
    return t.close()


def implied(path):
    """Directories without an entry, or whose entry comes behind what is in them."""
    t = Tar(path, head=False)
    t.raw(b"./rootfs/late/below/file", data=b"x")
    t.raw(b"./rootfs/none/below/file", data=b"x")
    t.raw(b".", DIR)
    t.raw(b"./rootfs/late/", DIR, mode=0o700, uid=5)
    t.raw(b"./rootfs/", DIR, mode=0o711)
    t.raw(b"./rootfs/./late//./other", data=b"x")
    t.raw(b"./manifest", data=MANIFEST)
    return t.close()


def deep(path, component=b"d" * 199, levels=26):
    t = Tar(path)
    p = component
    for k in range(levels):
        t.add(p, DIR, mode=0o700 | k % 64)
        p += b"/" + component
    t.add(p[:-len(component)] + b"file", data=b"bottom")
    t.add(b"top", LNK, link=p[:-len(component)] + b"file")
    return t.close()


def very_deep(path):
    return deep(path, b"d", 2500)


def sparse_pax(path):
    """Sparse maps with pieces at any offset, as GNU tar never writes them but the format allows."""
    t = Tar(path)
    for k, (size, pieces) in enumerate((
            (100000, [(0, 1), (5, 7), (4096, 4096), (9000, 513), (99999, 1)]),
            (10 << 20, [(4096, 8192), (65536, 512), (66048, 1024), (1 << 20, 1 << 19)]),
            (3000, [(512, 512), (2048, 952)]),
            (7 << 30, [(1 << 20, 1000), (5 << 30, 4096), ((7 << 30) - 3, 3)]),
            (1 << 42, [((1 << 41) + 12345, 100)]),
            (5000, []), (1 << 43, []))):
        text = b"%d\n" % len(pieces) + b"".join(b"%d\n%d\n" % p for p in pieces)
        text += bytes(-len(text) % 512)
        data = b"".join(bytes((off + j) % 255 + 1 for j in range(n)) for off, n in pieces)
        name = b"rootfs/sparse%d" % k
        t.raw(b"rootfs/GNUSparseFile.0/sparse%d" % k, data=text + data, pax={
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name.decode(),
            "GNU.sparse.realsize": str(size)})
    return t.close()


def wide(path, n=50000):
    t = Tar(path)
    for d in range(50):
        t.add(b"dir%03d" % d, DIR)
        for f in range(n // 50):
            t.add(b"dir%03d/file-%05d" % (d, f), data=b"%d" % f)
    t.add(b"wide", DIR)
    for f in range(n):
        t.add(b"wide/name-%06d" % (f * 7919 % n), data=b"%d" % f)
    return t.close()


def gnu_format(path):
    t = Tar(path, fmt=tarfile.GNU_FORMAT)
    t.add(b"n" * 255, data=b"long name")
    t.add(b"p" * 150, DIR)
    t.add(b"p" * 150 + b"/" + b"q" * 150, data=b"long path")
    t.add(b"l" * 120, SYM, link=b"t" * 4000)
    t.add(b"big-owner", data=b"x", uid=4000000000, gid=4000000001)
    t.add(b"old", data=b"x", mtime=-86400)
    t.add(b"hl", LNK, link=b"n" * 255)
    return t.close()


def ustar_format(path):
    t = Tar(path, fmt=tarfile.USTAR_FORMAT)
    t.add(b"p" * 60, DIR)
    t.add(b"p" * 60 + b"/" + b"q" * 90, data=b"prefix")
    t.add(b"dev", CHR, devmajor=5, devminor=1)
    t.add(b"s", SYM, link=b"a" * 100)
    return t.close()


def sparse_file(path, size, pieces):
    with open(path, "wb") as f:
        f.truncate(size)
        for off, text in pieces:
            f.seek(off)
            f.write(text)


def acl(*lines):
    """The value of an ACL's xattr out of (tag, permissions, number)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *line, *((0xFFFFFFFF,) if len(line) == 2 else ()))
                                           for line in lines)


def hard_directory(top):
    """A directory with what needs a real one: ACLs, capabilities, sparse files. Needs root and tmpfs."""
    root = os.path.join(top, "rootfs")
    os.makedirs(root + "/d/e")
    with open(top + "/manifest", "wb") as f:
        f.write(MANIFEST)
    sparse_file(root + "/sparse5g", 5 << 30, [(1000000, b"hello"), (4999999999, b"end")])
    sparse_file(root + "/sparse-end", 1 << 20, [(0, b"begin" * 1000)])
    sparse_file(root + "/sparse-all", 123456789, [])
    sparse_file(root + "/sparse-many", 40 << 20, [(k * 81920, b"%d" % k * 900) for k in range(400)])
    with open(root + "/a", "w") as f:
        f.write("a")
    os.link(root + "/a", root + "/d/a2")
    os.link(root + "/a", root + "/d/e/a3")
    os.symlink("../x", root + "/d/link")
    os.mknod(root + "/chr", 0o20640, os.makedev(300, 70000))
    os.mkfifo(root + "/fifo")
    os.setxattr(root + "/a", "user.big", b"x" * 5000)
    os.setxattr(root + "/d", "user.d", b"\0binary\xff")
    with open(root + "/cap", "w") as f:
        f.write("x" * 10000)
    os.chmod(root + "/cap", 0o4755)
    os.setxattr(root + "/cap", "security.capability",
                bytes.fromhex("0100000200200000000000000000000000000000"))
    os.mkdir(root + "/acl")
    os.setxattr(root + "/acl", "system.posix_acl_access",
                acl((1, 7), (2, 7, 123456), (4, 5), (8, 4, 77777), (16, 7), (32, 5)))
    os.setxattr(root + "/acl", "system.posix_acl_default",
                acl((1, 7), (2, 5, 54321), (4, 5), (16, 5), (32, 5)))
    with open(root + "/own", "w") as f:
        f.write("own")
    os.chown(root + "/own", 4000000000, 70000)
    os.utime(root + "/own", ns=(0, 16725225600123456789 // 10))
    os.utime(root + "/a", ns=(0, -86400 * 10**9))


def archive(kind, top, out):
    gnu = ["tar", "--xattrs", "--xattrs-include=*", "--acls", "--numeric-owner", "-S", "-C", top]
    lines = {
        "gnu-posix": gnu + ["--format=posix"],
        "gnu-posix-0.0": gnu + ["--format=posix", "--sparse-version=0.0"],
        "gnu-posix-0.1": gnu + ["--format=posix", "--sparse-version=0.1"],
        "gnu-old": ["tar", "--format=gnu", "--numeric-owner", "-S", "-C", top],
        "bsdtar": ["bsdtar", "--format=pax", "--numeric-owner", "-C", top],
    }
    subprocess.run(lines[kind] + ["-cf", out, "manifest", "rootfs"], check=True)
    return out
