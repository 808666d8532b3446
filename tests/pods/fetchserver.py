# SPDX-License-Identifier: Apache-2.0
"""A web of several HTTPS hosts on one loopback port, a test CA, and somebody who signs images."""
import fcntl
import gzip
import hashlib
import http.server
import io
import json
import os
import pty
import select
import socket
import ssl
import struct
import subprocess
import tarfile
import termios
import threading
from urllib.parse import urlsplit

import pytest

from conftest import BUILD, Appc

TEMPLATE = "https://mirror.example.net/{os}/{arch}/{name}-{version}.{ext}"
WHERE = "/linux/amd64/{}-{}.aci"
HOSTS = ["example.com", "www.example.com", "mirror.example.net", "example.org", "keys.example.org"]


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, capture_output=True, **kw)


class Authority:
    """A CA made with openssl, and certificates of it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "ca.pem"
        self.key = folder / "ca.key"
        self._new_key(self.key)
        run("openssl", "req", "-x509", "-new", "-key", self.key, "-subj", "/CN=Test CA", "-days", "2",
            "-out", self.file)

    @staticmethod
    def _new_key(path):
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)

    def certificate(self, hosts, name="server", not_after=False):
        key, csr, pem, ext = (self.folder / f"{name}.{s}" for s in ("key", "csr", "pem", "ext"))
        self._new_key(key)
        run("openssl", "req", "-new", "-key", key, "-subj", "/CN=test", "-out", csr)
        ext.write_text("subjectAltName=" + ",".join("DNS:" + h for h in hosts) + "\n")
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.file, "-CAkey", self.key, "-CAcreateserial",
            *(["-days", "-1"] if not_after else ["-days", "2"]), "-extfile", ext, "-out", pem)
        return pem, key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        web = self.server.web
        host = self.headers.get("Host", "").split(":")[0]
        path = urlsplit(self.path).path
        with web.lock:
            web.log.append((host, self.path, dict(self.headers)))
        answer = web.routes.get((host, path))
        if answer is None:
            self.reply(404, b"<html>not here</html>", {"Content-Type": "text/html"})
        elif callable(answer):
            answer(self)
        else:
            self.reply(*answer)

    def reply(self, status, body=b"", headers=None):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for k, v in (headers or {}).items():
            self.send_header(k, v)
        if not any(k.lower() in ("content-length", "transfer-encoding") for k in headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang_up(self):
        """Ends the connection without a word more."""
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are the point of some tests


class Web:
    """All hosts; routes are {(host, path): (status, body, headers) or a function of the handler}."""

    def __init__(self, authority, hosts=HOSTS, certificate=None, tls=True):
        self.routes, self.log, self.lock = {}, [], threading.Lock()
        self.authority, self.hosts, self.tls = authority, hosts, tls
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.web = self
        if tls:
            pem, key = certificate or authority.certificate(hosts)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def options(self):
        public = 443 if self.tls else 80
        return [f"--ca-file={self.authority.file}"] + \
            [f"--resolve={h}:{public}:127.0.0.1:{self.port}" for h in self.hosts]

    def clear(self):
        self.routes.clear()
        self.log.clear()

    def paths(self, host=None):
        with self.lock:
            return [p for h, p, _ in self.log if host in (None, h)]

    def seen(self, path):
        """The headers of all requests for a path."""
        with self.lock:
            return [h for _, p, h in self.log if urlsplit(p).path == path]

    def page(self, name, *tags, status=200, extra=""):
        """A page with meta tags at the discovery URL of an image name."""
        host, _, rest = name.partition("/")
        metas = "".join(f'<meta name="{n}" content="{c}">\n' for n, c in tags)
        self.routes[host, "/" + rest] = (status, f"<!doctype html><html><head><title>x</title>\n{metas}"
                                         f"</head><body>{extra}</body></html>", {"Content-Type": "text/html"})

    def image(self, host, path, aci, signature=None, headers=None):
        self.routes[host, path] = (200, aci, headers or {})
        if signature is not None:
            self.routes[host, path + ".asc"] = (200, signature, {})


def ranged(data, etag='"v1"', cut=None, on_request=None):
    """An answer that understands Range and If-Range; `cut` bytes in, the first answer breaks off."""
    state = {"cut": cut}

    def answer(h):
        if on_request:
            on_request(h)
        first, total = 0, len(data)
        want = h.headers.get("Range")
        if want and h.headers.get("If-Range") in (None, etag):
            first = int(want.split("=")[1].split("-")[0])
        if h.headers.get("If-None-Match") == etag:
            return h.reply(304, b"", {"ETag": etag})
        h.send_response(206 if first else 200)
        h.send_header("ETag", etag)
        h.send_header("Content-Length", str(total - first))
        if first:
            h.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        h.end_headers()
        if state["cut"] is not None:
            end, state["cut"] = state["cut"], None
            h.wfile.write(data[first:end])
            h.wfile.flush()
            return h.hang_up()
        h.wfile.write(data[first:])
    return answer


def aci(name, files=None, labels=None, compress=True, text=None, **more):
    """An image archive, as bytes."""
    labels = {"version": "1.0.0", "os": "linux", "arch": "amd64"} if labels is None else labels
    doc = {"acKind": "ImageManifest", "acVersion": "0.8.11", "name": name,
           "labels": [{"name": k, "value": v} for k, v in labels.items()]}
    doc.update(more)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        def add(path, content=None):
            info = tarfile.TarInfo(path)
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                t.addfile(info)
            else:
                info.size, info.mode = len(content), 0o755
                t.addfile(info, io.BytesIO(content))
        add("manifest", (text or json.dumps(doc)).encode())
        add("rootfs")
        folders = set()
        for path, content in sorted((files or {"file": name}).items()):
            for i, c in enumerate(path):
                if c == "/" and path[:i] not in folders:
                    folders.add(path[:i])
                    add("rootfs/" + path[:i])
            add("rootfs/" + path, content if isinstance(content, bytes) else content.encode())
    data = out.getvalue()
    return gzip.compress(data, 1) if compress else data


class Gpg:
    """A GnuPG home of its own."""

    def __init__(self, home):
        home.mkdir(mode=0o700)
        self.home = home
        self.env = dict(os.environ, GNUPGHOME=str(home))

    def __call__(self, *args, data=None):
        return subprocess.run(["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback",
                               "--passphrase", "", *args], env=self.env, input=data, check=True,
                              capture_output=True).stdout

    def key(self, user, algorithm="ed25519", expire="never", *options):
        """Makes a key: its fingerprint in lower case."""
        self(*options, "--quick-gen-key", user, algorithm, "sign", expire)
        listing = self("--with-colons", "--list-keys", user).decode()
        return [l.split(":")[9] for l in listing.splitlines() if l.startswith("fpr")][-1].lower()

    def public(self, *users):
        return self("--armor", "--export", *users)

    def sign(self, data, user, *options):
        return self(*options, "--armor", "--local-user", user, "--detach-sign", data=data)

    def close(self):
        subprocess.run(["gpgconf", "--kill", "all"], env=self.env, capture_output=True)


class User(Appc):
    """The command with a data and a configuration directory of its own, on the test web."""

    def __init__(self, folder, web):
        super().__init__(folder / "data", folder)
        self.config = folder / "config"
        self.web = web
        self.env["APPC_VM_CONFIG"] = str(self.config)
        for v in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            self.env.pop(v, None)

    def net(self, command, *args, **kw):
        return self(*command.split(), *self.web.options(), *args, **kw)

    def fetch(self, *args, **kw):
        return self.net("fetch", *args, **kw)

    def fails(self, *args, words, count=1, **kw):
        """One line on standard error that holds the words; the store is as before."""
        before = self.snapshot()
        r = self.fetch(*args, **kw)
        lines = [l for l in r.stderr.splitlines() if ": looking for it" not in l and "MB from" not in l]
        assert r.returncode == 1 and r.stdout == "", r.stderr
        assert len(lines) == 1, r.stderr
        for w in [words] if isinstance(words, str) else words:
            assert w in lines[0], lines[0]
        assert self.snapshot() == before
        return lines[0]

    def snapshot(self):
        blobs = self.data / "blobs"
        files = sorted(p.name for p in blobs.iterdir()) if blobs.exists() else []
        return files, self("image", "list", "--format=json", check=0).stdout

    def images(self):
        return {i["name"]: i for i in json.loads(self("image", "list", "--format=json", check=0).stdout)}

    def trust(self, gpg, user, where="--root"):
        key = self.work / f"{user}.pub"
        key.write_bytes(gpg.public(user))
        self("trust", "add", where, "--yes", key, check=0)

    def downloads(self):
        return sorted(p.name for p in (self.data / "downloads").glob("*.part"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def gpg(tmp_path_factory):
    g = Gpg(tmp_path_factory.mktemp("g") / "home")
    g.fpr = g.key("signer@example.com")
    g.other = g.key("other@example.com")
    yield g
    g.close()


@pytest.fixture(scope="module")
def shared_web(authority):
    w = Web(authority)
    yield w
    w.close()


@pytest.fixture
def web(shared_web):
    shared_web.clear()
    return shared_web


@pytest.fixture
def user(tmp_path, web):
    return User(tmp_path, web)


@pytest.fixture
def trusting(user, gpg):
    user.trust(gpg, "signer@example.com", "--prefix=example.com")
    return user


def offer(web, gpg, name, version="1.0.0", signer="signer@example.com", data=None, where=None, **more):
    """A page and a signed image at the mirror: the image's bytes."""
    labels = more.pop("labels", {"version": version, "os": "linux", "arch": "amd64"})
    data = data if data is not None else aci(name, labels=labels, **more)
    web.page(name, ("ac-discovery", f"{name} {TEMPLATE}"))
    web.image("mirror.example.net", where or WHERE.format(name, version), data,
              gpg.sign(data, signer) if signer else None)
    return data


