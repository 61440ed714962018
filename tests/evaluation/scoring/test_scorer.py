import numpy as np
import pytest
import torch

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.metrics.identification import galleries, ranks
from dualfair.evaluation.objective_grammar import parse_objectives
from dualfair.evaluation.objectives import OBJECTIVES, EmbeddedFaces, disparity_objective
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate_faces
from dualfair.evaluation.scoring.embedding import embed, network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer, interval_columns, population_answers
from dualfair.evaluation.statistics.bootstrap import disparity_statistic, identity_bootstrap
from dualfair.supernet.network import Supernet, calibrate_stage
from dualfair.supernet.space import dpn_space
from tests.support.embeddings import clustered

SPACE = dpn_space("dpn81", 3)


def protocol_of(objectives):
    return EvaluationProtocol(objectives=parse_objectives(objectives))


@pytest.fixture(scope="module")
def supernet(tiny):
    torch.manual_seed(0)
    network = Supernet(tiny, identities=4)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for _ in range(20):
            network(torch.rand(6, 3, 24, 24) * 2 - 1, SPACE.sample(rng))
    return network.eval()


@pytest.fixture(scope="module")
def calibration(faces):
    return network_input(faces, np.arange(0, 96, 2), "cpu")


@pytest.fixture(scope="module")
def population():
    """Genotypes with shared prefixes of every length, all heads of one backbone among them, and a repeat."""
    drawn = SPACE.sample_distinct(6, np.random.default_rng(3))
    vectors = [SPACE.encode(genotype) for genotype in drawn[:3]]
    for vector in vectors[1:]:
        vector[:3] = vectors[0][:3]
    heads = [[*vectors[0][:-1], head] for head in range(3)]
    return [*drawn, *map(SPACE.decode, vectors), *map(SPACE.decode, heads), drawn[0]]


def test_a_population_scored_as_a_trie_equals_one_by_one_bit_for_bit(supernet, faces, calibration, population):
    together = population_answers(supernet, population, faces, calibration, batch=40)
    shuffled = population_answers(supernet, population[::-1], faces, calibration, batch=40)
    for genotype in population:
        alone = population_answers(supernet, [genotype], faces, calibration, batch=40)[genotype]
        assert np.array_equal(together[genotype], alone)
        assert np.array_equal(together[genotype], shuffled[genotype])


def test_inherited_equals_the_standalone_network_with_the_extracted_weights(supernet, faces, calibration, population):
    together = population_answers(supernet, population, faces, calibration, batch=40)
    for genotype in population[:5]:
        standalone = supernet.extract(genotype)
        calibrate_stage(standalone, calibration)
        assert np.array_equal(embed(standalone, faces, batch=40), together[genotype])
        judged = population_answers(supernet.extract(genotype), [genotype], faces, calibration, batch=40)
        assert np.array_equal(judged[genotype], together[genotype])


def test_without_calibration_the_inherited_statistics_are_used(supernet, faces, calibration, population):
    plain = population_answers(supernet, population, faces, None, batch=40)
    genotype = population[0]
    assert np.array_equal(plain[genotype], embed(supernet.extract(genotype), faces, batch=40))
    calibrated = population_answers(supernet, population, faces, calibration, batch=40)
    assert not np.allclose(plain[genotype], calibrated[genotype])


def test_scoring_leaves_the_supernet_as_it_was(supernet, faces, calibration, population):
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    modes = [module.training for module in supernet.modules()]
    population_answers(supernet, population, faces, calibration)
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    assert modes == [module.training for module in supernet.modules()]
    assert all(parameter.grad is None for parameter in supernet.parameters())


def test_embeddings_are_mirrored_and_normalised(supernet, faces):
    network = supernet.extract(supernet.skeleton.fit("101:cosface"))
    images = network_input(faces, np.arange(8), "cpu")
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(images) + network(images.flip(3))).numpy()
    result = embed(network, faces)
    assert np.allclose(result[:8], expected, atol=1e-5)
    assert np.allclose(np.linalg.norm(result, axis=1), 1, atol=1e-5)
    with pytest.raises(ValueError, match="evaluation mode"):
        embed(network.train(), faces)


def test_genotypes_that_differ_in_the_head_only_score_differently(supernet, faces, calibration):
    scorer = InheritedScorer(supernet, faces, calibration, EvaluationProtocol())
    values = scorer([supernet.skeleton.fit(f"101:{head}") for head in ("arcface", "cosface", "magface")])
    assert len({tuple(row) for row in values.round(9).tolist()}) == 3


