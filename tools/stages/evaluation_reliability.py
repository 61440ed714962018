"""`dualfair evaluate --reliability`: how far a measure tells networks apart, and what blurs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from dualfair.presentation.table import aligned
from dualfair.runs.watching import Say
from dualfair.supernet.files import write_json


def study_reliability(out: Path, subjects: Sequence, measures: Mapping[str, object], options, say: Say) -> None:
    """Say and write, as reliability.json, components of variance of the error and of every measure.

    Over networks, training seeds and disjoint galleries of `options.gallery` people. Raises ValueError for fewer than
    two networks, faces without groups, or no gallery size.
    """
    import numpy as np

    from dualfair.evaluation.statistics.reliability import gallery_agreement, measure_table, reliability

    by_network: dict[str, dict[int, object]] = {}
    for subject in subjects:
        by_network.setdefault(subject.name, {})[subject.seed] = subject
    if len(by_network) < 2:
        raise ValueError(f"--reliability compares networks and needs at least two, got {len(by_network)}")
    first = subjects[0]
    if first.groups is None:
        raise ValueError("--reliability needs groups; name a column with --group")
    if options.gallery == "all":
        raise ValueError("--reliability needs disjoint galleries; say how many identities each has with --gallery")
    seeds = sorted(set.intersection(*(set(of_seed) for of_seed in by_network.values())))
    embeddings = [[of_seed[seed].embeddings for seed in seeds] for of_seed in by_network.values()]
    table = measure_table(
        embeddings,
        first.identities,
        first.groups,
        measures,
        size=int(options.gallery),
        repeats=options.galleries,
        seed=options.seed,
    )
    report, rows = {}, [["measure", "network", "seed", "identities", "reliability", "tau", "for 0.8", "for 0.9"]]
    for name, values in table.items():
        if not np.isfinite(values).all():
            report[name] = {"undefined": "infinite or undefined in some gallery"}
            rows.append([name, *["undefined"] * 7])
            continue
        estimate, agreement = reliability(values), gallery_agreement(values)
        report[name] = {**estimate.to_dict(), "tau_between_galleries": asdict(agreement)}
        needed = [estimate.galleries_needed(target, len(seeds)) for target in (0.8, 0.9)]
        rows.append(
            [
                name,
                f"{estimate.network:.3g}",
                "unknown" if estimate.seed is None else f"{estimate.seed:.3g}",
                f"{estimate.identities:.3g}",
                _or_none(estimate.of_mean()),
                _or_none(agreement.mean),
                *("never" if number is None else str(number) for number in needed),
            ]
        )
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "reliability.json", report)
    say(
        f"Reliability over {len(by_network)} networks x {len(seeds)} seeds x {options.galleries} disjoint galleries "
        f"of {options.gallery} people: standard deviations, reliability of one seed and one gallery, tau between "
        f"galleries, galleries needed with {len(seeds)} seeds"
    )
    for line in aligned(rows):
        say(line)


def _or_none(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
