# SPDX-License-Identifier: Apache-2.0
"""An index must show exactly what a plain extraction of the tars shows.

Everywhere: the index, read by an independent strict reader (erofs_reader.py), against a model of the
tar made by Python's tarfile. As root also: the index mounted by the kernel, GNU tar's
extraction and ours, all against that model. APPC_TEST_MOUNT=1 makes being unable to mount a failure.

And fsck.erofs looks at every index (fsck_erofs.py).
"""
import contextlib
import os
import random
import stat
import subprocess
import tarfile

import pytest

import tarmaker
import truth
from erofs_reader import Image
from fsck_erofs import fsck_erofs

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("APPC_VM_BUILD", os.path.join(HERE, "../../build"))
PACK = os.path.join(BUILD, "tests/image/erofs-pack")
ROOT = os.geteuid() == 0

PYTHON_TARS = [tarmaker.names, tarmaker.sizes, tarmaker.links, tarmaker.metadata, tarmaker.implied,
               tarmaker.deep, tarmaker.very_deep, tarmaker.sparse_pax, tarmaker.gnu_format,
               tarmaker.ustar_format]
# GNU tar can't extract paths beyond PATH_MAX nor links that point forward, expects the pieces of a
# sparse file to be padded, and gives directories without an entry the time of extraction.
NOT_FOR_GNU_TAR = (tarmaker.deep, tarmaker.very_deep, tarmaker.sparse_pax, tarmaker.links,
                   tarmaker.implied)
# fsck.erofs gives up on paths beyond PATH_MAX; sparse_pax is terabytes long, and it reads the holes.
NOT_FOR_FSCK = (tarmaker.deep, tarmaker.very_deep, tarmaker.sparse_pax)
ARCHIVERS = ["gnu-posix", "gnu-posix-0.0", "gnu-posix-0.1", "gnu-old", "bsdtar"]


def test_can_mount():
    """Says loudly when the half of the tests that needs root is not run."""
    if not ROOT and os.environ.get("APPC_TEST_MOUNT") == "1":
        pytest.fail("APPC_TEST_MOUNT=1, but only root can mount")


@pytest.fixture
def tmpfs(tmp_path):
    """A directory that keeps all attributes: tmpfs when we may mount one."""
    top = tmp_path / "tmpfs"
    top.mkdir()
    if ROOT:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=0", "none", str(top)], check=True)
    yield str(top)
    if ROOT:
        subprocess.run(["umount", str(top)], check=True)


@contextlib.contextmanager
def mounted(image, where):
    os.mkdir(where)
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", image, where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", where], check=True)


def pack(args, out, fsck=True):
    subprocess.run([PACK, *args, out], check=True)
    if fsck:
        subprocess.run([fsck_erofs(), "--extract", out], check=True, stdout=subprocess.DEVNULL)
    return out


def same(got, want, ignore=()):
    assert not truth.differences(got, want, ignore)


def check_kernel(image, want, tmpfs, ignore=(), sample=1):
    if not ROOT:
        return
    with mounted(image, os.path.join(tmpfs, "mnt")) as top:
        same(truth.snapshot(top, sample), want, ignore)


def check_extract(args, want, tmpfs, ignore=()):
    top = os.path.join(tmpfs, "ours")
    os.mkdir(top)
    subprocess.run([PACK, "-x", top, *args], check=True)
    if not ROOT:
        ignore = ("uid", "gid", "mode", "xattrs", "nlink")
        want = {p: n for p, n in want.items() if n.rdev is None}
    same(truth.snapshot(top), want, ignore)


def check_gnu_tar(tar, want, tmpfs):
    if not ROOT:
        return
    top = os.path.join(tmpfs, "gnu")
    os.mkdir(top)
    subprocess.run(["tar", "-x", "-f", tar, "--xattrs", "--xattrs-include=*", "--same-owner", "-p",
                    "--numeric-owner", "-C", top], check=True, env={**os.environ, "LC_ALL": "C"})
    same(truth.snapshot(top + "/rootfs"), want)


@pytest.mark.parametrize("make", PYTHON_TARS, ids=lambda f: f.__name__)
def test_python_tar(make, tmpfs):
    """IMG-08, IMG-11"""
    tar = make(os.path.join(tmpfs, "a.tar"))
    want = truth.model(tar)
    image = pack([tar], os.path.join(tmpfs, "a.img"), fsck=make not in NOT_FOR_FSCK)
    same(Image(image).tree(), want)
    check_kernel(image, want, tmpfs)
    check_extract([tar], want, tmpfs)
    if make not in NOT_FOR_GNU_TAR:
        check_gnu_tar(tar, want, tmpfs)


