from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dualfair.evaluation.identification_report import open_set_report
from dualfair.evaluation.metrics.identification import split_ranks
from dualfair.evaluation.metrics.open_set import (
    OpenSetScores,
    dir_at_fpir,
    open_set_scores,
    open_set_split,
    rates_at,
)
from dualfair.evaluation.options import EvaluateOptions


def exact_nearness(probe, image):
    """Orders all pairs of images as their cosines do, in exact arithmetic on integers: the signed squared cosine."""
    dot = sum(a * b for a, b in zip(probe, image, strict=True))
    lengths = sum(a * a for a in probe) * sum(b * b for b in image)
    return Fraction(dot * abs(dot), lengths) if lengths else Fraction(0)


def cosines(nearness):
    return [float(abs(one)) ** 0.5 * (1 if one > 0 else -1) for one in nearness]


def reference(rows, identities, gallery, probes):
    """{image: (nearest mate, is it first)} of enrolled probes, {image: score} of unknown ones, number of others."""
    enrolled, unknown, excluded = {}, {}, 0
    for probe in probes:
        near = {image: exact_nearness(rows[probe], rows[image]) for image in gallery if image != probe}
        mates = [near[image] for image in near if identities[image] == identities[probe]]
        others = [near[image] for image in near if identities[image] != identities[probe]]
        if mates:
            enrolled[probe] = (max(mates), not others or max(others) < max(mates))
        elif probe in gallery:
            excluded += 1
        else:
            unknown[probe] = max(others)
    return enrolled, unknown, excluded


def best_by_trial(enrolled, unknown, fpir):
    """DIR and FPIR at the best of all thresholds that allow the FPIR: just above any unknown score, or below all."""
    outcomes = []
    for bar in (Fraction(-2), *unknown.values()):
        alarms = sum(score > bar for score in unknown.values())
        hits = sum(first and mate > bar for mate, first in enrolled.values())
        if Fraction(alarms, len(unknown)) <= fpir:
            outcomes.append((hits, alarms))
    return max(outcomes)


def people(known=40, unknown=40, images=4, width=12, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    identities = np.arange(known + unknown).repeat(images)
    embeddings = rng.normal(size=(known + unknown, width))[identities] + noise * rng.normal(
        size=(len(identities), width)
    )
    gallery = np.flatnonzero((np.arange(len(identities)) % images == 0) & (identities < known))
    return embeddings.astype(np.float32), identities, gallery


@st.composite
def small_cases(draw):
    """Few small integers, full of ties, and identities of which some or all images are in the gallery."""
    width = draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2), min_size=width, max_size=width)
    rows = draw(st.lists(st.tuples(row, st.integers(0, 5)), min_size=2, max_size=14))
    numbers = st.lists(st.integers(0, len(rows) - 1), unique=True)
    gallery = draw(st.lists(st.integers(0, len(rows) - 1), unique=True, min_size=1))
    return [row for row, _ in rows], [identity for _, identity in rows], gallery, draw(st.none() | numbers)


@given(small_cases(), st.sampled_from((None, 1, 2, 5)), st.sampled_from(("f4", "f8")), st.fractions(0, 0.99))
def test_open_set_equals_exact_loops_over_all_thresholds(case, chunk, dtype, fpir):
    rows, identities, gallery, probes = case
    result = open_set_scores(np.array(rows, dtype), np.array(identities), gallery, probes, chunk=chunk)
    if probes is None:
        probes = [image for image in range(len(rows)) if image not in gallery]
    enrolled, unknown, excluded = reference(rows, identities, gallery, probes)
    assert (result.enrolled.tolist(), result.unknown.tolist()) == (sorted(enrolled), sorted(unknown))
    assert result.excluded == excluded
    assert result.first.tolist() == [enrolled[image][1] for image in sorted(enrolled)]
    assert result.mates == pytest.approx(cosines([enrolled[image][0] for image in sorted(enrolled)]), abs=1e-6)
    assert result.scores == pytest.approx(cosines([unknown[image] for image in sorted(unknown)]), abs=1e-6)
    if unknown:
        at = dir_at_fpir(result, float(fpir))
        hits, alarms = best_by_trial(enrolled, unknown, Fraction(float(fpir)))
        assert at.dir == (hits / len(enrolled) if enrolled else None)
        # Rounding may tell equal unknown scores apart, which lets more of the allowed alarms happen.
        assert alarms / len(unknown) <= at.fpir <= float(fpir)


