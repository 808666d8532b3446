#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures appc-vm beside other tools, in turn, in one run. Prints medians; asserts nothing.

usage: bench.py BUILD_DIR [--rounds=N] [--no-nested] [--only=import,network,index,start]
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = next((int(a.split("=")[1]) for a in sys.argv if a.startswith("--rounds=")), 3)
ONLY = next((a.split("=")[1].split(",") for a in sys.argv if a.startswith("--only=")), None)
APPC = str(BUILD / "appc-vm")
PROGRAMS = ["appc-vm", "appc-supervisor", "appc-vmm", "appc-dev-blk", "appc-dev-vsock", "appc-dev-rng", "appc-dev-fs", "appc-mds",
            "appc-init"]
sys.path.insert(0, str(ROOT / "tests/pods"))


def timed(argv, **kw):
    start = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    return time.monotonic() - start


def in_turn(title, rows, rounds=ROUNDS, unit=None):
    """rows: (name, function that returns seconds). Measures A B C A B C …; prints medians and ratios."""
    times = {name: [] for name, _ in rows}
    for _ in range(rounds + 1):
        for name, f in rows:
            times[name].append(f())
    print(f"\n{title}")
    base = statistics.median(times[rows[0][0]][1:])  # the first round warms caches up
    for name, _ in rows:
        t = times[name][1:]
        m = statistics.median(t)
        extra = f"  {unit / m / 1e6:8.1f} MB/s" if unit else ""
        print(f"  {name:44} {m * 1000:9.1f} ms  (x{m / base:5.2f}; {min(t) * 1000:.1f} to {max(t) * 1000:.1f}){extra}")
    return {name: statistics.median(t[1:]) for name, t in times.items()}


def make_layout(work):
    """A layout of some hundred megabytes of real files."""
    layout = work / "layout"
    (layout / "rootfs").mkdir(parents=True)
    (layout / "manifest").write_text(json.dumps({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/bench",
        "labels": [{"name": "version", "value": "1.0.0"}]}))
    subprocess.run(["cp", "-a", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/zoneinfo",
                    str(layout / "rootfs")], check=False, stderr=subprocess.DEVNULL)
    size = 0
    for f in sorted(pathlib.Path("/usr/lib/x86_64-linux-gnu").glob("*.so.*")):
        if size > 250 << 20:
            break
        if f.is_file() and not f.is_symlink():
            shutil.copy(f, layout / "rootfs" / f.name)
            size += f.stat().st_size
    return layout


