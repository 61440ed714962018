"""A score that raises: once, always, for one genotype, or for good."""

import math

import numpy as np
import pytest

from dualfair.evolution.archive import Archive
from dualfair.evolution.attempts import reason_of
from dualfair.evolution.baselines import exhaustive
from dualfair.evolution.nsga2 import evolve
from dualfair.evolution.run import Run
from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace

LARGE = SPACES["dpn81"]
SMALL = SearchSpace([ChoiceBlock("a", "uvwxyz"), ChoiceBlock("b", "kl")], "small")
COLUMNS = ("error", "disparity")


def plain(genotypes):
    codes = np.array([genotype.indices for genotype in genotypes], dtype=float)
    return np.stack([np.sin(codes @ np.arange(1, codes.shape[1] + 1)), np.cos(codes.sum(axis=1))], axis=1)


class Faulty:
    """A score that raises when `fails(call number, genotypes)` says so, and keeps what it was asked."""

    def __init__(self, fails, error=None):
        self.fails, self.error, self.calls = fails, error or RuntimeError("no such kernel\nwith details"), []

    def __call__(self, genotypes):
        self.calls.append(list(genotypes))
        if self.fails(len(self.calls), genotypes):
            raise self.error
        return plain(genotypes)


def memory():
    return Archive(measurement="m", columns=COLUMNS)


def always_fails(genotype):
    return genotype.blocks[0][0] < 3 and genotype.head == "arcface"


def requested(score):
    return [genotype for call in score.calls for genotype in call]


def test_a_score_that_raises_once_is_asked_again_and_nothing_else_changes():
    arguments = {"population": 8, "generations": 4, "seed": 2, "batch": 3}
    score = Faulty(lambda call, _: call % 5 == 2)
    result, whole = evolve(LARGE, score, **arguments), evolve(LARGE, plain, **arguments)
    assert result.evaluated == whole.evaluated and result.front == whole.front and result.failed == ()
    repeated = [
        score.calls[number] for number in range(1, len(score.calls)) if score.calls[number - 1] == score.calls[number]
    ]
    assert len(repeated) == len(score.calls) // 5 + (len(score.calls) % 5 >= 2) and len(requested(score)) > 32


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_a_genotype_that_always_fails_is_infeasible_with_the_reason_and_the_run_goes_on(batch):
    score = Faulty(lambda _, genotypes: any(map(always_fails, genotypes)))
    archive = memory()
    result = evolve(LARGE, score, population=30, generations=4, seed=0, archive=archive, batch=batch)
    assert result.evaluations == 120 and 0 < result.infeasible == len(result.failed) < 60
    assert {e.genotype for e in result.failed} == {e.genotype for e in result.evaluated if always_fails(e.genotype)}
    for evaluation in result.failed:
        assert evaluation.reason == "RuntimeError: no such kernel" and all(map(math.isnan, evaluation.values))
    assert not any(always_fails(evaluation.genotype) for evaluation in result.front)
    kept = {evaluation.genotype: evaluation for evaluation in archive}
    assert len(kept) == 120 and sum(evaluation.reason is not None for evaluation in kept.values()) == len(result.failed)
    assert result.notes == (
        f"{len(result.failed)} genotypes could not be scored, infeasible for good; first "
        f"{result.failed[0].genotype}: RuntimeError: no such kernel",
    )
    for call in score.calls:
        assert len(call) <= (batch or 30)
    # Twice with the others, twice alone; every other genotype at most three times, or as a witness.
    assert max(sum(genotype in call for call in score.calls) for genotype in kept if always_fails(genotype)) <= 4


def test_a_failed_genotype_stays_infeasible_when_the_run_is_repeated():
    archive = memory()
    arguments = {"population": 30, "generations": 3, "seed": 0, "archive": archive}
    first = evolve(LARGE, Faulty(lambda _, genotypes: any(map(always_fails, genotypes))), **arguments)
    score = Faulty(lambda *_: False)
    repeated_run = evolve(LARGE, score, **arguments)
    assert score.calls == [] and repeated_run.notes == first.notes and len(first.failed) > 0
    assert [(e.genotype, e.reason) for e in repeated_run.evaluated] == [(e.genotype, e.reason) for e in first.evaluated]
    assert repeated_run.front == first.front and repeated_run.trace == first.trace


