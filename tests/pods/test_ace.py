# SPDX-License-Identifier: Apache-2.0
"""The executor's rules through the whole product: each test runs a pod and looks from inside it."""
import json
import os
import pathlib
import subprocess

import pytest

from conftest import ACCEL, BUILD, TIMEOUT

# For scripts of the guest: its clock in milliseconds. A number with a 0 in front would be octal.
CLOCK = r"""
up() { read a b </proc/uptime; a=1${a%.*}${a#*.}0; echo $((a - 10 ** (${#a} - 1))); }
"""


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
WRITE = CLOCK + """
t=$(up); dd if=/dev/zero of=/big bs=64k count=48 oflag=direct 2>/dev/null || echo failed; u=$(up); echo "took $((u-t))"
"""


def took(lines):
    (line,) = [x for x in lines if x.startswith("took ")]
    return int(line.split()[1]) / 1000


def test_block_bandwidth(appc, shell):
    """APP-24 ISO-52 ISO-58: 3 MiB at 1 MB a second take 3 seconds for the app that has the limit, not for the other one."""
    r = appc.run("--prefix=always", appc.pod([sh_app("slow", shell, WRITE, [block("block-bandwidth", "1M")]),
                                              sh_app("free", shell, WRITE)]), check=0)
    assert "failed" not in r.stdout
    assert took(pick(r.stdout, "slow")) >= 2.5
    assert took(pick(r.stdout, "slow")) > took(pick(r.stdout, "free"))


# The devices keep time by the host's clock, and so does what is made in a host volume: that of an emulated guest may be slow.
MARKED = """
: >/v/from-$AC_APP_NAME; dd if=/dev/zero of=/big bs=64k count=48 oflag=direct 2>/dev/null || echo failed
dd if=/big of=/dev/null bs=64k iflag=direct 2>/dev/null || echo failed; : >/v/until-$AC_APP_NAME
"""


def elapsed(appc, where, apps, isolators):
    """Seconds from the first app's begin to the last one's end."""
    apps = [dict(a, mounts=[{"volume": "v", "path": "/v"}]) for a in apps]
    pod = appc.pod(apps, isolators=isolators, volumes=[{"name": "v", "kind": "host", "source": str(where)}])
    r = appc.run(pod, check=0)
    assert r.stdout == ""
    times = {f.name: f.stat().st_mtime for f in where.iterdir()}
    assert len(times) == 2 * len(apps)
    return max(times.values()) - min(times.values())


def test_block_bandwidth_of_a_pod(appc, shell, tmp_path):
    """POD-06 ISO-04 ISO-58: the devices let all apps together read and write 2 MB a second, whatever an app of its own is
    allowed."""
    apps = [sh_app("one", shell, MARKED, [block("block-bandwidth", "100M")]), sh_app("two", shell, MARKED)]
    # Four times 3 MiB go through; a burst of a tenth of a second and the last pieces cost nothing.
    assert elapsed(appc, tmp_path, apps, [block("block-bandwidth", "2M")]) >= 4 * 3 * 1.048576 / 2 - 0.3
    (report,) = json.loads(appc.run("--dry-run", "--format=json", appc.pod(
        [sh_app("one", shell, "true")], isolators=[block("block-bandwidth", "2M")]), check=0).stdout)
    assert report["result"] == "enforced"


def test_block_iops_of_a_pod(appc, shell, tmp_path):
    """ISO-04 ISO-59: 48 writes and 48 reads, at 24 a second."""
    assert elapsed(appc, tmp_path, [sh_app("one", shell, MARKED)], [block("block-iops", "24")]) >= 96 / 24 - 0.3


def test_block_iops(appc, shell):
    """ISO-52 ISO-59: 48 writes at 16 a second take 3 seconds."""
    r = appc.run("--prefix=always", appc.pod([sh_app("slow", shell, WRITE, [block("block-iops", "16")])]), check=0)
    assert "failed" not in r.stdout and took(pick(r.stdout, "slow")) >= 2.5


NETWORK = {"name": "resource/network-bandwidth", "value": {"default": True, "limit": "1M"}}
SELINUX = {"name": "os/linux/selinux-context", "value": {"user": "u", "role": "r", "type": "t", "level": "s0"}}


