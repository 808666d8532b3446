# SPDX-License-Identifier: Apache-2.0
"""run with image names: the example of SPEC.md from names and one trusted key alone."""
import json
import pathlib

import pytest

from conftest import ACCEL, BUSYBOX
from fetchserver import (TEMPLATE, User, aci, authority, dep, gpg, image_id, offer, shared_web, trusting, user, web)

BUSY = {"bin/busybox": BUSYBOX.read_bytes()}


def sh(script):
    return {"exec": ["/bin/busybox", "sh", "-c", script], "user": "0", "group": "0"}


def publish(web, gpg, name, version="1.0.0", **more):
    """Signed, on a mirror host behind a redirect."""
    data = aci(name, labels={"version": version, "os": "linux", "arch": "amd64"}, **more)
    path = f"/linux/amd64/{name}-{version}.aci"
    for ext, body in (("", data), (".asc", gpg.sign(data, "signer@example.com"))):
        web.routes["mirror.example.net", path + ext] = (
            302, "", {"Location": f"https://www.example.com/store{path}{ext}"})
        web.routes["www.example.com", f"/store{path}{ext}"] = (200, body, {})
        web.routes["mirror.example.net", path.replace(version, "latest") + ext] = \
            web.routes["mirror.example.net", path + ext]
    return data


@pytest.fixture
def example(web, gpg):
    """The images of the specification's introduction; only the host itself has a page, which redirects."""
    web.routes["example.com", "/"] = (301, "", {"Location": "https://www.example.com/discovery"})
    web.page("www.example.com/discovery", ("ac-discovery", f"example.com {TEMPLATE}"),
             ("ac-discovery-pubkeys", "example.com https://keys.example.org/pubkeys.gpg"))
    web.routes["keys.example.org", "/pubkeys.gpg"] = (200, gpg.public("signer@example.com"), {})
    base = publish(web, gpg, "example.com/base", files=BUSY)
    needs = [dep("example.com/base", imageID=image_id(base), size=len(base))]
    publish(web, gpg, "example.com/reduce-worker", dependencies=needs, app=sh("echo work; echo done"),
            files={"usr/bin/reduce-worker": "x"})
    publish(web, gpg, "example.com/worker-backup", dependencies=needs, app=sh("echo backup"))
    publish(web, gpg, "example.com/reduce-worker-register", dependencies=needs, app=sh("echo register"))


POD = {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": [
    {"name": "reduce-worker", "image": {"name": "example.com/reduce-worker",
                                        "labels": [{"name": "version", "value": "1.0.0"}]}},
    {"name": "backup", "image": {"name": "example.com/worker-backup"}},
    {"name": "register", "image": {"name": "example.com/reduce-worker-register"}}]}


def test_spec_example_from_names_alone(user, web, gpg, example):
    pod = user.work / "pod.json"
    pod.write_text(json.dumps(POD))
    user.net("trust fetch", f"--fingerprint={gpg.fpr}", "--prefix=example.com", "example.com/reduce-worker", check=0)
    r = user.net("run", f"--accel={ACCEL}", "--prefix=never", pod, check=0)
    assert sorted(r.stdout.split()) == ["backup", "done", "register", "work"]
    images = user.images()
    assert len(images) == 4 and all(i["signer"] == gpg.fpr for i in images.values())
    downloads = [p for p in web.paths("www.example.com") if p.endswith(".aci")]
    assert len(downloads) == len(set(downloads)) == 4
    n = len(web.log)
    r = user.run("--prefix=never", pod, check=0)  # now without any network option
    assert sorted(r.stdout.split()) == ["backup", "done", "register", "work"]
    assert len(web.log) == n


def test_run_without_a_trusted_key(user, web, gpg, example):
    pod = user.work / "pod.json"
    pod.write_text(json.dumps(POD))
    r = user.net("run", pod)
    assert r.returncode == 125 and gpg.fpr in r.stderr and "not trusted" in r.stderr
    assert user.images() == {} and user.pods() == []


def test_run_of_a_name(trusting, web, gpg, example):
    r = trusting.net("run", f"--accel={ACCEL}", "example.com/worker-backup", check=0)
    assert r.stdout == "backup\n"
    r = trusting.net("run", "--pull=never", "example.com/reduce-worker")
    assert r.returncode == 125 and "--pull=never" in r.stderr
