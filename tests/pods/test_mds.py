# SPDX-License-Identifier: Apache-2.0
"""The metadata service on its own: the real appc-mds, connected by socket pairs as the supervisor does it."""
import base64
import hashlib
import hmac
import http.client
import json
import os
import random
import select
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid as uuidlib

import pytest

from conftest import BUILD

TEXT = "text/plain; charset=us-ascii"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
UUID = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
OTHER = "11111111-2222-4333-8444-555555555555"
TOKEN = "Y4vFeVZzKM2T9rwkpWHfqXuGsNjS6O5cAAAAAAAAAAA"
MASTER = bytes(range(64))
IMAGE_ID = "sha512-" + "0123456789abcdef" * 8
# Not how anybody would print it: white space, escapes and unknown members have to survive.
MANIFEST = '{ "acKind":"ImageManifest",\n\t"name" : "example.com/\\u00e9", "x":1.50, "y": "é" }\n'
POD_ANNOTATIONS = [{"name": "ip-address", "value": "10.1.2.3"}, {"name": "é", "value": "\\/\""}]
POD = json.dumps({"acKind": "PodManifest", "acVersion": "0.8.11", "apps": [], "annotations": POD_ANNOTATIONS}, indent=1)
APP_ANNOTATIONS = [{"name": "created", "value": "then"}, {"name": "authors", "value": "us"}]


def bundle(**changes):
    doc = {"uuid": UUID, "token": TOKEN, "masterKey": MASTER.hex(), "podManifest": POD, "apps": [
        {"name": "main", "imageID": IMAGE_ID, "imageManifest": MANIFEST, "annotations": APP_ANNOTATIONS},
        {"name": "side-kick", "imageID": IMAGE_ID[:-1] + "0", "imageManifest": "{}", "annotations": []}]}
    return dict(doc, **changes)


class Connection(http.client.HTTPConnection):
    """http.client on a socket that is already there."""

    def __init__(self, sock):
        super().__init__("169.254.169.255")
        self.sock = sock
        self.auto_open = 0