@pytest.mark.skipif(not ROOT, reason="the directory to archive needs devices and owners")
@pytest.mark.parametrize("kind", ARCHIVERS)
def test_archived_directory(kind, tmpfs):
    """IMG-11: the truth is the directory that was archived."""
    source = os.path.join(tmpfs, "source")
    tarmaker.hard_directory(source)
    want = truth.snapshot(source + "/rootfs")
    tar = tarmaker.archive(kind, source, os.path.join(tmpfs, "a.tar"))
    ignore = ("xattrs", "mtime_ns") if kind == "gnu-old" else ()
    image = pack([tar], os.path.join(tmpfs, "a.img"))
    same(Image(image).tree(), want, ignore)
    check_kernel(image, want, tmpfs, ignore)
    check_extract([tar], want, tmpfs, ignore)


@pytest.mark.skipif(not ROOT, reason="needs a mount")
def test_holes_are_holes(tmpfs):
    """The kernel reports the holes of a sparse file, not gigabytes of zeros."""
    tar = tarmaker.sparse_pax(os.path.join(tmpfs, "a.tar"))
    image = pack([tar], os.path.join(tmpfs, "a.img"), fsck=False)
    with mounted(image, os.path.join(tmpfs, "mnt")) as top:
        for name in os.listdir(top):
            fd = os.open(os.path.join(top, name), os.O_RDONLY)
            size = os.fstat(fd).st_size
            data = sum(b - a for a, b in truth.data_ranges(fd, size))
            os.close(fd)
            assert data <= 16 << 20, name  # chunks that are copied; the largest file has 4 TiB


def test_large(tmpfs):
    """100,000 entries, one directory of 50,000 names."""
    tar = tarmaker.wide(os.path.join(tmpfs, "a.tar"))
    want = truth.model(tar)
    assert len(want) > 100000
    image = pack(["-s", tar], os.path.join(tmpfs, "a.img"))
    same(Image(image).tree(), want)
    check_kernel(image, want, tmpfs, sample=20)


def test_same_input_same_bytes(tmpfs):
    tar = tarmaker.metadata(os.path.join(tmpfs, "a.tar"))
    a = pack([tar], os.path.join(tmpfs, "a.img"))
    b = pack([tar], os.path.join(tmpfs, "b.img"))
    c = pack([tarmaker.links(os.path.join(tmpfs, "c.tar"))], os.path.join(tmpfs, "c.img"))
    with open(a, "rb") as x, open(b, "rb") as y:
        assert x.read() == y.read()
    assert Image(a).uuid == Image(b).uuid != Image(c).uuid


def random_tar(path, rng, tag):
    """A small image whose names collide with those of others, in all ways."""
    t = tarmaker.Tar(path, head=False)
    t.raw(b"manifest", data=tarmaker.MANIFEST)
    t.raw(b"rootfs", tarmaker.DIR, mode=0o700 + rng.randrange(64))
    kinds, files = {b"": "dir"}, []
    for _ in range(rng.randrange(1, 30)):
        depth = rng.randrange(1, 5)
        parts = [rng.choice((b"a", b"b", b"c")) for _ in range(depth)]
        ups = [b"/".join(parts[:k]) for k in range(1, depth)]
        name = b"/".join(parts)
        if name in kinds or any(kinds.get(u, "dir") != "dir" for u in ups):
            continue
        for u in ups:
            kinds.setdefault(u, "dir")
        kind = rng.choice(("file", "file", "dir", "sym", "link", "fifo"))
        if kind == "link" and not files:
            kind = "file"
        kinds[name] = kind
        meta = {"mode": 0o600 + rng.randrange(64), "uid": rng.randrange(9), "mtime": rng.randrange(99)}
        if kind == "file":
            t.add(name, data=b"%s:%s" % (tag, name), **meta)
            files.append(name)
        elif kind == "dir":
            t.add(name, tarmaker.DIR, **meta)
        elif kind == "sym":
            t.add(name, tarmaker.SYM, link=rng.choice((b"a", b"../b", b"/c", b"/etc")), **meta)
        elif kind == "link":
            t.add(name, tarmaker.LNK, link=rng.choice(files))
        else:
            t.add(name, tarmaker.FIFO, **meta)
    return t.close()


def random_list(rng):
    if rng.random() < 0.4:
        return []
    out = ["/not/there"]
    for _ in range(rng.randrange(1, 25)):
        path = "/".join(rng.choice("abc") for _ in range(rng.randrange(1, 5)))
        out.append(rng.choice(("/", "", "//", "/x/../")) + path + rng.choice(("", "", "/", "/.")))
    return out


def compose(layers, tmpfs, name):
    """layers: [(tar, whitelists)] in override order."""
    args = []
    for k, (tar, whitelists) in enumerate(layers):
        for j, w in enumerate(whitelists):
            path = os.path.join(tmpfs, f"{name}-{k}-{j}.list")
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(w))
            args += ["-w", path]
        args.append(tar)
    want = truth.render([(truth.model(t), w) for t, w in layers])
    image = pack(args, os.path.join(tmpfs, name + ".img"))
    same(Image(image).tree(), want)
    return image, want, args


