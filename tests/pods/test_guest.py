# SPDX-License-Identifier: Apache-2.0
"""appc-init in a real guest: what apps see, who runs when, what is refused, what reaches the host."""
import hashlib
import pathlib
import socket
import threading
import time

import pytest

from guest_host import BUSYBOX, Guest, app, make_root, shell

PASSWD = ("root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:Bob:/home/bob:/bin/bobsh\n"
          "777:x:4242:4242::/digits:\n")
GROUP = "root:x:0:\nbob:x:1001:\nstaff:x:50:\n"
FILES = {"etc/passwd": PASSWD, "etc/group": GROUP, "home/bob": None, "opt/work": None, "srv/full/file": "x",
         "srv/plain": "x", "up": pathlib.PurePath("../../../../../tmp"), "abs": pathlib.PurePath("/srv/full"),
         "script": "#!/no/such/shell\n", "noexec/x": "y", "tmp": None}


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    return make_root(tmp_path_factory.mktemp("image"), "busybox", FILES)


@pytest.fixture
def run(tmp_path):
    guests = []

    def start(images, apps, **kw):
        images = images if isinstance(images, list) else [images]
        guests.append(Guest(tmp_path, images, apps, **kw))
        return guests[-1]
    yield start
    for g in guests:
        g.stop()


def lines(text):
    """NAME=VALUE lines as a dictionary."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


LOOK = r"""
for f in null zero full random urandom tty console; do echo "$f=$(stat -c '%F %t:%T %a' /dev/$f)"; done
for d in /proc /sys /dev/pts /dev/shm /dev/mqueue /sys/fs/cgroup; do
    echo "$d=$(cut -d' ' -f2,3 /proc/mounts | grep "^$d " | cut -d' ' -f2)"; done
