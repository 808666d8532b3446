# SPDX-License-Identifier: Apache-2.0
"""Whole pods under appc-vmm, in the nested bench: the demo's pods, exit status, signals."""
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
    return d


SCRIPT = r"""
export PATH=/usr/sbin:/bin APPC_VM_DIR=/d/data
cd /d
appc() { bin/appc-vm run --prefix=always "$@"; echo "status $?"; }
echo "== check"; bin/appc-vm check; echo "status $?"
echo "== worker"; appc worker.json
echo "== redis"; appc redis.json
echo "== exit"; appc --cpus=1 --exec=/bin/sh example.com/debian-base -- -c 'nproc; exit 7'
echo "== memory"; appc --scratch=0 --memory=128M --exec=/bin/sh example.com/debian-base -- -c 'grep MemTotal /proc/meminfo'
echo "== stop"
bin/appc-vm run --detach --uuid-file=/tmp/uuid --exec=/bin/sh example.com/debian-base -- -c 'trap "echo term; exit 3" TERM; echo up; while :; do sleep 0.1; done'
until bin/appc-vm logs "$(cat /tmp/uuid)" 2>/dev/null | grep -q up; do sleep 0.2; done
bin/appc-vm stop "$(cat /tmp/uuid)"; bin/appc-vm status "$(cat /tmp/uuid)"; bin/appc-vm logs "$(cat /tmp/uuid)"
echo "== left"; ps | grep -E 'appc-(vmm|dev|mds|super)' | grep -v grep; echo "status $?"
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    d = payload(tmp_path_factory.mktemp("nested") / "d")
    bench = Bench(timeout=900).data(d, "/d")
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


def test_stop_in_order(output):
    text = output["stop"]
    assert "state    exited" in text and "exit     3" in text
    assert text.endswith("up\nterm\n")


def test_nothing_is_left(output):
    assert output["left"] == "status 1\n"
