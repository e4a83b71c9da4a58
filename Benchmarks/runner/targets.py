"""The floors of the throughput issue: at least so many times the peer, row by row."""

from fnmatch import fnmatchcase

PEER = "juicefs"

# what the issue calls it, at least, rows
TARGETS = [
    ("sequential write 1 MiB, buffered", 1.6, ["fio/seq-write-1m-buffered"]),
    ("sequential write 1 MiB, direct", 2.5, ["fio/seq-write-1m-direct"]),
    ("cold sequential read 1 MiB", 2, ["fio/seq-read-1m-cold"]),
    ("cold random read 4 KiB", 2, ["fio/rand-read-4k-cold", "fio/rand-read-4k-4-jobs-cold"]),
    ("random write 4 KiB", 40, ["fio/rand-write-4k-buffered", "fio/rand-write-4k-direct"]),
    ("random write 4 KiB with fsync after each", 12, ["fio/rand-write-4k-fsync-each"]),
    ("append 4 KiB with fsync after each", 5, ["fio/append-4k-fsync-each"]),
    ("create", 8, ["metadata/create-shared-[14]p"]),
    ("create+write 4 KiB+close", 8, ["metadata/create-write-4k-shared-[14]p"]),
    ("unlink", 8, ["metadata/unlink-shared-[14]p", "metadata/unlink-empty-shared-[14]p"]),
    ("rename", 8, ["metadata/rename-shared-[14]p"]),
    ("mkdir", 8, ["metadata/mkdir-shared-[14]p"]),
    ("rmdir", 8, ["metadata/rmdir-shared-[14]p"]),
    ("open+read 4 KiB+close, cold", 5, ["metadata/read-4k-cold-shared-*"]),
    ("stat cold", 2, ["metadata/stat-cold-shared-*"]),
    ("negative lookup", 2, ["metadata/negative-lookup-shared-*"]),
    ("ls -l of a large directory, cold", 1.5, ["metadata/list-cold-shared-1p"]),
    ("untar of a source tree", 5, ["applications/untar"]),
    ("git status", 5, ["applications/git-status-cold", "applications/git-status-warm"]),
    ("rm -rf", 5, ["applications/rm-rf"]),
]


def verdicts(report, subject="apusfs", peer=PEER):
    """One line for each row that a target names: ratio, floor, and whether it is met."""
    lines = []
    for title, floor, patterns in TARGETS:
        for name in report["rows"]:
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                ratio = report["rows"][name]["ratios"].get(subject, {}).get(peer)
                verdict = "not measured" if ratio is None else "met" if ratio >= floor else "missed"
                lines.append({
                    "target": title, "row": name, "floor": floor, "ratio": ratio,
                    "cpu_ratio": report["rows"][name]["cpu_ratios"].get(subject, {}).get(peer),
                    "verdict": verdict})
    return lines
