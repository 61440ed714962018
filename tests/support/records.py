"""Results of stages as tests need them: whole records, with values for all that a test does not care about."""

from pathlib import Path

from dualfair.evaluation.protocol import GroupScores, Scores
from dualfair.runs.layout import RunLayout
from dualfair.runs.records.training import TrainingResult
from dualfair.runs.training_spec import TrainingSpec

GROUPS = (GroupScores("a", 24, 0.4, 1.5), GroupScores("b", 24, 0.6, 2.5))


def scores(error=0.5, disparity=1.0, groups=GROUPS, halves=(), **measures):
    """Scores of an error and a disparity; `measures` are further ones by name."""
    probes = sum(group.probes for group in groups)
    return Scores(error, disparity, probes, 0, tuple(groups), {"error": error, **measures}, tuple(halves))


def training_result(label="101-101:cosface", seed=0, *, on_both=None, validation=None, test=None, **values):
    """The result of a training: the scores of either split, or `on_both`."""
    spec = TrainingSpec.of_label(label, seed)
    validation, test = validation or on_both or scores(), test or on_both or scores()
    return TrainingResult(
        spec, **{"params": 100, "macs": 1000, "seconds": 1.0, **values}, validation=validation, test=test
    )


def save_result(run: Path, result: TrainingResult, stage="retrain") -> Path:
    """Write a result where a run keeps it."""
    place = RunLayout(run).trainings(stage).training(result.training)
    place.folder.mkdir(parents=True, exist_ok=True)
    result.write(place.result)
    return place.result
