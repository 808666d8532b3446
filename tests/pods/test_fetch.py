# SPDX-License-Identifier: Apache-2.0
"""Images from the network: names, discovery, signatures, dependencies, resuming, policies."""
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

from conftest import wait_for
from fetchserver import (TEMPLATE, WHERE, Gpg, User, Web, aci, at_version, authority, dep, endless, gpg, image_id,
                         offer, on_terminal, ranged, shared_web, trusting, user, web)


# --- discovery

def discover(user, *args, check=0):
    return json.loads(user.net("discover", "--format=json", *args, check=check).stdout)


def test_discover_walks_up(user, web):
    """DISC-01, DISC-15: the page of the leaf has no tag, its parent is not there."""
    web.page("example.com/a/b/c")
    web.page("example.com", ("ac-discovery", f"example.com {TEMPLATE}"),
             ("ac-discovery-pubkeys", "example.com https://keys.example.org/k.gpg"))
    found = discover(user, "example.com/a/b/c:1.0.0")
    assert [a["url"] for a in found["attempts"]] == [
        f"https://example.com/{p}?ac-discovery=1" for p in ("a/b/c", "a/b", "a", "")]
    assert [a["found"] for a in found["attempts"]] == [False, False, False, True]
    assert "404" in found["attempts"][1]["outcome"]
    assert found["images"][0]["image"] == "https://mirror.example.net/linux/amd64/example.com/a/b/c-1.0.0.aci"
    assert found["images"][0]["signature"].endswith("-1.0.0.aci.asc")
    assert found["keys"] == ["https://keys.example.org/k.gpg"]
    assert web.paths("example.com") == [f"/{p}?ac-discovery=1" for p in ("a/b/c", "a/b", "a", "")]
    text = user.net("discover", "example.com/a/b/c:1.0.0", check=0).stdout
    assert "status 404" in text and "image:      https://mirror" in text


def test_discover_separate_walks(user, web):
    """DISC-18: the image at the leaf, keys only at the root."""
    web.page("example.com/a/b", ("ac-discovery", f"example.com/a {TEMPLATE}"))
    web.page("example.com", ("ac-discovery", "example.com https://wrong.example.net/{name}.{ext}"),
             ("ac-discovery-pubkeys", "example.com https://keys.example.org/k.gpg"))
    found = discover(user, "example.com/a/b")
    assert len(found["images"]) == 1 and "mirror" in found["images"][0]["image"]
    assert found["images"][0]["image"].endswith("b-latest.aci")  # DISC-10
    assert found["keys"] == ["https://keys.example.org/k.gpg"]


def test_discover_5xx_walks_up(user, web):
    """DISC-16, B1"""
    web.routes["example.com", "/a"] = (500, "broken", {})
    web.page("example.com", ("ac-discovery", f"example.com {TEMPLATE}"))
    found = discover(user, "--retries=0", "example.com/a")
    assert "500" in found["attempts"][0]["outcome"] and found["images"]


def test_discover_nothing_reports_all(user, web):
    web.page("example.com/a", ("ac-discovery", f"example.org {TEMPLATE}"))
    r = user.net("discover", "example.com/a")
    assert r.returncode == 1
    assert "no ac-discovery tag whose prefix fits example.com/a" in r.stdout
    line = user.fails("example.com/a", words=["https://example.com/a?ac-discovery=1", "404"])
    assert "prefix" in line


def test_discover_port(user, web):
    """DISC-27"""
    web.page("example.com/a", ("ac-discovery", f"example.com {TEMPLATE}"))
    r = user("discover", f"--ca-file={web.authority.file}", f"--resolve=example.com:8443:127.0.0.1:{web.port}",
             "--discovery-port=8443", "example.com/a", check=0)
    assert "https://example.com:8443/a?ac-discovery=1" in r.stdout


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_discover_follows_redirects(user, web, status):
    """DISC-19, DISC-20: tags of the page of another host count for the name that was asked."""
    web.routes["example.com", "/a"] = (status, "", {"Location": "https://www.example.com/images?x=1"})
    web.page("www.example.com/images", ("ac-discovery", f"example.com {TEMPLATE}"))
    assert discover(user, "example.com/a")["images"]


