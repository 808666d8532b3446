#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nested bench: runs programs on a machine that has KVM, where there is none.

QEMU emulates (TCG) an AMD machine with SVM; on it boots Debian's stock kernel
with kvm-amd, from a package that is unpacked and never installed; and there the
commands run, as root, with /dev/kvm. Nothing but QEMU, apt and dpkg is needed.

    bench.py [--add HOST[:GUEST]]... [--data HOST:GUEST]... -- COMMAND [ARG]...

--add puts a program (with the shared libraries it needs), a file or a folder
into the initramfs; --data copies a folder onto an ext4 disk, for things that
are large or need a real file system. Standard output, standard error and
exit status of the command become those of bench.py.

As a module: Bench(...).run([[command, ...], ...]) -> [Result, ...]
"""

import argparse
import dataclasses
import fcntl
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Loaded always, in this order; and what --data and callers may want.
KVM_MODULES = ["irqbypass", "ccp", "kvm", "kvm-amd"]
DISK_MODULES = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]
OTHER_MODULES = [
    "overlay", "erofs", "squashfs", "loop", "tun", "vsock", "9p", "9pnet_virtio",
    "virtio_net", "virtio_rng", "fuse",
]
META_PACKAGE = "linux-image-amd64"
END_COMMAND = b"\x1e"


class BenchError(Exception):
    """The bench itself failed, not what ran in it. The message says what to do."""


@dataclasses.dataclass
class Result:
    """What one command did."""

    status: int
    stdout: bytes
    stderr: bytes


# --- the outer kernel ---------------------------------------------------------------------------


def cache_dir():
    base = os.environ.get("APPC_VM_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "appc-vm")
    return Path(base) / "nested"


def run_tool(args, **kw):
    """Runs a host program; its failure is a BenchError with its last words."""
    try:
        return subprocess.run(args, check=True, capture_output=True, **kw)
    except FileNotFoundError as e:
        raise BenchError(f"{args[0]} is missing on this host") from e
    except subprocess.CalledProcessError as e:
        words = e.stderr.decode(errors="replace").strip().splitlines()
        raise BenchError(f"{args[0]} failed: {words[-1] if words else e}") from e


def kernel_package():
    """The real package behind Debian's meta package, such as linux-image-6.1.0-56-amd64."""
    out = run_tool(["apt-cache", "depends", META_PACKAGE]).stdout.decode()
    names = re.findall(r"Depends: (linux-image-[0-9][^ \n]*)", out)
    if not names:
        raise BenchError(f"apt knows no {META_PACKAGE}: run apt-get update")
    return names[0]


def module_name(path):
    return Path(path).name.split(".ko")[0].replace("-", "_")


def module_depends(path):
    """Names of the modules that a module file needs, from its .modinfo section."""
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    return [n.replace("-", "_") for n in found.group(1).decode().split(",") if n] if found else []


class OuterKernel:
    """vmlinuz and modules of the outer guest, in a folder of the cache."""

    def __init__(self, folder):
        self.vmlinuz = folder / "vmlinuz"
        self.modules = {module_name(p): p for p in (folder / "modules").iterdir()}

    def load_order(self, wanted):
        """Module files in an order in which each finds what it depends on."""
        order = []

        def visit(name):
            path = self.modules.get(name.replace("-", "_"))
            if path is None or path in order:  # built in, or there already
                return
            for dep in module_depends(path):
                visit(dep)
            order.append(path)

        for name in wanted:
            visit(name)
        return order


def closure(files, wanted):
    """The module files of `wanted` and of all they depend on."""
    by_name = {module_name(p): p for p in files}
    todo, done = [w.replace("-", "_") for w in wanted], {}
    while todo:
        name = todo.pop()
        if name in done or name not in by_name:
            continue
        done[name] = by_name[name]
        todo += module_depends(by_name[name])
    return done.values()


