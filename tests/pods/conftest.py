# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests: the real binary, images made on the spot, a store of their own."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("APPC_VM_BUILD", ROOT / "build"))
BUSYBOX = pathlib.Path("/bin/busybox")
ACCEL = os.environ.get("APPC_VM_TEST_ACCEL", "auto")
# A pod takes a second or two under emulation; this is for a machine that is busy with others.
TIMEOUT = 180


class Appc:
    """The command with a data directory of its own."""

    def __init__(self, data, work):
        self.data = data
        self.work = work
        self.env = dict(os.environ, APPC_VM_DIR=str(data))

    def __call__(self, *args, check=None, timeout=TIMEOUT, **kw):
        program = kw.pop("program", BUILD / "appc-vm")
        r = subprocess.run([program, *map(str, args)], env=self.env, capture_output=True,
                           text=kw.pop("text", True), timeout=timeout, stdin=subprocess.DEVNULL, **kw)
        if check is not None:
            assert r.returncode == check, f"status {r.returncode}\n{r.stdout}\n{r.stderr}"
        return r

    def start(self, *args, **kw):
        return subprocess.Popen([BUILD / "appc-vm", *map(str, args)], env=self.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)

    def image(self, name, app=None, files=None, version="1.0.0", fetch=True, **manifest):
        """Builds an image with busybox in it and imports it: its ID (or the archive's path)."""
        layout = self.work / ("layout-" + name.replace("/", "_") + version)
        shutil.rmtree(layout, ignore_errors=True)
        rootfs = layout / "rootfs"
        (rootfs / "bin").mkdir(parents=True)
        if files is None or "bin/busybox" not in files:
            shutil.copy(BUSYBOX, rootfs / "bin/busybox")
            for tool in applets():
                if tool != "busybox":
                    os.symlink("busybox", rootfs / "bin" / tool)
        for path, content in (files or {}).items():
            p = rootfs / path
            p.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                p.mkdir(exist_ok=True)
            elif isinstance(content, pathlib.PurePath):
                p.symlink_to(content)
            else:
                p.write_bytes(content if isinstance(content, bytes) else content.encode())
                p.chmod(0o755)
        doc = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name,
               "labels": [{"name": "version", "value": version}, {"name": "os", "value": "linux"},
                          {"name": "arch", "value": "amd64"}]}
        if app is not None:
            doc["app"] = dict({"user": "0", "group": "0"}, **app)
        doc.update(manifest)
        (layout / "manifest").write_text(json.dumps(doc))
        aci = self.work / (layout.name + ".aci")
        self("build", "--overwrite", "--owner=root", "--compress=none", layout, aci, check=0)
        if not fetch:
            return aci
        return self("fetch", "--insecure-options=image", aci, check=0).stdout.strip()

    def pod(self, apps, **more):
        """Writes a pod manifest: its path. Apps are dicts; "image" may be an ID or a name."""
        doc = {"acKind": "PodManifest", "acVersion": "0.8.11", "apps": []}
        for a in apps:
            a = dict(a)
            if isinstance(a["image"], str):
                a["image"] = {"id": a["image"]} if a["image"].startswith("sha512-") else {"name": a["image"]}
            doc["apps"].append(a)
        doc.update(more)
        path = self.work / f"pod-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(doc))
        return path

    def run(self, *args, check=None, **kw):
        return self("run", f"--accel={ACCEL}", *args, check=check, **kw)

    def sh(self, image, script, *args, check=None, **kw):
        """Runs a shell script in a pod of one app."""
        return self.run(*args, "--exec=/bin/sh", image, "--", "-c", script, check=check, **kw)

    def pods(self):
        return json.loads(self("list", "--format=json", check=0).stdout)

    def status(self, uuid):
        return json.loads(self("status", "--format=json", uuid, check=0).stdout)


def applets():
    if not hasattr(applets, "names"):
        applets.names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True,
                                       check=True).stdout.split()
    return applets.names


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid):
    """All processes below pid, by the kernel's own lists."""
    found = []
    try:
        for t in os.listdir(f"/proc/{pid}/task"):
            for c in pathlib.Path(f"/proc/{pid}/task/{t}/children").read_text().split():
                found += [int(c)] + descendants(int(c))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def wait_for(condition, seconds=60):
    """Polls until the condition holds; the bound only matters when it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@pytest.fixture(scope="module")
def appc(tmp_path_factory):
    work = tmp_path_factory.mktemp("appc")
    a = Appc(work / "data", work)
    yield a
    for p in a.pods():
        if p["state"] in ("running", "starting"):
            os.kill(p["pid"], signal.SIGKILL)


@pytest.fixture(scope="module")
def shell(appc):
    """An image with busybox whose app is a shell."""
    return appc.image("example.com/shell", {"exec": ["/bin/sh"]}, {"etc/hostname-test": "x", "tmp": None})