def test_discover_http_only_when_allowed(user, web, authority, tmp_path):
    """DISC-25: https first, http after it failed, and only if allowed."""
    plain = Web(authority, tls=False)
    try:
        plain.page("example.com/a", ("ac-discovery", "example.com http://mirror.example.net/{name}.{ext}"))
        options = plain.options() + ["--retries=0", f"--resolve=example.com:443:127.0.0.1:{web.port}"]
        assert user("discover", *options, "example.com/a").returncode == 1
        assert plain.log == []
        r = user("discover", "--insecure-options=http", *options, "example.com/a", check=0)
        assert "https://example.com/a?ac-discovery=1: the server answered with status 404" in r.stdout
        assert "http://example.com/a?ac-discovery=1: 1 usable template" in r.stdout
    finally:
        plain.close()


@pytest.mark.parametrize("name", ["https://example.com/a", "./a.aci", "example.com/../a", "Example.com/a"])
def test_discover_wants_a_name(user, name):
    r = user.net("discover", name)
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1


# --- fetching

def test_fetch_by_name(trusting, web, gpg):
    data = offer(web, gpg, "example.com/app")
    r = trusting.fetch("example.com/app:1.0.0", check=0)
    assert r.stdout.strip() == image_id(data)
    image = trusting.images()["example.com/app"]
    assert image["signer"] == gpg.fpr and not image["insecure"]
    assert image["origin"] == "https://mirror.example.net/linux/amd64/example.com/app-1.0.0.aci"
    assert image["archiveSize"] == len(data)
    assert trusting.downloads() == []
    assert trusting("image", "list", "--no-legend", check=0).stdout.split()[-2:] == ["yes", "1.0.0"]
    assert "signed by " + gpg.fpr in r.stderr
    n = len(web.log)  # a second time costs no request
    assert trusting.fetch("example.com/app", check=0).stdout.strip() == image_id(data)
    assert len(web.log) == n


def test_fetch_by_url(trusting, web, gpg):
    data = offer(web, gpg, "example.com/app")
    url = "https://mirror.example.net" + WHERE.format("example.com/app", "1.0.0")
    assert trusting.fetch(url, check=0).stdout.strip() == image_id(data)
    n = len(web.log)
    assert trusting.fetch(url, check=0).stdout.strip() == image_id(data)
    assert len(web.log) == n
    web.image("mirror.example.net", "/other.aci", data)
    web.routes["www.example.com", "/s"] = (200, gpg.sign(data, "signer@example.com"), {})
    trusting.fetch("--signature=https://www.example.com/s", "https://mirror.example.net/other.aci", check=0)


def test_fetch_local_file(trusting, gpg):
    data = aci("example.com/local")
    path = trusting.work / "local.aci"
    path.write_bytes(data)
    trusting.fails(path, words=["local.aci.asc", "--insecure-options=image"])
    pathlib.Path(f"{path}.asc").write_bytes(gpg.sign(data, "signer@example.com"))
    assert trusting.fetch(path, check=0).stdout.strip() == image_id(data)
    assert trusting.images()["example.com/local"]["signer"] == gpg.fpr
    assert trusting.fetch(f"file://{path}", check=0).stdout.strip() == image_id(data)


def test_redirects_to_the_mirror(trusting, web, gpg):
    data = offer(web, gpg, "example.com/app")
    for ext in ("", ".asc"):
        p = WHERE.format("example.com/app", "1.0.0") + ext
        web.routes["www.example.com", "/store" + ext] = web.routes.pop(("mirror.example.net", p))
        web.routes["mirror.example.net", p] = (302, "", {"Location": "https://www.example.com/store" + ext})
    assert trusting.fetch("example.com/app:1.0.0", check=0).stdout.strip() == image_id(data)


def test_several_templates(trusting, web, gpg):
    """DISC-13, B6: the second when the first has an unknown scheme, or gives nothing."""
    data = offer(web, gpg, "example.com/app")
    web.page("example.com/app", ("ac-discovery", "example.com hdfs://x/{name}.{ext}"),
             ("ac-discovery", "example.com https://www.example.com/{name}.{ext}"),
             ("ac-discovery", f"example.com {TEMPLATE}"))
    assert trusting.fetch("example.com/app:1.0.0", check=0).stdout.strip() == image_id(data)


