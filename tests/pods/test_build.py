# SPDX-License-Identifier: Apache-2.0
"""appc-vm build: what it packs, and that the same input gives the same bytes."""
import gzip
import io
import os
import shutil
import subprocess
import tarfile

import pytest

from conftest import BUILD
from test_images import COMPRESSIONS, ROOT_USER, layout, manifest, one_line, sha512_id, store  # noqa: F401


def members(path):
    with tarfile.open(path) as t:
        return t.getmembers()


def scatter(base, order):
    """The same files, made in another order."""
    layout(base)
    for i in order:
        (base / f"rootfs/d{i}").mkdir()
        (base / f"rootfs/d{i}/f").write_text(str(i))
    with open(base / "rootfs/zeros", "wb") as f:
        if order[0]:
            f.write(b"x" + bytes(1 << 20) + b"y")
        else:
            f.write(b"x")
            f.seek((1 << 20) + 1)
            f.write(b"y")
    os.link(base / "rootfs/d3/f", base / "rootfs/d5/g")
    os.setxattr(base / "rootfs/d1", "user.b" if order[0] else "user.a", b"1")
    os.setxattr(base / "rootfs/d1", "user.a" if order[0] else "user.b", b"1")
    return base


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_reproducible(store, compression):
    """Order of creation, holes, inode numbers, locale and time zone do not matter."""
    a = scatter(store.work / "a", list(range(9)))
    b = scatter(store.work / "b", list(range(8, -1, -1)))
    options = ["--mtime=1000000000", f"--compress={compression}"]
    first = store("build", *options, a, store.work / "a.aci", check=0).stdout
    store.env.update(TZ="Asia/Tokyo", LC_ALL="C")
    second = store("build", *options, b, store.work / "b.aci", check=0).stdout
    assert first == second
    assert (store.work / "a.aci").read_bytes() == (store.work / "b.aci").read_bytes()


def test_sorted_and_manifest_first(store):
    base = scatter(store.work / "a", [5, 1, 3, 8])
    store("build", base, store.work / "a.aci", check=0)
    names = [m.name for m in members(store.work / "a.aci")]
    assert names[:2] == ["manifest", "rootfs"] and names[1:] == sorted(names[1:])
    assert {(m.uname, m.gname) for m in members(store.work / "a.aci")} == {("", "")}


def test_gzip_header_has_neither_name_nor_time(store):
    store("build", layout(store.work / "l"), store.work / "a.aci", check=0)
    data = (store.work / "a.aci").read_bytes()
    assert data[:2] == b"\x1f\x8b" and data[3] == 0 and data[4:8] == bytes(4)


def test_prints_the_id_alone(store):
    r = store("build", layout(store.work / "l"), store.work / "a.aci", check=0)
    tar = gzip.decompress((store.work / "a.aci").read_bytes())
    assert r.stdout == sha512_id(tar) + "\n" and r.stderr == ""


@pytest.mark.parametrize("text,seconds", [
    ("0", 0), ("1234567890", 1234567890), ("-5", -5), ("2015-05-18T13:49:28Z", 1431956968),
    ("2015-05-18T13:49:28.75-04:00", 1431971368), ("1970-01-01T01:00:00+01:00", 0)])
def test_mtime(store, text, seconds):
    store("build", f"--mtime={text}", layout(store.work / "l", {"f": "x"}), store.work / "a.aci", check=0)
    assert {m.mtime for m in members(store.work / "a.aci")} == {seconds}


def test_source_date_epoch(store):
    base = layout(store.work / "l", {"f": "x"})
    os.utime(base / "rootfs/f", ns=(0, 5123456789))
    store("build", base, store.work / "own.aci", check=0)
    assert next(m for m in members(store.work / "own.aci") if m.name == "rootfs/f").mtime == 5.123456789
    store.env["SOURCE_DATE_EPOCH"] = "77"
    store("build", base, store.work / "env.aci", check=0)
    assert {m.mtime for m in members(store.work / "env.aci")} == {77}
    store("build", "--mtime=78", base, store.work / "option.aci", check=0)
    assert {m.mtime for m in members(store.work / "option.aci")} == {78}
    store.env["SOURCE_DATE_EPOCH"] = "soon"
    r = store("build", base, store.work / "bad.aci")
    assert r.returncode == 2 and "SOURCE_DATE_EPOCH" in r.stderr
    for bad in ("yesterday", "2015-02-30T00:00:00Z", "2015-05-18 13:49:28Z", ""):
        assert store("build", f"--mtime={bad}x", base, store.work / "bad.aci").returncode == 2


def test_owner(store):
    base = layout(store.work / "l", {"f": "x"})
    if ROOT_USER:
        os.chown(base / "rootfs/f", 1234, 3000000)
    uid, gid = os.stat(base / "rootfs/f").st_uid, os.stat(base / "rootfs/f").st_gid
    for option, expected in (("root", (0, 0)), ("keep", (uid, gid))):
        store("build", f"--owner={option}", "--overwrite", base, store.work / "a.aci", check=0)
        f = next(m for m in members(store.work / "a.aci") if m.name == "rootfs/f")
        assert (f.uid, f.gid) == expected


