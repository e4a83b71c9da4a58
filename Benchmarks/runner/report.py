"""From the runs to one plain structure: what JSON holds, and what the tables are made of."""

import os
import platform
import statistics
import time
from pathlib import Path

from .counters import Counters
from .targets import verdicts


def build(results, systems, settings):
    order = [system.label for system in systems]
    report = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": _host(),
        "settings": settings,
        "systems": {s.label: {"title": s.title, "version": s.known_version, "command": s.known_command,
                              "memory_limit_bytes": s.memory_limit_bytes} for s in systems},
        "rows": {name: _row(row, results, order) for name, row in results.rows.items()},
    }
    report["targets"] = verdicts(report)
    return report


def _host():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "")
    return {"kernel": platform.release(), "cpu": model, "cpus": os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")}


def _row(row, results, order):
    cells = {label: results.cells[row.name, label] for label in order
             if (row.name, label) in results.cells}
    made = {"title": row.title, "suite": row.suite, "unit": row.unit,
            "more_is_better": row.more_is_better,
            "systems": {label: _cell(cell, row) for label, cell in cells.items()}}
    made["ratios"] = {a: {b: _ratio(made, a, b) for b in cells if b != a} for a in cells}
    made["cpu_ratios"] = {a: {b: _cpu_ratio(made, a, b) for b in cells if b != a} for a in cells}
    return made


def _ratio(row, subject, peer):
    """How many times better `subject` is; above 1 it wins, whatever the unit."""
    mine, theirs = (row["systems"][label]["median"] for label in (subject, peer))
    if not mine or not theirs:
        return None
    return mine / theirs if row["more_is_better"] else theirs / mine


def _cpu_ratio(row, subject, peer):
    """How many times less CPU time of daemon and server `subject` takes: it stands a busy machine."""
    mine, theirs = (row["systems"][label].get("cost", {}) for label in (subject, peer))
    if not mine or not theirs:
        return None
    own = mine["daemon_cpu_seconds"] + mine["server_cpu_seconds"]
    return (theirs["daemon_cpu_seconds"] + theirs["server_cpu_seconds"]) / own if own else None


def _cell(cell, row):
    if cell.dropped is not None or not cell.runs:
        return {"median": None, "dropped": cell.dropped or "not run", "runs": []}
    values = [run.sample.value(row.unit) for run in cell.runs]
    costs = [_cost(run, row) for run in cell.runs]
    middle = {key: statistics.median(cost[key] for cost in costs) for key in costs[0]}
    return {
        "median": statistics.median(values), "least": min(values), "most": max(values),
        "dropped": None, "cost": middle,
        "daemon_peak_bytes": max(run.counters.daemon_peak_bytes for run in cell.runs),
        "p50_microseconds": _median_of(cell, "p50_microseconds"),
        "p99_microseconds": _median_of(cell, "p99_microseconds"),
        "commands": _top_commands(cell.runs[-1].counters, cell.runs[-1].sample.operations),
        "runs": [{"value": value, "sample": vars(run.sample), "counters": vars(run.counters)}
                 for value, run in zip(values, cell.runs)],
    }


def _median_of(cell, name):
    known = [v for run in cell.runs if (v := getattr(run.sample, name)) is not None]
    return statistics.median(known) if known else None


def _cost(run, row):
    """What one operation, or one thousand, or one GiB took."""
    counters: Counters = run.counters
    operations = max(1, run.sample.operations)
    if row.unit == "MiB/s":
        amount = max(1, run.sample.bytes) / 2**30
    else:
        amount = operations / 1000
    return {
        "commands_per_operation": sum(counters.commands.values()) / operations,
        "socket_reads_per_operation": counters.socket_reads / operations,
        "daemon_cpu_seconds": counters.daemon_cpu_seconds / amount,
        "server_cpu_seconds": counters.server_cpu_seconds / amount,
    }


def groups(rows):
    """The rows by who takes part in them: `(labels, rows)`, in the order of the report."""
    made = {}
    for name, row in rows.items():
        made.setdefault(tuple(row["systems"]), {})[name] = row
    return list(made.items())


def cost_unit(row):
    return "GiB" if row["unit"] == "MiB/s" else "1,000 operations"


def _top_commands(counters, operations, most=6):
    ranked = sorted(counters.commands.items(), key=lambda item: -item[1])[:most]
    return {name: count / max(1, operations) for name, count in ranked}