def test_columns_are_the_objectives_then_the_details(supernet, faces, calibration, population):
    scorer = InheritedScorer(supernet, faces, calibration, protocol_of("error,rank_disparity,params"))
    measures = ("error", "rank_disparity", "log_rank_disparity", "capped_rank_disparity", "accuracy_disparity")
    details = ("error of a", "mean rank of a", "error of b", "mean rank of b")
    assert scorer.columns == (
        "error", "rank_disparity", "params", *measures[2:], "macs", *details,
        *(f"{name}, half {half}" for half in (1, 2) for name in measures),
    )  # fmt: skip
    values = scorer(population[:4])
    for row, genotype in zip(values, population[:4], strict=True):
        result = ranks(population_answers(supernet, [genotype], faces, calibration)[genotype], faces.identities)
        groups = faces.groups[result.probes]
        means = [result.values[groups == group].mean() for group in "ab"]
        assert row[0] == np.mean(result.values > 0)
        assert row[1] == pytest.approx(abs(means[0] - means[1]))
        assert row[2] == parameters(genotype, supernet.skeleton)
        assert row[6] == macs(genotype, supernet.skeleton)
        assert row[[8, 10]] == pytest.approx(means)


@pytest.mark.parametrize("count", ["images", "identities"])
def test_the_published_measure_stands_beside_any_other(supernet, faces, calibration, population, count):
    quiet = protocol_of(f"error,log_rank_disparity(count={count})")
    plain = EvaluationProtocol()
    scorer = InheritedScorer(supernet, faces, calibration, quiet)
    assert scorer.columns[:2] == ("error", quiet.disparity_name) and "rank_disparity" in scorer.columns
    literal = InheritedScorer(supernet, faces, calibration, plain)(population[:3])[:, 1]
    assert scorer(population[:3])[:, scorer.columns.index("rank_disparity")] == pytest.approx(literal)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_without_finite_embeddings_is_undefined_and_spoils_no_other(tiny, faces, calibration, value):
    """One operation is hostile: NaN for what is measured of the networks that use it, numbers for all others."""
    torch.manual_seed(0)
    supernet = Supernet(tiny, identities=4).eval()
    hostile, sound = (SPACE.parse(text) for text in ("131-101-101:cosface", "101-101-101:cosface"))
    with torch.no_grad():
        supernet.trunk.blocks[0].operation(1, 3).conv.weight.fill_(value)
    scorer = InheritedScorer(supernet, faces, calibration, EvaluationProtocol())
    values = dict(zip(scorer.columns, scorer([hostile, sound]).T, strict=True))
    costs = ("params", "macs")
    assert all(np.isnan(column[0]) for name, column in values.items() if name not in costs)
    assert np.isfinite([column[1] for column in values.values()]).all()
    assert [values["params"][0], values["macs"][0]] == [parameters(hostile, tiny), macs(hostile, tiny)]


def test_scorers_beside_one_make_every_measure_the_mean_over_all(supernet, tiny, faces, calibration, population):
    torch.manual_seed(5)
    other = Supernet(tiny, identities=4).eval()
    parts = faces.take(np.arange(48)), faces.take(np.arange(48, 96))
    protocol = protocol_of("error,rank_disparity,params")
    alone = [
        InheritedScorer(network, part, calibration, protocol)
        for network, part in zip((supernet, other), parts, strict=True)
    ]
    together = InheritedScorer(supernet, parts[0], calibration, protocol, beside=[alone[1]])
    assert together.columns == alone[0].columns
    assert sorted(together.faces.rows) == list(range(96)) and together.faces.identity_count == 12
    values = [scorer(population) for scorer in alone]
    assert np.allclose(together(population), np.mean(values, axis=0), atol=1e-12)
    assert not np.allclose(*values)


