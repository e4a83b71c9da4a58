"""The loop: scenario by scenario, round by round, system by system in turn."""

import contextlib
import shutil
from dataclasses import dataclass, field

from .counters import Counters, settle
from .failures import Failed, Missing
from .rows import Place, Row, Sample


@dataclass
class Run:
    sample: Sample
    counters: Counters


@dataclass
class Cell:
    """One system in one row."""

    runs: list[Run] = field(default_factory=list)
    dropped: str | None = None


@dataclass
class Results:
    rows: dict[str, Row] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)  # (row, system)

    def cell(self, row, system):
        self.rows.setdefault(row.name, row)
        return self.cells.setdefault((row.name, system.label), Cell())


class Measurement:
    """`observe(row, system)`, when given, makes a context that surrounds each action (see perf/)."""

    def __init__(self, systems, scenarios, sizes, scratch, progress, observe=None):
        self.systems = systems
        self.scenarios = scenarios
        self.sizes = sizes
        self.scratch = scratch
        self.progress = progress
        self.observe = observe or (lambda row, system: contextlib.nullcontext())
        self.results = Results()

    def run(self):
        for scenario in self.scenarios:
            local = self.scratch / f"local-{scenario.name}"
            local.mkdir()
            if scenario.setup:
                self.progress.say(f"{scenario.name}: preparing")
                scenario.setup(Place(None, local, local, self.sizes, 0))
            systems = scenario.systems(self.systems)
            for system in systems:
                self._verify(scenario, system, local)
            for number in range(scenario.rounds or self.sizes.rounds):
                for system in systems:
                    self._round(scenario, system, local, number)
            shutil.rmtree(local, ignore_errors=True)
        return self.results

    def _verify(self, scenario, system, local):
        """Writes, remounts and reads back what the rows of this scenario write, with checksums."""
        if scenario.verify is None:
            return
        self.progress.say(f"{scenario.name}: checking what {system.label} returns")
        directory = system.path / f"{scenario.name}-verify"
        try:
            directory.mkdir()
            names = {phase.row.name for phase in scenario.phases}
            wrong = scenario.verify(Place(system, directory, local, self.sizes, 0), names)
        except (Failed, OSError) as failure:
            wrong = {phase.row.name: f"check failed: {failure}" for phase in scenario.phases}
        for phase in scenario.phases:
            if phase.row.name in wrong:
                self._drop(phase, system, wrong[phase.row.name])
        shutil.rmtree(directory, ignore_errors=True)

    def _round(self, scenario, system, local, number):
        directory = system.path / f"{scenario.name}-{number}"
        place = Place(system, directory, local, self.sizes, number)
        try:
            directory.mkdir()
        except OSError as failure:
            for phase in scenario.phases:
                self._drop(phase, system, f"mount does not answer: {failure}")
            return
        for phase in scenario.phases:
            cell = self.results.cell(phase.row, system)
            if cell.dropped and phase.row.name not in scenario.needed:
                continue
            self.progress.begin(phase.row.name, system.label, number)
            try:
                run = self._phase(phase, place)
            except Missing as reason:
                self._drop(phase, system, str(reason))
            except (Failed, OSError) as failure:
                self._drop(phase, system, f"{type(failure).__name__}: {failure}")
                if not self._revive(scenario, system):
                    return
            else:
                self.results.cell(phase.row, system).runs.append(run)
                self.progress.end(phase.row, run.sample)
        shutil.rmtree(directory, ignore_errors=True)

    def _revive(self, scenario, system):
        """After a failure: mounts again when the daemon is gone; false when that fails, too."""
        death = system.death()
        if death is None:
            return True
        self.progress.say(f"{system.label}: {death}")
        try:
            system.restart()
        except (Failed, OSError) as failure:
            for phase in scenario.phases:
                self._drop(phase, system, f"{death}; not mounted again: {failure}")
            return False
        return True

    def _phase(self, phase, place):
        system = place.system
        if phase.prepare:
            phase.prepare(place)
        if phase.cold:
            system.restart()
        settle(self.systems)
        system.forget_peak()
        before = Counters.of(system)
        with self.observe(phase.row, system) as observation:
            sample = phase.action(place)
        if observation is not None:
            observation.report(sample)
        # What the row leaves to the background belongs to its cost, so it is waited for.
        asked = settle([system])
        counters = Counters.of(system).since(before)
        counters.socket_reads = max(0, counters.socket_reads - asked)
        if phase.check:
            phase.check(place, sample)
        return Run(sample, counters)

    def _drop(self, phase, system, reason):
        cell = self.results.cell(phase.row, system)
        if cell.dropped is None:
            cell.dropped = reason
            self.progress.say(f"{phase.row.name}: {system.label} dropped: {reason}")
