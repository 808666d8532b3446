# SPDX-License-Identifier: Apache-2.0
"""appc-dev-fs behind QEMU's microvm: a guest uses host directories as POSIX says (VOL-16, 20, 21, 22)."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import pytest

from test_devices_qemu import BUILD, cpio, kernel

TIMEOUT = 180
GUEST = BUILD / "tests/unit/devices/fs-guest"


class Host:
    """The directories that are shared, and what the guest asks for."""

    def __init__(self, base):
        self.base = base
        self.mounts = []
        self.fds = {}
        for d in ("rw/work", "rw/mnt", "ro", "norec/mnt"):
            (base / d).mkdir(parents=True)
        (base / "ro/file").write_text("read me")
        (base / "one").write_text("single")
        (base / "norec/file").write_text("")
        if os.geteuid() == 0:
            for d in ("rw/mnt", "norec/mnt"):
                subprocess.run(["mount", "-t", "tmpfs", "below", base / d], check=True)
                self.mounts.append(base / d)
            (base / "norec/mnt/inside").write_text("below")
        (base / "rw/mnt/inside").write_text("below")

    def share(self, name):
        self.fds[name] = os.open(self.base / name, os.O_PATH)
        flags = {"ro": ":ro", "norec": ":norec"}.get(name, "")
        return f"--share={name}:{self.fds[name]}{flags}"

    def done(self):
        for fd in self.fds.values():
            os.close(fd)
        for m in self.mounts:
            subprocess.run(["umount", m], check=True)

    def rewrite(self):
        rw = self.base / "rw"
        assert (rw / "from-guest").read_text() == "hello host"
        (rw / "shared").write_text("host's other text")
        (rw / "new-on-host").write_text("new")
        (rw / "from-guest").unlink()

    def same_size(self):
        with open(self.base / "rw/shared", "r+") as f:
            f.write("HOST'S OTHER TEXT")

    def replace(self):
        rw = self.base / "rw"
        (rw / "tmp").write_text("another file")
        (rw / "tmp").rename(rw / "shared")
        (rw / "dir").mkdir()
        (rw / "dir/f").write_text("in a directory")

    def swap(self):
        (self.base / "rw/dir").rename(self.base / "rw/dir.old")
        (self.base / "rw/dir").symlink_to("/etc")

    def append(self):
        with open(self.base / "rw/log", "a") as f:
            f.write("host\n")


def start_device(host, *options, shares=("rw", "ro", "one", "norec"), program=BUILD / "appc-dev-fs", **kw):
    ours, theirs = socket.socketpair()
    command = [program, f"--socket-fd={theirs.fileno()}", *(host.share(s) for s in shares), *options]
    p = subprocess.Popen(command, pass_fds=[theirs.fileno(), *host.fds.values()], stderr=subprocess.PIPE,
                         text=True, **kw)
    theirs.close()
    return p, ours


def qemu_args(initrd, cmdline, device):
    return ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=off,memory-backend=mem", "-accel",
            "tcg,thread=multi", "-cpu", "max", "-m", "256M", "-object",
            "memory-backend-memfd,id=mem,size=256M,share=on", "-nodefaults", "-no-user-config",
            "-no-reboot", "-display", "none", "-serial", "stdio", "-global",
            "virtio-mmio.force-legacy=false", "-kernel", kernel(), "-initrd", str(initrd), "-append",
            f"console=ttyS0 8250.nr_uarts=1 reboot=t panic=-1 quiet {cmdline}", *device]


def vhost_device(sock):
    return ["-chardev", f"socket,id=c,fd={sock.fileno()}", "-device",
            "vhost-user-fs-device,chardev=c,tag=volumes,queue-size=1024,num-request-queues=1"]


def boot(args, host=None, fds=()):
    """Runs the guest to its end; its lines. What it asks for is done by the host's methods."""
    lines = []
    with subprocess.Popen(args, pass_fds=fds, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as q:
        signal.signal(signal.SIGALRM, lambda *_: q.kill())
        signal.alarm(TIMEOUT)
        for line in q.stdout:
            lines.append(line.strip())
            print(lines[-1])
            if lines[-1].startswith("ask "):
                getattr(host, lines[-1].split()[1].replace("-", "_"))()
                q.stdin.write("\n")
                q.stdin.flush()
        signal.alarm(0)
    return lines


def run_guest(tmp_path, host, *options, **kw):
    cpio(tmp_path / "initrd", GUEST)
    p, sock = start_device(host, *options, **kw)
    lines = boot(qemu_args(tmp_path / "initrd", "", vhost_device(sock)), host, [sock.fileno()])
    sock.close()
    try:
        assert p.wait(timeout=60) == 0, p.stderr.read()
        assert p.stderr.read() == ""
    finally:
        p.kill()
    return lines


def check_lines(lines):
    assert not [s for s in lines if s.startswith(("failed", "bad"))]
    assert {s.split()[1] for s in lines if s.startswith("ok ")} == {
        "shares", "posix", "owners", "files", "fsx", "storm", "coherence", "all"}


@pytest.fixture
def host(tmp_path):
    h = Host(tmp_path / "host")
    yield h
    h.done()


def test_posix_and_coherence(host, tmp_path):
    check_lines(run_guest(tmp_path, host))
    assert (host.base / "one").read_text() == "written"
    assert list((host.base / "rw/work").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_as_an_ordinary_user(host, tmp_path):
    """All is done with the rights of who started the device; other owners are attributes."""
    for path in [host.base, *host.base.rglob("*")]:
        os.chown(path, 1000, 1000)
    tmp_path.chmod(0o755)
    program = pathlib.Path("/tmp") / f"appc-dev-fs-{os.getpid()}"
    shutil.copy(BUILD / "appc-dev-fs", program)
    try:
        lines = run_guest(tmp_path, host, "--ownership=xattr", program=program, user=1000, group=1000, extra_groups=[])
    finally:
        program.unlink()
    check_lines(lines)
    assert (host.base / "rw/new-on-host").stat().st_uid == 0
    assert (host.base / "rw/log").stat().st_uid == 1000


def speed(lines):
    return "\n".join(s for s in lines if s.startswith("speed"))


@pytest.mark.skipif("APPC_VM_BENCH" not in os.environ, reason="a measurement; set APPC_VM_BENCH=1")
@pytest.mark.parametrize("cache", ["0", "1", "1000"])
def test_speed(host, tmp_path, cache):
    cpio(tmp_path / "initrd", GUEST)
    p, sock = start_device(host, f"--cache-ms={cache}")
    lines = boot(qemu_args(tmp_path / "initrd", "speed", vhost_device(sock)), host, [sock.fileno()])
    sock.close()
    assert p.wait(timeout=60) == 0
    assert "ok all 0" in " ".join(lines)
    print(f"appc-dev-fs, {cache} ms\n" + speed(lines))