def test_reasons(appc, shell):
    """ISO-01 ISO-02 ISO-03 ISO-09 ISO-33 ISO-60 ISO-61: what is ignored is told, with a sentence that says why."""
    app = sh_app("one", shell, "true", [NETWORK, SELINUX, {"name": "example.com/own", "value": 1}])
    before = appc.pods()
    r = appc.run("--dry-run", "--format=json", appc.pod([app]), check=0)
    assert appc.pods() == before  # a dry run leaves no pod behind
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


PROFILE = """
profile appc-test flags=(attach_disconnected) {
  file,
  capability,
  network inet stream,
  deny /secret rw,
  deny /etc/** w,
}
profile appc-other flags=(attach_disconnected) { file, deny /other w, }
"""
CONFINED = r"""
cat /proc/self/attr/current
for f in /secret /etc/new /other /free; do (echo x >$f) 2>/dev/null && echo "wrote $f"; done
chroot / true 2>/dev/null && echo chroot; :
"""


@pytest.fixture(scope="module")
def profile(appc):
    path = appc.work / "profile"
    path.write_text(PROFILE)
    return path


def test_apparmor_profiles_by_file(appc, shell, profile):
    """ISO-34 ISO-36: what a loaded profile denies fails inside; the app's profile wins over the pod's."""
    pod = appc.pod([sh_app("one", shell, CONFINED), sh_app("two", shell, CONFINED, [apparmor("appc-other")]),
                    sh_app("free", shell, CONFINED, [apparmor("unconfined")])], isolators=[apparmor("appc-test")])
    r = appc.run("--prefix=always", f"--apparmor-profile={profile}", pod)
    assert pick(r.stdout, "one") == ["appc-test (enforce)", "wrote /other", "wrote /free", "chroot"]
    assert pick(r.stdout, "two") == ["appc-other (enforce)", "wrote /secret", "wrote /etc/new", "wrote /free"]
    assert pick(r.stdout, "free")[:2] == ["unconfined", "wrote /secret"]
    told = json.loads(appc.run("--dry-run", "--format=json", f"--apparmor-profile={profile}", pod, check=0).stdout)
    assert {x["result"] for x in told} == {"enforced"}


def test_apparmor_policies_that_are_compiled_already(appc, shell, profile):
    """A compiled one goes to the kernel as it is, without the compiler; several files are loaded."""
    binary, second = appc.work / "profile.bin", appc.work / "second"
    subprocess.run(["apparmor_parser", "-Q", "-K", "-q", "-M", "/dev/null", f"--ofile={binary}", profile], check=True)
    second.write_text("profile appc-second { file, }")
    pod = appc.pod([sh_app("one", shell, CONFINED, [apparmor("appc-test")]),
                    sh_app("two", shell, "cat /proc/self/attr/current", [apparmor("appc-second")])])
    r = appc.run("--prefix=always", f"--apparmor-profile={binary}", f"--apparmor-profile={second}", pod)
    assert pick(r.stdout, "one")[0] == "appc-test (enforce)" and "wrote /secret" not in r.stdout
    assert pick(r.stdout, "two") == ["appc-second (enforce)"]
    # A compiled policy with a broken end is the kernel's to refuse.
    second.write_bytes(binary.read_bytes()[:-40])
    r = appc.run(f"--apparmor-profile={second}", pod)
    assert r.returncode == 125 and "the kernel does not take an AppArmor policy" in r.stderr


def test_apparmor_files_that_are_no_profiles(appc, shell, tmp_path):
    """One line says what is wrong, and nothing of the pod is left."""
    bad = tmp_path / "bad"
    pod = appc.pod([sh_app("one", shell, "true")])
    for text, words in [("profile x { nonsense", "syntax error"), ("", "there is no AppArmor profile in"),
                        (None, "can't open AppArmor profile")]:
        if text is None:
            bad.unlink()
        else:
            bad.write_text(text)
        before = len(appc.pods())
        r = appc.run(f"--apparmor-profile={bad}", pod)
        assert r.returncode == 125 and words in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr
        assert len(appc.pods()) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a mount")
