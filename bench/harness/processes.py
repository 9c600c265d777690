"""Processes that bench/run started, and nothing else: start, first answer, memory at rest, orderly end."""

import json
import os
import signal
import socket
import subprocess
import time

BODY = json.dumps(
    {
        "model": "bench",
        "messages": [{"role": "user", "content": "Are you there?"}],
        "max_tokens": 16,
        "seed": 100000000,
    }
).encode()


class Failed(Exception):
    """Something that was needed did not work; the text says what and what to do."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_ticks(pid):
    """A process's start time: with its id it names the process for good. None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def tree(pid):
    """The ids of a process and of all below it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                    parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    pids = [pid]
    for parent in pids:
        pids.extend(child for child, of in parents.items() if of == parent)
    return pids


def memory_kib(pid):
    """Resident and proportional memory of a process and all below it."""
    rss = pss = 0
    for each in tree(pid):
        try:
            with open(f"/proc/{each}/smaps_rollup", encoding="ascii") as rollup:
                fields = dict(line.split(":", 1) for line in rollup if ":" in line and "-" not in line.split(":")[0])
        except OSError:
            continue
        rss += int(fields.get("Rss", "0 kB").split()[0])
        pss += int(fields.get("Pss", "0 kB").split()[0])
    return rss, pss


class Process:
    """A started process in a session of its own, so that Ctrl-C reaches only bench/run, which ends the rest."""

    def __init__(self, command, output, environment=None):
        self.output = output
        self.began = time.monotonic()
        with open(output, "ab") as sink:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=environment,
                start_new_session=True,
            )
        self.pid = self.popen.pid

    def ended(self):
        return self.popen.poll() is not None

    def last_lines(self, count=8):
        with open(self.output, encoding="utf-8", errors="replace") as sink:
            return "\n".join(sink.read().strip().splitlines()[-count:])

    def first_answer(self, port, authorization=None, patience=15.0):
        """Seconds from start to the first 200 of a plain call; a process that ends before is an error."""
        deadline = self.began + patience
        said = "nothing listens"
        while time.monotonic() < deadline:
            if self.ended():
                raise Failed(f"ended with status {self.popen.returncode} before it answered:\n{self.last_lines()}")
            try:
                status = call_once(port, authorization)
                if status == "200":
                    return time.monotonic() - self.began
                said = f"status {status or 'missing'}"
                time.sleep(0.01)
            except OSError as error:
                said = str(error)
                time.sleep(0.0005)
        raise Failed(f"no 200 within {patience:.0f} s ({said}):\n{self.last_lines()}")

    def stop(self, grace=5.0):
        """Ends the process and what it started: asked first, then killed. Only processes whose start time is known."""
        below = {pid: start_ticks(pid) for pid in tree(self.pid)} if not self.ended() else {}
        if not self.ended():
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(grace)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        deadline = time.monotonic() + 1.0
        left = {pid: born for pid, born in below.items() if pid != self.pid and born is not None}
        while left and time.monotonic() < deadline:
            left = {pid: born for pid, born in left.items() if start_ticks(pid) == born}
            time.sleep(0.01)
        for pid, born in left.items():
            if start_ticks(pid) == born:
                os.kill(pid, signal.SIGKILL)


def call_once(port, authorization=None):
    """The status of one plain call over a new connection."""
    credential = f"Authorization: {authorization}\r\n" if authorization else ""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
            f"{credential}Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
        )
        connection.sendall(head.encode() + BODY)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer.partition(b"\r\n")[0].decode("latin-1").split(" ")[1] if b" " in answer else ""
