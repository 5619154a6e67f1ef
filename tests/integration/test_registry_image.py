"""The registry-image resource type against real registries: the program itself, without a container around it."""

import contextlib
import gzip
import http.server
import json
import os
import pathlib
import subprocess
import tarfile
import threading

import pytest

import harness
import registry

PROGRAM = harness.BUILD / "src/resources/weir-resource-registry-image"


def run(role, request, *words, status=0, environment=None):
    """check, in or out; its answer, and what it said."""
    done = subprocess.run([PROGRAM, role, *words], input=json.dumps(request), text=True, capture_output=True,
                          env={**os.environ, **(environment or {})}, timeout=harness.PATIENCE)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.fixture(scope="module", autouse=True)
def needed():
    if not PROGRAM.exists():
        pytest.skip(f"there is no {PROGRAM}")
    if registry.missing():
        pytest.skip(registry.missing())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = registry.Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.stop()


IMAGE = registry.Image(
    registry.layer({"etc/": b"", "etc/name": b"first", "etc/old": b"old", "dir/": b"", "dir/a": b"a"}),
    registry.layer({"etc/.wh.old": b"", "etc/name": b"second", "dir/.wh..wh..opq": b"", "dir/b": b"b",
                    "null": {"type": tarfile.CHRTYPE}, "n\u00e4me": b"\xc3\xa4"}),
    config={"Env": ["A=b"], "User": "nobody", "Cmd": ["sh"], "Entrypoint": None, "Labels": {"k": "v", "a": "b"}},
    annotations={"org.note": "n"})


def fetch(server, place, source, version, params=None, status=0, **options):
    return run("in", {"source": {"repository": f"{server.host}/app", **source}, "version": version, "params": params or {}},
               place / "get", status=status, **options)


# ---- check ----

def test_a_tag_is_its_digest_and_a_new_one_comes_after_the_given(server):
    first = server.push("tagged", IMAGE, "1.10")
    source = {"repository": f"{server.host}/tagged", "tag": 1.10}  # a number loses its zero in Python, not on the wire
    text = json.dumps({"source": source}).replace("1.1", "1.10")
    done = subprocess.run([PROGRAM, "check"], input=text, text=True, capture_output=True)
    assert json.loads(done.stdout) == [{"tag": "1.10", "digest": first}]
    second = server.push("tagged", registry.Image(registry.layer({"x": b"2"})), "1.10")
    source["tag"] = "1.10"
    given = {"tag": "1.10", "digest": first}
    assert run("check", {"source": source, "version": given})[0] == [given, {"tag": "1.10", "digest": second}]
    assert run("check", {"source": source, "version": {"tag": "1.10", "digest": second}})[0] == [{"tag": "1.10", "digest": second}]


def test_a_deleted_tag_has_no_versions(server):
    digest = server.push("deleted", IMAGE, "now")
    server.delete("deleted", digest)
    request = {"source": {"repository": f"{server.host}/deleted", "tag": "now"}, "version": {"tag": "now", "digest": digest}}
    assert run("check", request)[0] == []


def test_the_digest_of_a_tag_for_several_platforms_is_the_indexs(server):
    index = registry.Index(IMAGE, registry.Image(registry.layer({"arm": b""}), architecture="arm64"))
    digest = server.push("many", index, "latest")
    assert run("check", {"source": {"repository": f"{server.host}/many", "tag": "latest"}})[0] == [{"tag": "latest", "digest": digest}]


