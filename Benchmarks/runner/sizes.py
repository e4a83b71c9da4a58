"""How much each suite moves: the full run, and --quick."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    rounds: int
    file_mebibytes: int  # of the fio jobs
    part_mebibytes: int  # how much of it a job with small requests moves at most
    fio_seconds: int  # limit of each job
    files: int  # of the metadata suite
    processes: tuple[int, ...]
    tree_files: int  # of the source tree
    compiled_files: int
    transactions: int  # of sqlite
    stream_mebibytes: int  # of the ceilings: what goes to Redis and back
    request_seconds: float  # how long one kind of request is repeated
    memory_mebibytes: int  # of the rows about memory: data, and
    memory_files: int  # files


FULL = Sizes(rounds=5, file_mebibytes=1024, part_mebibytes=128, fio_seconds=10, files=4000,
             processes=(1, 2, 4, 8), tree_files=5000, compiled_files=100, transactions=1000,
             stream_mebibytes=1024, request_seconds=3, memory_mebibytes=1024, memory_files=1_000_000)
QUICK = Sizes(rounds=3, file_mebibytes=96, part_mebibytes=8, fio_seconds=1, files=400,
              processes=(1, 4), tree_files=300, compiled_files=10, transactions=50,
              stream_mebibytes=128, request_seconds=0.5, memory_mebibytes=256, memory_files=20_000)