def test_apparmor_without_the_compiler(appc, shell, profile):
    """One line says what is missing; a compiled policy does not need it."""
    hide = ["unshare", "--mount", "sh", "-c", 'mount --bind /dev/null "$(command -v apparmor_parser)" && "$@"', "hide", BUILD / "appc-vm",
            "run", f"--accel={ACCEL}"]

    def run(file):
        pod = appc.pod([sh_app("one", shell, "cat /proc/self/attr/current", [apparmor("appc-test")])])
        return subprocess.run([*hide, f"--apparmor-profile={file}", pod], env=appc.env, capture_output=True, text=True, timeout=TIMEOUT)
    r = run(profile)
    assert r.returncode == 125 and "there is no apparmor_parser (in the package apparmor)" in r.stderr
    binary = appc.work / "compiled"
    subprocess.run(["apparmor_parser", "-Q", "-K", "-q", "-M", "/dev/null", f"--ofile={binary}", profile], check=True)
    assert run(binary).stdout == "appc-test (enforce)\n"


PORTS = [{"name": "web", "protocol": "tcp", "port": 8080, "count": 2, "socketActivated": True},
         {"name": "plain", "protocol": "tcp", "port": 9000},
         {"name": "dns", "protocol": "udp", "port": 53, "socketActivated": True}]
SOCKETS = r"""
echo "env $LISTEN_FDS $LISTEN_FDNAMES $([ "$LISTEN_PID" = $$ ] && echo me)"
for fd in 3 4 5 6 7; do
    inode=$(readlink /proc/$$/fd/$fd | tr -cd 0-9); [ -n "$inode" ] || continue
    cat /proc/net/tcp6 /proc/net/udp6 /proc/net/tcp /proc/net/udp | while read -r no at peer state queues timer again uid timeout of rest; do
        [ "$of" != "$inode" ] || echo "fd $fd port $((0x${at##*:}))"
    done
done
"""


def test_socket_activation(appc, shell):
    """APP-29 APP-33 APP-34: main, and no handler, gets its own app's sockets in the order of the ports."""
    first = sh_app("first", shell, SOCKETS, ports=PORTS, user="1234",
                   environment=[{"name": "LISTEN_FDS", "value": "77"}],
                   eventHandlers=[{"name": "pre-start", "exec": ["/bin/sh", "-c", "echo pre $LISTEN_PID-; ls /proc/self/fd"]}])
    second = sh_app("second", shell, SOCKETS, ports=[dict(PORTS[0], port=7000, count=1, name="other")])
    third = sh_app("third", shell, SOCKETS)
    r = appc.run("--prefix=always", appc.pod([first, second, third]), check=0)
    assert pick(r.stdout, "first") == ["pre -", "0", "1", "2", "3", "env 3 web:web:dns me", "fd 3 port 8080",
                                       "fd 4 port 8081", "fd 5 port 53"]
    assert pick(r.stdout, "second") == ["env 1 other me", "fd 3 port 7000"]
    assert pick(r.stdout, "third") == ["env   "]


def test_socket_activation_of_a_pods_port(appc, shell):
    """APP-33 POD-38: a podPort takes the place of the app's port: another number, more of them, or none."""
    app = sh_app("first", shell, SOCKETS, ports=PORTS)
    ports = [{"name": "web", "hostPort": 1, "podPort": {"name": "web", "protocol": "tcp", "port": 7070, "socketActivated": True}},
             {"name": "plain", "hostPort": 10, "podPort": {"name": "p", "protocol": "tcp", "port": 9001, "count": 2,
                                                          "socketActivated": True}},
             {"name": "dns", "hostPort": 20, "podPort": {"name": "dns", "protocol": "udp", "port": 53}}]
    r = appc.run("--prefix=always", appc.pod([app], ports=ports), check=0)
    assert pick(r.stdout, "first") == ["env 3 web:plain:plain me", "fd 3 port 7070", "fd 4 port 9001", "fd 5 port 9002"]
    assert r.stderr.count("is not reachable from the host") == 3


def test_socket_activation_of_other_protocols_is_refused(appc, shell):
    """APP-31 APP-33."""
    port = {"name": "s", "protocol": "sctp", "port": 1, "socketActivated": True}
    r = appc.run(appc.pod([sh_app("one", shell, "true", ports=[port])]))
    assert r.returncode != 0 and "only tcp and udp" in r.stderr