def test_without_a_tag_versions_are_semantic_and_constraints_choose(server):
    images = {tag: registry.Image(registry.layer({tag: b""})) for tag in ("1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "latest")}
    for tag, image in images.items():
        server.push("semver", image, tag)
    source = {"repository": f"{server.host}/semver"}
    tags = lambda **more: [one["tag"] for one in run("check", {"source": {**source, **more}})[0]]  # noqa: E731
    assert tags() == ["1.0.0", "1.2.0", "1.10.0", "latest"]
    assert tags(semver_constraint="~1.2") == ["1.2.0"]
    assert tags(semver_constraint=">= 1.2, < 2") == ["1.2.0", "1.10.0"]
    assert tags(pre_releases=True) == ["1.0.0", "1.2.0", "1.10.0", "2.0.0-rc.1", "latest"]
    given = {"tag": "1.2.0", "digest": images["1.2.0"].digest}
    assert [one["tag"] for one in run("check", {"source": source, "version": given})[0]] == ["1.2.0", "1.10.0", "latest"]


def test_a_regular_expression_chooses_tags_and_their_age_sorts_them(server):
    for tag, created in (("a-1", "2026-03-01T00:00:00Z"), ("a-2", "2026-01-01T00:00:00Z"), ("b-1", "2026-02-01T00:00:00Z")):
        server.push("regex", registry.Image(registry.layer({tag: b""}), created=created), tag)
    source = {"repository": f"{server.host}/regex", "tag_regex": "^a-"}
    assert sorted(one["tag"] for one in run("check", {"source": source})[0]) == ["a-1", "a-2"]  # in the registry's order
    assert [one["tag"] for one in run("check", {"source": {**source, "created_at_sort": True}})[0]] == ["a-2", "a-1"]
    _, said = run("check", {"source": {**source, "tag_regex": "a("}}, status=1)
    assert "invalid regex pattern" in said


def test_a_repository_with_more_tags_than_a_page_is_listed_whole(server):
    image = registry.Image(registry.layer({"x": b""}))
    server.push("pages", image, *(f"1.0.{number}" for number in range(3)))
    folder = server.directory / "data/docker/registry/v2/repositories/pages/_manifests/tags"
    for number in range(3, 1203):  # as if pushed: a link to the same revision
        link = folder / f"1.0.{number}/current/link"
        link.parent.mkdir(parents=True)
        link.write_text(image.digest)
    versions, _ = run("check", {"source": {"repository": f"{server.host}/pages"}})
    assert len(versions) == 1 and len(server.tags("pages")) == 1203


# ---- get ----

def test_a_get_unpacks_the_image_and_says_what_it_is(server, tmp_path):
    digest = server.push("app", IMAGE, "1")
    version = {"tag": "1", "digest": digest}
    answer, said = fetch(server, tmp_path, {"tag": "1"}, version)
    assert answer == {"version": version, "metadata": [{"name": "repository", "value": f"{server.host}/app"},
                                                       {"name": "tag", "value": "1"}]}
    assert said.startswith(f"fetching \033[32m{server.host}/app\033[0m@\033[33m{digest}\033[0m\n")
    get = tmp_path / "get"
    root = get / "rootfs"
    assert (root / "etc/name").read_text() == "second" and not (root / "etc/old").exists()
    assert sorted(one.name for one in (root / "dir").iterdir()) == ["b"]
    assert not (root / "null").exists() and (root / "n\u00e4me").read_text() == "\u00e4"
    assert (root / "etc/name").stat().st_mtime == 1000000
    assert {name: (get / name).read_text() for name in ("repository", "tag", "digest", "metadata.json", "labels.json")} == {
        "repository": f"{server.host}/app", "tag": "1", "digest": digest,
        "metadata.json": '{"cmd":["sh"],"entrypoint":null,"env":["A=b"],"user":"nobody"}\n', "labels.json": '{"a":"b","k":"v"}\n'}


def test_labels_and_annotations_become_metadata_when_asked_for(server, tmp_path):
    digest = server.push("app", IMAGE, "1")
    answer, _ = fetch(server, tmp_path, {"tag": "1", "label_regex": "^k", "annotation_regex": "note"}, {"tag": "1", "digest": digest},
                      {"skip_download": True})
    assert [(one["name"], one["value"]) for one in answer["metadata"][2:]] == [("k", "v"), ("org.note", "n")]


def test_skip_download_asks_the_registry_nothing(tmp_path):
    nobody = type("Nobody", (), {"host": "127.0.0.1:1"})
    version = {"tag": "1", "digest": "sha256:" + "0" * 64}
    answer, _ = fetch(nobody, tmp_path, {"tag": "1"}, version, {"skip_download": True})
    assert answer["version"] == version
    assert sorted(one.name for one in (tmp_path / "get").iterdir()) == ["digest", "repository", "tag"]


def test_the_platform_chooses_among_the_images_of_an_index(server, tmp_path):
    index = registry.Index(registry.Image(registry.layer({"amd": b""})), registry.Image(registry.layer({"arm": b""}), architecture="arm64"))
    version = {"tag": "1", "digest": server.push("app", index, "1")}
    fetch(server, tmp_path / "a", {"platform": {"architecture": "arm64"}}, version)
    assert (tmp_path / "a/get/rootfs/arm").exists()
    fetch(server, tmp_path / "b", {"platform": {"architecture": "amd64"}}, version, {"platform": {"architecture": "arm64", "os": "linux"}})
    assert (tmp_path / "b/get/rootfs/arm").exists()
    _, said = fetch(server, tmp_path / "c", {}, version, {"platform": {"architecture": "s390x"}}, status=1)
    assert f"download failed: no child with platform linux/s390x in index {index.digest}" in said


def test_format_oci_is_a_tar_that_others_load(server, tmp_path):
    version = {"tag": "1", "digest": server.push("app", IMAGE, "1")}
    fetch(server, tmp_path, {}, version, {"format": "oci"})
    with tarfile.open(tmp_path / "get/image.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        assert manifest["RepoTags"] == [f"{server.host}/app:1"] and manifest["Config"] == registry.digest(IMAGE.config)
        assert [archive.extractfile(name).read() for name in manifest["Layers"]] == IMAGE.layers
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"docker-archive:{tmp_path}/get/image.tar", f"dir:{tmp_path}/copy"], check=True)


def test_format_oci_layout_has_all_platforms_and_the_index_to_the_byte(server, tmp_path):
    index = registry.Index(IMAGE, registry.Image(registry.layer({"arm": b""}), architecture="arm64"))
    version = {"tag": "1", "digest": server.push("app", index, "1")}
    fetch(server, tmp_path, {}, version, {"format": "oci-layout"})
    oci = tmp_path / "get/oci"
    assert (oci / "index.json").read_bytes() == index.manifest and not (oci / "single-image-digest").exists()
    wanted = {registry.digest(blob)[7:] for blob in [*index.parts()[0], *(child.manifest for child in index.parts()[1])]}
    assert {one.name for one in (oci / "blobs/sha256").iterdir()} == wanted
    single = {"tag": "2", "digest": server.push("app", IMAGE, "2")}
    fetch(server, tmp_path / "single", {}, single, {"format": "oci-layout"})
    assert (tmp_path / "single/get/oci/single-image-digest").read_text() == IMAGE.digest
    subprocess.run(["umoci", "ls", "--layout", tmp_path / "single/get/oci"], check=True)


def test_an_unknown_format_is_refused(server, tmp_path):
    _, said = fetch(server, tmp_path, {}, {"tag": "1", "digest": server.push("app", IMAGE, "1")}, {"format": "zip"}, status=1)
    assert "download failed: unknown format provided, must be one of 'rootfs', 'oci', 'oci-layout: zip" in said


def test_an_image_of_sixty_layers_and_of_layers_that_are_not_gzip(server, tmp_path):
    plain = lambda tar: tar  # noqa: E731
    zstd = lambda tar: subprocess.run(["zstd", "-qc"], input=tar, capture_output=True, check=True).stdout  # noqa: E731
    layers = [registry.layer({f"file-{number}": str(number).encode(), "last": str(number).encode()},
                             (plain, zstd, lambda tar: gzip.compress(tar, mtime=0))[number % 3]) for number in range(60)]
    version = {"tag": "60", "digest": server.push("app", registry.Image(*layers), "60")}
    fetch(server, tmp_path, {}, version)
    root = tmp_path / "get/rootfs"
    assert len(list(root.iterdir())) == 61 and (root / "last").read_text() == "59"


def test_what_an_image_says_of_owners_modes_and_links_is_kept(server, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("owners need root")
    image = registry.Image(registry.layer({
        "a": {"data": b"x", "uid": 1234, "gid": 99, "mode": 0o4750},
        "hard": {"type": tarfile.LNKTYPE, "linkname": "a"}, "soft": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "uid": 7}}))
    fetch(server, tmp_path, {}, {"tag": "1", "digest": server.push("app", image, "1")})
    root = tmp_path / "get/rootfs"
    status = (root / "a").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_nlink) == (1234, 99, 0o4750, 2)
    assert os.readlink(root / "soft") == "/etc/passwd" and (root / "soft").lstat().st_uid == 7


