# SPDX-License-Identifier: Apache-2.0
"""OCI and Docker images: layouts, archives, registries; what becomes of layers and configs."""
import base64
import json
import os
import shutil
import signal
import subprocess
import tarfile
import threading

import pytest

from conftest import ACCEL, BUSYBOX
from fetchserver import HOSTS, User, Web, authority, endless, on_terminal, ranged, user, web
from ociserver import (AUTH, CDN, CONFIG, HUB, INDEX, MANIFEST, OCI_HOSTS, REGISTRY, Image, Layer, Registry, digest,
                       docker_archive, index, layout)

INSECURE = "--insecure-options=image"
REPO = f"docker://{REGISTRY}/team/app"


@pytest.fixture(scope="module")
def shared_web(authority):
    w = Web(authority, hosts=HOSTS + OCI_HOSTS)
    yield w
    w.close()


def get(user, *args):
    """Fetches: the ID, which is all that is on standard output."""
    out = user.fetch(INSECURE, *args, check=0).stdout
    assert out.startswith("sha512-") and out.count("\n") == sum(not a.startswith("--") for a in args)
    return out.split()[-1]


def fails(user, ref, *words, args=(INSECURE,)):
    return user.fails(*args, ref, words=words)


def manifest(user, image):
    return json.loads(user("image", "cat-manifest", image, check=0).stdout)


def blob(user, image):
    return user.data / "blobs" / image


def names(user, image):
    """{path: TarInfo} below rootfs, in the image's own tar."""
    with tarfile.open(blob(user, image)) as t:
        return {m.name[len("rootfs/"):]: m for m in t if m.name.startswith("rootfs/")}


def text(user, image, path):
    with tarfile.open(blob(user, image)) as t:
        return t.extractfile("rootfs/" + path).read().decode()


def one(user, *layers, tmp=None, **config):
    """An image of these layers from a layout."""
    path = user.work / f"layout-{len(list(user.work.iterdir()))}"
    layout(path, {"v1": Image(list(layers), **config)})
    return get(user, f"oci:{path}:v1")


# --- layers

def test_whiteouts(user):
    low = Layer().dir("d").file("d/a", "1").file("d/b", "2").dir("d/sub").file("d/sub/x").file("keep", "k").symlink("s", "d")
    high = Layer().dir("d").gone("d/a").gone("d/sub").gone("s").gone("never").file("d/c", "3")
    have = names(user, one(user, low, high))
    assert set(have) == {"d", "d/b", "d/c", "keep"}


@pytest.mark.parametrize("last", [False, True])
def test_opaque_directory_hides_what_is_below_and_not_its_own(user, last):
    """The mark counts for the layers below, wherever in the layer it stands."""
    low = Layer().dir("d", mode=0o711).file("d/a").dir("d/e").file("d/e/f")
    high = Layer().dir("d", mode=0o750)
    if not last:
        high.opaque("d")
    high.file("d/new")
    if last:
        high.opaque("d")
    have = names(user, one(user, low, high))
    assert set(have) == {"d", "d/new"} and have["d"].mode == 0o750


def test_opaque_root_and_opaque_without_an_entry_of_the_directory(user):
    low = Layer().dir("a", mode=0o700).file("a/x").file("b")
    have = names(user, one(user, low, Layer().opaque("").file("c")))
    assert set(have) == {"c"}
    have = names(user, one(user, low, Layer().opaque("a")))
    assert set(have) == {"a", "b"} and have["a"].mode == 0o700  # the layer says nothing of it


def test_whiteout_and_the_same_name_in_one_layer(user):
    """The lower one goes, the layer's own comes, in either order."""
    for first in (True, False):
        low = Layer().dir("d").file("d/old").file("f", "old")
        high = Layer()
        if first:
            high.gone("d").gone("f")
        high.dir("d").file("d/new").file("f", "new")
        if not first:
            high.gone("d").gone("f")
        image = one(user, low, high)
        assert set(names(user, image)) == {"d", "d/new", "f"} and text(user, image, "f") == "new"


def test_whiteout_of_a_name_that_comes_back_two_layers_later(user):
    image = one(user, Layer().file("f", "1"), Layer().gone("f"), Layer().file("f", "3"))
    assert text(user, image, "f") == "3"


def test_whiteout_below_what_is_no_directory_changes_nothing(user):
    have = names(user, one(user, Layer().file("f", "x").symlink("s", "/etc"), Layer().gone("f/x").gone("s/passwd")))
    assert set(have) == {"f", "s"} and have["s"].issym()


def test_aufs_notes_are_no_files(user):
    assert set(names(user, one(user, Layer().dir(".wh..wh.plnk").file("x")))) == {"x"}


def test_type_changes(user):
    low = Layer().dir("d").file("d/x").file("f").symlink("s", "f").dir("e")
    high = Layer().file("d", "now a file").dir("f").file("f/y").dir("s").file("s/z").symlink("e", "d")
    have = names(user, one(user, low, high))
    assert set(have) == {"d", "f", "f/y", "s", "s/z", "e"}
    assert have["d"].isfile() and have["f"].isdir() and have["s"].isdir() and have["e"].issym()


def test_symlink_in_the_way_is_followed_inside_the_image(user):
    """A directory without an entry is where the link of a lower layer leads; one with an entry replaces the link."""
    low = (Layer().dir("etc").file("etc/passwd", "mine").symlink("link", "etc").symlink("out", "../../../..")
           .dir("usr").dir("usr/lib").file("usr/lib/old").symlink("lib", "usr/lib").symlink("new", "/made/here")
           .symlink("replaced", "etc"))
    high = (Layer().file("link/passwd", "theirs").file("out/up", "x").file("lib/foo", "foo").gone("lib/old")
            .link("copy", "lib/foo").file("new/f").link("lib/p", "link/passwd").dir("replaced", mode=0o700).file("replaced/passwd", "x"))
    image = one(user, low, high)
    have = names(user, image)
    assert text(user, image, "etc/passwd") == "theirs" and text(user, image, "usr/lib/foo") == "foo"
    assert all(have[n].issym() for n in ("link", "out", "lib", "new")) and have["replaced"].isdir()
    assert {"up", "usr/lib/p", "made/here/f", "replaced/passwd"} < set(have)
    assert not {"lib/foo", "link/passwd", "out/up", "usr/lib/old"} & set(have) and have["made"].mode == 0o755


@pytest.mark.parametrize("low,high,words", [
    (lambda: Layer().symlink("a", "b").symlink("b", "a"), lambda: Layer().file("a/x"), "/a: more than 40 symbolic links"),
    (lambda: Layer().file("f").symlink("a", "f"), lambda: Layer().file("a/x"), "not a directory"),
    (lambda: Layer().dir("d").dir("d/e").symlink("d/r", "/"), lambda: Layer().file("d/r/d").file("d/s"), "is taken away")])
