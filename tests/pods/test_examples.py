# SPDX-License-Identifier: Apache-2.0
"""The example manifests of the specification, with images made here and the elided image IDs filled in."""
import json
import os
import subprocess

from conftest import ACCEL, BUILD, TIMEOUT
from test_ace import pick


def labels(**values):
    return [{"name": k, "value": v} for k, v in values.items()]


WORKER_APP = {
    "exec": ["/usr/bin/reduce-worker", "--quiet"],
    "user": "100", "group": "300", "supplementaryGids": [400, 500],
    "eventHandlers": [{"exec": ["/usr/bin/data-downloader"], "name": "pre-start"},
                      {"exec": ["/usr/bin/deregister-worker", "--verbose"], "name": "post-stop"}],
    "workingDirectory": "/opt/work",
    "environment": [{"name": "REDUCE_WORKER_DEBUG", "value": "true"}],
    "isolators": [{"name": "resource/cpu", "value": {"request": "250m", "limit": "500m"}},
                  {"name": "resource/memory", "value": {"request": "1G", "limit": "2G"}},
                  {"name": "os/linux/capabilities-retain-set", "value": {"set": ["CAP_NET_BIND_SERVICE"]}}],
    "mountPoints": [{"name": "work", "path": "/var/lib/work", "readOnly": False}],
    "ports": [{"name": "health", "port": 4000, "protocol": "tcp", "socketActivated": True},
              {"name": "ftp-data", "port": 20000, "count": 1000, "protocol": "tcp"}]}
WORKER_ANNOTATIONS = labels(
    authors="Carly Container <carly@example.com>, Nat Network <[nat@example.com](mailto:nat@example.com)>",
    created="2014-10-27T19:32:27.67021798Z", documentation="https://example.com/docs",
    homepage="https://example.com") + [{"name": "appc.io/executor/supports-systemd-notify", "value": "false"}]
WHITELIST = ["/etc/ca/example.com/crt", "/usr/bin/map-reduce-worker", "/opt/libs/reduce-toolkit.so",
             "/etc/reduce-worker.conf", "/etc/systemd/system/"]
# The example's list leaves out what it executes; these are what its own exec and handlers need.
NEEDED = ["/usr/bin/reduce-worker", "/usr/bin/data-downloader", "/usr/bin/deregister-worker", "/opt/work",
          "/bin/sh", "/bin/busybox"]

LOOK = """#!/bin/sh
echo "$(id -u) $(id -g) $(id -G) $(pwd) $REDUCE_WORKER_DEBUG args $*"
/bin/busybox grep CapBnd /proc/self/status
/bin/busybox cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max
echo "fds $LISTEN_FDS $LISTEN_FDNAMES"
/bin/busybox ls -d /etc/systemd/system /usr/bin/map-reduce-worker /usr/bin/not-listed || :
"""


def worker_image(appc, name, whitelist):
    base = appc.image("example.com/reduce-worker-base", None, {"usr/bin/map-reduce-worker": "#!/bin/sh\n"},
                      labels=labels(os="linux", arch="amd64", env="canary"))
    files = {"bin/busybox": open("/bin/busybox", "rb").read(), "usr/bin/reduce-worker": LOOK.replace(
             "$(id", "$(/bin/busybox id"), "usr/bin/data-downloader": "#!/bin/sh\necho downloaded\n",
             "usr/bin/deregister-worker": "#!/bin/sh\necho deregistered $*\n", "opt/work": None,
             "etc/systemd/system": None, "usr/bin/not-listed": "x"}
    return appc.image(name, WORKER_APP, files, labels=labels(version="1.0.0", arch="amd64", os="linux"),
                      dependencies=[{"imageName": "example.com/reduce-worker-base", "imageID": base,
                                     "labels": labels(os="linux", env="canary")}],
                      pathWhitelist=whitelist, annotations=WORKER_ANNOTATIONS)


def test_image_manifest(appc):
    """APP-01 APP-05 APP-09 APP-12 APP-15 APP-16 APP-18 APP-33 GEN-04 ISO-42 ISO-56 ISO-57: the example of aci.md, its
    whitelist longer by what the example itself executes."""
    image = worker_image(appc, "example.com/reduce-worker", WHITELIST + NEEDED)
    r = appc.run(image)
    lines = r.stdout.splitlines()
    assert r.returncode == 0, r.stdout + r.stderr
    assert lines[0] == "downloaded" and lines[-1] == "deregistered --verbose"
    assert "100 300 300 400 500 /opt/work true args --quiet" in lines
    assert "CapBnd:\t0000000000000400" in lines
    assert "1999998976" in lines and "50000 100000" in lines
    assert "fds 1 health" in lines
    assert "/etc/systemd/system" in lines and "/usr/bin/not-listed" not in lines


