"""Growing a network: every rule by itself, and whole searches, which replay from any point."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dualfair.evolution.growing import (
    CONVOLUTION,
    DEPTH,
    KERNELS,
    LARGE,
    OPERATIONS,
    SEPARABLE,
    SLACK,
    WIDTH,
    Candidate,
    Grown,
    GrowthOptions,
    Outcome,
    Structure,
    grow,
    replay,
)

MACRO = GrowthOptions(least_depth=3, most_depth=9, least_width=4, most_width=12, epochs=10, layer_epochs=0)
MICRO = replace(MACRO, layer_epochs=2)


def parameters(structure):
    """Four times dearer where a layer is a convolution, and with its kernel squared; by thousands."""
    each = zip(structure.operations, structure.kernels, strict=True)
    return 1000 * sum(
        structure.width * kernel**2 * (4 if operation == CONVOLUTION else 1) for operation, kernel in each
    )


def searched(options, score_of, training_score=0.0):
    """All candidates of a search whose candidates come to `score_of` them, and what it came to."""
    search, candidates, numbers = grow(options, parameters), [], iter(range(10**6))
    candidate = next(search)
    while True:
        candidates.append(candidate)
        try:
            candidate = search.send(Outcome(score_of(candidate, next(numbers)), training_score))
        except StopIteration as end:
            return candidates, end.value


def of(stage, candidates):
    return [each for each in candidates if each.stage == stage]


def test_networks_grow_deeper_then_narrower_each_trained_longer_than_the_one_before():
    candidates, grown = searched(MACRO, lambda _, number: 50.0 + number)
    deeper, narrower = of(DEPTH, candidates), of(WIDTH, candidates)
    assert [(each.structure.depth, each.epochs) for each in deeper] == [(3 + n, 10 + n) for n in range(7)]
    assert [(each.structure.width, each.epochs) for each in narrower] == [(10 - 2 * n, 18 + 2 * n) for n in range(4)]
    assert all(each.structure == Structure.plain(each.structure.depth, 12) for each in deeper)
    assert {each.structure.depth for each in narrower} == {9}
    assert grown == Grown(Structure.plain(9, 4), 4)


@pytest.mark.parametrize(
    ("scores", "tried", "kept"),
    [
        # Three failures since the last gain end it; they need not stand side by side.
        ((50, 51, 50, 50, 50), 5, 4),
        ((50, 51, 50, 50.98, 50, 50.96, 50), 7, 4),
        # A gain begins the count anew, and a small one is neither a gain nor a failure.
        ((50, 49, 49, 51, 50, 50, 50), 7, 6),
        ((50, 50.09, 50.09, 50.09, 50.09, 50.09, 50.09), 7, 3),
        ((50, 50.1, 50.15, 50.2, 50.2, 50.2, 50.2), 7, 6),
        ((50, 49.95, 49.95, 49.95, 49.95, 49.95, 49.94), 7, 3),
        # What is left of a floating-point number decides nothing.
        ((90.9, 91.0, 91.1, 91.2, 91.3, 91.4, 91.5), 7, 9),
        ((99.9,), 1, 3),
    ],
)
def test_what_is_kept_of_the_depths_and_when_they_end(scores, tried, kept):
    candidates, grown = searched(MACRO, lambda each, number: scores[number] if each.stage == DEPTH else 0.0)
    assert len(of(DEPTH, candidates)) == tried and grown.structure.depth == kept


def test_none_is_made_deeper_once_training_images_are_learnt():
    assert len(of(DEPTH, searched(MACRO, lambda *_: 50.0, training_score=99.6)[0])) == 1
    assert len(of(DEPTH, searched(MACRO, lambda *_: 50.0, training_score=99.5)[0])) == 7


@pytest.mark.parametrize(
    ("scores", "tried", "kept"),
    [
        ((49, 49, 49), 3, 12),
        ((49, 50, 49, 50), 4, 4),
        # What is compared with is the last one kept.
        ((50, 50, 49, 50.1), 4, 4),
        ((51, 50.9, 50.9, 50.9), 4, 10),
    ],
)
def test_what_is_kept_of_the_widths_and_when_they_end(scores, tried, kept):
    depths = iter((50, 50, 50, 50, 50, 50, 50))
    narrow = iter(scores)
    candidates, grown = searched(MACRO, lambda each, _: next(depths) if each.stage == DEPTH else next(narrow))
    assert len(of(WIDTH, candidates)) == tried and grown.structure.width == kept


def test_layers_change_one_by_one_at_no_more_parameters_and_what_is_better_stays():
    """The depth is 3 and the width 12. Of layers' operations the second is better, of kernels the third."""
    base = Structure.plain(3, 12)
    better = {
        base.with_layer(1, operation=CONVOLUTION).operations,
        base.with_layer(2, kernel=LARGE).kernels,
    }  # fmt: skip

    def score(candidate, _):
        if candidate.stage in (DEPTH, WIDTH):
            return 50.0 if candidate.structure == base else 40.0
        of_kernels = candidate.structure.kernels in better
        return 30.0 + (candidate.structure.operations in better) + of_kernels

    candidates, grown = searched(MICRO, score)
    first, *changed = of(OPERATIONS, candidates)
    assert first == Candidate(OPERATIONS, base, 2) and len(changed) == 3 == len(of(KERNELS, candidates))
    assert {each.epochs for each in (*changed, *of(KERNELS, candidates))} == {2}
    operations = [each.structure.operations for each in changed]
    conv, sep = CONVOLUTION, SEPARABLE
    assert operations == [(conv, sep, sep), (sep, conv, sep), (sep, conv, conv)]
    for each in changed:
        assert parameters(each.structure) <= parameters(base) + SLACK
        assert parameters(replace(each.structure, width=each.structure.width + 1)) > parameters(base) + SLACK
    shrunken = changed[1].structure
    assert shrunken.width < 12
    for each in of(KERNELS, candidates):
        assert each.structure.operations == (sep, conv, sep)
        assert each.structure.width <= shrunken.width
        assert parameters(each.structure) <= parameters(shrunken) + SLACK
    assert grown.structure == Structure(12, (sep, conv, sep), (3, 3, 5))
    assert grown.shrunken_width == of(KERNELS, candidates)[2].structure.width


