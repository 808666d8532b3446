# SPDX-License-Identifier: Apache-2.0
"""appc-vm image gc: what goes, in which order, and what never goes."""
import contextlib
import fcntl
import json
import os
import sqlite3
import threading
import time

import pytest

from conftest import wait_for
from fetchserver import (WHERE, authority, at_version, dep, gpg, image_id, offer, shared_web, trusting, user, web)
from test_images import add, listing, sha512_id, store

DAY = 24 * 3600
UUID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


def age(store, image, days):
    with contextlib.closing(sqlite3.connect(store.data / "index.db")) as db:
        db.execute("UPDATE images SET used = ? WHERE id = ?", (int(time.time()) - days * DAY, image))
        db.execute("UPDATE rendered SET used = ? WHERE key LIKE ?",
                   (int(time.time()) - days * DAY, "%" + image.removeprefix("sha512-") + "%"))
        db.commit()


def gc(store, *options):
    """What went: image IDs, and other files with their reasons."""
    r = json.loads(store("image", "gc", "--format=json", *options, check=0).stdout)
    return [i["id"] for i in r["images"]], {f["path"]: f["reason"] for f in r["files"]}


def left(store):
    assert "DAMAGED" not in store("image", "verify", "--all", check=0).stdout
    return {i["id"] for i in json.loads(store("image", "list", "--format=json", check=0).stdout)}


def images(store, *days, size=1000):
    made = []
    for i, d in enumerate(days):
        made.append(add(store, {"f": bytes([i + 1]) * size}, name=f"example.com/{i}"))
        age(store, made[-1], d)
    return made


def test_without_options_no_image_goes(store):
    made = images(store, 1000, 0)
    assert gc(store) == ([], {}) and left(store) == set(made)


def test_by_age(store):
    a, b, c = images(store, 40, 31, 29)
    before = listing(store)
    assert gc(store, "--older-than=30d", "--dry-run") == ([a, b], {})
    assert listing(store) == before and left(store) == {a, b, c}
    text = store("image", "gc", "--older-than=30d", check=0).stdout.splitlines()
    assert [l.split()[:3] for l in text[:2]] == [["removed", a, "example.com/0"], ["removed", b, "example.com/1"]]
    assert text[2].startswith("freed ") and text[2].endswith("1 image of 4.0K stay"), text
    assert left(store) == {c} and os.listdir(store.data / "blobs") == [c]
    assert len(os.listdir(store.data / "rendered")) == 1
    assert gc(store, "--older-than=4w") == ([c], {}) and listing(store) == []


def test_by_size_the_least_recently_used_first(store):
    made = images(store, 3, 1, 2, 0, size=100_000)
    size = json.loads(store("image", "list", "--format=json", check=0).stdout)[0]["size"]
    assert gc(store, f"--max-size={4 * size}") == ([], {})
    assert gc(store, f"--max-size={3 * size - 1}") == ([made[0], made[2]], {})
    assert left(store) == {made[1], made[3]}
    assert gc(store, "--max-size=0")[0] == [made[1], made[3]] and left(store) == set()


def test_dependencies_stay_as_long_as_what_needs_them(store):
    base = add(store, {"f": "1"}, name="example.com/base")
    top = add(store, {"g": "2"}, name="example.com/top", dependencies=[{"imageName": "example.com/base"}])
    other = add(store, {"g": "3"}, name="example.com/other", dependencies=[{"imageName": "example.com/base"}])
    age(store, base, 50), age(store, top, 40), age(store, other, 10)
    assert gc(store, "--older-than=30d")[0] == [top] and left(store) == {base, other}
    age(store, other, 35)
    assert gc(store, "--max-size=0")[0] == [other, base]  # top down


