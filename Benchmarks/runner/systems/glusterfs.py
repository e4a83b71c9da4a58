"""GlusterFS: one brick and a mount, with the translators of a new volume of one brick, without glusterd.

glusterd keeps its state and its sockets in places of the whole machine, and its bricks outlive it. The two
volume files are what it would write: performance.io-cache and read-ahead are off by default since version 9.
"""

import os
import shutil
import socket
import time

from ..failures import Failed, Missing
from ..processes import Child, run
from .base import System

READY_SECONDS = 30
SERVER = """
volume posix
  type storage/posix
  option directory {brick}
end-volume
volume locks
  type features/locks
  subvolumes posix
end-volume
volume threads
  type performance/io-threads
  subvolumes locks
end-volume
volume brick
  type debug/io-stats
  subvolumes threads
end-volume
volume server
  type protocol/server
  option transport-type tcp
  option transport.socket.bind-address 127.0.0.1
  option transport.socket.listen-port {port}
  option auth.addr.brick.allow 127.0.0.1
  subvolumes brick
end-volume
"""
CLIENT = """
volume client
  type protocol/client
  option transport-type tcp
  option remote-host 127.0.0.1
  option remote-port {port}
  option remote-subvolume brick
end-volume
volume distribute
  type cluster/distribute
  subvolumes client
end-volume
volume write-behind
  type performance/write-behind
  subvolumes distribute
end-volume
volume open-behind
  type performance/open-behind
  subvolumes write-behind
end-volume
volume quick-read
  type performance/quick-read
  subvolumes open-behind
end-volume
volume md-cache
  type performance/md-cache
  subvolumes quick-read
end-volume
volume top
  type debug/io-stats
  subvolumes md-cache
end-volume
"""


class GlusterFS(System):
    title = "GlusterFS (brick on the local disk)"

    def __init__(self, label, environment, flags=()):
        if not shutil.which("glusterfsd") or not shutil.which("glusterfs") or os.geteuid() != 0:
            raise Missing("glusterfs needs root and the Debian packages glusterfs-server and glusterfs-client")
        super().__init__(label, environment, flags)
        self.server_process = None

    def start(self):
        (self.home / "brick").mkdir()
        port = _free_port()
        (self.home / "server.vol").write_text(SERVER.format(brick=self.home / "brick", port=port))
        (self.home / "client.vol").write_text(CLIENT.format(port=port))
        self.server_process = Child(
            ["glusterfsd", "-N", "-f", self.home / "server.vol", "-l", self.home / "server.log",
             "-p", self.home / "server.pid", "--brick-port", port], self.home / "glusterfsd.log")
        _wait_for(port, self.server_process)

    def mount(self):
        self.run_daemon(
            ["glusterfs", "-N", "-f", self.home / "client.vol", "-l", self.home / "client.log",
             "-p", self.home / "client.pid", *self.flags, self.path])
        self.wait_for_mount()

    def version(self):
        return run(["glusterfs", "--version"]).splitlines()[0]

    def daemon_cpu_seconds(self):
        server = self.server_process
        return super().daemon_cpu_seconds() + (server.cpu_seconds() if server else 0)

    def stop(self):
        super().stop()
        if self.server_process:
            self.server_process.stop()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(port, server):
    end = time.monotonic() + READY_SECONDS
    while server.is_running() and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"glusterfsd does not listen: {server.tail()}")