echo "ptmx=$(readlink /dev/ptmx)"; echo "stdin=$(readlink /proc/self/fd/0)"
echo "full_write=$( (echo x >/dev/full) 2>&1 | grep -c 'No space')"
echo "hosts=$(grep -c localhost /etc/hosts)$(grep -c pod-host /etc/hosts)"
echo "bnd=$(grep CapBnd /proc/self/status | cut -f2)"; echo "eff=$(grep CapEff /proc/self/status | cut -f2)"
echo "nnp=$(grep NoNewPrivs /proc/self/status | cut -f2)"
echo "cgroup=$(cat /proc/self/cgroup)"; echo "host=$(hostname)"; echo "umask=$(umask)"
echo "lo=$(ip -4 addr show lo | grep -c -e 'inet 127.0.0.1/8' -e 'inet 169.254.169.255/32')"
echo "sysctl_rw=$( (echo /x >/proc/sys/kernel/core_pattern) 2>&1 | grep -c Read-only)"
echo "sys_rw=$( (echo 1 >/sys/kernel/rcu_normal) 2>&1 | grep -c Read-only)"
echo "cgroup_rw=$( (echo max >/sys/fs/cgroup/memory.max) 2>&1 | grep -c Read-only)"
echo "kallsyms=$(wc -c </proc/kallsyms)"
echo "nofile=$(ulimit -Sn):$(ulimit -Hn)"; echo "fds=$(ls /proc/self/fd | wc -l)"
echo "age=$(( $(date +%s) ))"
echo "initkill=$(kill -9 1; kill -TERM 1; echo alive)"
echo "initroot=$(ls /proc/1/root/ 2>&1 | grep -c denied)"; echo "initmem=$(head -c1 /proc/1/mem 2>&1 | grep -c denied)"
echo "session=$(test $(cut -d' ' -f6 /proc/self/stat) != 0 && echo own)"
mknod /dev/disk b $(tr : ' ' </sys/block/vda/dev) && echo "disk=$(head -c1 /dev/disk 2>&1 | grep -c 'not permitted')"
mknod /null c 1 3 && echo "nodev=$(cat /null 2>&1 | grep -c denied)"; mknod /dev/null2 c 1 3 && cat /dev/null2 && echo "null2=1"
touch /only-mine; ls /only-yours 2>/dev/null
env | sort | sed 's/^/env./'
"""


def test_what_an_app_sees(run, image):
    """OS-01 to OS-16, ENV-01 to ENV-09, ISO-40, NET-01, RENDER-01, C4."""
    g = run(image, [shell("one", LOOK, environment=[{"name": "FOO", "value": "a b=$HOME"}]),
                    shell("two", "touch /only-yours; ls /only-mine; env")],
            metadataURL="http://169.254.169.255:18112/token").wait()
    assert g.fatal() is None and g.of("one")["exitStatus"] == 0
    see = lines(g.text("one"))
    devices = {"null": "1:3 666", "zero": "1:5 666", "full": "1:7 666", "random": "1:8 666",
               "urandom": "1:9 666", "tty": "5:0 666", "console": "5:1 600"}
    for name, want in devices.items():
        assert see[name] == "character special file " + want
    assert [see[d] for d in ("/proc", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup")] == \
        ["proc", "sysfs", "devpts", "tmpfs", "mqueue", "cgroup2"]
    assert see["ptmx"] == "pts/ptmx" and see["stdin"] == "/dev/null" and see["full_write"] == "1"
    assert see["hosts"] == "21" and see["host"] == "pod-host" and see["umask"] == "0022"
    assert see["bnd"] == see["eff"] == "00000000a80425fb" and see["nnp"] == "0"
    assert see["cgroup"] == "0::/" and see["lo"] == "2"
    assert see["sysctl_rw"] == see["sys_rw"] == see["cgroup_rw"] == "1" and see["kallsyms"] == "0"
    assert see["nofile"] == "1024:524288" and see["fds"] == "4"
    assert abs(int(see["age"]) - time.time()) < 300
    assert see["initkill"] == "alive" and see["initroot"] == "1" and see["initmem"] == "1"
    assert see["session"] == "own" and see["disk"] == see["nodev"] == see["null2"] == "1"
    assert "only-yours" not in g.text("one") and g.text("two").count("only") == 0
    env = {k[4:]: v for k, v in see.items() if k.startswith("env.")}
    assert env["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert env["AC_APP_NAME"] == "one" and env["container"] == "appc-vm" and env["FOO"] == "a b=$HOME"
    assert env["AC_METADATA_URL"] == "http://169.254.169.255:18112/token" and env["HOME"] == "/root"
    assert "AC_APP_NAME=two" in g.text("two")


def test_apps_share_what_the_pod_shares(run, image):
    """POD-01 to POD-04: PIDs, network, IPC, host name; VOL-18."""
    one = r"""
touch /dev/shm/by-one; nc -l -p 7 >/tmp-got & touch /vol/ready
while [ ! -e /vol/done ]; do sleep 0.05; done; wait; cat /tmp-got
"""
    two = r"""