def test_a_case_worked_by_hand():
    angle = np.radians([0, 90, 10, 60, 80, 30, 40, 20])
    identities = np.array(["a", "b", "a", "a", "b", "x", "y", "z"])
    result = open_set_scores(np.stack([np.cos(angle), np.sin(angle)], axis=1), identities, [0, 1])
    # Enrolled: a at 10 degrees (0.98), a at 60 (nearer to b: never found), b at 80 (0.98). Unknown: 30, 40, 20 degrees.
    assert result.first.tolist() == [True, False, True]
    assert np.degrees(np.arccos(result.scores)) == pytest.approx([30, 40, 20])
    strict, third = dir_at_fpir(result, 0), dir_at_fpir(result, 1 / 3)
    assert (strict.dir, strict.fpir, strict.enrolled, strict.unknown) == (2 / 3, 0, 3, 3)
    assert (third.dir, third.fpir) == (2 / 3, 1 / 3)
    assert np.degrees(np.arccos([strict.threshold, third.threshold])) == pytest.approx([20, 30])
    assert (rates_at(result, 0.99).dir, rates_at(result, 0.99).fpir) == (0, 0)
    assert (rates_at(result, -1).dir, rates_at(result, -1).fpir) == (2 / 3, 1)


@given(st.integers(1, 400), st.data())
def test_the_rate_reached_is_the_highest_allowed_whatever_the_rounding(n, data):
    allowed = data.draw(st.integers(0, n - 1))
    none = np.empty(0, dtype=int)
    scores = OpenSetScores(none, np.empty(0), none > 0, np.arange(n), np.linspace(-1, 1, n), 0, 1, 1, 1e-9)
    assert dir_at_fpir(scores, allowed / n).fpir == allowed / n
    assert dir_at_fpir(scores, np.nextafter(allowed / n, 1)).fpir == allowed / n
    if allowed:
        assert dir_at_fpir(scores, np.nextafter(allowed / n, 0)).fpir == (allowed - 1) / n


def test_the_threshold_reproduces_its_rates_and_less_does_not_keep_the_fpir():
    embeddings, identities, gallery = people()
    result = open_set_scores(embeddings, identities, gallery)
    assert (len(result.enrolled), len(result.unknown), result.gallery_images) == (120, 160, 40)
    last = -1.0
    for fpir in (0.0, 0.01, 0.1, 0.3, 0.9):
        at = dir_at_fpir(result, fpir)
        again = rates_at(result, at.threshold)
        assert (again.dir, again.fpir) == (at.dir, at.fpir)
        assert at.fpir <= fpir < rates_at(result, at.threshold - 1e-6).fpir
        assert last <= at.dir
        last = at.dir
    assert 0 < dir_at_fpir(result, 0.01).dir < dir_at_fpir(result, 0.3).dir < 1


def test_without_any_threshold_detection_is_closed_set_identification():
    embeddings, identities, gallery = people(noise=1.5)
    result = open_set_scores(embeddings, identities, gallery)
    closed = split_ranks(embeddings, identities, gallery, np.setdiff1d(np.arange(len(identities)), gallery))
    assert np.array_equal(result.enrolled, closed.probes)
    assert np.array_equal(result.first, closed.values == 0)
    assert rates_at(result, -2).dir == closed.correct.mean()
    assert closed.excluded == len(result.unknown)


@pytest.mark.parametrize("rounding", [0, 1e-7])
@pytest.mark.parametrize("chunk", [7, None])
def test_a_collapsed_network_detects_nobody(rounding, chunk):
    embeddings, identities, gallery = people()
    noise = rounding * np.random.default_rng(0).normal(size=embeddings.shape)
    result = open_set_scores((1 + noise).astype(np.float32), identities, gallery, chunk=chunk)
    for fpir in (0, 0.5, 0.99):
        at = dir_at_fpir(result, fpir)
        assert at.dir == 0
        assert at.fpir <= fpir
    assert rates_at(result, 1).fpir == 1


def test_being_nearest_by_rounding_only_is_not_being_first():
    noise = 1e-7 * np.random.default_rng(0).normal(size=(300, 128))
    identities = np.arange(300) % 3
    result = open_set_scores((1 + noise).astype(np.float32), identities, np.arange(150))
    assert len(result.enrolled) == 150
    assert not result.first.any()


def test_an_enrolled_probe_at_the_score_of_a_false_alarm_is_not_detected():
    # The unknown x is a copy of the probe of a: no threshold can let one in and the other not.
    embeddings = np.array([[1, 0, 0], [0, 1, 0], [3, 4, 5], [3, 4, 5], [9, 0, 1]], np.float32)
    result = open_set_scores(embeddings, np.array(["b", "a", "a", "x", "b"]), [0, 1])
    at = dir_at_fpir(result, 0)
    assert (at.dir, at.fpir) == (0.5, 0)
    assert (rates_at(result, at.threshold - 1e-3).dir, rates_at(result, at.threshold - 1e-3).fpir) == (1, 1)


def test_too_few_unknown_probes_are_warned_of():
    embeddings, identities, gallery = people()
    result = open_set_scores(embeddings, identities, gallery)
    few = dir_at_fpir(result, 0.05)
    assert few.warning.startswith("FPIR 0.05 of 160 probes of unknown people is 8 false positives; take a higher FPIR")
    assert dir_at_fpir(result, 0.0625).warning == ""


