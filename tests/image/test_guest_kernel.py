# SPDX-License-Identifier: Apache-2.0
"""The guest's kernel must see in an index exactly what the host's sees.

Boots the guest kernel under TCG with tree-walk as its init and compares what it prints with the same
program on the host's mount.
"""
import os
import struct
import subprocess

import pytest

import tarmaker
from test_truth import BUILD, HERE, ROOT, mounted, pack, tmpfs  # noqa: F401

WALK = os.path.join(BUILD, "tests/image/tree-walk")


def cpio_entry(name, mode, data=b"", rdev=(0, 0)):
    head = "070701" + "".join(f"{v:08x}" for v in (
        0, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(name) + 1, 0))
    out = head.encode() + name + b"\0"
    out += bytes(-len(out) % 4) + data
    return out + bytes(-len(out) % 4)


def initramfs(path):
    with open(WALK, "rb") as f, open(path, "wb") as out:
        out.write(cpio_entry(b"init", 0o100755, f.read()))
        out.write(cpio_entry(b"dev", 0o40755))
        out.write(cpio_entry(b"dev/console", 0o20600, rdev=(5, 1)))
        out.write(cpio_entry(b"TRAILER!!!", 0))
    return path


def kernel():
    run = subprocess.run([os.path.join(HERE, "../../kernel-config/build.sh"), "--print-path"],
                         capture_output=True, text=True, check=True)
    path = run.stdout.strip()
    if not os.path.exists(path):
        subprocess.run([os.path.join(HERE, "../../kernel-config/build.sh")], check=True)
    return path


def boot(image, tmp):
    line = ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=off", "-accel", "tcg", "-cpu", "max", "-m", "512",
            "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-global", "virtio-mmio.force-legacy=false", "-kernel", kernel(),
            "-initrd", initramfs(os.path.join(tmp, "initramfs")),
            "-drive", f"id=d,file={image},format=raw,if=none,readonly=on",
            "-device", "virtio-blk-device,drive=d",
            "-append", "console=ttyS0 8250.nr_uarts=1 quiet reboot=t panic=-1"]
    run = subprocess.run(line, capture_output=True, check=True, timeout=300, stdin=subprocess.DEVNULL)
    return run.stdout.replace(b"\r\n", b"\n")


@pytest.mark.skipif(not ROOT, reason="needs a mount to compare with")
def test_guest_kernel_sees_the_same(tmpfs):  # noqa: F811
    source = os.path.join(tmpfs, "source")
    tarmaker.hard_directory(source)
    tars = [make(os.path.join(tmpfs, make.__name__ + ".tar"))
            for make in (tarmaker.names, tarmaker.sizes, tarmaker.links, tarmaker.metadata, tarmaker.deep)]
    tars.append(tarmaker.archive("gnu-posix", source, os.path.join(tmpfs, "hard.tar")))
    image = pack(tars, os.path.join(tmpfs, "all.img"), fsck=False)
    with mounted(image, os.path.join(tmpfs, "mnt")) as top:
        host = subprocess.run([WALK, top], capture_output=True, check=True).stdout
    guest = boot(image, tmpfs)
    # What the kernel itself says on the console comes before.
    guest = guest[guest.index(host[:40]):]
    assert host.endswith(b"end\n") and host.count(b"\n") > 4000 and b"sparse5g" in host
    assert guest.split(b"\n") == host.split(b"\n")