def test_noarch_image_and_labels(trusting, web, gpg):
    """SIG-04 to SIG-06"""
    data = offer(web, gpg, "example.com/noarch", labels={"version": "1.0.0"})
    assert trusting.fetch("example.com/noarch:1.0.0", check=0).stdout.strip() == image_id(data)
    offer(web, gpg, "example.com/v", labels={"version": "1.0.1", "os": "linux", "arch": "amd64"})
    trusting.fails("example.com/v:1.0.0", words=["version=1.0.1", "1.0.0 was asked for"])
    web.page("example.com/v", ("ac-discovery", "example.com https://mirror.example.net" +
                               WHERE.format("example.com/v", "1.0.0").replace(".aci", ".{ext}")))
    trusting.fails("example.com/v,channel=beta", words=["no label channel"])
    trusting.fetch("example.com/v", check=0)  # no version asked for: any


def test_other_name_is_refused(user, web, gpg):
    """IMG-26, SIG-03, SIG-07: also without signatures."""
    offer(web, gpg, "example.com/app", data=aci("example.com/evil"), signer=None)
    user.fails("--insecure-options=image", "example.com/app:1.0.0", words="is called example.com/evil")


def test_other_machine_is_refused(trusting, web, gpg):
    offer(web, gpg, "example.com/arm", labels={"version": "1.0.0", "os": "linux", "arch": "aarch64"})
    trusting.fails("example.com/arm:1.0.0", words="arch=aarch64")


# --- signatures

def test_unsigned(trusting, web, gpg):
    """IMG-16, SIG-01, SIG-02"""
    data = offer(web, gpg, "example.com/app", signer=None)
    trusting.fails("example.com/app:1.0.0", words=["signature", "404", "--insecure-options=image"])
    web.log.clear()
    assert trusting.fetch("--insecure-options=image", "example.com/app:1.0.0",
                          check=0).stdout.strip() == image_id(data)
    assert not [p for p in web.paths() if p.endswith(".asc")]
    assert trusting.images()["example.com/app"]["insecure"]


def test_untrusted_key(user, web, gpg):
    offer(web, gpg, "example.com/app")
    user.fails("example.com/app:1.0.0", words=[gpg.fpr, "not trusted"])


def test_key_of_another_prefix(user, web, gpg):
    offer(web, gpg, "example.com/app")
    user.trust(gpg, "signer@example.com", "--prefix=example.com/ap")
    line = user.fails("example.com/app:1.0.0", words=[gpg.fpr, "example.com/ap"])
    assert "not for example.com/app" in line
    url = "https://mirror.example.net" + WHERE.format("example.com/app", "1.0.0")
    user.fails(url, words=[gpg.fpr, "not for its name example.com/app"])


def test_tampered_image(trusting, web, gpg):
    data = offer(web, gpg, "example.com/app")
    p = WHERE.format("example.com/app", "1.0.0")
    web.routes["mirror.example.net", p] = (200, data[:-30] + bytes([data[-30] ^ 1]) + data[-29:], {})
    trusting.fails("example.com/app:1.0.0", words=[gpg.fpr, "other bytes"])
    assert trusting.downloads() == []


@pytest.mark.parametrize("form, words", [
    ("binary", "binary"), ("clear", "clear-signed"), ("two", "2 signatures"), ("sha1", "SHA1"),
    ("page", "web page"), ("empty", "empty"), ("huge", "limit"), ("key", "not an armoured")])
def test_signature_forms(trusting, web, gpg, form, words):
    data = offer(web, gpg, "example.com/app")
    who = ["--local-user", "signer@example.com"]
    made = {
        "binary": lambda: gpg(*who, "--detach-sign", data=data),
        "clear": lambda: gpg(*who, "--clear-sign", data=b"hello"),
        "two": lambda: gpg("--armor", *who, "--local-user", "other@example.com", "--detach-sign", data=data),
        "sha1": lambda: gpg("--armor", *who, "--digest-algo", "SHA1", "--detach-sign", data=data),
        "page": lambda: b"<html>hello</html>",
        "empty": lambda: b"",
        "huge": lambda: b"x" * 200000,
        "key": lambda: gpg.public("signer@example.com"),
    }[form]()
    web.routes["mirror.example.net", WHERE.format("example.com/app", "1.0.0") + ".asc"] = (200, made, {})
    trusting.fails("example.com/app:1.0.0", words=[words, gpg.fpr] if form == "sha1" else words)


@pytest.fixture(scope="module")
def bad_keys(tmp_path_factory):
    g = Gpg(tmp_path_factory.mktemp("b") / "home")
    yield g
    g.close()


@pytest.mark.parametrize("kind, words", [("weak", "too weak (RSA 1024)"), ("expired", "has expired"),
                                         ("revoked", "is revoked")])
