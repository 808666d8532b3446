# SPDX-License-Identifier: Apache-2.0
"""Images end to end, without a VM: fetch, the store, references, export, extract, render."""
import bz2
import fcntl
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import random
import signal
import stat
import subprocess
import tarfile

import pytest

from conftest import BUILD, Appc, wait_for

COMPRESSIONS = ["gzip", "xz", "bzip2", "zstd", "none"]
INSECURE = "--insecure-options=image"
FETCH = ("fetch", "--quiet", INSECURE)
ROOT_USER = os.geteuid() == 0


@pytest.fixture
def store(tmp_path):
    """A store of this test alone."""
    return Appc(tmp_path / "data", tmp_path)


def manifest(name="example.com/a", version="1.0.0", **more):
    doc = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name}
    if version is not None:
        doc["labels"] = [{"name": "version", "value": version}]
    doc.update(more)
    return json.dumps(doc)


def layout(base, files=None, text=None, **more):
    """An image layout: files is {path below rootfs: content, None for a directory}."""
    base = pathlib.Path(base)
    (base / "rootfs").mkdir(parents=True)
    (base / "manifest").write_text(text if text is not None else manifest(**more))
    for path, content in (files or {}).items():
        p = base / "rootfs" / path
        p.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            p.mkdir(exist_ok=True)
        else:
            p.write_bytes(content if isinstance(content, bytes) else content.encode())
    return base


def add(store, files=None, **more):
    """Builds an image and imports it: its ID."""
    add.count = getattr(add, "count", 0) + 1
    base = store.work / f"layout-{add.count}"
    layout(base, files, **more)
    aci = store.work / f"image-{add.count}.aci"
    store("build", "--compress=none", "--mtime=0", base, aci, check=0)
    return store("fetch", INSECURE, "--no-dependencies", aci, check=0).stdout.strip()


