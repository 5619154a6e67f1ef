"""The git resource type against real servers: SSH with keys, HTTP with passwords, a proxy, LFS, signatures, git-crypt."""

import base64
import http.server
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

import chroots
import harness

ENVIRONMENT = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
USER, PASSWORD = "somebody", "a pass/word"
TUNNEL_PASSWORD = "pass/word"  # proxytunnel reads its file word by word


def shell(script, cwd, **variables):
    done = subprocess.run(["bash", "-euc", script], cwd=cwd, text=True, capture_output=True,
                          env={**ENVIRONMENT, "HOME": str(cwd), **variables})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return chroots.unpack("git", tmp_path_factory.mktemp("type") / "git")


@pytest.fixture
def place(tmp_path, root):
    """A folder with repo.git, a bare repository of three commits, and work, a clone of it; the root's /tmp is empty."""
    for left in [*(root / "tmp").iterdir(), *(root / "root").iterdir()]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    tmp_path.chmod(0o755)
    shell("""
        git config --global user.name Test; git config --global user.email test@localhost
        git config --global init.defaultBranch main; git config --global protocol.file.allow always
        git init -q --bare repo.git; git -C repo.git config uploadpack.allowFilter true
        git -C repo.git config http.receivepack true
        git clone -q repo.git work 2>/dev/null; cd work
        for n in one two three; do echo $n >file; git add file; git commit -q -m $n; done
        git push -q origin main""", tmp_path)
    return tmp_path


def head(place, ref="main"):
    return shell(f"git -C repo.git rev-parse {ref}", place)


def get(root, source, version=None, params=None, status=0):
    """A get into /tmp/build/get, which is empty before."""
    shutil.rmtree(root / "tmp/build", ignore_errors=True)
    request = {"source": source, "version": version, "params": params or {}}
    answer, said = chroots.run(root, "in", request, "/tmp/build/get", status=status)
    return answer, said, root / "tmp/build/get"


# ---- SSH ----


class Ssh:
    """An sshd that takes one key, and notes the environment of each session."""

    def __init__(self, place):
        self.place, self.port = place, harness.free_port()
        self.notes = place / "sessions"
        shell("ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key;"
              "ssh-keygen -q -t rsa -b 2048 -N '' -f other; cp key locked; ssh-keygen -q -p -P '' -N secret -f locked;"
              "cp key.pub authorized", place)
        session = place / "session"
        session.write_text(f'#!/bin/sh\nenv >>{self.notes}\neval "exec $SSH_ORIGINAL_COMMAND"\n')
        session.chmod(0o755)
        (place / "sshd_config").write_text(f"""
            ListenAddress 127.0.0.1:{self.port}
            HostKey {place}/host
            AuthorizedKeysFile {place}/authorized
            PidFile none
            UsePAM no
            StrictModes no
            PermitRootLogin yes
            PasswordAuthentication no
            ForceCommand {session}
        """)
        os.makedirs("/run/sshd", exist_ok=True)
        self.process = harness.Process(["/usr/sbin/sshd", "-D", "-e", "-f", place / "sshd_config"])
        self.process.wait_for("Server listening")

    def url(self, path="repo.git"):
        return f"ssh://root@127.0.0.1:{self.port}{self.place}/{path}"

    def key(self, name="key"):
        return (self.place / name).read_text()


@pytest.fixture
def ssh(place):
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("there is no sshd")
    server = Ssh(place)
    yield server
    server.process.stop()


def test_ssh_key_opens_the_repository(root, place, ssh):
    source = {"uri": ssh.url(), "branch": "main", "private_key": ssh.key()}
    versions, _ = chroots.run(root, "check", {"source": source})
    assert versions == [{"ref": head(place)}]
    _, _, got = get(root, source, versions[0])
    assert (got / "file").read_text() == "three\n"
    (got / "file").write_text("four\n")
    shell("git commit -q -am four", got, GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="A",
          GIT_COMMITTER_EMAIL="a@b")
    answer, said = chroots.run(root, "out", {"source": source, "params": {"repository": "get"}}, "/tmp/build")
    assert answer["version"] == {"ref": head(place)} and "pushed" in said


def test_ssh_key_with_a_passphrase_is_unlocked(root, place, ssh):
    source = {"uri": ssh.url(), "private_key": ssh.key("locked"), "private_key_passphrase": "secret"}
    assert chroots.run(root, "check", {"source": source})[0] == [{"ref": head(place)}]


