"""Figures as PNG files: fronts, ranking studies, and curves and bars of groups; colours for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualfair.supernet.files import replacing

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


def front_figure(
    path: Path, scored: np.ndarray, front: np.ndarray, names: Sequence[str], confirmed: np.ndarray | None = None
) -> None:
    """All scored subnets (n, 2+) in grey and the front (m, 2+) on top; the first two objectives are drawn.

    `confirmed` (k, 2, 3) are the networks that stay on the front on fresh people: value, low and high of the first two
    objectives there, drawn with their intervals; an end that is nan is left out.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(scored[:, 0], scored[:, 1], s=14, color=GREY, label=f"scored subnets (n = {len(scored)})")
    order = np.argsort(front[:, 0])
    label = f"{'front' if confirmed is None else 'front of the search'} (n = {len(front)})"
    if scored.shape[1] == 2:
        axes.step(front[order, 0], front[order, 1], where="post", color=BLUE, lw=1)
    else:
        label += f" over {', '.join(names)}"
    axes.scatter(front[order, 0], front[order, 1], s=34, color=BLUE, label=label, zorder=3)
    if confirmed is not None and len(confirmed):
        (x, left, right), (y, low, high) = confirmed.transpose(1, 2, 0)
        axes.hlines(y, left, right, color=ORANGE, lw=1)
        axes.vlines(x, low, high, color=ORANGE, lw=1)
        label = f"confirmed on fresh people, 95 % intervals (n = {len(confirmed)})"
        axes.scatter(x, y, s=34, marker="D", color=ORANGE, label=label, zorder=4)
    axes.set_xlabel(f"{names[0]} (inherited weights)")
    axes.set_ylabel(f"{names[1]} (inherited weights)")
    axes.legend()
    save(figure, path)


def ranking_figure(path: Path, panels: Sequence[tuple]) -> None:
    """A scatter a measure, and below it bars of tau with their intervals.

    A panel is (inherited scores (n,), mean standalone scores (n,), their standard error (n,), the names of both axes,
    a title, bars): bars are {name: (tau, interval or None)}, the first of them ours.
    """
    figure = Figure(figsize=(5.2 * len(panels), 6.6), layout="constrained")
    rows = figure.subplots(2, len(panels), squeeze=False, height_ratios=(2.4, 1))
    for (scatter, below), (inherited, standalone, error, names, title, bars) in zip(rows.T, panels, strict=True):
        scatter.errorbar(
            inherited, standalone, yerr=np.nan_to_num(error), fmt="o", color=BLUE, ecolor=GREY, ms=5, capsize=2
        )
        scatter.set_xlabel(names[0])
        scatter.set_ylabel(names[1])
        scatter.set_title(title, fontsize=10)
        for place, (tau, interval) in enumerate(bars.values()):
            below.barh(place, tau, color=BLUE if place == 0 else GREY)
            if interval:
                below.hlines(place, *interval, color="black")
        below.axvline(0, color="black", lw=0.8)
        below.set_yticks(range(len(bars)), list(bars))
        below.invert_yaxis()
        below.set_xlabel("Kendall's tau with the truth, 95 % interval over networks")
    save(figure, path)


def cmc_figure(path: Path, curves: Mapping[str, Sequence[float]]) -> None:
    """Cumulative match characteristics by name: the share of probes with a rank below k, for k = 1, 2, ..."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, curve), style in zip(curves.items(), _styles(), strict=False):
        axes.plot(np.arange(1, len(curve) + 1), curve, label=name, **style)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("k")
    axes.set_ylabel("share of probes whose person is among the k nearest")
    axes.legend()
    save(figure, path)


def det_figure(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Detection error trade-off by name: false match rate against false non-match rate, both logarithmic."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for (name, (fmr, fnmr)), style in zip(curves.items(), _styles(), strict=False):
        drawn = (fmr > 0) & (fnmr > 0)
        axes.plot(fmr[drawn], fnmr[drawn], label=name, **style)
    if any(len(line.get_xdata()) for line in axes.lines):
        # Without an error of either kind there is nothing to draw, and no logarithm of it.
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("false match rate (share of impostor pairs accepted)")
    axes.set_ylabel("false non-match rate (share of genuine pairs rejected)")
    axes.legend()
    save(figure, path)


def bars_figure(path: Path, numbers: Mapping[str, Mapping], title: str) -> None:
    """Bars of {"value", "n", "interval"} by name with their intervals; what has no value is left empty."""
    figure = Figure(figsize=(max(4.0, 1.2 * len(numbers)), 4.2), layout="constrained")
    axes = figure.add_subplot()
    for place, number in enumerate(numbers.values()):
        value, interval = number["value"], number.get("interval")
        axes.bar(place, value or 0.0, color=GREY if place == 0 else BLUE)
        if interval and interval["low"] is not None:
            axes.vlines(place, interval["low"], interval["high"], color="black")
    axes.set_xticks(range(len(numbers)), list(numbers), rotation=20)
    axes.set_ylabel(title)
    save(figure, path)


def _styles() -> Iterator[dict[str, str]]:
    """Endless line styles that differ in dash and, where colours last, in colour: grey for everyone comes first."""
    for dash in cycle(("-", "--", ":", "-.")):
        for colour in (GREY, BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00"):
            yield {"color": colour, "linestyle": dash}


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
