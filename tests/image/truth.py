# SPDX-License-Identifier: Apache-2.0
"""What a tree must look like: snapshots of real directories, models of tars, a naive renderer."""
import hashlib
import os
import stat
import tarfile
from dataclasses import dataclass, field
from decimal import Decimal

PAGE = 4096


class Digest:
    """Hash of a file's size and of its pages that are not zero: equal for any choice of holes."""

    def __init__(self, size):
        self.hash = hashlib.sha256(b"%d" % size)
        self.page, self.buf = -1, bytearray()

    def flush(self):
        if self.page >= 0 and self.buf.strip(b"\0"):
            self.hash.update(b"@%d:" % self.page)
            self.hash.update(bytes(self.buf.rstrip(b"\0")))
        self.page = -1

    def add(self, off, data):
        """Pieces come in ascending order."""
        while data:
            page, at = divmod(off, PAGE)
            n = min(PAGE - at, len(data))
            if page != self.page:
                self.flush()
                self.page, self.buf = page, bytearray(PAGE)
            self.buf[at:at + n] = data[:n]
            off, data = off + n, data[n:]

    def result(self):
        self.flush()
        return self.hash.hexdigest()


@dataclass
class Node:
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    nlink: int = 1
    rdev: tuple = None
    xattrs: dict = field(default_factory=dict)
    ident: object = None  # equal for names of one inode
    size: int = 0
    content: object = None
    implied: bool = False


def data_ranges(fd, size):
    off = 0
    while off < size:
        try:
            begin = os.lseek(fd, off, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, begin, os.SEEK_HOLE)
        yield begin, min(end, size)
        off = end


def digest_fd(fd, size):
    d = Digest(size)
    for begin, end in data_ranges(fd, size):
        while begin < end:
            data = os.pread(fd, min(1 << 20, end - begin), begin)
            assert data
            d.add(begin, data)
            begin += len(data)
    return d.result()


def node_of(path, st, digests, sample):
    n = Node(mode=st.st_mode, uid=st.st_uid, gid=st.st_gid, mtime=st.st_mtime_ns, nlink=st.st_nlink,
             ident=st.st_ino)
    n.xattrs = {k.encode(): os.getxattr(path, k, follow_symlinks=False)
                for k in os.listxattr(path, follow_symlinks=False)}
    if stat.S_ISREG(st.st_mode):
        n.size = st.st_size
        if st.st_ino not in digests:
            if len(digests) % sample:
                digests[st.st_ino] = None
                return n
            fd = os.open(path, os.O_RDONLY)
            digests[st.st_ino] = digest_fd(fd, st.st_size)
            os.close(fd)
        n.content = digests[st.st_ino]
    elif stat.S_ISLNK(st.st_mode):
        n.size, n.content = st.st_size, os.readlink(path)
    elif not stat.S_ISDIR(st.st_mode) and not stat.S_ISFIFO(st.st_mode):
        n.rdev = (os.major(st.st_rdev), os.minor(st.st_rdev))
    return n


def snapshot(top, sample=1):
    """{path: Node} of a directory. Goes by chdir(), as paths may be longer than PATH_MAX.

    Only one of `sample` files is read; the content of the others is None."""
    here = os.open(".", os.O_RDONLY)
    out, digests = {}, {}
    try:
        os.chdir(top)
        out[b"/"] = node_of(b".", os.lstat(b"."), digests, sample)
        stack = [(b"", sorted(os.listdir(b".")))]
        while stack:
            path, names = stack[-1]
            if not names:
                stack.pop()
                if stack:
                    os.chdir("..")
                continue
            name = names.pop()
            st = os.lstat(name)
            out[path + b"/" + name] = node_of(name, st, digests, sample)
            if stat.S_ISDIR(st.st_mode):
                os.chdir(name)
                stack.append((path + b"/" + name, sorted(os.listdir(b"."))))
    finally:
        os.chdir(here)
        os.close(here)
    return out


def clean(name):
    parts = []
    for p in name.split(b"/"):
        if p == b"..":
            parts.pop()
        elif p not in (b"", b"."):
            parts.append(p)
    return parts


KINDS = {tarfile.REGTYPE: stat.S_IFREG, tarfile.AREGTYPE: stat.S_IFREG,
         tarfile.DIRTYPE: stat.S_IFDIR, tarfile.SYMTYPE: stat.S_IFLNK,
         tarfile.CHRTYPE: stat.S_IFCHR, tarfile.BLKTYPE: stat.S_IFBLK,
         tarfile.FIFOTYPE: stat.S_IFIFO, tarfile.CONTTYPE: stat.S_IFREG,
         tarfile.GNUTYPE_SPARSE: stat.S_IFREG}