def test_bad_keys(user, web, bad_keys, kind, words):
    """A key that was good when it was added: its file is put in place as it is now."""
    g = bad_keys
    if kind == "weak":
        fpr = g.key("weak@example.com", "rsa1024")
    elif kind == "expired":
        fpr = g.key("expired@example.com", "ed25519", "seconds=86400", "--faked-system-time",
                    "20200101T000000!")
    else:
        fpr = g.key("revoked@example.com")
    mail = f"{kind}@example.com"
    data = offer(web, g, "example.com/app", signer=None)
    fake = ["--faked-system-time", "20200101T100000!"] if kind == "expired" else []
    signature = g.sign(data, mail, *fake)
    if kind == "revoked":
        text = (g.home / "openpgp-revocs.d" / f"{fpr.upper()}.rev").read_text()
        g("--import", data=text.replace(":-----BEGIN", "-----BEGIN").encode())
    web.routes["mirror.example.net", WHERE.format("example.com/app", "1.0.0") + ".asc"] = (200, signature, {})
    path = user.config / "trustedkeys/root.d" / fpr
    path.parent.mkdir(parents=True)
    path.write_bytes(g.public(mail))
    user.fails("example.com/app:1.0.0", words=[fpr, words])
    r = user("trust", "add", "--root", "--yes", path)
    assert r.returncode == 1 and words.split("(")[0].strip() in r.stderr
    assert words.split("(")[0].strip() in user("trust", "list", check=0).stdout


# --- trust

def test_trust_file(user, gpg):
    key = user.work / "key"
    key.write_bytes(gpg.public("signer@example.com"))
    r = user("trust", "add", "--prefix=example.com", key)
    assert r.returncode == 1 and "--fingerprint" in r.stderr and json.loads(
        user("trust", "list", "--format=json", check=0).stdout) == []
    r = user("trust", "add", key)
    assert r.returncode == 1 and "--prefix" in r.stderr and "--root" in r.stderr
    r = user("trust", "add", "--prefix=example.com", f"--fingerprint={'0' * 40}", key)
    assert r.returncode == 1 and "no key with the fingerprint" in r.stderr
    user("trust", "add", "--prefix=example.com/a", f"--fingerprint={gpg.fpr.upper()}", key, check=0)
    listed = json.loads(user("trust", "list", "--format=json", check=0).stdout)
    assert [(k["fingerprint"], k["prefix"], k["users"]) for k in listed] == [
        (gpg.fpr, "example.com/a", ["signer@example.com"])]
    assert (user.config / "trustedkeys/prefix.d/example.com%2fa" / gpg.fpr).exists()
    user("trust", "remove", gpg.fpr, check=0)
    assert user("trust", "list", check=0).stdout == ""
    r = user("trust", "remove", gpg.fpr)
    assert r.returncode == 1 and "not trusted" in r.stderr


def test_trust_only_the_named_key(user, gpg):
    key = user.work / "keys"
    key.write_bytes(gpg.public("signer@example.com", "other@example.com"))
    user("trust", "add", "--root", f"--fingerprint={gpg.other}", key, check=0)
    assert [k["fingerprint"] for k in json.loads(user("trust", "list", "--format=json", check=0).stdout)] \
        == [gpg.other]


def test_trust_asks(user, gpg):
    """SIG-08: it shows the fingerprint and asks; only "y" is a yes."""
    key = user.work / "key"
    key.write_bytes(gpg.public("signer@example.com"))
    out, status = on_terminal(user, ["trust", "add", "--root", key], b"[y/N]", b"n\n")
    assert status == 0 and "not added" in out
    assert gpg.fpr in out.replace(" ", "") and "signer@example.com" in out
    assert user("trust", "list", check=0).stdout == ""
    out, status = on_terminal(user, ["trust", "add", "--root", key], b"[y/N]", b"y\n")
    assert status == 0 and gpg.fpr in user("trust", "list", check=0).stdout


def test_trust_discovered(user, web, gpg):
    web.page("example.com", ("ac-discovery-pubkeys", "example.com https://keys.example.org/k"))
    web.routes["keys.example.org", "/k"] = (200, gpg.public("signer@example.com"), {})
    data = offer(web, gpg, "example.com/app")
    user.net("trust fetch", f"--fingerprint={gpg.fpr}", "--prefix=example.com", "example.com/app", check=0)
    assert user.fetch("example.com/app:1.0.0", check=0).stdout.strip() == image_id(data)
    r = user.net("trust fetch", "example.org/x", "--yes")
    assert r.returncode == 1 and "found no keys of example.org/x" in r.stderr


