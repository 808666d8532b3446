# SPDX-License-Identifier: Apache-2.0
"""What isolators do, seen from inside the pod. Block limits and AppArmor are in test_ace.py, seccomp in test_guest.py."""
import pytest

from conftest import BUILD
from test_ace import CLOCK, pick, sh_app

EMPTY = [{"name": "v", "kind": "empty"}]
MOUNT = [{"volume": "v", "path": "/v"}]


def isolator(name, value):
    return {"name": name, "value": value}


# Spins for three seconds of the guest's clock from when all have come, or until another one has done so: what is late must
# not run on alone. Prints the milliseconds of CPU and of the clock.
SPIN = CLOCK + r"""
used() { while read -r key value; do [ $key = usage_usec ] && echo $((value/1000)); done </sys/fs/cgroup/cpu.stat; }
touch /v/$AC_APP_NAME; while [ "$(ls /v | wc -l)" -lt $APPS ]; do :; done
t=$(up); u=$(used); while [ ! -e /v/done ] && [ $(($(up)-t)) -lt 3000 ]; do :; done; v=$(used); : >/v/done; echo "$((v-u)) $(($(up)-t))"
"""


def spin(name, image, isolators, apps):
    return sh_app(name, image, SPIN, isolators, mounts=MOUNT, environment=[{"name": "APPS", "value": str(apps)}])


def spent(r, name):
    (line,) = pick(r.stdout, name)
    return tuple(map(int, line.split()))


def test_cpu_shares(appc, shell):
    """ISO-47: of two apps that spin on one CPU, that with ten times the weight gets many times what the other gets."""
    apps = [spin("heavy", shell, [isolator("os/linux/cpu-shares", 26214)], 2),
            spin("light", shell, [isolator("os/linux/cpu-shares", 2622)], 2)]
    r = appc.run("--prefix=always", "--cpus=1", appc.pod(apps, volumes=EMPTY), check=0)
    heavy, light = spent(r, "heavy")[0], spent(r, "light")[0]
    assert heavy > 4 * light > 0


def test_cpu_request(appc, shell):
    """ISO-50 ISO-53: the same by what the apps request."""
    apps = [spin("heavy", shell, [isolator("resource/cpu", {"request": "800m"})], 2),
            spin("light", shell, [isolator("resource/cpu", {"request": "100m"})], 2)]
    r = appc.run("--prefix=always", "--cpus=1", appc.pod(apps, volumes=EMPTY), check=0)
    assert spent(r, "heavy")[0] > 3 * spent(r, "light")[0] > 0


def test_cpu_limit(appc, shell):
    """ISO-52 ISO-56: a fifth of a CPU, and one period more, is all that there is; a pod's limit is for its apps together."""
    limit = [isolator("resource/cpu", {"limit": "200m"})]
    r = appc.run("--prefix=always", "--cpus=1", appc.pod([spin("one", shell, limit, 1)], volumes=EMPTY), check=0)
    used, clock = spent(r, "one")
    assert 0 < used <= 0.2 * clock + 2 * 20 + 10
    two = appc.pod([spin("one", shell, [], 2), spin("two", shell, [], 2)], volumes=EMPTY, isolators=limit)
    r = appc.run("--prefix=always", "--cpus=2", two, check=0)
    used = spent(r, "one")[0] + spent(r, "two")[0]
    assert 0 < used <= 0.2 * (max(spent(r, "one")[1], spent(r, "two")[1]) + 1000)


# Holds 40 MiB until it may end, or is killed.
VICTIM = r"""
(dd if=/dev/zero bs=40M count=1 2>/dev/null; echo "ended with $?" >&2) | (head -c 1 >/dev/null; touch /v/held; until [ -e /v/done ]; do sleep 0.1; done)
"""
HOG = "until [ -e /v/held ]; do sleep 0.1; done; dd if=/dev/zero of=/dev/null bs=60M count=1 2>/dev/null; echo $?; touch /v/done"


@pytest.mark.parametrize("score, hog, victim", [(1000, "0", "ended with 137"), (-1000, "137", None)])
def test_oom_score_adj(appc, shell, score, hog, victim):
    """ISO-46: when the pod's memory runs out, the app that offered itself is killed, and not the larger one; or not."""
    apps = [sh_app("victim", shell, VICTIM, [isolator("os/linux/oom-score-adj", score)], mounts=MOUNT),
            sh_app("hog", shell, HOG, mounts=MOUNT)]
    pod = appc.pod(apps, volumes=EMPTY, isolators=[isolator("resource/memory", {"limit": "96M"})])
    r = appc.run("--prefix=always", "--memory=512M", pod, check=0)
    assert pick(r.stdout, "hog") == [hog]
    told = [x for x in pick(r.stderr, "victim") if x != "Killed"]
    assert (told == [victim]) if victim else "ended with 137" not in told


def test_memory_limits(appc, shell):
    """ISO-52 ISO-57: an app beyond its limit is killed, its neighbour is not."""
    script = "dd if=/dev/zero of=/dev/null bs=40M count=1 2>/dev/null; echo $?"
    r = appc.run("--prefix=always", appc.pod([sh_app("small", shell, script, [isolator("resource/memory", {"limit": "32M"})]),
                                              sh_app("large", shell, script)]), check=0)
    assert pick(r.stdout, "small") == ["137"] and pick(r.stdout, "large") == ["0"]


