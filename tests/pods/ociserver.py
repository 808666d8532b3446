# SPDX-License-Identifier: Apache-2.0
"""OCI images made in Python, as layouts and archives on disk and in a registry of the test web."""
import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from urllib.parse import parse_qs, urlsplit

OCI = "application/vnd.oci.image."
INDEX, MANIFEST, CONFIG = OCI + "index.v1+json", OCI + "manifest.v1+json", OCI + "config.v1+json"
LAYER = OCI + "layer.v1.tar"
REGISTRY, AUTH, CDN = "registry.example.com", "auth.example.com", "cdn.example.net"
HUB = "registry-1.docker.io"
OCI_HOSTS = [REGISTRY, AUTH, CDN, HUB]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layer:
    """The tar of one layer, entry by entry."""

    def __init__(self, compress="gzip"):
        self.out, self.compress = io.BytesIO(), compress
        self.tar = tarfile.open(fileobj=self.out, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, type=tarfile.REGTYPE, content=b"", mode=0o644, **kw):
        info = tarfile.TarInfo(name)
        content = content.encode() if isinstance(content, str) else content
        info.type, info.mode, info.size, info.mtime = type, mode, len(content), 1_500_000_000
        xattrs = kw.pop("xattrs", {})
        for k, v in kw.items():
            setattr(info, k, v)
        info.pax_headers = {"SCHILY.xattr." + k: v for k, v in xattrs.items()}
        self.tar.addfile(info, io.BytesIO(content))
        return self

    def file(self, name, content="", **kw):
        return self.add(name, content=content, **kw)

    def dir(self, name, mode=0o755, **kw):
        return self.add(name, tarfile.DIRTYPE, mode=mode, **kw)

    def symlink(self, name, target):
        return self.add(name, tarfile.SYMTYPE, linkname=target, mode=0o777)

    def link(self, name, target):
        return self.add(name, tarfile.LNKTYPE, linkname=target)

    def gone(self, name):
        folder, _, leaf = name.rpartition("/")
        return self.file((folder + "/" if folder else "") + ".wh." + leaf)

    def opaque(self, folder):
        return self.file((folder + "/" if folder else "") + ".wh..wh..opq")

    @property
    def plain(self):
        self.tar.close()
        return self.out.getvalue()

    @property
    def packed(self):
        if self.compress == "gzip":
            return gzip.compress(self.plain, 1, mtime=0)
        if self.compress == "zstd":
            return subprocess.run(["zstd", "-qc"], input=self.plain, capture_output=True, check=True).stdout
        return self.plain

    @property
    def media_type(self):
        return LAYER + {"gzip": "+gzip", "zstd": "+zstd", None: ""}[self.compress]


class Image:
    """Blobs by digest, and the bytes of the manifest."""

    def __init__(self, layers, arch="amd64", os="linux", diff_ids=None, descriptors=None, config=None, **run):
        self.layers, self.blobs = layers, {}
        self.config = config if config is not None else json.dumps({
            "architecture": arch, "os": os, "created": "2024-05-06T07:08:09.123Z", "author": "somebody",
            "config": run, "rootfs": {"type": "layers",
                                      "diff_ids": diff_ids or [digest(l.plain) for l in layers]}}).encode()
        self.platform = {"architecture": arch, "os": os}
        self.blob(self.config)
        for l in layers:
            self.blob(l.packed)
        self.document = {"schemaVersion": 2, "mediaType": MANIFEST,
                         "config": self.descriptor(CONFIG, self.config),
                         "layers": descriptors or [self.descriptor(l.media_type, l.packed) for l in layers]}

    def blob(self, data):
        self.blobs[digest(data)] = data

    @staticmethod
    def descriptor(media_type, data, **more):
        return dict({"mediaType": media_type, "digest": digest(data), "size": len(data)}, **more)

    @property
    def manifest(self):
        return json.dumps(self.document).encode()

    @property
    def digest(self):
        return digest(self.manifest)

    def entry(self, tag=None, platform=True):
        """The image's descriptor in an index."""
        more = {"platform": self.platform} if platform else {}
        if tag:
            more["annotations"] = {"org.opencontainers.image.ref.name": tag}
        return self.descriptor(MANIFEST, self.manifest, **more)


def index(*entries):
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}).encode()


def layout(path, images, entries=None):
    """An OCI layout: {tag: image}."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    for i in images.values():
        for d, data in [*i.blobs.items(), (i.digest, i.manifest)]:
            (blobs / d.split(":")[1]).write_bytes(data)
    (path / "index.json").write_bytes(index(*(entries or [i.entry(t) for t, i in images.items()])))
    return path


def docker_archive(path, images):
    """What docker save writes: {"name:tag": image}."""
    with tarfile.open(path, "w") as t:
        def add(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        listing = []
        for name, image in images.items():
            layers = []
            for l in image.layers:
                layers.append(digest(l.plain).split(":")[1] + "/layer.tar")
                if layers[-1] not in t.getnames():
                    add(layers[-1], l.plain)
            config = digest(image.config).split(":")[1] + ".json"
            if config not in t.getnames():
                add(config, image.config)
            listing.append({"Config": config, "RepoTags": [name], "Layers": layers})
        add("manifest.json", json.dumps(listing).encode())
    return path


class Registry:
    """One repository after the other on a host of the test web; a token service when it has one."""

    def __init__(self, web, host=REGISTRY, token=None, basic=None, cdn=None):
        self.web, self.host, self.token, self.basic, self.cdn = web, host, token, basic, cdn
        self.scopes = []
        if token:
            web.routes[AUTH, "/token"] = self.answer_token

    def answer_token(self, h):
        query = parse_qs(urlsplit(h.path).query)
        self.scopes.append(query.get("scope"))
        if self.basic and h.headers.get("Authorization") != self.basic:
            return h.reply(401, b"", {"WWW-Authenticate": "Basic realm=x"})
        h.reply(200, json.dumps({"token": self.token, "expires_in": 300}), {})

    def serve(self, repository, path, data, headers=None):
        scope = f"repository:{repository}:pull"

        def answer(h):
            if self.token and h.headers.get("Authorization") != f"Bearer {self.token}":
                return h.reply(401, b"{}", {"WWW-Authenticate":
                                            f'Bearer realm="https://{AUTH}/token",service="{self.host}",scope="{scope}"'})
            return data(h) if callable(data) else h.reply(200, data, headers or {})
        self.web.routes[self.host, f"/v2/{repository}/{path}"] = answer

    def document(self, repository, reference, data, media_type):
        self.serve(repository, f"manifests/{reference}", data, {"Content-Type": media_type})

    def push(self, repository, tag, image):
        self.document(repository, image.digest, image.manifest, MANIFEST)
        if tag:
            self.document(repository, tag, image.manifest, MANIFEST)
        for d, data in image.blobs.items():
            if self.cdn:
                self.web.routes[self.cdn, "/" + d] = (200, data, {})
                self.serve(repository, f"blobs/{d}", lambda h, d=d: h.reply(
                    307, b"", {"Location": f"https://{self.cdn}/{d}?signature=x"}))
            else:
                self.serve(repository, f"blobs/{d}", data)

    def push_index(self, repository, tag, images):
        data = index(*(i.entry() for i in images))
        for i in images:
            self.push(repository, None, i)
        for reference in (tag, digest(data)):
            self.document(repository, reference, data, INDEX)
        return digest(data)