def test_a_layer_that_leads_out_of_the_image_is_refused(server, tmp_path):
    image = registry.Image(registry.layer({"../../escaped": b"x"}))
    _, said = fetch(server, tmp_path, {}, {"tag": "1", "digest": server.push("app", image, "1")}, status=1)
    assert "leads out of the layer" in said and not (tmp_path / "escaped").exists()


def test_a_layer_that_is_not_what_its_digest_says_is_refused(server, tmp_path):
    image = registry.Image(registry.layer({"damaged": b"x" * 5000}, lambda tar: tar))
    version = {"tag": "1", "digest": server.push("damaged", image, "1")}
    hexes = registry.digest(image.layers[0])[7:]
    stored = server.directory / f"data/docker/registry/v2/blobs/sha256/{hexes[:2]}/{hexes}/data"
    stored.write_bytes(stored.read_bytes().replace(b"xxxx", b"yyyy"))
    _, said = run("in", {"source": {"repository": f"{server.host}/damaged"}, "version": version}, tmp_path / "get", status=1)
    assert "download failed: " in said and "error verifying sha256 checksum" in said


# ---- put ----

def put(server, place, params, status=0, **source):
    return run("out", {"source": {"repository": f"{server.host}/pushed", **source}, "params": params}, place, status=status)


