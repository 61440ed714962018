"""The ranking study against references that are computed otherwise, on score tables whose truth is known."""

import json
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.stages.ranking_study import ScoreTables, ranking_study, samples_of
from dualfair.stages.ranking_words import sentences

FEW = {"resamples": 200}


def tables_of(n=16, noise=0.3, seed=0, samples=("named",), disparity_follows=False, seeds=3, seed_noise=0.2, **given):
    """Networks with an error and a disparity, cheap scores that are both plus noise, two halves, and parameters."""
    rng = np.random.default_rng(seed)
    exact = rng.normal(size=(n, 2))
    if disparity_follows:
        exact[:, 1] = exact[:, 0] + 0.4 * exact[:, 1]
    cheap = exact + noise * rng.normal(size=(n, 2))
    if disparity_follows:
        # What the cheap disparity knows of the true one is the error alone.
        cheap[:, 1] = cheap[:, 0] + 0.4 * rng.normal(size=n)
    halves = exact[:, None, None] + seed_noise * rng.normal(size=(n, seeds, 2, 2))
    fields = {
        "names": tuple(f"n{number}" for number in range(n)),
        "samples": (frozenset(samples),) * n,
        "cheap": {"error": cheap[:, 0], "gap": cheap[:, 1]},
        "truth": {"error": halves[..., 0].mean(axis=2), "gap": halves[..., 1].mean(axis=2)},
        "truth_halves": {"error": halves[..., 0], "gap": halves[..., 1]},
        "baselines": {"params": rng.normal(size=n)},
    }
    return ScoreTables(**{**fields, **given})


def weighted_by_pairs(cheap, truth):
    """Weighted tau by its definition, over all pairs of networks without ties."""
    place = stats.rankdata(truth) - 1
    agreed = whole = 0.0
    for a, b in combinations(range(len(truth)), 2):
        weight = 1 / (1 + place[a]) + 1 / (1 + place[b])
        agreed += weight * np.sign((cheap[a] - cheap[b]) * (truth[a] - truth[b]))
        whole += weight
    return agreed / whole


def measure_of(tables, measure="error", sample="all", **how):
    return ranking_study(tables, **{**FEW, **how})["samples"][sample]["measures"][measure]


