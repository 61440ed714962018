"""The share of the best front's hypervolume that both methods reach."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualfair.presentation.figures import BLUE, ORANGE, save
from dualfair.studies.compare.records import Comparison


def draw(path: Path, comparison: Comparison) -> None:
    """Shares of the best front's hypervolume over evaluations by method: median and quartiles over seeds."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(1.0, color="black", lw=1, label=comparison.best_front)
    looks = zip((BLUE, ORANGE), ("-", "--"), ("o", "s"), ("//", ""), strict=True)
    for (method, reached), (colour, dash, marker, hatch) in zip(comparison.methods.items(), looks, strict=True):
        low, median, high = np.quantile(reached.shares, (0.25, 0.5, 0.75), axis=0)
        at = comparison.evaluations
        axes.fill_between(at, low, high, facecolor=colour, edgecolor=colour, alpha=0.25, hatch=hatch, lw=0)
        label = f"{method}: median and quartiles of {len(comparison.seeds)} seeds"
        axes.plot(at, median, color=colour, linestyle=dash, marker=marker, ms=4, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("networks evaluated")
    axes.set_ylabel("share of the best front's hypervolume")
    axes.legend(loc="lower right")
    save(figure, path)
