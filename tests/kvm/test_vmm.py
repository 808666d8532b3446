# SPDX-License-Identifier: Apache-2.0
"""appc-vmm runs guests under KVM, in the nested bench. One boot of the outer guest serves all tests."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import bench  # noqa: E402

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("APPC_VM_BUILD") or ROOT / "build")
CMDLINE = "--cmdline=quiet reboot=t panic=-1"

RNG = "--device=4:1:/bin/appc-dev-rng"
BLK = "--device=2:1:/bin/appc-dev-blk:--extent=@/disk"
VSOCK = "--device=19:3:/bin/appc-dev-vsock:--connect-fd=&"
SPIN = "--cmdline=quiet reboot=t panic=-1 spin"


def vm(*devices, cpus=1, memory="256M", cmdline=CMDLINE, kernel="/vmlinux", options=()):
    return ["/bin/launch", "--vmm=/bin/appc-vmm", f"--kernel={kernel}", "--initrd=/guest.cpio",
            "--serial", *options, *devices, "--", f"--cpus={cpus}", f"--memory={memory}", cmdline]


SCENARIOS = {
    "probe": ["/bin/launch", "--vmm=/bin/appc-vmm", "--probe"],
    "bare": vm(),
    "one-cpu": vm(RNG),
    "two-cpus": vm(RNG, cpus=2),
    "four-devices": vm(RNG, BLK, BLK, VSOCK),
    "four-devices-two-cpus": vm(RNG, BLK, BLK, VSOCK, cpus=2),
    "small": vm(RNG, memory="64M"),
    "large": vm(RNG, memory="4G"),
    "console": vm(RNG, cmdline=CMDLINE + " console=ttyS0 8250.nr_uarts=1"),
    "sigterm": vm(RNG, cpus=2, cmdline=SPIN, options=["--on-line=term"]),
    "device-killed": vm(RNG, BLK, cmdline=SPIN, options=["--on-line=kill-device"]),
    "device-never-there": vm("--device=4:1:/bin/launch"),
    "too-many-queues": vm("--device=4:9:/bin/appc-dev-rng"),
    "not-a-kernel": vm(kernel="/guest.cpio"),
    "no-room": vm(memory="32M", kernel="/big"),
    "panic": vm(cmdline="--cmdline=quiet reboot=t panic=-1 rdinit=/missing"),
}


class Outcome:
    """What launch said about one VM."""

    def __init__(self, result):
        self.result = result
        self.text = result.stdout.decode(errors="replace")
        self.errors = result.stderr.decode(errors="replace")

    def line(self, prefix):
        found = re.search(rf"^{prefix} (.*)$", self.text, re.M)
        assert found, f"no {prefix} line in:\n{self.text}\n{self.errors}"
        return found.group(1)

    def fields(self, prefix):
        return dict(f.split("=") for f in re.findall(r"\w+=\S+", self.line(prefix)))

    @property
    def exit(self):
        return int(self.line("exit"))

    @property
    def stats(self):
        return json.loads(self.line("stats"))

    def exits(self):
        """To user space, without the bytes that the test's guest says."""
        stats = self.stats
        return stats["exits"]["total"] - stats["ports"].get("0x3f8", 0)


def guest_kernel():
    script = [str(ROOT / "kernel-config" / "build.sh")]
    return subprocess.run(script, check=True, stdout=subprocess.PIPE).stdout.decode().strip()


def guest_initramfs(path):
    fs = bench.Initramfs()
    fs.add(BUILD / "tests/kvm/guest-init", "init")
    for folder in ("dev", "proc"):
        fs.entry(folder, 0o40755)
    path.write_bytes(fs.finish())


def big_kernel(path, kernel):
    """The guest kernel with a segment that is larger than the machine's memory."""
    data = bytearray(Path(kernel).read_bytes())
    phoff = int.from_bytes(data[32:40], "little")
    data[phoff + 40:phoff + 48] = (1 << 30).to_bytes(8, "little")
    path.write_bytes(data)


@pytest.fixture(scope="session")
def outcomes():
    b = bench.Bench(timeout=500)
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        kernel = guest_kernel()
        guest_initramfs(tmp / "guest.cpio")
        big_kernel(tmp / "big", kernel)
        (tmp / "disk").write_bytes(b"hello-disk ".ljust(1 << 20, b"\0"))
        for name in ("appc-vmm", "appc-dev-rng", "appc-dev-blk", "appc-dev-vsock"):
            b.add(BUILD / name, f"/bin/{name}")
        b.add(BUILD / "tests/kvm/launch", "/bin/launch").add(kernel, "/vmlinux")
        for name in ("guest.cpio", "disk", "big"):
            b.add(tmp / name, f"/{name}")
        results = b.run(list(SCENARIOS.values()))
    return {name: Outcome(r) for name, r in zip(SCENARIOS, results)}