@pytest.fixture
def fetched(server, tmp_path):
    """A folder with an image in each form: tar/image.tar, layout/oci."""
    version = {"tag": "1", "digest": server.push("app", IMAGE, "1")}
    for name, form in (("tar", "oci"), ("layout", "oci-layout")):
        run("in", {"source": {"repository": f"{server.host}/app"}, "version": version, "params": {"format": form}}, tmp_path / name)
    return tmp_path


def test_a_layout_is_pushed_as_it_is(server, fetched):
    answer, said = put(server, fetched, {"image": "layout/oci"}, tag="fresh")
    assert answer == {"version": {"tag": "fresh", "digest": IMAGE.digest},
                      "metadata": [{"name": "repository", "value": f"{server.host}/pushed"}, {"name": "tags", "value": "fresh"}]}
    assert "pushing tag(s) fresh\n" in said and "pushed\n" in said
    assert server.manifest("pushed", "fresh")[2] == IMAGE.manifest


def test_an_index_is_pushed_with_all_its_images(server, tmp_path):
    index = registry.Index(IMAGE, registry.Image(registry.layer({"arm": b""}), architecture="arm64"))
    version = {"tag": "1", "digest": server.push("app", index, "1")}
    run("in", {"source": {"repository": f"{server.host}/app"}, "version": version, "params": {"format": "oci-layout"}}, tmp_path / "i")
    answer, _ = put(server, tmp_path, {"image": "i/oci"}, tag="index")
    assert answer["version"]["digest"] == index.digest
    assert server.manifest("pushed", "index")[1] == registry.OCI_INDEX


def test_a_tar_of_docker_save_is_pushed_whether_its_layers_are_compressed_or_not(server, fetched):
    answer, _ = put(server, fetched, {"image": "tar/image.tar"}, tag="tar")
    assert server.manifest("pushed", "tar")[0] == answer["version"]["digest"]
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"oci:{fetched}/layout/oci", f"docker-archive:{fetched}/plain.tar:x:1"],
                   check=False, capture_output=True)
    if (fetched / "plain.tar").exists():
        answer, _ = put(server, fetched, {"image": "plain.tar"}, tag="plain")
        run("in", {"source": {"repository": f"{server.host}/pushed"}, "version": answer["version"]}, fetched / "again")
        assert (fetched / "again/rootfs/etc/name").read_text() == "second"


def test_versions_aliases_and_additional_tags_are_pushed(server, fetched):
    (fetched / "tags").write_text("one two\nthree\n")
    answer, _ = put(server, fetched, {"image": "layout/oci", "version": "v1.2", "bump_aliases": True, "additional_tags": "tags", "tag_prefix": "p-"},
                    repository=f"{server.host}/bumped")
    assert answer["version"]["tag"] == "1.2.0"
    assert answer["metadata"][1]["value"] == "1.2.0 latest 1 1.2 p-one p-two p-three"
    assert server.tags("bumped") == sorted("1.2.0 latest 1 1.2 p-one p-two p-three".split())
    answer, _ = put(server, fetched, {"image": "layout/oci", "version": "1.1.5", "bump_aliases": True}, repository=f"{server.host}/bumped")
    assert answer["metadata"][1]["value"] == "1.1.5 1.1"


