# SPDX-License-Identifier: Apache-2.0
"""The validator under appc-vmm, in the nested bench, with one CPU and with two."""
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "pods"))
from bench import Bench  # noqa: E402
from test_pods import BUILD, PROGRAMS  # noqa: E402
from validator import POD, assert_passed, make_layouts, too_slow  # noqa: E402

# The machine with KVM is an emulated one: a run that it was too slow for is repeated.
SCRIPT = r"""
export PATH=/usr/sbin:/bin APPC_VM_DIR=/d/data
cd /d
for cpus in 1 1 1 2 2 2; do
    echo "== $cpus"; bin/appc-vm run --accel=kvm --prefix=always --cpus=$cpus pod.json; echo "status: $?"
done
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    d = tmp_path_factory.mktemp("validator") / "d"
    (d / "bin/guest").mkdir(parents=True)
    for p in PROGRAMS:
        shutil.copy(BUILD / p, d / "bin" / p)
    for f in ("vmlinux", "initramfs.cpio"):
        shutil.copy(BUILD / "guest" / f, d / "bin/guest" / f)
    for layout in make_layouts(d.parent):
        aci = layout.with_suffix(".aci")
        subprocess.run([BUILD / "appc-vm", "build", "--owner=root", "--compress=none", layout, aci], check=True)
        subprocess.run([BUILD / "appc-vm", "fetch", f"--dir={d}/data", "--insecure-options=image", aci], check=True)
    shutil.copy(POD, d / "pod.json")
    bench = Bench(timeout=400).data(d, "/d")
    for program in (BUILD / "appc-vm", BUILD / "appc-mds"):
        bench.add(program, f"/libraries-of/{program.name}")
    bench.add("/usr/sbin/mke2fs")
    bench.add("/bin/busybox", "/bin/sh")
    r = bench.run([["/bin/sh", "-c", SCRIPT]])[0]
    found = {}
    for part in r.stdout.decode().split("== ")[1:]:
        cpus, _, body = part.partition("\n")
        found.setdefault(int(cpus), []).append(body)
    assert found, r.stderr.decode()
    return found


@pytest.mark.parametrize("cpus", [1, 2])
def test_validator(runs, cpus):
    """VAL-02 VAL-04 VAL-28 VAL-29 VAL-41 VAL-50 VAL-62 VAL-63 VAL-65 VAL-67: as tests/pods/test_validator.py, on KVM."""
    text = next((t for t in runs[cpus] if not too_slow(t)), runs[cpus][-1])
    assert_passed(text)
    assert "status: 0" in text