def image_id(data):
    tar = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return "sha512-" + hashlib.sha512(tar).hexdigest()


def dep(name, **more):
    return dict({"imageName": name}, **more)


def at_version(web, gpg, name, **more):
    """An image that is found with and without a version."""
    data = offer(web, gpg, name, **more)
    for ext in ("", ".asc"):
        web.routes["mirror.example.net", WHERE.format(name, "latest") + ext] = \
            web.routes["mirror.example.net", WHERE.format(name, "1.0.0") + ext]
    return data


def on_terminal(user, args, prompt=None, typed=b"", columns=80):
    """Runs the command on a pseudo terminal, types when the prompt is there: its output and status."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        os.execve(BUILD / "appc-vm", ["appc-vm", *map(str, args)], user.env)
    out = b""
    try:
        while select.select([fd], [], [], 60)[0] and (chunk := os.read(fd, 4096)):
            out += chunk
            if prompt and prompt in out:
                os.write(fd, typed)
                prompt = None
    except OSError:
        pass
    os.close(fd)
    return out.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def endless(web, host, path, headers=None):
    """A body that never ends, as fast as it can be taken: a counter of what was sent."""
    sent = {"bytes": 0}

    def answer(h):
        h.send_response(200)
        for k, v in (headers or {}).items():
            h.send_header(k, v)
        h.end_headers()
        h.close_connection = True
        piece = b"<p>endless" * 6554
        while True:
            h.wfile.write(piece)
            sent["bytes"] += len(piece)
    web.routes[host, path] = answer
    return sent