def entry(name, content=b"", type=tarfile.REGTYPE, link="", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = type, link, mode
    content = content.encode() if isinstance(content, str) else content
    info.size = len(content) if type in (tarfile.REGTYPE, tarfile.CONTTYPE) else 0
    for k, v in more.items():
        setattr(info, k, v)
    return info, content


def tar_of(*entries, format=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as t:
        for info, content in entries:
            t.addfile(info, io.BytesIO(content) if content else None)
    return out.getvalue()


def dir_entry(name):
    return entry(name, type=tarfile.DIRTYPE, mode=0o755)


def good_tar(*entries, **more):
    return tar_of(entry("manifest", manifest()), dir_entry("rootfs"), *entries, **more)


def listing(store):
    """All files in the store, but SQLite's own."""
    return sorted(str(p.relative_to(store.data)) for p in store.data.rglob("*")
                  if p.is_file() and not p.name.startswith("index.db"))


def sha512_id(data):
    return "sha512-" + hashlib.sha512(data).hexdigest()


def one_line(r):
    """A failure is one line on standard error and nothing on standard output."""
    assert r.returncode == 1, (r.returncode, r.stdout, r.stderr)
    assert r.stdout == "" and r.stderr.startswith("appc-vm: ")
    errors = [line for line in r.stderr.splitlines() if "warning" not in line]
    assert len(errors) == 1, r.stderr
    return errors[0]


def refused(store, data, name="bad.aci", *options):
    """Imports bytes that have to be refused, and checks that nothing is left of them."""
    store("image", "list", check=0)
    before = listing(store)
    path = store.work / name
    path.write_bytes(data)
    message = one_line(store(*FETCH, *options, path))
    assert listing(store) == before
    assert store("image", "list", "--no-legend", check=0).stdout.count(sha512_id(data)) == 0
    return message


# ---- fetch -----------------------------------------------------------------------------------


def test_fetch_prints_the_id_alone(store):
    aci = store.work / "a.aci"
    expected = store("build", layout(store.work / "l", {"f": "x"}), aci, check=0).stdout
    r = store(*FETCH, aci, check=0)
    assert r.stdout == expected and r.stderr == ""
    assert store(*FETCH, aci, check=0).stdout == expected
    assert len(os.listdir(store.data / "blobs")) == 1


def test_SIG_01_unsigned_is_refused_with_a_hint(store):
    aci = store.work / "a.aci"
    aci.write_bytes(good_tar())
    assert "--insecure-options=image" in one_line(store("fetch", aci))
    assert os.listdir(store.data / "blobs") == []


def test_IMG_01_another_suffix_is_warned_of(store):
    path = store.work / "image.tar"
    path.write_bytes(good_tar())
    r = store(*FETCH, path, check=0)
    assert "does not end in .aci" in r.stderr and r.stdout.startswith("sha512-")


def test_IMG_12_IMG_21_compression_does_not_change_the_id(store):
    base = layout(store.work / "l", {"f": os.urandom(100000), "g": "text" * 1000})
    for c in COMPRESSIONS:
        store("build", f"--compress={c}", base, store.work / f"{c}.aci", check=0)
    expected = sha512_id((store.work / "none.aci").read_bytes())
    for c in COMPRESSIONS:
        assert store(*FETCH, store.work / f"{c}.aci", check=0).stdout.strip() == expected
    assert os.listdir(store.data / "blobs") == [expected]
    assert (store.data / "blobs" / expected).read_bytes() == (store.work / "none.aci").read_bytes()


def test_IMG_12_archives_of_other_tools(store):
    """What Python's and the system's compressors write, several members and padding included."""
    tar = good_tar(entry("rootfs/f", os.urandom(200000)))
    half = len(tar) // 2
    forms = {
        "gz": gzip.compress(tar),
        "gz-members": gzip.compress(tar[:half]) + gzip.compress(tar[half:]),
        "gz-padded": gzip.compress(tar) + bytes(5000),
        "bz2": bz2.compress(tar),
        "bz2-members": bz2.compress(tar[:half]) + bz2.compress(tar[half:]),
        "xz": lzma.compress(tar),
        "xz-crc32": lzma.compress(tar, check=lzma.CHECK_CRC32),
        "zst": subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout,
        "tar": tar,
    }
    named = io.BytesIO()
    with gzip.GzipFile("name-in-the-header", "wb", fileobj=named, mtime=12345) as g:
        g.write(tar)
    forms["gz-named"] = named.getvalue()
    for name, data in forms.items():
        path = store.work / f"{name}.aci"
        path.write_bytes(data)
        assert store(*FETCH, path, check=0).stdout.strip() == sha512_id(tar), name


@pytest.mark.parametrize("name,data,part", [
    ("text", b"#!/bin/sh\necho this is no image\n" * 100, "not an ACI"),
    ("empty", b"", "not an ACI"),
    ("zeros", bytes(10240), "not an ACI"),
    ("random", random.Random(1).randbytes(10240), "not an ACI"),
    ("armored", b"-----BEGIN PGP MESSAGE-----\n\n" + b"jA0ECQMC\n" * 90, "encrypted"),
    ("encrypted", bytes([0x8C, 0x0D, 4, 9, 3, 2]) + random.Random(2).randbytes(600), "encrypted"),
    ("encrypted-new", bytes([0xC3, 0x0D, 4, 9, 3, 2]) + random.Random(2).randbytes(600), "encrypted"),
    ("signature", b"-----BEGIN PGP SIGNATURE-----\n\niQ\n", "signature"),
    ("gzip-of-text", gzip.compress(b"hello\n" * 1000), "not an ACI"),
    ("gzip-of-nothing", gzip.compress(b""), "not an ACI"),
])
def test_IMG_02_IMG_13_IMG_14_what_is_no_archive(store, name, data, part):
    assert part in refused(store, data)


def test_IMG_13_v7_tar_is_refused(store):
    tar = bytearray(good_tar(format=tarfile.USTAR_FORMAT))
    for at in range(0, len(tar), 512):
        if tar[at + 257:at + 262] == b"ustar":
            tar[at + 257:at + 265] = bytes(8)
            tar[at + 148:at + 156] = b" " * 8
            tar[at + 148:at + 156] = b"%06o\0 " % sum(tar[at:at + 512])
    assert "not an ACI" in refused(store, bytes(tar))


HOSTILE = {
    "absolute": (good_tar(entry("/rootfs/x", "x")), "x"),
    "absolute-etc": (good_tar(entry("/etc/evil", "x")), "evil"),
    "dotdot": (good_tar(entry("../evil", "x")), "evil"),
    "dotdot-inside": (good_tar(entry("rootfs/../../evil", "x")), "evil"),
    "dotdot-to-top": (good_tar(entry("rootfs/../evil", "x")), "evil"),
    "IMG-05-third-name": (good_tar(entry("README", "x")), "README"),
    "IMG-10-prefix-without-slash": (good_tar(entry("rootfsX/f", "x")), "rootfsX"),
    "IMG-03-duplicate": (good_tar(entry("rootfs/a", "1"), entry("rootfs/a", "2")), "rootfs/a"),
    "IMG-04-duplicate-cleaned": (good_tar(entry("rootfs/a", "1"), entry("./rootfs//a", "2")), "rootfs//a"),
    "IMG-04-two-manifests": (good_tar(entry("manifest", manifest())), "manifest"),
    "IMG-04-two-rootfs": (good_tar(dir_entry("./rootfs/")), "rootfs"),
    "through-symlink": (good_tar(entry("rootfs/l", type=tarfile.SYMTYPE, link="/tmp"),
                                 entry("rootfs/l/evil", "x")), "rootfs/l"),
    "hardlink-outside": (good_tar(entry("rootfs/h", type=tarfile.LNKTYPE, link="/etc/passwd")), "rootfs/h"),
    "hardlink-dotdot": (good_tar(entry("rootfs/h", type=tarfile.LNKTYPE, link="rootfs/../../x")), "rootfs/h"),
    "hardlink-nowhere": (good_tar(entry("rootfs/h", type=tarfile.LNKTYPE, link="rootfs/nope")), "rootfs/h"),
    "file-as-directory": (good_tar(entry("rootfs/a", "1"), entry("rootfs/a/b", "2")), "rootfs/a"),
    "no-manifest": (tar_of(dir_entry("rootfs")), "manifest"),
    "IMG-07-no-rootfs": (tar_of(entry("manifest", manifest()), entry("rootfs/f", "x")), "rootfs"),
    "IMG-07-rootfs-is-a-file": (tar_of(entry("manifest", manifest()), entry("rootfs", "x")), "rootfs"),
    "IMG-07-rootfs-is-a-symlink": (tar_of(entry("manifest", manifest()),
                                          entry("rootfs", type=tarfile.SYMTYPE, link="/")), "rootfs"),
    "IMG-06-manifest-is-a-symlink": (tar_of(entry("manifest", type=tarfile.SYMTYPE, link="rootfs/m"),
                                            dir_entry("rootfs"), entry("rootfs/m", manifest())), "manifest"),
    "IMG-06-manifest-is-a-directory": (tar_of(dir_entry("manifest"), dir_entry("rootfs")), "manifest"),
    "IMG-23-empty-manifest": (tar_of(entry("manifest", ""), dir_entry("rootfs")), "manifest"),
    "IMG-23-manifest-no-json": (tar_of(entry("manifest", "{\n\"a\": ]"), dir_entry("rootfs")), "2:"),
    "IMG-24-no-name": (tar_of(entry("manifest", '{"acKind":"ImageManifest","acVersion":"0.8.11"}'),
                              dir_entry("rootfs")), "name"),
    "TYPE-07-pod-manifest": (tar_of(entry("manifest", '{"acKind":"PodManifest","acVersion":"0.8.11","apps":[]}'),
                                    dir_entry("rootfs")), "acKind"),
    "huge-manifest": (tar_of(entry("manifest", b" " * (9 << 20)), dir_entry("rootfs")), "manifest"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives(store, name):
    data, part = HOSTILE[name]
    assert part in refused(store, data)
    assert not (store.work / "evil").exists() and not pathlib.Path("/tmp/evil").exists()


def test_sparse_manifest_of_two_gigabytes(store):
    """The archive is small, the file that it describes is not."""
    data = b"1\n0\n512\n".ljust(512, b"\0") + manifest().encode().ljust(512, b" ")
    info, _ = entry("GNUSparseFile.0/x", data)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "manifest",
                        "GNU.sparse.realsize": str(2 << 30)}
    assert "manifest" in refused(store, tar_of((info, data), dir_entry("rootfs")))


def test_deep_and_long_names_end_in_time(store):
    tar = good_tar(entry("rootfs/" + "d/" * 20000 + "f", "x"))
    assert refused(store, tar)
    assert refused(store, good_tar(entry("rootfs/" + "n" * 300, "x")))


def test_compression_bombs(store):
    """Much out of little is stopped on the way, by the ratio and by the size."""
    zeros = gzip.compress(bytes(16 << 20), 9)
    bomb = gzip.compress(good_tar()) + zeros * 20
    assert "--max-ratio" in refused(store, bomb)
    small = gzip.compress(good_tar(entry("rootfs/f", os.urandom(3 << 20))))
    assert "--max-size" in refused(store, small, "bad.aci", "--max-size=2M")
    assert "--max-ratio" in refused(store, lzma.compress(good_tar()) + lzma.compress(bytes(16 << 20)) * 20)
    # The same in earnest: a file of zeros.
    path = store.work / "zeros.aci"
    info, _ = entry("rootfs/f")
    info.size = 272 << 20
    head = good_tar()[:1024 + 512 * 3].rstrip(b"\0")
    head += bytes(-len(head) % 512) + info.tobuf(tarfile.PAX_FORMAT)
    path.write_bytes(gzip.compress(head) + zeros * 17 + gzip.compress(bytes(1024)))
    assert "--max-ratio" in one_line(store(*FETCH, path))
    store(*FETCH, "--max-ratio=2000", path, check=0)


def reference(data):
    """What the tools of the system make of an archive: the tar, or None."""
    for magic, command in ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7z", "xz"), (b"\x28\xb5", "zstd")):
        if data.startswith(magic):
            r = subprocess.run([command, "-dc"], input=data, capture_output=True)
            return r.stdout if r.returncode == 0 else None
    return data


def damaged(store, archive, data, what):
    """A damaged archive is refused, or is a whole one with the ID of what it holds."""
    path = store.work / "damaged.aci"
    path.write_bytes(data)
    r = store(*FETCH, path)
    if r.returncode == 0:
        tar = reference(data)
        assert tar is not None and r.stdout.strip() == sha512_id(tar), (archive, what)
        store("image", "rm", r.stdout.strip(), check=0)
    else:
        one_line(r)
    assert listing(store) == [], (archive, what)
    return r.returncode


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_truncated_archives(store, compression):
    base = layout(store.work / "l", {f"d{i}/f{i}": os.urandom(i * 300) for i in range(20)})
    aci = store.work / "a.aci"
    store("build", f"--compress={compression}", base, aci, check=0)
    data = aci.read_bytes()
    cuts = sorted(set([1, 2, 5, 10, 18, 100, 257, 262, 511, 512, 513, len(data) - 1, len(data) - 8] +
                      random.Random(3).sample(range(len(data)), 25)))
    for cut in cuts:
        result = damaged(store, compression, data[:cut], cut)
        # A tar without its two zero blocks is one that old tools write.
        assert result == 1 or (compression == "none" and cut > len(data) - 1024), cut


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_flipped_bits(store, compression):
    base = layout(store.work / "l", {f"d{i}/f{i}": os.urandom(i * 100) for i in range(20)})
    aci = store.work / "a.aci"
    expected = store("build", f"--compress={compression}", base, aci, check=0).stdout.strip()
    data = aci.read_bytes()
    rng = random.Random(4)
    passed = []
    for at in sorted(rng.sample(range(len(data)), 24) + list(range(12))):
        flipped = bytearray(data)
        flipped[at] ^= 1 << rng.randrange(8)
        if damaged(store, compression, bytes(flipped), at) == 0:
            passed.append(at)
    if compression in ("gzip", "bzip2", "xz"):
        # All but gzip's header has a checksum.
        assert all(at < 10 for at in passed), passed
    assert expected


def test_full_disk(store):
    """In a file system of 4 MB, as far as user namespaces let us have one."""
    aci = store.work / "a.aci"
    store("build", "--compress=none", layout(store.work / "l", {"f": os.urandom(8 << 20)}), aci, check=0)
    small = store.work / "small"
    small.mkdir()
    script = f"""mount -t tmpfs -o size=4m,mode=0755 none {small} || exit 77
        {BUILD}/appc-vm fetch --dir={small}/d {INSECURE} {aci}; echo status $?
        ls -A {small}/d/blobs {small}/d/rendered"""
    flags = "-m" if ROOT_USER else "-rm"
    r = subprocess.run(["unshare", flags, "sh", "-c", script], capture_output=True, text=True)
    assert "status 1" in r.stdout and "No space left on device" in r.stderr, r
    assert "sha512" not in r.stdout and ".tmp" not in r.stdout


def big_archive(store, megabytes=64):
    aci = store.work / "big.aci"
    store("build", "--compress=none", layout(store.work / "big", {"f": os.urandom(megabytes << 20)}), aci, check=0)
    return aci


def temp_files(store):
    return [p for d in ("blobs", "rendered") for p in (store.data / d).glob(".tmp-*")]


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_killed_imports_leave_nothing_that_stays(store):
    aci = big_archive(store)
    store("image", "list", check=0)
    leftovers = 0
    for megabytes in (0, 1, 7, 20, 40):
        p = store.start(*FETCH, aci)
        wait_for(lambda: p.poll() is not None or any(size_of(t) >= megabytes << 20 for t in temp_files(store)))
        p.kill()
        p.communicate()
        leftovers += len(temp_files(store))
        assert store("image", "list", "--no-legend", check=0).stdout == "" or p.returncode == 0
    assert leftovers
    image = store(*FETCH, aci, check=0).stdout.strip()
    assert temp_files(store) == [] and os.listdir(store.data / "blobs") == [image]
    assert store("image", "verify", image, check=0).stdout == f"{image} ok\n"


def test_sweeping_spares_what_is_being_written(store):
    aci = big_archive(store)
    store("image", "list", check=0)
    p = store.start(*FETCH, aci)
    wait_for(lambda: any(size_of(t) for t in temp_files(store)))
    p.send_signal(signal.SIGSTOP)
    running = p.poll() is None and temp_files(store)
    add(store, {"f": "other"}, name="example.com/other")
    assert not running or temp_files(store) == running
    p.send_signal(signal.SIGCONT)
    out, err = p.communicate()
    assert p.returncode == 0 and out.startswith("sha512-"), err
    assert temp_files(store) == [] and len(os.listdir(store.data / "blobs")) == 2


def test_a_blob_without_a_row_is_swept(store):
    store("image", "list", check=0)
    (store.data / "blobs" / sha512_id(b"x")).write_bytes(b"x")
    (store.data / "rendered" / ("0" * 128 + ".erofs")).write_bytes(b"x")
    image = add(store, {"f": "y"})
    assert os.listdir(store.data / "blobs") == [image]
    assert len(os.listdir(store.data / "rendered")) == 1


def test_the_same_image_by_several_processes(store):
    """Eight processes make the store, and import, at the same time."""
    aci = store.work / "a.aci"
    expected = store("build", layout(store.work / "l", {"f": os.urandom(2 << 20)}), aci, check=0).stdout
    running = [store.start(*FETCH, aci) for _ in range(8)]
    for p in running:
        out, err = p.communicate()
        assert (p.returncode, out, err) == (0, expected, "")
    assert os.listdir(store.data / "blobs") == [expected.strip()]
    assert len(os.listdir(store.data / "rendered")) == 1
    assert len(json.loads(store("image", "list", "--format=json", check=0).stdout)) == 1


def test_many_images_by_many_processes(store):
    acis = []
    for i in range(12):
        acis.append(store.work / f"{i}.aci")
        store("build", layout(store.work / f"l{i}", {"f": str(i)}, name=f"example.com/{i}"), acis[i], check=0)
    running = [store.start(*FETCH, a) for a in acis]
    ids = {p.communicate()[0].strip() for p in running}
    assert all(p.returncode == 0 for p in running) and len(ids) == 12
    assert set(os.listdir(store.data / "blobs")) == ids


def test_names_of_all_bytes(store):
    """Newlines, UTF-8, bytes that are no UTF-8: what goes in comes out."""
    base = layout(store.work / "l")
    names = ["line\nbreak".encode(), "höhe-日本".encode(), b"\xff\xfe", b" ", b"-rf", b"*", b"a" * 255,
             "ü".encode() * 100, b"tab\t", b"\x01"]
    os.mkdir(os.fsencode(base) + b"/rootfs/" + "verzeichnis-ä\n".encode())
    for n in names:
        with open(os.fsencode(base) + b"/rootfs/" + "verzeichnis-ä\n".encode() + b"/" + n, "wb") as f:
            f.write(n)
    aci = store.work / "a.aci"
    store.env["LC_ALL"] = "C"
    image = store("build", base, aci, check=0).stdout.strip()
    assert store(*FETCH, aci, check=0).stdout.strip() == image
    store("image", "extract", image, store.work / "out", check=0)
    found = os.fsencode(store.work / "out/rootfs") + b"/" + "verzeichnis-ä\n".encode()
    assert sorted(os.listdir(found)) == sorted(names)
    assert all(open(found + b"/" + n, "rb").read() == n for n in names)
    # GNU tar reads the same names.
    listed = subprocess.run(["tar", "--quoting-style=literal", "--show-transformed", "-tf", aci],
                            capture_output=True, check=True).stdout
    assert "höhe-日本".encode() in listed and b"\xff\xfe" in listed


def tree_of(path):
    """What extraction has to restore: {name: (type and mode, owner, size, mtime, link, content)}."""
    found = {}
    for p in [path, *sorted(path.rglob("*"))]:
        st = p.lstat()
        link = os.readlink(p) if stat.S_ISLNK(st.st_mode) else None
        content = p.read_bytes() if stat.S_ISREG(st.st_mode) else None
        mtime = st.st_mtime_ns
        found[str(p.relative_to(path))] = (st.st_mode, st.st_uid, st.st_gid, st.st_rdev, mtime, link, content)
    return found


def test_IMG_11_files_keep_their_properties(store):
    base = layout(store.work / "l", {"a": "1", "d/b": "2"})
    r = base / "rootfs"
    os.link(r / "a", r / "d/hard")
    os.symlink("../a", r / "d/soft")
    os.symlink("/nowhere" * 100, r / "d/long")
    os.mkfifo(r / "fifo")
    os.chmod(r / "a", 0o4755)
    os.chmod(r / "d", 0o1777)
    os.setxattr(r / "a", "user.note", b"\0binary\n\xff")
    if ROOT_USER:
        os.mknod(r / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.chown(r / "d/b", 12345, 2097153)
        os.setxattr(r / "d/b", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    with open(r / "sparse", "wb") as f:
        f.write(b"head")
        f.seek(50 << 20)
        f.write(b"middle")
        f.truncate(200 << 20)
    for p in ("a", "d/b", "d/soft"):
        os.utime(r / p, ns=(0, 1234567890123456789), follow_symlinks=False)
    os.utime(r / "d", ns=(0, -1500000000))
    aci = store.work / "a.aci"
    store("build", "--owner=keep", "--compress=none", base, aci, check=0)
    assert aci.stat().st_size < 1 << 20
    image = store(*FETCH, aci, check=0).stdout.strip()
    store("image", "extract", image, store.work / "out", check=0)
    out = store.work / "out/rootfs"
    want, got = tree_of(r), tree_of(out)
    assert want.keys() == got.keys()
    for name in want:
        assert want[name] == got[name], name
    assert (out / "a").stat().st_ino == (out / "d/hard").stat().st_ino
    assert os.getxattr(out / "a", "user.note") == b"\0binary\n\xff"
    assert (out / "sparse").stat().st_blocks * 512 < 1 << 20
    if ROOT_USER:
        assert os.getxattr(out / "d/b", "security.capability") == os.getxattr(r / "d/b", "security.capability")
    assert (store.work / "out/manifest").read_text() == (base / "manifest").read_text()


# ---- references ------------------------------------------------------------------------------


def names(store, ref):
    return json.loads(store("image", "cat-manifest", ref, check=0).stdout)


def version_of(store, ref):
    return next(x["value"] for x in names(store, ref)["labels"] if x["name"] == "version")


def test_newest_version_wins(store):
    for v in ("1.9.0", "1.10.0", "1.10.0-rc.1", "latest", "1.2.3"):
        add(store, {"v": v}, version=v)
    add(store, {"v": "none"}, version=None)
    assert version_of(store, "example.com/a") == "1.10.0"
    assert version_of(store, "example.com/a:1.9.0") == "1.9.0"
    assert version_of(store, "example.com/a,version=latest") == "latest"
    assert "no image in the store" in one_line(store("image", "cat-manifest", "example.com/a:3.0.0"))
    assert "no image in the store" in one_line(store("image", "cat-manifest", "example.com/b"))


def test_IMG_29_newest_import_wins_among_equals(store):
    labels = [{"name": "version", "value": "1.0.0"}]
    first = add(store, {"f": "1"}, labels=labels)
    second = add(store, {"f": "2"}, labels=labels)
    db = store.data / "index.db"
    import sqlite3
    with sqlite3.connect(db) as c:
        c.execute("UPDATE images SET imported = imported - 100 WHERE id = ?", (first,))
    out = store("image", "export", "example.com/a", store.work / "x.aci", "--compress=none", check=0)
    assert out.stdout == ""
    assert sha512_id((store.work / "x.aci").read_bytes()) == second


def test_SIG_06_images_for_this_host_come_first(store):
    def labels(version, os_, arch):
        found = [{"name": "version", "value": version}]
        found += [{"name": "os", "value": os_}] if os_ else []
        return found + ([{"name": "arch", "value": arch}] if arch else [])
    add(store, {"f": "1"}, labels=labels("9.0.0", "freebsd", "amd64"))
    assert version_of(store, "example.com/a") == "9.0.0"
    add(store, {"f": "2"}, labels=labels("2.0.0", None, None))
    assert version_of(store, "example.com/a") == "2.0.0"
    here = {"x86_64": "amd64"}.get(os.uname().machine, os.uname().machine)
    add(store, {"f": "3"}, labels=labels("3.0.0", "linux", here))
    assert version_of(store, "example.com/a") == "3.0.0"
    assert version_of(store, "example.com/a,os=freebsd") == "9.0.0"


def test_ids_and_prefixes(store):
    ids = [add(store, {"f": str(i)}, name=f"example.com/n{i}") for i in range(17)]
    by_digit = {}
    for i in ids:
        by_digit.setdefault(i[:8], []).append(i)
    shared = next(d for d in by_digit if len(by_digit[d]) > 1)
    message = one_line(store("image", "cat-manifest", shared))
    assert all(i[:20] in message for i in by_digit[shared][:3]) and "fits" in message
    for n, i in enumerate(ids):
        assert names(store, i)["name"] == f"example.com/n{n}"
        assert names(store, i[:40].upper().replace("SHA", "sha"))["name"] == f"example.com/n{n}"
    for bad in ("sha512-", "sha512-xyz", ids[0] + "0", "Upper/Case", "a:b:c", "a,b", ""):
        r = store("image", "cat-manifest", bad)
        assert r.returncode == 1 and r.stderr.startswith("appc-vm: "), bad
    assert "fetch" in one_line(store("image", "cat-manifest", "./file.aci"))
    assert "https://" in one_line(store(*FETCH, "https://example.com/a.aci"))


# ---- the store's commands --------------------------------------------------------------------


def test_cat_manifest_is_byte_exact(store):
    text = ' {\n\t"acVersion" : "0.8.11","acKind":"ImageManifest",  "name":"example.com/\\u0061",\r\n"x":[1.50, 2e3]} \n'
    image = add(store, {"f": "x"}, text=text)
    raw = store("image", "cat-manifest", image, text=False, check=0).stdout
    assert raw == text.encode()
    pretty = store("image", "cat-manifest", "--pretty", image, check=0).stdout
    assert json.loads(pretty) == json.loads(text) and pretty.count("\n") > 5


def test_list(store):
    assert json.loads(store("image", "list", "--format=json", check=0).stdout) == []
    a = add(store, {"f": "1"}, name="example.com/b")
    b = add(store, {"f": "2"}, name="example.com/a")
    found = json.loads(store("image", "list", "--format=json", check=0).stdout)
    assert [i["id"] for i in found] == [b, a]
    assert found[0]["name"] == "example.com/a" and found[0]["insecure"] is True and found[0]["signer"] is None
    assert found[0]["size"] == (store.data / "blobs" / b).stat().st_size
    assert found[0]["labels"] == [{"name": "version", "value": "1.0.0"}]
    assert found[0]["origin"].endswith(".aci")
    lines = store("image", "list", check=0).stdout.splitlines()
    assert lines[0].split()[-2:] == ["SIGNED", "VERSION"] and lines[1].split()[-2:] == ["insecure", "1.0.0"]
    assert lines[0].startswith("ID") and lines[1].startswith(b[:19]) and len(lines) == 3
    assert b in store("image", "list", "--full", "--no-legend", check=0).stdout.splitlines()[0]


def test_rm(store):
    a = add(store, {"f": "1"}, version="1.0.0")
    b = add(store, {"f": "2"}, version="2.0.0")
    c = add(store, {"f": "3"}, name="example.com/c")
    message = one_line(store("image", "rm", "example.com/a"))
    assert a[:19] in message and b[:19] in message
    assert "no image in the store is example.com/x" in one_line(
        store("image", "rm", "example.com/a:1.0.0", "example.com/x"))
    assert len(os.listdir(store.data / "blobs")) == 3
    assert store("image", "rm", "example.com/a:1.0.0", c[:30], check=0).stdout == f"{a}\n{c}\n"
    assert os.listdir(store.data / "blobs") == [b] and len(os.listdir(store.data / "rendered")) == 1
    store("image", "rm", b, check=0)
    assert listing(store) == []


def test_rm_refuses_dependencies(store):
    base = add(store, {"f": "1"}, name="example.com/base")
    top = add(store, {"g": "2"}, name="example.com/top", dependencies=[{"imageName": "example.com/base"}])
    message = one_line(store("image", "rm", base))
    assert "example.com/top" in message and "--force" in message
    store("image", "rm", base, top, check=0)
    assert listing(store) == []


def test_rm_refuses_what_is_in_use(store):
    image = add(store, {"f": "1"})
    with open(store.data / "blobs" / image, "rb") as user:
        fcntl.flock(user, fcntl.LOCK_SH)
        assert "in use" in one_line(store("image", "rm", image))
        store("image", "rm", "--force", image, check=0)
    assert listing(store) == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_export(store, compression):
    image = add(store, {"f": os.urandom(50000)})
    out = store.work / "out.aci"
    store("image", "export", f"--compress={compression}", image, out, check=0)
    assert sha512_id(reference(out.read_bytes())) == image
    assert "--overwrite" in one_line(store("image", "export", image, out))
    store("image", "export", "--overwrite", image, out, check=0)
    assert ".aci" in one_line(store("image", "export", image, store.work / "out.tar"))
    assert [p.name for p in store.work.glob("out*")] == ["out.aci"]


def test_extract_and_overwrite(store):
    image = add(store, {"f": "new"})
    out = store.work / "out"
    out.mkdir()
    store("image", "extract", image, out, check=0)
    assert sorted(os.listdir(out)) == ["manifest", "rootfs"]
    (out / "mine").write_text("x")
    assert "--overwrite" in one_line(store("image", "extract", image, out))
    assert (out / "mine").exists()
    store("image", "extract", "--overwrite", "--rootfs-only", image, f"{out}/", check=0)
    assert os.listdir(out) == ["f"]
    assert "can't create" in one_line(store("image", "extract", image, store.work / "no/such/place"))
    assert [p.name for p in store.work.glob("out*")] == ["out"]


def test_damaged_blob_is_found_and_repaired(store):
    """IMG-22, RENDER-19"""
    image = add(store, {"f": os.urandom(5000)})
    blob = store.data / "blobs" / image
    assert store("image", "verify", "--all", check=0).stdout == f"{image} ok\n"
    st = blob.stat()
    blob.chmod(0o600)
    with open(blob, "r+b") as f:
        f.seek(3000)
        byte = f.read(1)
        f.seek(3000)
        f.write(bytes([byte[0] ^ 1]))
    os.utime(blob, ns=(st.st_atime_ns, st.st_mtime_ns))
    for command in (["export", image, store.work / "x.aci"], ["extract", image, store.work / "x"],
                    ["render", image, store.work / "x"], ["render", "--flat", image, store.work / "x"]):
        assert "damaged" in one_line(store("image", *command)), command
    r = store("image", "verify", image)
    assert r.returncode == 1 and r.stdout == f"{image} DAMAGED\n" and "SHA-512" in r.stderr
    store(*FETCH, next(store.work.glob("image-*.aci")), check=0)
    assert store("image", "verify", image, check=0).stdout == f"{image} ok\n"
    blob.unlink()
    assert "gone" in one_line(store("image", "export", image, store.work / "x.aci"))
    assert store("image", "verify", image).returncode == 1
    store(*FETCH, next(store.work.glob("image-*.aci")), check=0)
    store("image", "export", image, store.work / "x.aci", check=0)


def test_a_touched_blob_is_hashed_and_accepted(store):
    image = add(store, {"f": "x"})
    os.utime(store.data / "blobs" / image)
    store("image", "export", image, store.work / "x.aci", check=0)
    assert store("image", "verify", image, check=0).stdout == f"{image} ok\n"


def test_wrong_cached_root_is_replaced(store):
    image = add(store, {"f": "x" * 3000})
    cached = next((store.data / "rendered").iterdir())
    good = cached.read_bytes()
    cached.chmod(0o600)
    cached.write_bytes(good[:2000] + b"\xff" + good[2001:])
    r = store("image", "verify", image, check=0)
    assert "wrong" in r.stderr and list((store.data / "rendered").iterdir()) == []
    store("image", "render", "--flat", image, store.work / "flat", check=0)
    assert cached.read_bytes() == good
    cached.chmod(0o600)
    cached.write_bytes(good[:2000] + b"\xff" + good[2001:])
    store("image", "render", "--flat", "--overwrite", image, store.work / "flat", check=0)
    assert cached.read_bytes() == good
    assert (store.work / "flat").read_bytes().startswith(good)


# ---- dependencies ----------------------------------------------------------------------------


def rendered(store, image):
    out = store.work / "rendered-root"
    store("image", "render", "--overwrite", "--rootfs-only", image, out, check=0)
    return {str(p.relative_to(out)): p.read_text() for p in out.rglob("*") if p.is_file()}


def dep(name, **more):
    return dict(imageName=f"example.com/{name}", **more)


def test_RENDER_05_order(store):
    for n, deps in (("b", []), ("d", []), ("c", ["d"])):
        add(store, {"all": n, n: n, "bdc": n}, name=f"example.com/{n}", dependencies=[dep(x) for x in deps])
    image = add(store, {"all": "a", "a": "a"}, name="example.com/a", dependencies=[dep("b"), dep("c")])
    assert rendered(store, image) == {"all": "a", "bdc": "c", "a": "a", "b": "b", "c": "c", "d": "d"}
    # The image alone has nothing of the others.
    store("image", "extract", "--rootfs-only", image, store.work / "alone", check=0)
    assert sorted(os.listdir(store.work / "alone")) == ["a", "all"]


def test_RENDER_06_each_visit_has_its_own_whitelist(store):
    add(store, {"x": "d", "y": "d", "z": "d"}, name="example.com/d")
    add(store, {}, name="example.com/b", dependencies=[dep("d")], pathWhitelist=["/x"])
    add(store, {}, name="example.com/c", dependencies=[dep("d")], pathWhitelist=["/y"])
    image = add(store, {}, name="example.com/a", dependencies=[dep("b"), dep("c")])
    assert rendered(store, image) == {"x": "d", "y": "d"}


def test_RENDER_20_manifest_is_the_top_images(store):
    add(store, {"f": "base"}, name="example.com/base")
    image = add(store, {"g": "top"}, name="example.com/top", dependencies=[dep("base")])
    store("image", "render", image, store.work / "out", check=0)
    assert json.loads((store.work / "out/manifest").read_text())["name"] == "example.com/top"
    assert sorted(os.listdir(store.work / "out/rootfs")) == ["f", "g"]


def test_DEP_04_DEP_05_matching(store):
    one = add(store, {"v": "1"}, name="example.com/base", version="1.0.0")
    add(store, {"v": "2"}, name="example.com/base", version="2.0.0")
    def top(n, **more):
        return rendered(store, add(store, {"n": str(n)}, name=f"example.com/top{n}", dependencies=[dep("base", **more)]))
    assert top(1)["v"] == "2"
    assert top(2, labels=[{"name": "version", "value": "1.0.0"}])["v"] == "1"
    assert top(3, imageID=one)["v"] == "1"
    bad = add(store, {}, name="example.com/bad", dependencies=[
        dep("base", imageID=one, labels=[{"name": "version", "value": "2.0.0"}])])
    assert "labels" in one_line(store("image", "render", bad, store.work / "x"))
    bad = add(store, {}, name="example.com/bad2", dependencies=[dep("other", imageID=one)])
    assert "example.com/other" in one_line(store("image", "render", bad, store.work / "x"))


def test_newer_dependency_changes_the_root(store):
    add(store, {"v": "1"}, name="example.com/base", version="1.0.0")
    image = add(store, {}, name="example.com/top", dependencies=[dep("base")])
    assert rendered(store, image)["v"] == "1"
    new = add(store, {"v": "2"}, name="example.com/base", version="2.0.0")
    assert rendered(store, image)["v"] == "2"
    store("image", "rm", "--force", new, check=0)
    assert rendered(store, image)["v"] == "1"


def test_missing_dependency(store):
    image = add(store, {}, name="example.com/top", dependencies=[dep("nowhere")])
    for command in (["render", image, store.work / "x"], ["render", "--flat", image, store.work / "x"]):
        message = one_line(store("image", *command))
        assert "example.com/nowhere" in message and "example.com/top" in message
    assert not (store.work / "x").exists()
    store("image", "extract", image, store.work / "x", check=0)


def test_DEP_07_cycles_are_refused(store):
    add(store, {}, name="example.com/a", dependencies=[dep("b")])
    image = add(store, {}, name="example.com/b", dependencies=[dep("a")])
    message = one_line(store("image", "render", image, store.work / "x"))
    assert "example.com/a -> example.com/b" in message or "example.com/b -> example.com/a" in message


def test_flat_file_mounts_as_erofs(store):
    add(store, {"base/f": os.urandom(70000), "over": "old"}, name="example.com/base")
    image = add(store, {"top/g": os.urandom(10), "over": "new"}, name="example.com/top", dependencies=[dep("base")])
    flat = store.work / "flat.erofs"
    store("image", "render", "--flat", image, flat, check=0)
    assert "--overwrite" in one_line(store("image", "render", "--flat", image, flat))
    store("image", "render", image, store.work / "tree", check=0)
    if not ROOT_USER:
        return
    mounted = store.work / "mnt"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "erofs", "-o", "loop,ro", flat, mounted], check=True)
    try:
        assert tree_of(mounted) == tree_of(store.work / "tree/rootfs")
    finally:
        subprocess.run(["umount", mounted], check=True)


# ---- the data directory ----------------------------------------------------------------------


def test_store_is_private(store):
    add(store, {"f": "x"})
    for p in [store.data, *store.data.rglob("*")]:
        assert stat.S_IMODE(p.stat().st_mode) & 0o077 == 0, p
    store.data.chmod(0o777)
    assert "chmod" in one_line(store("image", "list"))


def test_index_of_the_future_and_damaged_index(store):
    import sqlite3
    add(store, {"f": "x"})
    with sqlite3.connect(store.data / "index.db") as c:
        c.execute("PRAGMA user_version = 99")
    assert "newer appc-vm" in one_line(store("image", "list"))
    for p in store.data.glob("index.db*"):
        p.unlink()
    (store.data / "index.db").write_bytes(b"this is no database" * 1000)
    assert "damaged" in one_line(store("image", "list"))


# ---- validate --------------------------------------------------------------------------------


def test_validate(store):
    base = layout(store.work / "good", {"f": "x"})
    aci = store.work / "good.aci"
    image = store("build", base, aci, check=0).stdout.strip()
    pod = store.work / "pod.json"
    pod.write_text(json.dumps({"acKind": "PodManifest", "acVersion": "0.8.11",
                               "apps": [{"name": "a", "image": {"id": image}}]}))
    r = store("validate", base, aci, base / "manifest", pod, check=0)
    assert "valid image layout" in r.stdout and "valid ACI" in r.stdout and image in r.stdout
    assert "valid image manifest" in r.stdout and "valid pod manifest" in r.stdout
    bad = store.work / "bad.json"
    bad.write_text(manifest().replace('"name": "example.com/a"', '\n"name": "Example.com/a"'))
    r = store("validate", aci, bad, store.work / "missing")
    assert r.returncode == 1
    lines = r.stdout.splitlines()
    assert any(" 2:" in line and "$.name" in line and "invalid image manifest" in line for line in lines), lines
    assert any("missing" in line and "invalid" in line for line in lines)


def test_validate_json(store):
    bad = store.work / "bad.json"
    bad.write_text('{"acKind": "PodManifest",\n "acVersion": "0.8.11",\n "apps": [{"name": "A_B"}]}')
    broken = store.work / "broken.json"
    broken.write_text('{"acKind": "ImageManifest",\n oops')
    aci = store.work / "x.aci"
    aci.write_bytes(tar_of(entry("manifest", '{\n\n"acKind": 5}'), dir_entry("rootfs")))
    r = store("validate", "--format=json", bad, broken, aci)
    assert r.returncode == 1
    a, b, c = json.loads(r.stdout)
    assert (a["valid"], a["kind"], a["line"]) == (False, "pod manifest", 3) and "name" in a["path"]
    assert (b["valid"], b["line"]) == (False, 2) and b["message"]
    assert (c["valid"], c["kind"], c["line"]) == (False, "ACI", 3) and c["path"] == "$.acKind"


@pytest.mark.parametrize("name", [n for n in HOSTILE if "manifest" not in n])
def test_validate_finds_hostile_archives(store, name):
    path = store.work / "x.aci"
    path.write_bytes(HOSTILE[name][0])
    r = store("validate", path)
    assert r.returncode == 1 and HOSTILE[name][1] in r.stdout


def test_IMG_46_layouts(store):
    for what in ("no-manifest", "no-rootfs", "extra", "link"):
        base = layout(store.work / what)
        if what == "no-manifest":
            (base / "manifest").unlink()
        elif what == "no-rootfs":
            (base / "rootfs").rmdir()
        elif what == "extra":
            (base / "README").write_text("x")
        else:
            (base / "rootfs").rmdir()
            (base / "rootfs").symlink_to("/tmp")
        r = store("validate", base)
        assert r.returncode == 1 and "invalid image layout" in r.stdout, what
        one_line(store("build", base, store.work / f"{what}.aci"))
        assert not list(store.work.glob(f"{what}.aci*"))