def test_links_that_lead_nowhere(user, tmp_path, low, high, words):
    layout(tmp_path / "l", {"v1": Image([low(), high()])})
    fails(user, f"oci:{tmp_path / 'l'}", words)


def test_directories_merge_with_the_metadata_of_the_upper_one(user):
    low = Layer().dir("d", mode=0o700, uid=5, gid=6).file("d/a").dir("e", mode=0o701)
    high = Layer().dir("d", mode=0o1777, uid=7, gid=8).file("d/b").file("e/c")
    have = names(user, one(user, low, high))
    d = have["d"]
    assert (d.mode, d.uid, d.gid) == (0o1777, 7, 8) and {"d/a", "d/b"} < set(have)
    assert have["e"].mode == 0o701  # nobody said otherwise


def test_hard_links(user):
    low = Layer().file("a", "same").link("b", "a").link("early", "late").file("late", "x")
    high = Layer().link("c", "a").link("d", "c").gone("a")
    image = one(user, low, high)
    have = names(user, image)
    assert set(have) == {"b", "c", "d", "early", "late"}
    assert have["b"].isfile() and [have[n].linkname for n in "cd"] == ["rootfs/b"] * 2
    assert {have["early"].islnk(), have["late"].islnk()} == {True, False}
    assert text(user, image, "d") == "same"


def test_overwriting_one_name_of_a_hard_link_leaves_the_other(user):
    image = one(user, Layer().file("a", "old").link("b", "a"), Layer().file("a", "new"))
    assert text(user, image, "a") == "new" and text(user, image, "b") == "old"