def test_no_new_privileges(appc):
    """ISO-45: a set-user-ID program makes root of a user, unless the isolator is there."""
    image = appc.image("example.com/suid", None, {"euid": (BUILD / "tests/unit/guest/euid").read_bytes()})
    script = "cp /euid /v/suid && chmod 4755 /v/suid && touch /v/ready"
    use = "until [ -e /v/ready ]; do sleep 0.1; done; /v/suid"
    apps = [sh_app("root", image, script, mounts=MOUNT),
            sh_app("plain", image, use, [isolator("os/linux/no-new-privileges", False)], user="1000", group="1000", mounts=MOUNT),
            sh_app("held", image, use, [isolator("os/linux/no-new-privileges", True)], user="1000", group="1000", mounts=MOUNT)]
    r = appc.run("--prefix=always", appc.pod(apps, volumes=EMPTY), check=0)
    assert pick(r.stdout, "plain") == ["0"] and pick(r.stdout, "held") == ["1000"]


SWAP = "echo shell; mkdir /made && echo mkdir; hostname other 2>/dev/null; echo $?; hostname"


def test_sets_of_system_calls(appc, shell):
    """ISO-23 ISO-26: the executor's own wildcards, in either kind of set; one that nobody knows is told."""
    def calls(kind, *names):
        return [isolator(f"os/linux/seccomp-{kind}-set", {"set": names, "errno": "EXDEV"})]
    admin = [isolator("os/linux/capabilities-retain-set", {"set": ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"]})]
    apps = [sh_app("white", shell, SWAP, admin + calls("retain", "@appc-vm/default-whitelist")),
            sh_app("more", shell, SWAP, admin + calls("retain", "@appc-vm/default-whitelist", "sethostname")),
            sh_app("black", shell, SWAP, admin + calls("remove", "@appc-vm/default-blacklist", "mkdir"))]
    r = appc.run("--prefix=always", "--hostname=same", appc.pod([apps[0], apps[2]]), check=0)
    assert pick(r.stdout, "white") == ["shell", "mkdir", "1", "same"]
    assert pick(r.stdout, "black") == ["shell", "1", "same"] and "cross-device link" in r.stderr
    r = appc.run("--prefix=always", "--hostname=same", appc.pod([apps[1]]), check=0)
    assert pick(r.stdout, "more") == ["shell", "mkdir", "0", "other"]
    told = appc.run("--dry-run", appc.pod(apps), check=0).stdout
    assert told.count("enforced") == 6
    told = appc.run("--dry-run", appc.pod([sh_app("one", shell, "", calls("remove", "@foo/bar", "mkdir"))]), check=0).stdout
    assert "modified" in told and "@foo/bar is no wildcard known here" in told


TRY = "chroot / true 2>/dev/null && echo chroot; chown 7 /etc/x 2>/dev/null && echo chown; mknod /n c 1 3 2>/dev/null && echo mknod; " \
      "mount -t tmpfs t /mnt 2>/dev/null && echo mount"


def test_capabilities(appc):
    """ISO-40 ISO-41 ISO-42: the calls that each set allows, and the others not."""
    image = appc.image("example.com/caps", None, {"etc/x": "x", "mnt": None})
    remove = isolator("os/linux/capabilities-remove-set", {"set": ["CAP_SYS_CHROOT", "CAP_CHOWN", "CAP_SYS_ADMIN"]})
    retain = isolator("os/linux/capabilities-retain-set", {"set": ["CAP_SYS_ADMIN", "CAP_CHOWN"]})
    r = appc.run("--prefix=always", appc.pod([sh_app("default", image, TRY + ";:"), sh_app("removed", image, TRY + ";:", [remove]),
                                              sh_app("retained", image, TRY + ";:", [retain])]), check=0)
    assert pick(r.stdout, "default") == ["chroot", "chown", "mknod"]
    assert pick(r.stdout, "removed") == ["mknod"]
    assert pick(r.stdout, "retained") == ["chown", "mount"]


LISTEN = "(nc -l -p 80 2>/dev/null </dev/null & echo $! >/v/pid); i=0; until netstat -ltn | grep -q ':80 '; do " \
         "kill -0 $(cat /v/pid) 2>/dev/null || { echo refused; exit 0; }; done; echo listens; kill $(cat /v/pid)"


def test_sysctl(appc, shell):
    """ISO-70 ISO-71: from which port on a user without privileges may listen."""
    app = sh_app("one", shell, LISTEN, user="1000", group="1000", mounts=MOUNT)
    volumes = [dict(EMPTY[0], mode="0777")]
    key = "net.ipv4.ip_unprivileged_port_start"
    for value, want in [("80", "listens\n"), ("81", "refused\n")]:
        assert appc.run(appc.pod([app], volumes=volumes, isolators=[isolator("os/unix/sysctl", {key: value})]), check=0).stdout == want
