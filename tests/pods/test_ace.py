# SPDX-License-Identifier: Apache-2.0
"""The executor's rules through the whole product: each test runs a pod and looks from inside it."""
import json
import re

import pytest


def block(name, limit):
    return {"name": f"resource/{name}", "value": {"default": True, "limit": limit}}


def sh_app(name, image, script, isolators=(), **more):
    keys = {"image": image, "name": name}
    spec = {"exec": ["/bin/sh", "-c", script], "user": "0", "group": "0", "isolators": list(isolators)}
    for k in ("mounts", "readOnlyRootFS", "annotations"):
        if k in more:
            keys[k] = more.pop(k)
    spec.update(more)
    return {**keys, "app": spec}


def pick(text, app):
    """The lines of one app of an output with prefixes."""
    return [x[len(app) + 2:] for x in text.splitlines() if x.startswith(app + ": ")]


# Writes past the page cache; the time is that of the guest.
WRITE = """
up() { read a b </proc/uptime; echo "${a%.*}${a#*.}"; }
t=$(up); dd if=/dev/zero of=/big bs=64k count=48 oflag=direct 2>/dev/null || echo failed; u=$(up); echo "took $((u-t))"
"""


def took(lines):
    (line,) = [x for x in lines if x.startswith("took ")]
    return int(line.split()[1]) / 100


def test_block_bandwidth(appc, shell):
    """ISO-04 ISO-52 ISO-58: 3 MiB at 1 MB a second take 3 seconds for the app that has the limit, and not for the
    other one; what is set on the pod bounds both."""
    r = appc.run("--prefix=always", appc.pod([sh_app("slow", shell, WRITE, [block("block-bandwidth", "1M")]),
                                              sh_app("free", shell, WRITE)]), check=0)
    assert "failed" not in r.stdout
    assert took(pick(r.stdout, "slow")) >= 2.5 > took(pick(r.stdout, "free"))
    r = appc.run("--prefix=always", appc.pod([sh_app("one", shell, WRITE)], isolators=[block("block-bandwidth", "1M")]),
                 check=0)
    assert took(pick(r.stdout, "one")) >= 2.5


def test_block_iops(appc, shell):
    """ISO-52 ISO-59: 48 writes at 16 a second take 3 seconds."""
    r = appc.run("--prefix=always", appc.pod([sh_app("slow", shell, WRITE, [block("block-iops", "16")])]), check=0)
    assert "failed" not in r.stdout and took(pick(r.stdout, "slow")) >= 2.5


NETWORK = {"name": "resource/network-bandwidth", "value": {"default": True, "limit": "1M"}}
SELINUX = {"name": "os/linux/selinux-context", "value": {"user": "u", "role": "r", "type": "t", "level": "s0"}}


def test_reasons(appc, shell):
    """ISO-01 ISO-02 ISO-09 ISO-33 ISO-60 ISO-61: what is ignored is told, with a sentence that says why."""
    app = sh_app("one", shell, "true", [NETWORK, SELINUX, {"name": "example.com/own", "value": 1}])
    r = appc.run("--dry-run", "--format=json", appc.pod([app]), check=0)
    told = {x["isolator"]: (x["result"], x["detail"]) for x in json.loads(r.stdout)}
    assert {x[0] for x in told.values()} == {"ignored"}
    assert "no network interface" in told["resource/network-bandwidth"][1]
    assert "SELinux" in told["os/linux/selinux-context"][1]
    assert "does not know" in told["example.com/own"][1]
    assert appc.run("--strict", appc.pod([app])).returncode != 0


def apparmor(profile):
    return {"name": "os/linux/apparmor-profile", "value": {"profile": profile}}


def test_apparmor(appc, shell):
    """ISO-34 ISO-36: a profile that the guest's kernel has is taken, one that is not loaded is refused."""
    script = "cat /proc/self/attr/current"
    r = appc.run(appc.pod([sh_app("one", shell, script, [apparmor("unconfined")])]), check=0)
    assert r.stdout.strip() == "unconfined"
    r = appc.run(appc.pod([sh_app("one", shell, script, [apparmor("nobody-loaded-it")])]))
    assert r.returncode != 0 and r.stdout == ""
    assert 'AppArmor profile "nobody-loaded-it" is not loaded' in r.stderr
    r = appc.run(appc.pod([sh_app("one", shell, script)], isolators=[apparmor("nobody-loaded-it")]))
    assert r.returncode != 0 and "is not loaded" in r.stderr
