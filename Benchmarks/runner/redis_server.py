"""A private redis-server, and the few words of its protocol that the runner needs."""

import shutil
import socket
import time
from pathlib import Path

from .failures import Failed, Missing
from .processes import Child

START_SECONDS = 10
PERSISTENCE = {
    "none": ["--appendonly", "no"],
    "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
    "always": ["--appendonly", "yes", "--appendfsync", "always"],
}


class RedisServer:
    """Listens on a port of the loopback interface and on a unix socket in its own directory."""

    def __init__(self, directory, transport, persistence):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.socket_path = self.directory / "redis.sock"
        self.transport = transport
        self.port = _free_port()
        program = shutil.which("redis-server")
        if program is None:
            raise Missing("redis-server is not installed")
        self.child = Child(
            [program, "--bind", "127.0.0.1", "--port", self.port, "--unixsocket", self.socket_path,
             "--dir", self.directory, "--save", "", "--daemonize", "no", "--databases", 32,
             *PERSISTENCE[persistence]],
            self.directory / "redis.log")
        self._connection = None
        self._wait_until_ready()

    def source(self, database):
        """The address of one of its databases, as ApusFS and JuiceFS both spell it."""
        if self.transport == "unix":
            return f"unix://{self.socket_path}?db={database}"
        return f"redis://127.0.0.1:{self.port}/{database}"

    @property
    def address(self):
        """As `source`, for a program that wants a path or a port."""
        return str(self.socket_path if self.transport == "unix" else self.port)

    def call(self, *words):
        """Sends one command; returns its bulk or simple reply as text."""
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(30)
            self._connection.connect(str(self.socket_path))
            self._input = self._connection.makefile("rb")
        parts = [str(word).encode() for word in words]
        self._connection.sendall(
            b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        head = self._input.readline()
        if head[:1] == b"$":
            return self._input.read(int(head[1:]) + 2)[:-2].decode(errors="replace")
        if head[:1] in (b"+", b":"):
            return head[1:].strip().decode()
        raise Failed(f"redis-server answered {words[0]} with {head!r}")

    def info(self, *sections):
        text = self.call("INFO", *sections)
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def stop(self):
        if self._connection is not None:
            self._connection.close()
        self.child.stop()

    def _wait_until_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            try:
                if self.call("PING") == "PONG":
                    return
            except OSError:
                self._connection = None
            if not self.child.is_running():
                break
            time.sleep(0.01)
        self.child.stop()
        raise Failed(f"redis-server did not start: {self.child.tail()}")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
