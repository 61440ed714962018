"""The figures that are no charts with two axes: heat maps, bars of correlations, drawings of networks."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from html import escape

from dualfair.presentation.format import spoken, two
from dualfair.reporting.svg import BLACK, BLUE, GREEN, GREY, ORANGE, standing_alone, svg, ticks
from dualfair.reporting.table import records

WIDTH = 560
"""Width of these pictures in SVG units; they hold more text than charts do."""
MORE, LESS = (0, 114, 178), (230, 159, 0)
"""Colours of cells above and below what is expected: blue and orange of the palette."""
NORMS = {"pre": ("#cfe6f5", BLUE), "post": ("#cdeee2", GREEN), "": ("#fbe3c0", ORANGE)}
NORM_NAMES = {"pre": "BN and ReLU before", "post": "BN and ReLU behind", "": "raw: no BN, no ReLU"}
OTHER = "#ececec"
"""Colour of operations that do not say where they normalise."""
LEFT, BOX, GAP, SIZES, COSTS = 122, 112, 6, 108, 106
"""Widths in a row of a block: what it is, an operation, between operations, sizes behind it, costs."""


def heat_map(usage: Mapping, alt: str) -> str:
    """How many networks use each choice at each place, under its digit in a genotype.

    Colours tell the difference to the expected number.
    """
    rows: dict[str, list[dict]] = {}
    for record in records(usage):
        rows.setdefault(record["place"], []).append(record)
    titles = {record["choice"]: record["code"] for record in records(usage)}
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


def tau_bars(baselines: Mapping, alt: str) -> str:
    """Kendall's tau of everything that ranks the networks, with intervals, one row each under its measure."""
    parts, y, left, right = [], 10, 220, 84
    ends = [
        value
        for row in records(baselines)
        for value in (row["tau"], row["tau low"], row["tau high"])
        if value is not None
    ]
    low, high = min([-0.2, *ends]), max([1.0, *ends])

    def at(value: float) -> float:
        return round(left + (value - low) / (high - low) * (WIDTH - left - right), 1)

    measure = None
    for row in records(baselines):
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


def network_drawing(network: Mapping) -> str:
    """A network (`architecture`) from its picture to its embedding: a row a block with its operations and costs."""
    inside, height, width = _network(network)
    costs = network["costs"]["total"]
    total = f"{_amount(costs['parameters'])} parameters, {_amount(costs['macs'])} MACs"
    inside += f'<text x="{width}" y="{height + 12}" text-anchor="end" class="note">in all {total}</text>'
    return svg(inside, height + 18, _network_alt(network), width)


def network_picture(network: Mapping) -> str:
    """The drawing of a network as a file of its own, with its name, its totals and what the colours mean."""
    inside, height, width = _network(network)
    name = (
        f"{len(network['blocks'])} blocks on skeleton {network['skeleton']}"
        if network["blocks"]
        else network["genotype"]
    )
    lines = [f"{name}, {network['image_size']} px, head {network['head']}"]
    lines += textwrap.wrap(network["genotype"].replace("-", "- "), 90) if network["blocks"] else []
    parts, y = [], 4
    for number, line in enumerate(lines):
        y += 18
        kind = "note" if number else "title"
        parts.append(f'<text x="0" y="{y}" class="{kind}">{escape(line.replace("- ", "-"))}</text>')
    parts.append(f'<g transform="translate(0 {y + 14})">{inside}</g>')
    y += 14 + height
    for part, cost in network["costs"].items():
        y += 18
        kind = "title" if part == "total" else "note"
        cells = ((LEFT + 2 * BOX, f"{cost['parameters']:,} parameters"), (LEFT + 4 * BOX, f"{cost['macs']:,} MACs"))
        parts.append(f'<text x="0" y="{y}" class="{kind}">{escape(part)}</text>')
        parts += [f'<text x="{x}" y="{y}" text-anchor="end" class="{kind}">{text}</text>' for x, text in cells]
    if any(operation["norm"] in NORMS for block in network["blocks"] for operation in block["operations"]):
        parts.append(f'<g transform="translate(0 {y + 16})">{_samples()}</g>')
        y += 40
    return standing_alone("".join(parts), y + 10, _network_alt(network), width)


def legend() -> str:
    """What the colours of operations mean, as a row of samples."""
    return svg(_samples(), 22, "Legend: colours tell where an operation has its BN and ReLU", WIDTH)


