"""The report as one HTML page that needs nothing else: tables, and bars as inline SVG."""

from html import escape

from .report import cost_unit, groups
from .text import number

COLOURS = ["#d9480f", "#1971c2", "#868e96", "#2f9e44", "#9c36b5", "#f08c00", "#0c8599"]
BAR, GAP, LABEL, WIDTH, VALUE = 16, 5, 130, 420, 110

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8883; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
.rows { display: grid; grid-template-columns: repeat(auto-fill, minmax(33rem, 1fr)); gap: 1rem 2rem; }
figure { margin: 0; } figcaption { font-size: 13px; margin-bottom: .2rem; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.met { color: #2f9e44; } .missed { color: #e03131; font-weight: 600; } .dropped { color: #e03131; }
code { font-size: 12px; word-break: break-all; }
"""


def render(report):
    labels = list(report["systems"])
    colours = {label: COLOURS[i % len(COLOURS)] for i, label in enumerate(labels)}
    parts = [f"<h1>{escape(labels[0])} and its peers</h1>", _where(report), _systems(report),
             _targets(report)]
    for suite in dict.fromkeys(row["suite"] for row in report["rows"].values()):
        rows = {name: row for name, row in report["rows"].items() if row["suite"] == suite}
        parts.append(f"<h2>{escape(suite)}</h2>")
        parts.append('<div class="rows">')
        parts += [_figure(name, row, colours) for name, row in rows.items()]
        parts.append("</div>")
        for present, some in groups(rows):
            parts.append(_results(some, present))
            parts.append(_costs(some, present))
    parts.append(_dropped(report))
    return ("<!doctype html><html lang=en><meta charset=utf-8>"
            "<meta name=viewport content='width=device-width'>"
            f"<title>Benchmarks {escape(report['date'])}</title><style>{STYLE}</style>"
            + "\n".join(parts))


def _where(report):
    host, settings = report["host"], report["settings"]
    return (f"<p>{escape(report['date'])} · {host['cpus']} × {escape(host['cpu'])} · "
            f"Linux {escape(host['kernel'])} · {host['memory_bytes'] / 2**30:.0f} GiB · load at the end "
            f"{host['load_average']:.1f} · redis over {settings['transport']}, persistence "
            f"{settings['persistence']} · {settings['sizes']['rounds']} rounds in turn, medians · "
            f"{settings['seconds']} s<br><code>Benchmarks/run "
            f"{escape(' '.join(settings['arguments']))}</code></p>")


def _systems(report):
    lines = [[escape(label), escape(s["title"]), escape(s["version"]), f"<code>{escape(s['command'])}</code>"]
             for label, s in report["systems"].items()]
    return _table(["name", "system", "version", "mounted with"], lines)


def _targets(report):
    if not report["targets"]:
        return ""
    lines = [[escape(t["target"]), escape(t["row"]), escape(t["bound"]),
              "–" if t["figure"] is None else f"{number(t['figure'])} {t['unit']}", _times(t["cpu_ratio"]),
              f"<span class='{t['verdict'].split()[0]}'>{t['verdict']}</span>"]
             for t in report["targets"]]
    return "<h2>Targets</h2>" + _table(["target", "row", "bound", "figure", "CPU time", "verdict"], lines)


def _figure(name, row, colours):
    """Bars of one row; the longest is the largest value."""
    cells = row["systems"]
    longest = max((cell["median"] or 0 for cell in cells.values()), default=0) or 1
    height = len(cells) * (BAR + GAP)
    hint = "" if row["more_is_better"] else ", less is better"
    svg = [f"<svg width={LABEL + WIDTH + VALUE} height={height} role=img "
           f"viewBox='0 0 {LABEL + WIDTH + VALUE} {height}' style='max-width:100%'>"]
    for index, (label, cell) in enumerate(cells.items()):
        top = index * (BAR + GAP)
        svg.append(f"<text x={LABEL - 8} y={top + 13} text-anchor=end>{escape(label)}</text>")
        if cell["median"] is None:
            svg.append(f"<text x={LABEL} y={top + 13}>dropped</text>")
            continue
        width = max(1, cell["median"] / longest * WIDTH)
        least, most = (LABEL + cell[key] / longest * WIDTH for key in ("least", "most"))
        svg.append(f"<rect x={LABEL} y={top} width={width:.1f} height={BAR} rx=2 fill='{colours[label]}'/>")
        svg.append(f"<line x1={least:.1f} x2={min(most, LABEL + WIDTH):.1f} y1={top + BAR / 2} "
                   f"y2={top + BAR / 2} stroke=currentColor stroke-opacity=.5 />")
        svg.append(f"<text x={LABEL + width + 6:.1f} y={top + 13}>{number(cell['median'])} "
                   f"{row['unit']}</text>")
    svg.append("</svg>")
    return (f"<figure><figcaption><b>{escape(name.split('/', 1)[1])}</b> · {escape(row['title'])}{hint}"
            f"</figcaption>{''.join(svg)}</figure>")


def _results(rows, labels):
    lines = []
    for name, row in rows.items():
        line = [escape(name), row["unit"]]
        for label in labels:
            cell = row["systems"].get(label, {"median": None})
            line.append("–" if cell["median"] is None else
                        f"{number(cell['median'])}<br><small>{number(cell['least'])}–"
                        f"{number(cell['most'])}</small>")
        line += [_times(row["ratios"].get(labels[0], {}).get(other)) for other in labels[1:]]
        lines.append(line)
    head = ["row", "unit", *labels, *[f"{labels[0]} / {other}" for other in labels[1:]]]
    return "<h3>Medians, and from least to most</h3>" + _table(head, lines)


def _costs(rows, labels):
    lines = []
    for name, row in rows.items():
        for label in labels:
            cell = row["systems"].get(label)
            if cell is None or cell["median"] is None:
                continue
            cost = cell["cost"]
            named = ", ".join(f"{escape(c)} {number(n)}" for c, n in cell["commands"].items())
            lines.append([
                escape(name), escape(label), _microseconds(cell["p50_microseconds"]),
                _microseconds(cell["p99_microseconds"]), number(cost["commands_per_operation"]),
                number(cost["socket_reads_per_operation"]), number(cost["daemon_cpu_seconds"]),
                number(cost["server_cpu_seconds"]), cost_unit(row), f"<small>{named}</small>"])
    head = ["row", "system", "median latency", "99 % latency", "commands / operation",
            "socket reads / operation", "daemon CPU s", "redis CPU s", "CPU for each", "commands"]
    return ("<details><summary>What each row cost: latency, commands that redis-server executed (those "
            "inside scripts included), CPU time</summary>" + _table(head, lines) + "</details>")


def _dropped(report):
    lines = [[escape(name), escape(label), f"<span class=dropped>{escape(cell['dropped'])}</span>"]
             for name, row in report["rows"].items() for label, cell in row["systems"].items()
             if cell["dropped"]]
    return "<h2>Dropped</h2>" + _table(["row", "system", "why"], lines) if lines else ""


def _times(ratio):
    return "–" if ratio is None else f"{number(ratio)} ×"


def _microseconds(value):
    return "–" if value is None else f"{number(value)} µs"


def _table(head, lines):
    made = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in lines)
    return (f"<div class=scroll><table><tr>{''.join(f'<th>{escape(h)}</th>' for h in head)}</tr>"
            f"{made}</table></div>")