def unpack_kernel(deb, folder, wanted):
    """Keeps vmlinuz and the wanted modules of a kernel package."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as tmp:
        run_tool(["dpkg-deb", "-x", str(deb), tmp])
        root, out = Path(tmp), Path(tmp) / "out"
        (out / "modules").mkdir(parents=True)
        for path in closure(root.glob("lib/modules/**/*.ko"), wanted):
            shutil.copy(path, out / "modules")
        shutil.copy(next(root.glob("boot/vmlinuz-*")), out / "vmlinuz")
        out.rename(folder)


def outer_kernel():
    """The outer kernel, downloaded on first use. The newest cached one serves when offline."""
    wanted = KVM_MODULES + DISK_MODULES + OTHER_MODULES
    key = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:8]
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        have = sorted(cache.glob(f"linux-image-*-{key}"), key=lambda p: p.stat().st_mtime)
        if have:
            return OuterKernel(have[-1])
        package = kernel_package()
        with tempfile.TemporaryDirectory(dir=cache) as tmp:
            os.chmod(tmp, 0o755)
            try:
                run_tool(["apt-get", "download", package], cwd=tmp)
            except BenchError as e:
                raise BenchError(f"can't download {package} (offline?) and none is cached in "
                                 f"{cache}: {e}") from e
            folder = cache / f"{package}-{key}"
            unpack_kernel(next(Path(tmp).glob("*.deb")), folder, wanted)
        return OuterKernel(folder)


# --- the initramfs ------------------------------------------------------------------------------


class Initramfs:
    """An archive in the kernel's newc format, written entry by entry."""

    def __init__(self):
        self.out = io.BytesIO()
        self.names = {"."}
        self.inode = 0

    def entry(self, name, mode, data=b""):
        name = name.strip("/")
        if not name or name in self.names:
            return
        parent = os.path.dirname(name)
        if parent:
            self.entry(parent, stat.S_IFDIR | 0o755)
        self.names.add(name)
        self.raw(name, mode, data)

    def raw(self, name, mode, data):
        self.inode += 1
        raw = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        self.out.write(b"070701" + b"".join(b"%08x" % f for f in fields) + raw)
        self.out.write(b"\0" * (-self.out.tell() % 4) + data)
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def file(self, name, data, mode=0o644):
        self.entry(name, stat.S_IFREG | mode, data)

    def add(self, host, guest):
        """A file, or a folder with all that is in it; programs bring their libraries along."""
        host = Path(host)
        st = host.lstat()
        if stat.S_ISLNK(st.st_mode) and host.is_file():
            host, st = host.resolve(), host.stat()
        if stat.S_ISLNK(st.st_mode):
            self.entry(guest, stat.S_IFLNK | 0o777, os.readlink(host).encode())
        elif stat.S_ISDIR(st.st_mode):
            self.entry(guest, st.st_mode)
            for child in sorted(host.iterdir()):
                self.add(child, f"{guest}/{child.name}")
        elif stat.S_ISREG(st.st_mode):
            data = host.read_bytes()
            self.entry(guest, st.st_mode, data)
            if data[:4] == b"\x7fELF" and st.st_mode & 0o111:
                self.add_libraries(host)

    def add_libraries(self, program):
        ldd = subprocess.run(["ldd", str(program)], capture_output=True, check=False)
        for path in re.findall(r"(/[^\s()]+) \(0x", ldd.stdout.decode()):
            self.file(path, Path(path).read_bytes(), 0o755)

    def finish(self):
        self.raw("TRAILER!!!", 0, b"")
        return self.out.getvalue()


# --- the machine --------------------------------------------------------------------------------


def default_init():
    build = os.environ.get("APPC_VM_BUILD") or Path(__file__).parents[2] / "build"
    return Path(build) / "tests" / "kvm" / "bench-init"


