"""Configurations: what is drawn, what lies beside it, and what conditions rule out."""

import numpy as np
import pytest

from dualfair.evolution.configurations import Categorical, ConfigurationSpace, LogUniform

OPTIMIZER = Categorical(name="optimizer", choices=("sgd", "adam"))
SPACE = ConfigurationSpace(
    [
        OPTIMIZER,
        LogUniform(name="sgd.lr", low=0.09, high=0.8, when=("optimizer", "sgd")),
        LogUniform(name="adam.lr", low=1e-5, high=1e-2, when=("optimizer", "adam")),
        Categorical(name="batch", choices=(16, 32, 64)),
    ]
)


def rng():
    return np.random.default_rng(0)


def test_a_conditional_rate_is_drawn_for_its_optimizer_only_and_within_its_range():
    drawn = [SPACE.values(row) for row in SPACE.draw(rng(), 2000)]
    for optimizer, (low, high) in {"sgd": (0.09, 0.8), "adam": (1e-5, 1e-2)}.items():
        mine = [values for values in drawn if values["optimizer"] == optimizer]
        assert len(mine) > 900
        assert {tuple(values) for values in mine} == {("optimizer", f"{optimizer}.lr", "batch")}
        rates = np.array([values[f"{optimizer}.lr"] for values in mine])
        assert low <= rates.min() and rates.max() <= high
        # Uniform logarithms: each quarter of the scale has a quarter of the draws, within five standard errors.
        shares = np.histogram(np.log(rates / low) / np.log(high / low), 4, (0, 1))[0] / len(rates)
        assert np.abs(shares - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / len(rates))
    assert {values["batch"] for values in drawn} == {16, 32, 64}


def test_rows_and_values_go_back_and_forth_up_to_three_digits():
    for row in SPACE.draw(rng(), 50):
        values = SPACE.values(row)
        again = SPACE.row(values)
        assert SPACE.values(again) == values
        np.testing.assert_allclose(again, row, atol=2e-3)
    assert LogUniform(name="x", low=0.12345, high=0.9).value(0.0) == 0.12345


def test_neighbours_differ_in_one_dimension_and_what_hangs_on_it():
    row = SPACE.row({"optimizer": "sgd", "sgd.lr": 0.3, "batch": 32})
    near = [SPACE.values(each) for each in SPACE.neighbours(row, rng())]
    assert [values["optimizer"] for values in near] == ["adam", *["sgd"] * 6]
    assert set(near[0]) == {"optimizer", "adam.lr", "batch"} and 1e-5 <= near[0]["adam.lr"] <= 1e-2
    steps, batches = near[1:5], near[5:]
    assert len({values["sgd.lr"] for values in steps}) == 4 and {values["batch"] for values in steps} == {32}
    assert [values["batch"] for values in batches] == [16, 64] and {values["sgd.lr"] for values in batches} == {0.3}


@pytest.mark.parametrize(
    "dimensions, text",
    [
        ([OPTIMIZER, OPTIMIZER], "dimension 'optimizer' stands there twice"),
        (
            [LogUniform(name="x", low=1, high=2, when=("optimizer", "sgd")), OPTIMIZER],
            "which is not chosen from before",
        ),
        (
            [OPTIMIZER, LogUniform(name="x", low=1, high=2, when=("optimizer", "no"))],
            "'x' is for optimizer = no, which",
        ),
    ],
)
def test_impossible_spaces_are_refused(dimensions, text):
    with pytest.raises(ValueError, match=text):
        ConfigurationSpace(dimensions)


@pytest.mark.parametrize("low, high", [(0, 1), (2, 1), (1, 1), (1, float("inf")), (float("nan"), 1)])
def test_impossible_ranges_are_refused(low, high):
    with pytest.raises(ValueError, match="x: a range goes from a number above 0 to a larger one, got"):
        LogUniform(name="x", low=low, high=high)
