"""A directory of the local disk: what the applications cost without a network filesystem."""

import shutil

from ..processes import run
from .base import System


class Local(System):
    title = "local directory"

    def mount(self):
        """It is there."""

    def forget(self):
        """Drops the page cache of the whole machine, when allowed to: there is no smaller way."""
        run(["sync", "-f", self.path])
        try:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as control:
                control.write("3")
        except PermissionError:
            return

    def stop(self):
        shutil.rmtree(self.path, ignore_errors=True)

    def version(self):
        return run(["findmnt", "-no", "FSTYPE", "-T", self.path]).strip()
