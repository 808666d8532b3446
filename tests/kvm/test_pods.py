# SPDX-License-Identifier: Apache-2.0
"""Whole pods under appc-vmm, in the nested bench: the demo's pods, exit status, signals."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench import Bench  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("APPC_VM_BUILD", ROOT / "build"))
PROGRAMS = ["appc-vm", "appc-supervisor", "appc-vmm", "appc-mds", "appc-dev-blk", "appc-dev-vsock", "appc-dev-rng",
            "appc-dev-fs"]
IMAGES = ["base", "redis", "redis-client", "python", "reduce-worker", "worker-backup", "reduce-worker-register"]


def payload(d):
    """A folder with the programs, the example images in a store, and the pods: what a user would have."""
    (d / "bin/guest").mkdir(parents=True)
    for p in PROGRAMS:
        shutil.copy(BUILD / p, d / "bin" / p)
    for f in ("vmlinux", "initramfs.cpio"):
        shutil.copy(BUILD / "guest" / f, d / "bin/guest" / f)
    images = d.parent / "images"
    subprocess.run([ROOT / "images/build.sh", BUILD / "appc-vm", images], check=True, stdout=subprocess.DEVNULL)
    for i in IMAGES:
        subprocess.run([BUILD / "appc-vm", "fetch", f"--dir={d}/data", "--insecure-options=image", images / f"{i}.aci"],
                       check=True, stdout=subprocess.DEVNULL)
    for p in (ROOT / "images/pods").glob("*.json"):
        shutil.copy(p, d)
    volumes(d)
    return d


DEVICES = BUILD / "tests/unit/devices"
LOOK = "cat /v/file; echo new >/v/made; ls /v; echo x >/r/file || echo refused"


def volumes(d):
    """Host volumes below /d/vol, and pods that use them: two apps at once, and the file system suite."""
    for path in ("vol/pair", "vol/suite", "vol/ro"):
        (d / path).mkdir(parents=True)
    (d / "vol/pair/file").write_text("of the host\n")
    (d / "vol/ro/file").touch()
    layout = d.parent / "layout"
    (layout / "rootfs").mkdir(parents=True)
    for p in ("fs-guest", "fs-pair"):
        shutil.copy(DEVICES / p, layout / "rootfs" / p)
    (layout / "manifest").write_text(json.dumps({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/fs",
        "labels": [{"name": "version", "value": "1.0.0"}, {"name": "os", "value": "linux"}, {"name": "arch", "value": "amd64"}]}))
    aci = d.parent / "fs.aci"
    subprocess.run([BUILD / "appc-vm", "build", "--owner=root", "--compress=none", layout, aci], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run([BUILD / "appc-vm", "fetch", f"--dir={d}/data", "--insecure-options=image", aci], check=True,
                   stdout=subprocess.DEVNULL)

    def app(name, image, *command):
        return {"name": name, "image": {"name": f"example.com/{image}"},
                "app": {"exec": list(command), "user": "0", "group": "0"},
                "mounts": [{"volume": "v", "path": "/v"}, {"volume": "r", "path": "/r"}]}

    def pod(name, source, *apps):
        (d / name).write_text(json.dumps({
            "acKind": "PodManifest", "acVersion": "0.8.11", "apps": apps,
            "volumes": [{"name": "v", "kind": "host", "source": source},
                        {"name": "r", "kind": "host", "source": "/d/vol/ro", "readOnly": True}]}))

    pod("pair.json", "/d/vol/pair", app("one", "fs", "/fs-pair", "one", "/v"), app("two", "fs", "/fs-pair", "two", "/v"),
        app("look", "debian-base", "/bin/sh", "-c", LOOK))
    pod("suite.json", "/d/vol/suite", app("suite", "fs", "/fs-guest", "/v", "1"))


SCRIPT = r"""
export PATH=/usr/sbin:/bin APPC_VM_DIR=/d/data
cd /d
appc() { bin/appc-vm run --prefix=always "$@"; echo "status $?"; }
echo "== check"; bin/appc-vm check; echo "status $?"
echo "== worker"; appc worker.json
echo "== redis"; appc redis.json
echo "== exit"; appc --cpus=1 --exec=/bin/sh example.com/debian-base -- -c 'nproc; exit 7'
echo "== memory"; appc --scratch=0 --memory=128M --exec=/bin/sh example.com/debian-base -- -c 'grep MemTotal /proc/meminfo'
echo "== pair"; appc pair.json; cat /d/vol/pair/made; grep -c 'from two' /d/vol/pair/mapped
echo "== suite"; appc suite.json
echo "== stop"
bin/appc-vm run --detach --uuid-file=/tmp/uuid --exec=/bin/sh example.com/debian-base -- -c 'trap "echo term; exit 3" TERM; echo up; while :; do sleep 0.1; done'
until bin/appc-vm logs "$(cat /tmp/uuid)" 2>/dev/null | grep -q up; do sleep 0.2; done
bin/appc-vm stop "$(cat /tmp/uuid)"; bin/appc-vm status "$(cat /tmp/uuid)"; bin/appc-vm logs "$(cat /tmp/uuid)"
echo "== left"; ps | grep -E 'appc-(vmm|dev|mds|super)' | grep -v grep; echo "status $?"
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    d = payload(tmp_path_factory.mktemp("nested") / "d")
    bench = Bench(timeout=500).data(d, "/d")
    # The dynamic ones stand here for the sake of the libraries that come along.
    for program in (BUILD / "appc-vm", BUILD / "appc-mds"):
        bench.add(program, f"/libraries-of/{program.name}")
    bench.add("/usr/sbin/mke2fs")
    for tool in ("busybox", "sh", "sleep", "cat", "grep", "ps"):
        bench.add("/bin/busybox", f"/bin/{tool}")
    r = bench.run([["/bin/sh", "-c", SCRIPT]])[0]
    text = r.stdout.decode()
    sections = {}
    for part in text.split("== ")[1:]:
        name, _, body = part.partition("\n")
        sections[name] = body
    assert sections, f"{text}\n{r.stderr.decode()}"
    sections["stderr"] = r.stderr.decode()
    return sections


