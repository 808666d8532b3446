# SPDX-License-Identifier: Apache-2.0
"""Between us and the servers: proxies, hosts that never answer; and keys that are fetched on a terminal."""
import json
import re
import select
import socket
import threading

import pytest

from fetchserver import (WHERE, Web, aci, authority, gpg, image_id, offer, on_terminal, shared_web, trusting, user, web)

REF = "example.com/app:1.0.0"


class Proxy:
    """An HTTP proxy that knows CONNECT; it keeps what it was asked for."""

    def __init__(self, refuse=False):
        self.asked, self.refuse = [], refuse
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.tunnel, args=(client,), daemon=True).start()

    def tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        method, target, _ = head.split(b"\r\n")[0].decode().split()
        self.asked.append((method, target))
        if self.refuse:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        host, port = target.rsplit(":", 1)
        assert host == "127.0.0.1"
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection((host, int(port))) as server, client:
            while True:
                for s in select.select([client, server], [], [])[0]:
                    data = s.recv(65536)
                    if not data:
                        return
                    (server if s is client else client).sendall(data)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def proxy():
    p = Proxy()
    yield p
    p.close()


def test_the_environments_proxy_is_taken(trusting, web, gpg, proxy):
    """DISC-29: HTTPS_PROXY, and NO_PROXY against it."""
    data = offer(web, gpg, "example.com/app")
    trusting.env["HTTPS_PROXY"] = proxy.url
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(data)
    assert proxy.asked and set(proxy.asked) == {("CONNECT", f"127.0.0.1:{web.port}")}
    n = len(proxy.asked)
    trusting("image", "rm", image_id(data), check=0)
    trusting.env["NO_PROXY"] = "*"
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(data)
    assert len(proxy.asked) == n


def test_a_proxy_that_refuses_is_named(trusting, web, gpg):
    offer(web, gpg, "example.com/app")
    p = Proxy(refuse=True)
    trusting.env["https_proxy"] = p.url
    r = trusting.fetch("--retries=0", REF)
    p.close()
    assert r.returncode == 1 and "403" in r.stderr and web.log == []


def test_a_host_that_never_answers(trusting, web, gpg):
    """DISC-29: 20 seconds for a connection. A full accept queue takes no SYN, as behind a black hole."""
    offer(web, gpg, "example.com/app")
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        held = []
        for _ in range(8):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(hole.getsockname())
            held.append(s)
        port = hole.getsockname()[1]
        options = [o for o in web.options() if "mirror.example.net" not in o]
        r = trusting("fetch", "--retries=0", "--stall=300", *options, f"--resolve=mirror.example.net:443:127.0.0.1:{port}",
                     REF)
        for s in held:
            s.close()
    assert r.returncode == 1 and "mirror.example.net" in r.stderr
    assert re.search(r"mirror.example.net.* too slow: Failed to connect .* after 20\d\d\d ms", r.stderr), r.stderr


def test_plain_http_url(trusting, gpg, authority):
    """http:// only when it is asked for; the signature counts all the same."""
    plain = Web(authority, tls=False)
    data = aci("example.com/app")
    plain.image("mirror.example.net", "/a.aci", data, gpg.sign(data, "signer@example.com"))
    plain.image("mirror.example.net", "/b.aci", data, gpg.sign(data, "other@example.com"))
    try:
        url = "http://mirror.example.net/"
        r = trusting("fetch", *plain.options(), url + "a.aci")
        assert r.returncode == 1 and "--insecure-options=http" in r.stderr and plain.log == []
        r = trusting("fetch", "--insecure-options=http", *plain.options(), url + "b.aci")
        assert r.returncode == 1 and "not trusted" in r.stderr
        r = trusting("fetch", "--insecure-options=http", *plain.options(), url + "a.aci", check=0)
        assert r.stdout.strip() == image_id(data) and not trusting.images()["example.com/app"]["insecure"]
    finally:
        plain.close()


def test_disc_11_this_machine_by_default(trusting, web, gpg):
    """DISC-11, DISC-03: a bare name asks for this machine's os and arch; one template gives image and signature."""
    offer(web, gpg, "example.com/app", version="latest", labels={"os": "linux", "arch": "amd64"})
    trusting.fetch("example.com/app", check=0)
    path = "/linux/amd64/example.com/app-latest.aci"
    assert sorted(web.paths("mirror.example.net")) == [path, path + ".asc"]


def test_auth_01_without_credentials(trusting, web, gpg):
    """AUTH-01: nothing has to be configured, and nothing is sent."""
    seen = []
    data = offer(web, gpg, "example.com/app")

    def answer(h):
        seen.append(h.headers.get("Authorization"))
        h.reply(200, data)
    web.routes["mirror.example.net", WHERE.format("example.com/app", "1.0.0")] = answer
    assert trusting.fetch(REF, check=0).stdout.strip() == image_id(data)
    assert seen == [None]


def test_trust_fetch_shows_the_fingerprint_and_asks(user, web, gpg):
    """IMG-19, SIG-08: keys that a name's pages offer are taken after a look at their fingerprints only."""
    web.page("example.com/app", ("ac-discovery-pubkeys", "example.com/app https://keys.example.org/k"))
    web.routes["keys.example.org", "/k"] = (200, gpg.public("signer@example.com"), {})
    args = ["trust", "fetch", *web.options(), "example.com/app"]
    r = user(*args)  # no terminal: nothing is trusted unasked
    assert r.returncode == 1 and "--fingerprint" in r.stderr
    for answer, taken in ((b"n\n", []), (b"y\n", [gpg.fpr])):
        out, status = on_terminal(user, args, b"[y/N]", answer)
        assert status == 0 and gpg.fpr in out.replace(" ", "") and "example.com/app" in out
        listed = json.loads(user("trust", "list", "--format=json", check=0).stdout)
        assert [k["fingerprint"] for k in listed] == taken
    data = offer(web, gpg, "example.com/app")
    assert user.fetch(REF, check=0).stdout.strip() == image_id(data)