def test_rates_over_no_probe_are_none():
    embeddings, identities, gallery = people()
    everyone_known = open_set_scores(embeddings, identities, np.arange(0, 320, 4))
    assert (rates_at(everyone_known, 0.5).fpir, rates_at(everyone_known, 0.5).unknown) == (None, 0)
    nobody_known = open_set_scores(embeddings, identities, gallery, np.flatnonzero(identities >= 40))
    assert (dir_at_fpir(nobody_known, 0.1).dir, dir_at_fpir(nobody_known, 0.1).enrolled) == (None, 0)
    with pytest.raises(ValueError, match="an FPIR needs probes of people who are not enrolled, got none"):
        dir_at_fpir(everyone_known, 0.1)


def test_groups_are_judged_by_their_own_probes_at_one_threshold():
    embeddings, identities, _ = people(noise=1.5)
    groups = np.array(["a", "b", "c"])[(identities % 40) // 16]
    report = open_set_report(embeddings, identities, groups, EvaluateOptions(resamples=0, seed=3))
    gallery, probes = open_set_split(identities, groups, seed=3)
    for point in report.rates:
        whole = rates_at(open_set_scores(embeddings, identities, gallery, probes), point.threshold)
        assert (point.all.dir.value, point.all.dir.n) == (pytest.approx(whole.dir), whole.enrolled)
        assert (point.all.fpir.value, point.all.fpir.n) == (pytest.approx(whole.fpir), whole.unknown)
        assert [*point.groups] == ["a", "b", "c"]
        for name, rates in point.groups.items():
            members = np.intersect1d(probes, np.flatnonzero(groups == name))
            alone = rates_at(open_set_scores(embeddings, identities, gallery, members), point.threshold)
            assert (rates.dir.value, rates.dir.n) == (pytest.approx(alone.dir), alone.enrolled)
            assert (rates.fpir.value, rates.fpir.n) == (pytest.approx(alone.fpir), alone.unknown)


def test_the_order_of_images_does_not_matter():
    embeddings, identities, gallery = people(noise=1.5)
    order = np.random.default_rng(1).permutation(len(identities))
    moved = np.flatnonzero(np.isin(order, gallery))
    one, other = (
        dir_at_fpir(scores, 0.1)
        for scores in (
            open_set_scores(embeddings, identities, gallery),
            open_set_scores(embeddings[order], identities[order].astype(str), moved, chunk=13),
        )
    )
    assert (one.dir, one.fpir) == (other.dir, other.fpir)
    assert one.threshold == pytest.approx(other.threshold, abs=1e-5)


@pytest.mark.parametrize(
    ("gallery", "probes", "message"),
    [
        ([], None, "gallery must hold at least one image to be identified by, got none"),
        ([0, 9], None, "gallery must be numbers of images from 0 to 3, got 0 to 9"),
        ([0], [1, 1], "probes must name every image once, got 1 more than once"),
    ],
)
def test_a_gallery_that_is_none_is_refused(gallery, probes, message):
    with pytest.raises(ValueError) as caught:
        open_set_scores(np.eye(4), np.arange(4), gallery, probes)
    assert message in str(caught.value)


@pytest.mark.parametrize("fpir", [-0.1, 1, 5, float("nan")])
def test_an_impossible_fpir_is_refused(fpir):
    embeddings, identities, gallery = people()
    with pytest.raises(ValueError, match="fpir must be 0 or more and below 1"):
        dir_at_fpir(open_set_scores(embeddings, identities, gallery), fpir)


def faces_of_groups(sizes, images=3):
    groups = np.array([name for name, size in sizes.items() for _ in range(size * images)])
    identities = np.array([f"{name}{person}" for name, size in sizes.items() for person in range(size)]).repeat(images)
    order = np.random.default_rng(5).permutation(len(groups))
    return identities[order], groups[order]


@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 99))
def test_a_split_enrols_half_of_every_group_and_leaves_the_others_unknown(a, b, seed):
    identities, groups = faces_of_groups({"a": a, "b": b})
    gallery, probes = open_set_split(identities, groups, seed=seed)
    assert sorted([*gallery.tolist(), *probes.tolist()]) == list(range(len(identities)))
    names, times = np.unique(identities[gallery], return_counts=True)
    assert (times == 1).all()
    for group, size in {"a": a, "b": b}.items():
        enrolled = sum(name.startswith(group) for name in names)
        assert enrolled == round(size / 2) and enrolled < size
    scores = open_set_scores(np.eye(len(identities)), identities, gallery, probes)
    assert scores.excluded == 0
    assert len(scores.enrolled) == len(names) * 2


def test_a_split_is_random_by_its_seed_only():
    identities, groups = faces_of_groups({"a": 30, "b": 30})
    first, again, other = (open_set_split(identities, groups, seed=seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert set(identities[first]) != set(identities[other])


def test_a_split_that_cannot_be_drawn_is_refused():
    identities, groups = faces_of_groups({"a": 4, "b": 1})
    with pytest.raises(ValueError, match="group 'b' has one identity; an open set needs one to enrol and one to leave"):
        open_set_split(identities, groups, seed=0)
