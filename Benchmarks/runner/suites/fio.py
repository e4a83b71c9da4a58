"""The fio suite: one row for each job file in Benchmarks/fio. The head of a job says what it needs."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..failures import Failed, Missing, WrongData
from ..processes import run
from ..rows import Phase, Row, Sample, Scenario

JOBS = Path(__file__).resolve().parents[2] / "fio"
CHECKED_MEBIBYTES = {"4k": 1, "64k": 4, "128k": 4, "1m": 16}
LIMIT_SECONDS = 300
PAGE = 4096


@dataclass(frozen=True)
class Job:
    name: str
    text: str
    head: dict  # title, unit, before, cache, quick
    options: dict

    @classmethod
    def read(cls, path):
        head, options = {}, {}
        for line in path.read_text().splitlines():
            if line.startswith("; "):
                key, value = line[2:].split(": ", 1)
                head[key] = value
            elif "=" in line:
                key, value = line.split("=", 1)
                options[key] = value
        return cls(path.stem, path.read_text(), head, options)

    @property
    def writes(self):
        return "write" in self.options["rw"] or self.options["rw"] == "randrw"

    @property
    def row(self):
        return Row(f"fio/{self.name}", self.head["title"], self.head["unit"],
                   self.head["quick"] == "yes")

    def home(self, directory):
        """Jobs that only read share one file of each kind; the others work in a place of their own."""
        return directory / (self.name if self.writes else self.head["before"].replace(" ", "-"))


def scenarios(sizes, tools):
    jobs = [Job.read(path) for path in sorted(JOBS.glob("*.fio"))]
    if shutil.which("fio") is None:
        raise Missing("the fio suite needs the Debian package fio")
    groups = [
        ("fio-write", [j for j in jobs if j.head["before"] == "no file"]),
        ("fio-change", [j for j in jobs if j.writes and j.head["before"] != "no file"]),
        ("fio-read", [j for j in jobs if not j.writes]),
    ]
    return [_scenario(name, group) for name, group in groups]


def _scenario(name, jobs):
    def phase(job):
        return Phase(job.row, lambda place: _measure(job, place), lambda place: _prepare(job, place),
                     lambda place, sample: _check(job, place, sample), job.head["cache"] == "cold")

    def verify(place, names):
        return _verify([job for job in jobs if job.row.name in names], place)

    return Scenario(name, [phase(job) for job in jobs], verify)


# Running fio


def fio(job_text, directory, mebibytes, part, seconds, scratch, extra=""):
    """Runs a job file with its variables and more lines for its (only) job; returns fio's JSON."""
    jobfile = scratch / "job.fio"
    report = scratch / "fio.json"
    jobfile.write_text(job_text + extra)
    run(["fio", "--output-format=json", f"--output={report}", jobfile], LIMIT_SECONDS, cwd=scratch,
        environment={
            "DIRECTORY": str(directory), "SIZE": f"{mebibytes}m", "QUARTER": f"{mebibytes * 1024 // 4}k",
            "PART": f"{part}m", "SECONDS_LIMIT": str(seconds)})
    text = report.read_text()
    job = json.loads(text[text.index("{"):])["jobs"][0]
    if job["error"]:
        raise Failed(f"fio: {os.strerror(job['error'])}")
    return job


def _lay_out(path, mebibytes, scratch, extra=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (f"[job]\nfilename={path}\nsize={mebibytes}m\nrw=write\nbs=1m\nioengine=psync\n"
            "refill_buffers=1\nend_fsync=1\nfallocate=none\n")
    fio(text, path.parent, mebibytes, mebibytes, 0, scratch, extra)


def _prepare(job, place):
    home = job.home(place.directory)
    data = home / "data"
    size = place.sizes.file_mebibytes
    if job.writes:
        shutil.rmtree(home, ignore_errors=True)
    home.mkdir(exist_ok=True)
    if job.head["before"] != "no file" and not data.exists():
        shrinks = "compressible" in job.head["before"]
        _lay_out(data, size, place.scratch,
                 "buffer_compress_percentage=70\nbuffer_compress_chunk=4k\n" if shrinks else "")
    if job.head["cache"] == "read":
        direct = job.options.get("direct") == "1"
        fio("[job]\nfilename=data\ndirectory=${DIRECTORY}\nrw=read\nbs=1m\nioengine=psync\n"
            f"direct={int(direct)}\n", home, size, size, 60, place.scratch)


def _measure(job, place):
    sizes = place.sizes
    done = fio(job.text, job.home(place.directory), sizes.file_mebibytes, sizes.part_mebibytes,
               sizes.fio_seconds, place.scratch)
    sides = [done[side] for side in ("read", "write") if done[side]["total_ios"]]
    most = max(sides, key=lambda side: side["total_ios"])
    latency = most["clat_ns"].get("percentile", {})
    return Sample(
        seconds=max(side["runtime"] for side in sides) / 1000,
        operations=sum(side["total_ios"] for side in sides),
        bytes=sum(side["io_bytes"] for side in sides),
        p50_microseconds=latency.get("50.000000", 0) / 1000,
        p99_microseconds=latency.get("99.000000", 0) / 1000)


# Checking


def _check(job, place, sample):
    """Looks at the very bytes that were measured: all there, and nothing that was lost to zeros."""
    if not job.writes or place.round > 0:
        return
    files = [path for path in job.home(place.directory).iterdir()]
    if job.options["rw"] == "write":
        there = sum(path.stat().st_size for path in files)
        if there != sample.bytes:
            raise WrongData(f"{sample.bytes} bytes written, {there} there")
    if job.head["before"] != "no file" or job.options["rw"] == "write":
        for path in files:
            _refuse_zero_pages(path)


def _refuse_zero_pages(path):
    zeros = bytes(PAGE)
    with open(path, "rb", buffering=0) as file:
        at = 0
        while chunk := file.read(1 << 20):
            for start in range(0, len(chunk), PAGE):
                if chunk[start:start + PAGE] == zeros:
                    raise WrongData(f"{path.name}: zeros at {at + start}, where data was written")
            at += len(chunk)


def _verify(jobs, place):
    """Each job at a small size with checksums in every block, written, remounted, and read back.

    Returns what was wrong, by row.
    """
    wrong = {}

    def attempt(job, extra, text=None):
        size = CHECKED_MEBIBYTES[job.options["bs"]]
        try:
            home = place.directory / job.name
            home.mkdir(exist_ok=True)
            fio(text or job.text, home, size, size, 120, place.scratch,
                f"verify=crc32c\nverify_fatal=1\nverify_state_save=0\n{extra}")
        except (Failed, OSError) as failure:
            wrong.setdefault(job.row.name, f"data checked before the run: {failure}")

    for job in jobs:
        if job.writes:
            if job.head["before"] != "no file":
                _lay_out(place.directory / job.name / "data", CHECKED_MEBIBYTES[job.options["bs"]],
                         place.scratch)
            attempt(job, "do_verify=0\n")
        else:
            attempt(job, "do_verify=0\n",
                    "[job]\ndirectory=${DIRECTORY}\nfilename=data\nsize=${SIZE}\nioengine=psync\n"
                    f"rw=write\nbs={job.options['bs']}\nend_fsync=1\nfallocate=none\n")
    try:
        place.system.restart()
    except Missing:
        pass  # what keeps nothing over a remount is checked without one
    for job in jobs:
        attempt(job, "verify_only=1\n" if job.writes else "")
    return wrong
