# SPDX-License-Identifier: Apache-2.0
"""The validator's images and pod, for the tests that run it, here and in the nested bench."""
import os
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("APPC_VM_BUILD", ROOT / "build"))
SOURCE = ROOT / "images/validator"
POD = SOURCE / "pod.json"
MODES = {"main": "ace-validator-main", "sidekick": "ace-validator-sidekick", "prestart": "ace-validator-main",
         "poststop": "ace-validator-main"}


def make_layouts(work):
    """The folders of both images; a root file system holds nothing but what the executor can't make up."""
    for name in ("main", "sidekick"):
        rootfs = work / name / "rootfs"
        rootfs.mkdir(parents=True)
        shutil.copy(BUILD / "images/validator/ace-validator", rootfs / "ace-validator")
        shutil.copy(SOURCE / f"{name}.manifest", work / name / "manifest")
    (work / "main/rootfs/opt/acvalidator").mkdir(parents=True)
    return [work / "main", work / "sidekick"]


def verdicts(text):
    """{(app, mode): verdict} of an output with prefixes, and all lines per app."""
    lines, found = {}, {}
    for line in text.splitlines():
        app, sep, rest = line.partition(": ")
        if sep:
            lines.setdefault(app, []).append(rest)
    for mode, app in MODES.items():
        for line in lines.get(app, []):
            if line.startswith(mode + " "):
                found[app, mode] = line
    return found, lines


def too_slow(text):
    """Whether nothing is wrong but a request that took longer than clients wait."""
    bad = [x for lines in verdicts(text)[1].values() for x in lines if x.startswith("no ")]
    return any(x.startswith("no VAL-62") or x.endswith("in time") for x in bad)


def assert_passed(text):
    found, lines = verdicts(text)
    bad = [x for app in lines for x in lines[app] if x.startswith("no ")]
    assert not bad, bad
    assert found == {(app, mode): f"{mode} OK" for mode, app in MODES.items()}, text
    return lines
