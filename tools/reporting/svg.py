"""Charts as inline SVG from plain numbers: pure functions, no scripts, no fonts or images from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 14, 52
LEGEND_LINE = 22
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY, BLACK = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8a8a8a",
    "#1a1a1a",
)
"""The palette of Okabe and Ito, which colour-blind people can tell apart; grey and black beside it."""


@dataclass(frozen=True)
class Point:
    """A point of a scatter plot with the ends of its error bars, where it has any."""

    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points or a line under one name; `band` are (low, high) beside every point of a line."""

    name: str
    colour: str
    marker: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float]] = field(default=())
    small: bool = False
    dash: str = ""


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about so many: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Frame:
    """Where numbers lie in a chart: a range of each axis, and the height of the plot in SVG units."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: int = HEIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """SVG coordinates of a point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(self.height - BOTTOM - up * (self.height - TOP - BOTTOM), 1),
        )

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside."""
        return self.x[0] <= point.x <= self.x[1] and self.y[0] <= point.y <= self.y[1]

    def cut(self, ends: tuple[float, float], axis: str) -> tuple[float, float]:
        """An error bar without what would leave the frame."""
        low, high = getattr(self, axis)
        return min(max(ends[0], low), high), min(max(ends[1], low), high)


def chart(
    series: Sequence[Series],
    titles: tuple[str, str],
    alt: str,
    *,
    frame: Frame,
    lines: bool = False,
    verticals: Sequence[tuple[float, str]] = (),
) -> str:
    """A scatter plot with error bars, or with `lines` a line chart with bands; `verticals` are named x values.

    `titles` name the x and the y axis; `alt` says in words what there is to see.
    """
    parts = [_axes(frame, titles)]
    for number, (x, name) in enumerate(verticals):
        if frame.x[0] <= x <= frame.x[1]:
            at, _ = frame.at(x, frame.y[0])
            parts.append(f'<line x1="{at}" x2="{at}" y1="{TOP}" y2="{frame.height - BOTTOM}" class="reference"/>')
            anchor, shift = ("end", -5) if at > WIDTH / 2 else ("start", 5)
            place = f'x="{at + shift}" y="{TOP + 12 + 16 * number}" text-anchor="{anchor}"'
            parts.append(f'<text {place} class="note">{escape(name)}</text>')
    for each in series:
        parts.append(_line(frame, each) if lines else "".join(_point(frame, each, point) for point in each.points))
    height = frame.height + LEGEND_LINE * len(series) + 8
    for number, each in enumerate(series):
        y = frame.height + LEGEND_LINE * number + 14
        mark = _mark(each.marker, LEFT + 10, y - 4, each.colour, each.small)
        if lines:
            mark = f'<line x1="{LEFT - 4}" x2="{LEFT + 24}" y1="{y - 4}" y2="{y - 4}" {_stroke(each)}/>' + mark
        parts.append(f'{mark}<text x="{LEFT + 32}" y="{y}">{escape(each.name)}</text>')
    return svg("".join(parts), height, alt)


def svg(inside: str, height: float, alt: str, width: float = WIDTH) -> str:
    """An SVG picture that scales with its column, with its description for those who do not see it."""
    text = escape(alt, quote=True)
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{text}</title>{inside}</svg>'
    )


def standing_alone(inside: str, height: float, alt: str, width: float, margin: float = 16) -> str:
    """The picture as a file that needs no page around it: with its size, its style and a white ground."""
    rules = files("dualfair.reporting").joinpath("style.css").read_text(encoding="utf-8").splitlines()
    style = "".join(rule for rule in rules if rule.startswith("svg ."))
    wide, high = width + 2 * margin, height + 2 * margin
    ground = (
        f"<style>svg {{ font: 13px system-ui, sans-serif; fill: {BLACK}; }}{style}</style>"
        f'<rect width="{wide:g}" height="{high:g}" style="fill: #fff"/>'
    )
    picture = svg(f'{ground}<g transform="translate({margin:g} {margin:g})">{inside}</g>', high, alt, wide)
    return picture.replace("<svg ", f'<svg width="{wide:g}" height="{high:g}" ', 1) + "\n"


def _axes(frame: Frame, titles: tuple[str, str]) -> str:
    bottom = frame.height - BOTTOM
    parts = []
    for value in ticks(*frame.x):
        x, _ = frame.at(value, frame.y[0])
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{value:,.10g}</text>')
    for value in ticks(*frame.y):
        _, y = frame.at(frame.x[0], value)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{value:,.10g}</text>')
    middle = (TOP + bottom) / 2
    parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" class="axis"/>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{frame.height - 12}" text-anchor="middle" class="title">'
        f"{escape(titles[0])}</text>"
        f'<text transform="translate(15 {middle}) rotate(-90)" text-anchor="middle" class="title">'
        f"{escape(titles[1])}</text>"
    )
    return "".join(parts)


def _point(frame: Frame, series: Series, point: Point) -> str:
    if not frame.holds(point):
        return ""
    x, y = frame.at(point.x, point.y)
    parts = []
    if point.x_ends:
        low, high = frame.cut(point.x_ends, "x")
        parts.append(f'<line x1="{frame.at(low, point.y)[0]}" x2="{frame.at(high, point.y)[0]}" y1="{y}" y2="{y}" ')
    if point.y_ends:
        low, high = frame.cut(point.y_ends, "y")
        parts.append(f'<line y1="{frame.at(point.x, low)[1]}" y2="{frame.at(point.x, high)[1]}" x1="{x}" x2="{x}" ')
    bars = "".join(f'{part}stroke="{series.colour}" class="bar"/>' for part in parts)
    named = f"<title>{escape(point.label)}</title>" if point.label else ""
    return f"<g>{named}{bars}{_mark(series.marker, x, y, series.colour, series.small)}</g>"


def _line(frame: Frame, series: Series) -> str:
    places = [frame.at(point.x, point.y) for point in series.points]
    parts = []
    if series.band:
        rows = list(zip(series.points, series.band, strict=True))
        outline = [frame.at(point.x, high) for point, (_, high) in rows]
        outline += [frame.at(point.x, low) for point, (low, _) in reversed(rows)]
        joined = " ".join(f"{x},{y}" for x, y in outline)
        parts.append(f'<polygon points="{joined}" fill="{series.colour}" class="band"/>')
    joined = " ".join(f"{x},{y}" for x, y in places)
    parts.append(f'<polyline points="{joined}" fill="none" {_stroke(series)}/>')
    parts += [_mark(series.marker, x, y, series.colour, True) for x, y in places]
    return "".join(parts)


def _stroke(series: Series) -> str:
    dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
    return f'stroke="{series.colour}" stroke-width="2"{dash}'


def _mark(marker: str, x: float, y: float, colour: str, small: bool) -> str:
    """A marker: circle, square, diamond, triangle, cross or ring."""
    r = 3 if small else 6
    if marker == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{r}" fill="{colour}"/>'
    if marker == "ring":
        return f'<circle cx="{x}" cy="{y}" r="{r}" fill="none" stroke="{colour}" stroke-width="2"/>'
    shapes = {
        "square": f"M{-r} {-r}H{r}V{r}H{-r}Z",
        "diamond": f"M0 {-r * 1.3}L{r * 1.3} 0L0 {r * 1.3}L{-r * 1.3} 0Z",
        "triangle": f"M0 {-r * 1.2}L{r * 1.15} {r}H{-r * 1.15}Z",
        "cross": f"M{-r} {-r}L{r} {r}M{-r} {r}L{r} {-r}",
    }
    style = f'fill="none" stroke="{colour}" stroke-width="2"' if marker == "cross" else f'fill="{colour}"'
    return f'<path transform="translate({x} {y})" d="{shapes[marker]}" {style}/>'
