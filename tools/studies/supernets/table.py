"""What a study of several supernets says: mean tau over them with its interval over networks, and differences.

Shape legend: n networks, S training seeds, K supernets, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dualfair.evaluation.statistics.ceiling import noise_ceiling, truth_ceiling
from dualfair.evaluation.statistics.kendall import taus
from dualfair.runs.trainings import SPLITS, Trained
from dualfair.supernet.files import write_csv

_CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Truth:
    """What the trainings of networks said, by split and measure: values (n, S) and those of two halves (n, S, 2)."""

    names: tuple[str, ...]
    values: Mapping[str, Mapping[str, np.ndarray]]
    halves: Mapping[str, Mapping[str, np.ndarray]]


def truth_of(trained: Trained) -> Truth:
    """Every measure of the trainings, on validation and on test people."""
    values, halves = {}, {}
    for split in SPLITS:
        verdicts = [[result[split] for result in results] for results in trained.results]
        measures = [*verdicts[0][0]["measures"]]
        values[split] = {
            name: np.array([[float(one["measures"][name]) for one in row] for row in verdicts]) for name in measures
        }
        halves[split] = {
            name: np.array([[[float(half[name]) for half in one["halves"]] for one in row] for row in verdicts])
            for name in measures
        }
    return Truth(tuple(map(str, trained.genotypes)), values, halves)


def study_of(
    scores: Mapping[str, Sequence[Mapping[str, np.ndarray]]], truth: Truth, *, resamples: int, seed: int = 0
) -> dict:
    """The study as a dictionary that JSON holds; `scores` are those of every variant by supernet and column, (n,).

    {"networks", "seeds", "supernets", "truth": {split: {measure: {"noise_ceiling", "ceiling"}}}, "variants": {name:
    {split: {measure: {"taus" of every supernet, "mean", "interval", "share" of the ceiling, "difference" to the first
    variant with "difference_interval"}}}}, "baselines": the same for params and macs, |tau| in the better direction}.
    Intervals are percentiles over networks, the same resamples everywhere, so that differences are paired. Supernets
    are few: their single values tell how much they differ. None where undefined.
    """
    n = len(truth.names)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    first = next(iter(scores))
    found: dict = {
        "networks": list(truth.names),
        "seeds": int(next(iter(truth.values[SPLITS[0]].values())).shape[1]),
        "supernets": {name: len(runs) for name, runs in scores.items()},
        "truth": {split: {m: _ceilings(truth, split, m, seed) for m in truth.values[split]} for split in SPLITS},
        "variants": {name: {} for name in scores},
        "baselines": {},
    }
    for split in SPLITS:
        for measure, values in truth.values[split].items():
            mean = values.mean(axis=1)
            ceiling = found["truth"][split][measure]["ceiling"]["tau"]
            base = _resampled([run[measure] for run in scores[first]], mean, counts)
            for name, runs in scores.items():
                own = _resampled([run[measure] for run in runs], mean, counts)
                cell = _cell(own, ceiling) | _difference(own, base, name == first)
                found["variants"][name].setdefault(split, {})[measure] = cell
            for name in ("params", "macs"):
                column = np.asarray(scores[first][0][name])
                direction = -1 if _resampled([column], mean, counts)[0][0] < 0 else 1
                own = _resampled([direction * column], mean, counts)
                cell = _cell(own, ceiling) | _difference(own, base, False)
                found["baselines"].setdefault(name, {}).setdefault(split, {})[measure] = cell
    return found


def lines_of(found: Mapping) -> list[str]:
    """The study on test people as lines of text, one a variant, then what may be concluded."""
    from dualfair.stages.search_output import aligned

    measures = [*found["truth"]["test"]]
    n, seeds = len(found["networks"]), found["seeds"]
    lines = [
        f"Study: {n} random networks, {seeds} trainings each; inherited scores on validation people against the mean "
        "of the trainings on test people. Kendall's tau, mean of the supernets [95 % over networks] (every supernet)"
    ]
    rows = [["", *(measure.replace("_", " ") for measure in measures)]]
    for name, splits in {**found["variants"], **found["baselines"]}.items():
        rows.append([name, *(_shown(splits["test"][measure]) for measure in measures)])
    ceilings = (found["truth"]["test"][measure] for measure in measures)
    rows.append(["most that the truth's noise allows", *(_two(of["ceiling"]["tau"]) for of in ceilings)])
    seeds_of_truth = (found["truth"]["test"][measure]["noise_ceiling"]["mean"] for measure in measures)
    rows.append(["between two trainings of the truth", *map(_two, seeds_of_truth)])
    return [*lines, *aligned(rows), *_better_or_worse(found, measures)]


def write_rows(path: Path, found: Mapping) -> None:
    """Write every tau of every supernet as study.csv."""
    rows: list[list[object]] = [["variant", "split", "measure", "supernet", "tau"]]
    for name, splits in found["variants"].items():
        for split, measures in splits.items():
            for measure, cell in measures.items():
                rows += [[name, split, measure, number, tau] for number, tau in enumerate(cell["taus"])]
    write_csv(path, rows)


def _ceilings(truth: Truth, split: str, measure: str, seed: int) -> dict:
    values = truth.values[split][measure]
    return {
        "noise_ceiling": noise_ceiling(values).to_dict(),
        "ceiling": truth_ceiling(values, truth.halves[split][measure], seed=seed).to_dict(),
    }


def _resampled(cheap: Sequence[np.ndarray], mean: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tau of each of K scores (n,) with the truth (n,): (K,), and means over them in every resample, (R,)."""
    everyone = np.ones((1, len(mean)))
    own = np.array([taus(scores, mean, everyone)[0] for scores in cheap])
    return own, np.mean([taus(scores, mean, counts) for scores in cheap], axis=0)


