"""The C programs of the suites: compiled once a run, into its scratch directory."""

import shlex

from .processes import run

FLAGS = ["-O2", "-Wall", "-Wextra", "-pthread"]


def compiled(tools, source, package=None):
    """The program made of `source`; `package` is what it needs, as pkg-config calls it."""
    program = tools / source.stem
    if not program.exists():
        tools.mkdir(exist_ok=True)
        more = shlex.split(run(["pkg-config", "--cflags", "--libs", package])) if package else []
        run(["cc", *FLAGS, "-o", program, source, *more])
    return program