def test_metadata_survives(user):
    big = 2 ** 22
    layer = (Layer().file("cap", "x", mode=0o4755, uid=big, gid=big + 1,
                          xattrs={"security.capability": "\x01\x00\x00\x02", "user.note": "grüße"})
             .add("fifo", tarfile.FIFOTYPE).add("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
             .add("sda", tarfile.BLKTYPE, devmajor=8, devminor=1).file("long/" + "n" * 250, "y")
             .file("ünïcode", "z").file("time", mtime=1234567890.25).file("before", mtime=-2))
    have = names(user, one(user, layer))
    f = have["cap"]
    assert (f.mode, f.uid, f.gid) == (0o4755, big, big + 1)
    assert f.pax_headers["SCHILY.xattr.user.note"] == "grüße"
    assert f.pax_headers["SCHILY.xattr.security.capability"] == "\x01\x00\x00\x02"
    assert have["fifo"].isfifo() and (have["null"].devmajor, have["null"].devminor) == (1, 3)
    assert have["sda"].isblk() and "long/" + "n" * 250 in have and "ünïcode" in have
    assert have["time"].mtime == 1234567890.25 and have["before"].mtime == -2


def test_sparse_files_stay_sparse_and_right(user, tmp_path):
    """Also with pieces that are no multiples of a block, which are widened to blocks."""
    if shutil.which("tar") is None:
        pytest.fail("GNU tar is needed")
    holes = tmp_path / "holes"
    with open(holes, "wb") as f:
        for at in (0, 1 << 20, 5 << 20):
            f.seek(at)
            f.write(b"data at %d" % at)
        f.truncate(8 << 20)
    raw = subprocess.run(["tar", "-C", tmp_path, "--sparse", "--format=pax", "--owner=0", "--group=0", "-cf", "-",
                          "holes"], check=True, capture_output=True).stdout
    assert len(raw) < 1 << 20
    layer = Layer()
    layer.__class__ = type("Raw", (Layer,), {"plain": raw})
    image = one(user, layer)
    assert blob(user, image).stat().st_size < 1 << 20
    out = tmp_path / "out"
    user("image", "extract", image, out, check=0)
    assert (out / "rootfs/holes").read_bytes() == holes.read_bytes()


def test_compressions_and_an_empty_layer_give_one_image(user):
    def layers(c):
        return [Layer(c).file("a", "1"), Layer(c), Layer(c).file("b", "2")]
    ids = {one(user, *layers(c)) for c in ("gzip", "zstd", None)}
    assert len(ids) == 1


def test_layer_without_its_end(user, tmp_path):
    """umoci insert leaves out the padding of the last file and the empty blocks; a cut in a file is no layer."""
    class Cut(Layer):
        plain = Layer().file("a", "x" * 600).plain[:512 + 600]
    image = one(user, Cut())
    assert text(user, image, "a") == "x" * 600
    for end in (512 + 599, 512, 511, 100):
        Cut.plain = Layer().file("a", "x" * 600).plain[:end]
        layout(tmp_path / "l", {"v1": Image([Cut()])})
        fails(user, f"oci:{tmp_path / 'l'}", "layer 1")


def test_no_layers_at_all(user):
    assert names(user, one(user)) == {}


def test_the_same_layer_twice(user, web):
    l = Layer().file("a", "1")
    image = Image([l, Layer().gone("a"), l])
    Registry(web).push("team/app", "v1", image)
    assert set(names(user, get(user, f"{REPO}:v1"))) == {"a"}


# --- configs

PASSWD = "root:x:0:0::/root:/bin/sh\nredis:x:999:1000::/:/bin/sh\n"
GROUP = "root:x:0:\nredis:x:1000:\nextra:x:1001:other,redis\n"


def test_config_becomes_the_manifest(user):
    image = one(user, Layer().dir("etc").file("etc/passwd", PASSWD).file("etc/group", GROUP),
                Entrypoint=["docker-entrypoint.sh", "--x"], Cmd=["server"], User="redis", WorkingDir="/data//x/",
                Env=["A=1", "B=x=y", "A=2", "bad name=3", "=4", "noequals"],
                ExposedPorts={"6379/tcp": {}, "53/udp": {}, "9000-9010/tcp": {}, "1/sctp": {}, "80": {}},
                Volumes={"/data": {}, "/Data": {}, "relative": {}}, StopSignal="SIGINT",
                Labels={"org.opencontainers.image.title": "T", "Not Valid": "x", "created": "y",
                        "org.opencontainers.image.url": "https://example.com/"})
    m = manifest(user, image)
    app = m["app"]
    config = next(l["value"] for l in m["labels"] if l["name"] == "version")
    assert m["name"] == "oci/" + config.split(":")[1][:12]
    assert {l["name"]: l["value"] for l in m["labels"]} == {"version": config, "os": "linux", "arch": "amd64"}
    assert app["exec"] == ["docker-entrypoint.sh", "--x", "server"]
    assert (app["user"], app["group"], app["supplementaryGIDs"]) == ("redis", "1000", [1001])
    assert app["workingDirectory"] == "/data/x"
    env = {e["name"]: e["value"] for e in app["environment"]}
    assert env["A"] == "2" and env["B"] == "x=y" and env["PATH"].startswith("/usr/local/sbin:") and len(env) == 3
    assert {(p["name"], p["protocol"], p["port"], p.get("count", 1)) for p in app["ports"]} == {
        ("6379-tcp", "tcp", 6379, 1), ("53-udp", "udp", 53, 1), ("9000-9010-tcp", "tcp", 9000, 11),
        ("80-tcp", "tcp", 80, 1)}
    assert {(p["name"], p["path"]) for p in app["mountPoints"]} == {("volume-data", "/Data"), ("volume-data-2", "/data")}
    notes = {a["name"]: a["value"] for a in m["annotations"]}
    assert notes["created"] == "2024-05-06T07:08:09.123Z" and notes["authors"] == "somebody"
    assert notes["homepage"] == "https://example.com/" and notes["org.opencontainers.image.title"] == "T"
    assert notes["appc.io/docker/stop-signal"] == "SIGINT" and notes["appc.io/docker/imageid"] == config
    assert json.loads(notes["appc.io/docker/entrypoint"]) == ["docker-entrypoint.sh", "--x"]
    assert user("validate", blob(user, image)).returncode == 0
    have = names(user, image)  # Docker makes the working directory, so it is there
    assert have["data/x"].isdir() and have["data/x"].mode == 0o755


def test_what_is_left_out_is_said(user, tmp_path):
    layout(tmp_path / "l", {"v1": Image([], Env=["bad name=3"], ExposedPorts={"1/sctp": {}})})
    r = user.fetch(INSECURE, f"oci:{tmp_path / 'l'}", check=0)
    assert 'environment variable "bad name" is left out' in r.stderr and 'port "1/sctp" is left out' in r.stderr


@pytest.mark.parametrize("text,user_,group", [
    (None, "0", "0"), ("", "0", "0"), ("999", "999", "1000"), ("redis:root", "redis", "root"), ("5", "5", "0"),
    ("5:6", "5", "6"), ("nobody", "nobody", "0"), (":7", "0", "7")])
def test_users(user, text, user_, group):
    app = manifest(user, one(user, Layer().dir("etc").file("etc/passwd", PASSWD).file("etc/group", GROUP),
                             **({} if text is None else {"User": text})))["app"]
    assert (app["user"], app["group"]) == (user_, group) and "exec" not in app


def test_passwd_behind_a_symlink_is_not_read(user):
    app = manifest(user, one(user, Layer().dir("etc").symlink("etc/passwd", "/etc/passwd"), User="root:x"[:4]))["app"]
    assert (app["user"], app["group"]) == ("root", "0")


def test_working_directory_behind_a_symlink_is_left_alone(user):
    have = names(user, one(user, Layer().dir("real").symlink("w", "real"), WorkingDir="/w/x"))
    assert have["w"].issym() and "real/x" not in have


# --- sources

@pytest.fixture
def sample():
    return Image([Layer().dir("bin").file("bin/a", "1", mode=0o755), Layer("zstd").file("b", "2").gone("bin/a")],
                 Cmd=["/b"])


def test_one_digest_is_one_image_everywhere(user, web, sample, tmp_path, authority):
    """DET: two stores, all sources; other tags, names, places and compressions change nothing."""
    Registry(web).push("team/app", "v1", sample)
    Registry(web, HUB).push("library/thing", "latest", sample)
    a = layout(tmp_path / "a", {"v1": sample})
    b = layout(tmp_path / "b", {"other": sample})
    with tarfile.open(tmp_path / "c.tar", "w") as t:
        for f in sorted(a.rglob("*")):
            t.add(f, f.relative_to(a), recursive=False)
    saved = docker_archive(tmp_path / "d.tar", {"example.com/x:y": sample})
    subprocess.run(["gzip", "-k", saved], check=True)
    refs = [f"oci:{a}:v1", f"oci:{b}", f"oci-archive:{tmp_path / 'c.tar'}", f"docker-archive:{saved}",
            f"docker-archive:{saved}.gz:example.com/x:y", f"{REPO}:v1", "docker://thing", "docker://docker.io/thing",
            f"{REPO}@{sample.digest}"]
    ids = set()
    for i, ref in enumerate(refs):
        folder = tmp_path / f"store{i}"
        folder.mkdir()
        ids.add(get(User(folder, web), ref))
    assert len(ids) == 1
    assert {get(user, r) for r in refs} == ids
    assert blob(user, ids.copy().pop()).exists() and len(user.images()) == 1


def test_a_name_of_the_users_choice(user, tmp_path, sample):
    path = layout(tmp_path / "l", {"v1": sample})
    own = get(user, f"oci:{path}")
    for ref in (f"oci:{path}", f"oci:{path}:v1"):
        named = user.fetch(INSECURE, "--image-name=example.com/thing:2.0.0", ref, check=0).stdout.strip()
        assert named != own
        m = manifest(user, "example.com/thing:2.0.0")
        assert m["name"] == "example.com/thing" and m["labels"][0] == {"name": "version", "value": "2.0.0"}
    assert get(user, f"oci:{path}") == own
    assert manifest(user, user.fetch(INSECURE, "--image-name=x", f"oci:{path}", check=0).stdout.strip())[
        "labels"][0]["value"].startswith("sha256:")
    for bad in ("UPPER", "a b", "a,os=linux"):
        fails(user, f"oci:{path}", "--image-name", args=(INSECURE, f"--image-name={bad}"))
    fails(user, "example.com/x", "--image-name is for one OCI", args=("--image-name=a",))


def test_tags(user, tmp_path):
    one_, two = Image([Layer().file("1")]), Image([Layer().file("2")])
    path = layout(tmp_path / "l", {"a": one_, "b": two})
    assert set(names(user, get(user, f"oci:{path}:a"))) == {"1"}
    assert set(names(user, get(user, f"oci:{path}:b"))) == {"2"}
    assert set(names(user, get(user, f"oci:{path}@{two.digest}"))) == {"2"}
    fails(user, f"oci:{path}", "holds 2 images", "a, b")
    fails(user, f"oci:{path}:c", "no such image", "a, b")
    fails(user, f"oci:{path}@sha256:{'0' * 64}", "no such image")
    saved = docker_archive(tmp_path / "s.tar", {"busy:1": one_, "example.com/x:latest": two})
    assert set(names(user, get(user, f"docker-archive:{saved}:docker.io/library/busy:1"))) == {"1"}
    assert set(names(user, get(user, f"docker-archive:{saved}:example.com/x"))) == {"2"}
    fails(user, f"docker-archive:{saved}", "name one of the images", "busy:1, example.com/x:latest")
    fails(user, f"docker-archive:{saved}:nope", "no such image")


@pytest.mark.parametrize("nested", [False, True])
def test_index_of_several_machines(user, tmp_path, web, nested):
    images = [Image([Layer().file(a)], arch=a) for a in ("arm64", "amd64", "s390x")]
    attestation = dict(images[0].entry(), platform={"architecture": "unknown", "os": "unknown"})
    data = index(attestation, *(i.entry() for i in images))
    path = layout(tmp_path / "l", dict(enumerate(images)), entries=[attestation] + [i.entry() for i in images])
    if nested:
        (path / "blobs/sha256" / digest(data).split(":")[1]).write_bytes(data)
        (path / "index.json").write_bytes(index(Image.descriptor(INDEX, data)))
    assert set(names(user, get(user, f"oci:{path}"))) == {"amd64"}
    pin = Registry(web).push_index("team/app", "v1", images)
    assert set(names(user, get(user, f"{REPO}:v1"))) == {"amd64"}
    assert user.fetch(f"{REPO}@{pin}", check=0).stdout == get(user, f"oci:{path}") + "\n"


def test_no_image_for_this_machine(user, tmp_path):
    image = Image([], arch="arm64")
    path = layout(tmp_path / "l", {"v1": image}, entries=[image.entry()])
    fails(user, f"oci:{path}", "no image for linux/amd64", "linux/arm64")
    layout(path, {"v1": image}, entries=[image.entry(platform=False)])
    fails(user, f"oci:{path}", "is for linux/arm64; this machine is linux/amd64")


def test_without_a_signature_it_has_to_be_allowed(user, tmp_path, web, sample):
    path = layout(tmp_path / "l", {"v1": sample})
    Registry(web).push("team/app", "v1", sample)
    for ref in (f"oci:{path}:v1", f"{REPO}:v1"):
        line = user.fails(ref, words=["not checked against a signature", "@sha256:", "--insecure-options=image"])
        assert "Permission" not in line
    assert web.log == []
    for ref in (f"oci:{path}@{sample.digest}", f"{REPO}@{sample.digest}", f"{REPO}:v1@{sample.digest}"):
        assert user.fetch(ref, check=0).stdout.startswith("sha512-")
    user.fails(f"{REPO}:v1", words="not checked against a signature")  # having it is no reason
    assert user.images().popitem()[1]["insecure"]


@pytest.mark.parametrize("ref,words", [
    ("oci:", "expected oci:PATH[:TAG]"), ("oci:x:", "expected oci:PATH[:TAG]"), ("docker://", "is not a name"),
    ("docker://UPPER", "is not a name"), ("docker://a:b/c", "is not a registry"), ("docker://x:", "is not a tag"),
    ("docker://x@sha256:12", "is not a digest"), ("docker://x@md5:12", "is not a digest"),
    ("docker://localhost:5000/../etc", "is not a name"), ("docker://a/b//c", "is not a name"),
    ("oci:/nonexistent:v1", "can't open /nonexistent"), ("docker-archive:/nonexistent.tar", "can't open"),
    ("oci-archive:/dev/zero", "not a regular file")])
def test_bad_references(user, ref, words):
    fails(user, ref, words)


# --- registries

def test_token_and_redirects(user, web, sample):
    """The token goes to the registry alone; the blobs' host and the token service see none."""
    r = Registry(web, token="t0ken", cdn=CDN)
    r.push("team/app", "v1", sample)
    image = get(user, f"{REPO}:v1")
    assert r.scopes == [["repository:team/app:pull"]]
    for host, path, headers in web.log:
        sent = headers.get("Authorization")
        assert sent in ((None, "Bearer t0ken") if host == REGISTRY else (None,)), (host, path)
    assert web.paths(CDN) and user.downloads() == []
    n = len(web.log)  # what a tag meant is remembered
    assert get(user, f"{REPO}:v1") == image and len(web.log) == n
    assert "application/vnd.oci.image.index.v1+json" in web.seen("/v2/team/app/manifests/v1")[0]["Accept"]


def write_auth(user, hosts):
    folder = user.config / "auth.d"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "a.json").write_text(json.dumps({"hosts": hosts}))
    (folder / "a.json").chmod(0o600)