def test_image_manifest_to_the_letter(appc):
    """RENDER-06 APP-15: the example's own whitelist leaves out its working directory (and its programs), which the
    error names."""
    r = appc.run(worker_image(appc, "example.com/reduce-worker-strict", WHITELIST))
    assert r.returncode != 0 and "working directory /opt/work" in r.stderr


# The example's volume is /opt/tenant1/work of the host: here in a namespace of its own, so that the host keeps its /opt.
TENANT = r"""
mount -t tmpfs tenant /opt && mkdir -p /opt/tenant1/work/below && echo "of tenant 1" >/opt/tenant1/work/input &&
mount -t tmpfs below /opt/tenant1/work/below && touch /opt/tenant1/work/below/inside && "$@"; status=$?
[ "$(find /opt/tenant1 -type f | wc -l)" = 2 ] || status=99; exit $status
"""


def run_with_tenant(appc, *args):
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return subprocess.run([*unshare, "sh", "-c", TENANT, "tenant", BUILD / "appc-vm", "run", f"--accel={ACCEL}", *args],
                          env=appc.env, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)


WORKER = """#!/bin/sh
echo args $*; touch /x 2>/dev/null && echo writable
cat /var/lib/work/input; ls /var/lib/work/below; touch /var/lib/work/x 2>&1; :
"""
BACKUP = """#!/bin/sh
cat /sys/fs/cgroup/memory.max /mnt/bar/input; rm -f /mnt/bar/input 2>&1; touch /mnt/bar/below/inside 2>&1; :
"""
REGISTER = """#!/bin/sh
wget -q -O - $AC_METADATA_URL/acMetadata/v1/pod/annotations; echo
wget -q -O - $AC_METADATA_URL/acMetadata/v1/apps/backup/annotations; echo
"""


def test_pod_manifest(appc):
    """POD-05 POD-14 POD-15 POD-16 POD-17 POD-20 POD-21 POD-25 POD-32 POD-35 ISO-04 VOL-16 VOL-20: the example of pods.md,
    with the IDs of images made here: a read-only, recursive host volume for two apps, which change nothing in it."""
    worker = appc.image("example.com/reduce-worker", WORKER_APP, {"bin/reduce-worker": WORKER}, version="1.0.0")
    backup = appc.image("example.com/worker-backup", None, {"bin/reduce-backup": BACKUP})
    register = appc.image("example.com/reduce-worker-register", {"exec": ["/bin/register"], "ports": [
        {"name": "ftp", "protocol": "tcp", "port": 21}]}, {"bin/register": REGISTER})

    def image(name, id_):
        return {"name": f"example.com/{name}", "id": id_, "labels": labels(version="1.0.0")}

    doc = {
        "acVersion": "0.8.11", "acKind": "PodManifest",
        "apps": [
            {"name": "reduce-worker", "image": image("reduce-worker", worker),
             "app": {"exec": ["/bin/reduce-worker", "--debug=true", "--data-dir=/mnt/foo"], "group": "0", "user": "0",
                     "mountPoints": [{"name": "work", "path": "/var/lib/work"}]},
             "readOnlyRootFS": True, "mounts": [{"volume": "worklib", "path": "/var/lib/work"}]},
            {"name": "backup", "image": image("worker-backup", backup),
             "app": {"exec": ["/bin/reduce-backup"], "group": "0", "user": "0",
                     "mountPoints": [{"name": "backup", "path": "/mnt/bar"}],
                     "isolators": [{"name": "resource/memory", "value": {"limit": "1G"}}]},
             "mounts": [{"volume": "worklib", "path": "/mnt/bar"}], "annotations": labels(foo="baz")},
            {"name": "register", "image": image("reduce-worker-register", register)}],
        "volumes": [{"name": "worklib", "kind": "host", "source": "/opt/tenant1/work", "readOnly": True, "recursive": True}],
        "isolators": [{"name": "resource/memory", "value": {"limit": "4G"}}],
        "annotations": [{"name": "ip-address", "value": "10.1.2.3"}],
        "ports": [{"name": "ftp", "hostPort": 2121}],
    }
    path = appc.work / "example-pod.json"
    path.write_text(json.dumps(doc))
    r = run_with_tenant(appc, "--prefix=always", path)
    assert r.returncode == 0, r.stdout + r.stderr
    lines = {n: pick(r.stdout, n) for n in ("reduce-worker", "backup", "register")}
    assert lines["reduce-worker"] == ["args --debug=true --data-dir=/mnt/foo", "of tenant 1", "inside",
                                      "touch: /var/lib/work/x: Read-only file system"]
    assert lines["backup"] == ["999997440", "of tenant 1", "rm: can't remove '/mnt/bar/input': Read-only file system",
                               "touch: /mnt/bar/below/inside: Read-only file system"]
    assert [json.loads(x) for x in lines["register"]] == [doc["annotations"], labels(foo="baz")]