while [ ! -e /vol/ready ]; do sleep 0.05; done
ls /dev/shm; pidof nc | wc -w; kill -0 $(pidof nc) && echo signalled
until netstat -ltn | grep -q ':7 '; do sleep 0.05; done; echo over-lo | nc 127.0.0.1 7; touch /vol/done; hostname
"""
    mounts = [{"volume": "v", "path": "/vol"}]
    g = run(image, [shell("one", one, mounts=mounts), shell("two", two, mounts=mounts)],
            volumes=[{"name": "v", "kind": "empty"}]).wait()
    assert g.text("one") == "over-lo\n"
    assert g.text("two") == "by-one\n1\nsignalled\npod-host\n"


WHO = "id -u; id -g; id -G; pwd; echo $HOME $USER $SHELL; touch /opt/work/x 2>/dev/null && echo wrote; echo hi >/dev/stdout; " \
      "grep CapEff /proc/self/status | cut -f2"


def test_identities(run, tmp_path):
    """APP-07 to APP-12, APP-18, ENV-06; /dev/stdout opened again by its owner."""
    root = make_root(tmp_path, "owned", FILES, owners={"srv/plain": (321, 654)})
    g = run(root, [shell("bob", WHO, user="bob", group="staff", supplementaryGIDs=[7, 8]),
                   shell("digits", WHO, user="777", group="bob"),
                   shell("number", WHO, user="12345", group="54321", workingDirectory="/opt/work"),
                   shell("path", WHO, user="/srv/plain", group="/srv/plain"),
                   shell("root", WHO, user="root", group="root", workingDirectory="/made/by/volume",
                         mounts=[{"volume": "v", "path": "/made/by/volume"}])],
            volumes=[{"name": "v", "kind": "empty"}]).wait()
    none = "0000000000000000\n"
    assert g.text("bob") == "1000\n50\n50 7 8\n/\n/home/bob bob /bin/bobsh\nhi\n" + none
    assert g.text("digits") == "4242\n1001\n1001\n/\n/digits 777\nhi\n" + none
    assert g.text("number") == "12345\n54321\n54321\n/opt/work\n\nhi\n" + none
    assert g.text("path") == "321\n654\n654\n/\n\nhi\n" + none
    assert g.text("root") == "0\n0\n0\n/made/by/volume\n/root root /bin/sh\nwrote\nhi\n00000000a80425fb\n"


def test_an_empty_read_only_root(run, tmp_path):
    """OS-13, RENDER-02, VOL-02, VOL-03: nothing is in the image but one static program."""
    root = make_root(tmp_path, "bare", {"busybox": BUSYBOX.read_bytes()}, busybox=False)
    script = r"""
b=/busybox; $b touch /y 2>&1; $b touch /vol/y && echo volume-writable; $b ls -d /proc/self /sys/kernel /dev/null /dev/shm
$b cat /etc/hosts; $b stat -c '%a %u:%g' /vol /deep/er; $b touch /dev/shm/z && echo shm; $b touch /ro/z 2>&1
"""
    g = run(root, [app("one", "/busybox", "sh", "-c", script, read_only=True,
                       mounts=[{"volume": "v", "path": "/vol"}, {"volume": "r", "path": "/ro"}],
                       mountPoints=[{"name": "implicit", "path": "/deep/er"}])],
            volumes=[{"name": "v", "kind": "empty", "mode": "1777", "uid": 5, "gid": 6},
                     {"name": "r", "kind": "empty", "readOnly": True}], scratch=False).wait()
    assert g.text("one", "stderr") == ""
    assert g.text("one").splitlines() == [
        "touch: /y: Read-only file system", "volume-writable", "/dev/null", "/dev/shm", "/proc/self", "/sys/kernel",
        "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", "127.0.1.1\tpod-host",
        "1777 5:6", "755 0:0", "shm", "touch: /ro/z: Read-only file system"]


def test_volumes_and_hostile_targets(run, image):
    """VOL-01 to VOL-08, VOL-17, VOL-19."""
    script = r"""
