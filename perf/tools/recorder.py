"""perf record around exactly one action, and its stacks folded to `a;b;c count`."""

import collections
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .session import demangled  # first: it makes `runner` importable
from runner.failures import Failed, Missing
from runner.processes import Child


class Recorder:
    """A context: samples are taken from its start to its end. `stacks` holds them afterwards."""

    def __init__(self, pids, event, options):
        if shutil.which("perf") is None:
            raise Missing("needs perf (Debian: linux-perf)")
        self._pids = pids
        self._event = event
        self._options = options
        self.stacks = collections.Counter()

    def __enter__(self):
        self._home = Path(tempfile.mkdtemp(prefix="apusfs-perf."))
        self._data = self._home / "perf.data"
        control, answers = self._home / "control", self._home / "answers"
        os.mkfifo(control)
        os.mkfifo(answers)
        self._child = Child(
            ["perf", "record", "-q", "-g", "-e", self._event, *self._options, "-D", "-1",
             f"--control=fifo:{control},{answers}", "-o", self._data,
             "-p", ",".join(str(pid) for pid in self._pids)], self._home / "log")
        # Both ends open without blocking for ever when perf could not start.
        self._control = os.open(control, os.O_RDWR)
        self._answers = os.open(answers, os.O_RDWR)
        self._tell(b"enable\n")
        return self

    def __exit__(self, *_):
        try:
            self._tell(b"disable\n")
            self._child.process.send_signal(2)
            self._child.wait(30)
            self.stacks = _fold(self._data)
        finally:
            self._child.stop()
            os.close(self._control)
            os.close(self._answers)
            shutil.rmtree(self._home, ignore_errors=True)

    def _tell(self, word):
        os.write(self._control, word)
        os.set_blocking(self._answers, False)
        for _ in range(500):
            try:
                if b"ack" in os.read(self._answers, 64):
                    return
            except BlockingIOError:
                pass
            if self._child.wait(0.01):
                break
        raise Failed(f"perf: {self._child.tail()}")


def _fold(data):
    said = subprocess.run(["perf", "script", "-i", data, "-F", "comm,ip,sym"],
                          capture_output=True, text=True, errors="replace")
    stacks = collections.Counter()
    for block in demangled(said.stdout).split("\n\n"):
        lines = block.strip("\n").splitlines()
        if len(lines) < 2:
            continue
        frames = [_symbol(line) for line in lines[1:]]
        stacks[";".join([lines[0].strip(), *reversed(frames)])] += 1
    return stacks


def _symbol(line):
    """`  55d0 name(of: Things) -> Thing` without its address, and without what folding uses."""
    words = line.strip().split(" ", 1)
    return (words[1] if len(words) > 1 else "[unknown]").replace(";", ":")


def shares(stacks):
    """Samples by function: itself on top, and anywhere in the stack (each stack once)."""
    own, inclusive = collections.Counter(), collections.Counter()
    for stack, count in stacks.items():
        frames = stack.split(";")
        own[frames[-1]] += count
        for frame in set(frames[1:]):
            inclusive[frame] += count
    return own, inclusive


def table(stacks, most=40):
    total = sum(stacks.values()) or 1
    own, inclusive = shares(stacks)
    lines = [f"{total} samples", "", "  self  with callees  function"]
    lines += [f"{count / total:6.1%}  {inclusive[name] / total:12.1%}  {name}"
              for name, count in own.most_common(most)]
    lines += ["", "with callees  function"]
    lines += [f"{count / total:12.1%}  {name}" for name, count in inclusive.most_common(most)]
    return "\n".join(lines) + "\n"