def test_credentials_for_the_token_service(user, web, sample):
    basic = "Basic " + base64.b64encode(b"me:secret").decode()
    Registry(web, token="t0ken", basic=basic).push("team/app", "v1", sample)
    fails(user, f"{REPO}:v1", AUTH, "status 401", "auth.d")
    write_auth(user, {AUTH: {"basic": {"user": "me", "password": "secret"}}})
    get(user, f"{REPO}:v1")
    assert all(h.get("Authorization") != basic for host, _, h in web.log if host != AUTH)


def test_registry_with_basic_credentials_alone(user, web, sample):
    basic = "Basic " + base64.b64encode(b"me:secret").decode()
    r = Registry(web)
    r.push("team/app", "v1", sample)
    for key, answer in list(web.routes.items()):
        web.routes[key] = lambda h, a=answer: a(h) if h.headers.get("Authorization") == basic else h.reply(
            401, b"", {"WWW-Authenticate": 'Basic realm="x"'})
    fails(user, f"{REPO}:v1", "status 401", "auth.d")
    write_auth(user, {REGISTRY: {"basic": {"user": "me", "password": "secret"}}})
    get(user, f"{REPO}:v1")


def test_token_that_expires_on_the_way(user, web, sample):
    r = Registry(web, token="one")
    r.push("team/app", "v1", sample)
    plain = web.routes[REGISTRY, "/v2/team/app/manifests/v1"]

    def and_then_expire(h):
        plain(h)
        if h.headers.get("Authorization"):
            r.token = "two"
    web.routes[REGISTRY, "/v2/team/app/manifests/v1"] = and_then_expire
    get(user, f"{REPO}:v1")
    assert len(r.scopes) == 2


def test_pull_policies(user, web, sample):
    r = Registry(web)
    r.push("team/app", "v1", sample)
    fails(user, f"{REPO}:v1", "--pull=never", args=(INSECURE, "--pull=never"))
    assert web.log == []
    first = get(user, f"{REPO}:v1")
    layers = [p for p in web.paths() if "/blobs/" in p]
    assert len(layers) == 3
    r.push("team/app", "v1", Image([Layer().file("new")]))
    assert get(user, "--pull=never", f"{REPO}:v1") == get(user, f"{REPO}:v1") == first
    assert user.fetch(INSECURE, "--pull=newer", f"{REPO}:v1", check=0).stdout.strip() != first
    r.push("team/app", "v2", sample)  # known by its digest: the layers are not fetched again
    web.log.clear()
    assert get(user, f"{REPO}:v2") == first
    assert not [p for p in web.paths() if "/blobs/" in p and sample.digest not in p and
                p.split("/")[-1] != digest(sample.config)]
    user("image", "rm", first, check=0)  # gone from the store: fetched again, as nothing else helps
    assert get(user, f"{REPO}:v2") == first