ls /srv/full; stat -c %F /srv/plain; grep -c ' /tmp/in ' /proc/self/mountinfo; ls -d /tmp/in
touch /mp/x 2>&1; touch /srv/full/shared
"""
    g = run(image, [shell("one", script,
                          mounts=[{"volume": "a", "path": "/srv/full"}, {"volume": "b", "path": "/srv/plain"},
                                  {"volume": "c", "path": "/up/in"}, {"volume": "d", "path": "/mp"}],
                          mountPoints=[{"name": "d", "path": "/mp", "readOnly": True}])],
            volumes=[{"name": n, "kind": "empty"} for n in "abcd"]).wait()
    assert g.text("one").splitlines() == ["directory", "1", "/tmp/in", "touch: /mp/x: Read-only file system"]
    assert sorted(g.warnings()) == ['volume "a" hides what the image has in /srv/full',
                                    'volume "b" replaces the file at /srv/plain']


def test_volumes_that_begin_as_the_image_has_them(run, image):
    """The first app that mounts it fills it; VOL-18 holds for the others, and VOL-07 says what they don't see."""
    one = "ls /srv/full; touch /srv/full/by-one; while [ ! -e /srv/full/by-two ]; do sleep 0.05; done"
    two = "while [ ! -e /elsewhere/by-one ]; do sleep 0.05; done; ls -A /elsewhere /srv/full; touch /elsewhere/by-two"
    g = run(image, [shell("one", one, mounts=[{"volume": "a", "path": "/srv/full"}]),
                    shell("two", two, mounts=[{"volume": "a", "path": "/elsewhere"}, {"volume": "b", "path": "/srv/full"}])],
            volumes=[{"name": n, "kind": "empty"} for n in "ab"], fromImage=[0]).wait()
    assert g.text("one").split() == ["file"] and g.text("two").split() == ["/elsewhere:", "by-one", "file", "/srv/full:"]
    assert g.warnings() == ['volume "b" hides what the image has in /srv/full']


@pytest.mark.parametrize("number", [1, 2, 4294967295])
def test_volumes_that_cannot_begin_as_the_image_has_them(run, image, number):
    g = run(image, [shell("one", "echo ran")], fromImage=[number],
            volumes=[{"name": "a", "kind": "empty"}, {"name": "h", "kind": "host", "source": "/srv"}]).wait()
    assert f"empty volume {number}" in g.fatal() and not g.streams.get(("one", "stdout"))


@pytest.mark.parametrize("mounts, says", [
    ([("a", "/data"), ("b", "/data/x")], "overlap"),
    ([("a", "/srv/full"), ("b", "/abs/y")], "overlap"),
    ([("a", "/proc")], "/proc"),
    ([("h", "/mnt")], "virtio-fs"),
])
def test_mounts_that_are_refused(run, image, mounts, says):
    """VOL-08 and its kin: the pod does not start."""
    g = run(image, [shell("one", "echo ran", mounts=[{"volume": v, "path": p} for v, p in mounts])],
            volumes=[{"name": "a", "kind": "empty"}, {"name": "b", "kind": "empty"},
                     {"name": "h", "kind": "host", "source": "/srv"}]).wait()
    assert says in g.fatal() and g.fatal().startswith('app "one"')
    assert not g.streams.get(("one", "stdout"))


def handlers(pre=None, post=None):
    both = (("pre-start", pre), ("post-stop", post))
    return [{"name": n, "exec": ["/bin/sh", "-c", s]} for n, s in both if s]


def test_handlers_share_the_root_and_the_streams(run, image):
    """APP-15, APP-16, LOG-05, C6, C10, VAL-04, VAL-51."""
    def one(name, pre, main):
        return shell(name, main, user="bob", group="bob", workingDirectory="/home/bob",
                     environment=[{"name": "X", "value": "env"}], mounts=[{"volume": "v", "path": "/vol"}],
                     eventHandlers=handlers(pre, "echo post $(cat /vol/log-$AC_APP_NAME) $(id -u) $(pwd) $X"))
    log = "/vol/log-$AC_APP_NAME"
    g = run(image, [one("one", f"sleep 0.3; echo pre >{log}; echo out; id -u; pwd", f"echo main >>{log}; ls /vol"),
                    one("two", f"echo pre >{log}", f"ls /vol; echo main >>{log}; exit 0")],
            volumes=[{"name": "v", "kind": "empty", "mode": "0777"}]).wait()
    assert g.text("one") == "out\n1000\n/home/bob\nlog-one\nlog-two\npost pre main 1000 /home/bob env\n"
    assert g.text("two") == "log-one\nlog-two\npost pre main 1000 /home/bob env\n"
    assert g.states("one") == ["pre-start", "running", "post-stop", "exited"]
    # No main before the last pre-start handler.
    states = [(m["name"], m["state"]) for m in g.messages if m["type"] == "app"]
    assert [s for _, s in states[:3]] == ["pre-start", "pre-start", "running"]


