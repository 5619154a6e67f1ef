"""Network namespaces of a test's own: what its programs, threads and children see is not the machine's network."""

import contextlib
import ctypes
import http.server
import os
import subprocess
import threading

import harness

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def enter(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def away():
    """This thread, and what it starts from now on, in a new namespace with nothing but lo."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        enter(home)
        os.close(home)


def run(*words, text=None):
    done = subprocess.run(list(map(str, words)), input=text, capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


class Outside:
    """The world beyond a host: a namespace of its own, joined to this one by a pair of interfaces."""

    def __init__(self, here, there, mtu):
        """here, there: addresses with their prefixes, of this end and of the other."""
        self.process = harness.Process(["unshare", "-n", "sh", "-c", "echo ready; exec sleep infinity"])
        self.process.wait_for("ready")
        pid = self.process.pid
        self.fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        self.servers = []
        run("ip", "link", "add", "up0", "mtu", mtu, "type", "veth", "peer", "name", "far0", "mtu", mtu, "netns", pid)
        self._join([], "up0", here)
        self._join(["nsenter", "-t", pid, "-n"], "far0", there)

    @staticmethod
    def _join(prefix, name, addresses):
        for address in addresses:
            run(*prefix, "ip", "addr", "add", address, "dev", name, *["nodad"] * (":" in address))
        run(*prefix, "ip", "link", "set", name, "up")
        run(*prefix, "ip", "link", "set", "lo", "up")

    def call(self, function):
        """On a thread that lives there; sockets keep to where they were made."""
        results = []

        def work():
            enter(self.fd)
            results.append(function())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(harness.PATIENCE)
        assert results, "it failed out there"
        return results[0]

    def serve(self, *where):
        server = self.call(lambda: Web(*where))
        self.servers.append(server)
        return server

    def stop(self):
        for server in self.servers:
            server.stop()
        os.close(self.fd)
        self.process.child.terminate()
        self.process.wait()


class Web:
    """Answers "hello" to everybody and remembers who asked."""

    def __init__(self, address, port, family=None):
        self.peers = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.peers.append(self.client_address[0])
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"hello\n")

            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        if ":" in address:
            Server.address_family = 10  # AF_INET6
        self.server = Server((address, port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Names:
    """A name server that knows A records; over UDP."""

    def __init__(self, address, names):
        import socket

        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        self.names, self.asked = names, []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            at, labels = 12, []
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            name, kind = ".".join(labels), int.from_bytes(query[at + 1:at + 3], "big")
            self.asked.append(name)
            question = query[12:at + 5]
            found = self.names.get(name)
            answer = b""
            if found and kind == 1:
                answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes(map(int, found.split(".")))
            flags = b"\x85\x80" if found else b"\x85\x83"
            self.socket.sendto(query[:2] + flags + b"\x00\x01" + (b"\x00\x01" if answer else b"\x00\x00") + b"\x00" * 4 + question + answer, peer)

    def stop(self):
        self.socket.close()
