# SPDX-License-Identifier: Apache-2.0
"""Servers that misbehave: each gives one clear error within its bound, and the store is as before."""
import gzip
import os
import socket
import ssl
import threading
import time
import zlib

import pytest

from fetchserver import (TEMPLATE, WHERE, Authority, Web, aci, at_version, authority, dep, endless, gpg, image_id, offer,
                         ranged, shared_web, trusting, user, web)

NAME = "example.com/app"
IMAGE = WHERE.format(NAME, "1.0.0")
REF = NAME + ":1.0.0"
MIRROR = "mirror.example.net"
ONCE = "--retries=0"
# What none of these tests may take, however slow the machine: the default limits are minutes and hours.
BOUND = 100


@pytest.fixture
def app(trusting, web, gpg):
    """A good image that tests put in bad hands: its bytes."""
    return offer(web, gpg, NAME)


def tag():
    return f'<meta name="ac-discovery" content="example.com {TEMPLATE}">'


# --- bodies

def test_endless_page(trusting, web):
    sent = endless(web, "example.com", "/app", {"Content-Type": "text/html"})
    trusting.fails(ONCE, REF, words=["no ac-discovery tag in its first MiB"], timeout=BOUND)
    assert sent["bytes"] < 64 << 20


def test_endless_signature(trusting, web, app):
    sent = endless(web, MIRROR, IMAGE + ".asc")
    trusting.fails(ONCE, REF, words=["signature", "limit of 65536"], timeout=BOUND)
    assert sent["bytes"] < 64 << 20


def test_endless_image(trusting, web, app):
    sent = endless(web, MIRROR, IMAGE)
    trusting.fails(ONCE, "--max-download=3M", REF, words=["limit of 3145728"], timeout=BOUND)
    assert sent["bytes"] < 64 << 20
    assert trusting.downloads() == []


def test_announced_image_that_is_too_long(trusting, web, app):
    web.routes[MIRROR, IMAGE] = lambda h: h.reply(200, b"x", {"Content-Length": str(1 << 40)})
    trusting.fails(ONCE, REF, words=["1099511627776 bytes are beyond the limit"], timeout=BOUND)


def drip(h, piece=b"x", status=200):
    h.send_response(status)
    h.end_headers()
    h.close_connection = True
    while True:
        h.wfile.write(piece)
        h.wfile.flush()
        time.sleep(0.2)  # the server is what is slow here


@pytest.mark.parametrize("where", ["page", "image", "signature"])
def test_slow_drip(trusting, web, app, where):
    host, path = {"page": ("example.com", "/app"), "image": (MIRROR, IMAGE),
                  "signature": (MIRROR, IMAGE + ".asc")}[where]
    web.routes[host, path] = drip
    trusting.fails(ONCE, "--stall=1", REF, words="too slow", timeout=BOUND)


def test_no_answer_at_all(trusting, web, app):
    end = threading.Event()
    web.routes[MIRROR, IMAGE] = lambda h: (end.wait(BOUND), h.hang_up())
    trusting.fails(ONCE, "--stall=1", REF, words="too slow", timeout=BOUND)
    end.set()


def test_time_limit_of_the_whole(trusting, web, app):
    web.routes[MIRROR, IMAGE] = lambda h: drip(h, b"x" * 4096)
    trusting.fails("--timeout=2", REF, words="time limit of 2 s", timeout=BOUND)


def test_body_that_is_too_short(trusting, web, app):
    def answer(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(app) + 100))
        h.end_headers()
        h.wfile.write(app)
        h.wfile.flush()
        h.hang_up()
    web.routes[MIRROR, IMAGE] = answer
    trusting.fails("--retries=1", REF, words="connection ended before the body did", timeout=BOUND)
    assert len(web.seen(IMAGE)) == 2