def test_probe_finds_kvm_usable(outcomes):
    o = outcomes["probe"]
    found = json.loads(o.text)
    assert found["usable"] is True and found["reason"] is None
    assert 0 < found["ns_per_instruction"] < 50
    assert o.result.status == 0


BOOTS = [n for n in SCENARIOS if n in ("bare", "one-cpu", "two-cpus", "small", "large")
         or n.startswith("four")]


@pytest.mark.parametrize("name", BOOTS)
def test_boots_and_resets(outcomes, name):
    o = outcomes[name]
    assert o.exit == 0, o.errors
    assert o.errors == ""
    assert o.stats["end"] == "reset"
    assert o.stats["exits"]["shutdown"] == 1  # the reset is one exit ...
    assert "0x64" not in o.stats["ports"]  # ... and nothing polls an i8042
    assert o.stats["run_ns"] > 0


@pytest.mark.parametrize("name,cpus", [("one-cpu", 1), ("two-cpus", 2),
                                       ("four-devices-two-cpus", 2)])
def test_cpus_are_online(outcomes, name, cpus):
    assert outcomes[name].fields("serial guest")["cpus"] == str(cpus)
    assert len(outcomes[name].stats["kvm_cpus"]) == cpus


@pytest.mark.parametrize("name,least,most", [("small", 40, 64), ("one-cpu", 220, 256),
                                             ("large", 3900, 4096)])
def test_memory_size(outcomes, name, least, most):
    assert least < int(outcomes[name].fields("serial guest")["mib"]) < most


@pytest.mark.parametrize("name", [n for n in BOOTS if n != "bare"])
def test_device_interrupts_arrive(outcomes, name):
    """The guest slept until the entropy device had answered."""
    assert outcomes[name].fields("serial guest")["rng"] == "64"


def test_four_devices(outcomes):
    guest = outcomes["four-devices"].fields("serial guest")
    assert guest["disk"] == "hello-disk" and guest["vsock"] == "1"
    assert re.findall(r"^device \d exit (\d+)", outcomes["four-devices"].text, re.M) == ["0"] * 4


def test_no_devices(outcomes):
    guest = outcomes["bare"].fields("serial guest")
    assert guest["disk"] == "-" and guest["rng"] in ("-1", "0")
    assert outcomes["bare"].stats["devices"] == []


@pytest.mark.parametrize("name,most", [("bare", 12), ("one-cpu", 34), ("two-cpus", 38),
                                       ("four-devices", 130), ("four-devices-two-cpus", 134)])
def test_exits_to_user_space(outcomes, name, most):
    """A count, not a time: the same on every machine. It must not grow unnoticed."""
    print(name, outcomes[name].exits(), outcomes[name].stats["exits"])
    assert outcomes[name].exits() <= most


def test_serial_console(outcomes):
    """The driver finds a 16550A, and a terminal can be written to and drained."""
    o = outcomes["console"]
    assert o.exit == 0, o.errors
    assert "serial guest speaks by the driver, too" in o.text.replace("\r", "")


def test_vmm_is_jailed(outcomes):
    jail = outcomes["two-cpus"].fields("jail")
    assert jail["seccomp"] == "2" and jail["no_new_privs"] == "1"
    assert jail["threads"] == "3"  # two CPUs and the one that waits


def test_sigterm_stops(outcomes):
    o = outcomes["sigterm"]
    assert o.exit == 1
    assert o.errors == "appc-vmm: stopped by a signal before the guest had ended\n"
    assert o.stats["end"] == "stopped"


def test_lost_device_ends_the_vm(outcomes):
    o = outcomes["device-killed"]
    assert o.exit == 1
    assert o.errors == "appc-vmm: device 0 (virtio id 4): the device process closed its socket\n"
    assert "device 1 exit 0" in o.text  # the other one goes, too


@pytest.mark.parametrize("name,words", [
    ("device-never-there", "device 0 (virtio id 4): "),
    ("too-many-queues", "queues, not 9"),
    ("not-a-kernel", "kernel: not an ELF file"),
    ("no-room", "kernel: segment of 1073741824 bytes at 0x1000000 does not fit"),
])
def test_refuses(outcomes, name, words):
    o = outcomes[name]
    assert o.exit == 1
    line = [e for e in o.errors.splitlines() if e.startswith("appc-vmm: ")]
    assert len(line) == 1 and words in line[0]


def test_panic_ends_the_vm(outcomes):
    """A kernel that can't go on resets; what it left unsaid is the supervisor's to miss."""
    o = outcomes["panic"]
    assert o.exit == 0
    assert "serial guest" not in o.text