def _samples() -> str:
    parts = []
    for number, (norm, (fill, _)) in enumerate(NORMS.items()):
        x = number * 186
        parts.append(f'<rect x="{x + 1}" y="2" width="22" height="16" fill="{fill}" class="part"/>')
        parts.append(f'<text x="{x + 30}" y="15">{NORM_NAMES[norm]}</text>')
    return "".join(parts)


def _network_alt(network: Mapping) -> str:
    """The drawing in words."""
    names = " ".join(operation["name"] for block in network["blocks"] for operation in block["operations"])
    inside = (
        f"{len(network['blocks'])} blocks with the operations {names}" if network["blocks"] else "no searched blocks"
    )
    return f"Drawing of network {network['genotype']}: {inside}"


def _network(network: Mapping) -> tuple[str, float, float]:
    """What is inside the drawing of a network, its height and its width."""
    most = max((len(block["operations"]) for block in network["blocks"]), default=0)
    width = max(LEFT + most * (BOX + GAP) + SIZES + COSTS, WIDTH + COSTS)
    middle = LEFT + (most * (BOX + GAP) - GAP) / 2 if most else width / 2
    stem, size = network["stem"], network["image_size"]
    top = f"{size} x {size} px, RGB: {stem['what']} to {stem['width']:,} channels of {stem['side']} x {stem['side']}"
    parts = [_wide(2, top, width)]
    for number, block in enumerate(network["blocks"]):
        y = 58 + number * 70
        parts.append(_arrow(middle, y - 16) + _block(y, block, width))
    y = 58 + len(network["blocks"]) * 70
    ends = ", ".join(part for part in (network["tail"], f"neck and {network['head']} head") if part)
    parts.append(_arrow(middle, y - 16))
    parts.append(
        _wide(y, f"{ends}: {network['features']:,} features to an embedding of {network['embedding']:,}", width)
    )
    return "".join(parts), y + 44, width


def _block(y: float, block: Mapping, width: float) -> str:
    """One block: its number, its operations with widths, what leaves it, and what it costs."""
    parts = [f'<text x="0" y="{y + 20}" class="title">block {block["block"]}</text>']
    more = [f"stride {block['stride']}"] + (["shortcut"] if block["shortcut"] else [])
    parts.append(f'<text x="0" y="{y + 38}" class="note">{", ".join(more)}</text>')
    for place, operation in enumerate(block["operations"]):
        x = LEFT + place * (BOX + GAP)
        fill, _ = NORMS.get(operation["norm"], (OTHER, GREY))
        grouped = f" / {operation['groups']}" if operation["groups"] > 1 else ""
        name = operation["name"] if len(operation["name"]) <= 13 else operation["name"][:12] + "\N{HORIZONTAL ELLIPSIS}"
        parts.append(
            f"<g><title>{escape(operation['name'])}</title>"
            f'<rect x="{x}" y="{y}" width="{BOX}" height="50" rx="4" fill="{fill}" class="part"/>'
            f'<text x="{x + BOX / 2:g}" y="{y + 20}" text-anchor="middle" class="title">{escape(name)}</text>'
            f'<text x="{x + BOX / 2:g}" y="{y + 38}" text-anchor="middle" class="note">'
            f"{operation['in']} to {operation['out']}{grouped}</text></g>"
        )
    columns = (
        (width - COSTS, f"{block['out']:,} channels", f"{block['side']} x {block['side']}"),
        (width, f"{_amount(block['parameters'])} params", f"{_amount(block['macs'])} MACs"),
    )
    for x, upper, lower in columns:
        parts.append(f'<text x="{x}" y="{y + 20}" text-anchor="end">{upper}</text>')
        parts.append(f'<text x="{x}" y="{y + 38}" text-anchor="end" class="note">{lower}</text>')
    return "".join(parts)


def _amount(number: int) -> str:
    """Three digits and a letter for thousands, millions and (US) billions."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * unit:
            value = number / unit
            decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:,.{decimals}f} {letter}"
    return f"{number}"


def _wide(y: float, text: str, width: float) -> str:
    return (
        f'<rect x="1" y="{y}" width="{width - 2}" height="38" rx="4" fill="#f3f3f3" class="part"/>'
        f'<text x="{width / 2:g}" y="{y + 24}" text-anchor="middle">{escape(text)}</text>'
    )


def _arrow(x: float, y: float) -> str:
    return f'<path d="M{x:g} {y}v9m-4 -5l4 5l4 -5" fill="none" stroke="{BLACK}"/>'
