import numpy as np
import pytest

from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.identification import halves
from dualfair.evaluation.objective_grammar import parse_objectives
from dualfair.evaluation.objectives import OBJECTIVES, disparity_objective
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate
from tests.support.embeddings import clustered


def protocol_of(objectives):
    return EvaluationProtocol(objectives=parse_objectives(objectives))


def test_a_verdict_names_groups_with_their_n():
    embeddings, identities, groups = clustered()
    verdict = evaluate(embeddings, identities, groups, EvaluationProtocol())
    assert [(group.group, group.probes) for group in verdict.groups] == [("a", 50), ("b", 50)]
    assert verdict.error == pytest.approx(np.mean([group.error for group in verdict.groups]))
    assert verdict.disparity == pytest.approx(abs(verdict.groups[0].mean_rank - verdict.groups[1].mean_rank))
    assert verdict.groups[1].error > verdict.groups[0].error


def test_a_group_without_enough_probes_is_undefined_and_never_zero():
    embeddings, identities, groups = clustered()
    identities = np.where(groups == "b", np.arange(len(groups)).astype(str), identities)
    verdict = evaluate(embeddings, identities, groups, EvaluationProtocol())
    assert np.isnan(verdict.disparity) and "n=0 in group 'b'" in verdict.undefined
    assert verdict.groups[1].error is None and verdict.excluded == 50


@pytest.mark.parametrize("probes", [0, 1])
@pytest.mark.parametrize("name", [*DISPARITIES])
def test_no_or_one_probe_of_a_group_is_undefined_with_its_n_for_every_measure(name, probes):
    """For one probe, an image of group c bears the identity of a person of another group."""
    embeddings, identities, groups = clustered(people=10)
    lonely = np.array([f"q{number}" for number in range(4)])
    identities = np.concatenate([identities, lonely])
    groups = np.concatenate([groups, ["c"] * 4])
    embeddings = np.concatenate([embeddings, np.random.default_rng(5).normal(size=(4, embeddings.shape[1]))])
    if probes:
        identities[-1] = "p00"
    verdict = evaluate(embeddings, identities, groups, protocol_of(f"error,{name}"))
    assert np.isnan(verdict.disparity) and np.isnan(verdict.measures["rank_disparity"])
    assert f"n={probes} in group 'c'; a group needs 2 probes" in verdict.undefined
    (group,) = [group for group in verdict.groups if group.group == "c"]
    assert (group.probes, group.error, group.mean_rank) == (probes, None, None)
    assert np.isfinite(verdict.error) and verdict.excluded == 4 - probes


def test_nobody_with_a_mate_is_undefined_and_no_crash():
    embeddings, _, groups = clustered(people=4)
    verdict = evaluate(embeddings, np.arange(len(groups)), groups, EvaluationProtocol())
    assert np.isnan([verdict.error, verdict.disparity, *verdict.measures.values()]).all() and verdict.probes == 0
    assert "n=0 in group 'a', n=0 in group 'b'" in verdict.undefined


def test_halves_are_disjoint_galleries_of_their_own_with_half_of_every_group():
    embeddings, identities, groups = clustered(people=22)
    first, second = halves(identities, groups)
    assert not {*identities[first]} & {*identities[second]}
    assert sorted([*first, *second]) == list(range(len(identities)))
    for group, people in (("a", {5, 6}), ("b", {5, 6})):
        assert {len({*identities[rows][groups[rows] == group]}) for rows in (first, second)} == people
    verdict = evaluate(embeddings, identities, groups, protocol_of("error,log_rank_disparity"))
    for rows, half in zip((first, second), verdict.halves, strict=True):
        alone = evaluate(embeddings[rows], identities[rows], groups[rows], EvaluationProtocol())
        assert half == alone.measures


def test_a_gallery_that_half_of_the_people_cannot_fill_is_undefined_there():
    embeddings, identities, groups = clustered(people=20)
    protocol = protocol_of("error,rank_disparity(gallery=12)")
    verdict = evaluate(embeddings, identities, groups, protocol)
    name = protocol.disparity_name
    assert np.isfinite(verdict.disparity) and [np.isnan(half[name]) for half in verdict.halves] == [True, True]
    assert np.isfinite([half["rank_disparity"] for half in verdict.halves]).all()


def test_a_stated_gallery_averages_signed_differences_over_seeded_galleries():
    embeddings, identities, groups = clustered()
    small = protocol_of("error,rank_disparity(gallery=10,galleries=4)")
    assert small.disparity_name == "rank_disparity(gallery=10, galleries=4)"
    first, again = (evaluate(embeddings, identities, groups, small).disparity for _ in range(2))
    everyone = evaluate(embeddings, identities, groups, EvaluationProtocol()).disparity
    assert first == again and 0 < first < everyone, "mean ranks grow with the gallery"
    whole = evaluate(
        embeddings, identities, groups, protocol_of("error,rank_disparity(gallery=20,galleries=1)")
    ).disparity
    assert whole == pytest.approx(everyone)
    with pytest.raises(ValueError, match="a gallery of 40 identities takes 20 of every group; group 'a' has 10"):
        evaluate(embeddings, identities, groups, protocol_of("error,rank_disparity(gallery=40)"))


def test_a_disparity_of_ones_own():
    def worst_group_mean(values, groups):
        return max(values[groups == group].mean() for group in np.unique(groups))

    embeddings, identities, groups = clustered()
    own = disparity_objective("worst_group_mean", worst_group_mean)
    protocol = EvaluationProtocol(objectives=(OBJECTIVES["error"], own))
    verdict = evaluate(embeddings, identities, groups, protocol)
    assert protocol.disparity_name == "worst_group_mean"
    assert verdict.disparity == pytest.approx(max(group.mean_rank for group in verdict.groups))


def test_correctness_disparities_get_correctness():
    embeddings, identities, groups = clustered()
    verdict = evaluate(embeddings, identities, groups, protocol_of("error,accuracy_disparity"))
    assert verdict.disparity == pytest.approx(abs(verdict.groups[0].error - verdict.groups[1].error))