@pytest.mark.parametrize("change,says", [
    ({"private_key_passphrase": ""}, "Private key has a passphrase but private_key_passphrase has not been set."),
    ({"private_key_passphrase": "wrong"}, "the passphrase does not fit the private key"),
    ({"private_key": "other"}, "git clone failed with exit status 128"),
    ({"private_key": "nonsense"}, "git clone failed with exit status 128"),
    ({"private_key_user": "nobody-here"}, "git clone failed with exit status 128"),
])
def test_ssh_refuses_what_is_not_right(root, ssh, change, says):
    source = {"uri": ssh.url().replace("root@", ""), "private_key": ssh.key("locked"), "private_key_passphrase": "secret",
              "private_key_user": "root", **change}
    if (ssh.place / change.get("private_key", "-")).exists():
        source["private_key"] = ssh.key(change["private_key"])
    code = 128 if "128" in says else 1
    assert says in chroots.run(root, "check", {"source": source}, status=code)[1]


def test_agent_is_forwarded_when_asked_for(root, ssh):
    source = {"uri": ssh.url(), "private_key": ssh.key()}
    chroots.run(root, "check", {"source": source})
    assert "SSH_AUTH_SOCK" not in ssh.notes.read_text()
    chroots.run(root, "check", {"source": {**source, "forward_agent": True}})
    assert "SSH_AUTH_SOCK" in ssh.notes.read_text()


class Proxy(http.server.BaseHTTPRequestHandler):
    """CONNECT, for whoever gives the password."""

    def do_CONNECT(self):
        wanted = "Basic " + base64.b64encode(f"{USER}:{TUNNEL_PASSWORD}".encode()).decode()
        if self.headers.get("Proxy-Authorization") != wanted:
            self.send_error(407)
            return
        host, port = self.path.split(":")
        self.server.tunnels.append(self.path)
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: other, other: self.connection}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    ends[ready].sendall(data)

    def log_message(self, *words):
        pass