def test_body_that_is_longer_than_announced(trusting, web, app, gpg):
    """What is behind the announced length is not part of the answer."""
    web.routes[MIRROR, IMAGE] = lambda h: h.reply(200, app, {"Content-Length": str(len(app) - 10)})
    trusting.fails(ONCE, REF, words=[gpg.fpr, "other bytes"], timeout=BOUND)


def test_connection_that_ends_at_once(trusting, web, app):
    web.routes[MIRROR, IMAGE] = lambda h: h.hang_up()
    trusting.fails("--retries=1", REF, words=MIRROR, timeout=BOUND)


# --- pages

def test_error_page_with_status_200(trusting, web, app, gpg):
    page = b"<!DOCTYPE html><html><body>Sorry, an error occurred</body></html>"
    web.routes[MIRROR, IMAGE] = (200, page, {"Content-Type": "text/html"})
    trusting.fails(ONCE, REF, words=["web page instead of an image"])
    trusting.fails(ONCE, "--insecure-options=image", REF, words=["web page instead of an image"])
    web.routes[MIRROR, IMAGE + ".asc"] = (200, page, {"Content-Type": "text/html"})
    web.routes[MIRROR, IMAGE] = (200, app, {})
    trusting.fails(ONCE, REF, words="web page")


def test_signed_nonsense_is_no_image(trusting, web, gpg):
    offer(web, gpg, NAME, data=b"this is signed, and no archive\n" * 50)
    trusting.fails(ONCE, REF, words=NAME)