def test_what_a_process_has_open_stays(store):
    a, b = images(store, 9, 8)
    with open(store.data / "blobs" / a, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        r = store("image", "gc", "--older-than=0s", "--max-size=0", check=0)
        assert b in r.stdout and a not in r.stdout and "warning: the images that are needed take 4.0K" in r.stderr
    assert left(store) == {a}
    assert gc(store, "--older-than=0")[0] == [a]


@pytest.mark.parametrize("state", [None, "running", "exited"])
def test_what_a_pod_needs_stays(store, state):
    """A pod that is being prepared, one that runs, one that has ended."""
    base = add(store, {"f": "1"}, name="example.com/base")
    top = add(store, {"g": "2"}, name="example.com/top", dependencies=[{"imageName": "example.com/base"}])
    other = add(store, {"f": "3"}, name="example.com/other")
    pod = store.data / "pods" / UUID
    pod.mkdir()
    (pod / "pod").write_text(json.dumps({
        "acKind": "PodManifest", "acVersion": "0.8.11", "apps": [{"name": "a", "image": {"id": top}}]}))
    if state:
        (pod / "state.json").write_text(json.dumps({"uuid": UUID, "state": state, "apps": []}))
    with open(pod / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone = gc(store, "--older-than=0s")[0]
    assert set(gone) == ({other} if state != "exited" else {other, top, base})


def test_a_running_pod_keeps_its_image(store):
    """With a real pod: its image's lock is held by the device process, whatever else says."""
    image = store.image("example.com/shell", {"exec": ["/bin/sh", "-c", "echo up; while :; do sleep 1; done"]})
    age(store, image, 99)
    uuid = store.run("--detach", image, check=0).stdout.strip()
    wait_for(lambda: "up" in store("logs", uuid).stdout, 120)
    age(store, image, 99)
    assert gc(store, "--older-than=0s", "--max-size=0") == ([], {})
    store("stop", "--force", uuid, check=0)
    store("rm", uuid, check=0)
    assert gc(store, "--older-than=0s")[0] == [image]


def test_leftovers_are_found(store):
    image, = images(store, 0)
    rendered = os.listdir(store.data / "rendered")
    d = store.data
    for folder in ("downloads", "scratch"):
        (d / folder).mkdir()
    old = {
        "blobs/" + sha512_id(b"x"): "not in the index",
        "blobs/.tmp-1-0123456789abcdef": "unfinished import or rendering",
        "rendered/.tmp-1-0123456789abcdef": "unfinished import or rendering",
        "rendered/" + "0" * 128 + ".erofs": "not in the index",
        "downloads/aa.part": "interrupted download",
        "downloads/aa.json": "record of a download that is gone",
        "downloads/bb.json": "record of a download that is gone",
        "downloads/bb.json.tmp.17": "unfinished file",
        "scratch/ext4-v1-16777216.img": "scratch disk of a size not used for 30 days",
        "scratch/ext4-v0-16777216.img": "unfinished scratch disk",
        "scratch/ext4-v1-16777216.img.tmp.17": "unfinished file",
        "metadata.key.tmp.17": "unfinished file",
        ".metadata.key.0123456789abcdef": "unfinished file",
    }
    keep = ["downloads/cc.json", "downloads/dd.part", "downloads/dd.json", "scratch/ext4-v1-33554432.img",
            "metadata.key.tmp.18", "blobs/.tmp-2-0123456789abcdef"]
    for path in [*old, *keep]:
        (d / path).write_bytes(b"x" * 4096)
        if path not in keep or path.startswith("downloads"):
            os.utime(d / path, (time.time() - 31 * DAY,) * 2)
    (d / "downloads/cc.json").write_text(json.dumps({"url": "https://x/", "imageID": image}))
    (d / "downloads/bb.json").write_text(json.dumps({"url": "https://x/", "imageID": sha512_id(b"gone")}))
    with open(d / "downloads/dd.part") as part, open(d / "blobs/.tmp-2-0123456789abcdef") as temp:
        for f in (part, temp):
            fcntl.flock(f, fcntl.LOCK_EX)
        before = listing(store)
        assert gc(store, "--dry-run") == ([], old)
        assert listing(store) == before
        assert gc(store) == ([], old)
        assert gc(store) == ([], {})
    assert listing(store) == sorted([*keep, "blobs/" + image, "rendered/" + rendered[0]])


def test_records_go_with_their_images(store):
    """Each file is told of once, by a dry run too."""
    a, b = images(store, 40, 0)
    (store.data / "downloads").mkdir()
    for name, image in (("aa", a), ("bb", b), ("cc", sha512_id(b"gone"))):
        (store.data / f"downloads/{name}.json").write_text(json.dumps({"url": "https://x/", "imageID": image}))
    before = listing(store)
    told = json.loads(store("image", "gc", "--format=json", "--older-than=30d", "--dry-run", check=0).stdout)
    assert [i["id"] for i in told["images"]] == [a] and listing(store) == before
    assert sorted(f["path"] for f in told["files"]) == ["downloads/aa.json", "downloads/cc.json"]
    done = json.loads(store("image", "gc", "--format=json", "--older-than=30d", check=0).stdout)
    assert sorted(f["path"] for f in done["files"]) == ["downloads/aa.json", "downloads/cc.json"]
    assert done["freed"] == told["freed"] and sorted(os.listdir(store.data / "downloads")) == ["bb.json"]


def test_stale_roots(store):
    """A root that no image has any more, as its dependency is another one now; and by age."""
    add(store, {"f": "1"}, name="example.com/base")
    top = add(store, {"g": "2"}, name="example.com/top", dependencies=[{"imageName": "example.com/base"}])
    store("image", "render", "--flat", top, store.work / "1", check=0)
    assert len(os.listdir(store.data / "rendered")) == 2 and gc(store) == ([], {})
    add(store, {"f": "3"}, name="example.com/base", version="2.0.0")
    store("image", "render", "--flat", top, store.work / "2", check=0)
    assert len(os.listdir(store.data / "rendered")) == 4
    gone = gc(store)[1]
    assert list(gone.values()) == ["rendered root out of use"] and not (store.data / list(gone)[0]).exists()
    store("image", "render", "--flat", "--overwrite", top, store.work / "3", check=0)
    assert (store.work / "2").read_bytes() == (store.work / "3").read_bytes()
    a, = images(store, 0)
    with contextlib.closing(sqlite3.connect(store.data / "index.db")) as db:
        db.execute("UPDATE rendered SET used = 1")
        db.commit()
    assert len(gc(store, "--older-than=1d")[1]) == 4 and os.listdir(store.data / "rendered") == []
    store("image", "render", "--flat", a, store.work / "4", check=0)


def test_a_fetch_keeps_what_it_brought(trusting, web, gpg):
    """gc comes while the dependency is on its way: what the fetch has by then stays."""
    data = offer(web, gpg, "example.com/dep")
    top = at_version(web, gpg, "example.com/top", dependencies=[
        dep("example.com/dep", labels=[{"name": "version", "value": "1.0.0"}])])
    there = offer(web, gpg, "example.com/there")
    trusting.fetch("example.com/there:1.0.0", check=0)
    age(trusting, image_id(there), 50)
    asked, go = threading.Event(), threading.Event()

    def answer(h):
        asked.set()
        go.wait(60)
        h.reply(200, data)
    web.routes["mirror.example.net", WHERE.format("example.com/dep", "1.0.0")] = answer
    p = trusting.start("fetch", *web.options(), "example.com/top", "example.com/there:1.0.0")
    assert asked.wait(60)
    wait_for(lambda: (trusting.data / "blobs" / image_id(top)).exists())
    assert gc(trusting, "--older-than=0s", "--max-size=0") == ([], {})
    go.set()
    out, err = p.communicate(timeout=60)
    assert (p.returncode, out.split()) == (0, [image_id(top), image_id(there)]), err
    assert left(trusting) == {image_id(data), image_id(top), image_id(there)}
    assert len(gc(trusting, "--older-than=0s")[0]) == 3


@pytest.mark.parametrize("value", ["", "x", "3", "1y", "-1d", "1dd", "99999999999999w", "18446744073709551617s"])
def test_times(store, value):
    r = store("image", "gc", f"--older-than={value}")
    assert r.returncode == (0 if value == "3" else 2), r.stderr


@contextlib.contextmanager
def cleaning_all_the_time(store):
    """gc of everything that may go, again and again: the number of rounds, and of images that went."""
    count = {"rounds": 0, "images": 0}
    end = threading.Event()

    def loop():
        while not end.is_set():
            count["images"] += len(gc(store, "--older-than=0s", "--max-size=0")[0])
            count["rounds"] += 1
    t = threading.Thread(target=loop)
    t.start()
    try:
        yield count
    finally:
        end.set()
        t.join()


def test_fetches_and_gc_at_the_same_time(trusting, web, gpg):
    """Each fetch has all that it asked for when it ends, in spite of who else fetches or cleans."""
    data = [at_version(web, gpg, f"example.com/dep{i}", files={"f": bytes([i]) * 100_000}) for i in range(2)]
    tops = [at_version(web, gpg, f"example.com/top{i}", dependencies=[dep("example.com/dep0"), dep("example.com/dep1")])
            for i in range(3)]
    with cleaning_all_the_time(trusting) as count:
        for _ in range(6):
            running = [trusting.start("fetch", *web.options(), f"example.com/top{i}") for i in range(3)]
            for p, top in zip(running, tops):
                out, err = p.communicate(timeout=120)
                assert (p.returncode, out.strip()) == (0, image_id(top)), err
    assert count["rounds"] > 6 and count["images"] > 0
    left(trusting)
    trusting.fetch("example.com/top0", check=0)
    assert left(trusting) >= {image_id(tops[0]), *map(image_id, data)}


def test_runs_and_gc_at_the_same_time(store):
    image = store.image("example.com/hello", {"exec": ["/bin/echo", "hello"]})
    aci = next(store.work.glob("layout-example.com_hello*.aci"))
    with cleaning_all_the_time(store) as count:
        for _ in range(3):
            r = store.run("--insecure-options=image", aci, check=0)  # imports it when it went
            assert r.stdout == "hello\n"
    assert count["rounds"] > 3 and left(store) <= {image}
