"""The figures that are no charts with two axes: heat maps, bars of correlations, drawings of networks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from tools.reporting.svg import BLACK, BLUE, GREEN, GREY, ORANGE, svg, ticks
from tools.reporting.table import records
from tools.reporting.words import spoken, two

WIDTH = 560
"""Width of these pictures in SVG units; they hold more text than charts do."""
MORE, LESS = (0, 114, 178), (230, 159, 0)
"""Colours of cells above and below what is expected: blue and orange of the palette."""
NORMS = {"pre": ("#cfe6f5", BLUE), "post": ("#cdeee2", GREEN), "": ("#fbe3c0", ORANGE)}
NORM_NAMES = {"pre": "BN and ReLU before", "post": "BN and ReLU behind", "": "raw: no BN, no ReLU"}


def heat_map(found: Mapping, alt: str) -> str:
    """How many networks use each choice at each place, under its digit in a genotype.

    Colours tell the difference to the expected number.
    """
    rows: dict[str, list[dict]] = {}
    for record in records(found):
        rows.setdefault(record["place"], []).append(record)
    titles = {record["choice"]: record["code"] for record in records(found)}
    names = list(titles)
    left, top, high = 128, 26, 26
    wide = (WIDTH - left) / len(names)
    parts = [
        f'<text x="{left + (place + 0.5) * wide:.1f}" y="16" text-anchor="middle" class="note">'
        f"{escape(name if code is None else f'{code} {name}')}</text>"
        for place, (name, code) in enumerate(titles.items())
    ]
    for number, (place, cells) in enumerate(rows.items()):
        y = top + number * high
        parts.append(f'<text x="{left - 8}" y="{y + 18}" text-anchor="end">{escape(place)}</text>')
        for cell in cells:
            x = left + names.index(cell["choice"]) * wide
            parts.append(
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{high}" fill="{_tint(cell)}" class="cell"/>'
                f'<text x="{x + wide / 2:.1f}" y="{y + 18}" text-anchor="middle">{cell["networks"]:,}</text>'
            )
    return svg("".join(parts), top + len(rows) * high + 4, alt, WIDTH)


def _tint(cell: Mapping) -> str:
    """White at the expected number, blue to twice as much and more, orange to none."""
    relative = (cell["networks"] - cell["expected"]) / cell["expected"] if cell["expected"] else 0.0
    strength = 0.65 * min(abs(relative), 1.0)
    colour = MORE if relative > 0 else LESS
    return "#" + "".join(f"{round(255 + (channel - 255) * strength):02x}" for channel in colour)


def tau_bars(found: Mapping, alt: str) -> str:
    """Kendall's tau of everything that ranks the networks, with intervals, one row each under its measure."""
    parts, y, left, right = [], 10, 220, 84
    ends = [
        value for row in records(found) for value in (row["tau"], row["tau low"], row["tau high"]) if value is not None
    ]
    low, high = min([-0.2, *ends]), max([1.0, *ends])

    def at(value: float) -> float:
        return round(left + (value - low) / (high - low) * (WIDTH - left - right), 1)

    measure = None
    for row in records(found):
        if row["measure"] != measure:
            measure = row["measure"]
            y += 24
            parts.append(f'<text x="0" y="{y}" class="title">{escape(spoken(measure))}</text>')
        y += 24
        parts.append(f'<text x="14" y="{y}">{escape(spoken(row["ranked by"]))}</text>')
        parts.append(_tau_row(row, y - 4, at))
        value = "undefined" if row["tau"] is None else two(row["tau"])
        parts.append(f'<text x="{WIDTH - 4}" y="{y}" text-anchor="end">{value}</text>')
    y += 12
    scale = [
        f'<line x1="{at(tick)}" x2="{at(tick)}" y1="16" y2="{y}" class="{"reference" if tick == 0 else "grid"}"/>'
        f'<text x="{at(tick)}" y="{y + 16}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks(low, high)
    ]
    title = f'<text x="{(left + WIDTH - right) / 2}" y="{y + 36}" text-anchor="middle" class="title">'
    parts.append(f"{title}Kendall's tau on test people, higher is better</text>")
    return svg("".join(scale + parts), y + 44, alt, WIDTH)


