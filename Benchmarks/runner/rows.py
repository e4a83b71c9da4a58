"""The vocabulary of a measurement: rows, samples, phases and scenarios."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    name: str  # suite/what, as --row selects it
    title: str
    unit: str  # "MiB/s", "op/s" or "s"; else one of Sample.amount, less of which is better
    quick: bool = True  # part of --quick

    @property
    def suite(self):
        return self.name.split("/", 1)[0]

    @property
    def more_is_better(self):
        return self.unit in ("MiB/s", "op/s")


@dataclass
class Sample:
    """What one execution did."""

    seconds: float
    operations: int = 0
    bytes: int = 0
    p50_microseconds: float | None = None
    p99_microseconds: float | None = None
    amount: float | None = None  # what a row shows that is not about time

    def value(self, unit):
        if self.amount is not None:
            return self.amount
        if unit == "s":
            return self.seconds
        return (self.bytes / 2**20 if unit == "MiB/s" else self.operations) / max(self.seconds, 1e-9)


@dataclass
class Place:
    """Where a phase runs."""

    system: object
    directory: Path  # of this scenario and round, on the system
    scratch: Path  # of this scenario, on the local disk
    sizes: object
    round: int


@dataclass
class Phase:
    """One step of a scenario. `action` is timed and counted; nothing else is."""

    row: Row
    action: Callable[[Place], Sample]
    prepare: Callable[[Place], None] | None = None
    check: Callable[[Place, Sample], None] | None = None  # raises WrongData
    cold: bool = False  # daemon restarted, caches dropped, after `prepare`
    needs: tuple[str, ...] = ()  # rows of earlier phases without which there is nothing to work on


@dataclass
class Scenario:
    """Phases that share what the earlier ones made; each round starts in an empty directory."""

    name: str
    phases: list[Phase]
    #: Once for each system before the first round, in a directory of its own: what is wrong, by row.
    verify: Callable[[Place, set], dict] | None = None
    setup: Callable[[Place], None] | None = None  # once for all systems: local material
    #: Labels of the only systems that take part, the companions among them (see systems/); otherwise all.
    labels: tuple[str, ...] | None = None
    rounds: int | None = None  # otherwise those of the run

    def select(self, wanted):
        """The scenario with the wanted phases and those that they need, or `None`."""
        names = {phase.row.name for phase in self.phases if wanted(phase.row)}
        for phase in reversed(self.phases):  # what a phase needs stands before it
            if phase.row.name in names:
                names.update(phase.needs)
        keep = [phase for phase in self.phases if phase.row.name in names]
        return dataclasses.replace(self, phases=keep) if keep else None

    def systems(self, all_systems):
        return [s for s in all_systems if self.labels is None or s.label in self.labels]

    @property
    def needed(self):
        return {name for phase in self.phases for name in phase.needs}
