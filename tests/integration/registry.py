"""Registries that tests start on their own, and images that are made here, layer by layer."""

import base64
import crypt
import gzip
import hashlib
import http.server
import io
import json
import pathlib
import re
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.parse
import urllib.request

import harness

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def missing():
    """Why there can be no registry here; None when there can."""
    return None if shutil.which("docker-registry") else "there is no docker-registry"


def digest(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


# ---- images ----

def layer(files, compress=lambda tar: gzip.compress(tar, 1, mtime=0)):
    """A layer of {name: bytes, or a TarInfo's fields and "data"}; names that end in "/" are directories."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            fields = content if isinstance(content, dict) else {"data": content}
            entry = tarfile.TarInfo(name.rstrip("/"))
            data = fields.get("data", b"")
            entry.mode, entry.mtime, entry.size = 0o755, 1000000, len(data)
            entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            for field, value in fields.items():
                if field != "data":
                    setattr(entry, field, value)
            archive.addfile(entry, io.BytesIO(data))
    return compress(out.getvalue())


def unpacked(one):
    return gzip.decompress(one) if one[:2] == b"\x1f\x8b" else one


class Image:
    """Layers and a config, and the manifest that names them."""

    def __init__(self, *layers, config=None, architecture="amd64", created="2026-01-01T00:00:00Z", annotations=None):
        self.layers = list(layers)
        self.config = json.dumps({
            "architecture": architecture, "os": "linux", "created": created, "config": config or {},
            "rootfs": {"type": "layers", "diff_ids": [digest(unpacked(one)) for one in layers]}}).encode()
        self.architecture = architecture
        manifest = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest(self.config), "size": len(self.config)},
            "layers": [{"mediaType": OCI_LAYER, "digest": digest(one), "size": len(one)} for one in layers]}
        if annotations:
            manifest["annotations"] = annotations
        self.manifest, self.media_type = json.dumps(manifest).encode(), OCI_MANIFEST
        self.digest = digest(self.manifest)

    def parts(self):
        """Blobs, and the manifests that must be there before this one."""
        return [self.config, *self.layers], []


class Index:
    """An image for several architectures."""

    def __init__(self, *images):
        self.images = images
        self.manifest, self.media_type = json.dumps({
            "schemaVersion": 2, "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_MANIFEST, "digest": one.digest, "size": len(one.manifest),
                           "platform": {"os": "linux", "architecture": one.architecture}} for one in images],
        }).encode(), OCI_INDEX
        self.digest = digest(self.manifest)

    def parts(self):
        return [blob for one in self.images for blob in one.parts()[0]], list(self.images)


def busybox(*applets):
    """A layer with a shell and the small tools, out of the mock type; empty where there is none."""
    packed = harness.RESOURCE_TYPES / "mock/rootfs.tgz"
    if not packed.exists():
        return layer({})
    with tarfile.open(packed) as archive:
        program = archive.extractfile("./bin/busybox").read()
    files = {"bin/": b"", "bin/busybox": program, "tmp/": {"mode": 0o1777}, "etc/": b""}
    for applet in ("sh", "cat", "echo", "id", "ls", "env", "stat", "test", "true", "sleep", "touch", "printenv", *applets):
        files[f"bin/{applet}"] = {"type": tarfile.SYMTYPE, "linkname": "busybox"}
    return layer(files)


# ---- servers ----

def certificate(directory, name, address):
    """A self-signed certificate and its key, as paths."""
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class TokenServer:
    """Gives tokens to who asks with the right password, for what they asked; counts how often."""

    def __init__(self, directory, address, username, password):
        self.cert, self.key = certificate(directory, "token", address)
        self.expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.given, self.seconds = [], 300
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
                if self.headers.get("Authorization") != server.expected:
                    return self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
                server.given += query["scope"]
                return self.answer(200, {"token": server.token(query["scope"][0], query["service"][0])})

            def answer(self, status, body):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *words):
                pass

        self.http = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.http.server_address[1]}/token"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def token(self, scope, service):
        kind, rest = scope.split(":", 1)
        name, actions = rest.rsplit(":", 1)
        now = int(time.time())
        der = base64.b64encode(base64.b64decode("".join(self.cert.read_text().split("-----")[2].split()))).decode()
        parts = [{"alg": "RS256", "typ": "JWT", "x5c": [der]},
                 {"iss": "test", "sub": "", "aud": service, "exp": now + self.seconds, "nbf": now - 60, "iat": now, "jti": str(now),
                  "access": [{"type": kind, "name": name, "actions": actions.split(",")}]}]
        encode = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")  # noqa: E731
        signed = b".".join(encode(json.dumps(part).encode()) for part in parts)
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=signed, capture_output=True, check=True)
        return (signed + b"." + encode(signature.stdout)).decode()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


class Registry:
    """docker-registry at an address, with or without TLS and passwords; a second, open one on loopback beside it, on the
    same files, is the back door through which tests put images in and take them away."""

    def __init__(self, directory, address="127.0.0.1", tls=False, users=None, token=None):
        self.directory, self.address = pathlib.Path(directory), address
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ca = None
        self.host, self.front = self.serve("front", address, self.settings(tls, users, token))
        self.back_host, self.back = self.serve("back", "127.0.0.1", "")

    def settings(self, tls, users, token):
        text = ""
        if tls:
            cert, key = certificate(self.directory, "registry", self.address)
            self.ca = cert.read_text()
            text += f"  tls: {{certificate: {cert}, key: {key}}}\n"
        if users:
            lines = [f"{name}:{crypt.crypt(word, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=2 ** 5)).replace('$2b$', '$2y$', 1)}\n"
                     for name, word in users.items()]
            (self.directory / "htpasswd").write_text("".join(lines))
            text += f"auth:\n  htpasswd: {{realm: test, path: {self.directory / 'htpasswd'}}}\n"
        if token:
            text += (f"auth:\n  token: {{realm: '{token.url}', service: test, issuer: test, "
                     f"rootcertbundle: {token.cert}}}\n")
        return text

    def serve(self, name, address, settings):
        port = harness.free_port(address)
        config = self.directory / f"{name}.yml"
        config.write_text(
            f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {self.directory / 'data'}}}\n  delete: {{enabled: true}}\n"
            f"http:\n  addr: '{address}:{port}'\n  secret: test\n{settings}")
        process = harness.Process(["docker-registry", "serve", config])
        process.wait_for("listening on")
        return f"{address}:{port}", process

    def request(self, method, path, body=None, **headers):
        url = path if path.startswith("http") else f"http://{self.back_host}{path}"
        request = urllib.request.Request(url, data=body, method=method, headers={key.replace("_", "-"): value for key, value in headers.items()})
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            return answer.headers, answer.read()

    def push(self, name, image, *tags):
        """Through the back door. Returns the digest."""
        blobs, children = image.parts()
        for blob in blobs:
            headers, _ = self.request("POST", f"/v2/{name}/blobs/uploads/", b"")
            place = headers["Location"]
            self.request("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest(blob)}", blob,
                         Content_Type="application/octet-stream")
        for reference, one in [*((child.digest, child) for child in children), *((tag, image) for tag in tags)]:
            self.request("PUT", f"/v2/{name}/manifests/{reference}", one.manifest, Content_Type=one.media_type)
        return image.digest

    def tags(self, name):
        return sorted(json.loads(self.request("GET", f"/v2/{name}/tags/list")[1])["tags"] or [])

    def manifest(self, name, reference):
        """Its digest, media type and text."""
        headers, text = self.request("GET", f"/v2/{name}/manifests/{reference}", Accept=f"{OCI_INDEX}, {OCI_MANIFEST}, "
                                     "application/vnd.docker.distribution.manifest.v2+json")
        return headers["Docker-Content-Digest"], headers["Content-Type"], text

    def delete(self, name, reference):
        self.request("DELETE", f"/v2/{name}/manifests/{reference}")

    def blobs_sent(self, start=0):
        """{digest: bytes} of the blobs that the front gave away, since a line of its log."""
        sent = {}
        for line in self.front.lines[start:]:
            found = re.search(r'"GET /v2/\S+/blobs/(sha256:\w+) HTTP/1\.1" 20[06] (\d+)', line)
            if found:
                sent[found.group(1)] = sent.get(found.group(1), 0) + int(found.group(2))
        return sent

    def stop(self):
        for process in (self.front, self.back):
            process.stop()
