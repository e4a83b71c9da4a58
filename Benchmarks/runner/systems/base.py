"""What the runner needs from a system that it measures. A new peer is one more subclass."""

import shutil
import subprocess
import time
from pathlib import Path

from ..failures import Failed
from ..processes import Child

MOUNT_SECONDS = 20
RESULTS = Path(__file__).resolve().parents[2] / "results"


class System:
    """A directory to work in, with whatever has to run so that it exists.

    A subclass sets `title`, and implements `start` (once), `mount` (also after each `unmount`) and
    `version`. It raises `Missing` from its initialiser when the machine lacks a program.
    """

    title = ""
    #: True when the system stores its data in the run's redis-server.
    uses_redis = False
    #: How much memory its daemon promises to stay below, when it promises anything.
    memory_limit_bytes = None

    def __init__(self, label, environment, flags=()):
        self.label = label
        self.environment = environment
        self.flags = list(flags)
        self.home = Path(environment.scratch) / label.replace("/", "_")
        self.home.mkdir(parents=True)
        self.path = self.home / "mount"  # where the suites work
        self.path.mkdir()
        self.mount_point = self.path
        self.server = environment.server_for(label) if self.uses_redis else None
        self.children = []
        self.daemon_environment = {}  # variables for the daemon: perf/heap

    # What a subclass implements

    def start(self):
        """Makes the (empty) volume. Nothing is mounted yet."""

    def mount(self):
        raise NotImplementedError

    def version(self):
        return ""

    def forget(self):
        """While unmounted: drops the caches that outlive a mount."""

    def command(self):
        """The mount command, for the report."""
        return " ".join(self.children[0].argv) if self.children else ""

    # What the suites use

    def restart(self):
        """Unmounts, stops the daemon and mounts again with nothing cached."""
        self.unmount()
        self.forget()
        self.mount()

    def death(self):
        """That a daemon is not there any more, and where its last words are; `None` when all run."""
        try:
            self.mount_point.stat()
        except OSError:
            for child in self.children:
                child.wait(10)  # it may be writing down where it crashed
        for child in self.children:
            if not child.is_running():
                RESULTS.mkdir(exist_ok=True)
                kept = RESULTS / f"{time.strftime('%Y-%m-%d-%H%M%S')}-{self.label}-daemon.log"
                shutil.copy(child.log, kept)
                return f"daemon ended with {child.process.returncode}; what it wrote: {kept}"
        return None

    def unmount(self):
        if is_mounted(self.mount_point):
            unmount(self.mount_point)
        for child in self.children:
            # A FUSE daemon ends by itself after the last unmount.
            child.wait(10)
            child.stop()
        self.children = []

    def stop(self):
        self.unmount()

    def daemon_cpu_seconds(self):
        return sum(child.cpu_seconds() for child in self.children)

    def daemon_peak_bytes(self):
        return sum(child.peak_bytes() for child in self.children)

    def forget_peak(self):
        for child in self.children:
            child.forget_peak()

    # For subclasses

    def run_daemon(self, argv, stdin=subprocess.DEVNULL, stdout=None):
        child = Child(argv, self.home / "daemon.log", stdin, stdout, self.daemon_environment)
        self.children.append(child)
        return child

    def wait_for_mount(self):
        end = time.monotonic() + MOUNT_SECONDS
        while time.monotonic() < end:
            if is_mounted(self.mount_point):
                self.mount_point.stat()
                return
            if not all(child.is_running() for child in self.children):
                break
            time.sleep(0.005)
        said = self.children[0].tail()
        self.unmount()
        raise Failed(f"{self.label} did not mount: {said}")


def is_mounted(path):
    wanted = str(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        return any(line.split(" ", 5)[4] == wanted for line in table)


def unmount(path):
    """Unmounts; when something still works there, waits for it; detaches as the last resort."""
    tool = shutil.which("fusermount3")
    commands = [[tool, "-u", path]] if tool else []
    commands.append(["umount", path])
    said = ""
    for _ in range(20):
        for command in commands:
            done = subprocess.run([str(w) for w in command], capture_output=True, text=True)
            if done.returncode == 0 or not is_mounted(path):
                return
            said = done.stderr.strip()
        time.sleep(0.1)
    subprocess.run(["umount", "-l", str(path)], capture_output=True)
    raise Failed(f"could not unmount {path}: {said}")
