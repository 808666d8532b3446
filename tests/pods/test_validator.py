# SPDX-License-Identifier: Apache-2.0
"""The validator as the apps of a pod: main with its handlers beside a sidekick that never sleeps."""
import json
import re
import subprocess

import pytest

from validator import BUILD, POD, assert_passed, make_layouts, too_slow

# Emulated CPUs share the host's with whatever else runs there: one that was taken away is no failure.
RUNS = 3

# What the twelve requests have to be, in this order, each within 100 ms (section 18.5).
APPS = ["ace-validator-main", "ace-validator-sidekick"]
REQUESTS = ["GET /pod/manifest", "GET /pod/uuid", "GET /pod/annotations",
            *[f"GET /apps/{a}/{x}" for a in APPS for x in ("image/manifest", "image/id", "annotations")],
            "GET /pod/uuid", "POST /pod/hmac/sign", "POST /pod/hmac/verify"]


@pytest.fixture(scope="module")
def pod(appc):
    for layout in make_layouts(appc.work / "validator"):
        aci = appc.work / (layout.name + ".aci")
        appc("build", "--owner=root", "--compress=none", layout, aci, check=0)
        appc("fetch", "--insecure-options=image", aci, check=0)
    return POD


@pytest.mark.parametrize("cpus", [1, 2])
def test_validator(appc, pod, cpus):
    """VAL-02 VAL-04 VAL-10 VAL-11 VAL-20 VAL-21 VAL-22 VAL-23 VAL-24 VAL-25 VAL-26 VAL-27 VAL-28 VAL-29 VAL-30 VAL-40
    VAL-41 VAL-50 VAL-51 VAL-60 VAL-61 VAL-62 VAL-63 VAL-64 VAL-65 VAL-66; and from inside: ENV-01 ENV-02 ENV-03 ENV-04
    ENV-06 ENV-07 APP-09 APP-15 APP-16 MDS-01 MDS-02 MDS-03 MDS-04 MDS-06 MDS-08 MDS-09 MDS-10 MDS-11 MDS-12 MDS-13
    MDS-14 MDS-15 MDS-16 MDS-17 MDS-21 MDS-22 MDS-24 OS-01 OS-02 OS-03 OS-04 OS-05 OS-06 OS-07 OS-08 OS-09 OS-10 OS-11
    OS-12 OS-13 OS-15 NET-01 NET-03 NET-04 POD-01 POD-02 POD-03 POD-04 POD-12 POD-29 VOL-01 VOL-02 VOL-03 VOL-18 ISO-40
    ISO-45 ISO-57 LOG-05"""
    for _ in range(RUNS):
        r = appc.run("--prefix=always", f"--cpus={cpus}", pod)
        if not too_slow(r.stdout):
            break
    lines = assert_passed(r.stdout)
    assert r.returncode == 0, r.stderr
    asked = [m.group(1) for x in lines["ace-validator-main"] if (m := re.match(r"ok MDS-\d+: (.*?): 200, .* us$", x))]
    assert asked == REQUESTS
    assert not [x for x in r.stderr.splitlines() if "==>" in x]


def test_output_is_kept(appc, pod):
    """LOG-02 LOG-05: the verdicts of all four processes, after all is over."""
    uuid = appc.pods()[0]["uuid"]
    text = appc("logs", uuid, check=0).stdout
    for verdict in ("main OK", "sidekick OK", "prestart OK", "poststop OK"):
        assert verdict in text


def test_it_can_fail(appc, pod):
    """VAL-02 VAL-03: a wrong environment is seen, all other checks go on, and the pod reports it."""
    doc = json.loads(POD.read_text())
    doc["apps"][0]["name"] = "another-name"
    path = appc.work / "wrong.json"
    path.write_text(json.dumps(doc))
    r = appc.run("--prefix=always", path)
    assert r.returncode == 1
    assert "another-name: prestart FAIL" in r.stdout
    assert "another-name: ==> ENV-02: AC_APP_NAME is another-name" in r.stderr


def test_usage():
    """VAL-01."""
    for args in ([], ["nonsense"], ["main", "more"]):
        r = subprocess.run([BUILD / "images/validator/ace-validator", *args], capture_output=True, text=True)
        assert r.returncode == 64 and r.stderr.startswith("usage:") and r.stdout == ""
