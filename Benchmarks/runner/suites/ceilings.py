"""The ceilings suite: how near ApusFS is to FUSE alone and to Redis alone, and what it takes of memory."""

import json
import os
from pathlib import Path

from ..counters import settle
from ..failures import Failed, WrongData
from ..processes import run
from ..programs import compiled
from ..rows import Phase, Row, Sample, Scenario
from ..systems.ceilings import FILE_MEBIBYTES, SOURCES, FuseCeiling, RedisCeiling

METADATA = Path(__file__).resolve().parents[2] / "metadata" / "metadata.c"
PEEKED_FILES = 200  # of which Redis is asked what one takes


def scenarios(sizes, tools):
    requests = compiled(tools, SOURCES / "requests.c")
    metadata = compiled(tools, METADATA)
    return [
        Scenario("ceilings-fuse", [
            _request(requests, "getattr-1-thread", "getattr that the daemon answers", 1),
            _request(requests, "getattr-4-threads", "getattr that the daemon answers, 4 threads", 4),
            _request(requests, "read-4k-1-thread", "direct read of 4 KiB from the daemon's memory", 1, 4096),
            _request(requests, "read-4k-4-threads", "direct read of 4 KiB from the daemon's memory, 4 threads",
                     4, 4096),
            _request(requests, "read-1m-1-thread", "direct read of 1 MiB from the daemon's memory", 1, 2**20),
        ], labels=("apusfs-device", "fuse-ceiling")),
        Scenario("ceilings-redis", [
            _stream(requests, "write", "direct"), _stream(requests, "read", "direct"),
            _stream(requests, "write", "buffered"), _stream(requests, "read", "buffered"),
        ], labels=("apusfs", "redis-ceiling")),
        Scenario("ceilings-memory", [
            _stored_bytes(requests),
        ], labels=("apusfs-small-cache", "juicefs"), rounds=1),
        Scenario("ceilings-files", [
            _bytes_per_file(metadata), _usage_per_file(),
        ], labels=("apusfs-small-cache",), rounds=1),
    ]


# Requests that the daemon answers from memory


def _request(program, name, title, threads, length=None):
    def file(place):
        system = place.system
        return (system.mount_point if isinstance(system, FuseCeiling) else place.directory) / "data"

    def prepare(place):
        data = file(place)
        if not data.exists():
            run([program, "fill", data, FILE_MEBIBYTES])
        run([program, "check", data, FILE_MEBIBYTES])  # and is in the daemon's memory from here on

    def action(place):
        words = ["read", file(place), threads, place.sizes.request_seconds, length] if length else [
            "getattr", file(place), threads, place.sizes.request_seconds]
        return _sample(run([program, *words]))

    unit = "MiB/s" if length == 2**20 else "op/s"
    return Phase(Row(f"ceilings/{name}", title, unit), action, prepare)


def _sample(said):
    values = json.loads(said)
    return Sample(values["seconds"], values["operations"], values["bytes"],
                  values.get("p50_microseconds"), values.get("p99_microseconds"))


# Blocks on their way to Redis and back


def _stream(program, direction, how):
    def action(place):
        mebibytes = place.sizes.stream_mebibytes
        if isinstance(place.system, RedisCeiling):
            return place.system.move("set" if direction == "write" else "get", mebibytes)
        mode = "write" if direction == "write" else "stream"
        return _sample(run([program, mode, place.directory / how, mebibytes, how]))

    def check(place, _):
        if isinstance(place.system, RedisCeiling):
            place.system.clear()

    reads = direction == "read"
    title = f"{direction} 1 MiB, {how}, {'cold' if reads else 'fsync at the end'}; Redis alone: the same blocks"
    return Phase(Row(f"ceilings/stream-{direction}-{how}", title, "MiB/s"), action, cold=reads,
                 check=check if reads else None, needs=(f"ceilings/stream-write-{how}",) if reads else ())


# Memory. These rows are figures, not times: `Sample.amount`.


def _stored_bytes(program):
    """How much the memory of redis-server grows for each byte of data that cannot be compressed."""
    def action(place):
        bytes_ = place.sizes.memory_mebibytes * 2**20
        before = _stored(place)
        done = _sample(run([program, "write", place.directory / "data", place.sizes.memory_mebibytes, "direct"]))
        done.amount = (_stored(place) - before) / bytes_
        return done

    def check(place, _):
        run([program, "check", place.directory / "data", place.sizes.memory_mebibytes])

    return Phase(Row("ceilings/stored-per-byte", "memory of redis-server for each byte of random data", "B/B"),
                 action, check=check)


def _bytes_per_file(program):
    """How much it grows for each empty file."""
    def call(place, mode):
        said = json.loads(run([program, mode, "create", place.directory, place.sizes.memory_files, 1, "shared"],
                              seconds=3600))
        if said["wrong"]:
            raise WrongData(f"{said['wrong']} wrong answers, the first at {said['first']}")
        return said

    def action(place):
        before = _stored(place)
        said = call(place, "work")
        return Sample(said["seconds"], said["operations"],
                      amount=(_stored(place) - before) / place.sizes.memory_files)

    def check(place, _):
        call(place, "check")

    return Phase(Row("ceilings/metadata-per-file", "memory of redis-server for each empty file", "B/file"),
                 action, check=check)


def _usage_per_file():
    """What Redis itself says (MEMORY USAGE) of inodes, and of the directory for each of its names."""
    def action(place):
        server, files = place.system.server, place.sizes.memory_files
        server.call("SELECT", place.system.database)
        step = max(1, files // PEEKED_FILES)
        inodes = [(place.directory / f"e{index}").stat().st_ino for index in range(0, files, step)]
        directory = place.directory.stat().st_ino
        sizes = [_usage(server, f"{{bench}}i{inode}") for inode in inodes]
        names = _usage(server, f"{{bench}}d{directory}")
        return Sample(0, files, amount=sum(sizes) / len(sizes) + names / files)

    return Phase(Row("ceilings/usage-per-file", "the same by MEMORY USAGE of inode and name", "B/file"), action,
                 needs=("ceilings/metadata-per-file",))


def _usage(server, key):
    said = server.call("MEMORY", "USAGE", key)
    if not said.isdigit():
        raise Failed(f"redis-server knows no key {key}")
    return int(said)


def _stored(place):
    """Memory of redis-server without the buffers of its clients, once everything has been stored."""
    descriptor = os.open(place.directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    run(["sync", "-f", place.directory])
    settle([place.system])
    info = place.system.server.info("memory")
    return int(info["used_memory"]) - int(info["mem_clients_normal"])