@pytest.mark.parametrize("params, message", [
    ({"image": "layout/oci"}, "no tag specified - need either 'version:' in params or 'tag:' in source"),
    ({"image": "layout/oci", "version": "abc"}, 'invalid semantic version: "abc"'),
    ({"image": "nothing/*", "version": "1"}, "no files match glob 'nothing/*'"),
    ({"image": "*", "version": "1"}, "too many files/directories match glob '*': ["),
    ({"image": "layout/oci", "version": "1", "tag_prefix": "p"}, "tag_prefix can only be used when additional_tags are specified"),
    ({"image": "layout/oci", "version": "1", "additional_tags": "no"}, 'could not parse additional tags: failed to read file at "no": '),
    ({"image": "layout/oci/index.json", "version": "1"}, "could not load image from path "),
])
def test_puts_that_cannot_be_say_why(server, fetched, params, message):
    _, said = put(server, fetched, params, status=1)
    assert message in said


# ---- who may, and how to reach it ----

@contextlib.contextmanager
def started(directory, **options):
    server = registry.Registry(directory, **options)
    try:
        yield server
    finally:
        server.stop()


def test_certificates_of_the_source_are_trusted_and_others_are_not(tmp_path):
    with started(tmp_path / "tls", tls=True) as server:
        digest = server.push("app", IMAGE, "1")
        source = {"repository": f"{server.host}/app", "tag": "1"}
        assert run("check", {"source": {**source, "ca_certs": [server.ca]}})[0] == [{"tag": "1", "digest": digest}]
        _, said = run("check", {"source": source}, status=1)
        assert "certificate" in said
        run("in", {"source": {**source, "ca_certs": [server.ca]}, "version": {"tag": "1", "digest": digest}}, tmp_path / "get")
        assert (tmp_path / "get/rootfs/etc/name").exists()


def test_passwords_are_asked_for_and_wrong_ones_refused(tmp_path):
    with started(tmp_path / "basic", users={"user": "word"}) as server:
        digest = server.push("app", IMAGE, "1")
        source = {"repository": f"{server.host}/app", "tag": "1"}
        right = {**source, "username": "user", "password": "word"}
        assert run("check", {"source": right})[0] == [{"tag": "1", "digest": digest}]
        for wrong in (source, {**source, "username": "user", "password": "wrong"}):
            _, said = run("check", {"source": wrong}, status=1)
            assert "401 Unauthorized: UNAUTHORIZED: authentication required" in said and "wrong" not in said.replace("wrong password", "")
        run("in", {"source": right, "version": {"tag": "1", "digest": digest}, "params": {"format": "oci-layout"}}, tmp_path / "get")
        answer, _ = run("out", {"source": {**right, "tag": "2"}, "params": {"image": "get/oci"}}, tmp_path)
        assert server.manifest("app", "2")[0] == digest == answer["version"]["digest"]


def test_tokens_are_fetched_for_what_is_done_and_fetched_again_when_they_end(tmp_path):
    token = registry.TokenServer(tmp_path, "127.0.0.1", "user", "word")
    with started(tmp_path / "token", token=token) as server:
        digest = server.push("app", IMAGE, "1")
        source = {"repository": f"{server.host}/app", "tag": "1", "username": "user", "password": "word"}
        assert run("check", {"source": source})[0] == [{"tag": "1", "digest": digest}]
        assert token.given == ["repository:app:pull"]
        run("in", {"source": source, "version": {"tag": "1", "digest": digest}, "params": {"format": "oci-layout"}}, tmp_path / "get")
        assert token.given == ["repository:app:pull"] * 2
        run("out", {"source": {**source, "tag": "2"}, "params": {"image": "get/oci"}}, tmp_path)
        assert token.given[2:] == ["repository:app:push,pull"]
        assert server.manifest("app", "2")[0] == digest
        _, said = run("check", {"source": {**source, "password": "no"}}, status=1)
        assert "401 Unauthorized: UNAUTHORIZED: wrong password" in said
        token.seconds = -120  # what is given now has ended already: HEAD and then GET each ask for another, and that is all
        _, said = run("check", {"source": source}, status=1)
        assert "401 Unauthorized" in said and token.given[3:] == ["repository:app:pull"] * 3
    token.stop()


