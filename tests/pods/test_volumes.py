# SPDX-License-Identifier: Apache-2.0
"""Host volumes of whole pods: the rules for sources, what apps see and may do, for root and for an ordinary user."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import ACCEL, BUILD, TIMEOUT, Appc
from test_ace import pick, sh_app

ROOT = os.geteuid() == 0
FS_GUEST = BUILD / "tests/unit/devices/fs-guest"
FS_PAIR = BUILD / "tests/unit/devices/fs-pair"


def volume(source, **more):
    return dict({"name": "v", "kind": "host", "source": str(source)}, **more)


def mounted(name, image, script, path="/v", **more):
    return sh_app(name, image, script, mounts=[{"volume": "v", "path": path}], **more)


@pytest.fixture
def shared(tmp_path):
    d = tmp_path / "shared"
    (d / "below").mkdir(parents=True)
    (d / "file").write_text("of the host\n")
    return d


LOOK = r"""
cat /v/file; echo new >/v/made && cat /v/made; mkdir /v/dir && mv /v/made /v/dir/moved && ls /v/dir
ln -s moved /v/dir/link && cat /v/dir/link; mknod /v/null c 1 3 2>/dev/null && echo device; stat -c %u:%g /v/file
"""


def test_read_and_write(appc, shell, shared):
    """VOL-01 VOL-21 POD-23: both ways, and no devices."""
    r = appc.run(appc.pod([mounted("one", shell, LOOK)], volumes=[volume(shared)]), check=0)
    assert r.stdout == "of the host\nnew\nmoved\nnew\n0:0\n"
    assert (shared / "dir/moved").read_text() == "new\n" and os.readlink(shared / "dir/link") == "moved"


def test_read_only(appc, shell, shared):
    """VOL-16 VOL-17: by the volume for all, by the mount point for one app."""
    script = 'echo x >/v/by-$AC_APP_NAME; rm /v/file; touch /v/file; cat /v/file'
    r = appc.run("--prefix=always", appc.pod([mounted("one", shell, script)], volumes=[volume(shared, readOnly=True)]))
    assert pick(r.stdout, "one") == ["of the host"] and r.stderr.count("Read-only file system") == 3
    points = [{"name": "v", "path": "/v", "readOnly": True}]
    r = appc.run("--prefix=always", appc.pod([mounted("one", shell, "echo x >/v/by-one", mountPoints=points),
                                              mounted("two", shell, "echo x >/v/by-two")], volumes=[volume(shared)]))
    assert "Read-only file system" in r.stderr
    assert sorted(os.listdir(shared)) == ["below", "by-two", "file"]


def test_a_single_file(appc, shell, shared):
    """VOL-12."""
    r = appc.run(appc.pod([mounted("one", shell, "cat /etc/one; echo more >>/etc/one; ls -A /etc | wc -l", "/etc/one")],
                          volumes=[volume(shared / "file")]), check=0)
    assert r.stdout.startswith("of the host\n") and (shared / "file").read_text() == "of the host\nmore\n"


def test_sources(appc, shell, shared):
    """VOL-09 VOL-10 VOL-13 VOL-14 VOL-15: what is not there is an error and is not made; links only when allowed."""
    (shared / "link").symlink_to("below")
    (shared / "below/f").write_text("behind a link\n")
    (shared / "way").symlink_to(".")
    for source, words in [("nothing/there", "No such file"), ("link", "--allow-symlinks"), ("way/below", "--allow-symlinks"),
                          ("below/../link/", "--allow-symlinks")]:
        r = appc.run(appc.pod([mounted("one", shell, "cat /v/f")], volumes=[volume(f"{shared}/{source}")]))
        assert r.returncode == 125 and r.stdout == "" and words in r.stderr and str(shared) in r.stderr
    assert not (shared / "nothing").exists()
    r = appc.run("--allow-symlinks", appc.pod([mounted("one", shell, "cat /v/f")], volumes=[volume(f"{shared}/way/link")]))
    assert r.stdout == "behind a link\n"


@pytest.mark.skipif(not ROOT, reason="mounts need root")
def test_recursive(appc, shell, shared):
    """VOL-20: what is mounted below comes along, unless it is not wanted."""
    subprocess.run(["mount", "-t", "tmpfs", "t", shared / "below"], check=True)
    try:
        (shared / "below/inside").touch()
        for recursive, want in [({}, "inside"), ({"recursive": True}, "inside"), ({"recursive": False}, "")]:
            r = appc.run(appc.pod([mounted("one", shell, "ls -A /v/below")], volumes=[volume(shared, **recursive)]), check=0)
            assert r.stdout.strip() == want
    finally:
        subprocess.run(["umount", shared / "below"], check=True)


def test_apps_share_a_volume(appc, shared):
    """VOL-01 VOL-21: locks hold between apps, and a shared mapping shows the other's bytes."""
    image = appc.image("example.com/fs-pair", None, {"pair": FS_PAIR.read_bytes()})
    pod = appc.pod([mounted(n, image, f"exec /pair {n} /v") for n in ("one", "two")], volumes=[volume(shared)])
    r = appc.run("--prefix=always", pod)
    assert r.returncode == 0, r.stdout + r.stderr
    assert pick(r.stdout, "one") == ["ok files", "ok flock", "ok fcntl", "ok mapping"]
    assert pick(r.stdout, "two") == ["ok files", "ok flock is busy", "ok fcntl is busy", "ok mapping", "ok flock waited",
                                     "ok fcntl waited"]
    assert (shared / "mapped").read_bytes()[100:108] == b"from two"


