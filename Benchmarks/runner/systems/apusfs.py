"""ApusFS itself: on the run's redis-server, or with `memory:` as the ceiling that stores nothing."""

import os
import re
from pathlib import Path

from ..failures import Missing
from ..processes import run
from .base import System


CACHE_BYTES = 512 * 2**20  # when no flag says another
SPARE_BYTES = 64 * 2**20  # that the daemon may have beside its cache, at any load
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


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

        self.database = environment.database(label) if self.server else None
        self.memory_limit_bytes = _cache_bytes(self.flags) + SPARE_BYTES

    def start(self):
        run([self.binary, "format", self.source, "--volume", "bench"])

    def mount(self):
        self.run_daemon(
            [self.binary, "mount", self.source, self.path, "--volume", "bench", "--foreground",
             *self.flags])
        self.wait_for_mount()

    def version(self):
        return run([self.binary, "version"]).strip().splitlines()[0]


class ApusFSByDevice(ApusFS):
    """Beside the ceiling of FUSE, which is a daemon on /dev/fuse."""

    title = "ApusFS, --transport device"

    def __init__(self, label, environment, flags=()):
        super().__init__(label, environment, _own_flags(environment, flags, "--transport", "device"))


class ApusFSInLittleMemory(ApusFS):
    """With a cache that the rows about memory fill."""

    title = "ApusFS with a small cache"

    def __init__(self, label, environment, flags=()):
        super().__init__(label, environment, _own_flags(environment, flags, "--cache-size", "128MiB"))


class MemFS(ApusFS):
    """Everything in the daemon: what FUSE and this daemon cost without a store.

    What it holds ends with the mount, so it takes no part in cold rows.
    """

    title = "ApusFS, memory:"
    uses_redis = False

    def __init__(self, label, environment, flags=(), binary=None):
        super().__init__(label, environment, flags, binary)
        self.memory_limit_bytes = None  # the store is in it

    def start(self):
        """`memory:` is made by mounting it."""

    def restart(self):
        raise Missing("memory: keeps nothing over a remount")


def _own_flags(environment, flags, *own):
    """Those of `--flags apusfs=…`, then those of `--flags LABEL=…`, then what makes it what it is."""
    return [*environment.flags.get("apusfs", []), *flags, *own]


def _cache_bytes(flags):
    """What `--cache-size` among the flags says, in one word or two."""
    said = re.search(r"--cache-size[ =](\d+)([KMG]?)(?:iB)?(?: |$)", " ".join(flags))
    return int(said[1]) * UNITS[said[2]] if said else CACHE_BYTES