def test_layers_come_side_by_side(user, web):
    """All four requests are there before the first is answered: a barrier, so no time is measured."""
    image = Image([Layer().file(f"f{i}") for i in range(4)])
    r = Registry(web)
    r.push("team/app", "v1", image)
    barrier = threading.Barrier(4, timeout=60)

    def held(h, data):
        barrier.wait()
        h.reply(200, data, {})
    for l in image.layers:
        r.serve("team/app", f"blobs/{digest(l.packed)}", lambda h, d=l.packed: held(h, d))
    assert len(names(user, get(user, f"{REPO}:v1"))) == 4


def test_layer_that_breaks_off_goes_on_where_it_was(user, web):
    layer = Layer(None).file("big", os.urandom(1 << 20))
    image = Image([layer])
    r = Registry(web, token="t")
    r.push("team/app", "v1", image)
    path = f"blobs/{digest(layer.packed)}"
    r.serve("team/app", path, ranged(layer.packed, cut=1 << 19))
    get(user, f"{REPO}:v1")
    asked = [h for h in web.seen(f"/v2/team/app/{path}") if "Range" in h]
    assert [h["Range"] for h in asked] == [f"bytes={1 << 19}-"] and asked[0]["Authorization"] == "Bearer t"


def test_damaged_rest_of_an_earlier_download_is_fetched_anew(user, web):
    layer = Layer(None).file("big", os.urandom(1 << 20))
    r = Registry(web)
    r.push("team/app", "v1", Image([layer]))
    path = f"blobs/{digest(layer.packed)}"
    r.serve("team/app", path, ranged(layer.packed, cut=1 << 19))
    r2 = user.fetch(INSECURE, "--retries=0", f"{REPO}:v1")
    assert r2.returncode == 1 and len(user.downloads()) == 1
    part = user.data / "downloads" / user.downloads()[0]
    part.write_bytes(b"x" * part.stat().st_size)
    get(user, f"{REPO}:v1")
    assert user.downloads() == []


def test_two_processes_with_the_same_layers(user, web):
    """Both ask for the layers, in opposite orders, and both end with the same image or their own."""
    layers = [Layer().file(f"f{i}", os.urandom(100000)) for i in range(6)]
    r = Registry(web)
    r.push("team/app", "v1", Image(layers))
    r.push("team/app", "v2", Image(layers[::-1]))
    running = [user.start("fetch", INSECURE, *web.options(), f"{REPO}:{t}") for t in ("v1", "v2", "v1", "v2")]
    out = [p.communicate(timeout=120) for p in running]
    assert all(p.returncode == 0 for p in running), out
    assert out[0][0] == out[2][0] != out[1][0] == out[3][0]
    # Several images of one command, too.
    user("image", "rm", *{o[0].strip() for o in out}, check=0)
    r3 = user.fetch(INSECURE, f"{REPO}:v1", f"{REPO}:v2", check=0)
    assert r3.stdout == out[0][0] + out[1][0]


def test_a_fetch_that_is_killed_leaves_nothing_that_is_seen(user, web):
    image = Image([Layer().file("a", os.urandom(1000)), Layer().file("b")])
    r = Registry(web)
    r.push("team/app", "v1", image)
    reached, go = threading.Event(), threading.Event()

    def held(h):
        reached.set()
        go.wait(60)
        h.hang_up()
    r.serve("team/app", f"blobs/{digest(image.layers[1].packed)}", held)
    p = user.start("fetch", INSECURE, *web.options(), f"{REPO}:v1")
    assert reached.wait(60)
    p.kill()
    p.communicate()
    go.set()
    # It may have been killed right before a temporary file lost its name.
    assert user.images() == {} and [f for f in os.listdir(user.data / "blobs") if not f.startswith(".tmp-")] == []
    r.push("team/app", "v1", image)
    get(user, f"{REPO}:v1")
    user("image", "gc", check=0)
    assert os.listdir(user.data / "blobs") == [i["id"] for i in user.images().values()]


def test_progress_on_a_terminal(user, web, sample):
    Registry(web).push("team/app", "v1", sample)
    out, status = on_terminal(user, ["fetch", INSECURE, *web.options(), f"{REPO}:v1"])
    assert status == 0 and "sha512-" in out


def test_plain_http_is_tried_when_allowed(user, authority, sample, tmp_path):
    plain = Web(authority, hosts=["localhost"], tls=False)
    try:
        Registry(plain, "localhost").push("a", "v1", sample)
        ref = f"docker://localhost:{plain.port}/a:v1"
        u = User(tmp_path / "u", plain)
        (tmp_path / "u").mkdir()
        assert u("fetch", INSECURE, "--retries=0", ref).returncode == 1 and plain.log == []
        assert u("fetch", "--insecure-options=image,http", "--retries=0", ref, check=0).stdout.startswith("sha512-")
    finally:
        plain.close()


# --- what goes wrong

def test_wrong_digests_and_sizes(user, web, sample, tmp_path):
    r = Registry(web)
    layer = digest(sample.layers[0].packed)
    data = sample.layers[0].packed

    def again():
        r.push("team/app", "v1", sample)
    again()
    r.serve("team/app", f"blobs/{layer}", data[:-1] + b"x")
    fails(user, f"{REPO}:v1", layer, "does not have this digest")
    assert user.downloads() == []
    r.serve("team/app", f"blobs/{layer}", data[:-1])
    fails(user, f"{REPO}:v1", layer, "declared size")
    r.serve("team/app", f"blobs/{layer}", data + b"x")
    fails(user, f"{REPO}:v1", layer, "declared size")
    again()
    r.serve("team/app", f"blobs/{digest(sample.config)}", sample.config[:-1] + b" ")
    fails(user, f"{REPO}:v1", "the config", "digest")
    again()
    r.document("team/app", sample.digest, sample.manifest + b" ", MANIFEST)
    user.fails(f"{REPO}@{sample.digest}", words=["does not have that digest"])
    other = Image([Layer().file("x")], arch="amd64")
    r.document("team/app", "multi", index(dict(other.entry())), INDEX)
    r.document("team/app", other.digest, b"{}", MANIFEST)
    fails(user, f"{REPO}:multi", "declared size")
    again()
    assert len(get(user, f"{REPO}:v1")) == 135


