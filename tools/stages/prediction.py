"""Objectives of a search predicted by standalone trainings, where that ranks networks better than inherited scores do.

Shape legend: n networks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from dualfair.evaluation.network_features import network_features, with_inherited
from dualfair.evaluation.objectives import Objective
from dualfair.evaluation.ranking_study import predicted_score
from dualfair.evaluation.ranking_tables import mean_over_seeds
from dualfair.evaluation.scoring.scorer import ENDS, InheritedScorer
from dualfair.evaluation.statistics.prediction import LEAST_TRAINED, Prediction, Regression
from dualfair.evolution.archive import Archive, Evaluation
from dualfair.evolution.run import Run
from dualfair.presentation.format import spoken, two
from dualfair.runs.layout import RunLayout
from dualfair.runs.options import RESAMPLES
from dualfair.runs.records.prediction import ObjectiveTrainings, Predictor
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.run_files import TrainingResults, collect
from dualfair.runs.trained_run import TrainedRun
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

SAME = ("skeleton", "blocks", "size", "neck", "crop_from", "confirm")
"""Options of training that have to be the same, beside the people, for trainings of another run to stand for this
one's networks."""


class Predictions:
    """Predicts those of some `objectives` that a predictor does better, of a space's networks, from their inherited
    scores and the predictor's trainings. Nothing is predicted beyond an objective's range."""

    def __init__(
        self, predictor: Predictor, space: SearchSpace, skeleton: Skeleton, objectives: Sequence[Objective]
    ) -> None:
        self.space, self.skeleton = space, skeleton
        self.bounds = {objective.column: objective.bounds for objective in objectives}
        features = self._features(predictor.networks)
        self.regressions = {
            name: Regression.fit(with_inherited(np.array(of.inherited), features), of.standalone)
            for name, of in predictor.objectives.items()
            if name in predictor.used
        }

    def __call__(self, genotypes: Sequence[Genotype], inherited: Mapping[str, np.ndarray]) -> dict[str, Prediction]:
        """The predicted objectives of networks with `inherited` scores (n,) by column; NaN where these are."""
        features, predictions = self._features(genotypes), {}
        for name, regression in self.regressions.items():
            predicted = regression.predict(with_inherited(inherited[name], features))
            predictions[name] = Prediction(*(np.clip(values, *self.bounds[name]) for values in _ends(predicted)))
        return predictions

    def instead(self, evaluations: Iterable[Evaluation], columns: Sequence[str]) -> list[Evaluation]:
        """Evaluations with the predicted objectives in place of the inherited ones."""
        evaluations = list(evaluations)
        table = np.array([evaluation.values for evaluation in evaluations]).reshape(-1, len(columns))
        inherited = dict(zip(columns, table.T, strict=True))
        for name, predicted in self([evaluation.genotype for evaluation in evaluations], inherited).items():
            table[:, columns.index(name)] = predicted.value
        return [replace(each, values=tuple(row)) for each, row in zip(evaluations, table.tolist(), strict=True)]

    def fresh(self, genotype: Genotype, inherited: Mapping[str, float]) -> dict[str, float]:
        """The scores of a network by column, with predicted objectives, and the ends of their intervals, in place of
        the inherited ones."""
        values = dict(inherited)
        of_one = {name: np.array([value]) for name, value in inherited.items()}
        for name, predicted in self([genotype], of_one).items():
            for column, value in zip((name, *(f"{name} {end}" for end in ENDS)), _ends(predicted), strict=True):
                values[column] = float(value[0])
        return values

    def _features(self, genotypes: Sequence[Genotype]) -> dict[str, np.ndarray]:
        return network_features(genotypes, self.space, self.skeleton)