SAY = "appc.io/executor/supports-systemd-notify"
# The datagram goes out through socat where there is one; busybox has none, so a program of the image does it.
NOTIFIER = r"""
echo "socket $NOTIFY_SOCKET"; test -S "$NOTIFY_SOCKET" && echo is-a-socket
/notify "STATUS=warming
 up" ; /notify "X_OTHER=1"; /notify ""
while [ ! -e /go ] && [ "$WAIT" ]; do sleep 0.1; done
/notify "$LAST"
sleep ${LINGER:-0}
"""


@pytest.fixture(scope="module")
def talker(appc):
    """An image with a program that sends its argument to $NOTIFY_SOCKET."""
    program = (BUILD / "images/validator/sd-notify").read_bytes()
    return appc.image("example.com/talker", {"exec": ["/bin/sh"]}, {"notify": program}, annotations=[
        {"name": SAY, "value": "true"}])


def variables(**values):
    return [{"name": k, "value": v} for k, v in values.items()]


def test_notify(appc, shell, talker):
    """sd_notify: the image's annotation gives the app a socket, also with another user and a read-only root; what it
    says is in the pod's state; an app without the annotation has none."""
    loud = sh_app("loud", talker, NOTIFIER, user="1000", group="1000", readOnlyRootFS=True,
                  environment=variables(LAST="READY=1\nSTATUS=serving"))
    mute = sh_app("mute", talker, 'echo "<$NOTIFY_SOCKET>"', annotations=[{"name": SAY, "value": "false"}])
    plain = sh_app("plain", shell, 'echo "<$NOTIFY_SOCKET>"')
    file = appc.work / "notify-uuid"
    r = appc.run("--prefix=always", f"--uuid-file={file}", appc.pod([loud, mute, plain]), check=0)
    assert pick(r.stdout, "loud") == ["socket /dev/notify", "is-a-socket"]
    assert pick(r.stdout, "mute") == pick(r.stdout, "plain") == ["<>"]
    state = appc.status(file.read_text())
    apps = {a["name"]: a for a in state["apps"]}
    assert apps["loud"]["ready"] is True and apps["loud"]["status"] == "serving"
    assert "ready" not in apps["mute"] and "ready" not in apps["plain"]


def test_wait_ready(appc, talker):
    """run --detach --wait-ready returns when the app has said that it is ready."""
    app = sh_app("loud", talker, NOTIFIER, environment=variables(LAST="READY=1\nSTATUS=here", LINGER="60"))
    uuid = appc.run("--detach", "--wait-ready", appc.pod([app]), check=0).stdout.strip()
    (state,) = appc.status(uuid)["apps"]
    assert state["state"] == "running" and state["ready"] is True and state["status"] == "here"
    assert 'ready, says "here"' in appc("status", uuid, check=0).stdout
    appc("stop", uuid)


def test_wait_ready_of_a_pod_that_ends(appc, talker):
    """One that ends before is a failure that names the pod."""
    app = sh_app("loud", talker, NOTIFIER, environment=variables(LAST="READY=0"))
    r = appc.run("--detach", "--wait-ready", appc.pod([app]))
    assert r.returncode != 0 and r.stdout == "" and "ended before all of its apps were ready" in r.stderr


WHO = "id -u; id -g; id -G; pwd"


def test_odd_users(appc, shell):
    """APP-08 APP-09 APP-10 APP-11 APP-12 APP-18 APP-19: numbers, files, supplementary groups; what can't be resolved
    is an error before anything starts."""
    def one(**more):
        return appc.run(appc.pod([sh_app("one", shell, WHO, **more)]))
    r = one(user="12345", group="54321", supplementaryGIDs=[7, 8, 4294967294], workingDirectory="/etc")
    assert r.stdout == "12345\n54321\n54321 7 8 4294967294\n/etc\n"
    assert one(user="/bin/busybox", group="/bin/busybox").stdout == "0\n0\n0\n/\n"
    for more, word in [({"user": "nosuch"}, "nosuch"), ({"group": "/missing"}, "/missing"),
                       ({"workingDirectory": "/nope"}, "/nope")]:
        r = one(**more)
        assert r.returncode != 0 and r.stdout == "" and word in r.stderr