@pytest.mark.parametrize("piece", ["<div>", "<a b=c ", "<!--", "<p></x>", "<table><tr><td>", "<![CDATA["])
def test_html_bombs(trusting, web, piece):
    web.routes["example.com", "/app"] = (200, piece * ((4 << 20) // len(piece)), {"Content-Type": "text/html"})
    trusting.fails(ONCE, REF, words="no ac-discovery tag", timeout=BOUND)


def test_compressed_html_bomb(trusting, web):
    """A gigabyte in a megabyte: no more than the first MiB of it is unpacked."""
    c = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(c.compress(b"<p>" * 349525) for _ in range(1024)) + c.flush()
    web.routes["example.com", "/app"] = (200, bomb, {"Content-Type": "text/html", "Content-Encoding": "gzip"})
    trusting.fails(ONCE, REF, words="no ac-discovery tag in its first MiB", timeout=BOUND)


def test_compressed_page_and_a_truncated_one(trusting, web, gpg):
    data = offer(web, gpg, NAME)
    page = gzip.compress(f"<html><head>{tag()}</head></html>".encode())
    web.routes["example.com", "/app"] = (200, page, {"Content-Encoding": "gzip"})
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(data)
    trusting("image", "rm", NAME, check=0)
    long = gzip.compress(os.urandom(50000) + tag().encode())
    for broken in (long[:len(long) // 2], page[:4] + os.urandom(len(page))):
        web.routes["example.com", "/app"] = (200, broken, {"Content-Encoding": "gzip"})
        trusting.fails(ONCE, REF, words="example.com/app?ac-discovery=1")


def test_truncated_gzip_image(trusting, web, gpg):
    """Signed like this by its owner: the import finds out."""
    whole = aci(NAME, files={"blob": os.urandom(100000)})
    offer(web, gpg, NAME, data=whole[:len(whole) // 2])
    trusting.fails(ONCE, REF, words=["cut off"])


def test_hostile_templates(trusting, web):
    web.page(NAME, ("ac-discovery", "example.com file:///etc/passwd?{ext}"),
             ("ac-discovery", "example.com https://user:pass@example.org/{ext}"),
             ("ac-discovery", "example.com https://x/{ext}" + "y" * 9000),
             ("ac-discovery", "example.com {ext}"),
             ("ac-discovery", "example.com http://example.org/{name}.{ext}"))
    trusting.fails(ONCE, REF, words="its template is not https")


def test_text_on_pages_does_not_reach_the_terminal(trusting, web):
    web.page(NAME, ("ac-discovery", "example.com https://x/\x1b[2J{ext}"))
    r = trusting.net("discover", ONCE, REF)
    assert "\x1b" not in r.stdout + r.stderr and "not usable" in r.stdout


# --- redirects

def test_redirect_loop(trusting, web, app):
    web.routes[MIRROR, IMAGE] = (302, "", {"Location": f"https://{MIRROR}{IMAGE}"})
    trusting.fails(ONCE, REF, words="more than 10 redirects")
    assert len(web.seen(IMAGE)) <= 11


@pytest.mark.parametrize("target, words", [
    ("http://example.org/x", "not https"), ("file:///etc/passwd", "file"), ("gopher://example.org/", "gopher"),
    ("https://user:pw@example.org/", "credentials"), ("https://", "bad redirect"), (None, "without a target"),
    ("https://example.org/" + "x" * 9000, "without a target")])
def test_hostile_redirects(trusting, web, app, target, words):
    web.routes[MIRROR, IMAGE] = (302, "", {"Location": target} if target else {})
    assert "pw" not in trusting.fails(ONCE, REF, words=words)


def test_endless_headers(trusting, web, app):
    def answer(h):
        h.close_connection = True
        h.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            h.wfile.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
    web.routes[MIRROR, IMAGE] = answer
    trusting.fails(ONCE, REF, words=MIRROR, timeout=BOUND)


def test_endless_interim_responses(trusting, web, app):
    def answer(h):
        h.close_connection = True
        while True:
            h.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    web.routes[MIRROR, IMAGE] = answer
    trusting.fails(ONCE, REF, words=MIRROR, timeout=BOUND)


def test_not_http_at_all(trusting, web, app):
    web.routes[MIRROR, IMAGE] = lambda h: (h.wfile.write(os.urandom(1000)), h.hang_up())
    trusting.fails(ONCE, REF, words=MIRROR, timeout=BOUND)


# --- failures that pass

def test_failures_that_pass_are_tried_again(trusting, web, app):
    answers = [503, 500, 200]

    def answer(h):
        status = answers.pop(0)
        h.reply(status, app if status == 200 else b"", {"Retry-After": "1"} if status == 503 else {})
    web.routes[MIRROR, IMAGE] = answer
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(app)
    assert answers == []


@pytest.mark.parametrize("status, requests", [(503, 3), (429, 3), (404, 1), (403, 1), (410, 1)])
def test_retries_are_bounded(trusting, web, app, status, requests):
    web.routes[MIRROR, IMAGE] = (status, b"", {})
    # The signature is withheld until all attempts are over, so that it does not end them.
    trusting.fails("--retries=2", "--insecure-options=image", REF, words=str(status), timeout=BOUND)
    assert len(web.seen(IMAGE)) == requests


def test_a_server_that_asks_for_an_hour_is_given_up(trusting, web, app):
    web.routes[MIRROR, IMAGE] = (503, b"", {"Retry-After": "3600"})
    trusting.fails("--insecure-options=image", REF, words="503", timeout=BOUND)
    assert len(web.seen(IMAGE)) == 1


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304])
def test_only_200_is_success(trusting, web, app, status):
    """DISC-17"""
    web.routes[MIRROR, IMAGE] = (status, b"" if status in (204, 304) else app, {})
    trusting.fails(ONCE, "--insecure-options=image", REF, words=f"status {status}")


def test_deferred_signature(trusting, web, gpg, app):
    """202: the signature is asked for again when the image is there."""
    answers = [(202, b"", {}), (200, gpg.sign(app, "signer@example.com"), {})]
    web.routes[MIRROR, IMAGE + ".asc"] = lambda h: h.reply(*answers.pop(0))
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(app)


def test_content_that_changes_between_requests(trusting, web, gpg):
    """Another image at each request, broken off each time: an end is found."""
    offer(web, gpg, NAME)
    count = [0]

    def answer(h):
        count[0] += 1
        body = os.urandom(300000)
        h.send_response(200)
        h.send_header("ETag", f'"{count[0]}"')
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body[:200000])
        h.wfile.flush()
        h.hang_up()
    web.routes[MIRROR, IMAGE] = answer
    trusting.fails("--retries=2", REF, words="connection ended before the body did", timeout=BOUND)
    assert count[0] == 3
    assert len(trusting.downloads()) == 1  # what is there may be of use next time


# --- TLS

@pytest.fixture(scope="module")
def other_authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca2"))


def swapped(web, port):
    """Options with one host's address exchanged."""
    return [f"--resolve=mirror.example.net:443:127.0.0.1:{port}"] + \
        [o for o in web.options() if "mirror.example.net" not in o]


@pytest.mark.parametrize("kind", ["unknown CA", "other host", "expired"])
def test_wrong_certificate(trusting, web, gpg, authority, other_authority, kind):
    """DISC-26"""
    if kind == "expired":
        pair = authority.certificate([MIRROR], "expired", not_after=True)
        bad = Web(authority, certificate=pair)
    elif kind == "other host":
        bad = Web(authority, certificate=authority.certificate(["other.example.net"], "other"))
    else:
        bad = Web(other_authority)
    try:
        data = offer(bad, gpg, NAME)
        offer(web, gpg, NAME)
        before = trusting.snapshot()
        r = trusting("fetch", ONCE, *swapped(web, bad.port), REF)
        assert r.returncode == 1 and "certificate" in r.stderr, r.stderr
        assert trusting.snapshot() == before and bad.log == []
        r = trusting("fetch", ONCE, "--insecure-options=tls", *swapped(web, bad.port), REF, check=0)
        assert r.stdout.strip() == image_id(data)
    finally:
        bad.close()


def test_plain_text_where_tls_is_expected(trusting, web, gpg, authority):
    offer(web, gpg, NAME)
    plain = Web(authority, tls=False)
    try:
        r = trusting("fetch", ONCE, *swapped(web, plain.port), REF)
        assert r.returncode == 1 and MIRROR in r.stderr
    finally:
        plain.close()


def test_nobody_listens(trusting, web, gpg):
    offer(web, gpg, NAME)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        r = trusting("fetch", *swapped(web, s.getsockname()[1]), REF)
    assert r.returncode == 1 and MIRROR in r.stderr and len(r.stderr.splitlines()) <= 2


# --- images that claim too much

def test_chain_without_end(trusting, web, gpg):
    """DEP-08: every image needs another one."""
    signatures = {}

    def page(h):
        name = "example.com" + h.path.split("?")[0]
        h.reply(200, f"<html><head>{tag()}</head></html>")

    class Endless(dict):
        def get(self, key, default=None):
            host, path = key
            if host == "example.com":
                return page
            name = path[len("/linux/amd64/"):].split("-latest")[0]
            n = int(name.rsplit("n", 1)[1])
            data = aci(name, dependencies=[dep(f"example.com/n{n + 1}")])
            if path.endswith(".asc"):
                return (404, b"", {})
            return (200, data, {})
    routes, web.routes = web.routes, Endless()
    try:
        r = trusting.fetch("--insecure-options=image", "example.com/n0", timeout=BOUND)
    finally:
        web.routes = routes
    assert r.returncode == 1 and "more than 64 levels of dependencies" in r.stderr, r.stderr[-500:]


def test_decrypted_bomb(trusting, web, gpg):
    """An encrypted archive that unpacks to more than the limit."""
    import subprocess
    enc = subprocess.run(["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "p",
                          "--cipher-algo", "AES256", "--symmetric", "--output", "-"], input=bytes(64 << 20),
                         env=gpg.env, check=True, capture_output=True).stdout
    offer(web, gpg, NAME, data=enc)
    secret = trusting.work / "p"
    secret.write_text("p")
    trusting.fails("--max-size=1M", f"--passphrase-file={secret}", REF, words="more than the limit of 1048576",
                   timeout=BOUND)
