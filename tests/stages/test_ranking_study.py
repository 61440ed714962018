"""The ranking study against references that are computed otherwise, on score tables whose truth is known."""

import json
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from scipy import stats

from dualfair.evaluation.ranking_study import TopOverlap, conclusions
from dualfair.evaluation.ranking_tables import ScoreTables, samples_of
from dualfair.evaluation.statistics.prediction import left_out
from dualfair.evolution.pareto import hypervolume, non_dominated, reference_point
from dualfair.runs.records.ranking import TableStudy
from dualfair.stages.correlate import ranking_study
from dualfair.stages.ranking_output import sample_lines

FEW = {"resamples": 60}


def tables_of(n=16, noise=0.3, seed=0, samples=("named",), disparity_follows=False, seeds=3, seed_noise=0.2, **given):
    """Networks with an error and a disparity, inherited scores of both plus noise, two halves, and parameters."""
    rng = np.random.default_rng(seed)
    exact = rng.normal(size=(n, 2))
    if disparity_follows:
        exact[:, 1] = exact[:, 0] + 0.4 * exact[:, 1]
    inherited = exact + noise * rng.normal(size=(n, 2))
    if disparity_follows:
        # What the inherited disparity knows of the true one is the error alone.
        inherited[:, 1] = inherited[:, 0] + 0.4 * rng.normal(size=n)
    halves = exact[:, None, None] + seed_noise * rng.normal(size=(n, seeds, 2, 2))
    fields = {
        "names": tuple(f"n{number}" for number in range(n)),
        "samples": (frozenset(samples),) * n,
        "inherited": {"error": inherited[:, 0], "gap": inherited[:, 1]},
        "standalone": {"error": halves[..., 0].mean(axis=2), "gap": halves[..., 1].mean(axis=2)},
        "halves": {"error": halves[..., 0], "gap": halves[..., 1]},
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
    return ranking_study(tables, **{**FEW, **how}).samples[sample].measures[measure]


def test_every_number_of_a_measure_is_that_of_an_independent_reference():
    tables = tables_of()
    study, cheap, mean = measure_of(tables), tables.inherited["error"], tables.standalone["error"].mean(axis=1)
    assert study.correlation.tau == pytest.approx(stats.kendalltau(cheap, mean).statistic)
    assert study.weighted_tau == pytest.approx(weighted_by_pairs(cheap, mean))
    best, picked = set(np.argsort(mean)[:4].tolist()), set(np.argsort(cheap)[:4].tolist())
    assert study.top_k == TopOverlap(k=4, overlap=len(best & picked) / 4, chance=0.25)
    assert study.regret == pytest.approx(mean[cheap.argmin()] - mean.min())
    assert study.regret_at_random == pytest.approx(np.mean([value - mean.min() for value in mean]))
    pairs = [stats.kendalltau(*tables.standalone["error"].T[[a, b]]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
    assert study.noise_ceiling.mean == pytest.approx(np.mean(pairs))
    halves = tables.halves["error"].mean(axis=1).T
    assert study.ceiling.truth.between_halves == pytest.approx(stats.kendalltau(*halves).statistic)
    assert study.ceiling.share == pytest.approx(study.correlation.tau / study.ceiling.truth.tau)
    params = study.baselines["params"]
    assert params.correlation.tau == pytest.approx(stats.kendalltau(tables.baselines["params"], mean).statistic)
    assert params.difference.value == pytest.approx(study.correlation.tau - abs(params.correlation.tau))
    assert study.beyond is None


def test_the_study_is_json_and_repeats_itself():
    tables = tables_of()
    study = ranking_study(tables, **FEW)
    printed = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert TableStudy.from_json(printed) == study == ranking_study(tables, **FEW)
    assert printed["networks"] == list(tables.names) and printed["seeds"] == 3
    keys = (
        "n correlation p weighted_tau top_k regret regret_at_random noise_ceiling ceiling baselines beyond conclusions "
        "within_heads"
    )
    assert list(printed["samples"]["all"]["measures"]["error"]) == keys.split()


def test_partial_tau_tells_whether_disparity_says_more_than_error():
    follows = measure_of(tables_of(n=60, disparity_follows=True, seed=1), "gap")
    assert follows.correlation.interval[0] > 0
    assert "adds nothing that these networks can show beyond error" in follows.conclusions
    more = measure_of(tables_of(n=60, seed=1), "gap")
    assert "tells more than error" in more.conclusions
    tables = tables_of(seed=1)
    beyond = measure_of(tables, "gap").beyond
    columns = [tables.inherited["gap"], tables.standalone["gap"].mean(axis=1), tables.inherited["error"]]
    tau = [[stats.kendalltau(a, b).statistic for a in columns] for b in columns]
    expected = (tau[0][1] - tau[0][2] * tau[1][2]) / np.sqrt((1 - tau[0][2] ** 2) * (1 - tau[1][2] ** 2))
    assert beyond.partial_tau.value == pytest.approx(expected)
    assert beyond.instead.correlation.tau == pytest.approx(tau[1][2])


def test_samples_are_the_random_the_even_the_evenly_spaced_and_all():
    of = [frozenset({"random", "front"}), frozenset({"even"}), frozenset({"random"}), frozenset({"named"})] * 8
    tables = tables_of(n=32, samples=())
    tables = ScoreTables(tables.names, tuple(of), tables.inherited, tables.standalone)
    samples = samples_of(tables)
    assert list(samples) == ["random", "even", "evenly spaced 13", "evenly spaced 30", "all"]
    assert samples["random"].tolist() == [row for row in range(32) if row % 4 in (0, 2)]
    assert samples["even"].tolist() == list(range(1, 32, 4))
    error = tables.inherited["error"]
    for size in (13, 30):
        picked = samples[f"evenly spaced {size}"]
        assert len(set(picked.tolist())) == size
        assert {int(error.argmin()), int(error.argmax())} <= set(picked.tolist())
    assert list(samples_of(tables_of(n=13))) == ["all"]
    study = ranking_study(tables, resamples=20)
    assert study.samples["random"].networks == tuple(tables.names[row] for row in samples["random"])
    assert study.samples["even"].measures["gap"].n == 8


def test_the_evenly_spaced_sample_flatters():
    """The rule of picking spreads the networks and so raises tau, on average over tables."""
    gains = []
    for seed in range(30):
        taus = {}
        tables = tables_of(n=60, noise=0.6, seed=seed)
        for sample, rows in samples_of(tables).items():
            part = tables.only(rows)
            taus[sample] = stats.kendalltau(part.inherited["error"], part.standalone["error"].mean(axis=1)).statistic
        gains.append(taus["evenly spaced 13"] - taus["all"])
    assert np.mean(gains) > 0.05


@pytest.mark.parametrize("n", [3, 5, 6])
def test_the_permutation_p_is_exact_for_few_networks(n):
    tables = tables_of(n=n, seed=n)
    cheap, mean = tables.inherited["error"], tables.standalone["error"].mean(axis=1)
    ours = stats.kendalltau(cheap, mean).statistic
    all_taus = [stats.kendalltau(cheap, mean[list(order)]).statistic for order in permutations(range(n))]
    assert measure_of(tables).p == pytest.approx(np.mean(np.array(all_taus) >= ours - 1e-12))


def test_front_agreement_is_that_of_the_chosen_networks_and_beside_chance():
    tables = tables_of(n=24, noise=0.2)
    front = ranking_study(tables, **FEW).samples["all"].front_agreement
    cheap = np.stack([*tables.inherited.values()], axis=1)
    truth = np.stack([table.mean(axis=1) for table in tables.standalone.values()], axis=1)
    chosen, reference = non_dominated(cheap), reference_point(truth)
    whole = hypervolume(truth, reference)
    assert front.agreement == pytest.approx(hypervolume(truth[chosen], reference) / whole)
    assert front.chosen == chosen.sum()
    rng = np.random.default_rng(5)
    others = [hypervolume(truth[rng.permutation(24)[: chosen.sum()]], reference) / whole for _ in range(800)]
    assert front.at_random == pytest.approx(np.mean(others), abs=0.03)
    assert front.at_random < front.agreement <= 1


def test_it_is_said_how_many_networks_would_show_a_tau():
    few = next(
        measure
        for measure in (measure_of(tables_of(noise=4.0, seed=seed)) for seed in range(99))
        if measure.correlation.tau > 0.1 and measure.correlation.interval[0] < 0
    )
    tau, (low, _) = few.correlation.tau, few.correlation.interval
    needed = int(few.conclusions[0].rpartition(" about ")[2].split()[0])
    assert f"a tau of {tau:.2f} is shown by about" in few.conclusions[0] and needed > 16
    # The half-width of an interval is in inverse proportion to the root of the number of networks.
    assert (tau - low) * (16 / needed) ** 0.5 == pytest.approx(tau, rel=0.05)
    backwards = replace(few, correlation=replace(few.correlation, tau=-tau, interval=(-0.9, -low)))
    assert "is shown by" not in " ".join(conclusions(backwards))


def test_what_may_be_concluded_is_said_in_words():
    good = measure_of(tables_of(n=40, noise=0.05, seed_noise=0.3))
    assert good.conclusions[:2] == ("ranks better than chance", "ranks as well as the truth's own noise allows")
    assert good.conclusions[2] == "better than params"
    noise = measure_of(tables_of(noise=30.0, seed=3))
    assert noise.conclusions[0].startswith("nothing can be concluded: the interval holds 0 with n = 16")
    assert "ranks as well as the truth's own noise allows" not in noise.conclusions
    blurred = measure_of(tables_of(n=40, noise=0.05, seed_noise=6.0, seed=2))
    conclusion = "the truth itself does not rank these networks: train more seeds or judge on more people"
    assert blurred.ceiling.truth.tau < 0.5 and conclusion in blurred.conclusions
    tables = tables_of(n=30)
    flipped = {name: -scores for name, scores in tables.inherited.items()}
    wrong = measure_of(tables_of(n=30, inherited=flipped))
    assert wrong.conclusions[0] == "ranks the wrong way round"
    assert wrong.verdict == "below" and good.verdict == "above" and noise.verdict == "open"
    unranked = replace(wrong, ceiling=blurred.ceiling)
    assert unranked.verdict == "open" and "ranks the wrong way round" not in conclusions(unranked)
    for of in (good, wrong):
        few = replace(of, n=4)
        assert few.verdict == "open" and conclusions(few)[0].startswith("nothing can be concluded from 4 networks")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_baseline_that_ranks_better_in_either_direction_is_named(sign):
    tables = tables_of(n=30, noise=1.5, baselines={})
    better = {"macs": sign * tables.standalone["error"].mean(axis=1)}
    study = measure_of(tables_of(n=30, noise=1.5, baselines=better))
    assert study.baselines["macs"].correlation.tau == pytest.approx(sign)
    assert "worse than macs" in study.conclusions


def test_a_baseline_of_a_measure_competes_with_that_only_and_keeps_its_direction():
    tables = tables_of(n=30)
    competing = {"error": {"short training": -tables.standalone["error"].mean(axis=1)}}
    tables = tables_of(n=30, measure_baselines=competing)
    assert list(measure_of(tables).baselines) == ["params", "short training"]
    assert list(measure_of(tables, "gap").baselines) == ["params"]
    assert "better than params and short training" in measure_of(tables).conclusions


def test_what_is_undefined_is_none_with_a_reason():
    tables = tables_of(n=5, seeds=1, halves={})
    study = measure_of(tables)
    assert study.ceiling.truth.tau is None and study.ceiling.share is None
    assert study.ceiling.truth.reason.startswith("undefined for 1 seed(s) and no halves")
    two = measure_of(tables_of(n=2))
    assert (two.correlation.tau, two.p, two.weighted_tau, two.top_k, two.regret) == (None,) * 5
    assert two.conclusions == ("nothing can be concluded: undefined for 2 networks; at least 3 are needed",)
    broken = tables_of(n=6)
    broken.standalone["gap"][2] = np.inf
    study = ranking_study(broken, **FEW).samples["all"]
    assert study.front_agreement.agreement is None
    assert study.front_agreement.reason == "undefined: some networks have a score that is not finite"
    assert study.measures["error"].correlation.tau is not None
    json.dumps(study.to_json(), allow_nan=False)


def test_the_lines_are_few_and_skip_samples_of_the_same_networks():
    of = [frozenset({"random"}), frozenset({"even"}), frozenset({"front"})] * 6
    tables = tables_of(n=18)
    tables = ScoreTables(tables.names, tuple(of), tables.inherited, tables.standalone, tables.halves, tables.baselines)
    study = ranking_study(tables, **FEW)
    lines = sample_lines({"validation identities": study, "test identities": study})
    assert len(lines) == 3 * (2 * 2 * 2 + 1)
    assert lines[0].startswith("  random 6: error, validation identities: tau ")
    assert lines[1].startswith("    => ")
    assert lines[-1].startswith("  all 18: front by the cheap scores reaches, of the true front: ")
    alike = ranking_study(tables_of(n=9, samples=("random",)), **FEW)
    assert not [line for line in sample_lines({"": alike}) if line.startswith("  all")]


def test_tables_that_do_not_fit_together_are_refused():
    tables = tables_of(n=4)
    with pytest.raises(ValueError, match="must hold the same measures, got"):
        tables_of(n=4, standalone={"error": tables.standalone["error"]})
    with pytest.raises(ValueError, match=r"a table must have the shape \(4,\), got \(3,\)"):
        tables_of(n=4, baselines={"macs": np.ones(3)})
    with pytest.raises(ValueError, match=r"shape \(4, 3, 2\), got \(4, 3\)"):
        tables_of(n=4, halves={"error": tables.standalone["error"]})
    with pytest.raises(ValueError, match="samples must be one a network, got 0 for 4"):
        ScoreTables(tables.names, (), tables.inherited, tables.standalone)


def of_heads(within, n=30, seed=0):
    """Networks of three heads whose levels scores share; within a head the score is `within` times the truth, and
    noise."""
    rng = np.random.default_rng(seed)
    heads = np.arange(n) % 3
    truth = rng.normal(size=n)
    scores = 5 * heads + within * truth + rng.normal(size=n)
    standalone = (5 * heads + truth)[:, None] + 0.1 * rng.normal(size=(n, 3))
    return ScoreTables(
        tuple(map(str, range(n))),
        (frozenset({"named"}),) * n,
        {"error": scores},
        {"error": standalone},
        heads=tuple(np.array(["arcface", "cosface", "magface"])[heads]),
    )


@pytest.mark.parametrize(("within", "said"), [(0, "not shown"), (-3, "the wrong way round"), (3, None)])
def test_a_score_that_ranks_heads_alone_is_told(within, said):
    study = measure_of(of_heads(within))
    assert study.verdict == "above"
    lines = [line for line in study.conclusions if "same head" in line]
    assert lines == ([f"among networks of the same head {said}"] if said else [])


def test_within_heads_is_of_several_known_heads_only_and_of_the_networks_of_a_sample():
    tables = of_heads(3)
    assert measure_of(replace(tables, heads=())).within_heads is None
    assert measure_of(replace(tables, heads=("arcface",) * 30)).within_heads is None
    rows = np.array([0, 3, 4, 8])
    assert tables.only(rows).heads == tuple(tables.heads[row] for row in rows)
    with pytest.raises(ValueError, match="heads must be one a network, got 2 for 30"):
        replace(tables, heads=("arcface", "cosface"))


def test_tau_within_heads_stands_on_the_line_of_a_measure():
    study = ranking_study(of_heads(3), **FEW)
    value = study.samples["all"].measures["error"].within_heads.value
    assert f"; within heads {value:.2f} [" in "\n".join(sample_lines({"": study}))


def test_the_reliability_of_the_truth_stands_on_the_line_of_a_measure():
    study = ranking_study(tables_of(n=24), **FEW)
    of_error = study.samples["all"].measures["error"].ceiling.truth
    assert f"(reliability {of_error.reliability:.2f} of 3 seeds, between seeds " in "\n".join(sample_lines({"": study}))
    one = ranking_study(tables_of(n=24, seeds=1, halves={}), **FEW)
    assert "reliability" not in "\n".join(sample_lines({"": one}))


def with_features(tables, share):
    """Tables whose networks have features that tell the given share of their true error."""
    truth = tables.standalone["error"].mean(axis=1)
    noise = np.random.default_rng(7).normal(size=(len(truth), 3))
    features = {"some": np.hstack([share * truth[:, None], noise]), "none": noise}
    return replace(tables, features=features)


def test_scores_predicted_by_the_other_trainings_stand_beside_the_inherited_ones():
    tables = with_features(tables_of(n=40, noise=2.0), 2.0)
    study, truth = measure_of(tables), tables.standalone["error"].mean(axis=1)
    predicted = left_out({"inherited": tables.inherited["error"][:, None], **tables.features}, truth).value
    tau = stats.kendalltau(predicted, truth).statistic
    assert study.predicted.correlation.tau == pytest.approx(tau)
    assert study.predicted.gain.value == pytest.approx(tau - study.correlation.tau)
    assert study.predicted.better and "predicted by these trainings better" in study.conclusions
    whole = ranking_study(tables, **FEW)
    line = next(line for line in sample_lines({"": whole}) if "all 40: error" in line)
    low, high = study.predicted.gain.interval
    assert "than inherited; ceiling" in line and f"{tau - study.correlation.tau:+.2f} [{low:.2f}, {high:.2f}]" in line
    assert TableStudy.from_json(json.loads(json.dumps(whole.to_json(), allow_nan=False))) == whole


def test_predictions_that_are_not_better_beyond_their_interval_are_not_called_so():
    study = measure_of(with_features(tables_of(n=40, noise=0.3), 0.0))
    assert study.predicted and not study.predicted.better
    assert not any("predicted" in text for text in study.conclusions)


def test_predictions_that_rank_no_better_than_chance_are_not_called_better_than_what_ranks_backwards():
    tables = tables_of(n=30, noise=0.1)
    tables = with_features(replace(tables, inherited={name: -of for name, of in tables.inherited.items()}), 0.0)
    exact, open_tau = measure_of(tables).predicted, (-0.2, 0.4)
    assert exact.better
    assert not replace(exact, correlation=replace(exact.correlation, interval=open_tau)).better
    assert not replace(exact, gain=replace(exact.gain, interval=open_tau)).better


def test_nothing_is_predicted_of_few_networks_or_scores_that_are_undefined():
    assert measure_of(with_features(tables_of(n=7), 2.0)).predicted is None
    tables = with_features(tables_of(n=12), 2.0)
    tables.inherited["error"][3] = np.nan
    assert measure_of(tables).predicted is None
