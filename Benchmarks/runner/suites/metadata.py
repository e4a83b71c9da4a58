"""The metadata suite: one operation on each of many small files, by one or more processes."""

import json
from pathlib import Path

from ..failures import WrongData
from ..processes import run
from ..programs import compiled
from ..rows import Phase, Row, Sample, Scenario

SOURCE = Path(__file__).resolve().parents[2] / "metadata" / "metadata.c"

# name of the row, title, phase of the program, cold, the row that leaves what it works on
STEPS = [
    ("mkdir", "mkdir", "mkdir", False, None),
    ("rmdir", "rmdir", "rmdir", False, "mkdir"),
    ("create", "create an empty file", "create", False, None),
    ("unlink-empty", "unlink an empty file", "unlink-empty", False, "create"),
    ("create-write-4k", "create, write 4 KiB, close", "create-write", False, None),
    ("stat-cold", "stat, cold", "stat", True, "create-write-4k"),
    ("stat-warm", "stat, warm", "stat", False, "stat-cold"),
    ("negative-lookup", "stat of a name that is not there", "negative", False, "create-write-4k"),
    ("list-cold", "ls -l (readdir and lstat of each), cold", "list", True, "create-write-4k"),
    ("list-warm", "ls -l, warm", "list", False, "list-cold"),
    ("read-4k-cold", "open, read 4 KiB, close, cold", "read", True, "create-write-4k"),
    ("read-4k-warm", "open, read 4 KiB, close, warm", "read", False, "read-4k-cold"),
    ("rename", "rename within a directory", "rename", False, "create-write-4k"),
    ("unlink", "unlink a file of 4 KiB", "unlink", False, "rename"),
]


def scenarios(sizes, tools):
    """One scenario for each layout and number of processes."""
    program = compiled(tools, SOURCE)
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

    def name_of(step):
        return f"metadata/{step}-{layout}-{processes}p"

    def phase(step, title, name, cold, needed):
        def action(place):
            said = call(place, "work", name)
            return Sample(said["seconds"], said["operations"],
                          p50_microseconds=said["p50_microseconds"],
                          p99_microseconds=said["p99_microseconds"])

        def prepare(place):
            run([program, "prepare", name, place.directory, place.sizes.files, processes, layout])

        row = Row(name_of(step), f"{title}; {where}, {many}", "op/s", quick)
        return Phase(row, action, prepare, lambda place, _: call(place, "check", name), cold,
                     (name_of(needed),) if needed else ())

    return Scenario(f"metadata-{layout}-{processes}p", [phase(*step) for step in STEPS])
