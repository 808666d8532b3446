#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures pods under appc-vmm beside QEMU's microvm with KVM, in one run of the nested bench.

usage: perf.py BUILD_DIR

Everything runs on an emulated CPU, so the ratios count and the seconds do not.
"""
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench import Bench  # noqa: E402
from test_pods import PROGRAMS, ROOT  # noqa: E402

BUILD = pathlib.Path(sys.argv[1]).resolve()
ROUNDS = 3
QEMU = "/usr/bin/qemu-system-x86_64"
MACHINE = ("-M microvm,acpi=off,rtc=off,pit=off,pic=off,isa-serial=on -accel kvm -cpu host -smp {cpus} -m 256M -nodefaults "
           "-no-user-config -no-reboot -display none -serial stdio -kernel /d/bin/guest/vmlinux -initrd /d/tiny.cpio -append "
           "'console=ttyS0 8250.nr_uarts=1 quiet reboot=t panic=-1'")

SCRIPT = r"""
export PATH=/usr/sbin:/usr/bin:/bin APPC_VM_DIR=/d/data
cd /d
now() { read up rest </proc/uptime; echo $up; }
for i in 0 1 2 3; do
    echo "qemu $(now)"
    timeout 60 %(qemu)s </dev/null | while read -r line; do case $line in hello*) echo "qemu-line $(now)" ;; esac; done
    echo "qemu-end $(now)"
    echo "pod $(now)"
    bin/appc-vm run --accel=kvm --cpus=1 --memory=256M --scratch=0 example.com/hello | while read -r line; do echo "pod-line $(now)"; done
    echo "pod-end $(now)"
done
bin/appc-vm run --accel=kvm --scratch=0 example.com/requests
bin/appc-vm run --accel=kvm --cpus=1 --memory=256M --scratch=0 --detach --exec=/bin/sh --uuid-file=/tmp/uuid example.com/hello -- -c 'echo up; while :; do sleep 1; done' >/dev/null
for try in $(seq 300); do
    bin/appc-vm logs "$(cat /tmp/uuid)" 2>/dev/null | grep -q up && break
    sleep 0.2
done
for p in /proc/[0-9]*; do
    read name <$p/comm
    case $name in appc-*) ;; *) continue ;; esac
    awk -v n=$name 'FNR == 1 { guest = 0 } / \/memfd:/ { guest = 1 } /^[0-9a-f]+-[0-9a-f]+ / { guest = ($0 ~ /memfd:/) }
        /^Pss:/ { if (guest) g += $2; else o += $2 } END { print "pss", n, o, g }' $p/smaps
done
bin/appc-vm stop --force "$(cat /tmp/uuid)"
"""


def payload(d):
    from conftest import Appc
    (d / "bin/guest").mkdir(parents=True)
    for p in PROGRAMS:
        subprocess.run(["strip", "-o", d / "bin" / p, BUILD / p], check=True)
    for f in ("vmlinux", "initramfs.cpio"):
        subprocess.run(["cp", "-L", BUILD / "guest" / f, d / "bin/guest" / f], check=True)
    work = d.parent / "work"
    work.mkdir()
    os.environ["APPC_VM_BUILD"] = str(BUILD)
    appc = Appc(d / "data", work)
    appc.image("example.com/hello", {"exec": ["/bin/echo", "hello"]})
    requests = (BUILD / "tests/unit/guest/requests").read_bytes()
    appc.image("example.com/requests", {"exec": ["/bin/sh", "-c", "/requests 200 1 >/dev/null; /requests 1000 1; "
                                                 "/requests 1000 100"]}, {"requests": requests})
    (work / "init.c").write_text('#include <unistd.h>\n#include <sys/reboot.h>\n'
                                 'int main(void) { write(1, "hello\\n", 6); reboot(RB_AUTOBOOT); return 0; }\n')
    subprocess.run(["gcc", "-O2", "-static", "-o", work / "init", work / "init.c"], check=True)
    subprocess.run([sys.executable, ROOT / "guest/mkcpio.py", "strip", work / "init", d / "tiny.cpio"], check=True)


def spans(text, name):
    """Seconds from each start to the first line, without the first (cold) one."""
    starts = [float(x) for x in re.findall(rf"^{name} ([\d.]+)$", text, re.M)]
    lines = [float(x) for x in re.findall(rf"^{name}-line ([\d.]+)$", text, re.M)]
    return [b - a for a, b in zip(starts, lines)][1:]


def main():
    sys.path.insert(0, str(ROOT / "tests/pods"))
    with tempfile.TemporaryDirectory(prefix="appc-nested-") as tmp:
        d = pathlib.Path(tmp) / "d"
        payload(d)
        bench = Bench(timeout=300).data(d, "/d")
        for program in ("appc-vm", "appc-mds"):
            bench.add(BUILD / program, f"/libraries-of/{program}")
        bench.add(QEMU)
        for f in ("bios-microvm.bin", "qboot.rom", "linuxboot_dma.bin", "pvh.bin", "kvmvapic.bin"):
            for folder in ("/usr/share/qemu", "/usr/share/seabios"):
                if os.path.exists(f"{folder}/{f}"):
                    bench.add(os.path.realpath(f"{folder}/{f}"), f"/usr/share/qemu/{f}")
        bench.add("/usr/sbin/mke2fs")
        for tool in ("busybox", "sh", "sleep", "cat", "grep", "awk", "seq", "timeout"):
            bench.add("/bin/busybox", f"/bin/{tool}")
        r = bench.run([["/bin/sh", "-c", SCRIPT % {"qemu": QEMU + " " + MACHINE.format(cpus=1)}]])[0]
    text = r.stdout.decode()
    print("\nunder KVM in the nested bench, one CPU: from the command to the first line (seconds of an emulated machine)")
    medians = {}
    for name, title in (("qemu", "QEMU microvm with KVM, same kernel, init that prints"), ("pod", "appc-vm run, a whole pod")):
        t = spans(text, name)
        if not t:
            print(f"  {title}: did not run\n{text}\n{r.stderr.decode()[-2000:]}")
            continue
        medians[name] = statistics.median(t)
        print(f"  {title:54} {medians[name]:6.2f} s  ({min(t):.2f} to {max(t):.2f})")
    if len(medians) == 2:
        print(f"  ratio: {medians['pod'] / medians['qemu']:.2f}")
    print("\nanswers of the metadata service under KVM, of an emulated machine")
    for line in re.findall(r"^(?:requests: )?(\d+ of \d+, .*)$", text, re.M):
        print(f"  {line}")
    print("\nmemory of a pod's processes under KVM (PSS, without and of the guest's memory)")
    total = 0
    for name, own, guest in re.findall(r"^pss (\S+) (\d*) ?(\d*)$", text, re.M):
        total += int(own or 0)
        print(f"  {name:24} {int(own or 0):8} KiB   guest memory {int(guest or 0):8} KiB")
    print(f"  {'all':24} {total:8} KiB")


if __name__ == "__main__":
    main()
