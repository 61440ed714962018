"""The study of the shelf as lines of text and as a table. Needs neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Mapping

from dualfair.evolution.dominance import CANNOT_BE_TOLD, DOES_NOT, DOMINATES
from dualfair.runs.trainings import SPLITS
from dualfair.stages.search_output import aligned

TEST = SPLITS[1]


def table(report: Mapping) -> list[list]:
    """Rows of a CSV: every network with mean and standard error of every measure on both splits."""
    kinds = ("mean", "standard error")
    columns = [(split, name, kind) for split in SPLITS for name in report["measures"] for kind in kinds]
    rows: list[list] = [
        ["network", "of", "seeds", "params", "macs", *(f"{split} {name} {kind}" for split, name, kind in columns)]
    ]
    for network in report["networks"]:
        values = (network[split][name][kind] for split, name, kind in columns)
        about = (network["network"], network["of"], len(network["seeds"]), network["params"], network["macs"])
        rows.append(["" if value is None else value for value in (*about, *values)])
    return rows


def sentences(report: Mapping) -> list[str]:
    """The study as lines of text: networks, correlations, fronts, and what our front does to the shelf."""
    counts = {of: sum(network["of"] == of for network in report["networks"]) for of in ("ours", "shelf")}
    lines = [f"Shelf: {counts['ours']} searched networks and {counts['shelf']} backbones with a head, judged alike"]
    longer = sum(",epochs=" in network["network"] for network in report["networks"])
    if longer:
        lines.append(f"  attention: {longer} of them were trained for other numbers of epochs, as their names say")
    lines += aligned(_shown_rows(report))
    lines.append("n = training seeds; mean ± standard error over them, test people; sorted by test error")
    for split, by_measure in report["correlations"].items():
        for name, samples in by_measure.items():
            texts = [f"{sample} {_estimate(found)}" for sample, found in samples.items()]
            lines.append(f"  error and {_plain(name)}, {split} people, Spearman: {'; '.join(texts)}")
    for name, labels in report["fronts"][TEST].items():
        lines.append(f"  front of error and {_plain(name)}, test people: {', '.join(labels) or 'undefined'}")
    for place, (name, found) in enumerate(report["dominance"].items()):
        lines += _dominance(_plain(name), found, one_by_one=place == 0)
    if len(report["dominance"]) > 1:
        lines.append("  backbone by backbone for the other disparities: shelf.json")
    return lines + [f"  {text}" for text in report["damaged"]]


def _shown_rows(report: Mapping) -> list[list[str]]:
    rows = [["network", "of", "n", "params", "MACs", *(_plain(name) for name in report["measures"])]]
    for network in report["networks"]:
        cells = [_cell(network[TEST][name]) for name in report["measures"]]
        cost = (_millions(network["params"], 2), _millions(network["macs"], 1))
        rows.append([network["network"], network["of"], str(len(network["seeds"])), *cost, *cells])
    return rows


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f} M"


def _cell(found: Mapping) -> str:
    if found["mean"] is None:
        return "undefined"
    spread = found["standard error"]
    return f"{found['mean']:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def _estimate(found: Mapping) -> str:
    if found["value"] is None:
        return f"{found['reason']} (n = {found['n']})"
    interval = found["interval"]
    ends = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "without interval"
    return f"{found['value']:.2f} {ends} (n = {found['n']})"


def _dominance(name: str, found: Mapping | None, *, one_by_one: bool) -> list[str]:
    """What our front does to the shelf in error and one disparity, and to every backbone if wanted."""
    if found is None:
        return [f"  {name}: nothing to compare; there have to be trainings of ours and of backbones with finite values"]
    ours, theirs = found["fewest_seeds"]
    words = {
        DOMINATES: "dominates every backbone",
        DOES_NOT: "does not dominate every backbone",
        CANNOT_BE_TOLD: f"whether it dominates every backbone {CANNOT_BE_TOLD}",
    }
    counts = {verdict: sum(one["verdict"] == verdict for one in found["each"]) for verdict in words}
    volumes, interval = found["hypervolume"], found["interval"]
    ends = f"[{interval[0]:.3g}, {interval[1]:.3g}]" if interval else "without interval, a network was trained but once"
    lines = [
        f"  error and {name}: our front, chosen on validation people (n = {len(found['our front'])}), on test people: "
        f"{words[found['verdict']]} (probability {found['probability']:.2f}; at least {ours} seeds of ours, {theirs} "
        "of the shelf)",
        f"    of {len(found['each'])} backbones: dominated {counts[DOMINATES]}, not {counts[DOES_NOT]}, cannot be told "
        f"{counts[CANNOT_BE_TOLD]}; hypervolume ours {volumes[0]:.3g}, shelf {volumes[1]:.3g}, difference "
        f"{found['difference']:.3g} {ends}, ours larger in {found['ahead']:.0%} of resamples",
    ]
    each = found["each"] if one_by_one else ()
    lines += [
        f"    {one['network']}: {one['verdict']}, by some network of ours {one['probability']:.2f}, by {one['by']} "
        f"{one['probability_by']:.2f} (seeds {one['seeds'][1]} and {one['seeds'][0]})"
        for one in each
    ]
    if found["left out"]:
        lines.append(f"    left out, values not finite: {', '.join(found['left out'])}")
    return lines


def _plain(name: str) -> str:
    return name.replace("_", " ")