def test_a_failing_pre_start_stops_the_pod(run, image):
    """C7, C8."""
    g = run(image, [shell("bad", "echo main", eventHandlers=handlers("echo pre; exit 3", "echo post")),
                    shell("good", "echo main", eventHandlers=handlers("sleep 0.1; true", "echo undone"))]).wait()
    bad, good = g.of("bad"), g.of("good")
    assert bad["state"] == "failed" and bad["exitStatus"] == 3 and "status 3" in bad["error"]
    assert g.text("bad") == "pre\n"
    assert good["state"] == "failed" and "main" not in g.text("good")


@pytest.mark.parametrize("command, more, says", [
    (["nosuch"], {}, 'no such program in PATH (/usr/local/sbin'),
    (["/no/such"], {}, "does not exist in the image"),
    (["/script"], {}, "its interpreter /no/such/shell does not exist"),
    (["/home"], {}, "is a directory"),
    (["/bin/true"], {"workingDirectory": "/nope"}, "can't enter the working directory /nope"),
])
def test_mains_that_cannot_start(run, image, command, more, says):
    """APP-02, APP-19: failed with a reason, and the other app is stopped."""
    g = run(image, [app("bad", *command, **more), shell("other", "sleep 1000")]).wait()
    assert g.of("bad")["state"] == "failed" and says in g.of("bad")["error"] and g.of("bad")["exitStatus"] == 127
    assert g.of("other")["signal"] == 15 and g.of("other")["exitStatus"] == 143


@pytest.mark.parametrize("user, says", [("nosuch", 'user "nosuch"'), ("/missing", "/missing")])
def test_users_that_do_not_exist(run, image, user, says):
    """APP-11."""
    g = run(image, [shell("one", "echo ran", user=user)]).wait()
    assert says in g.fatal() and 'app "one"' in g.fatal()


def test_stop_terminates_waits_and_kills(run, image):
    """C11: SIGTERM to all, grace, SIGKILL, post-stop; children of a main get SIGTERM as well."""
    loop = "while :; do sleep 0.05; done"
    post = handlers(None, "echo post")
    g = run(image, [shell("polite", f"trap 'echo term; exit 0' TERM; echo up; {loop}", eventHandlers=post),
                    shell("stubborn", f"trap 'echo no' TERM; echo up; {loop}", eventHandlers=post),
                    shell("parent", f"(trap 'sleep 0.2; echo child-cleaned; exit' TERM; echo up; {loop}) & wait",
                          eventHandlers=post)])
    for _ in range(3):
        g.wait_for(type="app", state="running")
    time.sleep(1)  # until the traps are set, which nothing tells
    g.send(type="stop", graceMs=1500)
    g.wait()
    assert g.text("polite") == "up\nterm\npost\n" and g.of("polite")["exitStatus"] == 0
    assert g.text("stubborn").startswith("up\nno\n") and g.text("stubborn").endswith("post\n")
    assert g.of("stubborn")["signal"] == 9 and g.of("stubborn")["exitStatus"] == 137
    assert g.text("parent") == "up\nchild-cleaned\npost\n"


def test_signals_go_to_mains(run, image):
    g = run(image, [shell("one", "trap 'echo usr1' USR1; trap 'echo hup; exit 4' HUP; echo up; while :; do sleep 0.05; done"),
                    shell("two", "trap 'exit 0' HUP; while :; do sleep 0.05; done")])
    for _ in range(2):
        g.wait_for(type="app", state="running")
    time.sleep(1)
    g.send(type="signal", app="one", signal=10)
    time.sleep(0.5)
    g.send(type="signal", app=None, signal=1)
    g.wait()
    assert g.text("one") == "up\nusr1\nhup\n" and g.of("one")["exitStatus"] == 4


