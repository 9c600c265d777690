"""A Portico that asks everybody who he is, with nothing behind it, and clients that time what it answers."""

import base64
import contextlib
import json
import pathlib
import socket
import subprocess
import tempfile
import time

from harness import contenders as field
from harness.processes import Failed, Process, free_port

PASSWORD = "a password of the bench"

CONFIGURATION = """[site]
data_dir = "{folder}/data"

[listen]
http = ["127.0.0.1:{port}"]
https = []
admin = "unix:{folder}/admin.sock"
max_connections_per_address = 10000
{listen}

[[model]]
name = "bench"
engine = "external"
endpoints = ["http://127.0.0.1:9"]

[log]
access = "{folder}/access.log"
error = "stderr"

[health]
interval = "0s"

[access]
{access}
"""


class Door:
    """Runs as long as the block of its `with` does."""

    def __init__(self, binary, access, listen=""):
        self.binary, warning = field.find_portico(binary)
        self.warning = warning
        self.access, self.listen = access, listen
        self.cleanup = contextlib.ExitStack()
        self.port = free_port()

    def __enter__(self):
        with contextlib.ExitStack() as cleanup:
            self.folder = pathlib.Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="portico-bench-")))
            (self.folder / "data").mkdir()
            self.file = self.folder / "portico.toml"
            places = {"folder": self.folder, "port": self.port, "listen": self.listen}
            self.file.write_text(CONFIGURATION.format(access=self.access.format(folder=self.folder), **places))
            for name, text in self.files().items():
                (self.folder / name).write_text(text)
            self.process = Process([self.binary, "--config", self.file, "run"], self.folder / "output.log")
            cleanup.callback(self.process.stop)
            self.wait()
            self.cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_):
        self.cleanup.close()

    def files(self):
        return {}

    def wait(self):
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.ended():
                raise Failed(f"portico ended:\n{self.process.last_lines()}")
            with contextlib.suppress(OSError), contextlib.closing(Client(self.port)) as client:
                if client.get("/health")[0] == 200:
                    return
            time.sleep(0.01)
        raise Failed(f"portico does not answer:\n{self.process.last_lines()}")

    def ask(self, *words, said=""):
        command = [self.binary, "--config", self.file, *words]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode != 0:
            raise Failed(f"portico {words[0]} {words[1]}: {done.stderr.strip()}")
        return done.stdout

    def add(self, name):
        self.ask("user", "add", name, "--password-stdin", said=PASSWORD)

    def key(self, name):
        return json.loads(self.ask("key", "create", "--user", name, "--json"))["key"]


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def request(path, authorization=None, forwarded=None):
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1"]
    if authorization:
        lines.append(f"Authorization: {authorization}")
    if forwarded:
        lines.append(f"X-Forwarded-For: {forwarded}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_ends(received):
    """Where the first answer ends, or `None` while it is not whole. Every answer here has a length."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    lines = received[:head].lower().split(b"\r\n")
    length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
    end = head + 4 + length
    return end if len(received) >= end else None


def status_of(received):
    return int(received[9:12])


class Client:
    """One kept connection, from an address of loopback."""

    def __init__(self, port, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path, authorization=None, forwarded=None):
        """Status and nanoseconds."""
        sent = request(path, authorization, forwarded)
        began = time.perf_counter_ns()
        self.socket.sendall(sent)
        received = b""
        while answer_ends(received) is None:
            piece = self.socket.recv(65536)
            if not piece:
                raise Failed(f"the connection was closed in the middle of an answer: {received!r}")
            received += piece
        return status_of(received), time.perf_counter_ns() - began

    def close(self):
        self.socket.close()
