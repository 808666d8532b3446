# SPDX-License-Identifier: Apache-2.0
"""kill -9 at system calls all over the commands that change the store, one round after the other on one store.

The points are drawn by a fixed seed from all the stops that a whole run makes. After each kill the store answers,
no image is lost or wrong, and gc finds what was left.
"""
import json
import os
import random
import shutil
import subprocess
import time

import pytest

from conftest import ACCEL, BUILD
from fetchserver import (WHERE, at_version, authority, dep, gpg, image_id, ranged, shared_web, trusting, user, web)
from test_images import add, layout, store

KILLAT = BUILD / "tests/pods/killat"
INSECURE = "--insecure-options=image"


class Crasher:
    def __init__(self, appc, seed):
        self.appc, self.random = appc, random.Random(seed)
        self.counter = appc.work / "stops"
        self.killed = 0

    def ids(self):
        return {i["id"] for i in json.loads(self.appc("image", "list", "--format=json", check=0).stdout)}

    def kill(self, at, *args):
        """Runs the command and kills it at a stop: whether it was, and how many there were."""
        program = BUILD / "appc-vm"
        r = subprocess.run([KILLAT, str(at), self.counter, program, *map(str, args)], env=self.appc.env,
                           capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL)
        assert r.returncode != 126, r.stderr
        dead = r.returncode == 137
        assert r.returncode == 0 or dead and at, r.stderr
        self.killed += dead
        return dead, int(self.counter.read_text())

    def points(self, stops, n):
        """Some at each part of the run, the last calls more often: there the index changes."""
        spread = [self.random.randint(stops * i // n + 1, stops * (i + 1) // n) for i in range(n)]
        return spread + [self.random.randint(stops * 9 // 10, stops) for _ in range(n // 2)]

    def check(self, may, must):
        """The images are between the two sets, and all whole; nothing waits for a dead process."""
        found = self.ids()
        assert must <= found <= may, (len(must - found), len(found - may))
        r = self.appc("image", "verify", "--all", check=0, timeout=60)
        assert r.stdout.split() == [w for i in r.stdout.split()[::2] for w in (i, "ok")]
        return found

    def clean(self):
        """gc finds everything that is no image's or pod's; a file must be five minutes old to be nobody's."""
        data = self.appc.data
        for p in data.rglob("*"):
            if ".tmp." in p.name or p.parent.name == "scratch":
                os.utime(p, (time.time() - 3600,) * 2)
        self.appc("image", "gc", check=0, timeout=60)
        ids = self.ids()
        assert set(os.listdir(data / "blobs")) == ids
        left = [p.name for p in data.rglob("*") if p.is_file() and p.parent != data / "blobs"]
        assert not [n for n in left if ".tmp" in n or n.endswith(".part")], left
        known = json.loads(self.appc("image", "gc", "--dry-run", "--format=json", check=0).stdout)
        assert known["files"] == [] and known["images"] == []
        return ids


def test_killed_imports_and_removals(store):
    base = add(store, {"f": "1"}, name="example.com/base")
    aci = store.work / "x.aci"
    x = store("build", layout(store.work / "x", {"g": os.urandom(3 << 20)}, name="example.com/x", dependencies=[
        {"imageName": "example.com/base"}]), aci, check=0).stdout.strip()
    c = Crasher(store, 1)
    fetch = ("fetch", "--quiet", INSECURE, aci)
    _, stops = c.kill(0, *fetch)
    assert c.check({base, x}, {base, x}) and stops > 100
    removal = ("image", "rm", x)
    _, rm_stops = c.kill(0, *removal)
    for i, at in enumerate(c.points(stops, 16)):
        c.kill(at, *fetch)
        here = c.check({base, x}, {base})
        if i % 3 == 0:
            assert c.clean() == here
        if x in here:
            store(*removal, check=0)
    for at in c.points(rm_stops, 10):
        store(*fetch, check=0)
        c.kill(at, *removal)
        c.check({base, x}, {base})
    assert c.killed >= 30
    c.clean()
    store(*fetch, check=0)
    assert c.clean() == {base, x}


def test_killed_renderings_and_cleaning(store):
    base = add(store, {f"d{i}/f": str(i) for i in range(200)}, name="example.com/base")
    top = add(store, {"g": "2"}, name="example.com/top", dependencies=[{"imageName": "example.com/base"}])
    c = Crasher(store, 2)
    render = ("image", "render", "--flat", "--overwrite", top, store.work / "flat")

    def forget():
        for p in (store.data / "rendered").iterdir():
            p.unlink()
    forget()
    _, stops = c.kill(0, *render)
    whole = (store.work / "flat").read_bytes()
    for i, at in enumerate(c.points(stops, 12)):
        forget()
        c.kill(at, *render)
        c.check({base, top}, {base, top})
        if i % 3 == 0:
            c.clean()
        store(*render, check=0)
        assert (store.work / "flat").read_bytes() == whole
    old = add(store, {"h": "3"}, name="example.com/old")
    gc = ("image", "gc", "--older-than=0s")
    keep = shutil.copytree(store.data, store.work / "copy")
    _, stops = c.kill(0, *gc)
    assert c.ids() == set()
    for at in c.points(stops, 12):
        shutil.rmtree(store.data)
        shutil.copytree(keep, store.data)
        c.kill(at, *gc)
        c.check({base, top, old}, set())
        c.clean()
    assert c.killed >= 24


def test_killed_fetches(trusting, web, gpg):
    """Over HTTPS: discovery, a download with an ETag, signatures, a dependency."""
    base = at_version(web, gpg, "example.com/base", files={"big": os.urandom(400_000)})
    top = at_version(web, gpg, "example.com/top", dependencies=[dep("example.com/base")])
    web.routes["mirror.example.net", WHERE.format("example.com/base", "latest")] = ranged(base)
    both = {image_id(base), image_id(top)}
    c = Crasher(trusting, 3)
    fetch = ("fetch", *web.options(), "example.com/top")
    _, stops = c.kill(0, *fetch)
    assert c.check(both, both)
    for i, at in enumerate(c.points(stops, 14)):
        for image in c.ids():
            trusting("image", "rm", "--force", image, check=0)
        c.kill(at, *fetch)
        here = c.check(both, set())
        if i % 3 == 0:
            assert c.clean() == here
    assert c.killed >= 14
    trusting.fetch("example.com/top", check=0)
    assert c.clean() == both


@pytest.mark.parametrize("part", ["early", "late"])
def test_killed_runs(store, part):
    """From the look-up of the image to the end of the pod, also in the supervisor that `run` becomes."""
    image = store.image("example.com/hello", {"exec": ["/bin/echo", "hello"]})
    c = Crasher(store, 4)
    run = ("run", f"--accel={ACCEL}", "--scratch=64M", image)
    _, stops = c.kill(0, *run)
    assert c.check({image}, {image})
    for _ in range(4):
        c.kill(c.random.randint(1, stops // 8 if part == "early" else stops - 1), *run)
        c.check({image}, {image})
        for p in store.pods():
            assert p["state"] in ("aborted", "exited"), p
            store("rm", p["uuid"], check=0)
        assert os.listdir(store.data / "pods") == []
        c.clean()
    assert c.killed >= 2
    assert store.run(image, check=0).stdout == "hello\n"