def test_lines_that_two_append_at_once(appc, shell, shared):
    """VOL-21: O_APPEND; none is lost or torn."""
    script = 'i=0; while [ $i -lt 200 ]; do echo "$AC_APP_NAME $i" >>/v/log; i=$((i+1)); done'
    appc.run(appc.pod([mounted("one", shell, script), mounted("two", shell, script)], volumes=[volume(shared)]), check=0)
    lines = (shared / "log").read_text().splitlines()
    for name in ("one", "two"):
        assert [x for x in lines if x.startswith(name)] == [f"{name} {i}" for i in range(200)]
    assert len(lines) == 400


def test_changes_of_the_host_while_it_runs(appc, shell, shared):
    """VOL-21: the next system call sees them."""
    script = "echo up >/v/up; until [ -e /v/go ]; do :; done; cat /v/file /v/go; stat -c %s /v/file"
    p = appc.start("run", f"--accel={ACCEL}", appc.pod([mounted("one", shell, script)], volumes=[volume(shared)]))
    while not (shared / "up").exists():
        assert p.poll() is None, p.stderr.read()
    (shared / "file").write_text("changed")
    (shared / "go.new").write_text(" and new\n")
    (shared / "go.new").rename(shared / "go")
    out, errors = p.communicate(timeout=TIMEOUT)
    assert out == "changed and new\n7\n", errors


def test_the_file_system_suite(appc, shared):
    """VOL-21 VOL-22: POSIX behaviour, random operations beside a model, and a storm of renames, from inside an app."""
    image = appc.image("example.com/fs-guest", {"exec": ["/fs-guest", "/v", "2"]}, {"fs-guest": FS_GUEST.read_bytes()})
    pod = appc.pod([{"name": "one", "image": image, "mounts": [{"volume": "v", "path": "/v"}]}], volumes=[volume(shared / "below")])
    options = [] if ROOT else ["--volume-ownership=xattr"]
    r = appc.run(*options, pod)
    assert r.returncode == 0, r.stdout + r.stderr
    assert [x.split()[:2] for x in r.stdout.splitlines()] == [["ok", x] for x in ("posix", "owners", "files", "fsx", "storm")]


