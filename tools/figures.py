"""Figures as PNG files: the front of a search and the scatter of a ranking study, colour-blind safe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#999999"


def front_figure(path: Path, scored: np.ndarray, front: np.ndarray, names: Sequence[str]) -> None:
    """All scored subnets (n, 2+) in grey and the front (m, 2+) on top; the first two objectives are drawn."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(scored[:, 0], scored[:, 1], s=14, color=GREY, label=f"scored subnets (n = {len(scored)})")
    order = np.argsort(front[:, 0])
    label = f"front (n = {len(front)})"
    if scored.shape[1] == 2:
        axes.step(front[order, 0], front[order, 1], where="post", color=BLUE, lw=1)
    else:
        label += f" over {', '.join(names)}"
    axes.scatter(front[order, 0], front[order, 1], s=34, color=BLUE, label=label, zorder=3)
    axes.set_xlabel(f"{names[0]} (inherited weights)")
    axes.set_ylabel(f"{names[1]} (inherited weights)")
    axes.legend()
    _save(figure, path)


def ranking_figure(path: Path, panels: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray, str]]) -> None:
    """One scatter a panel: (measure, inherited (n,), standalone mean (n,), its standard error (n,), verdict)."""
    figure = Figure(figsize=(4.8 * len(panels), 4.4), layout="constrained")
    for number, (measure, cheap, truth, error, verdict) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.errorbar(cheap, truth, yerr=np.nan_to_num(error), fmt="o", color=BLUE, ecolor=GREY, ms=5, capsize=2)
        axes.set_xlabel(f"{measure}, inherited weights")
        axes.set_ylabel(f"{measure}, trained from scratch")
        axes.set_title(verdict, fontsize=10)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure).print_png(str(path))