def test_a_run_killed_among_failures_goes_on_to_the_same_archive():
    def bad(genotypes):
        return any(map(always_fails, genotypes))

    whole, arguments = memory(), {"population": 30, "generations": 2, "seed": 0, "batch": 4}
    undisturbed = Faulty(lambda _, genotypes: bad(genotypes))
    evolve(LARGE, undisturbed, archive=whole, **arguments)
    assert len(undisturbed.calls) > 20
    for fatal in range(1, len(undisturbed.calls) + 1, 3):
        archive = memory()

        def killed(call, genotypes, fatal=fatal):
            if call == fatal:
                raise KeyboardInterrupt
            return bad(genotypes)

        with pytest.raises(KeyboardInterrupt):
            evolve(LARGE, Faulty(killed), archive=archive, **arguments)
        evolve(LARGE, Faulty(lambda _, genotypes: bad(genotypes)), archive=archive, **arguments)
        assert [(e.genotype, e.reason) for e in archive] == [(e.genotype, e.reason) for e in whole], fatal


def test_a_score_that_fails_for_everything_stops_the_first_generation_and_keeps_nothing():
    archive = memory()
    with pytest.raises(ValueError) as error:
        evolve(LARGE, Faulty(lambda *_: True), population=6, generations=3, archive=archive, batch=4)
    assert str(error.value) == (
        "score failed for all 6 genotypes that it was asked for: RuntimeError: no such kernel; nothing is kept of "
        "that; repair the scorer, then repeat the command"
    )
    assert len(archive) == 0


@pytest.mark.parametrize("batch", [None, 3])
def test_a_score_that_breaks_down_for_good_stops_the_run_and_blames_no_genotype(batch):
    archive = memory()
    score = Faulty(lambda *_: sum(map(len, score.calls)) > 14)
    with pytest.raises(ValueError) as error:
        evolve(LARGE, score, population=6, generations=5, archive=archive, batch=batch)
    message = str(error.value)
    assert "which it had scored before (RuntimeError: no such kernel); nothing is kept of these failures" in message
    assert 12 <= len(archive) <= 14 and all(evaluation.reason is None for evaluation in archive)
    resumed = evolve(LARGE, plain, population=6, generations=5, archive=archive, batch=batch)
    assert resumed.evaluated == evolve(LARGE, plain, population=6, generations=5).evaluated and resumed.failed == ()


def test_failures_before_the_first_success_wait_for_it():
    # The first chunks fail as a whole, so that nothing proves that the score works until (5, 1) is scored.
    score, archive = Faulty(lambda _, genotypes: any(g.blocks != ((5,), (1,)) for g in genotypes)), memory()
    result = exhaustive(SMALL, score, batch=12, archive=archive)
    assert [str(e.genotype) for e in result.front] == ["5-1"] and len(result.failed) == 11
    archive = memory()
    Run(score, archive, steps=1, batch=2).step(list(SMALL.enumerate()))
    assert len(archive) == 12 and sum(evaluation.reason is None for evaluation in archive) == 1


def test_a_resumed_run_has_a_witness_from_the_archive():
    genotypes, archive = list(SMALL.enumerate()), memory()
    archive.add(genotypes[:1], plain(genotypes[:1]))
    archive.add(genotypes[2:3], np.full((1, 2), np.nan), reason="RuntimeError: could not be scored either")
    score = Faulty(lambda _, called: genotypes[0] not in called)
    Run(score, archive, steps=1).step([genotypes[2], genotypes[0], genotypes[1]])
    assert score.calls == [[genotypes[1]], [genotypes[1]], [genotypes[0]]]
    assert archive.get(genotypes)[genotypes[1]].reason == "RuntimeError: no such kernel"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_no_failure(stop):
    score, archive = Faulty(lambda call, _: call == 2, stop), memory()
    with pytest.raises(stop):
        evolve(LARGE, score, population=6, generations=5, archive=archive)
    assert len(score.calls) == 2 and len(archive) == 6


def test_a_score_of_another_shape_is_no_failure_of_a_genotype():
    calls = []
    with pytest.raises(ValueError, match=r"score returned shape \(1, 2\) for 6 genotypes"):
        evolve(LARGE, lambda genotypes: calls.append(genotypes) or [[1, 2]], population=6, generations=5)
    assert len(calls) == 1


def test_calls_hold_neighbours_and_their_scores_are_kept_one_call_after_another():
    archive, sizes = memory(), []

    def score(genotypes):
        sizes.append(len(archive))
        assert genotypes == sorted(genotypes) and (not sizes[-1] % 10 or genotypes[0] > last[-1])
        last.append(genotypes[-1])
        return plain(genotypes)

    last = []
    result = evolve(LARGE, score, population=10, generations=3, seed=1, batch=4, archive=archive)
    assert sizes == [0, 4, 8, 10, 14, 18, 20, 24, 28]
    assert result.evaluated == evolve(LARGE, plain, population=10, generations=3, seed=1).evaluated


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("out of memory\nwhere"), "RuntimeError: out of memory"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (OSError("\n\n a\tb\x00\ud800"), "OSError: a b  "),
        (RuntimeError("x" * 1000), "RuntimeError: " + "x" * 286),
    ],
)
def test_a_reason_is_one_printable_line(error, message):
    assert reason_of(error) == message
