# SPDX-License-Identifier: Apache-2.0
"""The device processes behind QEMU's microvm: a guest kernel and a small init use each of them."""
import array
import hashlib
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("APPC_VM_BUILD", ROOT / "build"))
TIMEOUT = 180
MIB = 1 << 20
STREAM = 100 * MIB
MASK = (1 << 64) - 1


def kernel():
    r = subprocess.run([ROOT / "kernel-config/build.sh", "--print-path"], capture_output=True, text=True)
    assert r.returncode == 0, "the guest kernel is not built: ./dev setup"
    return r.stdout.strip()


def cpio(path, init):
    """An initramfs with /init and /dev/console in it (newc)."""
    def entry(name, mode, data=b"", rdev=(0, 0)):
        fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0]
        head = b"070701" + b"".join(b"%08x" % f for f in fields) + name.encode() + b"\0"
        return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
    path.write_bytes(entry("dev", 0o40755) + entry("dev/console", 0o20600, rdev=(5, 1)) +
                     entry("init", 0o100755, init.read_bytes()) + entry("TRAILER!!!", 0))


def pattern(start, length, seed):
    """The stream's bytes at `start`, as guest_init.c makes them."""
    step = 8 * 0x9e3779b97f4a7c15 & MASK
    v = (start * 0x9e3779b97f4a7c15 + seed) & MASK
    out = array.array("Q")
    for _ in range(length // 8):
        out.append(v)
        v = v + step & MASK
    return out.tobytes()


def fnv(data):
    h = 0xcbf29ce484222325
    data += b"\0" * (-len(data) % 8)
    for (v,) in struct.iter_unpack("<Q", data):
        h = (h ^ v) * 0x100000001b3 & MASK
    return h


class Supervisor(threading.Thread):
    """The other end of --connect-fd: takes connections over and serves them by port."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.received = hashlib.sha256()
        self.total = 0
        self.errors = []

    def run(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.sock, 64, 4)
            if not data:
                return
            port, _ = struct.unpack("<II", data)
            conn = socket.socket(fileno=fds[0])
            if port == 1024:
                threading.Thread(target=self.stream, args=(conn,), daemon=True).start()
            elif port == 1026:
                threading.Thread(target=self.echo, args=(conn,), daemon=True).start()
            else:
                conn.close()

    def echo(self, conn):
        while data := conn.recv(4096):
            conn.sendall(data)
        conn.close()

    def stream(self, conn):
        while data := conn.recv(MIB):
            self.received.update(data)
            self.total += len(data)
        for piece in self.to_send:
            conn.sendall(piece)
        conn.shutdown(socket.SHUT_WR)
        if conn.recv(1):
            self.errors.append("bytes after the end of the stream")
        conn.close()


class Bench:
    def __init__(self, work):
        self.work = work
        self.procs = []
        self.args = []

    def device(self, kind, *options, fds=()):
        ours, theirs = socket.socketpair()
        command = [BUILD / f"appc-dev-{kind}", f"--socket-fd={theirs.fileno()}", *options]
        self.procs.append(subprocess.Popen(command, pass_fds=[theirs.fileno(), *fds],
                                           stderr=subprocess.PIPE, text=True))
        theirs.close()
        return ours

    def boot(self, fronts, initrd):
        args = ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=off,memory-backend=mem", "-accel",
                "tcg,thread=multi", "-cpu", "max", "-m", "256M", "-object",
                "memory-backend-memfd,id=mem,size=256M,share=on", "-nodefaults", "-no-user-config",
                "-no-reboot", "-display", "none", "-serial", "stdio", "-global",
                "virtio-mmio.force-legacy=false", "-kernel", kernel(), "-initrd", str(initrd),
                "-append", "console=ttyS0 8250.nr_uarts=1 reboot=t panic=-1 quiet"]
        for i, (name, sock) in enumerate(fronts):
            args += ["-chardev", f"socket,id=c{i},fd={sock.fileno()}", "-device", f"{name},chardev=c{i}"]
        r = subprocess.run(args, pass_fds=[s.fileno() for _, s in fronts], capture_output=True,
                           text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
        for _, s in fronts:
            s.close()
        return r


@pytest.fixture
def bench(tmp_path):
    b = Bench(tmp_path)
    yield b
    for p in b.procs:
        if p.poll() is None:
            p.kill()
        p.wait()


def make_images(work):
    """An EROFS image that is split in two extents, with a hole behind; its bytes and the file's."""
    tree = work / "tree"
    tree.mkdir()
    big = random.Random(1).randbytes(64 * MIB)
    (tree / "big").write_bytes(big)
    image = work / "images.erofs"
    subprocess.run(["mkfs.erofs", image, tree], check=True, capture_output=True)
    data = image.read_bytes()
    cut = 5 * 512
    (work / "head").write_bytes(b"x" * 100 + data[:cut])
    (work / "tail").write_bytes(data[cut:])
    rest = (len(data) - cut + 511) // 512 * 512
    return data[:cut] + data[cut:] + b"\0" * (rest - (len(data) - cut)) + b"\0" * MIB, big, cut, rest


def make_scratch(work):
    path = work / "scratch.ext4"
    with open(path, "wb") as f:
        f.truncate(256 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", path], check=True)
    return path


def test_all_devices_under_tcg(bench, tmp_path):
    disk, big, cut, rest = make_images(tmp_path)
    scratch = make_scratch(tmp_path)
    head = os.open(tmp_path / "head", os.O_RDONLY)
    tail = os.open(tmp_path / "tail", os.O_RDONLY)
    scratch_fd = os.open(scratch, os.O_RDWR)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = Supervisor(ours)
    supervisor.to_send = [pattern(i, MIB, 2) for i in range(0, STREAM, MIB)]
    supervisor.start()
    fronts = [
        ("vhost-user-blk", bench.device("blk", f"--extent={head}:100:{cut}", f"--extent={tail}:0:{rest}",
                                        f"--extent=zero:{MIB}", "--read-only", "--serial=images",
                                        fds=[head, tail])),
        ("vhost-user-blk,num-queues=2", bench.device("blk", f"--extent={scratch_fd}:0:{256 * MIB}", "--serial=scratch",
                                        "--queues=2", fds=[scratch_fd])),
        ("vhost-user-vsock-device", bench.device("vsock", f"--connect-fd={theirs.fileno()}", "--guest-cid=3",
                                                 fds=[theirs.fileno()])),
        ("vhost-user-rng", bench.device("rng")),
    ]
    theirs.close()
    initrd = tmp_path / "initrd"
    cpio(initrd, BUILD / "tests/unit/devices/devices-guest-init")
    r = bench.boot(fronts, initrd)
    print(r.stdout, r.stderr)
    said = dict(line.split()[1:3] for line in r.stdout.splitlines() if line.startswith("ok "))
    assert "failed" not in r.stdout
    assert int(said["images_raw"]) == fnv(disk)
    assert int(said["images_file"]) == fnv(big)
    assert said["scratch_verified"] == str(32 * MIB)
    assert said["scratch_trimmed"] == "1"
    assert said["rng"] == "1"
    assert said["vsock_refused"] == "1"
    assert said["vsock_echo"] == "100"
    assert said["vsock_sent"] == str(STREAM)
    assert said["vsock_received"] == str(STREAM)
    assert said["all"] == "1"
    want = hashlib.sha256(b"".join(pattern(i, MIB, 1) for i in range(0, STREAM, MIB)))
    assert supervisor.total == STREAM
    assert supervisor.received.hexdigest() == want.hexdigest()
    assert not supervisor.errors
    for p in bench.procs:
        assert p.wait(timeout=TIMEOUT) == 0, p.stderr.read()
        assert p.stderr.read() == ""
    # What the guest trimmed is not in the file any more.
    assert os.fstat(scratch_fd).st_blocks * 512 < 32 * MIB
    assert subprocess.run(["e2fsck", "-fn", scratch], capture_output=True).returncode == 0
    for fd in (head, tail, scratch_fd):
        os.close(fd)