def test_names_and_hosts(appc, shell):
    """OS-14 OS-15 OS-16 POD-04: a host name for all, /etc/hosts with it, and no /etc/resolv.conf that nobody gave."""
    script = 'hostname; grep -c localhost /etc/hosts; grep -c "$(hostname)" /etc/hosts; ls /etc/resolv.conf 2>&1'
    r = appc.run("--hostname=my-pod", appc.pod([sh_app("one", shell, script)]))
    assert r.stdout.splitlines()[:3] == ["my-pod", "2", "1"] and "No such file" in r.stdout
    own = appc.image("example.com/own-hosts", {"exec": ["/bin/cat", "/etc/hosts"]}, {"etc/hosts": "10.0.0.1 mine\n"})
    assert appc.run(own, check=0).stdout == "10.0.0.1 mine\n"


def test_hosts_and_resolv_conf_by_option(appc, tmp_path):
    """OS-16: replaced when asked, also where the image has a file or a link that leads out; not on a volume."""
    (tmp_path / "hosts").write_text("192.0.2.7 given\n")
    (tmp_path / "resolv").write_text("nameserver 192.0.2.1\n")
    options = [f"--hosts-file={tmp_path}/hosts", f"--resolv-conf={tmp_path}/resolv"]
    image = appc.image("example.com/own-etc", None, {"etc/hosts": "10.0.0.1 mine\n", "etc/resolv.conf": pathlib.PurePath("../tmp/x")})
    script = "cat /etc/hosts /etc/resolv.conf; ls -l /etc/resolv.conf | cut -d' ' -f1"
    r = appc.run("--prefix=always", *options, appc.pod([sh_app("one", image, script, user="7"), sh_app(
        "read-only", image, script, readOnlyRootFS=True)]), check=0)
    for name in ("one", "read-only"):
        assert pick(r.stdout, name) == ["192.0.2.7 given", "nameserver 192.0.2.1", "-rw-r--r--"]
    pod = appc.pod([sh_app("one", image, "ls /etc", mounts=[{"volume": "v", "path": "/etc"}])],
                   volumes=[{"name": "v", "kind": "empty"}])
    r = appc.run(*options, pod, check=0)
    assert r.stdout == "" and "/etc/hosts lies on a volume and stays as it is" in r.stderr
    (tmp_path / "resolv").write_bytes(b"\xff\0")
    r = appc.run(*options, pod)
    assert r.returncode == 125 and "--resolv-conf" in r.stderr


def test_any_port_can_be_listened_on(appc, shell):
    """NET-04: the metadata service takes none of the usual ones away."""
    r = appc.run(appc.pod([sh_app("one", shell, "(nc -l -p 80 >/got & echo $! >/pid); "
                                  "until netstat -ltn | grep -q ':80 '; do :; done; echo hi | nc 127.0.0.1 80; cat /got")]))
    assert r.stdout == "hi\n"


def test_handlers_reach_the_metadata_service(appc, shell):
    """MDS-23: before and after main, with the same answer."""
    ask = ["/bin/sh", "-c", "wget -q -O - $AC_METADATA_URL/acMetadata/v1/pod/uuid; echo"]
    app = sh_app("one", shell, ask[2], eventHandlers=[{"name": n, "exec": ask} for n in ("pre-start", "post-stop")])
    file = appc.work / "handlers-uuid"
    r = appc.run(f"--uuid-file={file}", appc.pod([app]), check=0)
    assert r.stdout == 3 * f"{file.read_text()}\n"


def test_exec_and_arguments_by_option(appc):
    """APP-06 ENV-07 ENV-08: what is executed can be replaced or added to; environment: --set-env before the image's, which has
    PATH before the default; what the executor sets nobody can."""
    image = appc.image("example.com/args", {"exec": ["/bin/echo", "own"], "environment": variables(
        A="image", B="image", PATH="/bin", AC_APP_NAME="forged", container="forged")})
    assert appc.run(image, check=0).stdout == "own\n"
    assert appc.run(image, "--", "and", "more words", check=0).stdout == "own and more words\n"
    assert appc.run("--exec=/bin/printf", image, "--", "%s-", "1", "2", check=0).stdout == "1-2-"
    r = appc.run("--exec=/bin/env", "--set-env=B=option", "--set-env=C=new", image, check=0)
    env = dict(x.split("=", 1) for x in r.stdout.splitlines())
    assert (env["A"], env["B"], env["C"], env["PATH"]) == ("image", "option", "new", "/bin")
    assert (env["AC_APP_NAME"], env["container"]) == ("args", "appc-vm")


