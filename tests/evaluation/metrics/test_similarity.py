"""Decisions at the bar: exact, whatever a float32 product rounds."""

from fractions import Fraction

import numpy as np
import pytest

from dualfair.evaluation.metrics import similarity
from dualfair.evaluation.metrics.identification import COUNTS, ranks
from dualfair.evaluation.metrics.similarity import GRID, rounding, tie_tolerance, unit_rows


def at_the_bar(people=40, images=6, width=128, seed=0):
    """Embeddings of which thousands of pairs are within float32 rounding of the bar, on both sides of it."""
    rng = np.random.default_rng(seed)
    centres = np.array([1.0, 0.0]) + rng.normal(scale=3e-3, size=(people, 2))
    noise = rng.normal(scale=1e-3, size=(people * images, width - 2))
    return np.concatenate([centres.repeat(images, axis=0), noise], axis=1).astype(np.float32), np.arange(people).repeat(
        images
    )


def by_integers(embeddings, identities, count):
    """Ranks by a double loop in Python's integers: no rounding whatever."""
    rows = np.rint(unit_rows(embeddings, np.arange(len(embeddings))).astype(np.float64) / GRID).astype(np.int64)
    products = rows.astype(object) @ rows.astype(object).T
    tie = int(Fraction(tie_tolerance(np.float32)) / Fraction(GRID) ** 2)
    values = []
    for probe, cosines in enumerate(products):
        same = identities == identities[probe]
        mates = same & (np.arange(len(identities)) != probe)
        near = identities[~same & (cosines >= max(cosines[mates]) - tie)]
        values.append(len(near) if count == "images" else len(set(near.tolist())))
    return values


def test_unit_rows_stand_on_a_grid_that_float32_holds():
    embeddings, _ = at_the_bar()
    embeddings[0] = 0
    unit = unit_rows(embeddings, np.arange(len(embeddings)))
    assert unit.dtype == np.float32
    steps = unit.astype(np.float64) / GRID
    assert np.array_equal(steps, np.rint(steps))
    assert not unit[0].any()
    exact = embeddings[1:].astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.abs(unit[1:] - exact).max() <= GRID / 2


def test_products_on_the_grid_are_exact_in_any_order():
    rng = np.random.default_rng(0)
    unit = unit_rows(rng.normal(size=(2, 2048)).astype(np.float32) + 1, np.arange(2)).astype(np.float64)
    exact = sum(Fraction(a) * Fraction(b) for a, b in unit.T.tolist())
    for _ in range(20):
        order = rng.permutation(2048)
        assert Fraction(float(unit[0, order] @ unit[1, order])) == exact


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("chunk", [1, 7, None])
@pytest.mark.parametrize("dense", [1, 64, 10**9])
def test_pairs_at_the_bar_are_decided_exactly(count, chunk, dense, monkeypatch):
    embeddings, identities = at_the_bar()
    monkeypatch.setattr(similarity, "DENSE", dense)
    assert ranks(embeddings, identities, count, chunk=chunk).values.tolist() == by_integers(
        embeddings, identities, count
    )


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize("dense", [1, 10**9])
def test_a_product_as_wrong_as_rounding_may_be_changes_no_rank(off, dense, monkeypatch):
    embeddings, identities = at_the_bar()
    expected, rng, bound = by_integers(embeddings, identities, "images"), np.random.default_rng(1), 128 * 2.0**-24
    product = np.matmul

    def wrong(left, right, out):
        exact = product(left.astype(np.float64), right.astype(np.float64))
        out[:] = exact + off * bound * rng.random(exact.shape)
        return out

    monkeypatch.setattr(similarity, "DENSE", dense)
    monkeypatch.setattr(np, "matmul", wrong)
    assert ranks(embeddings, identities).values.tolist() == expected


def test_the_bound_on_rounding_holds_for_sums_that_round_one_way_all_along():
    rows = np.arange(340_000, 370_000, 50)[:, None] * np.full((1, 2048), GRID, np.float32)
    exact = 2048 * rows[:, 0].astype(np.float64) ** 2
    one_by_one = np.cumsum((rows * rows).astype(np.float32), axis=1, dtype=np.float32)[:, -1]
    assert exact.max() < 1
    assert rounding(2048) / 5 < np.abs(one_by_one - exact).max() < rounding(2048)