def test_resamples_add_intervals_and_change_nothing_else(supernet, faces, calibration, population):
    protocol = protocol_of("error,log_rank_disparity")
    plain = InheritedScorer(supernet, faces, calibration, protocol)
    scorer = InheritedScorer(supernet, faces, calibration, protocol, resamples=50)
    ends = tuple(f"{name} {end}" for name in ("error", "log_rank_disparity") for end in ("low", "high"))
    assert scorer.columns == (*plain.columns, *ends)
    values = scorer(population[:3])
    assert np.array_equal(values[:, :-4], plain(population[:3]), equal_nan=True)
    embeddings = population_answers(supernet, population[:1], faces, calibration)[population[0]]
    result = ranks(embeddings, faces.identities)
    wrong = result.values > 0
    error = identity_bootstrap(lambda rows: wrong[rows].mean(), faces.identities, resamples=50, seed=0)
    assert values[0, -4:-2].tolist() == pytest.approx([error.low, error.high])
    statistic = disparity_statistic(DISPARITIES["log_rank_disparity"], result.values, faces.groups)
    disparity = identity_bootstrap(statistic, faces.identities, resamples=50, seed=0)[0]
    assert values[0, -2:].tolist() == pytest.approx([disparity.low, disparity.high])
    with pytest.raises(ValueError, match="resamples must be 0 or more, got -1"):
        InheritedScorer(supernet, faces, calibration, protocol, resamples=-1)


def test_the_interval_of_a_disparity_is_over_the_very_quantity_that_is_judged():
    """At a stated gallery that is the mean over galleries; one whole gallery is all against all."""
    embeddings, identities, groups = clustered(people=40)

    def gap(values, groups):
        return abs(values[groups == "a"].mean() - values[groups == "b"].mean())

    def interval(objective=OBJECTIVES["rank_disparity"], **arguments):
        objective = objective.with_arguments(arguments)
        protocol = EvaluationProtocol(objectives=(objective,))
        made = EmbeddedFaces(embeddings, identities, groups)
        result = interval_columns(made, [objective], 200)
        return evaluate_faces(made, protocol).disparity, *result.values()

    own = disparity_objective("gap", gap)
    whole = interval()
    assert whole[1] < whole[0] < whole[2]
    assert interval(gallery="40", galleries=1) == pytest.approx(whole)
    assert interval(own) == pytest.approx(whole)
    small = interval(gallery="10", galleries=4)
    assert small[1] < small[0] < small[2] < whole[0], "mean ranks grow with the gallery"
    assert interval(own, gallery="10", galleries=1) == pytest.approx(interval(gallery="10", galleries=1))


def test_every_gallery_counts_the_same_in_a_resample_by_brute_force():
    """People have two to five images, so that galleries differ in size; a person's probes are drawn together."""
    embeddings, identities, groups = clustered(people=40)
    kept = np.flatnonzero(np.arange(200) % 5 < 2 + np.arange(200) // 5 % 4)
    embeddings, identities, groups = embeddings[kept], identities[kept], groups[kept]
    probes = []
    for number, images in enumerate(galleries(identities, groups, 10, 3, np.random.default_rng(0))):
        result = ranks(embeddings[images], identities[images])
        for image, rank in zip(images[result.probes], result.values, strict=True):
            probes.append((number, identities[image], groups[image], rank))

    def statistic(rows):
        means = {"a": [], "b": []}
        for gallery in range(3):
            for group, own in means.items():
                drawn = [probes[row][3] for row in rows if probes[row][0] == gallery and probes[row][2] == group]
                own.append(sum(drawn) / len(drawn) if len(drawn) > 1 else np.nan)
        return abs(np.mean(means["a"]) - np.mean(means["b"]))

    expected = identity_bootstrap(statistic, np.array([probe[1] for probe in probes]), resamples=60, seed=0)
    objectives = parse_objectives("error,rank_disparity(gallery=10,galleries=3)")
    result = interval_columns(EmbeddedFaces(embeddings, identities, groups), objectives, 60)
    assert [*result.values()][2:] == pytest.approx([expected.low, expected.high])


def test_without_a_probe_or_an_error_there_is_no_interval():
    embeddings, _, groups = clustered(people=4)
    objectives = EvaluationProtocol().objectives
    nobody = interval_columns(EmbeddedFaces(embeddings, np.arange(len(groups)), groups), objectives, 20)
    assert list(nobody) == ["error low", "error high", "rank_disparity low", "rank_disparity high"]
    assert np.isnan(list(nobody.values())).all()
    embeddings, identities, groups = clustered(noise=0.0)
    perfect = interval_columns(EmbeddedFaces(embeddings, identities, groups), objectives, 20)
    assert np.isnan(list(perfect.values())).all()