def test_trust_url(user, web, gpg, authority):
    web.routes["keys.example.org", "/k"] = (200, gpg.public("signer@example.com"), {})
    user.net("trust add", "--yes", "--root", "https://keys.example.org/k", check=0)
    r = user.net("trust add", "--yes", "--root", "--insecure-options=tls", "https://keys.example.org/k")
    assert r.returncode == 1 and "--fingerprint" in r.stderr
    web.routes["keys.example.org", "/k"] = (200, b"<html>no</html>", {})
    r = user.net("trust add", "--yes", "--root", "https://keys.example.org/k")
    assert r.returncode == 1 and "no OpenPGP public key" in r.stderr


def test_secret_key_is_refused(user, gpg):
    key = user.work / "secret"
    key.write_bytes(gpg("--armor", "--export-secret-keys", "signer@example.com"))
    r = user("trust", "add", "--root", "--yes", key)
    assert r.returncode == 1 and "secret key" in r.stderr


def test_tampered_trust_directory(trusting, web, gpg):
    offer(web, gpg, "example.com/app")
    path = trusting.config / "trustedkeys/prefix.d/example.com" / gpg.fpr
    path.chmod(0o666)
    trusting.fails("example.com/app:1.0.0", words=["others may write", "chmod go-w"])


# --- dependencies

def test_dependencies(trusting, web, gpg):
    """DEP-01, DEP-04, DEP-06: a diamond, each image downloaded once."""
    base = at_version(web, gpg, "example.com/base", labels={})
    at_version(web, gpg, "example.com/left", dependencies=[
        dep("example.com/base", imageID=image_id(base), size=len(base))])
    at_version(web, gpg, "example.com/right", dependencies=[
        dep("example.com/base", imageID=image_id(base), size=len(base))])
    at_version(web, gpg, "example.com/top", dependencies=[
        dep("example.com/left", labels=[{"name": "version", "value": "1.0.0"}]), dep("example.com/right")])
    trusting.fetch("example.com/top", check=0)
    assert sorted(trusting.images()) == ["example.com/base", "example.com/left", "example.com/right",
                                         "example.com/top"]
    downloads = [p for p in web.paths("mirror.example.net") if p.endswith(".aci")]
    assert len(downloads) == len(set(downloads)) == 4
    trusting("image", "render", "example.com/top", trusting.work / "tree", check=0)
    assert (trusting.work / "tree/rootfs/file").read_text() == "example.com/top"


def test_missing_dependency_is_fetched_later(trusting, web, gpg):
    """The image is in the store, what it needs was removed."""
    at_version(web, gpg, "example.com/base")
    at_version(web, gpg, "example.com/top", dependencies=[dep("example.com/base")])
    trusting.fetch("example.com/top", check=0)
    trusting("image", "rm", "--force", "example.com/base", check=0)
    assert "example.com/base" not in trusting.images()
    trusting.fetch("example.com/top", check=0)
    assert "example.com/base" in trusting.images()


def test_dependency_with_another_id(trusting, web, gpg):
    """DEP-02, A15"""
    at_version(web, gpg, "example.com/base")
    at_version(web, gpg, "example.com/top",
               dependencies=[dep("example.com/base", imageID="sha512-" + "a" * 128)])
    r = trusting.fetch("example.com/top")
    assert r.returncode == 1 and "example.com/base" not in trusting.images()
    assert "example.com/top -> example.com/base" in r.stderr and "aaaa" in r.stderr


@pytest.mark.parametrize("declared, words", [(10, "declared size is 10"), (10**6, "declared size is 1000000")])
def test_dependency_with_another_size(trusting, web, gpg, declared, words):
    """DEP-03, A16"""
    at_version(web, gpg, "example.com/base")
    at_version(web, gpg, "example.com/top", dependencies=[dep("example.com/base", size=declared)])
    r = trusting.fetch("example.com/top")
    assert r.returncode == 1 and words in r.stderr, r.stderr
    assert "example.com/base" not in trusting.images()


def test_endless_dependency_stops_at_its_size(trusting, web, gpg):
    at_version(web, gpg, "example.com/base")
    sent = endless(web, "mirror.example.net", WHERE.format("example.com/base", "latest"))
    at_version(web, gpg, "example.com/top", dependencies=[dep("example.com/base", size=5000)])
    r = trusting.fetch("example.com/top")
    assert r.returncode == 1 and "declared size of 5000" in r.stderr, r.stderr
    assert sent["bytes"] < 64 << 20