def make_archives(work):
    """The same image as b.aci and b.gz.aci: bytes of the tar, number of entries."""
    layout = make_layout(work)
    subprocess.run([APPC, "build", "--compress=gzip", layout, work / "b.gz.aci"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([APPC, "build", "--compress=none", layout, work / "b.aci"], check=True, stdout=subprocess.DEVNULL)
    tar = (work / "b.aci").stat().st_size
    return tar, sum(1 for _ in (layout / "rootfs").rglob("*"))


def bench_import(work, tar, entries):
    def fetch(name):
        def f():
            data = work / "data"
            shutil.rmtree(data, ignore_errors=True)
            return timed([APPC, "fetch", f"--dir={data}", "--insecure-options=image", work / name])
        return f

    def untar():
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        return timed(["tar", "-xf", work / "b.aci", "-C", out])
    in_turn(f"import of an archive of {tar / 1e6:.0f} MB, {entries} entries, uncompressed", [
        ("sha512sum", lambda: timed(["sha512sum", work / "b.aci"])),
        ("openssl dgst -sha512", lambda: timed(["openssl", "dgst", "-sha512", work / "b.aci"])),
        ("tar -x", untar),
        ("appc-vm fetch", fetch("b.aci")),
    ], unit=tar)
    in_turn("the same, gzip", [
        ("gzip -dc", lambda: timed(["gzip", "-dc", work / "b.gz.aci"])),
        *([("igzip -dc", lambda: timed(["igzip", "-dc", work / "b.gz.aci"]))] if shutil.which("igzip") else []),
        ("openssl dgst -sha512 of the tar", lambda: timed(["openssl", "dgst", "-sha512", work / "b.aci"])),
        ("appc-vm fetch", fetch("b.gz.aci")),
    ], unit=tar)


def bench_network(work, tar):
    """Over HTTPS from a server on this machine, which takes its part of the CPUs from all alike."""
    from fetchserver import Authority, Web
    ca = work / "ca"
    ca.mkdir()
    web = Web(Authority(ca))
    host = "mirror.example.net"
    for name in ("b.aci", "b.gz.aci"):
        web.image(host, "/" + name, (work / name).read_bytes())
    curl = f"curl -sS --cacert {web.authority.file} --connect-to {host}:443:127.0.0.1:{web.port} https://{host}/"

    def fetch(name):
        def f():
            data = work / "data"
            shutil.rmtree(data, ignore_errors=True)
            return timed([APPC, "fetch", f"--dir={data}", "--quiet", "--insecure-options=image", *web.options(),
                          f"https://{host}/{name}"])
        return f
    in_turn(f"import over loopback HTTPS, {tar / 1e6:.0f} MB, uncompressed, without a signature", [
        ("curl | sha512sum", lambda: timed(["sh", "-c", curl + "b.aci | sha512sum"])),
        ("curl to a file, sha512sum of it", lambda: timed(["sh", "-c", f"{curl}b.aci >{work}/c && sha512sum {work}/c"])),
        ("appc-vm fetch", fetch("b.aci")),
    ], unit=tar)
    in_turn(f"the same, gzip, {(work / 'b.gz.aci').stat().st_size / 1e6:.0f} MB", [
        ("curl | gzip -dc | sha512sum", lambda: timed(["sh", "-c", curl + "b.gz.aci | gzip -dc | sha512sum"])),
        ("appc-vm fetch", fetch("b.gz.aci")),
    ], unit=tar)
    web.close()


def bench_index(work):
    """Index time per entry, over an image of many small files."""
    layout = work / "many"
    n = 50000
    for d in range(100):
        p = layout / "rootfs" / f"d{d}"
        p.mkdir(parents=True)
        for i in range(n // 100):
            (p / f"file-{i}").write_text("x")
    (layout / "manifest").write_text(json.dumps({
        "acKind": "ImageManifest", "acVersion": "0.8.11", "name": "example.com/many"}))
    subprocess.run([APPC, "build", "--compress=none", layout, work / "many.aci"], check=True, stdout=subprocess.DEVNULL)
    pack = BUILD / "tests/image/erofs-pack"
    m = in_turn(f"EROFS index of {n} files", [
        ("erofs-pack (read tar, index, write all)", lambda: timed([pack, work / "many.aci", work / "many.erofs"])),
        ("cat (the copy alone)", lambda: timed(["sh", "-c", f"cat {work}/many.aci >{work}/many.copy"])),
    ])
    a, b = m.values()
    print(f"  index: {(a - b) / (n + 101) * 1e6:.2f} us an entry")


def first_line(argv, env):
    """Seconds from the start of a command to its line "hello"; a kernel says things before it."""
    start = time.monotonic()
    p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, stdin=subprocess.DEVNULL)
    found = any(line.strip() == b"hello" for line in p.stdout)
    t = time.monotonic() - start
    p.stdout.read()
    p.wait()
    assert found, f"{argv} did not say hello"
    return t


def tiny_initramfs(work):
    """What a bare machine needs at least: an init that says one line on the serial port."""
    src = work / "init.c"
    src.write_text('#include <unistd.h>\n#include <sys/reboot.h>\n#include <fcntl.h>\n'
                   'int main(void) { write(1, "hello\\n", 6); reboot(RB_AUTOBOOT); return 0; }\n')
    (work / "ir").mkdir(exist_ok=True)
    subprocess.run(["gcc", "-O2", "-static", "-o", work / "ir/init", src], check=True)
    cpio = work / "tiny.cpio"
    subprocess.run([sys.executable, ROOT / "guest/mkcpio.py", "strip", work / "ir/init", cpio], check=True)
    return cpio


def bench_start(work):
    from conftest import Appc
    appc = Appc(work / "store", work)
    image = appc.image("example.com/hello", {"exec": ["/bin/echo", "hello"]})
    env = dict(os.environ, APPC_VM_DIR=str(appc.data))
    kernel = os.path.realpath(next(p for p in (BUILD / "guest/vmlinux", BUILD / "vmlinux") if p.exists()))
    # With an RTC, for which the kernel waits a second otherwise.
    qemu = ["qemu-system-x86_64", "-M", "microvm,acpi=off,rtc=on", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", "512M", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-kernel", kernel, "-initrd", str(tiny_initramfs(work)),
            "-append", "console=ttyS0 8250.nr_uarts=1 quiet reboot=t panic=-1"]
    in_turn("from the command to the first line of the first app, emulated (TCG)", [
        ("QEMU microvm, same kernel, init that prints", lambda: first_line(qemu, env)),
        ("appc-vm run --accel=tcg", lambda: first_line([APPC, "run", "--accel=tcg", image], env)),
    ])
    return appc, image, env


def pss(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def bench_memory(appc, image, env):
    from conftest import descendants
    p = subprocess.Popen([APPC, "run", "--accel=tcg", "--exec=/bin/sh", image, "--", "-c", "echo up; read x </dev/zero"],
                         env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        p.stdout.readline()
        print("\nmemory of a pod's processes (PSS), emulated")
        total = 0
        for pid in [p.pid, *descendants(p.pid)]:
            name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            kib = pss(pid)
            if "qemu" not in name:
                total += kib
            print(f"  {name:24} {kib:8} KiB{'  (the emulator, guest memory included)' if 'qemu' in name else ''}")
        print(f"  {'without the emulator':24} {total:8} KiB")
    finally:
        p.terminate()
        p.wait()


def wanted(*sections):
    return not ONLY or any(s in ONLY for s in sections)


def bench_metadata(appc, env):
    """From inside an app: on a connection for each request, one at a time and a hundred at once."""
    program = BUILD / "tests/unit/guest/requests"
    image = appc.image("example.com/requests", {"exec": ["/bin/sh", "-c", "/requests 200 1 >/dev/null; /requests 2000 1; "
                                                         "/requests 2000 100"]}, {"requests": program.read_bytes()})
    print("\nanswers of the metadata service, emulated")
    r = subprocess.run([APPC, "run", "--accel=tcg", image], env=env, capture_output=True, text=True, check=True)
    for line in r.stdout.splitlines():
        print(f"  {line}")


def main():
    print(f"appc-vm {subprocess.run([APPC, '--version'], capture_output=True, text=True).stdout.split()[1]}, "
          f"{os.cpu_count()} CPUs, medians of {ROUNDS} rounds after one to warm up")
    with tempfile.TemporaryDirectory(prefix="appc-bench-") as d:
        work = pathlib.Path(d)
        if wanted("import", "network"):
            size = make_archives(work)
        if wanted("import"):
            bench_import(work, *size)
        if wanted("network"):
            bench_network(work, size[0])
        if wanted("index"):
            bench_index(work)
        if wanted("start"):
            appc, image, env = bench_start(work)
            bench_memory(appc, image, env)
            bench_metadata(appc, env)
    if ONLY:
        return
    nested = ROOT / "tests/kvm/perf.py"
    if nested.exists() and "--no-nested" not in sys.argv:
        sys.stdout.flush()
        subprocess.run([sys.executable, nested, BUILD], check=False)
    print("\nsizes, stripped")
    total = 0
    for name in PROGRAMS:
        with tempfile.NamedTemporaryFile() as f:
            subprocess.run(["strip", "-o", f.name, BUILD / name], check=True)
            size = os.stat(f.name).st_size
        total += size
        print(f"  {name:24} {size / 1024:8.0f} KiB")
    print(f"  {'all':24} {total / 1024:8.0f} KiB")



main()