def _cell(own: tuple[np.ndarray, np.ndarray], ceiling: float | None) -> dict:
    values, resampled = own
    mean = _number(values.mean())
    return {
        "taus": [_number(tau) for tau in values],
        "mean": mean,
        "interval": _interval(resampled),
        "share": mean / ceiling if mean is not None and ceiling else None,
    }


def _difference(own: tuple[np.ndarray, np.ndarray], base: tuple[np.ndarray, np.ndarray], same: bool) -> dict:
    if same:
        return {"difference": None, "difference_interval": None}
    return {
        "difference": _number(own[0].mean() - base[0].mean()),
        "difference_interval": _interval(own[1] - base[1]),
    }


def _interval(resampled: np.ndarray) -> list[float] | None:
    known = resampled[np.isfinite(resampled)]
    if not len(known):
        return None
    return np.quantile(known, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2]).tolist()


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _better_or_worse(found: Mapping, measures: Iterable[str]) -> list[str]:
    """Variants whose difference to the first one has an interval without 0, and how many of the comparisons that is."""
    first = next(iter(found["variants"]))
    lines, compared = [], 0
    for name, splits in found["variants"].items():
        for measure in measures if name != first else ():
            compared += 1
            cell = splits["test"][measure]
            within = cell["difference_interval"]
            if within and (within[0] > 0 or within[1] < 0):
                word = "better" if within[0] > 0 else "worse"
                lines.append(
                    f"{name} ranks {measure.replace('_', ' ')} {word} than {first}: "
                    f"{cell['difference']:+.2f} [{within[0]:.2f}, {within[1]:.2f}]"
                )
    if compared:
        by_luck = f"of {compared} comparisons one in twenty would differ by luck"
        lines.append(
            f"No other difference to {first} is shown; {by_luck}" if lines else f"No difference is shown; {by_luck}"
        )
    return lines


def _shown(cell: Mapping) -> str:
    if cell["mean"] is None:
        return "undefined"
    within = cell["interval"]
    single = " (" + " ".join(_two(tau) for tau in cell["taus"]) + ")" if len(cell["taus"]) > 1 else ""
    return _two(cell["mean"]) + (f" [{within[0]:.2f}, {within[1]:.2f}]" if within else "") + single


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