def test_circle(trusting, web, gpg):
    """DEP-07"""
    at_version(web, gpg, "example.com/a", dependencies=[dep("example.com/b")])
    at_version(web, gpg, "example.com/b", dependencies=[dep("example.com/c")])
    at_version(web, gpg, "example.com/c", dependencies=[dep("example.com/a")])
    r = trusting.fetch("example.com/a")
    assert r.returncode == 1 and "circle" in r.stderr, r.stderr
    assert all(f"example.com/{x} -> " in r.stderr for x in "abc")


# --- policies

def test_pull_never(trusting, web, gpg):
    offer(web, gpg, "example.com/app")
    trusting.fails("--pull=never", "example.com/app:1.0.0", words=["--pull=never", "not in the store"])
    assert web.log == []


def test_pull_newer_asks_with_the_etag(trusting, web, gpg):
    name, p = "example.com/app", WHERE.format("example.com/app", "latest")
    data = at_version(web, gpg, name)
    web.routes["mirror.example.net", p] = ranged(data, '"one"')
    trusting.fetch(name, check=0)
    web.log.clear()
    trusting.fetch("--pull=newer", name, check=0)
    assert [h.get("If-None-Match") for h in web.seen(p)] == ['"one"']
    assert web.seen(p + ".asc") == []
    newer = aci(name, labels={"version": "1.1.0", "os": "linux", "arch": "amd64"})
    web.routes["mirror.example.net", p] = ranged(newer, '"two"')
    web.routes["mirror.example.net", p + ".asc"] = (200, gpg.sign(newer, "signer@example.com"), {})
    assert trusting.fetch("--pull=newer", name, check=0).stdout.strip() == image_id(newer)
    assert trusting.fetch(name, check=0).stdout.strip() == image_id(newer)


def test_cache_control(trusting, web, gpg):
    name, p = "example.com/app", WHERE.format("example.com/app", "latest")
    data = at_version(web, gpg, name)
    web.image("mirror.example.net", p, data, headers={"ETag": '"x"', "Cache-Control": "max-age=600"})
    trusting.fetch(name, check=0)
    web.log.clear()
    trusting.fetch("--pull=newer", name, check=0)
    assert web.seen(p) == []


def test_insecure_copy_does_not_answer_a_secure_request(trusting, web, gpg):
    """An image that came without a check is not taken for one that a server still calls current."""
    name, p = "example.com/app", WHERE.format("example.com/app", "latest")
    data = at_version(web, gpg, name)
    web.routes["mirror.example.net", p] = ranged(data, '"one"')
    trusting.fetch("--insecure-options=image", name, check=0)
    trusting.fetch("--pull=newer", name, check=0)
    assert trusting.images()[name]["signer"] == gpg.fpr


# --- resuming

def big(name, megabytes=3):
    return aci(name, files={"blob": os.urandom(megabytes << 20)}, compress=False)


def test_broken_connection_is_resumed(trusting, web, gpg):
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big("example.com/big"))
    web.routes["mirror.example.net", p] = ranged(data, cut=1 << 20)
    assert trusting.fetch(name + ":1.0.0", check=0).stdout.strip() == image_id(data)
    first, second = web.seen(p)
    assert "Range" not in first
    assert second["If-Range"] == '"v1"' and 0 < int(second["Range"][6:-1]) <= 1 << 20


def interrupted(user, web, p, data, etag='"v1"'):
    """Half a download, left behind by a process that was killed."""
    half, go = threading.Event(), threading.Event()

    def answer(h):
        h.send_response(200)
        h.send_header("ETag", etag)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        h.wfile.write(data[:1 << 20])
        h.wfile.flush()
        half.set()
        go.wait(60)
    web.routes["mirror.example.net", p] = answer
    child = user.start("fetch", *web.options(), "example.com/big:1.0.0")
    assert half.wait(60)
    wait_for(lambda: [f for f in (user.data / "downloads").glob("*.part") if f.stat().st_size >= 900_000])
    child.kill()
    child.communicate()
    go.set()
    web.log.clear()


