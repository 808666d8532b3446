# SPDX-License-Identifier: Apache-2.0
"""appc-vm run and its relatives, end to end: exit status, output, signals, what is left behind."""
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from conftest import ACCEL, BUILD, alive, descendants, wait_for


def test_exit_status_of_one_app(appc, shell):
    assert appc.sh(shell, "exit 0").returncode == 0
    assert appc.sh(shell, "exit 7").returncode == 7
    assert appc.sh(shell, "kill -9 $$").returncode == 137


def test_output_goes_to_the_right_stream(appc, shell):
    r = appc.sh(shell, "echo out; echo err >&2", check=0)
    assert r.stdout == "out\n"
    assert "err\n" in r.stderr


def test_first_failure_is_the_status(appc, shell):
    """Section 6: that of the first app that failed."""
    def app(name, script):
        return {"name": name, "image": shell,
                "app": {"exec": ["/bin/sh", "-c", script], "user": "0", "group": "0"}}
    pod = appc.pod([app("good", "exit 0"), app("slow", "sleep 30; exit 9"), app("bad", "exit 5")])
    assert appc.run(pod).returncode == 5


def test_images_by_file_id_prefix_and_name(appc, shell):
    aci = appc.image("example.com/byfile", {"exec": ["/bin/echo", "by file"]}, fetch=False)
    r = appc.run(aci)
    assert r.returncode == 125 and "--insecure-options=image" in r.stderr
    r = appc.run("--insecure-options=image", aci, check=0)
    assert r.stdout == "by file\n"
    assert appc.run(shell[:24], "--", "-c", "echo by prefix", check=0).stdout == "by prefix\n"
    r = appc.run("example.com/byfile:1.0.0,os=linux", "--", "and args", check=0)
    assert r.stdout == "by file and args\n"


@pytest.mark.parametrize("args, words", [
    (["--pull=never", "example.com/not-there"], "not-there"),
    (["./missing.aci"], "missing.aci"),
    (["--memory=1", "example.com/shell"], "memory"),
    (["--cpus=1000", "example.com/shell"], "cpus"),
    (["--nope"], "--nope"),
    ([], "POD.json"),
    (["--set-env=1A=x", "example.com/shell"], "1A=x"),
])
def test_own_failures_are_125_with_one_line(appc, shell, args, words):
    r = appc.run(*args)
    lines = [l for l in r.stderr.splitlines() if "warning" not in l]
    assert r.returncode == 125
    assert len(lines) == 1 and words in lines[0], r.stderr


def test_broken_manifest_names_the_place(appc):
    pod = appc.work / "broken.json"
    pod.write_text('{\n "acKind": "PodManifest",\n "acVersion": "0.8.11",\n "apps": [{"name": "A_B"}]\n}')
    r = appc.run(pod)
    assert r.returncode == 125
    assert "broken.json" in r.stderr and "apps[0].name" in r.stderr and "4:" in r.stderr


def test_options_reach_the_pod(appc, shell):
    r = appc.sh(shell, 'echo "$GREETING"; nproc; grep MemTotal /proc/meminfo; hostname; df -k / | tail -1',
                "--set-env=GREETING=a b", "--cpus=1", "--memory=300M", "--hostname=pod7", "--scratch=64M",
                check=0)
    greeting, cpus, mem, host, df = r.stdout.splitlines()
    assert greeting == "a b" and cpus == "1" and host == "pod7"
    assert 200_000 < int(mem.split()[1]) < 300 * 1024
    assert int(df.split()[1]) < 64 * 1024


def test_scratch_in_memory(appc, shell):
    r = appc.sh(shell, "echo x >/file && cat /file && df / | tail -1", "--scratch=0", check=0)
    assert r.stdout.startswith("x\n")


def test_every_run_starts_clean(appc, shell):
    """RENDER-11"""
    for _ in range(2):
        r = appc.sh(shell, "ls /written 2>/dev/null; rm -r /etc; echo x >/written && ls -d /etc", check=1)
        assert r.stdout == ""


def test_hundred_megabytes_arrive_whole(appc):
    """LOG-02: whole and in order, also the last lines before the exit."""
    piece = "".join(f"{i:062d}\n" for i in range((1 << 20) // 63)).encode()
    image = appc.image("example.com/mega", {"exec": ["/bin/sh"]}, {"piece": piece})
    script = 'i=0; while [ $i -lt 100 ]; do echo "round $i"; cat /piece; i=$((i+1)); done; echo the end'
    out = appc.work / "big.out"
    with open(out, "wb") as f:
        r = subprocess.run([BUILD / "appc-vm", "run", f"--accel={ACCEL}", image, "--", "-c", script],
                           env=appc.env, stdout=f, stderr=subprocess.PIPE, timeout=300)
    assert r.returncode == 0, r.stderr
    want = hashlib.sha256()
    for i in range(100):
        want.update(b"round %d\n" % i + piece)
    want.update(b"the end\n")
    data = out.read_bytes()
    assert hashlib.sha256(data).digest() == want.digest(), len(data)
    uuid = max(appc.pods(), key=lambda p: p["createdMs"])["uuid"]
    log = (appc.data / "pods" / uuid / "logs/mega.stdout").read_bytes()
    assert hashlib.sha256(log).digest() == want.digest(), len(log)


def test_numbered_lines_stay_in_order(appc, shell):
    r = appc.sh(shell, "seq 1 50000; seq 1 50000 >&2", check=0)
    assert r.stdout.split() == [str(i) for i in range(1, 50001)]
    assert [l for l in r.stderr.split() if l.isdigit()] == [str(i) for i in range(1, 50001)]


def test_prefix(appc, shell):
    r = appc.sh(shell, "echo one; printf two", "--prefix=always", check=0)
    assert r.stdout == "shell: one\nshell: two\n"


def started(appc, p):
    """The pod of a started command, once its app runs and has said "ready"."""
    def look():
        assert p.poll() is None, p.stderr.read()
        for s in appc.pods():
            if s.get("pid") == p.pid and s["apps"] and s["apps"][0]["state"] == "running":
                return s
        return None
    s = wait_for(look)
    assert p.stdout.readline() == "ready\n"
    return s


def long_pod(appc, shell):
    return appc.pod([{"name": "app", "image": shell, "app": {
        "exec": ["/bin/sh", "-c", "trap 'echo got term; exit 3' TERM; echo ready; while :; do sleep 0.1; done"],
        "user": "0", "group": "0",
        "eventHandlers": [{"name": "post-stop", "exec": ["/bin/echo", "post-stop ran"]}]}}])


def test_interrupt_stops_in_order(appc, shell):
    """SIGTERM to the apps, then post-stop (APP-16, C11)."""
    p = appc.start("run", f"--accel={ACCEL}", long_pod(appc, shell))
    started(appc, p)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=120)
    assert out == "got term\npost-stop ran\n", err
    assert p.returncode == 3


def test_stubborn_apps_are_killed_after_the_grace(appc, shell):
    pod = appc.pod([{"name": "app", "image": shell, "app": {
        "exec": ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        "user": "0", "group": "0"}}])
    p = appc.start("run", f"--accel={ACCEL}", "--grace-ms=300", pod)
    started(appc, p)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=120)
    assert p.returncode == 137


