"""A study of several supernets as lines of text and as rows of a table."""

from collections.abc import Iterable

from dualfair.presentation.table import aligned
from dualfair.studies.supernets.records import SupernetStudy, VariantTau

_TEST = "test"


def lines_of(study: SupernetStudy) -> list[str]:
    """The study on test people as lines of text, one a variant, then what may be concluded."""
    ceilings = study.standalone[_TEST]
    lines = [
        f"Study: {len(study.networks)} random networks, {study.seeds} trainings each; inherited scores on validation "
        "people against the mean of the trainings on test people. Kendall's tau, mean of the supernets [95 % over "
        "networks] (every supernet)"
    ]
    rows = [["", *(measure.replace("_", " ") for measure in ceilings)]]
    for name, splits in {**study.variants, **study.baselines}.items():
        rows.append([name, *(_shown(splits[_TEST][measure]) for measure in ceilings)])
    rows.append(["most that the truth's noise allows", *(_two(of.ceiling.tau) for of in ceilings.values())])
    rows.append(["between two trainings of the truth", *(_two(of.noise_ceiling.mean) for of in ceilings.values())])
    return [*lines, *aligned(rows), *_better_or_worse(study, ceilings)]


def rows_of(study: SupernetStudy) -> list[list[object]]:
    """Rows of a CSV: every tau of every supernet."""
    rows: list[list[object]] = [["variant", "split", "measure", "supernet", "tau"]]
    for name, splits in study.variants.items():
        for split, measures in splits.items():
            for measure, variant in measures.items():
                rows += [[name, split, measure, number, tau] for number, tau in enumerate(variant.taus)]
    return rows


def _better_or_worse(study: SupernetStudy, measures: Iterable[str]) -> list[str]:
    """Variants whose difference to the first one has an interval without 0, and how many of the comparisons that is."""
    first = next(iter(study.variants))
    lines, compared = [], 0
    for name, splits in study.variants.items():
        for measure in measures if name != first else ():
            compared += 1
            variant = splits[_TEST][measure]
            ends = variant.difference_interval
            if ends and (ends[0] > 0 or ends[1] < 0):
                word = "better" if ends[0] > 0 else "worse"
                lines.append(
                    f"{name} ranks {measure.replace('_', ' ')} {word} than {first}: "
                    f"{variant.difference:+.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
                )
    if compared:
        by_luck = f"of {compared} comparisons one in twenty would differ by luck"
        lines.append(
            f"No other difference to {first} is shown; {by_luck}" if lines else f"No difference is shown; {by_luck}"
        )
    return lines


def _shown(variant: VariantTau) -> str:
    if variant.mean is None:
        return "undefined"
    ends = variant.interval
    single = " (" + " ".join(map(_two, variant.taus)) + ")" if len(variant.taus) > 1 else ""
    return _two(variant.mean) + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "") + single


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
