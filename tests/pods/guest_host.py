# SPDX-License-Identifier: Apache-2.0
"""A host for the guest alone: QEMU, the device processes, and the host-guest protocol in Python."""
import json
import os
import pathlib
import queue
import shutil
import socket
import struct
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("APPC_VM_BUILD", ROOT / "build"))
BUSYBOX = pathlib.Path("/bin/busybox")
CONTROL, STDIO = 1024, 1025
# A boot takes one or two seconds under emulation; this is for a machine that is busy with others.
TIMEOUT = int(os.environ.get("APPC_VM_TEST_TIMEOUT", 240))
IMAGE_ID = "sha512-" + "0" * 128


def make_root(work, name, files=(), busybox=True, owners=()):
    """A root file system with busybox and `files` (path: content; None is a directory) as an EROFS image."""
    tree = work / f"tree-{name}"
    tree.mkdir()
    if busybox:
        (tree / "bin").mkdir()
        shutil.copy(BUSYBOX, tree / "bin/busybox")
        for tool in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True).stdout.split():
            if tool != "busybox":
                os.symlink("busybox", tree / "bin" / tool)
    for path, content in dict(files).items():
        p = tree / path
        p.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            p.mkdir(exist_ok=True)
        elif isinstance(content, pathlib.PurePath):
            p.symlink_to(content)
        else:
            p.write_bytes(content if isinstance(content, bytes) else content.encode())
            p.chmod(0o755)
    for path, (uid, gid) in dict(owners).items():
        os.chown(tree / path, uid, gid)
    image = work / f"{name}.erofs"
    subprocess.run(["mkfs.erofs", image, tree], check=True, capture_output=True)
    return image


def app(name, *command, root=0, read_only=False, mounts=(), **more):
    """An app of a reified pod manifest and the index of its root."""
    spec = {"exec": list(command), "user": "0", "group": "0", **more}
    return ({"name": name, "image": {"id": IMAGE_ID}, "app": spec, "readOnlyRootFS": read_only,
             "mounts": list(mounts)}, root)


def shell(name, script, **more):
    return app(name, "/bin/sh", "-c", script, **more)


def frame(message):
    data = json.dumps(message).encode()
    return struct.pack("<I", len(data)) + data


