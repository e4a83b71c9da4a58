"""The application suite: programs that people run on a source tree and a database."""

import contextlib
import shutil
import sqlite3
import time

from ..failures import Failed, WrongData
from ..processes import run
from ..rows import Phase, Row, Sample, Scenario
from . import source_tree

GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in
       (("NAME", "bench"), ("EMAIL", "bench@localhost"), ("DATE", "2026-01-01T00:00:00Z"))}}


def scenarios(sizes, tools):
    return [
        Scenario("applications-tree", [
            _program("untar", "tar x of a source tree", _untar),
            _program("diff-cold", "diff -r of the tree with its original, cold", _diff, cold=True,
                     needs="untar"),
            _program("cp", "cp -a of the tree onto the mount", _copy, _same("copy"),
                     quick=False),
            _program("rsync", "rsync -a of the tree onto the mount", _rsync, _same("synced"),
                     quick=False),
            _program("make", "make -j2 of a C project", _make, _program_works,
                     needs="untar"),
            _program("rm-rf", "rm -rf of the tree", _remove, _removed, needs="untar"),
        ], setup=_make_tree),
        Scenario("applications-git", [
            _program("git-clone", "git clone of a local repository", _clone, _sound_and_settled),
            _program("git-status-cold", "git status, cold", _status, cold=True,
                     needs="git-clone"),
            _program("git-status-warm", "git status, warm", _status,
                     needs="git-status-cold"),
        ], setup=_make_repository),
        Scenario("applications-sqlite", [
            _database("sqlite-rollback", "sqlite, one insert a transaction, rollback journal", "DELETE"),
            _database("sqlite-wal", "sqlite, one insert a transaction, WAL", "WAL"),
        ]),
    ]


def _program(name, title, command, check=None, cold=False, needs=None, quick=True):
    """A row of a command that is timed as a whole; `command` gives its words or does it itself."""
    def action(place):
        start = time.monotonic()
        command(place)
        return Sample(time.monotonic() - start, place.sizes.tree_files)

    return Phase(Row(f"applications/{name}", title, "s", quick), action, check=check, cold=cold,
                 needs=(f"applications/{needs}",) if needs else ())


# The tree


def _make_tree(place):
    source_tree.generate(place.scratch / "tree", place.sizes.tree_files, place.sizes.compiled_files)
    run(["tar", "cf", place.scratch / "tree.tar", "-C", place.scratch, "tree"])


def _untar(place):
    run(["tar", "xf", place.scratch / "tree.tar", "-C", place.directory])


def _diff(place):
    try:
        said = run(["diff", "-r", "--no-dereference", place.scratch / "tree", place.directory / "tree"],
                   accept=(0, 1))
    except OSError as failure:
        raise WrongData(str(failure)) from None
    if said:
        raise WrongData(f"not the tree that was unpacked: {said.splitlines()[0]}")


def _copy(place):
    run(["cp", "-a", place.scratch / "tree", place.directory / "copy"])


def _rsync(place):
    run(["rsync", "-a", f"{place.scratch / 'tree'}/", place.directory / "synced"])


def _same(name):
    def check(place, _):
        said = run(["diff", "-r", "--no-dereference", place.scratch / "tree", place.directory / name],
                   accept=(0, 1))
        if said:
            raise WrongData(f"not the tree that was copied: {said.splitlines()[0]}")
    return check


def _make(place):
    run(["make", "-s", "-j2", "-C", place.directory / "tree" / "project", "program"])


def _program_works(place, _):
    said = run([place.directory / "tree" / "project" / "program"])
    wanted = source_tree.expected_output(place.sizes.compiled_files)
    if said != wanted:
        raise WrongData(f"the program that was built prints {said!r}, not {wanted!r}")


def _remove(place):
    run(["rm", "-rf", place.directory / "tree"])


def _removed(place, _):
    if (place.directory / "tree").exists():
        raise WrongData("the tree is still there")


# Git


def _git(place, *words):
    return run(["git", *words], cwd=place.scratch, environment=GIT_ENVIRONMENT)


def _make_repository(place):
    source_tree.generate(place.scratch / "work", place.sizes.tree_files, place.sizes.compiled_files)
    _git(place, "init", "-q", "work")
    _git(place, "-C", "work", "add", ".")
    _git(place, "-C", "work", "commit", "-q", "-m", "all")
    _git(place, "clone", "-q", "--bare", "work", "origin")
    shutil.rmtree(place.scratch / "work")


def _clone(place):
    _git(place, "clone", "-q", "--no-hardlinks", "origin", place.directory / "clone")


def _sound_and_settled(place, _):
    clone = place.directory / "clone"
    _git(place, "-C", clone, "fsck", "--strict", "--no-progress")
    _settle_index(place, clone)


def _settle_index(place, clone):
    """Makes an index that is younger than every file in it, by git's clock of whole seconds.

    git reads the content of a file that is as young as the index ("racy git"): after a clone that took less
    than a second of all files, after a slow one of few. `git status` is to look at attributes everywhere.
    """
    youngest = max(int(path.lstat().st_mtime) for path in clone.rglob("*"))
    while int(time.time()) <= youngest:
        time.sleep(0.02)
    _git(place, "-C", clone, "update-index", "-q", "--refresh", "--force-write-index")
    if int((clone / ".git" / "index").stat().st_mtime) <= youngest:
        raise Failed("the index of the clone is not younger than its files")


def _status(place):
    said = _git(place, "-C", place.directory / "clone", "status", "--porcelain")
    if said:
        raise WrongData(f"git status of a fresh clone says {said.splitlines()[0]}")


# sqlite


def _database(name, title, journal):
    def action(place):
        start = time.monotonic()
        path = place.directory / f"{name}.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            if database.execute(f"PRAGMA journal_mode={journal}").fetchone()[0] != journal.lower():
                raise WrongData(f"journal mode {journal} is not possible here")
            database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
            for index in range(place.sizes.transactions):
                database.execute("INSERT INTO t VALUES (?, ?)", (index, f"row {index} " * 10))
        return Sample(time.monotonic() - start, place.sizes.transactions)

    def check(place, _):
        with contextlib.closing(sqlite3.connect(place.directory / f"{name}.db")) as database:
            count, total = database.execute("SELECT count(*), sum(id) FROM t").fetchone()
            sound = database.execute("PRAGMA integrity_check").fetchone()[0]
        wanted = place.sizes.transactions
        if (count, total, sound) != (wanted, wanted * (wanted - 1) // 2, "ok"):
            raise WrongData(f"{count} of {wanted} rows, integrity: {sound}")

    return Phase(Row(f"applications/{name}", title, "op/s"), action, check=check)
