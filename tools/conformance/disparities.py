"""What a disparity has to be, whoever wrote it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np


def check_disparity(disparity: Callable[[np.ndarray, np.ndarray], float]) -> list[str]:
    """Faults of a disparity `f(values, groups) -> float`; `values` are ranks, or right and wrong where it says so.

    It must give a finite number of one probe a person or a thousand, of two groups or five, of any labels; the same for
    the same probes in another order or under other names of the groups; it must not change its arguments; and it must
    be smallest, or as small, where all groups fare alike.
    """
    rng = np.random.default_rng(0)
    correct = getattr(disparity, "values", "ranks") == "correct"
    faults = []
    for groups, probes in ((2, 40), (2, 1000), (5, 300)):
        labels = np.array([f"group {name}" for name in rng.permutation(groups)])[np.arange(probes) % groups]
        drawn = rng.integers(0, 2 if correct else 50, probes).astype(float)
        try:
            # Faults are told in sentences; numpy's warnings would only stand before them.
            with warnings.catch_warnings(action="ignore"):
                faults += _faults_of_disparity(disparity, drawn, labels, rng)
        except Exception as error:
            faults.append(f"it raises {type(error).__name__}: {error} for {probes} probes of {groups} groups")
        if faults:
            return faults
    return faults


def _faults_of_disparity(disparity: Callable, values: np.ndarray, groups: np.ndarray, rng) -> Iterator[str]:
    about = f"for {len(values)} probes of {len(set(groups.tolist()))} groups"
    before = values.copy(), groups.copy()
    given = disparity(values, groups)
    if not (np.array_equal(values, before[0]) and np.array_equal(groups, before[1])):
        yield "it changes the arrays that it is given; work on copies"
        return
    if not isinstance(given, (int, float, np.number)) or not math.isfinite(given):
        yield f"it returns {given!r} {about}, which have names of their own; return a finite float whatever the names"
        return
    again = disparity(values, groups)
    if again != given:
        yield f"it returns {given!r} {about}, and {again!r} when asked again"
    order = rng.permutation(len(values))
    shuffled = disparity(values[order], groups[order])
    if not math.isclose(shuffled, given, rel_tol=1e-9, abs_tol=1e-12):
        yield f"it depends on the order of the probes: {given:.6g} and {shuffled:.6g} {about}"
    renamed = disparity(values, np.char.add("z", groups))
    if not math.isclose(renamed, given, rel_tol=1e-9, abs_tol=1e-12):
        yield f"it depends on the names of the groups: {given:.6g}, and {renamed:.6g} with a letter in front of each"
    names = np.unique(groups)
    counts = min(np.count_nonzero(groups == name) for name in names)
    alike = np.concatenate([np.sort(values)[:counts]] * len(names))
    fair = disparity(alike, np.repeat(names, counts))
    worst = values.min() if getattr(disparity, "values", "ranks") == "correct" else values.max()
    unfair = disparity(np.where(groups == names[0], worst, values), groups)
    if not fair <= unfair:
        yield f"it is {fair + 0.0:.6g} where all groups fare alike, {unfair:.6g} where one fares worse; less is better"
