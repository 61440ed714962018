"""Figures: pure functions from numbers to matplotlib's Figure, saved as PNG, or printed as SVG for a page.

Colours are those of Okabe and Ito, which colour-blind people tell apart; what differs in colour differs in marker or
dash too. Text is never read as mathematics: names come from files.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dualfair.evaluation.report import Number
from dualfair.supernet.files import replacing
from dualfair.supernet.images import PEOPLE

BLUE, ORANGE, GREY, BLACK = "#0072b2", "#d55e00", "#999999", "#1a1a1a"
YELLOW, GREEN, PURPLE = "#e69f00", "#009e73", "#cc79a7"
CLOUD = 0.9
"""Share of the scored networks that a front's figure holds at least, in each objective: outliers would squeeze it."""
ROOM = 0.06
"""Empty room at every edge of a plot, as a share of what is drawn."""
STYLE = {
    "figure.dpi": 140,
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
}
CEILING = "ceiling"
"""What the name of the bar begins with that shows the most that could be reached."""

Bars = Mapping[str, tuple[float, tuple[float, float] | None]]
"""A correlation with its interval by the name of what ranks; the first of them is ours."""


@dataclass(frozen=True)
class Series:
    """Points (n, 2) under a name; `ends` (n, 2, 2) are low and high of both coordinates, nan where there are none.

    `labels` are written beside the points; `stepped` points are joined, as a front is.
    """

    name: str
    points: np.ndarray
    colour: str
    marker: str = "o"
    ends: np.ndarray | None = None
    labels: Sequence[str] = ()
    hollow: bool = False
    stepped: bool = False
    size: float = 36


def front_figure(
    scored: np.ndarray,
    front: np.ndarray,
    names: Sequence[str],
    confirmed: np.ndarray | None = None,
    lost: np.ndarray | None = None,
    units: str = PEOPLE,
) -> Figure:
    """Scored networks (n, 2+) and on top the front (m, 2+), by inherited weights; the first two objectives are drawn.

    On held-out `units`: `confirmed` (k, 2, 3) are value, low and high of the networks on the front there, and `lost`
    those of the networks that were on the search's front only; an end that is nan is left out.
    """
    over = f", over {', '.join(names)}" if scored.shape[1] > 2 else ""
    by_search = f"{'front of the search' if confirmed is not None else 'front'} (n = {len(front)}{over})"
    series = [Series(by_search, front[:, :2], YELLOW, "o", hollow=True, stepped=scored.shape[1] == 2)]
    for values, name, colour, marker in (
        (confirmed, f"front on held-out {units}, 95 % intervals", BLUE, "s"),
        (lost, "of the search's front, not on that one", ORANGE, "x"),
    ):
        if values is not None and len(values):
            series.append(Series(f"{name} (n = {len(values)})", values[:, :, 0], colour, marker, values[:, :, 1:]))
    return scatter_figure(series, (f"{names[0]} (inherited weights)", names[1]), scored[:, :2])


@rc_context(STYLE)
def scatter_figure(series: Sequence[Series], names: Sequence[str], scored: np.ndarray | None = None) -> Figure:
    """Points with error bars by series, in front of `scored` networks (n, 2), most of which lie inside; the legend
    counts the rest. `names` are those of the axes."""
    figure, axes = _figure(5.2, 4.6)
    cloud = np.empty((0, 2)) if scored is None else scored
    limits = np.array([_limits([each for each in series if len(each.points)], cloud, axis) for axis in (0, 1)])
    if scored is not None:
        inside = ((cloud >= limits[:, 0]) & (cloud <= limits[:, 1])).all(axis=1)
        outside = f", {np.sum(~inside):,} outside" if not inside.all() else ""
        _scatter(axes, Series(f"scored networks (n = {len(cloud):,}{outside})", cloud[inside], GREY, size=12))
    for each in series:
        _scatter(axes, each)
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.set(xlabel=f"{names[0]}, lower is better", ylabel=f"{names[1]}, lower is better")
    figure.legend(loc="outside lower left")
    return figure


@rc_context(STYLE)
def tau_figure(measures: Mapping[str, Bars]) -> Figure:
    """Kendall's tau of what ranks networks, with intervals, for every measure by name."""
    rows = [len(bars) for bars in measures.values()]
    figure = Figure(figsize=(5.2, 0.9 + sum(0.5 + 0.24 * n for n in rows)), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=rows)[:, 0]
    for of_measure, (name, bars) in zip(axes, measures.items(), strict=True):
        _draw_taus(of_measure, bars)
        of_measure.set_title(name, loc="left", fontweight="bold")
    low, high = axes[-1].get_xlim()
    axes[-1].set(xlabel="Kendall's tau with 95 % intervals", xlim=(min(low, -0.1), max(high, 1.05)))
    return figure


@rc_context(STYLE)
def ranking_figure(panels: Sequence[tuple]) -> Figure:
    """A scatter a measure, and below it tau with its intervals.

    A panel is (inherited scores (n,), mean standalone scores (n,), their standard error (n,), the names of both axes,
    a title, `Bars`).
    """
    figure = Figure(figsize=(5.2 * len(panels), 6.6), layout="constrained")
    rows = figure.subplots(2, len(panels), squeeze=False, height_ratios=(2.4, 1))
    for (scatter, below), (inherited, standalone, error, names, title, bars) in zip(rows.T, panels, strict=True):
        scatter.errorbar(
            inherited, standalone, yerr=np.nan_to_num(error), fmt="o", color=BLUE, ecolor=GREY, ms=5, capsize=2
        )
        scatter.set(xlabel=names[0], ylabel=names[1], title=title)
        _draw_taus(below, bars)
        below.set_xlabel("Kendall's tau with the truth, 95 % interval over networks")
    return figure