class PredictedScorer:
    """Scores genotypes as a search wants it: inherited scores, kept in their archive, with the predicted objectives in
    place of their own, which stand behind the other columns as details."""

    def __init__(self, scorer: InheritedScorer, archive: Archive, predictions: Predictions) -> None:
        self.predictions, self._run, self._columns = predictions, Run(scorer, archive, steps=1), scorer.columns
        self.columns = (*scorer.columns, *(f"{name}, inherited" for name in predictions.regressions))

    def __call__(self, genotypes: Sequence[Genotype]) -> np.ndarray:
        """Values of every genotype, float64 (n, columns), in `columns` order."""
        table = self._run.step(genotypes).reshape(-1, len(self._columns))
        inherited = dict(zip(self._columns, table.T.copy(), strict=True))
        for name, predicted in self.predictions(genotypes, inherited).items():
            table[:, self._columns.index(name)] = predicted.value
        return np.column_stack([table, *(inherited[name] for name in self.predictions.regressions)])

    @property
    def reused(self) -> int:
        """How many of the genotypes that were asked for had inherited scores before."""
        return self._run.result("").reused


def open_trainings(run: TrainedRun, layout: RunLayout) -> TrainingResults:
    """The standalone trainings of a run, this one or another, that objectives of `run` can be predicted by.

    Raises ValueError where that one's networks are of other people, another skeleton or another space, or fewer than
    LEAST_TRAINED of them were trained.
    """
    if not layout.train.config.is_file():
        raise ValueError(f"{layout.path} is no run directory; name one with retrained networks")
    ours, theirs = run.config, TrainConfig.read(layout.train.config)
    if ours.trained_on != theirs.trained_on:
        raise ValueError(
            f"networks of {layout.path} were trained on other faces, or other people of them, than {run.directory.path}"
        )
    for name in SAME:
        if getattr(ours.options, name) != getattr(theirs.options, name):
            raise ValueError(
                f"networks of {layout.path} were trained with {name} = {getattr(theirs.options, name)!r}, "
                f"{run.directory.path} has {getattr(ours.options, name)!r}"
            )
    trained = collect(layout, run.setting.space)
    if len(trained.genotypes) < LEAST_TRAINED:
        raise ValueError(
            f"{layout.path} has {len(trained.genotypes)} retrained networks, and {LEAST_TRAINED} or more are needed to "
            "predict others: run 'dualfair retrain --random 24' there"
        )
    return trained


def predictor_of(
    run: TrainedRun, trained: TrainingResults, inherited: Mapping[str, np.ndarray], measures: Sequence[str]
) -> Predictor:
    """The predictor of some measures by trained networks with `inherited` scores (n,) by column."""
    features, objectives = network_features(trained.genotypes, run.setting.space, run.setting.skeleton), {}
    for name in measures:
        by_seed = [[result.validation.measures.get(name, np.nan) for result in of] for of in trained.results]
        standalone = mean_over_seeds(np.array(by_seed, dtype=float))
        score = predicted_score(inherited[name], features, standalone, resamples=RESAMPLES)
        known = (tuple(values.tolist()) if score else () for values in (inherited[name], standalone))
        objectives[name] = ObjectiveTrainings(*known, score)
    return Predictor(trained.genotypes, trained.seeds, objectives)


def prediction_sentences(predictor: Predictor) -> list[str]:
    """What is predicted and what is not, and why, a line an objective."""
    n = len(predictor.networks)
    lines = []
    for name, of in predictor.objectives.items():
        if of.score is None or of.score.gain.value is None:
            lines.append(f"{spoken(name)} by inherited scores: it is undefined, or always the same, for {n} networks")
            continue
        gain, ours = of.score.gain, of.score.correlation
        interval = f" [{two(gain.interval[0])}, {two(gain.interval[1])}]" if gain.interval else ""
        how = (
            f"{n} networks x {predictor.seeds} seeds, each by the others: tau {two(ours.tau)}, of inherited scores "
            f"{two(ours.tau - gain.value)}, difference {two(gain.value)}{interval}"
        )
        what = "predicted" if of.score.better else "by inherited scores, as predictions are not shown to rank better"
        lines.append(f"{spoken(name)} {what}: {how}")
    return lines


def _ends(predicted: Prediction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return predicted.value, predicted.low, predicted.high