def test_nothing_is_left_of_empty_volumes(appc, shell):
    """POD-44 VOL-09 VOL-18: what lies in them is in no file of the host, neither by a name while the pod runs nor after its end;
    the pod's files go with rm."""
    mark = "f00dcafe" * 8  # the manifest, which is kept, has it in small letters
    script = f"echo {mark} | tr a-f A-F >/v/file; sync; echo up; sleep 1000"
    app = sh_app("one", shell, script, mounts=[{"volume": "v", "path": "/v"}])
    p = appc.start("run", f"--accel={ACCEL}", appc.pod([app], volumes=[{"name": "v", "kind": "empty"}]))
    assert p.stdout.readline() == "up\n"

    def search():
        return subprocess.run(["grep", "-rl", mark.upper(), appc.data], capture_output=True, text=True).stdout
    assert search() == ""
    p.terminate()
    p.communicate(timeout=TIMEOUT)
    assert search() == ""
    uuid = max(appc.pods(), key=lambda x: x["createdMs"])["uuid"]
    appc("rm", uuid, check=0)
    assert not (appc.data / "pods" / uuid).exists()


def test_reports_of_ended_pods(appc, shell):
    """ISO-02 ISO-03: status shows what became of the isolators, as text and as JSON, after the pod's end too; so does --dry-run,
    which starts nothing."""
    app = sh_app("one", shell, "echo started; exit 3", [NETWORK, {"name": "os/linux/no-new-privileges", "value": True}])
    pod = appc.pod([app], isolators=[{"name": "os/unix/sysctl", "value": {"kernel.nope": "1", "kernel.msgmax": "9000"}}])
    file = appc.work / "report-uuid"
    r = appc.run(f"--uuid-file={file}", pod)
    assert (r.returncode, r.stdout) == (3, "started\n")
    uuid = file.read_text()
    state = appc.status(uuid)
    told = {(x.get("app"), x["isolator"]): x["result"] for x in state["isolators"]}
    assert told == {(None, "os/unix/sysctl"): "modified", ("one", "resource/network-bandwidth"): "ignored",
                    ("one", "os/linux/no-new-privileges"): "enforced"}
    assert (state["state"], state["exitStatus"]) == ("exited", 3)
    text = appc("status", uuid, check=0).stdout
    assert "state    exited\nexit     3\napp      one: exited, status 3\n" in text
    assert "isolator (pod) os/unix/sysctl: modified; can't set kernel.nope: this kernel has no such setting\n" in text
    assert "isolator one resource/network-bandwidth: ignored; " in text
    assert "isolator one os/linux/no-new-privileges: enforced\n" in text
    text = appc.run("--dry-run", pod, check=0).stdout
    assert "started" not in text and len(text.splitlines()) == 3
    assert "ignored   one resource/network-bandwidth: " in text and "enforced  one os/linux/no-new-privileges\n" in text
    r = appc.run("--strict", pod)
    assert r.returncode == 125 and r.stdout == "" and "resource/network-bandwidth would be ignored" in r.stderr


def test_apps_share_namespaces(appc, shell):
    """POD-01 POD-02 POD-03 POD-04: PID, network, IPC and UTS are the same for two apps, mounts are not; one sees what the
    other does in each."""
    look = "for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done; "
    one = look + "touch /dev/shm/mark; until [ -e /dev/shm/seen ]; do sleep 0.1; done"
    two = look + "until [ -e /dev/shm/mark ]; do sleep 0.1; done; ps | grep -c 'until .*/dev/shm/seen'; touch /dev/shm/seen; hostname"
    r = appc.run("--prefix=always", "--hostname=both", appc.pod([sh_app("one", shell, one), sh_app("two", shell, two)]), check=0)
    a, b = pick(r.stdout, "one"), pick(r.stdout, "two")
    assert a[:4] == b[:4] and a[4] != b[4] and int(b[5]) >= 1 and b[6] == "both"
