"""The drawing of a network: a row a block, with its operations, widths, sizes and costs."""

import textwrap
from collections.abc import Mapping

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from dualfair.presentation.figures import STYLE

NORMS = {"pre": "#cfe6f5", "post": "#cdeee2", "": "#fbe3c0"}
NORM_NAMES = {"pre": "BN and ReLU before", "post": "BN and ReLU behind", "": "raw: no BN, no ReLU"}
"""Where an operation has its BN and ReLU: the colour of its box, and in words."""
OTHER, ENDS, EDGE, NOTE = "#ececec", "#f3f3f3", "#4a4a4a", "#4a4a4a"
PIXEL = 96
"""Units of a drawing in an inch."""
MARGIN, LEFT, BOX, GAP, SIZES, COSTS, ROW, LINE = 16, 122, 112, 6, 112, 116, 70, 18
"""Widths of the edge, and in a row of a block: what it is, an operation, between operations, sizes behind it, costs;
heights of a row and of a line of text."""
LONGEST = 13
"""Letters of an operation's name that fit into its box."""


@rc_context(STYLE)
def network_figure(network: Mapping) -> Figure:
    """A network, as `reporting.architecture` has it, from its picture to its embedding, with its name and its costs."""
    blocks, size, stem = network["blocks"], network["image_size"], network["stem"]
    most = max((len(block["operations"]) for block in blocks), default=0)
    width = max(LEFT + most * (BOX + GAP) + SIZES + COSTS, 640)
    names = textwrap.wrap(network["genotype"].replace("-", "- "), 80) if blocks else []
    height = LINE * (len(names) + 1) + 58 + ROW * len(blocks) + 44 + LINE * len(network["costs"]) + 34
    wide, high = width + 2 * MARGIN, height + 2 * MARGIN
    figure = Figure(figsize=(wide / PIXEL, high / PIXEL))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-MARGIN, width + MARGIN), ylim=(height + MARGIN, -MARGIN))
    axes.set_axis_off()
    named = f"{len(blocks)} blocks on skeleton {network['skeleton']}" if blocks else network["genotype"]
    _text(axes, 0, 8, f"{named}, {size} px, head {network['head']}", weight="bold")
    y = 8
    for line in names:
        y += LINE
        _text(axes, 0, y, line.replace("- ", "-"), color=NOTE)
    y += LINE
    middle = LEFT + (most * (BOX + GAP) - GAP) / 2 if most else width / 2
    begin = f"{size} x {size} px, RGB: {stem['what']} to {stem['width']:,} channels of {stem['side']} x {stem['side']}"
    _box(axes, 0, y, width, 38, ENDS, begin)
    y += 38
    for block in blocks:
        _arrow(axes, middle, y)
        _block(axes, y + 20, block, width)
        y += ROW
    _arrow(axes, middle, y)
    ends = ", ".join(part for part in (network["tail"], f"neck and {network['head']} head") if part)
    embedding = f"{network['features']:,} features to an embedding of {network['embedding']:,}"
    _box(axes, 0, y + 20, width, 38, ENDS, f"{ends}: {embedding}")
    y += 74
    for part, cost in network["costs"].items():
        look = {"weight": "bold"} if part == "total" else {"color": NOTE}
        _text(axes, 0, y, part, **look)
        _text(axes, LEFT + 2 * BOX, y, f"{cost['parameters']:,} parameters", ha="right", **look)
        _text(axes, LEFT + 4 * BOX, y, f"{cost['macs']:,} MACs", ha="right", **look)
        y += LINE
    if any(operation["norm"] in NORMS for block in blocks for operation in block["operations"]):
        for place, (norm, colour) in enumerate(NORMS.items()):
            _box(axes, place * 200, y, 22, 16, colour)
            _text(axes, place * 200 + 30, y + 8, NORM_NAMES[norm])
    return figure


def network_title(network: Mapping) -> str:
    """What there is to see in the drawing of a network, in words."""
    names = " ".join(operation["name"] for block in network["blocks"] for operation in block["operations"])
    blocks = f"{len(network['blocks'])} blocks with the operations {names}" if names else "no searched blocks"
    return f"Drawing of network {network['genotype']}: {blocks}"


def amount(number: int) -> str:
    """Three digits and a letter for thousands, millions and (US) billions."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * unit:
            value = number / unit
            decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:,.{decimals}f} {letter}"
    return f"{number}"


def _block(axes: Axes, y: float, block: Mapping, width: float) -> None:
    """One block: its number, its operations with widths, what leaves it, and what it costs."""
    more = [f"stride {block['stride']}"] + (["shortcut"] if block["shortcut"] else [])
    _lines(axes, 0, y, f"block {block['block']}", ", ".join(more), ha="left")
    for place, operation in enumerate(block["operations"]):
        x, name = LEFT + place * (BOX + GAP), operation["name"]
        short = name if len(name) <= LONGEST else name[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
        grouped = f" / {operation['groups']}" if operation["groups"] > 1 else ""
        _box(axes, x, y, BOX, 50, NORMS.get(operation["norm"], OTHER))
        _lines(axes, x + BOX / 2, y, short, f"{operation['in']} to {operation['out']}{grouped}", ha="center")
    sides, costs = f"{block['side']} x {block['side']}", (amount(block["parameters"]), amount(block["macs"]))
    _lines(axes, width - COSTS, y, f"{block['out']:,} channels", sides, ha="right", weight="normal")
    _lines(axes, width, y, f"{costs[0]} params", f"{costs[1]} MACs", ha="right", weight="normal")


def _lines(axes: Axes, x: float, y: float, upper: str, lower: str, *, ha: str, weight: str = "bold") -> None:
    """Two lines of text in a row that begins at y."""
    _text(axes, x, y + 16, upper, ha=ha, weight=weight)
    _text(axes, x, y + 35, lower, ha=ha, color=NOTE)


def _box(axes: Axes, x: float, y: float, width: float, height: float, colour: str, text: str = "") -> None:
    style = "round,pad=0,rounding_size=4"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=colour, edgecolor=EDGE, lw=0.8))
    if text:
        _text(axes, x + width / 2, y + height / 2, text, ha="center")


def _arrow(axes: Axes, x: float, y: float) -> None:
    axes.annotate("", (x, y + 18), (x, y + 2), arrowprops={"arrowstyle": "->", "color": EDGE})


def _text(axes: Axes, x: float, y: float, text: str, **look: str) -> None:
    axes.text(x, y, text, va="center", fontsize=9, **look)