@pytest.mark.parametrize("seed", range(60))
def test_random_compositions(seed, tmpfs):
    """RENDER-03 to RENDER-23 against the naive renderer: three images, chains of whitelists."""
    rng = random.Random(seed)
    layers = []
    for k in range(3):
        tar = random_tar(os.path.join(tmpfs, f"{k}.tar"), rng, b"%d" % k)
        layers.append((tar, [random_list(rng) for _ in range(rng.randrange(3))]))
    image, want, args = compose(layers, tmpfs, "all")
    if seed < 10:
        check_kernel(image, want, tmpfs)
        check_extract(args, want, tmpfs)


def test_three_images(tmpfs):
    """The cases that the checklist names, by hand: what must be where."""
    base = tarmaker.Tar(os.path.join(tmpfs, "base.tar"))
    base.add(b"lib", tarmaker.SYM, link=b"/outside")
    base.add(b"etc", tarmaker.DIR, mode=0o700)
    base.add(b"etc/conf", data=b"base")
    base.add(b"etc/only-base", data=b"base")
    base.add(b"gone", tarmaker.DIR)
    base.add(b"gone/file", data=b"base")
    base.add(b"one", data=b"linked")
    base.add(b"two", tarmaker.LNK, link=b"one")
    mid = tarmaker.Tar(os.path.join(tmpfs, "mid.tar"))
    mid.add(b"lib/file", data=b"mid")
    mid.add(b"etc/conf", data=b"mid")
    mid.add(b"gone", data=b"a file now")
    top = tarmaker.Tar(os.path.join(tmpfs, "top.tar"))
    top.add(b"etc", tarmaker.DIR, mode=0o755)
    top.add(b"app", data=b"top", mode=0o4711)
    keep = ["/lib/file", "/etc/conf", "/gone", "/two", "/app", "/etc/only-base"]
    layers = [(base.close(), [keep]), (mid.close(), [keep]), (top.close(), [keep])]
    image, want, args = compose(layers, tmpfs, "three")
    tree = Image(image).tree()
    assert stat.S_ISDIR(tree[b"/lib"].mode) and tree[b"/lib"].mode & 0o777 == 0o755  # RENDER-22
    assert b"/one" not in tree and tree[b"/two"].nlink == 1  # RENDER-23
    assert tree[b"/etc"].mode & 0o777 == 0o700  # RENDER-18: the top's entry is filtered
    assert stat.S_ISREG(tree[b"/gone"].mode) and b"/gone/file" not in tree  # RENDER-17
    check_kernel(image, want, tmpfs)
    check_extract(args, want, tmpfs)


def test_refused(tmpfs):
    """IMG-03 to IMG-10: each with the name at fault, and nothing written."""
    cases = {
        "twice": lambda t: (t.add(b"a", data=b"1"), t.add(b"./x/../a", data=b"2")),
        "at the top": lambda t: t.raw(b"README"),
        "at the top ": lambda t: t.raw(b"rootfsX/a"),
        "absolute": lambda t: t.raw(b"/rootfs/a"),
        "leaves the archive": lambda t: t.raw(b"../a"),
        "at the top  ": lambda t: t.raw(b"rootfs/../a"),
        "not a directory": lambda t: (t.add(b"f"), t.add(b"f/g")),
        "below it": lambda t: (t.add(b"d/g"), t.add(b"d")),
        "outside rootfs": lambda t: t.raw(b"rootfs/l", tarmaker.LNK, link=b"manifest"),
        "no such entry": lambda t: t.add(b"l", tarmaker.LNK, link=b"none"),
        "circle": lambda t: (t.add(b"l", tarmaker.LNK, link=b"m"), t.add(b"m", tarmaker.LNK, link=b"l")),
        "hard link to": lambda t: (t.add(b"d", tarmaker.DIR), t.add(b"l", tarmaker.LNK, link=b"d")),
        "twice ": lambda t: t.raw(b"manifest", data=b"{}"),
        "component has 256": lambda t: t.add(b"n" * 256),
        "owner": lambda t: t.add(b"o", pax={"uid": "4294967295"}),
    }
    for k, (text, make) in enumerate(cases.items()):
        t = tarmaker.Tar(os.path.join(tmpfs, f"{k}.tar"))
        make(t)
        run = subprocess.run([PACK, t.close(), os.path.join(tmpfs, "out")], capture_output=True, text=True,
                             errors="replace", check=False)
        assert run.returncode == 1 and text.strip() in run.stderr, (text, run.stderr)
    assert not os.path.exists(os.path.join(tmpfs, "out"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
