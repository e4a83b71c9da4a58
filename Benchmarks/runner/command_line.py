"""The command line: what to measure, beside whom, how large; then the run and its reports."""

import argparse
import contextlib
import dataclasses
import json
import shlex
import signal
import sys
import time
from fnmatch import fnmatchcase
from pathlib import Path

from . import html_page, markdown, report, sizes, text
from .environment import Environment
from .failures import Failed, Missing
from .measure import Measurement
from .progress import Progress
from .suites import SUITES
from .systems import COMPANIONS, PEERS, make
from .systems.base import RESULTS

ROOT = Path(__file__).resolve().parents[2]


def main(arguments):
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is taken down
    try:
        if options.markdown:
            print(markdown.render(markdown.read(options.markdown)), end="")
            return 0
        return _run(options)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except Failed as failure:
        print(f"Benchmarks/run: {failure}", file=sys.stderr)
        return 2


def _parse(arguments):
    parser = argparse.ArgumentParser(
        prog="Benchmarks/run", description="Measures ApusFS and its peers in turn, on one machine.")
    parser.add_argument("--against", nargs="+", default=[], metavar="NAME",
                        help=f"{', '.join(sorted(PEERS))}; LABEL=PATH is another build of ApusFS")
    parser.add_argument("--binary", default=ROOT / ".build" / "release" / "apusfs", type=Path)
    parser.add_argument("--juicefs", metavar="PATH", help="its binary, when it is not in PATH")
    parser.add_argument("--without-apusfs", action="store_true", help="only the peers")
    parser.add_argument("--suite", nargs="+", choices=sorted(SUITES), default=list(SUITES))
    parser.add_argument("--row", nargs="+", default=[], metavar="PATTERN",
                        help="only rows that match, as in 'metadata/create-*' or '*cold*'")
    parser.add_argument("--targets", action="store_true", help="only rows that a target names")
    parser.add_argument("--quick", action="store_true", help="small sizes, the rows that matter most")
    parser.add_argument("--rounds", type=int, help="how many times each row is measured")
    parser.add_argument("--list", action="store_true", help="print the rows and stop")
    parser.add_argument("--transport", choices=["tcp", "unix"], default="tcp",
                        help="how all systems reach redis-server")
    parser.add_argument("--persistence", choices=["none", "everysec", "always"], default="none",
                        help="append-only file of redis-server")
    parser.add_argument("--own-servers", action="store_true", help="a redis-server for each system")
    parser.add_argument("--flags", action="append", default=[], metavar="NAME=FLAGS",
                        help="more mount flags for a system: --flags 'apusfs=--codec lz4'")
    parser.add_argument("--scratch", help="where temporary files go (default: $TMPDIR or /tmp)")
    parser.add_argument("--output", type=Path, help="name of the result, without its ending")
    parser.add_argument("--markdown", metavar="RESULT.json",
                        help="measure nothing: print the tables of an earlier result as Markdown")
    options = parser.parse_args(arguments)
    options.flags = {name: shlex.split(words) for name, words in
                     (each.split("=", 1) for each in options.flags)}
    return options


def _run(options):
    chosen = sizes.QUICK if options.quick else sizes.FULL
    if options.rounds:
        chosen = dataclasses.replace(chosen, rounds=options.rounds)
    with contextlib.ExitStack() as stack:
        environment = Environment(options)
        stack.callback(environment.close)
        wanted = _wanted(options)
        scenarios = [part for suite in options.suite for whole in SUITES[suite](chosen, environment.tools)
                     if (part := whole.select(wanted))]
        rows = [phase.row for scenario in scenarios for phase in scenario.phases if wanted(phase.row)]
        if options.list:
            print("\n".join(f"{row.name:48} {row.unit:6} {row.title}" for row in rows))
            return 0
        if not rows:
            raise Failed("no row matches")
        systems = _start(_names(options, scenarios), environment, stack)
        total = sum(len(s.phases) * (s.rounds or chosen.rounds) * len(s.systems(systems))
                    for s in scenarios)
        progress = Progress(total)
        started = time.monotonic()
        results = Measurement(systems, scenarios, chosen, environment.scratch, progress).run()
        progress.finish()
        results.rows = {name: row for name, row in results.rows.items() if wanted(row)}
        settings = {"arguments": sys.argv[1:], "sizes": dataclasses.asdict(chosen),
                    "transport": options.transport, "persistence": options.persistence,
                    "seconds": round(time.monotonic() - started)}
        made = report.build(results, systems, settings)
    _publish(made, options)
    return 0


def _wanted(options):
    from .targets import TARGETS
    named = [pattern for target in TARGETS for pattern in target.rows]

    def wanted(row):
        if options.row:
            return any(fnmatchcase(row.name, pattern) for pattern in options.row)
        if options.targets:
            return any(fnmatchcase(row.name, pattern) for pattern in named)
        return row.quick or not options.quick
    return wanted


def _names(options, scenarios):
    """The systems of the run, then the companions that its scenarios name."""
    names = ([] if options.without_apusfs else ["apusfs"]) + options.against
    labels = [label for scenario in scenarios for label in scenario.labels or ()]
    return list(dict.fromkeys(names + [label for label in labels if label in COMPANIONS]))


def _start(names, environment, stack):
    systems = []
    for name in names:
        system = make(name, environment)
        stack.callback(system.stop)
        system.start()
        system.mount()
        system.known_version = system.version()
        system.known_command = system.command()
        systems.append(system)
    if not systems:
        raise Missing("nothing to measure: --without-apusfs needs --against")
    return systems


def _publish(made, options):
    base = options.output or RESULTS / time.strftime("%Y-%m-%d-%H%M%S")
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_suffix(".json").write_text(json.dumps(made, indent=1))
    base.with_suffix(".html").write_text(html_page.render(made))
    print(text.results(made), "", text.targets(made), "", text.dropped(made), sep="\n")
    print(f"{base.with_suffix('.html')}\n{base.with_suffix('.json')}")