def test_check_takes_kvm(output):
    assert "--accel=auto takes kvm" in output["check"] and "status 0" in output["check"]


def test_worker_pod(output):
    text = output["worker"]
    assert text.endswith("status 0\n"), text + output["stderr"]
    assert "reduce-worker: sum of the numbers: 500500" in text
    assert "backup: backup of the result: 500500" in text
    assert "register: registered: the worker's result is 500500, and its root is read-only" in text
    lines = text.splitlines()
    pre = next(i for i, l in enumerate(lines) if "pre-start: 1000 numbers" in l)
    main = next(i for i, l in enumerate(lines) if "reducing as" in l)
    post = next(i for i, l in enumerate(lines) if "post-stop: worker1" in l)
    assert pre < main < post


def test_redis_pod(output):
    text = output["redis"]
    assert text.endswith("status 0\n"), text + output["stderr"]
    assert "client: greeting = hello from a pod" in text and "client: visits = 5" in text


def test_exit_status_and_one_cpu(output):
    assert output["exit"] == "debian-base: 1\nstatus 7\n"


def test_memory_option(output):
    kib = int(output["memory"].split()[2])
    assert 64 * 1024 < kib < 128 * 1024


def test_host_volumes(output):
    """VOL-01 VOL-16 VOL-21: appc-dev-fs behind appc-vmm; locks and mappings between two apps, the host's files, a read-only one."""
    text = output["pair"]
    lines = {n: [x[len(n) + 2:] for x in text.splitlines() if x.startswith(n + ": ")] for n in ("one", "two", "look")}
    assert lines["one"] == ["ok files", "ok flock", "ok fcntl", "ok mapping"], text + output["stderr"]
    assert lines["two"] == ["ok files", "ok flock is busy", "ok fcntl is busy", "ok mapping", "ok flock waited", "ok fcntl waited"]
    assert lines["look"][0] == "of the host" and "made" in lines["look"] and lines["look"][-1] == "refused"
    assert text.endswith("status 0\nnew\n1\n")


def test_file_system_suite(output):
    """VOL-21 VOL-22: as tests/pods/test_volumes.py, on KVM."""
    lines = output["suite"].splitlines()
    assert lines[-1] == "status 0", output["suite"] + output["stderr"]
    assert [x.split()[1:3] for x in lines[:-1]] == [["ok", x] for x in ("posix", "owners", "files", "fsx", "storm")]


def test_stop_in_order(output):
    text = output["stop"]
    assert "state    exited" in text and "exit     3" in text
    assert text.endswith("up\nterm\n")


def test_nothing_is_left(output):
    assert output["left"] == "status 1\n"
