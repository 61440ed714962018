"""The table of objectives and how a list of them is read."""

import sys

import numpy as np
import pytest

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.verification import tar_at_far, tar_of_all_pairs
from dualfair.evaluation.objective_grammar import parse_objective, parse_objectives
from dualfair.evaluation.objectives import (
    OBJECTIVES,
    Candidate,
    EmbeddedFaces,
    Objective,
    caveats,
    disparity_objective,
)
from dualfair.evaluation.protocol import FURTHER, EvaluationProtocol, evaluate_faces, further_measures
from dualfair.evaluation.scoring.scorer import interval_columns
from dualfair.evaluation.statistics.jackknife import group_jackknife
from dualfair.runs.config import look_up
from dualfair.runs.options import ProtocolOptions
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import SKELETONS
from tests.support.embeddings import clustered

OWN = """
import numpy as np
from dualfair.evaluation.objectives import Objective


def spread(faces, *, power=2, label="all", exact=False):
    return float((np.abs(faces.embeddings) ** power).mean())


def worst(ranks, groups):
    return max(ranks[groups == group].mean() for group in np.unique(groups))


def three(a, b, c):
    return 0.0


def needs(faces, *, far):
    return 0.0


def forgot(faces, far):
    return 0.0


def wordy(faces):
    return "much"


depth = Objective(name="depth", compute=lambda candidate: len(candidate.genotype.blocks), on_images=False)
accuracy = Objective(name="accuracy", compute=lambda faces: 0.75, direction="maximise")
NUMBER = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("own", None)


def faces_of(**options):
    return EmbeddedFaces(*clustered(**options))


@pytest.mark.parametrize(
    ("text", "names", "columns"),
    [
        ("error,rank_disparity", "error,rank_disparity", ["error", "rank_disparity"]),
        (" error , macs,params", "error,macs,params", ["error", "macs", "params"]),
        ("error,tar(far=1e-2)", "error,tar(far=0.01)", ["error", "1 - tar(far=0.01)"]),
        ("tar( far = 0.001 ),latency", "tar,latency", ["1 - tar", "latency"]),
        (
            "rank_disparity(count=identities,gallery=200,galleries=8),error()",
            "rank_disparity(gallery=200, count=identities),error",
            ["rank_disparity(gallery=200, count=identities)", "error"],
        ),
        ("error,own:spread(power=3),own:depth", None, ["error", "own:spread(power=3)", "own:depth"]),
        ("own:worst(gallery=4),own:accuracy", None, ["own:worst(gallery=4)", "-own:accuracy"]),
        # The default of one's own may change, so what was asked for stands there.
        ("error,own:spread(power=2)", None, ["error", "own:spread(power=2)"]),
    ],
)
def test_a_list_is_read_and_written_in_one_way(own, text, names, columns):
    objectives = parse_objectives(text, look_up)
    assert [objective.column for objective in objectives] == columns
    normal = ProtocolOptions(objectives=text).normalised()
    assert normal.objectives == (names or text) and normal.normalised() == normal
    assert [objective.name for objective in parse_objectives(normal.objectives, look_up)] == [
        objective.name for objective in objectives
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("error", "objectives must be 2 to 4, joined by ',', got 1: 'error'"),
        ("error,std,ser,macs,params", "objectives must be 2 to 4, joined by ',', got 5: 'error,std,ser,macs,params'"),
        ("error,tar(far=0.001),tar", "objectives 'error,tar(far=0.001),tar': tar is named twice"),
        (
            "own:spread(power=2),own:spread",
            "objectives 'own:spread(power=2),own:spread': own:spread is named twice",
        ),
        (
            "params,macs",
            "objectives 'params,macs': none is measured on images, so nothing would be learnt from the supernet; add "
            "one of error, top5_error, balanced_error, spd, eod, aod, "
            f"{', '.join(DISPARITIES)}, std_acc, worst_group_error, tar",
        ),
        (
            "error,speed",
            f"unknown objective 'speed'; choose from {', '.join(OBJECTIVES)}, or give module:object",
        ),
        ("error,", "objective '': expected a name, or name(argument=value)"),
        ("error,tar(far=0.1", "objective 'tar(far=0.1': expected a name, or name(argument=value)"),
        ("error,tar)far=0.1(", "objectives must be 2 to 4, joined by ',', got 1: 'error,tar)far=0.1('"),
        ("error,tar((far=0.1))", "objective 'tar((far=0.1))': expected a name, or name(argument=value)"),
        ("error,tar(0.1)", "objective 'tar(0.1)': expected argument=value, got '0.1'"),
        ("error,tar(far=0.1)x", "objective 'tar(far=0.1)x': expected a name, or name(argument=value)"),
        ("error,tar(far=0.1,far=0.2)", "objective 'tar(far=0.1,far=0.2)': argument far is given twice"),
        ("error,tar(fat=0.1)", "objective tar has no argument 'fat'; it has far=0.001"),
        ("error(far=0.1),macs", "objective error has no argument 'far'; it has none"),
        ("error,tar(far=low)", "objective tar: far must be a number such as 0.001, got 'low'"),
        ("error,tar(far=nan)", "objective tar: far must be a number such as 0.001, got 'nan'"),
        (
            "error,tar(far=2)",
            "objective tar: far must be above 0 and below 1, the share of impostor pairs to accept at most, got 2.0",
        ),
        (
            "error,std(gallery=some)",
            "objective std: gallery must be 'all' or a number of identities, got 'some'",
        ),
        ("error,std(galleries=0)", "objective std: galleries must be 1 or more, got 0"),
        ("error,std(galleries=1.5)", "objective std: galleries must be a whole number such as 8, got '1.5'"),
        ("error,std(count=people)", "objective std: count must be one of images, identities, got 'people'"),
        ("error,own:spread(exact=perhaps)", "objective own:spread: exact must be true or false, got 'perhaps'"),
        (
            "error,own:spread(size=1)",
            "objective own:spread has no argument 'size'; it has power=2, label=all, exact=False",
        ),
        ("error,own:three", "objective 'own:three' takes a, b, c; an objective of your own is f(faces)"),
        ("error,own:forgot", "objective 'own:forgot' takes faces, far; an objective of your own is f(faces)"),
        ("error,own:needs", "objective 'own:needs' takes faces, far; an objective of your own is f(faces)"),
        ("error,own:NUMBER", "objective 'own:NUMBER': it is a int; an objective of your own is f(faces)"),
        ("error,own:nothing", "objective 'own:nothing': module own has no 'nothing'"),
    ],
)
def test_what_cannot_be_searched_on_is_one_line(own, text, message):
    with pytest.raises(ValueError) as error:
        ProtocolOptions(objectives=text).protocol()
    said = str(error.value)
    assert said.startswith(message) and "\n" not in said
    assert said == message or ("f(faces)" in message and "a disparity f(values, groups)" in said)


def test_every_row_says_what_it_is():
    for name, row in OBJECTIVES.items():
        assert row.name == name and row.unit and row.direction in ("minimise", "maximise")
    assert [name for name, row in OBJECTIVES.items() if not row.on_images] == ["params", "macs", "latency"]
    assert [name for name, row in OBJECTIVES.items() if row.direction == "maximise"] == ["tar"]
    with pytest.raises(ValueError, match="direction must be one of minimise, maximise, got 'up'"):
        Objective(name="x", compute=len, direction="up")


def test_costs_are_those_of_the_candidate_and_a_latency_has_to_be_measured():
    genotype, skeleton = Genotype.parse("101-101-101-101:cosface"), SKELETONS["nano"]
    candidate = Candidate(genotype, skeleton, {genotype: 2.5}.get)
    values = [OBJECTIVES[name].value(candidate) for name in ("params", "macs", "latency")]
    assert values == [parameters(genotype, skeleton), macs(genotype, skeleton), 2.5]
    with pytest.raises(ValueError, match="the latency of 101-101-101-101:cosface is not known here"):
        OBJECTIVES["latency"].value(Candidate(genotype, skeleton))


@pytest.mark.parametrize("far", [0.001, 0.01, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("noise", [0.0, 0.5, 2.0])
def test_tar_is_that_of_all_pairs_of_images(far, noise):
    embeddings, identities, groups = clustered(people=12, images=3, noise=noise)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    scores = np.array([unit[a] @ unit[b] for a, b in zip(first, second, strict=True)])
    expected = tar_at_far(scores, identities[first] == identities[second], far).tar
    assert tar_of_all_pairs(embeddings, identities, far) == pytest.approx(expected)
    (_, tar) = parse_objectives(f"error,tar(far={far})")
    assert tar.value(EmbeddedFaces(embeddings, identities, groups)) == pytest.approx(1 - expected)


def test_tar_in_parts_is_that_of_the_whole_and_ties_favour_nobody(monkeypatch):
    embeddings, identities, _ = clustered(people=12, images=3, noise=2.0)
    whole = tar_of_all_pairs(embeddings, identities, 0.05)
    monkeypatch.setattr("dualfair.evaluation.metrics.verification.CHUNK_BYTES", 5 * embeddings.itemsize * 36)
    assert tar_of_all_pairs(embeddings, identities, 0.05) == whole
    assert tar_of_all_pairs(np.ones((8, 3)), np.repeat(list("abcd"), 2), 0.5) == 0
    assert np.isnan(tar_of_all_pairs(np.eye(3), np.array(["a", "b", "c"]), 0.1))


def test_the_worst_group_error_is_the_largest_of_the_groups():
    faces = faces_of()
    scores = evaluate_faces(faces, EvaluationProtocol())
    errors = [group.error for group in scores.groups]
    assert OBJECTIVES["worst_group_error"].value(faces) == pytest.approx(max(errors)) != pytest.approx(min(errors))
    half = parse_objective("worst_group_error(weight=0.5)")
    assert half.value(faces) == pytest.approx((max(errors) + np.mean(errors)) / 2) and not half.gallery
    ranks = faces.ranks()
    assert half.probe_function(ranks.correct, faces.groups[ranks.probes]) == half.value(faces)
    assert parse_objective("worst_group_error(weight=0)").value(faces) == pytest.approx(np.mean(errors))
    own = Objective(name="own", compute=lambda faces, *, weight=1.0: weight, of_probes=lambda values, groups: 7.0)
    assert own.with_arguments({"weight": 0.5}).probe_function(ranks.values, faces.groups[ranks.probes]) == 7.0
    with pytest.raises(
        ValueError, match=r"objective worst_group_error: weight must be 0 \(the mean over groups\) to 1"
    ):
        parse_objective("worst_group_error(weight=2)")


def test_objectives_without_disparity_or_error_leave_both_known_beside(own):
    protocol = EvaluationProtocol(objectives=parse_objectives("tar(far=0.1),own:spread,macs", look_up))
    assert protocol.names.minimised == ("1 - tar(far=0.1)", "own:spread", "macs")
    assert protocol.names.measured == ("1 - tar(far=0.1)", "own:spread") and protocol.disparity_name == "rank_disparity"
    scores = evaluate_faces(faces_of(), protocol)
    plain = evaluate_faces(faces_of(), EvaluationProtocol())
    assert (scores.error, scores.disparity, scores.groups) == (plain.error, plain.disparity, plain.groups)
    assert [*scores.measures] == [
        *("error", "1 - tar(far=0.1)", "own:spread", "rank_disparity", "log_rank_disparity"),
        *("capped_rank_disparity", "accuracy_disparity"),
    ]
    assert all(np.isfinite([*half.values()]).all() for half in scores.halves)


def test_of_one_group_there_is_no_disparity_and_why_is_said():
    embeddings, identities, groups = clustered()
    alone = EmbeddedFaces(embeddings, identities, np.full(len(groups), "everyone"))
    scores = evaluate_faces(alone, EvaluationProtocol(objectives=parse_objectives("error,macs")))
    assert np.isfinite(scores.error) and np.isnan(scores.disparity)
    assert scores.undefined == "undefined (only one group, 'everyone': there is nothing to compare)"
    with pytest.raises(ValueError, match="rank_disparity compares groups and needs at least two"):
        evaluate_faces(alone, EvaluationProtocol())


def test_an_objective_has_to_give_a_number(own):
    (_, wordy) = parse_objectives("error,own:wordy", look_up)
    with pytest.raises(ValueError, match="objective own:wordy must return one number, got 'much'"):
        wordy.value(faces_of())


def test_a_disparity_of_ones_own_that_gives_nan_is_undefined_and_named():
    def gap(values, groups):
        return float("nan")

    result = disparity_objective("own:gap", gap).disparity(faces_of())
    assert np.isnan(result.value) and result.undefined == "undefined (gap gives nan)"


def test_a_far_that_the_impostor_pairs_cannot_resolve_is_told_with_pairs_and_far():
    identities = np.repeat(np.arange(10), 4)
    objectives = parse_objectives("error,tar(far=0.001),tar(far=0.1)")
    assert caveats(objectives, identities) == [
        "tar: FAR 0.001 of 720 impostor pairs is 0.72 false accepts; take a higher FAR or more pairs: below 10 the "
        "threshold hangs on single pairs"
    ]


def test_what_is_ranked_once_is_kept():
    faces = faces_of()
    assert faces.ranks() is faces.ranks() and faces.ranks("identities") is not faces.ranks()
    assert faces.galleries("10", 3) is faces.galleries("10", 3) and len(faces.galleries("10", 3)) == 3
    assert faces.galleries(galleries=2) is faces.galleries()


def test_the_jackknife_of_a_mean_is_its_standard_error():
    """As many groups as people, one image each: s / root n exactly."""
    values = np.random.default_rng(0).normal(size=30)
    low, high = group_jackknife(lambda rows: values[rows].mean(), np.arange(30), groups=30)
    spread = 1.959964 * values.std(ddof=1) / 30**0.5
    assert (low, high) == pytest.approx((values.mean() - spread, values.mean() + spread))
    # People, not images: everyone twice changes nothing.
    twice = group_jackknife(lambda rows: np.tile(values, 2)[rows].mean(), np.tile(np.arange(30), 2), groups=30)
    assert twice == pytest.approx((low, high))
    few = group_jackknife(lambda rows: values[rows].mean(), np.arange(30), groups=10, seed=1)
    assert few[1] - few[0] == pytest.approx(2 * spread, rel=0.6)
    assert np.isnan(group_jackknife(lambda rows: 1.0, np.zeros(5))).all()


def test_intervals_cover_any_objective_on_images():
    objectives = parse_objectives("error,worst_group_error,tar(far=0.05),macs")
    faces = faces_of(people=40, noise=2.5)
    columns = interval_columns(faces, [each for each in objectives if each.on_images], 100)
    assert [*columns] == [
        f"{name} {end}" for name in ("error", "worst_group_error", "1 - tar(far=0.05)") for end in ("low", "high")
    ]
    for objective in objectives[:3]:
        assert objective.bounds == (0, 1)
        assert columns[f"{objective.column} low"] < objective.value(faces) < columns[f"{objective.column} high"]


def test_intervals_of_a_share_by_leaving_people_out_stay_in_its_range():
    # Of few people the normal approximation reaches above 1.
    faces = faces_of(people=8, noise=1.2)
    (_, tar) = parse_objectives("error,tar(far=0.01)")
    free = group_jackknife(lambda rows: tar.value(faces.take(rows)), faces.identities)
    columns = interval_columns(faces, [tar], 10)
    assert free[1] > 1 and columns["1 - tar(far=0.01) high"] == 1
    assert columns["1 - tar(far=0.01) low"] == pytest.approx(free[0])
    reliable = Objective(name="reliable", compute=len, direction="maximise", best=2.0, worst=-1.0)
    assert reliable.bounds == (0, 3) and Objective(name="free", compute=len).bounds == (-np.inf, np.inf)


def test_a_ratio_may_be_searched_on_to_one_group_only():
    embeddings, identities, groups = clustered_groups()
    faces = EmbeddedFaces(embeddings, identities, groups, 0)
    either, to_a, to_b = parse_objectives("rank_ratio,rank_ratio(reference=a),rank_ratio(reference=b, gallery=all)")
    means = {name: faces.ranks().values[groups[faces.ranks().probes] == name].mean() for name in "ab"}
    assert to_a.column == "rank_ratio(reference=a)" and to_b.column == "rank_ratio(reference=b)"
    assert to_a.value(faces) == pytest.approx(abs(1 - means["b"] / means["a"]))
    assert to_b.value(faces) == pytest.approx(abs(1 - means["a"] / means["b"]))
    assert either.value(faces) == pytest.approx(max(to_a.value(faces), to_b.value(faces)))
    assert to_a.value(faces) != to_b.value(faces)
    low, high = interval_columns(faces, (to_a,), 50).values()
    assert low <= to_a.value(faces) <= high
    protocol = EvaluationProtocol(objectives=(to_a, either))
    assert evaluate_faces(faces, protocol).measures["rank_ratio(reference=a)"] == to_a.value(faces)
    (nowhere, _) = parse_objectives("rank_ratio(reference=z),error")
    with pytest.raises(
        ValueError, match=r"objective rank_ratio\(reference=z\): there is no group 'z'; the groups are a, b"
    ):
        nowhere.value(faces)
    with pytest.raises(ValueError, match="objective rank_disparity has no argument 'reference'"):
        parse_objectives("rank_disparity(reference=a),error")


def test_further_measures_are_those_of_the_tables():
    embeddings, identities, groups = clustered_groups()
    faces = EmbeddedFaces(embeddings, identities, groups, 0)
    values = further_measures(faces)
    assert tuple(values) == FURTHER
    for name in ("rank_ratio", "accuracy_ratio", "error_ratio", "std", "ser"):
        ranks = faces.ranks()
        given = ranks.correct if DISPARITIES[name].values == "correct" else ranks.values
        assert values[name] == pytest.approx(DISPARITIES[name](given, groups[ranks.probes]))
    by_people = faces.ranks("identities")
    expected = DISPARITIES["rank_disparity"](by_people.values, groups[by_people.probes])
    assert (
        values["rank_disparity(count=identities)"]
        == pytest.approx(expected)
        != DISPARITIES["rank_disparity"](faces.ranks().values, groups[faces.ranks().probes])
    )
    alone = EmbeddedFaces(embeddings, identities, np.full(80, "a"), 0)
    assert set(further_measures(alone)) <= {"worst_group_error"}


def test_std_acc_can_be_searched_on():
    embeddings, identities, groups = clustered_groups()
    faces = EmbeddedFaces(embeddings, identities, groups, 0)
    objective, _ = parse_objectives("std_acc,error")
    right = faces.ranks().correct
    spreads = [
        np.std([right[identities == name].mean() for name in np.unique(identities[groups == group])], ddof=1)
        for group in "ab"
    ]
    assert objective.value(faces) == pytest.approx(abs(spreads[0] - spreads[1])) and objective.compares_groups
    ends = interval_columns(faces, (objective,), 50)
    assert np.isfinite([*ends.values()]).all()


def clustered_groups():
    """Noisy embeddings of 20 people x 4 images, those of group b noisier."""
    rng = np.random.default_rng(0)
    identities = np.repeat([f"p{person:02d}" for person in range(20)], 4)
    groups = np.repeat(["a", "b"] * 10, 4)
    noise = np.where(groups == "a", 0.9, 1.3)[:, None] * rng.normal(size=(80, 8))
    return np.repeat(rng.normal(size=(20, 8)), 4, axis=0) + noise, identities, groups