def test_every_number_of_a_measure_is_that_of_an_independent_reference():
    tables = tables_of()
    found, cheap, mean = measure_of(tables), tables.cheap["error"], tables.truth["error"].mean(axis=1)
    assert found["correlation"]["tau"] == pytest.approx(stats.kendalltau(cheap, mean).statistic)
    assert found["weighted_tau"] == pytest.approx(weighted_by_pairs(cheap, mean))
    best, picked = set(np.argsort(mean)[:4].tolist()), set(np.argsort(cheap)[:4].tolist())
    assert found["top_k"] == {"k": 4, "overlap": len(best & picked) / 4, "chance": 0.25}
    assert found["regret"] == pytest.approx(mean[cheap.argmin()] - mean.min())
    assert found["regret_at_random"] == pytest.approx(np.mean([value - mean.min() for value in mean]))
    pairs = [stats.kendalltau(*tables.truth["error"].T[[a, b]]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert found["noise_ceiling"]["mean"] == pytest.approx(np.mean(pairs))
    halves = tables.truth_halves["error"].mean(axis=1).T
    assert found["ceiling"]["between_halves"] == pytest.approx(stats.kendalltau(*halves).statistic)
    assert found["ceiling"]["share"] == pytest.approx(found["correlation"]["tau"] / found["ceiling"]["tau"])
    params = found["baselines"]["params"]
    assert params["tau"] == pytest.approx(stats.kendalltau(tables.baselines["params"], mean).statistic)
    assert params["difference"]["value"] == pytest.approx(found["correlation"]["tau"] - abs(params["tau"]))
    assert found["beyond"] is None


def test_the_study_is_json_and_repeats_itself():
    tables = tables_of()
    study = ranking_study(tables, **FEW)
    assert json.loads(json.dumps(study, allow_nan=False)) == json.loads(json.dumps(ranking_study(tables, **FEW)))
    assert study["networks"] == list(tables.names) and study["seeds"] == 3


def test_partial_tau_tells_whether_disparity_says_more_than_error():
    follows = measure_of(tables_of(n=60, disparity_follows=True, seed=1), "gap")
    assert follows["correlation"]["interval"][0] > 0
    assert "adds nothing that these networks can show beyond error" in follows["conclusions"]
    more = measure_of(tables_of(n=60, seed=1), "gap")
    assert "tells more than error" in more["conclusions"]
    tables = tables_of(seed=1)
    found = measure_of(tables, "gap")["beyond"]
    columns = [tables.cheap["gap"], tables.truth["gap"].mean(axis=1), tables.cheap["error"]]
    tau = [[stats.kendalltau(a, b).statistic for a in columns] for b in columns]
    expected = (tau[0][1] - tau[0][2] * tau[1][2]) / np.sqrt((1 - tau[0][2] ** 2) * (1 - tau[1][2] ** 2))
    assert found["partial_tau"]["value"] == pytest.approx(expected)
    assert found["instead"]["tau"] == pytest.approx(tau[1][2])


def test_samples_are_the_random_the_even_the_evenly_spaced_and_all():
    of = [frozenset({"random", "front"}), frozenset({"even"}), frozenset({"random"}), frozenset({"named"})] * 8
    tables = tables_of(n=32, samples=())
    tables = ScoreTables(tables.names, tuple(of), tables.cheap, tables.truth)
    samples = samples_of(tables)
    assert list(samples) == ["random", "even", "evenly spaced 13", "evenly spaced 30", "all"]
    assert samples["random"].tolist() == [row for row in range(32) if row % 4 in (0, 2)]
    assert samples["even"].tolist() == list(range(1, 32, 4))
    error = tables.cheap["error"]
    for size in (13, 30):
        picked = samples[f"evenly spaced {size}"]
        assert len(set(picked.tolist())) == size
        assert {int(error.argmin()), int(error.argmax())} <= set(picked.tolist())
    assert list(samples_of(tables_of(n=13))) == ["all"]
    study = ranking_study(tables, resamples=20)
    assert study["samples"]["random"]["networks"] == [tables.names[row] for row in samples["random"]]
    assert study["samples"]["even"]["measures"]["gap"]["n"] == 8


def test_the_evenly_spaced_sample_flatters():
    """The rule of picking spreads the networks and so raises tau, on average over tables."""
    gains = []
    for seed in range(30):
        taus = {}
        tables = tables_of(n=60, noise=0.6, seed=seed)
        for sample, rows in samples_of(tables).items():
            part = tables.only(rows)
            taus[sample] = stats.kendalltau(part.cheap["error"], part.truth["error"].mean(axis=1)).statistic
        gains.append(taus["evenly spaced 13"] - taus["all"])
    assert np.mean(gains) > 0.05


@pytest.mark.parametrize("n", [3, 5, 6])
def test_the_permutation_p_is_exact_for_few_networks(n):
    tables = tables_of(n=n, seed=n)
    cheap, mean = tables.cheap["error"], tables.truth["error"].mean(axis=1)
    ours = stats.kendalltau(cheap, mean).statistic
    all_taus = [stats.kendalltau(cheap, mean[list(order)]).statistic for order in permutations(range(n))]
    assert measure_of(tables)["p"] == pytest.approx(np.mean(np.array(all_taus) >= ours - 1e-12))


def test_front_agreement_is_that_of_the_chosen_networks_and_beside_chance():
    tables = tables_of(n=24, noise=0.2)
    found = ranking_study(tables, **FEW)["samples"]["all"]["front_agreement"]
    cheap = np.stack([*tables.cheap.values()], axis=1)
    truth = np.stack([table.mean(axis=1) for table in tables.truth.values()], axis=1)
    chosen, reference = non_dominated(cheap), reference_point(truth)
    whole = hypervolume(truth, reference)
    assert found["agreement"] == pytest.approx(hypervolume(truth[chosen], reference) / whole)
    assert found["chosen"] == chosen.sum()
    rng = np.random.default_rng(5)
    others = [hypervolume(truth[rng.permutation(24)[: chosen.sum()]], reference) / whole for _ in range(800)]
    assert found["at_random"] == pytest.approx(np.mean(others), abs=0.03)
    assert found["at_random"] < found["agreement"] <= 1


def test_what_may_be_concluded_is_said_in_words():
    good = measure_of(tables_of(n=40, noise=0.05, seed_noise=0.3))
    assert good["conclusions"][:2] == ["ranks better than chance", "ranks as well as the truth's own noise allows"]
    assert good["conclusions"][2] == "better than params"
    noise = measure_of(tables_of(noise=30.0, seed=3))
    assert noise["conclusions"][0] == "nothing can be concluded: the interval holds 0 with n = 16"
    assert "ranks as well as the truth's own noise allows" not in noise["conclusions"]
    blurred = measure_of(tables_of(n=40, noise=0.05, seed_noise=6.0, seed=2))
    said = "the truth itself does not rank these networks: train more seeds or judge on more people"
    assert blurred["ceiling"]["tau"] < 0.5 and said in blurred["conclusions"]
    tables = tables_of(n=30)
    flipped = {name: -scores for name, scores in tables.cheap.items()}
    wrong = measure_of(tables_of(n=30, cheap=flipped))
    assert wrong["conclusions"][0] == "ranks the wrong way round"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_baseline_that_ranks_better_in_either_direction_is_named(sign):
    tables = tables_of(n=30, noise=1.5, baselines={})
    better = {"macs": sign * tables.truth["error"].mean(axis=1)}
    found = measure_of(tables_of(n=30, noise=1.5, baselines=better))
    assert found["baselines"]["macs"]["tau"] == pytest.approx(sign)
    assert "worse than macs" in found["conclusions"]


def test_an_own_baseline_competes_with_its_measure_only_and_keeps_its_direction():
    tables = tables_of(n=30)
    own = {"error": {"short training": -tables.truth["error"].mean(axis=1)}}
    tables = tables_of(n=30, own_baselines=own)
    assert list(measure_of(tables)["baselines"]) == ["params", "short training"]
    assert list(measure_of(tables, "gap")["baselines"]) == ["params"]
    assert "better than params and short training" in measure_of(tables)["conclusions"]


def test_what_is_undefined_is_none_with_a_reason():
    tables = tables_of(n=5, seeds=1, truth_halves={})
    found = measure_of(tables)
    assert found["ceiling"]["tau"] is None and found["ceiling"]["share"] is None
    assert found["ceiling"]["reason"].startswith("undefined for 1 seed(s) and no halves")
    two = measure_of(tables_of(n=2))
    assert (two["correlation"]["tau"], two["p"], two["weighted_tau"], two["top_k"], two["regret"]) == (None,) * 5
    assert two["conclusions"] == ["nothing can be concluded: undefined for 2 networks; at least 3 are needed"]
    broken = tables_of(n=6)
    broken.truth["gap"][2] = np.inf
    study = ranking_study(broken, **FEW)["samples"]["all"]
    assert study["front_agreement"]["agreement"] is None
    assert study["front_agreement"]["reason"] == "undefined: some networks have a score that is not finite"
    assert study["measures"]["error"]["correlation"]["tau"] is not None
    json.dumps(study, allow_nan=False)


def test_the_lines_are_few_and_skip_samples_of_the_same_networks():
    of = [frozenset({"random"}), frozenset({"even"}), frozenset({"front"})] * 6
    tables = tables_of(n=18)
    tables = ScoreTables(tables.names, tuple(of), tables.cheap, tables.truth, tables.truth_halves, tables.baselines)
    study = ranking_study(tables, **FEW)
    lines = sentences({"validation identities": study, "test identities": study})
    assert len(lines) == 3 * (2 * 2 * 2 + 1)
    assert lines[0].startswith("  random 6: error, validation identities: tau ")
    assert lines[1].startswith("    => ")
    assert lines[-1].startswith("  all 18: front by the cheap scores reaches, of the true front: ")
    alike = ranking_study(tables_of(n=9, samples=("random",)), **FEW)
    assert not [line for line in sentences({"": alike}) if line.startswith("  all")]


def test_tables_that_do_not_fit_together_are_refused():
    tables = tables_of(n=4)
    with pytest.raises(ValueError, match="must hold the same measures, got"):
        tables_of(n=4, truth={"error": tables.truth["error"]})
    with pytest.raises(ValueError, match=r"a table must have the shape \(4,\), got \(3,\)"):
        tables_of(n=4, baselines={"macs": np.ones(3)})
    with pytest.raises(ValueError, match=r"shape \(4, 3, 2\), got \(4, 3\)"):
        tables_of(n=4, truth_halves={"error": tables.truth["error"]})
    with pytest.raises(ValueError, match="samples must be one a network, got 0 for 4"):
        ScoreTables(tables.names, (), tables.cheap, tables.truth)
