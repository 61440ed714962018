"""Are trainings long enough? The order of networks after them, against the order after trainings twice as long."""

from collections.abc import Sequence

import numpy as np

from dualfair.evaluation.ranking_tables import mean_over_seeds
from dualfair.evaluation.statistics.ceiling import noise_ceiling
from dualfair.evaluation.statistics.ranking import correlation
from dualfair.presentation.format import spoken
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.ranking import ConvergenceStudy, MeasureConvergence
from dualfair.runs.records.training import RetrainConfig
from dualfair.runs.run_files import TrainingResults, read_result
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.space import SearchSpace


def convergence_study(
    layout: RunLayout, trained: TrainingResults, space: SearchSpace, measures: Sequence[str], resamples: int
) -> ConvergenceStudy | None:
    """The study of those of the trained networks that have a long training too; None where none has.

    Raises ValueError for a damaged result.
    """
    paths = [layout.long.training(TrainingSpec(genotype)).result for genotype in trained.genotypes]
    rows = [row for row, path in enumerate(paths) if path.is_file()]
    if not rows:
        return None
    longer = [read_result(paths[row], space).test.measures for row in rows]
    shorter = [[result.test.measures for result in trained.results[row]] for row in rows]
    return ConvergenceStudy(
        tuple(str(trained.genotypes[row]) for row in rows),
        RetrainConfig.read(layout.retrain.config).recipe.epochs,
        {
            name: _measure(
                np.array([[seed.get(name, np.nan) for seed in network] for network in shorter], dtype=float),
                np.array([network.get(name, np.nan) for network in longer], dtype=float),
                resamples,
            )
            for name in measures
        },
    )


def _measure(shorter: np.ndarray, longer: np.ndarray, resamples: int) -> MeasureConvergence:
    """Of values (n, S) by seed and (n,) of the long trainings."""
    means = mean_over_seeds(shorter)
    return MeasureConvergence(
        float(means.mean()),
        float(longer.mean()),
        correlation(longer, means, resamples=resamples),
        noise_ceiling(shorter).mean if shorter.shape[1] > 1 else None,
    )


def convergence_lines(study: ConvergenceStudy, units: str) -> list[str]:
    """The study as lines of text, two a measure."""
    lines = []
    for name, measure in study.measures.items():
        of, between = measure.correlation, measure.between_seeds
        interval = f" [{of.interval[0]:.2f}, {of.interval[1]:.2f}]" if of.interval else ""
        agreement = of.reason if of.tau is None else f"tau {of.tau:.2f}{interval} of the two orders"
        seeds = "" if between is None else f", {between:.2f} between seeds of the shorter ones"
        lines += [
            f"  Convergence of {len(study.networks)} networks: {spoken(name)} on test {units} {measure.mean:.3g} after "
            f"{study.epochs:g} and {measure.longer_mean:.3g} after {2 * study.epochs:g} epochs; {agreement}{seeds}",
            f"    => {measure.verdict}",
        ]
    return lines