def test_exit_status_and_policy(run, image):
    """C9: status 0 leaves the others running; leftovers of a main end; orphans are reaped."""
    g = run(image, [shell("zero", "exit 0"),
                    shell("daemon", "(while :; do sleep 0.05; done) >/dev/null 2>&1 & exit 0"),
                    shell("last", "for i in 1 2 3 4 5; do (sleep 0.01 &); done; sleep 1; cat /proc/[0-9]*/status | grep -c '^State:.Z'; kill -11 $$")],
            graceMs=500).wait()
    assert g.of("zero")["exitStatus"] == 0 and g.of("daemon")["exitStatus"] == 0
    assert g.of("last")["exitStatus"] == 139 and g.of("last")["signal"] == 11
    assert g.text("last") == "0\n", "zombies were left"


def test_the_first_end_stops_the_pod_when_asked(run, image):
    g = run(image, [shell("first", "exit 0"), shell("second", "sleep 1000")], stopOnExit=True).wait()
    assert g.of("first")["exitStatus"] == 0 and g.of("second")["signal"] == 15


def isolator(name, value):
    return {"name": name, "value": value}


STATUS = "grep -e CapBnd -e NoNewPrivs -e Seccomp: /proc/self/status | cut -f2 | tr '\\n' ' '; cat /proc/self/oom_score_adj; "
LIMITS = "cd /sys/fs/cgroup; cat cpu.max cpu.weight memory.max memory.low"


def test_isolators_of_privileges_and_resources(run, image):
    """ISO-02, ISO-04, ISO-40 to ISO-47, ISO-50 to ISO-57, ISO-70 to ISO-73."""
    g = run(image, [
        shell("removed", STATUS, isolators=[isolator("os/linux/capabilities-remove-set",
                                                     {"set": ["CAP_SYS_CHROOT", "CAP_MKNOD", "CAP_SYS_ADMIN"]})]),
        shell("retained", STATUS, user="1000", isolators=[
            isolator("os/linux/capabilities-retain-set", {"set": ["CAP_NET_ADMIN", "CAP_PONIES"]}),
            isolator("os/linux/no-new-privileges", True), isolator("os/linux/oom-score-adj", 500),
            isolator("example.com/unheard-of", {})]),
        shell("limited", LIMITS, isolators=[isolator("resource/cpu", {"request": "250m", "limit": "500m"}),
                                            isolator("resource/memory", {"request": "16M", "limit": "64Mi"})]),
        shell("shares", "cat /sys/fs/cgroup/cpu.weight; cat /proc/sys/net/ipv4/tcp_keepalive_time",
              isolators=[isolator("os/linux/cpu-shares", 1024)])],
        isolators=[isolator("os/unix/sysctl", {"net.ipv4.tcp_keepalive_time": "300", "kernel.nope": "1"}),
                   isolator("resource/memory", {"limit": "200M"})]).wait()
    assert g.text("removed") == "00000000a00025fb 0 0 0\n"
    assert g.text("retained") == "0000000000001000 1 0 500\n"
    assert g.text("limited").split() == ["50000", "100000", "25", str(64 << 20), "15998976"]
    assert g.text("shares").split() == ["39", "300"]
    assert g.report("os/linux/capabilities-remove-set", "removed")["result"] == "enforced"
    retain = g.report("os/linux/capabilities-retain-set", "retained")
    assert retain["result"] == "modified" and "CAP_PONIES" in retain["detail"]
    assert g.report("example.com/unheard-of", "retained")["result"] == "ignored"
    sysctl = g.report("os/unix/sysctl")
    assert sysctl["result"] == "modified" and "kernel.nope" in sysctl["detail"]
    assert g.report("resource/memory")["result"] == "enforced"
    assert all(m["result"] == "enforced" for m in g.messages if m["type"] == "report" and m["app"] == "limited")