def _tau_row(row: Mapping, y: float, at) -> str:
    """A marker with its interval: a circle for ours, a diamond for the ceiling, squares for the others."""
    if row["tau"] is None:
        return ""
    kind = (
        "circle" if row["ranked by"] == "inherited score" else "ceiling" if "ceiling" in row["ranked by"] else "square"
    )
    colour = {"circle": BLUE, "ceiling": BLACK, "square": GREY}[kind]
    bar = ""
    if row["tau low"] is not None and row["tau high"] is not None:
        low, high = at(row["tau low"]), at(row["tau high"])
        bar = f'<line x1="{low}" x2="{high}" y1="{y}" y2="{y}" stroke="{colour}" class="bar"/>'
    x = at(row["tau"])
    marks = {
        "circle": f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>',
        "ceiling": f'<path transform="translate({x} {y})" d="M0 -7L7 0L0 7L-7 0Z" fill="{colour}"/>',
        "square": f'<rect x="{x - 5}" y="{y - 5}" width="10" height="10" fill="{colour}"/>',
    }
    return bar + marks[kind]


def network_drawing(found: Mapping) -> str:
    """A network from its picture to its embedding: a row a block with its three operations."""
    stem = found["stem"]
    pool = ", 3x3 max pool" if stem["pool"] else ""
    size = found["image_size"]
    kernel, behind = f"{stem['kernel']}x{stem['kernel']}", f"{stem['side']} x {stem['side']}"
    top = f"{size} x {size} px, RGB: stem {kernel}, stride 2{pool} to {stem['width']} channels of {behind}"
    parts = [_wide(2, top)]
    for number, block in enumerate(found["blocks"]):
        parts.append(_block(58 + number * 70, block))
    y = 58 + len(found["blocks"]) * 70
    parts.append(_arrow(y - 16))
    parts.append(_wide(y, f"BN, ELU, neck and {found['head']} head: embedding of {found['embedding']}"))
    names = " ".join(operation["name"] for block in found["blocks"] for operation in block["operations"])
    alt = f"Drawing of network {found['genotype']}: {len(found['blocks'])} blocks with the operations {names}"
    return svg("".join(parts), y + 44, alt, WIDTH)


def legend() -> str:
    """What the colours of operations mean, as a row of samples."""
    parts = []
    for number, (norm, (fill, _)) in enumerate(NORMS.items()):
        x = number * 186
        parts.append(f'<rect x="{x + 1}" y="2" width="22" height="16" fill="{fill}" class="part"/>')
        parts.append(f'<text x="{x + 30}" y="15">{NORM_NAMES[norm]}</text>')
    return svg("".join(parts), 22, "Legend: colours tell where an operation has its BN and ReLU", WIDTH)


def _block(y: float, block: Mapping) -> str:
    """One block: its number, three operations with widths, and what leaves it."""
    parts = [_arrow(y - 16), f'<text x="0" y="{y + 20}" class="title">block {block["block"]}</text>']
    more = [f"stride {block['stride']}"] + (["shortcut"] if block["shortcut"] else [])
    parts.append(f'<text x="0" y="{y + 38}" class="note">{", ".join(more)}</text>')
    for place, operation in enumerate(block["operations"]):
        x = 128 + place * 112
        fill, _ = NORMS[operation["norm"]]
        grouped = f" / {operation['groups']}" if operation["groups"] > 1 else ""
        parts.append(
            f'<rect x="{x}" y="{y}" width="104" height="50" rx="4" fill="{fill}" class="part"/>'
            f'<text x="{x + 52}" y="{y + 20}" text-anchor="middle" class="title">{escape(operation["name"])}</text>'
            f'<text x="{x + 52}" y="{y + 38}" text-anchor="middle" class="note">'
            f"{operation['in']} to {operation['out']}{grouped}</text>"
        )
    parts.append(f'<text x="{WIDTH}" y="{y + 20}" text-anchor="end">{block["out"]} channels</text>')
    parts.append(
        f'<text x="{WIDTH}" y="{y + 38}" text-anchor="end" class="note">{block["side"]} x {block["side"]}</text>'
    )
    return "".join(parts)


def _wide(y: float, text: str) -> str:
    return (
        f'<rect x="1" y="{y}" width="{WIDTH - 2}" height="38" rx="4" fill="#f3f3f3" class="part"/>'
        f'<text x="{WIDTH / 2}" y="{y + 24}" text-anchor="middle">{escape(text)}</text>'
    )


def _arrow(y: float) -> str:
    x = WIDTH / 2 + 12
    return f'<path d="M{x} {y}v9m-4 -5l4 5l4 -5" fill="none" stroke="{BLACK}"/>'