def test_killed_process_is_resumed(trusting, web, gpg):
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big("example.com/big"))
    interrupted(trusting, web, p, data)
    web.routes["mirror.example.net", p] = ranged(data)
    assert trusting.fetch(name + ":1.0.0", check=0).stdout.strip() == image_id(data)
    assert int(web.seen(p)[0]["Range"][6:-1]) >= 900_000
    assert trusting.downloads() == []


def test_content_that_changed_meanwhile(trusting, web, gpg):
    """If-Range makes an honest server send all of the new version."""
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big("example.com/big"))
    interrupted(trusting, web, p, big("example.com/big"), etag='"old"')
    web.routes["mirror.example.net", p] = ranged(data, '"new"')
    assert trusting.fetch(name + ":1.0.0", check=0).stdout.strip() == image_id(data)


@pytest.mark.parametrize("lie", ["same tag", "other tag", "other part", "416"])
def test_dishonest_resume(trusting, web, gpg, lie):
    """A server that sends the rest of something else: noticed, and downloaded from the start."""
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big("example.com/big"))
    interrupted(trusting, web, p, big("example.com/big"), etag='"v1"')

    def answer(h):
        want = h.headers.get("Range")
        if not want:
            return h.reply(200, data, {"ETag": '"v2"'})
        first = int(want[6:-1])
        if lie == "416":
            return h.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        start = first + 1 if lie == "other part" else first
        h.reply(206, data[start:], {"ETag": '"v2"' if lie == "other tag" else '"v1"',
                                    "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
    web.routes["mirror.example.net", p] = answer
    assert trusting.fetch(name + ":1.0.0", check=0).stdout.strip() == image_id(data)


def test_two_processes_download_once(trusting, web, gpg):
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big("example.com/big"))
    started, go = threading.Event(), threading.Event()
    serve = ranged(data)

    def answer(h):
        started.set()
        go.wait(60)
        serve(h)
    web.routes["mirror.example.net", p] = answer
    first = trusting.start("fetch", *web.options(), name + ":1.0.0")
    assert started.wait(60)
    second = trusting.start("fetch", *web.options(), name + ":1.0.0")
    wait_for(lambda: len(web.seen("/big")) == 2)
    go.set()
    for child in (first, second):
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
        assert out.strip() == image_id(data)
    # The second one may ask whether what the first one brought is still the newest.
    assert len([headers for headers in web.seen(p) if "If-None-Match" not in headers]) == 1


# --- encryption

def encrypt(gpg, data, *options, passphrase="sekr3t"):
    return subprocess.run(["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", passphrase,
                           "--cipher-algo", "AES256", *options, "--symmetric", "--output", "-"], input=data,
                          env=gpg.env, check=True, capture_output=True).stdout


def test_encrypted_image(trusting, web, gpg):
    """IMG-14, A18"""
    plain = aci("example.com/secret")
    offer(web, gpg, "example.com/secret", data=encrypt(gpg, plain))
    secret = trusting.work / "pass"
    secret.write_text("sekr3t\n")
    wrong = trusting.work / "wrong"
    wrong.write_text("wrong\n")
    trusting.fails("example.com/secret:1.0.0", words=["is encrypted", "--passphrase-file"])
    trusting.fails(f"--passphrase-file={wrong}", "example.com/secret:1.0.0", words="passphrase")
    r = trusting.fetch(f"--passphrase-file={secret}", "example.com/secret:1.0.0", check=0)
    assert r.stdout.strip() == image_id(plain)


def test_encrypted_image_passphrase_descriptor(trusting, web, gpg):
    plain = aci("example.com/secret")
    offer(web, gpg, "example.com/secret", data=encrypt(gpg, plain, "--armor"))
    r, w = os.pipe()
    os.write(w, b"sekr3t")
    os.close(w)
    out = trusting.fetch(f"--passphrase-fd={r}", "example.com/secret:1.0.0", pass_fds=[r], check=0)
    os.close(r)
    assert out.stdout.strip() == image_id(plain)


def test_encrypted_image_asks_on_the_terminal(trusting, web, gpg):
    plain = aci("example.com/secret")
    offer(web, gpg, "example.com/secret", data=encrypt(gpg, plain))
    out, status = on_terminal(trusting, ["fetch", *web.options(), "example.com/secret:1.0.0"],
                              b"Passphrase of", b"sekr3t\n")
    assert status == 0 and image_id(plain) in out and "Passphrase of example.com/secret" in out


def test_encrypted_and_unsigned_is_not_decrypted(trusting, web, gpg):
    """Nothing is decrypted before the signature holds."""
    offer(web, gpg, "example.com/secret", data=encrypt(gpg, aci("example.com/secret")), signer="other@example.com")
    secret = trusting.work / "pass"
    secret.write_text("sekr3t\n")
    trusting.fails(f"--passphrase-file={secret}", "example.com/secret:1.0.0", words=[gpg.other, "not trusted"])


# --- credentials

def write_auth(user, hosts, mode=0o600, name="a.json"):
    path = user.config / "auth.d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"hosts": hosts}))
    path.chmod(mode)


def guarded(expected, answer):
    def check(h):
        if h.headers.get("Authorization") == expected:
            return h.reply(*answer)
        h.reply(401, b"", {"WWW-Authenticate": "Basic realm=x"})
    return check


def test_credentials(trusting, web, gpg):
    """AUTH-02, AUTH-04, DISC-28: page, image and signature; each host sees its own and no other's."""
    data = offer(web, gpg, "example.com/app")
    p = WHERE.format("example.com/app", "1.0.0")
    basic = "Basic dXNlcjpwYXNz"
    web.routes["example.com", "/app"] = guarded(basic, web.routes["example.com", "/app"])
    for ext in ("", ".asc"):
        web.routes["www.example.com", "/x" + ext] = web.routes["mirror.example.net", p + ext]
        web.routes["mirror.example.net", p + ext] = guarded(
            "Bearer t0ken", (302, "", {"Location": "https://www.example.com/x" + ext}))
    trusting.fails("--retries=0", "example.com/app:1.0.0", words=["401", "auth.d"])
    write_auth(trusting, {"example.com": {"basic": {"user": "user", "password": "pass"}},
                          "mirror.example.net": {"bearer": {"token": "t0ken"}}})
    assert trusting.fetch("example.com/app:1.0.0", check=0).stdout.strip() == image_id(data)
    assert all("Authorization" not in h for h in web.seen("/x") + web.seen("/x.asc"))
    write_auth(trusting, {"example.com": {"basic": {"user": "user", "password": "wrong"}}})
    trusting("image", "rm", "example.com/app", check=0)
    trusting.fails("example.com/app:1.0.0", words=["refuses the credentials", "a.json"])


def test_credentials_file_must_be_private(trusting, web, gpg):
    offer(web, gpg, "example.com/app")
    write_auth(trusting, {"example.com": {"bearer": {"token": "SECRET"}}}, mode=0o644)
    assert "SECRET" not in trusting.fails("example.com/app:1.0.0", words=["a.json", "chmod 600"])


@pytest.mark.parametrize("option", ["tls", "http"])
def test_no_credentials_without_verified_tls(trusting, web, gpg, authority, option):
    """AUTH-03"""
    offer(web, gpg, "example.com/app")
    write_auth(trusting, {"example.com": {"bearer": {"token": "t0ken"}}})
    if option == "tls":
        trusting.fetch("--insecure-options=tls", "example.com/app:1.0.0", check=0)
        assert all("Authorization" not in h for h in web.seen("/app"))
        return
    plain = Web(authority, tls=False)
    try:
        user = User(trusting.work, plain)
        user.net("discover", "--insecure-options=http", "--retries=0",
                 "--resolve=example.com:443:127.0.0.1:9", "example.com/app")
        assert plain.log and all("Authorization" not in h for _, _, h in plain.log)
    finally:
        plain.close()


# --- on a terminal

@pytest.mark.parametrize("columns", [120, 80, 40])
def test_progress_on_a_terminal(trusting, web, gpg, columns):
    """A bar with bytes, rate and time left, in lines that never wrap."""
    name, p = "example.com/big", WHERE.format("example.com/big", "1.0.0")
    data = offer(web, gpg, name, data=big(name, 4))
    step = threading.Event()

    def answer(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        for i in range(0, len(data), 1 << 20):
            h.wfile.write(data[i:i + (1 << 20)])
            step.wait(0.15)
    web.routes["mirror.example.net", p] = answer
    out, status = on_terminal(trusting, ["fetch", *web.options(), name + ":1.0.0"], columns=columns)
    assert status == 0 and image_id(data) in out
    assert columns < 80 or "MB/s" in out
    assert columns < 80 or ("s left" in out and "[#" in out)
    lines = [re.sub(r"\x1b\[\d*[AJK]", "", line) for line in out.replace("\r", "").split("\n")]
    assert all(len(line) < columns for line in lines if "sha512-" not in line), lines
