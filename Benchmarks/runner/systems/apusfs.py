"""ApusFS itself: on the run's redis-server, or with `memory:` as the ceiling that stores nothing."""

import os
from pathlib import Path

from ..failures import Missing
from ..processes import run
from .base import System


class ApusFS(System):
    title = "ApusFS"
    uses_redis = True

    def __init__(self, label, environment, flags=(), binary=None):
        self.binary = Path(binary or environment.binary).resolve()
        if not os.access(self.binary, os.X_OK):
            raise Missing(
                f"no ApusFS at {self.binary}: build it (swift build -c release --product apusfs) "
                "or name it with --binary")
        super().__init__(label, environment, flags)
        self.source = environment.database_source(label, self.server)

    def start(self):
        run([self.binary, "format", self.source, "--volume", "bench"])

    def mount(self):
        self.run_daemon(
            [self.binary, "mount", self.source, self.path, "--volume", "bench", "--foreground",
             *self.flags])
        self.wait_for_mount()

    def version(self):
        return run([self.binary, "version"]).strip().splitlines()[0]


class MemFS(ApusFS):
    """Everything in the daemon: what FUSE and this daemon cost without a store.

    What it holds ends with the mount, so it takes no part in cold rows.
    """

    title = "ApusFS, memory:"
    uses_redis = False

    def start(self):
        """`memory:` is made by mounting it."""

    def restart(self):
        raise Missing("memory: keeps nothing over a remount")