def test_a_registry_that_is_not_there_is_named_at_once():
    _, said = run("check", {"source": {"repository": "127.0.0.1:1/app", "tag": "1"}}, status=1)
    assert "checking origin 127.0.0.1:1/app failed: " in said and "Failed to connect to 127.0.0.1 port 1" in said


def test_a_mirror_serves_what_docker_hub_would(server, tmp_path):
    digest = server.push("library/mirrored", IMAGE, "1")
    source = {"repository": "mirrored", "tag": "1", "registry_mirror": {"host": server.host}}
    version = {"tag": "1", "digest": digest}
    assert run("check", {"source": source}) == ([version], "")
    run("in", {"source": source, "version": version}, tmp_path / "get")
    assert (tmp_path / "get/rootfs/etc/name").exists() and (tmp_path / "get/repository").read_text() == "mirrored"


class Flaky:
    """A proxy in front of a registry that fails as it is told: a status, or the connection cut after some bytes."""

    def __init__(self, server):
        self.failures, self.requests = [], []
        flaky = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                flaky.requests.append((self.command, self.path, self.headers.get("Range")))
                failure = flaky.failures.pop(0) if flaky.failures and "/v2/app" in self.path else None
                if isinstance(failure, int):
                    self.send_response(failure)
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                request = harness.urllib.request.Request(f"http://{server.back_host}{self.path}", method=self.command,
                                                         headers={key: value for key, value in self.headers.items() if key != "Host"})
                with harness.urllib.request.urlopen(request) as answer:
                    body = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(body[:failure[1]] if failure else body)
                    self.close_connection = bool(failure)

            do_HEAD = do_GET

            def log_message(self, *words):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def flaky(server):
    proxy = Flaky(server)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_failures_that_pass_are_waited_for(server, flaky, tmp_path, status):
    digest = server.push("app", IMAGE, "1")
    flaky.failures = [status, status]
    _, said = fetch(flaky, tmp_path, {}, {"tag": "1", "digest": digest}, environment={"TEST": "true"})
    assert said.count("transient error: ") == 2 and f"unexpected status code {status}" in said and "retrying in 0.005s" in said
    assert (tmp_path / "get/rootfs/etc/name").exists()


def test_a_server_that_goes_on_failing_is_given_up(server, flaky):
    flaky.failures = [500] * 50
    _, said = run("check", {"source": {"repository": f"{flaky.host}/app", "tag": "1"}}, status=1, environment={"TEST": "true"})
    assert "unexpected status code 500 Internal Server Error" in said


def test_a_connection_that_breaks_goes_on_where_it_stopped(server, flaky, tmp_path):
    body = os.urandom(3000000)
    image = registry.Image(registry.layer({"large": body}))
    version = {"tag": "1", "digest": server.push("app", image, "1")}
    flaky.failures = [None, None, ("cut", 1000000), ("cut", 500000)]
    _, said = fetch(flaky, tmp_path, {}, version, environment={"TEST": "true"})
    assert (tmp_path / "get/rootfs/large").read_bytes() == body
    ranges = [given for _, path, given in flaky.requests if registry.digest(image.layers[0]) in path]
    assert ranges == [None, "bytes=1000000-", "bytes=1500000-"]
    assert said.count("transient error: ") == 2


@pytest.mark.soak
def test_an_image_of_a_gigabyte_is_fetched_in_little_memory(server, tmp_path):
    piece = os.urandom(1 << 20)
    layers = [registry.layer({f"part-{number}": piece * 100}, lambda tar: gzip.compress(tar, 1, mtime=0)) for number in range(10)]
    version = {"tag": "large", "digest": server.push("app", registry.Image(*layers), "large")}
    # Through a small process: the peak of what is started counts that of who forks it.
    measure = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    request = json.dumps({"source": {"repository": f"{server.host}/app"}, "version": version})
    done = subprocess.run(["/usr/bin/python3", "-c", measure, PROGRAM, "in", tmp_path / "get"], input=request, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout) >> 10
    assert sum(one.stat().st_size for one in (tmp_path / "get/rootfs").iterdir()) == 10 * 100 << 20
    limit = 96 if "asan" not in str(harness.BUILD) else 600  # MiB: a sanitizer keeps what was freed for a while
    assert peak < limit, f"{peak} MiB"
    print(f"peak memory {peak} MiB")