def serve(handler, context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_ssh_goes_through_an_https_tunnel(root, place, ssh):
    proxy = serve(Proxy)
    proxy.tunnels = []
    tunnel = {"proxy_host": "127.0.0.1", "proxy_port": proxy.server_port, "proxy_user": USER,
              "proxy_password": TUNNEL_PASSWORD}
    source = {"uri": ssh.url(), "private_key": ssh.key(), "https_tunnel": tunnel}
    assert chroots.run(root, "check", {"source": source})[0] == [{"ref": head(place)}]
    assert proxy.tunnels == [f"127.0.0.1:{ssh.port}"]
    proxy.shutdown()


def test_submodule_has_a_key_of_its_own(root, place, ssh):
    shell(f"git init -q --bare sub.git; git clone -q sub.git sub 2>/dev/null; cd sub; echo s >s; git add s;"
          f"git commit -q -m s; git push -q origin HEAD:main; cd ../work;"
          f"git -c core.sshCommand='ssh -i ../key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null'"
          f" submodule --quiet add -b main {ssh.url('sub.git')} sub; git commit -q -m sub; git push -q origin main", place)
    source = {"uri": f"file:///srv/repo.git", "submodule_credentials": [
        {"url": ssh.url("sub.git"), "private_key": ssh.key("locked"), "private_key_passphrase": "secret"}]}
    shutil.rmtree(root / "srv/repo.git", ignore_errors=True)
    shutil.copytree(place / "repo.git", root / "srv/repo.git")
    assert (get(root, source)[2] / "sub/s").read_text() == "s\n"
    get(root, {"uri": source["uri"]}, status=1)


# ---- HTTP ----


class SmartHttp(http.server.BaseHTTPRequestHandler):
    """git http-backend behind a password, unless the server has none."""

    def serve_git(self):
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.server.locked and self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.read_body()
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env={
            **ENVIRONMENT, "GIT_PROJECT_ROOT": str(self.server.place), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": USER,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "HOME": str(self.server.place)})
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def read_body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = serve_git
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass


@pytest.fixture
def web(place):
    server = serve(SmartHttp)
    server.place, server.locked = place, True
    server.url = f"http://127.0.0.1:{server.server_port}/repo.git"
    yield server
    server.shutdown()


def test_http_password_opens_the_repository(root, place, web):
    source = {"uri": web.url, "branch": "main", "username": USER, "password": PASSWORD}
    versions, _ = chroots.run(root, "check", {"source": source})
    assert versions == [{"ref": head(place)}]
    _, _, got = get(root, source, versions[0])
    shell("git tag mine", got)
    answer, _ = chroots.run(root, "out", {"source": source, "params": {"repository": "get", "only_tag": True}},
                            "/tmp/build")
    assert answer["version"] == versions[0] and head(place, "mine") == versions[0]["ref"]


@pytest.mark.parametrize("login", [{}, {"username": USER, "password": "wrong"}, {"username": USER}])
def test_http_refuses_other_passwords(root, web, login):
    _, said = chroots.run(root, "check", {"source": {"uri": web.url, **login}}, status=128)
    assert "git clone failed with exit status 128" in said and PASSWORD not in said


def test_password_goes_only_to_its_host(root, place, web):
    """A submodule's host has credentials of its own, beside the default ones."""
    source = {"uri": web.url, "username": "default", "password": "other", "submodule_credentials": [
        {"host": "127.0.0.1", "username": USER, "password": PASSWORD}]}
    assert chroots.run(root, "check", {"source": source})[0] == [{"ref": head(place)}]


def test_certificates_are_verified_unless_told_otherwise(root, place):
    shell("openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -out tls.crt -days 2 -subj /CN=127.0.0.1"
          " -addext subjectAltName=IP:127.0.0.1 2>/dev/null", place)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "tls.crt", place / "tls.key")
    server = serve(SmartHttp, context)
    server.place, server.locked = place, False
    source = {"uri": f"https://127.0.0.1:{server.server_port}/repo.git"}
    assert "certificate" in chroots.run(root, "check", {"source": source}, status=128)[1]
    source["skip_ssl_verification"] = True
    assert chroots.run(root, "check", {"source": source})[0] == [{"ref": head(place)}]
    server.shutdown()


def test_unreachable_server_is_named(root):
    _, said = chroots.run(root, "check", {"source": {"uri": f"http://127.0.0.1:{harness.free_port()}/repo.git"}},
                          status=128)
    assert "Failed to connect to 127.0.0.1" in said or "Couldn't connect to server" in said


# ---- what is in the repository ----


def test_commit_outside_branches_is_found_by_its_remote_ref(root, place, web):
    web.locked = False
    pull = shell("cd work; git checkout -q -b pull; echo p >file; git commit -q -am p; git push -q origin HEAD:refs/pull/1/head;"
                 "git rev-parse HEAD", place)
    source = {"uri": web.url, "branch": "main"}
    _, said, _ = get(root, source, {"ref": pull}, status=128)
    _, said, got = get(root, {**source, "search_remote_refs": True}, {"ref": pull})
    assert f"{pull} not found locally, but search_remote_refs is enabled. Attempting to fetch refs/pull/1/head first." in said
    assert (got / "file").read_text() == "p\n"
    _, said, _ = get(root, {**source, "search_remote_refs": True}, {"ref": "0" * 39 + "1"}, status=128)
    assert "WARNING: couldn't find a ref for 0000000000000000000000000000000000000001 listed on the remote" in said


def test_force_pushed_history_begins_anew_and_deleted_tags_are_gone(root, place, web):
    web.locked = False
    shell("cd work; git tag v1; git push -q origin v1", place)
    source = {"uri": web.url, "branch": "main"}
    old = {"ref": head(place)}
    assert chroots.run(root, "check", {"source": source, "version": old})[0] == [old]
    shell("cd work; git reset -q --hard HEAD~2; echo x >file; git commit -q -am x; git push -q -f origin main;"
          "git push -q origin :v1; git -C ../repo.git reflog expire --expire=now --all; git -C ../repo.git gc -q --prune=now",
          place)
    assert chroots.run(root, "check", {"source": source, "version": old})[0][-1] == {"ref": head(place)}
    get(root, source, old, status=128)
    get(root, source, {"ref": "v1"}, status=128)


def test_ten_thousand_commits_are_listed(root, place, web):
    web.locked = False
    lines = ["blob\nmark :1\ndata 2\nx\n\n"]
    for n in range(10000):
        lines.append(f"commit refs/heads/long\ncommitter T <t@t> {1700000000 + n} +0000\ndata <<E\nc{n}\nE\n"
                     f"M 100644 :1 f{n % 100}\n\n")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=place / "repo.git", input="".join(lines), text=True, check=True)
    source = {"uri": web.url, "branch": "long"}
    first = shell("git -C repo.git rev-list --max-parents=0 long", place)
    versions, _ = chroots.run(root, "check", {"source": source, "version": {"ref": first}})
    assert len(versions) == 10000 and versions[0] == {"ref": first} and versions[-1] == {"ref": head(place, "long")}


