"""The floors of the throughput issue: at least so many times the peer, or at most so much, row by row."""

from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Target:
    title: str  # as the issue calls it
    bound: float  # at least so many times the peer; without a peer, at most so much in the row's unit
    rows: tuple[str, ...]
    subject: str = "apusfs"
    peer: str | None = "juicefs"


def _floor(title, bound, *rows):
    return Target(title, bound, rows)


def _of_fuse(title, bound, *rows):
    return Target(title, bound, rows, "apusfs-device", "fuse-ceiling")


def _of_redis(title, bound, *rows):
    return Target(title, bound, rows, "apusfs", "redis-ceiling")


def _at_most(title, bound, *rows):
    return Target(title, bound, rows, "apusfs-small-cache", None)


TARGETS = [
    _floor("sequential write 1 MiB, buffered", 1.6, "fio/seq-write-1m-buffered"),
    _floor("sequential write 1 MiB, direct", 2.5, "fio/seq-write-1m-direct"),
    _floor("cold sequential read 1 MiB", 2, "fio/seq-read-1m-cold"),
    _floor("cold random read 4 KiB", 2, "fio/rand-read-4k-cold", "fio/rand-read-4k-4-jobs-cold"),
    _floor("random write 4 KiB", 40, "fio/rand-write-4k-buffered", "fio/rand-write-4k-direct"),
    _floor("random write 4 KiB with fsync after each", 12, "fio/rand-write-4k-fsync-each"),
    _floor("append 4 KiB with fsync after each", 5, "fio/append-4k-fsync-each"),
    _floor("create", 8, "metadata/create-shared-[14]p"),
    _floor("create+write 4 KiB+close", 8, "metadata/create-write-4k-shared-[14]p"),
    _floor("unlink", 8, "metadata/unlink-shared-[14]p", "metadata/unlink-empty-shared-[14]p"),
    _floor("rename", 8, "metadata/rename-shared-[14]p"),
    _floor("mkdir", 8, "metadata/mkdir-shared-[14]p"),
    _floor("rmdir", 8, "metadata/rmdir-shared-[14]p"),
    _floor("open+read 4 KiB+close, cold", 5, "metadata/read-4k-cold-shared-*"),
    _floor("stat cold", 2, "metadata/stat-cold-shared-*"),
    _floor("negative lookup", 2, "metadata/negative-lookup-shared-*"),
    _floor("ls -l of a large directory, cold", 1.5, "metadata/list-cold-shared-1p"),
    _floor("untar of a source tree", 5, "applications/untar"),
    _floor("git status", 5, "applications/git-status-cold", "applications/git-status-warm"),
    _floor("rm -rf", 5, "applications/rm-rf"),
    _of_fuse("getattr beside FUSE alone", 0.8, "ceilings/getattr-*"),
    _of_fuse("cached small reads beside FUSE alone", 0.8, "ceilings/read-4k-*"),
    _of_fuse("cached direct reads of 1 MiB beside FUSE alone", 0.7, "ceilings/read-1m-*"),
    _of_redis("uncached streaming beside Redis alone", 0.6, "ceilings/stream-*"),
    _at_most("stored bytes per incompressible byte", 1.04, "ceilings/stored-per-byte"),
    _at_most("metadata per small file", 270, "ceilings/metadata-per-file", "ceilings/usage-per-file"),
]


def verdicts(report):
    """One line for each row that a target names: the bound, the figure, and whether the bound is kept."""
    lines = [_verdict(target, name, row)
             for target in TARGETS for name, row in report["rows"].items()
             if any(fnmatchcase(name, pattern) for pattern in target.rows)]
    return lines + _memory(report)


def _verdict(target, name, row):
    if target.peer is None:
        figure = row["systems"].get(target.subject, {}).get("median")
        return _line(target.title, name, f"≤ {target.bound} {row['unit']}", figure, row["unit"],
                     figure is not None and figure <= target.bound)
    ratio = row["ratios"].get(target.subject, {}).get(target.peer)
    return _line(target.title, name, f"≥ {target.bound} × {target.peer}", ratio, "×",
                 ratio is not None and ratio >= target.bound,
                 row["cpu_ratios"].get(target.subject, {}).get(target.peer))


def _memory(report):
    """The row in which a daemon had the most memory, for each system that promises a limit."""
    lines = []
    for label, system in report["systems"].items():
        peaks = {name: cell["daemon_peak_bytes"] / 2**20 for name, row in report["rows"].items()
                 if (cell := row["systems"].get(label)) and cell["median"] is not None}
        limit = system["memory_limit_bytes"]
        if limit is None or not peaks:
            continue
        most = max(peaks, key=peaks.get)
        lines.append(_line(f"memory of the daemon, {label}: cache + 64 MiB at any load", most,
                           f"≤ {limit / 2**20:.0f} MiB", peaks[most], "MiB", peaks[most] <= limit / 2**20))
    return lines


def _line(title, row, bound, figure, unit, is_kept, cpu_ratio=None):
    return {"target": title, "row": row, "bound": bound, "figure": figure, "unit": unit, "cpu_ratio": cpu_ratio,
            "verdict": "not measured" if figure is None else "met" if is_kept else "missed"}