def tar_digest(raw, info):
    d = Digest(info.size)
    if getattr(info, "sparse", None) is None:
        pieces = [(0, info.size)]
    else:
        pieces = info.sparse
    at = info.offset_data
    for off, length in pieces:
        raw.seek(at)
        left, pos = length, off
        while left:
            data = raw.read(min(left, 1 << 20))
            assert data
            d.add(pos, data)
            left, pos = left - len(data), pos + len(data)
        at += length
    return d.result()


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def model(path):
    """{path: Node} of what is below rootfs in a tar, by Python's tarfile."""
    out, links = {}, []
    with tarfile.open(path, errors="surrogateescape") as t, open(path, "rb") as raw:
        for info in t:
            parts = clean(encode(info.name))
            if parts[:1] != [b"rootfs"]:
                continue
            name = b"/" + b"/".join(parts[1:])
            up = parent(name)
            while up != b"/" and up not in out:
                out[up] = Node(mode=stat.S_IFDIR | 0o755, implied=True, ident=object())
                up = parent(up)
            if info.islnk():
                links.append((name, b"/" + b"/".join(clean(encode(info.linkname))[1:])))
                continue
            mtime = Decimal(info.pax_headers.get("mtime", str(info.mtime)))
            n = Node(mode=KINDS[info.type] | info.mode & 0o7777, uid=info.uid, gid=info.gid,
                     mtime=int((mtime * 10**9).to_integral_value()), ident=object())
            for k, v in info.pax_headers.items():
                if k.startswith("SCHILY.xattr."):
                    n.xattrs[encode(k[len("SCHILY.xattr."):])] = encode(v)
            if info.isreg() or info.type == tarfile.GNUTYPE_SPARSE:
                n.size, n.content = info.size, tar_digest(raw, info)
            elif info.issym():
                n.content = encode(info.linkname)
                n.size, n.mode = len(n.content), stat.S_IFLNK | 0o777  # as on Linux
            elif info.ischr() or info.isblk():
                n.rdev = (info.devmajor, info.devminor)
            out[name] = n
    for name, target in links:
        out[name] = None
    todo = dict(links)
    for name in todo:
        end = name
        while end in todo:
            end = todo[end]
        out[name] = out[end]
    return count_links(out)


def parent(path):
    return path.rsplit(b"/", 1)[0] or b"/"


def count_links(tree):
    """Gives each name a Node of its own whose nlink is right for this tree."""
    names, subdirs = {}, {}
    for path, n in tree.items():
        names[id(n.ident)] = names.get(id(n.ident), 0) + 1
        if stat.S_ISDIR(n.mode) and path != b"/":
            subdirs[parent(path)] = subdirs.get(parent(path), 0) + 1
    out = {}
    for path, n in tree.items():
        copy = Node(**n.__dict__)
        copy.nlink = 2 + subdirs.get(path, 0) if stat.S_ISDIR(n.mode) else names[id(n.ident)]
        out[path] = copy
    return out


def clean_path(text):
    return b"/" + b"/".join(clean(encode(text)))


def filtered(tree, whitelists):
    """The names that are in all lists that are not empty, and the directories above them."""
    lists = [{clean_path(p) for p in w} for w in whitelists if w]
    keep = {b"/"}
    for path in tree:
        if all(path in w for w in lists):
            while path != b"/":
                keep.add(path)
                path = parent(path)
    return {p: n for p, n in tree.items() if p in keep}


def render(layers):
    """The naive renderer: extracts one layer after the other. layers: [(tree, whitelists)]."""
    out = {b"/": Node(mode=stat.S_IFDIR | 0o755, implied=True, ident=object())}
    for tree, whitelists in layers:
        fresh = {}
        for path in sorted(filtered(tree, whitelists), key=lambda p: p.count(b"/") if p != b"/" else 0):
            n = Node(**tree[path].__dict__)
            n.ident = fresh.setdefault(id(tree[path].ident), object())
            old = out.get(path)
            if old and stat.S_ISDIR(old.mode) and stat.S_ISDIR(n.mode):
                if n.implied:
                    continue
            elif old:
                for other in [p for p in out if p.startswith(path + b"/")]:
                    del out[other]
            out[path] = n
    return count_links(out)


def groups(tree):
    """Which names are one inode."""
    by = {}
    for path, n in tree.items():
        by.setdefault(n.ident if isinstance(n.ident, int) else id(n.ident), []).append(path)
    return sorted(sorted(g) for g in by.values())


def picture(n, ignore):
    d = {k: v for k, v in n.__dict__.items() if k not in ("ident", "implied")}
    if stat.S_ISDIR(n.mode):
        d["size"] = d["content"] = None
    for k in ignore:
        if k == "mtime_ns":
            d["mtime"] //= 10**9
        else:
            d.pop(k)
    return d


def differences(got, want, ignore=()):
    out = []
    for path in sorted(set(got) | set(want)):
        if path not in got:
            out.append(f"{path!r}: missing")
        elif path not in want:
            out.append(f"{path!r}: should not be there")
        else:
            a, b = picture(got[path], ignore), picture(want[path], ignore)
            out += [f"{path!r}: {k} is {str(a[k])[:200]}, should be {str(b[k])[:200]}"
                    for k in a if a[k] != b[k] and not (k == "content" and a[k] is None)]
    if not out and groups(got) != groups(want):
        out.append("hard links differ")
    return out[:20]