@settings(max_examples=30)
@given(st.lists(st.floats(0, 100), min_size=80, max_size=80))
def test_any_search_stays_in_bounds_ends_and_replays_from_any_point(scores):
    candidates, grown = searched(MICRO, lambda _, number: scores[number % 80])
    depth, width = grown.structure.depth, grown.structure.width
    assert 3 <= depth <= 9 and 4 <= width <= 12 and 1 <= grown.shrunken_width <= width
    assert len(candidates) <= 7 + 4 + 1 + 2 * depth
    outcomes = [Outcome(scores[number % 80]) for number in range(len(candidates))]
    for known in range(len(candidates)):
        assert replay(MICRO, parameters, outcomes[:known]) == candidates[known]
    assert replay(MICRO, parameters, outcomes) == grown
    with pytest.raises(ValueError, match=f"the search ends after {len(candidates)} candidates; there are more"):
        replay(MICRO, parameters, [*outcomes, Outcome(1.0)])


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"least_depth": 0}, "least_depth must be 1 or more and at most most_depth, 100; got 0"),
        ({"least_width": 65}, "least_width must be 1 or more and at most most_width, 64; got 65"),
        ({"width_step": 0}, "width_step must be 1 or more, got 0"),
        ({"layer_epochs": -1}, "layer_epochs must be 0 or more, got -1"),
    ],
)
def test_what_cannot_grow_is_refused(wrong, line):
    with pytest.raises(ValueError, match=line):
        GrowthOptions(**wrong)