class Mds:
    """A running service."""

    def __init__(self, doc=None, *options):
        doc = bundle() if doc is None else doc
        fd = os.memfd_create("bundle")
        os.write(fd, doc if isinstance(doc, bytes) else json.dumps(doc).encode())
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [BUILD / "appc-mds", f"--bundle-fd={fd}", f"--connections-fd={theirs.fileno()}", *options],
            pass_fds=[fd, theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        os.close(fd)
        theirs.close()
        self.base = f"/{(doc if isinstance(doc, dict) else bundle())['token']}/acMetadata/v1"

    def connect(self, kind=socket.SOCK_STREAM):
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        with theirs:
            socket.send_fds(self.control, [b"c"], [theirs.fileno()])
        ours.settimeout(60)
        return ours

    def http(self):
        return Connection(self.connect())

    def ask(self, method, path, body=None, headers=None, connection=None):
        """One request on a connection of its own: (status, headers, body)."""
        c = connection or self.http()
        c.request(method, path if path.startswith("/") else f"{self.base}/{path}", body, headers or {})
        r = c.getresponse()
        answer = r.status, r.headers, r.read()
        if not connection:
            c.close()
        return answer

    def get(self, path, **kw):
        return self.ask("GET", path, **kw)

    def form(self, path, connection=None, **fields):
        return self.ask("POST", path, urllib.parse.urlencode(fields), {"Content-Type": FORM}, connection)

    def raw(self, data):
        """Sends bytes, then shuts down the sending side: all that comes back."""
        with self.connect() as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_all(s)

    def alive(self):
        return self.process.poll() is None and self.get("pod/uuid")[2] == UUID.encode()

    def stop(self):
        self.control.close()
        status = self.process.wait(60)
        return status, self.process.stderr.read()


def read_all(s):
    got = b""
    while True:
        try:
            piece = s.recv(65536)
        except ConnectionResetError:
            return got
        if not piece:
            return got
        got += piece


@pytest.fixture
def mds():
    m = Mds()
    yield m
    assert m.stop() == (0, "")


def signature(content, uuid=UUID, master=MASTER):
    """What the service documents, by another implementation."""
    raw = uuidlib.UUID(uuid).bytes
    key = hmac.new(master, b"appc-vm pod key 1\0" + raw, hashlib.sha512).digest()
    return base64.b64encode(hmac.new(key, raw + content, hashlib.sha512).digest()).decode()


def is_exactly(answer, status, content_type, body):
    got, headers, data = answer
    assert got == status
    assert headers.get_all("Content-Type") == [content_type]
    assert headers.get_all("Content-Length") == [str(len(body))]
    assert data == body


# The endpoints


def test_pod_endpoints_mds_09_10_11(mds):
    is_exactly(mds.get("pod/uuid"), 200, TEXT, UUID.encode())
    is_exactly(mds.get("pod/manifest"), 200, JSON, POD.encode())
    status, headers, body = mds.get("pod/annotations")
    assert (status, headers["Content-Type"]) == (200, JSON)
    assert json.loads(body) == POD_ANNOTATIONS == json.loads(POD)["annotations"]


def test_app_endpoints_mds_12_13_14_15(mds):
    is_exactly(mds.get("apps/main/image/manifest"), 200, JSON, MANIFEST.encode())
    is_exactly(mds.get("apps/main/image/id"), 200, TEXT, IMAGE_ID.encode())
    is_exactly(mds.get("apps/side-kick/image/manifest"), 200, JSON, b"{}")
    is_exactly(mds.get("apps/side-kick/image/id"), 200, TEXT, (IMAGE_ID[:-1] + "0").encode())
    assert json.loads(mds.get("apps/main/annotations")[2]) == APP_ANNOTATIONS
    is_exactly(mds.get("apps/side-kick/annotations"), 200, JSON, b"[]")


def test_no_pod_annotations_are_an_empty_list_val_60():
    m = Mds(bundle(podManifest='{"annotations": []}'))
    is_exactly(m.get("pod/annotations"), 200, JSON, b"[]")
    assert m.stop() == (0, "")


def test_head_is_get_without_a_body(mds):
    c = mds.http()
    for path, content_type, body in [("pod/uuid", TEXT, UUID.encode()), ("pod/manifest", JSON, POD.encode()),
                                     ("apps/main/image/id", TEXT, IMAGE_ID.encode())]:
        status, headers, data = mds.ask("HEAD", path, connection=c)
        assert (status, headers["Content-Type"], headers["Content-Length"], data) == (
            200, content_type, str(len(body)), b"")
    c.close()


def test_metadata_flavor_is_not_demanded_mds_22(mds):
    for headers in ({}, {"Metadata-Flavor": "AppContainer"}, {"Metadata-Flavor": "x"}):
        assert mds.get("pod/uuid", headers=headers)[0] == 200


def test_requests_of_the_ace_validator_val_62(mds):
    """Section 18.5: its twelve requests over one connection, each within its 100 ms in the best of three tries."""
    def conversation():
        c, times = mds.http(), []

        def timed(ask, *args, **kw):
            start = time.monotonic()
            answer = ask(*args, connection=c, **kw)
            times.append(time.monotonic() - start)
            return answer
        flavor = {"headers": {"Metadata-Flavor": "AppContainer"}}
        assert timed(mds.get, "pod/manifest", **flavor)[1]["Content-Type"] == JSON
        uuid = timed(mds.get, "pod/uuid", **flavor)[2].decode()
        assert len(uuid.replace("-", "")) == 32
        assert json.loads(timed(mds.get, "pod/annotations", **flavor)[2]) == POD_ANNOTATIONS
        for app in "main", "side-kick":
            for what in "image/manifest", "image/id", "annotations":
                assert timed(mds.get, f"apps/{app}/{what}", **flavor)[0] == 200
        uuid = timed(mds.get, "pod/uuid", **flavor)[2].decode()
        status, headers, sig = timed(mds.form, "pod/hmac/sign", content="Old MacDonald Had A Farm")
        assert (status, headers["Content-Type"]) == (200, TEXT)
        status, headers, body = timed(mds.form, "pod/hmac/verify", content="Old MacDonald Had A Farm", uuid=uuid,
                                      signature=sig.decode())
        assert (status, headers["Content-Type"], body) == (200, TEXT, b"")
        c.close()
        assert len(times) == 12
        return max(times)
    assert min(conversation() for _ in range(3)) < 0.1


def test_an_answer_is_one_write_val_62(mds):
    """On a socket that keeps message boundaries, each answer is one message."""
    body = b"content=x"
    with mds.connect(socket.SOCK_SEQPACKET) as s:
        for request, end in [(b"GET %s/pod/uuid HTTP/1.1\r\nHost: x\r\n\r\n", UUID.encode()),
                             (b"GET %s/apps/main/image/manifest HTTP/1.1\r\nHost: x\r\n\r\n", MANIFEST.encode()),
                             (b"GET /x%s HTTP/1.1\r\nHost: x\r\n\r\n", b"\n"),
                             (b"POST %s/pod/hmac/sign HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() +
                              b"\r\nContent-Length: 9\r\n\r\n" + body, signature(b"x").encode())]:
            s.send(request % mds.base.encode())
            answer = s.recv(65536)
            assert answer.startswith(b"HTTP/1.1 ") and answer.endswith(end)


# Identity


def test_sign_is_the_documented_hmac_mds_16(mds):
    for content in (b"", b"x", b"Old MacDonald Had A Farm", bytes(range(256)), "é€".encode(), b"a+b/c=&d%"):
        answer = mds.form("pod/hmac/sign", content=content)
        is_exactly(answer, 200, TEXT, signature(content).encode())
        assert len(base64.b64decode(answer[2], validate=True)) == 64


def test_verify_mds_17(mds):
    content = "Old MacDonald Had A Farm"
    sig = mds.form("pod/hmac/sign", content=content)[2].decode()
    good = {"content": content, "uuid": UUID, "signature": sig}
    is_exactly(mds.form("pod/hmac/verify", **good), 200, TEXT, b"")
    assert mds.form("pod/hmac/verify", **dict(good, uuid=UUID.upper()))[0] == 200
    flipped = ("B" if sig[0] == "A" else "A") + sig[1:]
    for change in ({"content": content + "x"}, {"content": ""}, {"signature": flipped}, {"signature": ""},
                   {"signature": sig[:-1]}, {"signature": sig + "="}, {"signature": sig + "\n"},
                   {"uuid": OTHER}, {"uuid": "nonsense"}, {"uuid": ""}, {"uuid": UUID + "0"}, {"uuid": UUID + "\0"},
                   {"uuid": "00000000-0000-0000-0000-000000000000"}):
        is_exactly(mds.form("pod/hmac/verify", **dict(good, **change)), 403, TEXT, b"")


def test_another_pod_verifies_and_cannot_sign_as_this_one_mds_18_20(mds):
    other = Mds(bundle(uuid=OTHER))
    mine = mds.form("pod/hmac/sign", content="x")[2].decode()
    theirs = other.form("pod/hmac/sign", content="x")[2].decode()
    assert mine != theirs
    for m in mds, other:
        assert m.form("pod/hmac/verify", content="x", uuid=UUID, signature=mine)[0] == 200
        assert m.form("pod/hmac/verify", content="x", uuid=OTHER, signature=theirs)[0] == 200
        assert m.form("pod/hmac/verify", content="x", uuid=UUID, signature=theirs)[0] == 403
        assert m.form("pod/hmac/verify", content="x", uuid=OTHER, signature=mine)[0] == 403
    assert other.stop() == (0, "")
    # MDS-20: the signer has ended; another start of a service still knows its signature.
    again = Mds(bundle(uuid=UUID, token="B" * 43))
    assert again.form("pod/hmac/verify", content="x", uuid=OTHER, signature=theirs)[0] == 200
    assert again.stop() == (0, "")


def test_services_with_another_master_key_do_not_agree(mds):
    other = Mds(bundle(masterKey=(b"k" * 64).hex()))
    sig = other.form("pod/hmac/sign", content="x")[2].decode()
    assert mds.form("pod/hmac/verify", content="x", uuid=UUID, signature=sig)[0] == 403
    assert other.stop() == (0, "")


def test_base64_in_forms_mds_24(mds):
    """A signature with all of + / = has to arrive when it is escaped, and as spaces when it is not."""
    n = next(n for n in range(1000) if {"+", "/", "="} <= set(signature(b"%d" % n)))
    sig = signature(b"%d" % n)
    headers = {"Content-Type": FORM + "; charset=UTF-8"}
    for text, status in [(urllib.parse.quote(sig, safe=""), 200), (sig.replace("+", "%2b"), 200), (sig, 403)]:
        body = f"uuid={UUID}&signature={text}&content={n}"
        assert mds.ask("POST", "pod/hmac/verify", body, headers)[0] == status


def test_content_up_to_its_limit(mds):
    content = random.Random(1).randbytes(1 << 20)
    is_exactly(mds.form("pod/hmac/sign", content=content), 200, TEXT, signature(content).encode())
    assert mds.form("pod/hmac/verify", content=content, uuid=UUID, signature=signature(content))[0] == 200
    assert mds.form("pod/hmac/sign", content=content + b"x")[0] == 413
    assert mds.alive()


# Refusals


def test_a_wrong_token_tells_nothing_mds_03(mds):
    rest = "/acMetadata/v1/pod/uuid"
    bodies = set()
    for path in ("/", rest, f"/{TOKEN[:-1]}B{rest}", f"/{TOKEN[:-1]}{rest}", f"/{TOKEN}x{rest}", f"/{UUID}{rest}",
                 f"/{TOKEN.lower()}{rest}", "/nothing/at/all", f"/%00{TOKEN}{rest}"):
        for method in "GET", "PUT":
            status, headers, body = mds.ask(method, path)
            assert (status, headers["Content-Type"]) == (403, TEXT)
            bodies.add(body)
    assert mds.ask("POST", "/x/acMetadata/v1/pod/hmac/sign", "content=x", {"Content-Type": FORM})[0] == 403
    assert len(bodies) == 1


def test_unknown_paths_mds_21(mds):
    for path in ("pod", "pod/", "pod/uuid/", "pod/nothing", "apps/nobody/image/id", "apps/main", "apps//image/id",
                 "pod/hmac", "apps/main/image/id/x", "pod/uuid%00", "pod/uuid%2Fx", "../v1/pod/uuid"):
        assert mds.get(path)[0] == 404, path
    for path in (f"/{TOKEN}", f"/{TOKEN}/", f"/{TOKEN}/acMetadata/v2/pod/uuid", f"/{TOKEN}/ACMETADATA/v1/pod/uuid"):
        assert mds.get(path)[0] == 404, path


def test_wrong_methods_mds_21(mds):
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"):
        status, headers, _ = mds.ask(method, "pod/uuid")
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
    for method in ("GET", "HEAD", "PUT"):
        status, headers, _ = mds.ask(method, "pod/hmac/sign")
        assert (status, headers["Allow"]) == (405, "POST")


def test_missing_fields_mds_21(mds):
    full = {"content": "x", "uuid": UUID, "signature": signature(b"x")}
    for missing in full:
        assert mds.form("pod/hmac/verify", **{k: v for k, v in full.items() if k != missing})[0] == 400
    assert mds.form("pod/hmac/sign")[0] == 400
    assert mds.form("pod/hmac/sign", Content="x")[0] == 400
    assert mds.ask("POST", "pod/hmac/sign")[0] == 400
    assert mds.ask("POST", "pod/hmac/sign", "content=x")[0] == 400
    for content_type in ("text/plain", FORM + "x", "multipart/form-data; boundary=x"):
        assert mds.ask("POST", "pod/hmac/sign", "content=x", {"Content-Type": content_type})[0] == 400
    for body in ("content=a&content=b", "content=%", "content=%4", "content=%zz", "content=a\nb", "content=a b",
                 b"content=a\0b"):
        assert mds.ask("POST", "pod/hmac/sign", body, {"Content-Type": FORM})[0] == 400, body


def test_slashes_in_a_row_count_as_one(mds):
    is_exactly(mds.get(f"/{TOKEN}//acMetadata/v1/pod/uuid"), 200, TEXT, UUID.encode())
    is_exactly(mds.get(f"/{TOKEN}/acMetadata/v1/apps/main//image/id"), 200, TEXT, IMAGE_ID.encode())


def test_a_body_where_none_belongs_is_not_the_next_request(mds):
    c = mds.http()
    smuggled = f"GET {mds.base}/pod/manifest HTTP/1.1\r\nHost: x\r\n\r\n"
    for method, path, status in [("GET", "pod/uuid", 200), ("PUT", "pod/uuid", 405), ("POST", "pod/x", 404),
                                 ("POST", "/x", 403)]:
        assert mds.ask(method, path, smuggled, connection=c)[0] == status
    assert mds.get("pod/uuid", connection=c)[2] == UUID.encode()
    c.close()


def test_large_bodies_mds_21(mds):
    """The whole body is read up to 16 MiB so that the client sees the answer; no more than the limit is kept."""
    c = mds.http()
    for body in (b"content=" + b"x" * (1 << 20) + b"y", b"other=" + b"x" * (5 << 20)):
        assert mds.ask("POST", "pod/hmac/sign", body, {"Content-Type": FORM}, c)[0] == 413
    assert mds.get("pod/uuid", connection=c)[0] == 200
    chunks = (b"x" * 65536 for _ in range(80))
    assert mds.ask("POST", "pod/hmac/sign", chunks, {"Content-Type": FORM}, c)[0] == 413
    c.close()


@pytest.mark.parametrize("method", ["POST", "GET", "PUT"])
def test_an_announced_flood_is_refused_at_once(mds, method):
    with mds.connect() as s:
        s.sendall(f"{method} {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode())
        assert int(s.recv(65536).split()[1]) in (405, 413)
        assert read_all(s) == b""
    assert mds.alive()


def test_an_endless_body_is_cut_off(mds):
    with mds.connect() as s:
        s.sendall(f"POST {mds.base}/pod/hmac/sign HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 64 << 20:
                s.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                sent += 65536
        assert (16 << 20) - (1 << 20) < sent < 32 << 20
    assert mds.alive()


def test_too_many_large_forms_at_once_are_told_to_come_back(mds):
    content = b"x" * (1 << 20)
    head = (f"POST {mds.base}/pod/hmac/sign HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
            f"Content-Length: {len(content) + 8}\r\n\r\ncontent=").encode()
    socks = [mds.connect() for _ in range(40)]
    # All but the last byte, so that every form is held.
    for s in socks:
        s.sendall(head + content[:-1])
    assert mds.alive()
    for s in socks:
        s.sendall(content[-1:])
    answers = [s.recv(65536) for s in socks]
    for s in socks:
        s.close()
    codes = sorted(int(a.split()[1]) for a in answers)
    assert set(codes) == {200, 503} and codes.count(200) >= 30
    assert all(b"\r\nRetry-After: 1\r\n" in a for a in answers if b" 503 " in a[:13])
    # What was held is given back.
    assert mds.form("pod/hmac/sign", content=content)[0] == 200


# Connections


def test_pipelined_requests_are_answered_in_order(mds):
    paths = ["pod/uuid", "apps/main/image/id", "pod/x", "pod/manifest"] * 50
    data = b"".join(f"GET {mds.base}/{p} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for p in paths)
    got = mds.raw(data + f"GET {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert got.count(b"HTTP/1.1 ") == 201
    assert got.count(UUID.encode()) == 51 and got.count(POD.encode()) == 50 and got.count(b" 404 ") == 50
    assert got.endswith(UUID.encode())


def test_http_1_0_and_close(mds):
    got = mds.raw(f"GET {mds.base}/pod/uuid HTTP/1.0\r\n\r\n".encode())
    assert b" 200 OK\r\n" in got and got.endswith(b"\r\n\r\n" + UUID.encode())


def test_a_client_that_sends_no_more_is_answered_and_closed(mds):
    for _ in range(200):
        got = mds.raw(f"GET {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert got.endswith(b"\r\n\r\n" + UUID.encode())
        assert mds.raw(f"GET {mds.base}/pod/uuid HTTP".encode()) == b""


def test_expect_100_continue(mds):
    with mds.connect() as s:
        s.sendall(f"POST {mds.base}/pod/hmac/sign HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
                  "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n".encode())
        assert s.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"content=x")
        assert s.recv(65536).endswith(signature(b"x").encode())


def test_a_large_answer_reaches_a_slow_reader():
    text = json.dumps({"annotations": [], "x": "y" * (6 << 20)})
    m = Mds(bundle(podManifest=text))
    with m.connect() as s:
        s.sendall(f"GET {m.base}/pod/manifest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        got = b""
        assert m.get("pod/uuid")[0] == 200
        while piece := s.recv(1 << 16):
            got += piece
    assert got.endswith(b"\r\n\r\n" + text.encode())
    assert m.stop() == (0, "")


def test_a_hundred_at_once(mds):
    errors = []

    def client(n):
        try:
            c = mds.http()
            for i in range(20):
                content = f"{n}-{i}".encode()
                assert mds.form("pod/hmac/sign", connection=c, content=content)[2] == signature(content).encode()
                assert mds.get("apps/main/image/manifest", connection=c)[2] == MANIFEST.encode()
            c.close()
        except Exception as e:  # pylint: disable=broad-except
            errors.append(e)
    # All connections are open, and have half a request sent, before the first goes on.
    held = [mds.connect() for _ in range(100)]
    for s in held:
        s.sendall(f"GET {mds.base}/pod/uuid HTTP/1.1\r\n".encode())
    threads = [threading.Thread(target=client, args=(n,)) for n in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    for s in held:
        s.sendall(b"Host: x\r\n\r\n")
    for s in held:
        assert s.recv(65536).endswith(UUID.encode())
        s.close()


def resident(m):
    with open(f"/proc/{m.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_ten_thousand_requests_leak_nothing(mds):
    """On one connection and on as many, of which the service may have far fewer at once than it gets."""
    def all_kinds(n):
        c = mds.http()
        for i in range(n):
            if i % 4 == 0:
                assert mds.form("pod/hmac/sign", connection=c, content="x" * i)[0] == 200
            else:
                assert mds.get(("pod/uuid", "pod/nothing", "pod/manifest")[i % 3], connection=c)[0] in (200, 404)
        c.close()
    all_kinds(1000)
    before = resident(mds)
    all_kinds(10000)
    request = f"GET {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    for i in range(10000):
        with mds.connect() as s:
            s.sendall(request if i % 3 else request[:-2])
            if i % 3:
                assert s.recv(4096).endswith(UUID.encode())
    assert mds.alive()
    assert resident(mds) - before < 1 << 20


def test_more_connections_than_allowed_are_closed(mds):
    held = [mds.connect() for _ in range(256)]
    with mds.connect() as s:
        assert s.recv(1) == b""
    held.pop().close()
    for s in held:
        s.sendall(f"GET {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert read_all(s).endswith(UUID.encode())
        s.close()
    assert mds.alive()


def test_a_slow_drip_is_ended():
    """Bytes that trickle in don't keep a connection: it has to complete a request."""
    m = Mds(None, "--timeout-ms=300")
    with m.connect() as s, m.connect() as idle:
        s.sendall(f"GET {m.base}/pod/uuid HTTP/1.1\r\nX: ".encode())
        while not select.select([s], [], [], 0.01)[0]:
            s.send(b"x")
        assert read_all(s) == b""
        assert read_all(idle) == b""
    assert m.alive()
    assert m.stop() == (0, "")


def test_who_does_not_read_is_ended():
    text = json.dumps({"annotations": [], "x": "y" * (6 << 20)})
    m = Mds(bundle(podManifest=text), "--timeout-ms=300")
    with m.connect() as s:
        s.sendall(f"GET {m.base}/pod/manifest HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        hung_up = select.poll()
        hung_up.register(s, 0)
        assert hung_up.poll(60000)
        assert len(read_all(s)) < len(text)
    assert m.stop() == (0, "")


# Hostile bytes


def test_huge_headers_are_refused(mds):
    start = f"GET {mds.base}/pod/uuid HTTP/1.1\r\nHost: x\r\n".encode()
    for data in (start + b"X: " + b"y" * 100000 + b"\r\n\r\n", start + b"X: y\r\n" * 50000 + b"\r\n",
                 b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"G" * 100000, b"\r\n" * 100000,
                 start + b"X:" + b"\r\n\t" * 40000 + b"\r\n\r\n"):
        got = mds.raw(data)
        assert got == b"" or 400 <= int(got.split()[1]) < 500, got[:80]
        assert UUID.encode() not in got
    assert mds.alive()


def test_garbage_is_survived(mds):
    path = f"{mds.base}/pod/hmac/sign".encode()
    good = (b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() +
            b"\r\nContent-Length: 9\r\n\r\ncontent=x")
    r = random.Random(2)
    cases = [b"\0" * 100, b"\xff" * 100, b"GET", b"GET \r\n\r\n", b" / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
             b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
             good.replace(b"9", b"-1"), good.replace(b"9", b"99999999999999999999999"), good.replace(b"9", b"x"),
             good.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked") + b"\r\nzz\r\n",
             good.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked\r\nContent-Length: 9"),
             good.replace(b"Content-Length: 9", b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")]
    for _ in range(300):
        b = bytearray(good)
        for _ in range(r.randrange(1, 12)):
            at = r.randrange(len(b))
            b[at:at + r.randrange(3)] = r.randbytes(r.randrange(3))
        cases.append(bytes(b))
    for data in cases:
        mds.raw(data)
    assert mds.alive()


# The process


def test_a_bad_bundle_is_one_line_without_secrets():
    for doc, why in [(b"", "no JSON object"), (b"[]", "no JSON object"), (bundle(uuid="x"), "UUID"),
                     (bundle(token="short"), "token"), (bundle(masterKey="00"), "masterKey"),
                     (bundle(podManifest="{}"), "annotations"), (bundle(apps=None), "apps"),
                     (json.dumps(bundle()).encode()[:-1], "no JSON object")]:
        status, err = Mds(doc).stop()
        assert status == 1
        assert err.startswith("appc-mds: ") and err.count("\n") == 1 and why in err
        assert TOKEN not in err and MASTER.hex() not in err


def test_command_line():
    def run(*args):
        r = subprocess.run([BUILD / "appc-mds", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           check=False)
        return r.returncode, r.stdout, r.stderr
    status, out, err = run("--help")
    assert (status, err) == (0, "") and "--bundle-fd=N" in out
    for args in ((), ("--bundle-fd=0",), ("--bundle-fd=x",), ("x",), ("--bundle-fd",), ("--nothing=1",),
                 ("--bundle-fd=0", "--connections-fd=0", "--timeout-ms=0")):
        status, out, err = run(*args)
        assert (status, out, err.count("\n")) == (1, "", 1) and err.startswith("appc-mds: ")
    assert "bundle" in run("--bundle-fd=77", "--connections-fd=78")[2]


def test_a_message_without_a_connection_ends_it():
    m = Mds()
    m.control.send(b"x")
    assert m.process.wait(60) == 1
    assert "0 descriptors" in m.process.stderr.read()


def test_it_holds_no_privilege(mds):
    assert mds.alive()
    with open(f"/proc/{mds.process.pid}/status", encoding="ascii") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2" and status["Threads"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    if os.geteuid() == 0:
        assert "0" not in status["Uid"].split()
        assert sorted(map(int, os.listdir(f"/proc/{mds.process.pid}/fd")))[:3] == [0, 1, 2]
        # Three standard ones, the supervisor, two epolls, and the connection of alive() if it is still there.
        assert len(os.listdir(f"/proc/{mds.process.pid}/fd")) <= 7


# appc-vm metadata verify: the same signatures on the host


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "metadata.key"
    path.write_bytes(MASTER)
    path.chmod(0o600)
    return path


def verify(*args, content=b"x", **kw):
    r = subprocess.run([BUILD / "appc-vm", "metadata", "verify", *map(str, args)], input=content,
                       capture_output=True, check=False, **kw)
    return r.returncode, (r.stdout + r.stderr).decode()


def test_the_host_verifies_with_the_master_key(mds, key, tmp_path):
    sig = mds.form("pod/hmac/sign", content=b"a\0b\n")[2].decode()
    file, sig_file = tmp_path / "content", tmp_path / "signature"
    file.write_bytes(b"a\0b\n")
    sig_file.write_text(sig + "\n")
    valid = (0, f"valid: signed by pod {UUID}\n")
    common = (f"--key-file={key}", f"--uuid={UUID}")
    assert verify(*common, f"--signature={sig}", file) == valid
    assert verify(*common, f"--signature-file={sig_file}", "-", content=b"a\0b\n") == valid
    assert verify(f"--dir={tmp_path}", f"--uuid={UUID.upper()}", f"--signature={sig}", file) == valid
    assert verify(*common, "--signature-file=-", file, content=sig.encode()) == valid
    for args in ((*common, f"--signature={sig}", sig_file), (*common, "--signature=", file),
                 (f"--key-file={key}", f"--uuid={OTHER}", f"--signature={sig}", file)):
        status, line = verify(*args)
        assert status == 1 and line.startswith("appc-vm: not valid: ") and line.count("\n") == 1
    key.write_bytes(b"k" * 64)
    assert verify(*common, f"--signature={sig}", file)[0] == 1


def test_the_host_says_what_is_wrong(key, tmp_path):
    def fails(status, why, *args):
        got, line = verify(*args)
        assert got == status and why in line and line.count("\n") == 1, line
    good = (f"--key-file={key}", f"--uuid={UUID}", "--signature=x")
    fails(2, "--uuid", f"--key-file={key}", "--signature=x")
    fails(2, "no UUID", f"--key-file={key}", "--signature=x", "--uuid=x")
    fails(2, "--signature", f"--key-file={key}", f"--uuid={UUID}")
    fails(2, "--signature", *good, f"--signature-file={key}")
    fails(2, "standard input", f"--key-file={key}", f"--uuid={UUID}", "--signature-file=-")
    fails(1, "no master key", f"--dir={tmp_path / 'none'}", f"--uuid={UUID}", "--signature=x")
    assert not (tmp_path / "none").exists()
    fails(1, "can't open", *good, tmp_path / "missing")
    key.chmod(0o644)
    fails(1, "chmod 600", *good)