HOG = "dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null; echo $?"


def test_memory_limits_kill(run, image):
    """ISO-57, ISO-04: the app's own limit, and the pod's in spite of a larger one of the app."""
    g = run(image, [shell("own", HOG, isolators=[isolator("resource/memory", {"limit": "32M"})])]).wait()
    assert g.text("own") == "137\n"


def test_pod_limits_bound_apps(run, image):
    """ISO-04."""
    g = run(image, [shell("big", HOG, isolators=[isolator("resource/memory", {"limit": "1G"})])],
            isolators=[isolator("resource/memory", {"limit": "48M"})]).wait()
    assert g.text("big") == "137\n"


def seccomp(kind, calls, **more):
    return [isolator(f"os/linux/seccomp-{kind}-set", {"set": calls, **more})]


# What busybox needs to print one line.
FEW = ["write", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "readlink", "readlinkat",
       "getrandom", "mprotect", "getuid", "getgid", "geteuid", "getegid", "fstat", "newfstatat", "writev", "prctl", "mmap",
       "uname", "setuid", "setgid"]


def test_seccomp_sets(run, image):
    """ISO-10 to ISO-26; the shell lives under the filter too."""
    make = "mkdir /made; echo $?"
    g = run(image, [
        shell("errno", make, isolators=seccomp("remove", ["mkdir", "mkdirat"], errno="ENOTSUP")),
        shell("linux", make, isolators=seccomp("remove", ["mkdir", "mkdirat"], errno="EHWPOISON"), user="1000"),
        shell("killed", make, isolators=seccomp("remove", ["mkdir", "mkdirat", "nosuchcall"])),
        shell("empty", make, isolators=seccomp("remove", ["@appc.io/empty", "mkdir", "mkdirat"])),
        shell("all", make, isolators=seccomp("retain", ["@appc.io/all", "read"])),
        shell("bogus", make, isolators=seccomp("remove", ["mkdir", "mkdirat"], errno="EBOGUS")),
        app("few", "/bin/echo", "few", user="1000", isolators=seccomp("retain", FEW)),
        app("nnp", "/bin/echo", "nnp", isolators=seccomp("retain", FEW) + [isolator("os/linux/no-new-privileges", True)]),
    ]).wait()
    assert g.text("errno") == "1\n" and "not supported" in g.text("errno", "stderr")
    assert g.text("linux") == "1\n" and "hardware error" in g.text("linux", "stderr")
    assert g.text("killed") == "159\n" and "nosuchcall" in g.report("os/linux/seccomp-remove-set", "killed")["detail"]
    assert g.text("empty") == g.text("all") == "0\n"
    assert g.text("bogus") == "159\n" and "EBOGUS" in g.report("os/linux/seccomp-remove-set", "bogus")["detail"]
    assert (g.text("few"), g.text("nnp")) == ("few\n", "nnp\n")
    assert g.report("os/linux/seccomp-retain-set", "few")["result"] == "enforced"


@pytest.mark.parametrize("calls, errno, signal, says", [(FEW, "EXDEV", 0, "link"), (FEW, "", 31, ""), (["read"], "", 31, "")])
def test_calls_outside_a_retain_set(run, image, calls, errno, signal, says):
    """ISO-14, ISO-15, ISO-19: with the minimum that lets it start."""
    g = run(image, [app("one", "/bin/mkdir", "/made", isolators=seccomp("retain", calls, errno=errno))]).wait()
    assert g.of("one")["signal"] == signal and g.of("one")["exitStatus"] == (128 + signal if signal else 1)
    assert says in g.text("one", "stderr")


MIB = 1 << 20