def test_second_interrupt_kills(appc, shell):
    pod = appc.pod([{"name": "app", "image": shell, "app": {
        "exec": ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        "user": "0", "group": "0"}}])
    p = appc.start("run", f"--accel={ACCEL}", "--grace-ms=600000", pod)
    s = started(appc, p)
    children = descendants(p.pid)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGTERM)
    p.communicate(timeout=30)
    assert p.returncode == 130
    assert not any(map(alive, children))
    assert appc.status(s["uuid"])["state"] == "aborted"


@pytest.mark.parametrize("victim", ["supervisor", "vmm", "appc-dev-vsock", "appc-dev-blk", "appc-dev-rng"])
def test_killing_any_process_leaves_nothing(appc, shell, victim):
    p = appc.start("run", f"--accel={ACCEL}", long_pod(appc, shell))
    s = started(appc, p)
    children = descendants(p.pid)
    names = {c: pathlib.Path(f"/proc/{c}/cmdline").read_bytes().split(b"\0")[0].decode() for c in children}
    if victim == "supervisor":
        pid = p.pid
    elif victim == "vmm":
        pid = next(c for c, n in names.items() if "qemu" in n or "appc-vmm" in n)
    else:
        pid = next(c for c, n in names.items() if victim in n)
    os.kill(pid, signal.SIGKILL)
    out, err = p.communicate(timeout=60)
    wait_for(lambda: not any(map(alive, children)))
    if victim == "supervisor":
        assert p.returncode == -signal.SIGKILL
    else:
        assert p.returncode == 125
        assert [l for l in err.splitlines() if "warning" not in l and "killed by signal 9" in l], err
    assert appc.status(s["uuid"])["state"] == "aborted"
    assert appc("rm", s["uuid"]).returncode == 0
    assert not (appc.data / "pods" / s["uuid"]).exists()


def test_detach_list_status_logs_stop_rm(appc, shell):
    r = appc.run("--detach", long_pod(appc, shell), check=0)
    uuid = r.stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid)
    wait_for(lambda: appc("logs", uuid).stdout == "ready\n")
    assert uuid in appc("list", check=0).stdout
    r = appc("rm", uuid)
    assert r.returncode == 1 and "running" in r.stderr
    appc("stop", uuid[:13], check=0)
    s = appc.status(uuid)
    assert s["state"] == "exited" and s["exitStatus"] == 3
    assert s["apps"][0] == dict(s["apps"][0], name="app", state="exited", exitStatus=3)
    assert appc("logs", uuid, check=0).stdout == "ready\ngot term\npost-stop ran\n"
    r = appc("stop", uuid)
    assert r.returncode == 1 and "does not run" in r.stderr
    appc("rm", uuid, check=0)
    assert appc("status", uuid).returncode == 1


def test_debug_shows_the_console(appc, shell):
    r = appc.sh(shell, "echo hi", "--debug", check=0)
    assert r.stdout == "hi\n"
    assert "console: " in r.stderr and "Linux version" in r.stderr


def test_pod_uuids_differ_and_manifest_is_kept(appc, shell):
    """POD-09, POD-43: what ran is on disk, reified."""
    appc.sh(shell, "true", check=0)
    pods = appc.pods()
    assert len({p["uuid"] for p in pods}) == len(pods)
    newest = max(pods, key=lambda p: p["createdMs"])
    doc = json.loads((appc.data / "pods" / newest["uuid"] / "pod").read_text())
    assert doc["acVersion"] == "0.8.11" and doc["apps"][0]["image"]["id"] == shell
    assert doc["apps"][0]["app"]["exec"] == ["/bin/sh", "-c", "true"]


def test_no_descriptor_leaks_into_children(appc, shell):
    """A device process holds what it was given, and nothing of the pod's directory or lock."""
    p = appc.start("run", f"--accel={ACCEL}", long_pod(appc, shell))
    s = started(appc, p)
    for c in descendants(p.pid):
        for fd in os.listdir(f"/proc/{c}/fd"):
            target = os.readlink(f"/proc/{c}/fd/{fd}")
            assert s["uuid"] not in target, (c, target)
    p.send_signal(signal.SIGINT)
    p.communicate(timeout=120)
