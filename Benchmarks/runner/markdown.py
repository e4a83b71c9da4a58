"""A result as the tables of a README: what it was measured on, every row with its ratio, and the verdicts."""

import json
from pathlib import Path

from .failures import Failed
from .report import groups
from .text import number


def read(path):
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as problem:
        raise Failed(f"{path} is no result: {problem}") from None


def render(report):
    parts = [_where(report)]
    for suite in dict.fromkeys(row["suite"] for row in report["rows"].values()):
        rows = {name: row for name, row in report["rows"].items() if row["suite"] == suite}
        parts += [_table(labels, some) for labels, some in groups(rows)]
    parts += [_verdicts(report["targets"])] if report["targets"] else []
    dropped = [f"- `{name}`: {label} has no figure ({_one_line(cell['dropped'])})" for name, row in
               report["rows"].items() for label, cell in row["systems"].items() if cell["dropped"]]
    return "\n\n".join(parts + (["\n".join(dropped)] if dropped else [])) + "\n"


def _where(report):
    host, settings = report["host"], report["settings"]
    versions = ", ".join(f"{system['title']} {system['version']}".strip()
                         for system in report["systems"].values())
    return (f"`Benchmarks/run {' '.join(settings['arguments'])}` on {report['date'][:10]}: "
            f"{host['cpus']} × {host['cpu']}, {host['memory_bytes'] / 2**30:.0f} GiB, Linux {host['kernel']}, "
            f"load at the end {host['load_average']:.1f}; redis-server over {settings['transport']}, persistence "
            f"{settings['persistence']}; medians of {settings['sizes']['rounds']} rounds in turn. {versions}.")


def _table(labels, rows):
    """A loss is bold. The ratio is above 1 where the first system wins, whatever the unit."""
    subject, *others = labels
    head = ["row", *labels, "unit", *[f"{subject} / {other}" for other in others],
            *[f"CPU time, {other} / {subject}" for other in others]]
    lines = [head, ["---", *["---:"] * len(labels), "---", *["---:"] * (2 * len(others))]]
    for row in rows.values():
        lines.append([
            row["title"], *[number(row["systems"][label]["median"]) for label in labels], row["unit"],
            *[_ratio(row["ratios"].get(subject, {}).get(other)) for other in others],
            *[_ratio(row["cpu_ratios"].get(subject, {}).get(other)) for other in others]])
    return _lines(lines)


def _verdicts(targets):
    lines = [["target", "row", "bound", "figure", "CPU time", ""], ["---", "---", "---", "---:", "---:", "---"]]
    for target in targets:
        verdict = target["verdict"]
        figure = "–" if target["figure"] is None else f"{number(target['figure'])} {target['unit']}"
        lines.append([target["target"], f"`{target['row']}`", target["bound"], figure, _ratio(target["cpu_ratio"]),
                      verdict if verdict == "met" else f"**{verdict}**"])
    return _lines(lines)


def _ratio(ratio):
    if ratio is None:
        return "–"
    return f"{number(ratio)} ×" if ratio >= 1 else f"**{number(ratio)} ×**"


def _lines(lines):
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _one_line(text):
    return " ".join(text.split())
