# SPDX-License-Identifier: Apache-2.0
"""The store on a full disk and on a read-only one: one clear line, nothing left, and a way out.

The disk is a tmpfs of a few megabytes in a mount namespace of its own.
"""
import os
import shlex
import subprocess

import pytest

from conftest import BUILD
from fetchserver import authority, gpg, offer, shared_web, trusting, user, web
from test_images import INSECURE, ROOT_USER, layout, store


def on_small_disk(appc, script, size="4m"):
    """Runs lines of shell with $APPC_VM_DIR on a disk of its own: what `run` printed for each command."""
    disk = appc.work / "disk"
    disk.mkdir(exist_ok=True)
    head = f"""
        mount -t tmpfs -o size={size},mode=0755 none {disk} || exit 77
        export APPC_VM_DIR={disk}/data TOOL={BUILD}/appc-vm
        run() {{ err=$($TOOL "$@" 2>&1 >{appc.work}/out </dev/null); printf '%s\\t%s\\t%s\\n' $? "$1 $2" "$err"; }}
        fill() {{ dd if=/dev/zero of={disk}/filler bs=1k >/dev/null 2>&1; }}
        left() {{ find $APPC_VM_DIR -type f ! -name 'index.db*' -printf 'left %P\\n'; }}
        """
    flags = "-m" if ROOT_USER else "-rm"
    r = subprocess.run(["unshare", flags, "sh", "-c", head + script], capture_output=True, text=True, timeout=170,
                       env=appc.env)
    assert r.returncode == 0 and r.stderr == "", r
    return [line.split("\t") if "\t" in line else line for line in r.stdout.splitlines()]


def archive(store, name, size=900_000):
    aci = store.work / f"{name}.aci"
    image = store("build", "--compress=none", layout(store.work / name, {"f": os.urandom(size)}, name=f"example.com/{name}",
                                                     app={"exec": ["/f"], "user": "0", "group": "0"}), aci, check=0)
    return aci, image.stdout.strip()


def test_full(store):
    (a, a_id), (b, b_id) = archive(store, "a"), archive(store, "b")
    *commands, l1, l2 = on_small_disk(store, f"""
        run fetch --quiet {INSECURE} {a}; run fetch --quiet {INSECURE} {b}; fill
        run image list; run image verify --all
        run fetch --quiet {INSECURE} {a}
        run run --accel=tcg example.com/a
        run image render --flat example.com/a $APPC_VM_DIR/out
        run image extract example.com/a $APPC_VM_DIR/out
        rm -r $APPC_VM_DIR/rendered/*
        fill
        run image render --flat example.com/a {store.work}/flat
        run image rm example.com/b
        rm {store.work}/disk/filler
        run image verify --all; run image render --flat example.com/a {store.work}/flat; left""")
    status = [int(c[0]) for c in commands]
    assert status == [0, 0, 0, 1, 1, 125, 1, 1, 1, 0, 0, 0], commands
    for code, what, err in commands:
        assert err.count("\n") == 0
        assert (code == "0") == (err == "") and (code == "0" or "o space left on device" in err), (what, err)
    kept = {l1, l2}
    assert f"left blobs/{a_id}" in kept and not any(b_id in k for k in kept)
    assert any(k.startswith("left rendered/") for k in kept) and "left metadata.key" not in kept


def test_gc_on_a_full_disk(store):
    """The way out: it needs no space."""
    (a, a_id), (b, b_id) = archive(store, "a"), archive(store, "b")
    *commands, free = on_small_disk(store, f"""
        run fetch --quiet {INSECURE} {a}; run fetch --quiet {INSECURE} {b}
        mkdir $APPC_VM_DIR/downloads; head -c 200000 /dev/zero >$APPC_VM_DIR/downloads/x.part
        fill
        run image gc --older-than=0s
        cp {store.work}/out {store.work}/gc
        run image list; left
        echo $(df -k --output=avail $APPC_VM_DIR | tail -1)""")
    assert [c[0] for c in commands] == ["0"] * 4, commands
    text = (store.work / "gc").read_text()
    assert a_id in text and b_id in text and "downloads/x.part" in text
    assert int(free) > 1900


def test_download_to_a_full_disk(trusting, web, gpg):
    offer(web, gpg, "example.com/big", files={"f": os.urandom(6 << 20)})
    fetch = shlex.join(["fetch", "--quiet", "--retries=0", *web.options(), "example.com/big:1.0.0"])
    command, *left = on_small_disk(trusting, f"run {fetch}; left; $TOOL image list --format=json")
    assert command[0] == "1" and "No space left on device" in command[2]
    assert left == ["[]"] or [l for l in left if not l.endswith(".json")] == ["[]"], left


@pytest.mark.parametrize("command, status", [
    ("image list", 1), ("image rm example.com/a", 1), ("image gc --older-than=0s", 1), ("run example.com/a", 125),
    (f"fetch {INSECURE} A", 1), ("list", 0)])
def test_read_only(store, command, status):
    a, _ = archive(store, "a")
    done, ro, *left = on_small_disk(store, f"""
        run fetch --quiet {INSECURE} {a}; mount -o remount,ro {store.work}/disk
        run {command.replace(" A", f" {a}")}; left""")
    assert done[0] == "0" and ro[0] == str(status), ro
    assert "\n" not in ro[2] and ("Read-only file system" in ro[2] or status == 0), ro
    assert len(left) == 2