@rc_context(STYLE)
def cmc_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Cumulative match characteristics by name: the share of probes with a rank below k, for k = 1, 2, ..."""
    figure, axes = _figure(6, 4.5)
    for (name, curve), style in zip(curves.items(), _styles(), strict=False):
        axes.plot(np.arange(1, len(curve) + 1), curve, label=name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="k", ylabel="share of probes whose person is among the k nearest")
    axes.legend()
    return figure


@rc_context(STYLE)
def det_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Detection error trade-off by name: false match rate against false non-match rate, both logarithmic."""
    figure, axes = _figure(6, 4.5)
    for (name, (fmr, fnmr)), style in zip(curves.items(), _styles(), strict=False):
        drawn = (fmr > 0) & (fnmr > 0)
        axes.plot(fmr[drawn], fnmr[drawn], label=name, **style)
    if any(len(line.get_xdata()) for line in axes.lines):
        # Without an error of either kind there is nothing to draw, and no logarithm of it.
        axes.loglog()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter("")
    axes.set_xlabel("false match rate (share of impostor pairs accepted)")
    axes.set_ylabel("false non-match rate (share of genuine pairs rejected)")
    axes.legend()
    return figure


@rc_context(STYLE)
def bars_figure(numbers: Mapping[str, Number], title: str) -> Figure:
    """Bars of numbers by name with their intervals; what has no value is left empty."""
    figure, axes = _figure(max(4.0, 1.2 * len(numbers)), 4.2)
    for place, number in enumerate(numbers.values()):
        axes.bar(place, number.value or 0.0, width=0.6, color=GREY if place == 0 else BLUE)
        if number.interval and number.interval.low is not None:
            axes.vlines(place, number.interval.low, number.interval.high, color=BLACK)
    axes.grid(False, axis="x")
    axes.set_xticks(range(len(numbers)), list(numbers), rotation=20)
    axes.set_ylabel(title)
    return figure


def panels(count: int, below: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, two a row, with room of `below` inches under them."""
    columns = min(2, max(1, count))
    rows = max(1, -(-count // columns))
    figure = Figure(figsize=(5.2 * columns, 4.2 * rows + below), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for empty in axes[count:]:
        empty.set_axis_off()
    return figure, axes[:count]


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, all of it or nothing."""
    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)


def svg(figure: Figure, title: str) -> str:
    """A figure as SVG that says in its `title` what there is to see: the same text for the same figure, text as text,
    no date, and nothing that is fetched from elsewhere."""
    text = io.StringIO()
    about = {"Title": title, "Date": None, "Creator": None, "Format": None, "Type": None}
    with rc_context({"svg.hashsalt": "dualfair", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata=about)
    return text.getvalue()


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _scatter(axes: Axes, series: Series) -> None:
    x, y = series.points.T
    if series.stepped:
        order = np.argsort(x)
        axes.step(x[order], y[order], where="post", color=series.colour, lw=1)
    if series.ends is not None and len(x):
        (left, right), (low, high) = series.ends.transpose(1, 2, 0)
        axes.hlines(y, left, right, color=series.colour, lw=1, alpha=0.7)
        axes.vlines(x, low, high, color=series.colour, lw=1, alpha=0.7)
    look = {"facecolor": "none", "edgecolor": series.colour} if series.hollow else {"color": series.colour}
    axes.scatter(x, y, s=series.size, marker=series.marker, label=series.name, zorder=3, linewidth=1.5, **look)
    for label, place in zip(series.labels, series.points, strict=False):
        if not np.isfinite(place).all():
            continue
        axes.annotate(label, place, xytext=(5, 4), textcoords="offset points", fontsize=8)


def _limits(series: Sequence[Series], cloud: np.ndarray, axis: int) -> tuple[float, float]:
    """The range of an axis that holds all points of series with their ends, and CLOUD of the cloud."""
    parts = [np.sort(cloud[:, axis])[: max(1, round(CLOUD * len(cloud)))]]
    for each in series:
        parts += [each.points[:, axis], *([] if each.ends is None else [each.ends[:, axis].ravel()])]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    room = ROOM * (high - low) if high > low else abs(high) * 0.5 or 1.0
    return float(low - room), float(high + room)


def _draw_taus(axes: Axes, bars: Bars) -> None:
    """A row for everything that ranks, the first at the top: a circle for ours, a diamond for the ceiling, else a
    square."""
    for place, (name, (tau, interval)) in enumerate(bars.items()):
        ours = (BLUE, "o") if place == 0 else (BLACK, "D") if name.startswith(CEILING) else (GREY, "s")
        if interval:
            axes.hlines(place, *interval, color=ours[0], lw=1.5)
        axes.plot(tau, place, color=ours[0], marker=ours[1], ms=6)
        axes.annotate(f"{tau:.2f}", (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    axes.axvline(0, color=BLACK, lw=0.8, ls="--")
    axes.grid(False, axis="y")
    axes.set_yticks(range(len(bars)), list(bars))
    axes.set_ylim(max(len(bars), 1) - 0.5, -0.5)


def _styles() -> Iterator[dict[str, object]]:
    """Endless line styles that differ in colour and in dash: grey for everyone comes first."""
    dashes = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
    for colour, dash in zip(cycle((GREY, BLUE, ORANGE, GREEN, PURPLE, YELLOW)), cycle(dashes), strict=False):
        yield {"color": colour, "linestyle": dash}
