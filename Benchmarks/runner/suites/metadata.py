"""The metadata suite: one operation on each of many small files, by one or more processes."""

import json
from pathlib import Path

from ..failures import WrongData
from ..processes import run
from ..rows import Phase, Row, Sample, Scenario

SOURCE = Path(__file__).resolve().parents[2] / "metadata" / "metadata.c"

# name of the row, title, phase of the program, cold, does a later phase need what it leaves
STEPS = [
    ("mkdir", "mkdir", "mkdir", False, True),
    ("rmdir", "rmdir", "rmdir", False, False),
    ("create", "create an empty file", "create", False, True),
    ("unlink-empty", "unlink an empty file", "unlink-empty", False, False),
    ("create-write-4k", "create, write 4 KiB, close", "create-write", False, True),
    ("stat-cold", "stat, cold", "stat", True, False),
    ("stat-warm", "stat, warm", "stat", False, False),
    ("negative-lookup", "stat of a name that is not there", "negative", False, False),
    ("list-cold", "ls -l (readdir and lstat of each), cold", "list", True, False),
    ("list-warm", "ls -l, warm", "list", False, False),
    ("read-4k-cold", "open, read 4 KiB, close, cold", "read", True, False),
    ("read-4k-warm", "open, read 4 KiB, close, warm", "read", False, False),
    ("rename", "rename within a directory", "rename", False, True),
    ("unlink", "unlink a file of 4 KiB", "unlink", False, False),
]


def scenarios(sizes, tools):
    """One scenario for each layout and number of processes."""
    program = tools / "metadata"
    run(["cc", "-O2", "-o", program, SOURCE])
    made = []
    for layout in ("shared", "many"):
        for processes in sizes.processes:
            quick = layout == "shared"
            made.append(_scenario(program, layout, processes, quick))
    return made


def _scenario(program, layout, processes, quick):
    where = "one directory" if layout == "shared" else "many directories"
    many = f"{processes} process{'es' if processes > 1 else ''}"

    def call(place, mode, step):
        said = json.loads(run([
            program, mode, step, place.directory, place.sizes.files, processes, layout]))
        if said["wrong"]:
            raise WrongData(f"{said['wrong']} wrong answers, the first at {said['first']}")
        return said

    def phase(step, title, name, cold, builds):
        def action(place):
            said = call(place, "work", name)
            return Sample(said["seconds"], said["operations"],
                          p50_microseconds=said["p50_microseconds"],
                          p99_microseconds=said["p99_microseconds"])

        def prepare(place):
            run([program, "prepare", name, place.directory, place.sizes.files, processes, layout])

        row = Row(f"metadata/{step}-{layout}-{processes}p", f"{title}; {where}, {many}", "op/s", quick)
        return Phase(row, action, prepare, lambda place, _: call(place, "check", name), cold, builds)

    return Scenario(f"metadata-{layout}-{processes}p", [phase(*step) for step in STEPS], quick=quick)