def test_long_names_and_links(store):
    base = layout(store.work / "l")
    deep = "/".join(["n" * 90] * 5)
    (base / "rootfs" / deep).mkdir(parents=True)
    (base / "rootfs" / deep / ("f" * 255)).write_text("x")
    os.link(base / "rootfs" / deep / ("f" * 255), base / "rootfs/hard")
    os.symlink("t" * 500, base / "rootfs/soft")
    store("build", base, store.work / "a.aci", check=0)
    found = {m.name: m for m in members(store.work / "a.aci")}
    assert f"rootfs/{deep}/{'f' * 255}" in found
    assert found["rootfs/soft"].linkname == "t" * 500
    links = [m for m in found.values() if m.islnk()]
    assert len(links) == 1
    out = store.work / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", store.work / "a.aci", "-C", out], check=True)
    subprocess.run(["diff", "-r", "--no-dereference", base, out], check=True)


def test_sparse_files_are_small_and_whole(store):
    base = layout(store.work / "l")
    with open(base / "rootfs/s", "wb") as f:
        f.write(b"a" * 5000)
        f.seek(3 << 30)
        f.write(b"b")
    with open(base / "rootfs/hole", "wb") as f:
        f.truncate(1 << 40)
    (base / "rootfs/short-zeros").write_bytes(b"x" + bytes(60000) + b"y")
    store("build", "--compress=none", base, store.work / "a.aci", check=0)
    assert (store.work / "a.aci").stat().st_size < 100000
    with tarfile.open(store.work / "a.aci") as t:
        assert t.getmember("rootfs/hole").size == 1 << 40
        s = t.extractfile("rootfs/s")
        assert s.read(5001) == b"a" * 5000 + b"\0"
        s.seek(3 << 30)
        assert s.read() == b"b"
        assert t.getmember("rootfs/short-zeros").sparse is None


def test_IMG_01_refuses_other_names_and_existing_files(store):
    base = layout(store.work / "l")
    assert ".aci" in one_line(store("build", base, store.work / "a.tar"))
    (store.work / "a.aci").write_text("mine")
    assert "--overwrite" in one_line(store("build", base, store.work / "a.aci"))
    assert (store.work / "a.aci").read_text() == "mine"
    store("build", "--overwrite", base, store.work / "a.aci", check=0)
    assert sorted(p.name for p in store.work.iterdir()) == ["a.aci", "l"]


def test_bad_manifest_is_named_with_its_position(store):
    text = manifest().replace('"acVersion": "0.8.11"', '\n\n  "acVersion": "zero"')
    base = layout(store.work / "l", text=text)
    message = one_line(store("build", base, store.work / "a.aci"))
    assert "l/manifest" in message and "$.acVersion" in message and " 3:" in message
    base = layout(store.work / "m", text='{"acKind": "ImageManifest",}')
    assert " 1:" in one_line(store("build", base, store.work / "a.aci"))
    assert not list(store.work.glob("*.aci*"))


def test_machine_attributes_and_sockets_stay_out(store):
    import socket
    base = layout(store.work / "l", {"f": "x"})
    os.setxattr(base / "rootfs/f", "user.kept", b"1")
    if ROOT_USER:
        os.setxattr(base / "rootfs/f", "trusted.overlay.origin", b"1")
    here = os.getcwd()
    os.chdir(base / "rootfs")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("sock")
    os.chdir(here)
    r = store("build", base, store.work / "a.aci", check=0)
    assert "1 socket" in r.stderr
    found = {m.name: m for m in members(store.work / "a.aci")}
    assert "rootfs/sock" not in found
    assert [k for k in found["rootfs/f"].pax_headers if "xattr" in k] == ["SCHILY.xattr.user.kept"]


def test_unreadable_file_leaves_nothing(store):
    """As a user who may not read it; root may read all."""
    base = layout(store.work / "l", {"f": "x"})
    (base / "rootfs/f").chmod(0)
    command = ["build", base, store.work / "a.aci"]
    if ROOT_USER:
        store.work.chmod(0o777)
        for p in store.work.parents:
            if str(p).startswith("/tmp/") and p != store.work:
                p.chmod(p.stat().st_mode | 0o011)
        # The build folder may lie where other users can't go.
        program = shutil.copy(BUILD / "appc-vm", store.work)
        r = store(*command, program=program, user=65534, group=65534, extra_groups=[])
    else:
        r = store(*command)
    assert "rootfs/f" in one_line(r)
    assert not list(store.work.glob("a.aci*"))


def test_files_are_what_other_tools_read(store):
    base = layout(store.work / "l", {"a/b": b"x" * 70000, "c": ""})
    store("build", base, store.work / "a.aci", check=0)
    for tool in ("tar", "bsdtar"):
        out = store.work / tool
        out.mkdir()
        subprocess.run([tool, "-xf", store.work / "a.aci", "-C", out], check=True)
        subprocess.run(["diff", "-r", base, out], check=True)
        shutil.rmtree(out)
    raw = gzip.decompress((store.work / "a.aci").read_bytes())
    assert len(raw) % 512 == 0 and raw.endswith(bytes(1024))
    assert tarfile.open(fileobj=io.BytesIO(raw)).getnames()[0] == "manifest"
