"""The two limits that ApusFS is measured against: FUSE without a filesystem, Redis without one."""

import json
from pathlib import Path

from ..processes import run
from ..programs import compiled
from ..rows import Sample
from .base import System

SOURCES = Path(__file__).resolve().parents[2] / "ceilings"
FILE_MEBIBYTES = 64
WORKERS = 8  # as many as ApusFS has
# A block as ApusFS stores it (docs/FORMAT.md), and its default number of connections for data.
STORED_BLOCK_BYTES = 124 * 1024 + 16
CONNECTIONS = 4
PIPELINE_DEPTH = 8  # commands under way on each connection


class FuseCeiling(System):
    """A daemon in C that holds one file in memory (ceilings/memfile.c)."""

    title = "FUSE alone: one file in memory, in C, over /dev/fuse"

    def __init__(self, label, environment, flags=()):
        super().__init__(label, environment, flags)
        self.mount_point = self.home / "memfile"
        self.mount_point.mkdir()
        self.program = compiled(environment.tools, SOURCES / "memfile.c", "fuse3")

    def mount(self):
        self.run_daemon([self.program, self.mount_point, FILE_MEBIBYTES, WORKERS])
        self.wait_for_mount()

    def version(self):
        return f"libfuse {run(['pkg-config', '--modversion', 'fuse3']).strip()}"


class RedisCeiling(System):
    """A client in C that pipelines blocks (ceilings/pipelines.c). There is nothing to mount."""

    title = f"Redis alone: {CONNECTIONS} pipelined connections, blocks of {STORED_BLOCK_BYTES:,} bytes, in C"
    uses_redis = True

    def __init__(self, label, environment, flags=()):
        super().__init__(label, environment, flags)
        self.program = compiled(environment.tools, SOURCES / "pipelines.c")
        self.database = environment.database(label)
        self._cpu_seconds = 0.0

    def mount(self):
        """It is there."""

    def restart(self):
        """It knows nothing."""

    def move(self, direction, mebibytes):
        """Sets or gets so many MiB of blocks."""
        said = json.loads(run([
            self.program, direction, self.server.address, self.database, STORED_BLOCK_BYTES,
            mebibytes * 2**20 // STORED_BLOCK_BYTES, CONNECTIONS, PIPELINE_DEPTH]))
        self._cpu_seconds += said["cpu_seconds"]
        return Sample(said["seconds"], said["operations"], said["bytes"])

    def clear(self):
        self.server.call("SELECT", self.database)
        self.server.call("FLUSHDB")

    def daemon_cpu_seconds(self):
        return self._cpu_seconds
