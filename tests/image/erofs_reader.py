# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the EROFS format, as strict as a file system checker.

Written from the on-disk format of Linux 6.12 (fs/erofs/erofs_fs.h) and how the kernel walks it; it
shares nothing with the writer. Gives the same picture of a tree as truth.snapshot().
"""
import mmap
import stat
import struct

from truth import Digest, Node

BLOCK = 512


class Inode:
    pass


class Image:
    PREFIX = {1: b"user.", 2: b"system.posix_acl_access", 3: b"system.posix_acl_default",
              4: b"trusted.", 6: b"security."}
    TYPES = {1: stat.S_IFREG, 2: stat.S_IFDIR, 3: stat.S_IFCHR, 4: stat.S_IFBLK, 5: stat.S_IFIFO,
             7: stat.S_IFLNK}

    def __init__(self, path):
        with open(path, "rb") as f:
            self.map = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        self.size = len(self.map)
        sb = self.at(1024, BLOCK)
        (magic, checksum, compat, bits, ext, root, self.inos, build, build_ns, self.blocks, self.meta,
         self.xattr, self.uuid) = struct.unpack_from("<IIIBBHQQIIII16s", sb)
        assert magic == 0xE0F5E1E2 and bits == 9 and ext == 0
        assert not compat & 1 and checksum == 0
        incompat, = struct.unpack_from("<I", sb, 80)
        assert incompat & ~4 == 0, "only chunked files are expected"
        assert self.blocks * BLOCK == self.size, "volume size"
        assert self.size % 4096 == 0
        self.root = root
        self.inodes = {}

    def at(self, pos, length):
        assert pos + length <= self.size, "beyond the end of the device"
        return self.map[pos:pos + length]

    def inode(self, nid):
        if nid in self.inodes:
            return self.inodes[nid]
        pos = self.meta * BLOCK + nid * 32
        d = self.at(pos, 64)
        i = Inode()
        fmt, xcount, i.mode, reserved, i.size, u, i.ino, i.uid, i.gid, mtime, nsec, i.nlink = \
            struct.unpack_from("<HHHHQIIIIqII", d)
        assert fmt & 1 and reserved == 0 and fmt >> 4 == 0 and nsec < 10**9
        assert d[48:] == bytes(16)
        i.layout = fmt >> 1
        i.mtime = mtime * 10**9 + nsec
        i.xsize = 12 + (xcount - 1) * 4 if xcount else 0
        i.pos, i.body, i.u, i.nid = pos, pos + 64 + i.xsize, u, nid
        i.names = 0
        i.rdev = None
        if stat.S_IFMT(i.mode) in (stat.S_IFCHR, stat.S_IFBLK):
            i.rdev = (u >> 8 & 0xFFF, u & 0xFF | u >> 12 & 0xFFF00)
        i.xattrs = self.read_xattrs(i)
        self.inodes[nid] = i
        return i

    def read_xattrs(self, i):
        out = {}
        if not i.xsize:
            return out
        assert i.xsize > 12
        d = self.at(i.pos + 64, i.xsize)
        assert d[4] == 0, "no shared attributes are expected"
        pos = 12
        while pos < len(d):
            nlen, index, vlen = struct.unpack_from("<BBH", d, pos)
            name = self.PREFIX[index] + d[pos + 4:pos + 4 + nlen]
            assert name not in out
            out[name] = d[pos + 4 + nlen:pos + 4 + nlen + vlen]
            pos += (4 + nlen + vlen + 3) & ~3
        assert pos == len(d)
        return out

    def pieces(self, i):
        """(offset in the file, position on the device or None, length) in order."""
        if i.layout == 4:
            assert i.u & ~31 == 0
            chunk = BLOCK << (i.u & 31)
            n = -(-i.size // chunk)
            table = struct.unpack(f"<{n}I", self.at(i.body, 4 * n))
            for k, addr in enumerate(table):
                length = min(chunk, i.size - k * chunk)
                yield k * chunk, None if addr == 0xFFFFFFFF else addr * BLOCK, length
            return
        whole = i.size
        if i.layout == 2:
            tail = i.size % BLOCK
            assert tail, "inline without an end"
            assert i.pos // BLOCK == (i.body + tail - 1) // BLOCK, "inline data crosses a block"
            whole -= tail
        else:
            assert i.layout == 0
        if whole:
            yield 0, i.u * BLOCK, whole
        if i.layout == 2:
            yield whole, i.body, i.size - whole

    def data(self, i):
        assert i.size < 1 << 26
        return b"".join(self.at(pos, n) if pos is not None else bytes(n)
                        for _, pos, n in self.pieces(i))

    def digest(self, i):
        d = Digest(i.size)
        for off, pos, length in self.pieces(i):
            if pos is None:
                continue
            for k in range(0, length, 1 << 20):
                d.add(off + k, self.at(pos + k, min(1 << 20, length - k)))
        return d.result()

    def dirents(self, i):
        data = self.data(i)
        out = []
        for base in range(0, len(data), BLOCK):
            block = data[base:base + BLOCK]
            first, = struct.unpack_from("<H", block, 8)
            assert first and first % 12 == 0 and first < BLOCK
            heads = [struct.unpack_from("<QHBB", block, k) for k in range(0, first, 12)]
            for k, (nid, off, ftype, zero) in enumerate(heads):
                end = heads[k + 1][1] if k + 1 < len(heads) else len(block)
                name = block[off:end]
                if k + 1 == len(heads):
                    name = name.split(b"\0")[0]
                assert 1 <= len(name) <= 255 and b"\0" not in name and b"/" not in name
                out.append((name, nid, ftype))
        names = [n for n, _, _ in out]
        assert all(a < b for a, b in zip(names, names[1:])), "directory is not sorted"
        return out

    def tree(self):
        """{path: truth.Node}; checks links, types and counts on the way."""
        out, stack, digests = {}, [(b"", self.root, self.root)], {}
        while stack:
            path, nid, up = stack.pop()
            i = self.inode(nid)
            i.names += 1
            assert i.names == 1 or not stat.S_ISDIR(i.mode), "directory with two names"
            n = Node(mode=i.mode, uid=i.uid, gid=i.gid, mtime=i.mtime, nlink=i.nlink, rdev=i.rdev,
                     xattrs=i.xattrs, ident=nid)
            if stat.S_ISREG(i.mode):
                if nid not in digests:
                    digests[nid] = self.digest(i)
                n.size, n.content = i.size, digests[nid]
            elif stat.S_ISLNK(i.mode):
                n.size, n.content = i.size, self.data(i)
            elif stat.S_ISDIR(i.mode):
                subdirs = 0
                for name, child, ftype in self.dirents(i):
                    if name == b".":
                        assert child == nid and ftype == 2
                    elif name == b"..":
                        assert child == up and ftype == 2
                    else:
                        c = self.inode(child)
                        assert self.TYPES[ftype] == stat.S_IFMT(c.mode)
                        subdirs += ftype == 2
                        stack.append((path + b"/" + name, child, nid))
                assert i.nlink == 2 + subdirs
            out[path or b"/"] = n
        assert len(self.inodes) == self.inos
        for i in self.inodes.values():
            assert stat.S_ISDIR(i.mode) or i.nlink == i.names
        return out
