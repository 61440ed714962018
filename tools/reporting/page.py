"""The report as one HTML page that needs no other file, and the figures that are drawn for it."""

import operator
from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from dualfair.evaluation.over_seeds import SeedMean, TrainedNetwork
from dualfair.planning.options import STUDY_WATTS
from dualfair.presentation import format as formats
from dualfair.presentation.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Series,
    scatter_figure,
    svg,
    tau_figure,
)
from dualfair.presentation.network import network_figure, network_title
from dualfair.presentation.table import Table
from dualfair.reporting.answer import Answer
from dualfair.reporting.architecture import architecture
from dualfair.reporting.run import RunReport
from dualfair.reporting.tables import RankedSample
from dualfair.runs.training_spec import TrainingSpec
from dualfair.stages.ranking_output import bars_of
from dualfair.stages.recommendation import Choice
from dualfair.supernet.genotype import Genotype

STYLES = {
    "front": ("on the front", BLUE, "o"),
    "even": ("evenly spaced controls", ORANGE, "s"),
    "random": ("random networks", GREY, "X"),
    "shelf": ("networks from a shelf", PURPLE, "^"),
    "named": ("named by hand", GREEN, "D"),
}
"""Why a network was trained, in words, and how it is drawn; a network of several samples counts as the first."""
LONG, FOLDED = 40, 12
"""Letters from which on a cell of text may break over lines, and rows from which on a table is to be opened."""
MOST_LABELS = 40
"""Up to so many networks their rows of the table stand beside them."""


def page(runs: Sequence[tuple[RunReport, Answer]], comparison: Table | None = None) -> str:
    """The page of some runs with their answers; several of them stand side by side in a `comparison`."""
    return environment().get_template("report.html").render(runs=runs, comparison=comparison)


def environment() -> Environment:
    """What renders the templates; whatever text comes in is escaped."""
    loader = PackageLoader("dualfair.reporting")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals |= {"FRONT": formats.FRONT, "SUPERNET": formats.SUPERNET, "STUDY_WATTS": STUDY_WATTS}
    made.globals |= {"LONG": LONG, "FOLDED": FOLDED, "counted": formats.counted, "singular": formats.singular}
    made.globals |= {"drawings": drawings, "tau_picture": tau_picture, "trained_picture": trained_picture}
    made.filters |= {name: getattr(formats, name) for name in ("capital", "decimals", "listed", "spoken", "whole")}
    made.filters["drawn"] = lambda figure, alt: embedded(svg(figure, alt).encode(), "svg+xml")
    made.filters["png"] = lambda picture: embedded(picture, "png")
    made.tests["contains"] = operator.contains
    return made


def embedded(picture: bytes, kind: str) -> str:
    """A picture of a kind, "png" or "svg+xml", as the address of an image that needs no file."""
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def trained_picture(run: RunReport) -> tuple[Figure, str]:
    """Networks trained by themselves on test people, with standard errors over seeds, numbered as in their table; and
    what there is to see in words.

    The axes are the first two objectives on images; the second is multiply-accumulates where there is one only.
    """
    axes = [*run.objectives[:2], "macs"][:2]
    by_style: dict[str, list[tuple[int, TrainedNetwork]]] = {}
    for place, network in enumerate(run.networks, 1):
        sample = next((name for name in STYLES if name in network.samples), "named")
        by_style.setdefault(sample, []).append((place, network))
    # Retraining takes the front on fresh people where there is one, and the search's own else.
    on = f" on fresh {run.units}" if run.front and run.front.confirmation else " of the search"
    first = [run.network(choice.label) for choice in run.choice.chosen[:1]]
    series = [Series("first choice", _on_test(first, axes)[:, :, 0], BLACK, "o", hollow=True, size=150)]
    for name, (words, colour, marker) in STYLES.items():
        if name in by_style:
            places, networks = zip(*by_style[name], strict=True)
            title = f"{words}{on if name == 'front' else ''} (n = {len(networks)})"
            labels = [str(place) for place in places] if len(run.networks) <= MOST_LABELS else ()
            values = _on_test(networks, axes)
            series.append(Series(title, values[:, :, 0], colour, marker, values[:, :, 1:], labels))
    names = ["MACs" if axis == "macs" else f"{formats.spoken(axis)}, test {run.units}" for axis in axes]
    alt = f"{' against '.join(names)} of {formats.counted(len(run.networks), 'network')} trained by themselves"
    return scatter_figure(series, names), alt


def tau_picture(study: RankedSample) -> Figure:
    """Kendall's tau of what ranks the networks of a study, by measure."""
    return tau_figure({formats.spoken(name): bars for name, of in study.measures.items() if (bars := bars_of(of))})


def drawings(run: RunReport) -> list[tuple[Figure, str, Choice]]:
    """Drawings of the choices that are networks of the run's skeleton: (figure, what there is to see, choice)."""
    drawn = []
    for choice in run.choice.chosen:
        network = TrainingSpec.of_label(choice.label).network
        if run.setting.skeleton is not None and isinstance(network, Genotype):
            try:
                described = architecture(network, run.setting.skeleton)
            except ValueError:
                # A genotype of another skeleton.
                continue
            drawn.append((network_figure(described), network_title(described), choice))
    return drawn


def _on_test(networks: Sequence[TrainedNetwork], axes: Sequence[str]) -> np.ndarray:
    """Means of networks on test people and the ends of their standard errors, (networks, 2, 3); nan where unknown."""
    values = np.full((len(networks), 2, 3), np.nan)
    for row, network in zip(values, networks, strict=True):
        measures = {**network.test, "macs": SeedMean((), network.macs, None)}
        for place, mean in zip(row, (measures[axis] for axis in axes), strict=True):
            if mean.mean is not None and np.isfinite(mean.mean):
                error = np.nan if mean.standard_error is None else mean.standard_error
                place[:] = mean.mean, mean.mean - error, mean.mean + error
    return values