def test_damaged_layout(user, tmp_path, sample):
    path = layout(tmp_path / "l", {"v1": sample})
    f = path / "blobs/sha256" / digest(sample.layers[0].packed).split(":")[1]
    good = f.read_bytes()
    f.write_bytes(good[:-1] + b"x")
    fails(user, f"oci:{path}", "does not have its digest")
    f.write_bytes(good + b"x")
    fails(user, f"oci:{path}", "declared size")
    f.unlink()
    fails(user, f"oci:{path}", "can't open")
    f.symlink_to("/etc/passwd")
    fails(user, f"oci:{path}", "can't open")
    f.unlink()
    os.mkfifo(f)
    fails(user, f"oci:{path}", "not a regular file")


def test_diff_id_is_checked(user, tmp_path):
    l = Layer().file("a")
    layout(tmp_path / "l", {"v1": Image([l], diff_ids=["sha256:" + "1" * 64])})
    fails(user, f"oci:{tmp_path / 'l'}", "layer 1", "its content is not sha256:1111")
    layout(tmp_path / "m", {"v1": Image([l], diff_ids=[digest(l.plain)] * 2)})
    fails(user, f"oci:{tmp_path / 'm'}", "the config knows 2 layers, the manifest 1")


def test_endless_and_huge(user, web, sample):
    r = Registry(web)
    r.push("team/app", "v1", sample)
    sent = endless(web, REGISTRY, "/v2/team/app/manifests/v1")
    fails(user, f"{REPO}:v1", "longer than the limit")
    assert sent["bytes"] < 64 << 20
    r.push("team/app", "v1", sample)
    sent = endless(web, REGISTRY, f"/v2/team/app/blobs/{digest(sample.layers[1].packed)}")
    fails(user, f"{REPO}:v1", "declared size")
    assert sent["bytes"] < 64 << 20
    r.document("team/app", "v1", json.dumps({"schemaVersion": 2, "config": sample.document["config"],
                                             "layers": sample.document["layers"] * 200}).encode(), MANIFEST)
    fails(user, f"{REPO}:v1", "400 layers (256 are allowed)")
    big = dict(sample.document, layers=[dict(sample.document["layers"][0], size=1 << 40)] * 2)
    r.document("team/app", "v1", json.dumps(big).encode(), MANIFEST)
    fails(user, f"{REPO}:v1", "beyond the limit")


def test_loops(user, web, sample):
    r = Registry(web, token="good")
    r.push("team/app", "v1", sample)
    web.routes[AUTH, "/token"] = (200, json.dumps({"token": "bad"}), {})
    fails(user, f"{REPO}:v1", "refuses the token", "status 401")
    assert len(web.paths(AUTH)) == 1
    web.routes[AUTH, "/token"] = (302, b"", {"Location": "/token"})
    fails(user, f"{REPO}:v1", "more than 10 redirects")
    for body in (b"{}", b"[", b'{"token": "a\\nb"}', b'{"token": 5}'):
        web.routes[AUTH, "/token"] = (200, body, {})
        fails(user, f"{REPO}:v1", "gave")
    r = Registry(web)
    r.push("team/app", "v1", sample)
    web.routes[REGISTRY, f"/v2/team/app/blobs/{digest(sample.config)}"] = (
        307, b"", {"Location": f"/v2/team/app/blobs/{digest(sample.config)}"})
    fails(user, f"{REPO}:v1", "more than 10 redirects")
    deep = sample.entry()
    for i in range(6):
        data = index(deep)
        deep = dict(Image.descriptor(INDEX, data))
        r.document("team/app", digest(data), data, INDEX)
    r.document("team/app", "v1", index(deep), INDEX)
    fails(user, f"{REPO}:v1", "indexes inside each other")


@pytest.mark.parametrize("realm", ["http://auth.example.com/token", "ftp://x/", "not a url", "https://u:p@auth.example.com/"])
def test_bad_realm(user, web, realm):
    web.routes[REGISTRY, "/v2/team/app/manifests/v1"] = (401, b"", {"WWW-Authenticate": f'Bearer realm="{realm}"'})
    fails(user, f"{REPO}:v1", "")
    assert web.paths(AUTH) == []


