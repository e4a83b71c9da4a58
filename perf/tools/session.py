"""Mounts one system and runs rows of the benchmarks on it while a tool watches the daemon."""

import argparse
import contextlib
import dataclasses
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Benchmarks"))

from runner import sizes  # noqa: E402
from runner.environment import Environment  # noqa: E402
from runner.failures import Failed  # noqa: E402
from runner.measure import Measurement  # noqa: E402
from runner.progress import Progress  # noqa: E402
from runner.suites import SUITES  # noqa: E402
from runner.systems import make  # noqa: E402


def parse(description, extra=None):
    """The arguments that all scripts take; `extra(parser)` adds those of one script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("row", nargs="+", help="rows of Benchmarks/run --list, with * as a wildcard")
    parser.add_argument("--binary", type=Path, default=ROOT / ".build" / "release" / "apusfs")
    parser.add_argument("--system", default="apusfs", help="what to watch: apusfs or a peer")
    parser.add_argument("--juicefs", metavar="PATH")
    parser.add_argument("--full", action="store_true", help="the sizes of a full run, not of --quick")
    parser.add_argument("--files", type=int, help="of the metadata suite")
    parser.add_argument("--transport", choices=["tcp", "unix"], default="tcp")
    parser.add_argument("--mount-flags", default="", help="more flags for the mount command")
    parser.add_argument("--output", type=Path, default=ROOT / "perf" / "results")
    if extra:
        extra(parser)
    options = parser.parse_args()
    options.flags = {options.system.split("=")[0]: shlex.split(options.mount_flags)}
    options.persistence, options.own_servers, options.scratch = "none", False, None
    return options


def watch(options, observe, environment_variables=None):
    """Runs every row that `options` name once, each inside `observe(row, system)`.

    Phases that only build what a later row needs run unwatched. Returns the results.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = dataclasses.replace(sizes.FULL if options.full else sizes.QUICK, rounds=1)
    if options.files:
        chosen = dataclasses.replace(chosen, files=options.files)

    def wanted(row):
        return any(fnmatchcase(row.name, pattern) for pattern in options.row)

    def watched(row, system):
        return observe(row, system) if wanted(row) else contextlib.nullcontext()

    with contextlib.ExitStack() as stack:
        environment = Environment(options)
        stack.callback(environment.close)
        scenarios = [part for suite in SUITES.values() for whole in suite(chosen, environment.tools)
                     if (part := whole.select(wanted))]
        for scenario in scenarios:
            scenario.verify = None
        if not scenarios:
            raise Failed("no row matches")
        system = make(options.system, environment)
        system.daemon_environment = environment_variables or {}
        stack.callback(system.stop)
        system.start()
        system.mount()
        progress = Progress(sum(len(s.phases) for s in scenarios))
        results = Measurement(
            [system], scenarios, chosen, environment.scratch, progress, watched).run()
        progress.finish()
    results.rows = {name: row for name, row in results.rows.items() if wanted(row)}
    for (name, _), cell in results.cells.items():
        if cell.dropped and name in results.rows:
            print(f"{name}: {cell.dropped}", file=sys.stderr)
    return results


def publish(options, tool, row, text, ending="txt"):
    """Writes a dated result, with what it was measured on in its head; returns the path."""
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"{time.strftime('%Y-%m-%d')}-{tool}-{options.system.split('=')[0]}-{row.replace('/', '-')}"
    path = options.output / f"{name}.{ending}"
    head = "" if ending != "txt" else (
        f"# {tool} of {row} on {options.system}, {time.strftime('%Y-%m-%d %H:%M')}\n"
        f"# commit {commit()}; Linux {platform.release()}; {'full' if options.full else 'quick'} sizes; "
        f"redis over {options.transport}; flags: {options.mount_flags or 'default'}\n\n")
    path.write_text(head + text)
    return path


def demangled(text):
    """With the names of Swift functions as people write them, where the toolchain is installed."""
    swift = shutil.which("swift")
    if swift is None:
        return text
    done = subprocess.run([swift, "demangle", "--simplified"], input=text, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else text


def commit():
    said = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                          capture_output=True, text=True)
    return said.stdout.strip()


def main(script):
    """Runs a script's main function; a failure is one line."""
    try:
        script()
    except Failed as failure:
        sys.exit(f"{sys.argv[0]}: {failure}")
