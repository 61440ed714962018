"""Figures as PNG files: fronts, ranking studies, and curves and bars of groups; colours for the colour-blind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
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
    _save(figure, path)


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
    _save(figure, path)


def hypervolume_figure(path: Path, evaluations: Sequence[int], shares: Mapping[str, np.ndarray], best: str) -> None:
    """Shares of the best front's hypervolume (seeds, evaluations) by method: median and quartiles over seeds.

    `best` names the best front, whose share is 1, for its line.
    """
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1.0, color="black", lw=1, label=best)
    looks = zip((BLUE, ORANGE), ("-", "--"), ("o", "s"), ("//", ""), strict=True)
    for (method, values), (colour, dash, marker, hatch) in zip(shares.items(), looks, strict=True):
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(evaluations, low, high, facecolor=colour, edgecolor=colour, alpha=0.25, hatch=hatch, lw=0)
        label = f"{method}: median and quartiles of {len(values)} seeds"
        axes.plot(evaluations, median, color=colour, linestyle=dash, marker=marker, ms=4, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("networks evaluated")
    axes.set_ylabel("share of the best front's hypervolume")
    axes.legend(loc="lower right")
    _save(figure, path)


def study_figure(path: Path, study: Mapping) -> None:
    """A study of supernets on test people: a panel a measure, a row a variant or baseline with mean tau and interval,
    a cross for every supernet, and a line at the most that the truth's noise allows."""
    truth, rows = study["truth"]["test"], {**study["variants"], **study["baselines"]}
    figure = Figure(figsize=(1.6 + 2.4 * len(truth), 1.6 + 0.34 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(truth), sharey=True, sharex=True, squeeze=False)[0]
    for axes, measure in zip(panels, truth, strict=True):
        for place, (name, splits) in enumerate(rows.items()):
            cell, colour = splits["test"][measure], BLUE if name in study["variants"] else GREY
            if cell["mean"] is None:
                continue
            low, high = cell["interval"] or (cell["mean"], cell["mean"])
            axes.plot([low, high], [place, place], color=colour, lw=1.5)
            axes.plot(cell["mean"], place, "o", color=colour, ms=5)
            single = [tau for tau in cell["taus"] if tau is not None]
            axes.plot(single, [place] * len(single), "x", color=ORANGE, ms=5)
        axes.axvline(0, color=GREY, lw=0.8)
        if truth[measure]["ceiling"]["tau"] is not None:
            axes.axvline(truth[measure]["ceiling"]["tau"], color="black", lw=0.8, ls="--")
        axes.set_title(measure.replace("_", " "), fontsize=9)
        axes.set_xlabel("Kendall's tau", fontsize=8)
    panels[0].set_yticks(range(len(rows)), rows)
    panels[0].invert_yaxis()
    _save(figure, path)


def shelf_figure(path: Path, networks: Sequence[Mapping], fronts: Mapping[str, set[str]]) -> None:
    """Error against every disparity of `fronts` on test people, a panel each: mean and standard error over seeds.

    Searched networks are filled circles, backbones open squares. `fronts` names the networks of a panel's front: they
    are joined by a line and numbered, and the numbers are explained below.
    """
    columns = min(2, max(1, len(fronts)))
    rows = -(-len(fronts) // columns)
    numbers = {label: str(n) for n, label in enumerate(sorted(set().union(*fronts.values())), 1)}
    figure = Figure(figsize=(5.2 * columns, 4.2 * rows + 0.5 + 0.17 * len(numbers)), layout="constrained")
    looks = {"ours": (BLUE, "o", BLUE, "searched networks"), "shelf": (ORANGE, "s", "white", "backbones of timm")}
    panels = figure.subplots(max(rows, 1), columns, squeeze=False).flatten()
    for axes in panels[len(fronts) :]:
        axes.set_axis_off()
    for axes, (measure, front) in zip(panels, fronts.items(), strict=False):
        seen = [n for n in networks if None not in (n["test"]["error"]["mean"], n["test"][measure]["mean"])]
        on_front = []
        for of, (colour, marker, fill, name) in looks.items():
            of_side = [network for network in seen if network["of"] == of]
            (x, dx), (y, dy) = (
                np.array([[n["test"][m]["mean"], n["test"][m]["standard error"] or 0.0] for n in of_side])
                .reshape(-1, 2)
                .T
                for m in ("error", measure)
            )
            label = f"{name} (n = {len(of_side)})"
            bars = {"fmt": marker, "color": colour, "mfc": fill, "ms": 6, "elinewidth": 0.8, "capsize": 2}
            axes.errorbar(x, y, xerr=dx, yerr=dy, label=label, **bars)
            on_front += [
                (a, b, numbers[n["network"]]) for a, b, n in zip(x, y, of_side, strict=True) if n["network"] in front
            ]
        on_front.sort()
        axes.step([p[0] for p in on_front], [p[1] for p in on_front], where="post", color="black", lw=0.8, ls="--")
        for a, b, number in on_front:
            axes.annotate(number, (a, b), xytext=(5, 5), textcoords="offset points", fontsize=9, fontweight="bold")
        axes.set_xlabel("error, test people")
        axes.set_ylabel(f"{measure.replace('_', ' ')}, test people")
        axes.legend(fontsize=8)
    explained = "\n".join(f"{number}  {label}" for label, number in numbers.items())
    figure.supxlabel(
        f"bars: standard error over training seeds; dashed: front by the means\n{explained}",
        fontsize=8,
        x=0.02,
        ha="left",
    )
    _save(figure, path)


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
    _save(figure, path)


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
    _save(figure, path)


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
    _save(figure, path)


def _styles() -> Iterator[dict[str, str]]:
    """Endless line styles that differ in dash and, where colours last, in colour: grey for everyone comes first."""
    for dash in cycle(("-", "--", ":", "-.")):
        for colour in (GREY, BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00"):
            yield {"color": colour, "linestyle": dash}


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as file:
        FigureCanvasAgg(figure).print_png(file)