def test_a_long_stream_comes_whole_while_another_is_held_back(run, image):
    """LOG-02: 100 MiB in order; a reader that rests holds back only its own app."""
    g = run(image, [shell("long", "seq 1 200000 >/f; for i in $(seq 1 82); do cat /f; echo block $i; done"),
                    shell("held", "yes | head -c 20000000; echo over >&2"), shell("quick", "echo quick")])
    resting = threading.Event()
    sums = {}

    def read(name, stream, sock, data):
        if (name, stream) == ("held", "stdout"):
            resting.wait(timeout=240)
        digest, total = hashlib.sha256(data), len(data)
        while more := sock.recv(MIB):
            digest.update(more)
            total += len(more)
        sums[name, stream] = (total, digest.hexdigest())
        sock.close()
    g.on_stdio = read
    g.wait_for(type="app", name="long", state="exited")
    assert ("held", "stdout") not in sums and "exited" not in g.states("held")
    resting.set()
    g.wait()
    numbers = "".join(f"{i}\n" for i in range(1, 200001))
    data = "".join(f"{numbers}block {i}\n" for i in range(1, 83)).encode()
    assert len(data) > 100 * MIB
    assert sums["long", "stdout"] == (len(data), hashlib.sha256(data).hexdigest())
    assert sums["held", "stdout"][0] == 20000000 and sums["held", "stderr"][0] == 5
    assert sums["quick", "stdout"][0] == 6


def test_three_hundred_roots(run, tmp_path, image):
    """Roots beyond the 255th partition are loop devices."""
    filler = make_root(tmp_path, "filler", {"f": "x"}, busybox=False)
    data, small = image.read_bytes(), filler.read_bytes()
    last = make_root(tmp_path, "last", {"marker": "last"})
    disk, roots, offset = tmp_path / "disk", [], 0
    with open(disk, "wb") as f:
        for i in range(300):
            part = data if i in (0, 254) else last.read_bytes() if i == 299 else small
            f.write(part)
            roots.append({"offset": offset, "length": len(part)})
            offset += len(part)
    g = run(disk, [shell("first", "echo 1"), shell("part", "echo 255", root=254), shell("loop", "cat /marker", root=299)],
            replace={"roots": roots}).wait()
    assert g.fatal() is None
    assert (g.text("first"), g.text("part"), g.text("loop")) == ("1\n", "255\n", "last")


def test_many_apps(run, image):
    g = run(image, [shell(f"app{i}", f"echo {i}") for i in range(60)]).wait()
    assert [g.text(f"app{i}") for i in range(60)] == [f"{i}\n" for i in range(60)]


def test_init_outlives_apps_that_take_everything(run, image):
    """VAL-63: apps that spin and fork don't hold back the answer to the host."""
    spin = "for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait"
    g = run(image, [shell("spin", spin), shell("spin2", spin), shell("line", "while :; do echo x; sleep 1; done")])
    for _ in range(3):
        g.wait_for(type="app", state="running")
    time.sleep(1)
    before = time.monotonic()
    g.send(type="signal", app="line", signal=9)
    end = g.wait_for(type="app", name="line", state="exited")
    assert end["signal"] == 9
    assert end["at"] - before < 20, "init did not get to it"
    g.wait()


def test_the_guest_resets_when_the_host_leaves(run, image):
    g = run(image, [shell("one", "sleep 1000")])
    g.wait_for(type="app", state="running")
    g.control.shutdown(socket.SHUT_RDWR)
    g.wait(orderly=False)


@pytest.mark.parametrize("change, says", [
    ({"manifest": {"acKind": "Nonsense"}}, "pod manifest"),
    ({"apps": [{"name": "other", "root": 0}]}, '"other"'),
    ({"roots": [{"offset": 0, "length": 512}]}, "erofs"),
    ({"version": 2}, "version"),
])
def test_configurations_that_make_no_sense(run, image, change, says):
    g = run(image, [shell("one", "echo ran")], replace=change).wait()
    assert says in g.fatal()
