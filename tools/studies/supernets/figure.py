"""Mean tau of every variant, with what its supernets have alone."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from dualfair.presentation.figures import BLUE, GREY, ORANGE, save


def draw(path: Path, study: Mapping) -> None:
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
    save(figure, path)
