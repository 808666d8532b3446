# SPDX-License-Identifier: Apache-2.0
"""The manual pages and --help say the same: every command and option is in a page, and no page invents one."""
import functools
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

PAGES = {"appc-vm-run.1": ["run"], "appc-vm-fetch.1": ["fetch", "discover", "trust"],
         "appc-vm-image.1": ["image", "build", "validate"]}  # all else is in appc-vm.1


@functools.cache
def help_of(*words):
    return subprocess.run([BUILD / "appc-vm", *words, "--help"], capture_output=True, text=True, check=True).stdout


def commands(*prefix):
    """All commands with their words, sub-commands instead of groups."""
    for name in re.findall(r"^  ([a-z-]+) ", help_of(*prefix).split("commands:")[1], re.M):
        if name == "version":
            continue
        if "commands:" in help_of(*prefix, name):
            yield from commands(*prefix, name)
        else:
            yield (*prefix, name)


def options(command):
    return set(re.findall(r"^  (?:-., |    )--([a-z-]+)", help_of(*command), re.M))


def page_of(command):
    return next((p for p, names in PAGES.items() if command[0] in names), "appc-vm.1")


def source(page):
    return (ROOT / "docs/man" / page).read_text()


def documented(page):
    """Long options: of the Fl macro, or in a row behind commas."""
    lines = [l for l in source(page).splitlines() if l.startswith(".") and re.search(r"\bFl\b", l)]
    return {o for l in lines for o in re.findall(r"(?:Fl|,) -([a-z][a-z-]+)", l)}


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_option_is_in_the_manual(command):
    missing = options(command) - documented(page_of(command))
    assert not missing - ({"dir", "format"} if page_of(command) == "appc-vm.1" else set())
    assert command[-1] in source(page_of(command))


@pytest.mark.parametrize("page", [*PAGES, "appc-vm.1"])
def test_no_page_invents_an_option(page):
    own = {c for c in commands() if page_of(c) == page}
    known = set().union(*(options(c) for c in own))
    # A page may speak of another page's options, but not of any that do not exist.
    everywhere = set().union(*(options(c) for c in commands())) | {"help"}
    assert documented(page) <= everywhere
    items = {o for l in source(page).splitlines() if l.startswith(".It Fl") for o in
             re.findall(r"(?:Fl|,) -([a-z][a-z-]+)", l)}
    assert items <= known


@pytest.mark.parametrize("page", [*PAGES, "appc-vm.1"])
def test_pages_are_good_mdoc(page):
    r = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", ROOT / "docs/man" / page], capture_output=True, text=True)
    assert r.returncode == 0 and r.stderr == "", r.stderr