@pytest.mark.parametrize("body,words", [
    (b"<html>", "invalid JSON"), (b"[]", "neither"), (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
    (b'{"schemaVersion": 2}', "neither"), (b'{"schemaVersion": 2, "manifests": {}}', "not a list"),
    (b'{"schemaVersion": 2, "manifests": []}', "no image for linux/amd64"),
    (b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:../../x", "size": 1}]}', "no digest"),
    (b'{"schemaVersion": 2, "schemaVersion": 2}', "invalid JSON"),
    (b'{"schemaVersion": 2, "config": {"digest": "sha256:' + b"0" * 64 + b'", "size": -1}}', "no valid size")])
def test_bad_manifests(user, web, body, words):
    Registry(web).document("team/app", "v1", body, MANIFEST)
    fails(user, f"{REPO}:v1", words)


def test_other_artifacts_are_no_images(user, tmp_path):
    image = Image([Layer().file("a")])
    image.document["layers"][0]["mediaType"] = "application/vnd.cncf.helm.chart.content.v1"
    layout(tmp_path / "l", {"v1": image})
    fails(user, f"oci:{tmp_path / 'l'}", "not a tar")
    layout(tmp_path / "m", {"v1": Image([], config=b"{}")})
    fails(user, f"oci:{tmp_path / 'm'}", 'no object "rootfs"')


@pytest.mark.parametrize("layer,words", [
    (lambda: Layer().file("/abs"), "absolute"), (lambda: Layer().file("../up"), "leaves"),
    (lambda: Layer().file("a/../../up"), "leaves"), (lambda: Layer().file("a").file("a"), "twice"),
    (lambda: Layer().link("a", "../../etc/passwd"), "hard link"), (lambda: Layer().link("a", "/etc/passwd"), "hard link"),
    (lambda: Layer().link("a", "b"), "hard link to b"), (lambda: Layer().link("a", "b").link("b", "a"), "circle"),
    (lambda: Layer().dir("d").link("a", "d"), "hard link"), (lambda: Layer().file("f").file("f/x"), "not a directory"),
    (lambda: Layer().file(".wh."), "whiteout of nothing"), (lambda: Layer().file("d/.wh..."), "whiteout of nothing"),
    (lambda: Layer().file("x" * 300), "component")])
def test_hostile_layers(user, tmp_path, layer, words):
    layout(tmp_path / "l", {"v1": Image([Layer().file("base"), layer()])})
    before = sorted(p for p in tmp_path.rglob("*") if user.data not in p.parents and p != user.data)
    fails(user, f"oci:{tmp_path / 'l'}", words)
    after = sorted(p for p in tmp_path.rglob("*") if user.data not in p.parents and p != user.data)
    assert before == after


def test_bombs(user, tmp_path):
    zeros = Layer().file("zeros", b"\0" * (300 << 20))
    layout(tmp_path / "l", {"v1": Image([zeros])})
    fails(user, f"oci:{tmp_path / 'l'}", "compression bomb")
    small = layout(tmp_path / "m", {"v1": Image([Layer().file(str(i), os.urandom(40000)) for i in range(3)])})
    fails(user, f"oci:{small}", "layer 3 and the layers below hold more than 102400", "--max-size", args=(INSECURE, "--max-size=100K"))
    get(user, f"oci:{small}")


def test_nonsense_archives(user, tmp_path):
    f = tmp_path / "x.tar"
    for data, words in ((b"", "not a tar"), (b"nonsense" * 1000, "not a tar"), (b"\x1f\x8bnot gzip", "x.tar")):
        f.write_bytes(data)
        fails(user, f"docker-archive:{f}", words)
    with tarfile.open(f, "w") as t:
        t.addfile(tarfile.TarInfo("x"))
    fails(user, f"docker-archive:{f}", "is not an archive of docker save")
    fails(user, f"oci-archive:{f}", "is not an OCI layout")
    whole = docker_archive(f, {"a:b": Image([Layer().file("big", os.urandom(100000))])}).read_bytes()
    f.write_bytes(whole[:60000])
    fails(user, f"docker-archive:{f}", "")


# --- pods

def busy(*layers, **config):
    base = Layer().dir("bin").file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755).symlink("bin/sh", "busybox")
    return Image([base, *layers], **config)


def test_pod_from_a_registry(user, web):
    image = busy(Layer("zstd").dir("etc").file("etc/passwd", PASSWD).file("etc/group", GROUP),
                 Entrypoint=["sh", "-c"], Cmd=["/bin/busybox id; pwd; echo $X"], User="redis", WorkingDir="/srv/w",
                 Env=["X=from the config", "PATH=/bin"])
    Registry(web, token="t").push("team/app", "v1", image)
    r = user.net("run", f"--accel={ACCEL}", INSECURE, "--prefix=always", f"{REPO}:v1", check=0)
    assert "app: uid=999(redis) gid=1000(redis) groups=1001(extra)" in r.stdout.replace("app| ", "app: "), r.stdout
    assert "/srv/w" in r.stdout and "from the config" in r.stdout


def with_volume(**config):
    """/data belongs to user 1000 alone and has content, also below; /plain is nowhere in the layers."""
    mine = {"uid": 1000, "gid": 1000}
    layer = (Layer().dir("data", mode=0o700, **mine).file("data/f", "from the image\n", mode=0o640, **mine)
             .link("data/same", "data/f").dir("data/sub", mode=0o2750, uid=1000, gid=7)
             .file("data/sub/cap", "x", mode=0o4755, uid=1000, gid=8, xattrs={"user.note": "hello"})
             .symlink("data/l", "/etc/passwd").file("data/zeros", b"\0" * 300000, **mine)
             .add("data/fifo", tarfile.FIFOTYPE, mode=0o622, **mine))
    return busy(layer, User="1000:1000", Volumes={"/data": {}, "/plain": {}}, **config)


LOOK = ("cd /data; b=/bin/busybox; $b stat -c '%n %F %a %u:%g %h' . f same sub sub/cap l fifo zeros; $b cat f; $b readlink l; "
        "echo new >new && $b cat new; $b stat -c '%a %u:%g' /plain; $b grep -c ' /data ' /proc/mounts; "
        "(echo x >/plain/x) 2>/dev/null || echo not in plain")
LIKE_THE_IMAGE = """\
. directory 700 1000:1000 3
f regular file 640 1000:1000 2
same regular file 640 1000:1000 2
sub directory 2750 1000:7 2
sub/cap regular file 4755 1000:8 1
l symbolic link 777 0:0 1
fifo fifo 622 1000:1000 1
zeros regular file 644 1000:1000 1
from the image
/etc/passwd
new
755 0:0
1
not in plain
"""


def test_volume_begins_as_the_image_has_it(user, tmp_path):
    """Owner, mode and content, so that an app that is not root can write there; also without a scratch disk."""
    path = layout(tmp_path / "l", {"v1": with_volume(Entrypoint=["/bin/sh", "-c", LOOK])})
    for scratch in ([], ["--scratch=0"]):
        r = user.run(INSECURE, *scratch, f"oci:{path}:v1", check=0)
        assert r.stdout == LIKE_THE_IMAGE, r.stderr
        assert "volume-data at /data; it gets one with what the image has there" in r.stderr
        assert "hides what the image has" not in r.stderr


def test_declared_volume_stays_empty(user, tmp_path):
    """pods.md's defaults hold for what the user declares: mode 0755, owner 0:0, nothing in it."""
    script = "/bin/busybox stat -c '%a %u:%g' /data; /bin/busybox ls -A /data; (echo x >/data/x) 2>/dev/null || echo denied"
    path = layout(tmp_path / "l", {"v1": with_volume(Entrypoint=["/bin/sh", "-c", script])})
    image = get(user, f"oci:{path}:v1")
    pod = user.pod([{"name": "a", "image": image}], volumes=[{"name": "volume-data", "kind": "empty"}])
    r = user.run(pod, check=0)
    assert r.stdout == "755 0:0\ndenied\n", r.stderr
    assert 'volume "volume-data" hides what the image has in /data' in r.stderr


def test_volume_of_an_app_container_image_stays_empty(user):
    image = user.image("example.com/v", {"exec": ["/bin/sh", "-c", "ls -A /data; stat -c '%a %u:%g' /data"], "user": "0",
                                         "group": "0", "mountPoints": [{"name": "data", "path": "/data"}]}, {"data/f": b"x"})
    r = user.run(image, check=0)
    assert r.stdout == "755 0:0\n" and "it gets an empty one" in r.stderr


def test_volume_behind_a_link_and_each_app_its_own(user, tmp_path):
    """The image's links are followed inside the image, and never while copying."""
    layer = (Layer().dir("srv").dir("srv/real", mode=0o1777).file("srv/real/f", "1\n").symlink("data", "/srv/real")
             .symlink("srv/real/out", "../../../../../../bin"))
    script = ("/bin/busybox stat -c '%a' /srv/real; /bin/busybox ls /data/; /bin/busybox cat /data/f; echo changed >/data/f; "
              "/bin/busybox readlink /data/out")
    path = layout(tmp_path / "l", {"v1": busy(layer, Entrypoint=["/bin/sh", "-c", script], Volumes={"/data": {}})})
    image = get(user, f"oci:{path}:v1")
    r = user.run("--prefix=never", user.pod([{"name": n, "image": image} for n in "ab"]), check=0)
    assert sorted(r.stdout.split()) == sorted(["1777", "f", "out", "1", "../../../../../../bin"] * 2), r.stderr


def test_volume_that_does_not_fit(user, tmp_path):
    layer = Layer().dir("data").file("data/big", os.urandom(40 << 20))
    path = layout(tmp_path / "l", {"v1": busy(layer, Entrypoint=["/bin/sh", "-c", "echo ran"], Volumes={"/data": {}})})
    r = user.run(INSECURE, "--scratch=32M", f"oci:{path}:v1")
    assert r.returncode == 125 and r.stdout == ""
    assert """can't copy "big", which the image has there: No space left on device""" in r.stderr


def stopped(user, tmp_path, script, **config):
    """Runs a shell script and stops the pod when it has said "ready": (output, status, warnings)."""
    path = layout(tmp_path / "stopped", {"v1": busy(Entrypoint=["/bin/sh", "-c", script], **config)})
    p = user.start("run", f"--accel={ACCEL}", INSECURE, "--grace-ms=60000", f"oci:{path}:v1")
    assert p.stdout.readline() == "ready\n"
    p.send_signal(signal.SIGTERM)
    out, err = p.communicate(timeout=120)
    return out, p.returncode, err


WAIT = "echo ready; while :; do /bin/busybox sleep 0.1; done"


def test_stop_signal(user, tmp_path):
    """It goes to the main process alone; what that leaves gets SIGTERM and not the whole grace period."""
    script = f"""
trap 'echo main usr1; exit 0' USR1
trap 'echo main term; exit 9' TERM
( trap 'echo child usr1; exit' USR1; trap 'echo child term; exit' TERM; echo ready >&2; {WAIT.split(";", 1)[1]} ) 2>/tmp/c &
while [ ! -s /tmp/c ]; do /bin/busybox sleep 0.1; done
{WAIT}"""
    out, status, err = stopped(user, tmp_path, "/bin/busybox mkdir -p /tmp" + script, StopSignal="SIGUSR1")
    assert (out, status) == ("main usr1\nchild term\n", 0), err


@pytest.mark.parametrize("name,heard,warned", [
    ("3", "quit", False), ("RTMIN+3", "rt", False), (None, "term", False), ("SIGNOPE", "term", True)])
def test_stop_signal_names_and_numbers(user, tmp_path, name, heard, warned):
    script = f"for s in QUIT:quit TERM:term 37:rt; do trap \"echo ${{s#*:}}; exit 0\" ${{s%:*}}; done; {WAIT}"
    out, status, err = stopped(user, tmp_path, script, **({"StopSignal": name} if name else {}))
    assert (out, status) == (heard + "\n", 0), err
    assert ('stop signal "SIGNOPE" is none' in err) == warned


def skopeo(tmp_path, *args):
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    subprocess.run(["skopeo", "--policy", policy, "--tmpdir", tmp_path, *map(str, args)], check=True,
                   capture_output=True)


def umoci(*args, **kw):
    subprocess.run(["umoci", *map(str, args)], check=True, capture_output=True, **kw)


@pytest.fixture
def real(tmp_path):
    """A layout that Debian's umoci makes in two layers, the second with a whiteout."""
    path = tmp_path / "real"
    bundle = tmp_path / "bundle"
    umoci("init", "--layout", path)
    umoci("new", "--image", f"{path}:v1")
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    umoci("unpack", *rootless, "--image", f"{path}:v1", bundle)
    (bundle / "rootfs/bin").mkdir()
    shutil.copy(BUSYBOX, bundle / "rootfs/bin/busybox")
    (bundle / "rootfs/bin/sh").symlink_to("busybox")
    (bundle / "rootfs/gone").write_text("x")
    umoci("repack", "--refresh-bundle", "--image", f"{path}:v1", bundle)
    (bundle / "rootfs/gone").unlink()
    (bundle / "rootfs/motd").write_text("made by umoci\n")
    umoci("repack", "--image", f"{path}:v1", bundle)
    (tmp_path / "inserted").write_text("inserted by umoci\n")  # a layer that ends without padding
    umoci("insert", "--image", f"{path}:v1", tmp_path / "inserted", "/etc/inserted")
    umoci("config", "--image", f"{path}:v1", "--config.cmd", "/bin/sh", "--config.cmd", "-c", "--config.cmd",
          "/bin/busybox cat /motd /etc/inserted; /bin/busybox ls /gone || echo no gone")
    return path


def test_umoci_image_runs(user, real):
    r = user.run(INSECURE, f"oci:{real}:v1", check=0)
    assert "made by umoci" in r.stdout and "inserted by umoci" in r.stdout and "no gone" in r.stdout


def test_skopeo_copies_run_and_are_the_same_image(user, real, tmp_path, web):
    first = get(user, f"oci:{real}:v1")
    skopeo(tmp_path, "copy", f"oci:{real}:v1", f"docker-archive:{tmp_path / 'd.tar'}:example.com/x:v1")
    skopeo(tmp_path, "copy", f"oci:{real}:v1", f"oci-archive:{tmp_path / 'o.tar'}:v1")
    skopeo(tmp_path, "copy", "--dest-compress-format=zstd", f"oci:{real}:v1", f"oci:{tmp_path / 'z'}:v1")
    refs = [f"docker-archive:{tmp_path / 'd.tar'}", f"oci-archive:{tmp_path / 'o.tar'}", f"oci:{tmp_path / 'z'}:v1"]
    assert {get(user, r) for r in refs} == {first}
    folder = tmp_path / "other"
    folder.mkdir()
    other = User(folder, web)
    for r in refs:  # …and also where nothing is remembered
        shutil.rmtree(other.data, ignore_errors=True)
        assert get(other, r) == first
    r = other.run(INSECURE, refs[0], check=0)
    assert "made by umoci" in r.stdout and "no gone" in r.stdout


def test_buildah_image_runs(user, tmp_path):
    env = dict(os.environ, STORAGE_DRIVER="vfs", HOME=str(tmp_path), TMPDIR=str(tmp_path))
    store = ["--root", str(tmp_path / "s"), "--runroot", str(tmp_path / "r")]
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def buildah(*args):
        return subprocess.run(["buildah", *store, *map(str, args)], env=env, check=True, capture_output=True,
                              text=True).stdout.strip()
    c = buildah("from", "scratch")
    buildah("copy", c, BUSYBOX, "/bin/busybox")
    buildah("config", "--entrypoint", '["/bin/busybox", "echo"]', "--cmd", "made by buildah", "--port", "80", c)
    out = tmp_path / "b"
    buildah("commit", f"--signature-policy={policy}", c, f"oci:{out}:v1")
    r = user.run(INSECURE, f"oci:{out}:v1", check=0)
    assert "made by buildah" in r.stdout