@pytest.fixture
def stranger(shell):
    """The command as an ordinary user would have it, with a store of that user's and the image in it."""
    if not ROOT:
        pytest.skip("needs root to become somebody else")
    home = pathlib.Path(tempfile.mkdtemp(prefix="appc-vm-user-"))
    home.chmod(0o755)
    (home / "bin/guest").mkdir(parents=True)
    for p in ("appc-vm", "appc-supervisor", "appc-mds", "appc-dev-blk", "appc-dev-vsock", "appc-dev-rng", "appc-dev-fs"):
        shutil.copy(BUILD / p, home / "bin" / p)
    for p in ("vmlinux", "initramfs.cpio"):
        shutil.copy(BUILD / "guest" / p, home / "bin/guest" / p)
    (home / "work").mkdir()
    os.chown(home / "work", 1000, 1000)
    yield User(home)
    shutil.rmtree(home)


class User(Appc):
    """As Appc, for user 1000."""

    def __init__(self, home):
        super().__init__(home / "work/data", home / "work")
        self.program = home / "bin/appc-vm"
        self.env["HOME"] = str(home / "work")

    def __call__(self, *args, check=None, **_):
        r = subprocess.run([self.program, *map(str, args)], env=self.env, capture_output=True, text=True, timeout=TIMEOUT,
                           stdin=subprocess.DEVNULL, user=1000, group=1000, extra_groups=[], umask=0o022)
        if check is not None:
            assert r.returncode == check, f"status {r.returncode}\n{r.stdout}\n{r.stderr}"
        return r


def test_an_ordinary_user(stranger):
    """VOL-22: what is the caller's is root's in the pod, all else nobody's; the host sees the caller's files only."""
    image = stranger.image("example.com/shell", {"exec": ["/bin/sh"]}, {"tmp": None})
    d = stranger.work / "shared"
    d.mkdir()
    (d / "mine").write_text("mine\n")
    (d / "foreign").write_text("foreign\n")
    (d / "secret").write_text("secret\n")
    (d / "secret").chmod(0o600)
    for name in (".", "mine"):
        os.chown(d / name, 1000, 1000)
    script = r"""
stat -c %u:%g /v/mine /v/foreign; cat /v/mine /v/foreign; cat /v/secret 2>/dev/null && echo read; echo x >/v/new && stat -c %u:%g /v/new
chown 7:8 /v/new 2>/dev/null; stat -c %u:%g /v/new; echo y >>/v/foreign 2>/dev/null || echo refused
"""
    pod = stranger.pod([mounted("one", image, script)], volumes=[volume(d)])
    for path in stranger.work.glob("*.json"):
        path.chmod(0o644)
    r = stranger.run(pod)
    assert r.stdout == "0:0\n65534:65534\nmine\nforeign\n0:0\n0:0\nrefused\n", r.stderr
    (d / "new").unlink()
    r = stranger.run("--volume-ownership=xattr", pod)
    assert r.stdout == "0:0\n65534:65534\nmine\nforeign\n0:0\n7:8\nrefused\n", r.stderr
    assert (d / "new").stat().st_uid == 1000 and (d / "new").stat().st_gid == 1000
    assert os.getxattr(d / "new", "user.appc-vm.owner")


def test_volumes_of_one_app(appc, shell, shared, tmp_path):
    """POD-17 POD-18 VOL-01 VOL-17: an app's own volume takes the place of the pod's of that name, for this app; its readOnly holds."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own/file").write_text("own\n")
    script = "cat /v/file; echo x >/v/by-$AC_APP_NAME 2>/dev/null && echo wrote"
    one = sh_app("one", shell, script + ";:", mounts=[{"volume": "v", "path": "/v", "appVolume": volume(
        tmp_path / "own", name="v", readOnly=True)}])
    r = appc.run("--prefix=always", appc.pod([one, mounted("two", shell, script)], volumes=[volume(shared)]), check=0)
    assert pick(r.stdout, "one") == ["own"] and pick(r.stdout, "two") == ["of the host", "wrote"]
    assert os.listdir(tmp_path / "own") == ["file"] and (shared / "by-two").exists()