class Connection:
    """Frames, and then bytes, from a stream socket."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def need(self, n):
        while len(self.data) < n:
            more = self.sock.recv(1 << 16)
            if not more:
                return False
            self.data += more
        return True

    def take_frame(self):
        if not self.need(4):
            return None
        (n,) = struct.unpack("<I", self.data[:4])
        assert n <= 1 << 20, "a frame over the guest's limit"
        if not self.need(4 + n):
            return None
        body, self.data = self.data[4:4 + n], self.data[4 + n:]
        return json.loads(body)


class Guest:
    """One virtual machine. Start it, look at `messages` and `streams`, wait() for its end."""

    def __init__(self, work, images, apps, scratch=True, memory="512M", cpus=2, debug=False, replace=None, **config):
        self.work = work
        self.messages = []
        self.streams = {}      # (app, stream): bytes, complete once the guest has ended
        self.events = queue.Queue()
        self.procs = []
        self.threads = []
        self.control = None
        self.on_stdio = None   # called with (app, stream, socket, bytes so far) instead of reading
        self.console = ""
        self.close_on_end = True
        self.scratch = scratch
        self.config = self.make_config(images, apps, scratch, debug, config)
        self.config.update(replace or {})
        self.start(memory, cpus, debug)

    def make_config(self, images, apps, scratch, debug, config):
        manifest = {"acVersion": "0.8.11", "acKind": "PodManifest", "apps": [a for a, _ in apps],
                    "annotations": [], "volumes": config.pop("volumes", []),
                    "isolators": config.pop("isolators", [])}
        roots, offset = [], 0
        self.extents = []
        for image in images:
            size = image.stat().st_size
            roots.append({"offset": offset, "length": size})
            self.extents.append((image, size))
            offset += size
        return {"type": "config", "version": 1, "uuid": "6733c088-a507-4694-aabf-edbe4fc5266f",
                "hostname": "pod-host", "manifest": manifest, "roots": roots, "scratch": scratch,
                "apps": [{"name": a["name"], "root": r} for a, r in apps], "debug": debug,
                "stopOnExit": False, "graceMs": 2000, **config}

    def device(self, kind, *options, fds=()):
        ours, theirs = socket.socketpair()
        command = [BUILD / f"appc-dev-{kind}", f"--socket-fd={theirs.fileno()}", *options]
        self.procs.append(subprocess.Popen(command, pass_fds=[theirs.fileno(), *fds], stderr=subprocess.PIPE))
        theirs.close()
        return ours

    def block_device(self, serial, extents, read_only):
        files = [open(path, "rb" if read_only else "r+b") for path, _ in extents]
        options = [f"--extent={f.fileno()}:0:{size}" for f, (_, size) in zip(files, extents)]
        options += ["--read-only"] if read_only else []
        sock = self.device("blk", *options, f"--serial={serial}", fds=[f.fileno() for f in files])
        for f in files:
            f.close()
        return "vhost-user-blk", sock

    def make_scratch(self):
        path = self.work / "scratch.ext4"
        path.unlink(missing_ok=True)
        with open(path, "wb") as f:
            f.truncate(512 << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-F", "-O", "^has_journal,^resize_inode", path], check=True)
        return path

    def start(self, memory, cpus, debug):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fronts = [("vhost-user-vsock-device", self.device("vsock", f"--connect-fd={theirs.fileno()}",
                                                          fds=[theirs.fileno()])),
                  self.block_device("images", self.extents, True)]
        theirs.close()
        if self.scratch:
            path = self.make_scratch()
            fronts.append(self.block_device("scratch", [(path, path.stat().st_size)], False))
        self.acceptor = ours
        self.spawn(self.accept)
        kernel = subprocess.run([ROOT / "kernel-config/build.sh", "--print-path"], capture_output=True,
                                text=True, check=True).stdout.strip()
        # As appc-vm starts emulated guests: init starts the other CPUs.
        line = "reboot=t panic=-1 maxcpus=1 noreplace-smp" + (" console=ttyS0 8250.nr_uarts=1" if debug else " quiet")
        args = ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=off,memory-backend=mem", "-accel",
                "tcg,thread=multi", "-cpu", "max", "-m", memory, "-smp", str(cpus), "-object",
                f"memory-backend-memfd,id=mem,size={memory},share=on", "-nodefaults", "-no-user-config",
                "-no-reboot", "-display", "none", "-serial", "stdio" if debug else "none", "-global",
                "virtio-mmio.force-legacy=false", "-kernel", kernel, "-initrd", BUILD / "guest/initramfs.cpio",
                "-append", line]
        for i, (name, sock) in enumerate(fronts):
            args += ["-chardev", f"socket,id=c{i},fd={sock.fileno()}"]
            args += ["-device", f"{name},chardev=c{i}"]
        self.qemu = subprocess.Popen(args, pass_fds=[s.fileno() for _, s in fronts], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.procs.append(self.qemu)
        for _, s in fronts:
            s.close()

    def spawn(self, fn, *args):
        t = threading.Thread(target=fn, args=args, daemon=True)
        t.start()
        self.threads.append(t)

    def accept(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.acceptor, 64, 4)
            if not data:
                return
            port, _ = struct.unpack("<II", data)
            conn = Connection(socket.socket(fileno=fds[0]))
            if port in (CONTROL, STDIO):
                self.spawn(self.serve_control if port == CONTROL else self.serve_stdio, conn)
            else:
                conn.sock.close()

    def serve_control(self, conn):
        self.control = conn.sock
        while message := conn.take_frame():
            message["at"] = time.monotonic()
            self.messages.append(message)
            self.events.put(message)
            if message["type"] == "hello":
                self.config["clockNs"] = time.time_ns()
                conn.sock.sendall(frame(self.config))
            if message["type"] in ("end", "fatal") and self.close_on_end:
                break
        conn.sock.close()

    def serve_stdio(self, conn):
        head = conn.take_frame()
        key = (head["app"], head["stream"])
        if self.on_stdio:
            self.on_stdio(*key, conn.sock, conn.data)
            return
        out = [conn.data]
        while data := conn.sock.recv(1 << 20):
            out.append(data)
        self.streams[key] = b"".join(out)
        conn.sock.close()

    def send(self, **message):
        self.control.sendall(frame(message))

    def wait_for(self, **want):
        """The first message from now on (or not yet looked at) that has these members."""
        end = time.monotonic() + TIMEOUT
        while True:
            message = self.events.get(timeout=end - time.monotonic())
            if all(message.get(k) == v for k, v in want.items()):
                return message

    def wait(self, orderly=True):
        """Until the machine has reset itself; its devices then end as well."""
        self.console, _ = self.qemu.communicate(timeout=TIMEOUT)
        assert self.qemu.returncode == 0, self.console
        for p in self.procs:
            err = p.communicate(timeout=TIMEOUT)[1]
            assert p.returncode == 0, err
        for t in self.threads:
            t.join(timeout=TIMEOUT)
        # A panic of the guest is a reset as well, but one without a word.
        ended = bool(self.messages) and self.messages[-1]["type"] in ("end", "fatal")
        assert ended == orderly, self.messages[-1:]
        return self

    def stop(self):
        for p in self.procs:
            if p.poll() is None:
                p.kill()
            p.wait()
        self.acceptor.close()

    def text(self, name, stream="stdout"):
        return self.streams[(name, stream)].decode()

    def of(self, name):
        """The last state of an app."""
        return [m for m in self.messages if m["type"] == "app" and m["name"] == name][-1]

    def states(self, name):
        return [m["state"] for m in self.messages if m["type"] == "app" and m["name"] == name]

    def report(self, isolator, name=None):
        return next(m for m in self.messages
                    if m["type"] == "report" and m["isolator"] == isolator and m["app"] == name)

    def fatal(self):
        return next((m["text"] for m in self.messages if m["type"] == "fatal"), None)

    def warnings(self):
        return [m["text"] for m in self.messages if m["type"] == "log" and m["level"] == "warning"]