class Bench:
    """One boot of the outer guest. Use run() once.

    It has one CPU. With two, the emulator now and then leaves a CPU that ran a guest with its
    global interrupt flag clear for ever: STGI was executed, and the flag, read from the emulator,
    is 0 while the CPU waits in HLT with interrupts pending ("timer wakeup didn't happen").
    """

    def __init__(self, memory="2G", cpus=1, init=None, timeout=300, modules=()):
        self.memory, self.cpus, self.timeout = memory, cpus, timeout
        self.init = Path(init or default_init())
        self.modules = list(modules)
        self.adds, self.datas, self.env = [], [], {"HOME": "/root"}
        self.console = b""  # the outer kernel's messages, for a look after a failure
        self.seconds = 0.0

    def add(self, host, guest=None):
        self.adds.append((host, guest or str(Path(host).absolute())))
        return self

    def data(self, host, guest):
        self.datas.append((host, guest))
        return self

    def _initramfs(self, kernel, commands, mounts):
        fs = Initramfs()
        if not self.init.is_file():
            raise BenchError(f"{self.init} is missing: run ninja first, or set APPC_VM_BUILD")
        fs.add(self.init, "init")
        wanted = KVM_MODULES + (DISK_MODULES if mounts else []) + self.modules
        order = kernel.load_order(wanted)
        for path in order:
            fs.file(f"modules/{path.name}", path.read_bytes())
        fs.file("bench/modules", "".join(f"/modules/{p.name}\n" for p in order).encode())
        fs.file("bench/mounts", "".join(m + "\n" for m in mounts).encode())
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.env}
        fs.file("bench/environ", b"".join(f"{k}={v}".encode() + b"\0" for k, v in env.items()))
        for i, command in enumerate(commands):
            fs.file(f"bench/cmd/{i}", b"".join(os.fsencode(a) + b"\0" for a in command))
        for host, guest in self.adds:
            try:
                fs.add(host, guest)
            except OSError as e:
                raise BenchError(f"can't put {e.filename} into the outer guest: "
                                 f"{e.strerror}") from e
        return fs.finish()

    def _disks(self, tmp):
        """An ext4 image for each --data folder; returns QEMU's arguments and the mounts."""
        args, mounts = [], []
        for i, (host, guest) in enumerate(self.datas):
            image = tmp / f"data{i}.img"
            used = int(run_tool(["du", "-sk", str(host)]).stdout.split()[0])
            with open(image, "wb") as f:
                f.truncate((used * 2 + 512 * 1024) * 1024)
            run_tool(["mke2fs", "-q", "-t", "ext4", "-d", str(host), str(image)])
            args += ["-drive", f"file={image},if=virtio,format=raw,cache=unsafe"]
            mounts.append(f"/dev/vd{chr(ord('a') + i)} ext4 {guest}")
        return args, mounts

    def _qemu(self, kernel, initrd, tmp, disks):
        ports = []
        for name in ("console", "out", "err", "status"):
            ports += ["-serial", f"file:{tmp / name}"]
        return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max",
                "-smp", str(self.cpus), "-m", self.memory, "-display", "none", "-nodefaults",
                "-no-reboot", "-kernel", str(kernel.vmlinuz), "-initrd", str(initrd), "-append",
                "console=ttyS0 quiet panic=-1 mitigations=off random.trust_cpu=1", *ports, *disks]

    def run(self, commands):
        """Runs the commands one after the other; a Result for each."""
        kernel = outer_kernel()
        with tempfile.TemporaryDirectory(prefix="appc-bench-") as tmp:
            tmp = Path(tmp)
            disks, mounts = self._disks(tmp)
            initrd = tmp / "initrd"
            initrd.write_bytes(self._initramfs(kernel, commands, mounts))
            started = time.monotonic()
            qemu = subprocess.Popen(self._qemu(kernel, initrd, tmp, disks),
                                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, words = qemu.communicate(timeout=self.timeout)
                late = False
            except subprocess.TimeoutExpired:
                qemu.kill()
                _, words = qemu.communicate()
                late = True
            self.seconds = time.monotonic() - started
            read = lambda name: (tmp / name).read_bytes() if (tmp / name).exists() else b""
            self.console = read("console")
            return self._results(len(commands), read("out"), read("err"),
                                 read("status").decode(errors="replace"),
                                 words.decode(errors="replace").strip(), late)

    def _results(self, count, out, err, status, qemu_words, late):
        statuses = [int(n) for n in re.findall(r"^status (\d+)$", status, re.M)]
        outs, errs = out.split(END_COMMAND), err.split(END_COMMAND)
        if len(statuses) == count and "done" in status.splitlines():
            for line in status.splitlines():
                if not re.match(r"status|done", line):
                    print(f"bench: {line}", file=sys.stderr)
            return [Result(*r) for r in zip(statuses, outs, errs)]
        why = f"took more than {self.timeout} s" if late else "ended early"
        i = len(statuses)
        tail = lambda parts: (parts[i] if i < len(parts) else b"")[-4000:].decode(errors="replace")
        raise BenchError(
            f"the outer guest {why} in command {i}\n{qemu_words}\n{status}\n"
            f"--- stdout\n{tail(outs)}\n--- stderr\n{tail(errs)}\n"
            f"--- console\n{self.console[-4000:].decode(errors='replace')}")


def parse_pair(text):
    host, sep, guest = text.partition(":")
    return host, guest if sep else None


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--add", action="append", default=[], metavar="HOST[:GUEST]")
    p.add_argument("--data", action="append", default=[], metavar="HOST:GUEST")
    p.add_argument("--module", action="append", default=[], help="load this module, too")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    p.add_argument("--memory", default="2G")
    p.add_argument("--cpus", type=int, default=1)
    p.add_argument("--timeout", type=int, default=300, help="seconds")
    p.add_argument("--init", help="bench-init, when it is not in build/tests/kvm")
    p.add_argument("--console", action="store_true", help="print the outer kernel's messages")
    p.add_argument("command", nargs="+")
    a = p.parse_args()
    bench = Bench(a.memory, a.cpus, a.init, a.timeout, a.module)
    for text in a.add:
        bench.add(*parse_pair(text))
    for text in a.data:
        bench.data(*parse_pair(text))
    bench.env.update(e.split("=", 1) for e in a.env)
    try:
        [result] = bench.run([a.command])
    except BenchError as e:
        print(f"bench: {e}", file=sys.stderr)
        return 125
    if a.console:
        sys.stderr.buffer.write(bench.console)
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    return result.status


if __name__ == "__main__":
    sys.exit(main())
