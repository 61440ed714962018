"""The share of the best front's hypervolume that both methods reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dualfair.presentation.figures import BLUE, ORANGE, save


def draw(path: Path, evaluations: Sequence[int], shares: Mapping[str, np.ndarray], best: str) -> None:
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
    save(figure, path)