def test_lfs_files_arrive_unless_disabled(root, place):
    if not shutil.which("git-lfs"):
        pytest.skip("there is no git-lfs")
    shutil.rmtree(root / "srv/lfs", ignore_errors=True)
    (root / "srv/lfs").mkdir(parents=True)
    shell(f"git lfs install --skip-repo >/dev/null; git clone -q repo.git lfs; cd lfs; git lfs track '*.bin' >/dev/null;"
          f"head -c 100000 /dev/zero >big.bin; git add .; git commit -q -m big; git init -q --bare {root}/srv/lfs;"
          f"git push -q file://{root}/srv/lfs HEAD:main", place)
    source = {"uri": "file:///srv/lfs", "branch": "main"}
    assert (get(root, source)[2] / "big.bin").stat().st_size == 100000
    pointer = get(root, source, params={"disable_git_lfs": True})[2] / "big.bin"
    assert pointer.read_text().startswith("version https://git-lfs.github.com/spec/v1\n")


@pytest.fixture
def signed(root, place):
    """Commits of which the last but one is signed; the signer's public key."""
    shutil.rmtree(root / "srv/signed", ignore_errors=True)
    (place / "gpg").mkdir(mode=0o700)
    key = shell("gpg --batch --quiet --passphrase '' --quick-gen-key 'Signer <s@localhost>' ed25519 sign never 2>/dev/null;"
                "gpg --batch --armor --export", place, GNUPGHOME=str(place / "gpg"))
    shell("cd work; git -c user.signingkey=s@localhost commit -q -S --allow-empty -m signed;"
          "git commit -q --allow-empty -m unsigned; git push -q origin main", place, GNUPGHOME=str(place / "gpg"))
    shell("gpgconf --kill all", place, GNUPGHOME=str(place / "gpg"))
    shutil.copytree(place / "repo.git", root / "srv/signed")
    return key


def test_only_signed_commits_are_fetched(root, place, signed):
    source = {"uri": "file:///srv/signed", "branch": "main", "commit_verification_keys": [signed]}
    answer, said, _ = get(root, source, {"ref": head(place, "main~1")})
    assert answer["version"] == {"ref": head(place, "main~1")} and "Good signature" in said
    _, said, _ = get(root, source, {"ref": head(place)}, status=1)
    assert f"The commit {head(place)} is not signed" in said
    _, said, _ = get(root, {**source, "commit_verification_keys": ["no key"]}, status=2)
    assert "Invalid GPG key in: no key" in said


def test_keys_that_no_server_has_are_named(root, place, signed):
    source = {"uri": "file:///srv/signed", "branch": "main", "commit_verification_key_ids": ["A3C4F0F979CAA22CDBA8F512EE8CBC9E886DDD89"],
              "gpg_keyserver": f"hkp://127.0.0.1:{harness.free_port()}"}
    assert "A3C4F0F979CAA22CDBA8F512EE8CBC9E886DDD89" in get(root, source, status=123)[1]


def test_git_crypt_unlocks_what_is_encrypted(root, place):
    if not shutil.which("git-crypt"):
        pytest.skip("there is no git-crypt")
    shutil.rmtree(root / "srv/crypt", ignore_errors=True)
    shell("cd work; git-crypt init; echo 'secret filter=git-crypt diff=git-crypt' >.gitattributes; echo hidden >secret;"
          "git add .; git commit -q -m secret; git push -q origin main; git-crypt export-key ../crypt.key", place)
    shutil.copytree(place / "repo.git", root / "srv/crypt")
    key = base64.b64encode((place / "crypt.key").read_bytes()).decode()
    source = {"uri": "file:///srv/crypt", "branch": "main"}
    assert (get(root, source)[2] / "secret").read_bytes().startswith(b"\0GITCRYPT")
    _, said, got = get(root, {**source, "git_crypt_key": re.sub("(.{60})", r"\1 ", key)})
    assert (got / "secret").read_text() == "hidden\n" and "unlocking git repo" in said
    assert "git-crypt could not unlock the repository" in get(root, {**source, "git_crypt_key": "AAAA"}, status=1)[1]
