"""The report as text for a terminal."""

from .report import groups


def number(value):
    """Three digits that mean something."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(rows):
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in rows)


def results(report):
    """One table for each set of systems that took part in the same rows."""
    tables = [_results(labels, rows) for labels, rows in groups(report["rows"])]
    return "\n\n".join(tables) + "\n(cpu: seconds of daemon + redis-server per GiB for MiB/s rows, " \
                                  "per 1,000 operations for the others)"


def _results(labels, rows):
    subject, *others = labels
    head = ["row", "unit", *labels, *[f"{subject}/{o}" for o in others],
            *[f"{l} cmds/op" for l in labels if _has_server(rows, l)],
            *[f"{l} cpu d+s" for l in labels]]
    lines = [head]
    for name, row in rows.items():
        cells = row["systems"]
        line = [name, row["unit"]]
        line += [number(cells[l]["median"]) for l in labels]
        line += [number(row["ratios"].get(subject, {}).get(o)) for o in others]
        line += [number(_cost(cells, l, "commands_per_operation")) for l in labels
                 if _has_server(rows, l)]
        for label in labels:
            daemon = _cost(cells, label, "daemon_cpu_seconds")
            server = _cost(cells, label, "server_cpu_seconds")
            line.append("–" if daemon is None else f"{number(daemon)}+{number(server)}")
        lines.append(line)
    return table(lines)


def targets(report):
    if not report["targets"]:
        return ""
    lines = [["target", "row", "bound", "figure", "CPU ratio", "verdict"]]
    lines += [[t["target"], t["row"], t["bound"], number(t["figure"]), number(t["cpu_ratio"]),
               t["verdict"]] for t in report["targets"]]
    return table(lines)


def dropped(report):
    return "\n".join(f"{name}: {label} dropped: {cell['dropped']}"
                     for name, row in report["rows"].items()
                     for label, cell in row["systems"].items() if cell["dropped"])


def _cost(cells, label, key):
    cell = cells.get(label)
    return None if cell is None or cell["median"] is None else cell["cost"][key]


def _has_server(rows, label):
    return any(row["systems"][label].get("commands") for row in rows.values())
