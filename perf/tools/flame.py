"""A flame graph as one SVG: the width of a frame is its share of the samples."""

from html import escape

WIDTH, HEIGHT, LETTER = 1400, 16, 6.6


def render(stacks, title):
    root = {"count": 0, "children": {}}
    for stack, count in stacks.items():
        node = root
        node["count"] += count
        for frame in stack.split(";"):
            node = node["children"].setdefault(frame, {"count": 0, "children": {}})
            node["count"] += count
    boxes = []
    depth = _place(root, 0, 0, WIDTH / (root["count"] or 1), boxes)
    height = (depth + 3) * HEIGHT
    parts = [f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
             "font-family='monospace' font-size='11'>",
             f"<text x='8' y='14' font-size='13'>{escape(title)}, {root['count']} samples</text>"]
    for left, width, level, name, count in boxes:
        top = height - (level + 1) * HEIGHT
        hue = 20 + sum(map(ord, name)) % 35
        share = f"{name} ({count / root['count']:.1%})"
        parts.append(f"<g><title>{escape(share)}</title><rect x='{left:.1f}' y='{top}' "
                     f"width='{width:.1f}' height='{HEIGHT - 1}' fill='hsl({hue},85%,65%)'/>")
        letters = int(width / LETTER) - 1
        if letters > 2:
            parts.append(f"<text x='{left + 3:.1f}' y='{top + 12}'>{escape(name[:letters])}</text>")
        parts.append("</g>")
    return "".join(parts) + "</svg>"


def _place(node, left, level, scale, boxes):
    """Adds the boxes above `node`; returns the depth of the deepest."""
    deepest = level
    for name, child in sorted(node["children"].items()):
        width = child["count"] * scale
        if width >= 0.5:
            boxes.append((left, width, level, name, child["count"]))
            deepest = max(deepest, _place(child, left, level + 1, scale, boxes))
        left += width
    return deepest
