"""The figures of a run, from its data: what is drawn, and what there is to see in words."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from dualfair.presentation.figures import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    Series,
    front_figure,
    scatter_figure,
    tau_figure,
    trace_figure,
    usage_figure,
)
from dualfair.presentation.format import number, spoken
from dualfair.presentation.network import network_figure
from dualfair.presentation.table import Table

STYLES = {
    "front": ("on the front", BLUE, "o"),
    "even": ("evenly spaced controls", ORANGE, "s"),
    "random": ("random networks", GREY, "X"),
    "shelf": ("networks from a shelf", PURPLE, "^"),
    "named": ("named by hand", GREEN, "D"),
}
"""Why a network was trained, in words, and how it is drawn; a network of several samples counts as the first."""
MOST_LABELS = 40
"""Up to so many networks their rows of the table stand beside them."""

Picture = tuple[Figure, str]
"""A figure, and in words what there is to see."""


def search_picture(run: Mapping) -> Picture:
    """Search scores of all networks, the front by them, and both fronts on fresh people; the first two objectives."""
    front = run["front"]
    names = [spoken(name) for name in front["objectives"]]
    rows = front["front"].records()
    searched = [row for row in rows if "search" in row["is on the"]]
    held = [row for row in rows if "fresh" in row["is on the"]]
    lost = [row for row in rows if "fresh" not in row["is on the"]]
    fresh = front["confirmation"] is not None
    scored = _finite(_values(front["scored"].records(), names))
    figure = front_figure(
        scored,
        _finite(_values(searched, [f"{name}, search" for name in names])),
        names,
        _intervals(held, names) if fresh else None,
        _intervals(lost, names) if fresh else None,
        {name: value for name, value in front["baselines"].items() if value is not None},
    )
    return figure, f"{names[0]} against {names[1]} of {len(scored)} scored networks and {len(rows)} on the fronts"


def trained_picture(run: Mapping) -> Picture:
    """Networks trained from scratch on test people, with standard errors over seeds, numbered as in their table.

    The axes are the first two objectives on images; the second is multiply-accumulates where there is one only.
    """
    axes = [*run["objectives"][:2], "macs"][:2]
    by_style: dict[str, list[tuple[int, Mapping]]] = {}
    for place, network in enumerate(run["networks"], 1):
        sample = next((name for name in STYLES if name in network["samples"]), "named")
        by_style.setdefault(sample, []).append((place, network))
    chosen = {choice["genotype"] for choice in run["choice"]["chosen"][:1]}
    # Retraining takes the front on fresh people where there is one, and the search's own else.
    on = " on fresh people" if run["front"] and run["front"]["confirmation"] else " of the search"
    series = []
    first = [network for network in run["networks"] if network["genotype"] in chosen]
    series.append(Series("first choice", _on_test(first, axes, "mean"), BLACK, "o", hollow=True, size=150))
    for name, (words, colour, marker) in STYLES.items():
        if name in by_style:
            places, networks = zip(*by_style[name], strict=True)
            title = f"{words}{on if name == 'front' else ''} (n = {len(networks)})"
            labels = [str(place) for place in places] if len(run["networks"]) <= MOST_LABELS else ()
            means, errors = (_on_test(networks, axes, part) for part in ("mean", "se"))
            ends = means[:, :, None] + errors[:, :, None] * np.array([-1.0, 1.0])
            series.append(Series(title, means, colour, marker, ends, labels))
    names = [f"{spoken(axes[0])}, test people", "MACs" if axes[1] == "macs" else f"{spoken(axes[1])}, test people"]
    alt = f"{names[0]} against {names[1]} of {len(run['networks'])} networks trained from scratch"
    return scatter_figure(series, names), alt


def trace_picture(trace: Table) -> Picture:
    """Hypervolume of the search over its evaluations."""
    rows = [(row["evaluations"], value) for row in trace.records() if (value := number(row["hypervolume"])) is not None]
    evaluations, values = zip(*rows, strict=True) if rows else ((), ())
    end = f", {values[-1]:.4g} at the end" if values else ""
    return trace_figure(evaluations, values), f"Hypervolume after {len(rows)} numbers of networks scored{end}"


def usage_picture(usage: Table) -> Picture:
    """How many networks use each choice at each place; the digit before a choice stands for it in a genotype."""
    records = usage.records()
    places = list(dict.fromkeys(row["place"] for row in records))
    choices = {
        row["choice"]: row["choice"] if row["code"] is None else f"{row['code']} {row['choice']}" for row in records
    }
    counts, expected = np.full((2, len(places), len(choices)), np.nan)
    names = list(choices)
    for row in records:
        at = places.index(row["place"]), names.index(row["choice"])
        counts[at], expected[at] = row["networks"], row["expected"]
    alt = f"How many of {records[0]['of']} networks use each of {len(names)} choices at {len(places)} places"
    return usage_figure(places, list(choices.values()), counts, expected), alt


def tau_picture(baselines: Table) -> Picture:
    """Kendall's tau of everything that ranks the networks, by measure."""
    measures = {}
    for name, rows in itertools.groupby(baselines.records(), lambda row: row["measure"]):
        measures[spoken(name)] = {
            spoken(row["ranked by"]): (
                row["tau"],
                None if row["tau low"] is None else (row["tau low"], row["tau high"]),
            )
            for row in rows
            if row["tau"] is not None
        }
    return tau_figure(measures), "Kendall's tau of inherited scores and of baselines, with intervals"


def network_picture(architecture: Mapping) -> Picture:
    """A network from its picture to its embedding."""
    names = " ".join(operation["name"] for block in architecture["blocks"] for operation in block["operations"])
    blocks = f"{len(architecture['blocks'])} blocks with the operations {names}" if names else "no searched blocks"
    return network_figure(architecture), f"Drawing of network {architecture['genotype']}: {blocks}"


def _values(rows: Sequence[Mapping], columns: Sequence[str]) -> np.ndarray:
    """Columns of some rows, (rows, columns), nan where there is no finite number."""
    values = np.array([[number(row.get(column)) for column in columns] for row in rows], dtype=float)
    values = values.reshape(len(rows), len(columns))
    return np.where(np.isfinite(values), values, np.nan)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values).all(axis=1)]


def _intervals(rows: Sequence[Mapping], names: Sequence[str]) -> np.ndarray:
    """Fresh values of two objectives with their ends, (rows, 2, 3), of the rows that have both values."""
    columns = [f"{name}, fresh people{end}" for name in names[:2] for end in ("", " low", " high")]
    values = _values(rows, columns).reshape(len(rows), 2, 3)
    return values[np.isfinite(values[:, :, 0]).all(axis=1)]


def _on_test(networks: Sequence[Mapping], axes: Sequence[str], part: str) -> np.ndarray:
    """Means or standard errors, "mean" or "se", of networks on test people, (networks, 2); nan where there are none."""
    measures = [{**network["test"], "macs": {"mean": network["macs"], "se": None}} for network in networks]
    return _values([{axis: of_network[axis][part] for axis in axes} for of_network in measures], axes)
