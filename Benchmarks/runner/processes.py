"""Processes that the runner starts, watches and stops: only these, by their own id."""

import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from .failures import Failed

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 20  # a daemon that flushes its last data gets this long before it is killed
_libc = ctypes.CDLL(None)


def _end_with_parent():
    """In the child: the kernel asks it to stop when the runner dies, however that happens."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process started here, with all that it starts itself."""

    def __init__(self, argv, log, stdin=subprocess.DEVNULL, stdout=None, environment=None):
        self.argv = [str(word) for word in argv]
        self.log = Path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.argv, stdin=stdin, stdout=out if stdout is None else stdout, stderr=out,
                start_new_session=True, preexec_fn=_end_with_parent,
                env={**os.environ, **(environment or {})})

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process.poll() is None

    def tail(self, lines=5):
        """The last lines that it wrote, for an error message."""
        text = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(text[-lines:]) or "(it wrote nothing)"

    def family(self):
        """The process and all its descendants."""
        found, waiting = [], [self.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    waiting += [int(word) for word in children.read_text().split()]
                except OSError:
                    continue  # the thread ended meanwhile
        return found

    def cpu_seconds(self):
        return sum(cpu_seconds(pid) for pid in self.family())

    def peak_bytes(self):
        return sum(peak_bytes(pid) for pid in self.family())

    def forget_peak(self):
        for pid in self.family():
            forget_peak(pid)

    def wait(self, seconds):
        """Waits for it to end by itself; false when it did not."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self):
        """Asks the process to end, and insists (with its descendants) when it does not."""
        if self.is_running():
            family = self.family()
            self.process.terminate()
            if not self.wait(STOP_SECONDS):
                for pid in family:
                    _signal(pid, signal.SIGKILL)
                self.wait(STOP_SECONDS)


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def cpu_seconds(pid):
    """User and system time of all threads of a process, ended threads included."""
    try:
        # The CPU clock of another process, in nanoseconds: clock_getcpuclockid(3) makes the same id.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    """The most memory that a process had resident since it started, or since `forget_peak`."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def forget_peak(pid):
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets the peak, nothing else
    except OSError:
        return  # it ended meanwhile, or is not ours to ask


def run(argv, seconds=600, cwd=None, environment=None, accept=(0,)):
    """Runs a command to its end and returns what it printed; `Failed` when it fails or hangs."""
    argv = [str(word) for word in argv]
    try:
        done = subprocess.run(
            argv, cwd=cwd, timeout=seconds, stdin=subprocess.DEVNULL, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})})
    except subprocess.TimeoutExpired:
        raise Failed(f"{argv[0]}: no end within {seconds} s") from None
    except FileNotFoundError:
        raise Failed(f"{argv[0]}: not installed") from None
    if done.returncode not in accept:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failed(f"{argv[0]} ended with {done.returncode}: {' / '.join(said[-3:])}")
    return done.stdout
