"""Is the order of networks after their trainings that after trainings twice as long?"""

from types import SimpleNamespace

import numpy as np
import pytest

from dualfair.runs.layout import RunLayout
from dualfair.runs.records.ranking import ConvergenceStudy
from dualfair.stages import convergence
from dualfair.stages.convergence import convergence_lines, convergence_study
from dualfair.supernet.genotype import Genotype

GENOTYPES = tuple(Genotype.parse(f"{code}01:cosface") for code in range(9))


def result_of(error):
    return SimpleNamespace(test=SimpleNamespace(measures={"error": error}))


@pytest.fixture
def study_by(tmp_path, monkeypatch):
    """The study of nine networks with errors (9, S) by seed and (9,) after long trainings, NaN for none."""

    def study(shorter, longer):
        layout, by_path = RunLayout(tmp_path), {}
        for genotype, error in zip(GENOTYPES, longer, strict=True):
            path = layout.long.training(convergence.TrainingSpec(genotype)).result
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if np.isfinite(error):
                path.write_text("{}")
                by_path[path] = result_of(error)
        recipe = SimpleNamespace(recipe=SimpleNamespace(epochs=12.0))
        monkeypatch.setattr(convergence, "read_result", lambda path, space: by_path[path])
        monkeypatch.setattr(convergence.RetrainConfig, "read", lambda path: recipe)
        trained = SimpleNamespace(
            genotypes=GENOTYPES, results=tuple(tuple(map(result_of, row)) for row in np.asarray(shorter).tolist())
        )
        return convergence_study(layout, trained, None, ["error"], 200)

    return study


ORDER = np.arange(9.0)
NEARLY = ORDER[[1, 0, 2, 3, 4, 5, 6, 8, 7]]
ALL_ALIKE = "nothing can be concluded: interval undefined: tau is the same in every resample of these 9 networks"


@pytest.mark.parametrize(
    ("shorter", "longer", "said"),
    [
        (ORDER[:, None] + [0, 0.1], NEARLY, "the order stays"),
        (ORDER[:, None] + [0, 0.1], -NEARLY, "the order moves: train for more epochs"),
        (ORDER[:, None], ORDER[[2, 0, 1, 5, 3, 4, 8, 6, 7]], "the order is not shown to stay"),
        (np.stack([ORDER, -ORDER], axis=1) * [2, 1], ORDER, "no order that could stay: two seeds do not agree either"),
        (ORDER[:, None], [0, 1, 2, 3, *[np.nan] * 5], "nothing can be concluded from 4 networks"),
        (ORDER[:, None], ORDER, ALL_ALIKE),
        (ORDER[:, None], [1.0] * 9, "nothing can be concluded: tau is undefined, as values are equal or missing"),
    ],
)
def test_the_verdict_follows_from_the_two_orders(study_by, shorter, longer, said):
    assert study_by(shorter, longer).measures["error"].verdict == said


def test_means_orders_and_seeds_stand_on_a_line_of_each_measure(study_by):
    study = study_by(ORDER[:, None] + [0, 0.1], NEARLY / 2)
    first, second = convergence_lines(study, "people")
    assert first.startswith(
        "  Convergence of 9 networks: error on test people 4.05 after 12 and 2 after 24 epochs; tau 0.89 ["
    )
    assert (
        first.endswith(" of the two orders, 1.00 between seeds of the shorter ones")
        and second == "    => the order stays"
    )
    assert ConvergenceStudy.from_json(study.to_json()) == study
    (line, _) = convergence_lines(study_by(ORDER[:, None], ORDER), "images")
    assert "on test images" in line and line.endswith(" of the two orders")


def test_without_long_trainings_there_is_no_study(study_by):
    assert study_by(ORDER[:, None], [np.nan] * 9) is None
