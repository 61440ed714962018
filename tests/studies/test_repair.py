"""Repair: what strategies may touch, what they come to, and what is refused."""

import copy
import csv
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dualfair.evaluation.decisions import Judge, smooth_objective
from dualfair.runs.devices import seeded
from dualfair.runs.standalone import open_standalone
from dualfair.studies.repair import RepairOptions, baselines, strategies
from dualfair.studies.repair.baselines import BASELINES, OF_TWO_CLASSES
from dualfair.studies.repair.strategies import STRUCTURAL, masks_of, measure_statistics, mixing
from dualfair.studies.repair.study import RepairStudy, Result, chosen_strategies, judge_of
from dualfair.studies.repair.tabular import Table, network
from dualfair.studies.repair.task import (
    Classifier,
    Samples,
    Task,
    decided,
    logits_of,
    probabilities,
    with_threshold,
)
from dualfair.studies.repair.tuning import TuningOptions, tune
from dualfair.supernet.masking import REMOVED, shares

OPTIONS = RepairOptions(epochs=8, mask_epochs=40, training_epochs=8, mask_lr=0.08, lr=5e-3, resamples=50)


def samples_of(seed, n, skew):
    """Two classes that the first two inputs tell; the group follows the class with a probability `skew`, and the last
    input is the group."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5))
    y = (x[:, 0] + x[:, 1] + 0.7 * rng.normal(size=n) > 0).astype(int)
    second = np.where(rng.random(n) < skew, y == 1, y == 0)
    x[:, 4] = 2.0 * second - 1
    return Samples(
        torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y), torch.from_numpy(second), np.arange(n), lambda x: x
    )


def fresh():
    body = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU())
    return Classifier(body, nn.Linear(8, 2))


def task_of(seed=0, judge=None):
    """A network that learnt to go by the group, tuning samples in which the group says nothing, and test samples."""
    training = samples_of(seed, 1200, 0.92)
    with seeded(seed):
        classifier = tune(fresh(), training, TuningOptions(epochs=20, batch=64, lr=5e-3), seed=seed)
    validation, test = samples_of(seed + 1000, 600, 0.5), samples_of(seed + 2000, 1500, 0.5)
    judge = judge or Judge("accuracy", "aod")
    return Task(classifier, validation, validation.balanced(0), test, judge, fresh, training)


@pytest.fixture(scope="module")
def task():
    return task_of()


def applied(name, task, options=OPTIONS, seed=0):
    with seeded(seed):
        return {**BASELINES, **STRUCTURAL}[name](task, options, seed)


def judged(repaired, task):
    return task.judge.measured(repaired.decisions(task, task.test), *task.test.answers)


def test_the_network_is_biased_and_tuning_samples_are_balanced(task):
    accuracy, bias = judged(applied("unchanged", task), task)
    assert bias < -0.2 and accuracy < 0.85
    labels, second = task.tuning.answers
    counts = [np.count_nonzero((labels == label) & (second == group)) for label in (0, 1) for group in (False, True)]
    assert len(set(counts)) == 1 and counts[0] > 100
    with pytest.raises(ValueError, match="two validation samples or more of every class in both groups"):
        samples_of(0, 60, 1.0).balanced(0)


LONGER = [pytest.param(name, marks=pytest.mark.slow) for name in STRUCTURAL if name != "prune"]


@pytest.mark.parametrize("name", [*BASELINES, "prune", *LONGER])
def test_every_strategy_leaves_the_task_as_it_is_and_repeats_itself(task, name, monkeypatch):
    monkeypatch.setattr(baselines, "PERTURBATIONS", 7)
    monkeypatch.setattr(baselines, "CALLS", 3)
    before = copy.deepcopy(task.classifier.state_dict())
    one, other = (applied(name, task).decisions(task, task.test) for _ in range(2))
    assert np.array_equal(one, other) and set(one.tolist()) <= {0, 1}
    assert all(torch.equal(value, before[key]) for key, value in task.classifier.state_dict().items())
    assert not task.classifier.training


@pytest.mark.parametrize("name", ["fine-tuning", "prune", pytest.param("adversarial", marks=pytest.mark.slow), *LONGER])
def test_what_is_tuned_is_less_biased_and_as_accurate(name):
    changes = []
    for seed in range(2):
        task = task_of(seed)
        (accuracy, bias), (accuracy_before, bias_before) = (
            judged(applied(each, task, seed=seed), task) for each in (name, "unchanged")
        )
        changes.append((accuracy - accuracy_before, abs(bias_before) - abs(bias)))
    assert min(change for _, change in changes) > 0.05
    assert np.mean([change for change, _ in changes]) > -0.02


def test_pruned_weights_stay_0_and_nothing_else_does(task):
    masks, repaired = masks_of(task, OPTIONS, 0), applied("prune", task)
    assert repaired.removed == pytest.approx(shares(masks)[REMOVED]) and 0 < repaired.removed < 0.5
    for name, mask in masks.items():
        weight = repaired.classifier.get_parameter(name)
        assert not weight[~mask].any() and weight[mask].all()


@pytest.mark.parametrize("name", ["noise", "internal"])
def test_grafts_touch_masked_weights_only(task, name, monkeypatch):
    monkeypatch.setattr(strategies, "tune", lambda classifier, *_, **__: classifier)
    masks, repaired = masks_of(task, OPTIONS, 0), applied(name, task)
    for key, before in task.classifier.named_parameters():
        before, after = before.detach(), repaired.classifier.get_parameter(key).detach()
        mask = masks.get(key, torch.ones_like(before, dtype=torch.bool))
        assert torch.equal(after[mask], before[mask])
        if mask.all():
            continue
        assert (after[~mask] != before[~mask]).any()
        if name == "noise":
            assert after[~mask].abs().sum() == pytest.approx(1.5 * before[~mask].abs().sum().item(), rel=1e-4)
        else:
            needed = int((~mask).sum())
            kept = before[mask].abs().sort(descending=True).values
            assert torch.allclose(after[~mask].abs().sort(descending=True).values[: len(kept)], kept[:needed])


def test_an_exchange_mixes_masked_weights_of_both_by_their_entropies():
    pair = [fresh(), fresh()]
    masks = [{"last.weight": torch.rand(2, 8, generator=torch.Generator().manual_seed(k)) > 0.4} for k in (0, 1)]
    before = [copy.deepcopy(each.state_dict()) for each in pair]
    strategies._exchange(pair, masks)
    for number in (0, 1):
        own, other = (before[place]["last.weight"] for place in (number, 1 - number))
        share, mask = mixing(own, other), masks[number]["last.weight"]
        after = pair[number].last.weight
        assert torch.equal(after[mask], own[mask])
        assert torch.allclose(after[~mask], (share * own + (1 - share) * other)[~mask])
        assert all(
            torch.equal(value, before[number][key])
            for key, value in pair[number].state_dict().items()
            if key != "last.weight"
        )


def test_the_layer_with_more_entropy_weighs_more():
    even, peaked = torch.linspace(-1, 1, 1000), torch.cat([torch.zeros(990), torch.linspace(-1, 1, 10)])
    assert mixing(even, even) == 0.5
    # 1/2 + 0.4/pi arctan(500 (H1 - H2)), H of ten bins: log 10 for values spread evenly.
    counts = np.histogram(peaked.numpy(), bins=10)[0] / 1000
    entropy = -sum(share * np.log(share) for share in counts if share)
    expected = round(0.5 + 0.4 / np.pi * np.arctan(500 * (np.log(10) - entropy)), 2)
    assert mixing(even, peaked) == expected == 0.7 and mixing(peaked, even) == pytest.approx(1 - expected)


def test_the_subnetwork_alone_is_what_an_augmented_training_gives(task):
    masks, repaired = masks_of(task, OPTIONS, 0), applied("netaug", task)
    for name, mask in masks.items():
        assert not repaired.classifier.get_parameter(name)[~mask].any()
    fresh_statistics = copy.deepcopy(repaired.classifier)
    measure_statistics(fresh_statistics, task.tuning)
    assert torch.allclose(fresh_statistics.body[1].running_mean, repaired.classifier.body[1].running_mean)
    assert fresh_statistics.body[1].momentum == 0.1 and not fresh_statistics.training


def test_statistics_are_those_of_the_samples(task):
    classifier = copy.deepcopy(task.classifier)
    measure_statistics(classifier, task.tuning)
    reached = classifier.body[0](task.tuning.inputs)
    assert torch.allclose(classifier.body[1].running_mean, reached.mean(dim=0), atol=0.05)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.83])
def test_a_moved_bias_decides_as_the_threshold_does(task, threshold):
    scores = probabilities(logits_of(task.classifier, task.test))
    moved = with_threshold(copy.deepcopy(task.classifier), threshold)
    assert (decided(logits_of(moved, task.test)) == (scores >= threshold)).mean() > 0.999


def test_scores_are_those_of_softmax_and_of_equals_the_last_is_decided_for():
    logits = np.array([[1.0, 2.0], [0.0, 0.0], [900.0, -900.0]])
    assert probabilities(logits) == pytest.approx(functional.softmax(torch.from_numpy(logits), dim=1)[:, 1].numpy())
    assert decided(logits).tolist() == [1, 1, 0] == (probabilities(logits) >= 0.5).astype(int).tolist()


def test_rejected_samples_are_decided_by_group_as_near_to_a_half_as_does_best(task):
    scores, (labels, second) = probabilities(logits_of(task.classifier, task.validation)), task.validation.answers
    favoured = (scores >= 0.5)[second].mean() < (scores >= 0.5)[~second].mean()
    values = []
    for margin in np.linspace(0, 0.5, 101):
        decisions = np.where(abs(scores - 0.5) < margin, second == favoured, scores >= 0.5).astype(int)
        values.append(smooth_objective(*task.judge.measured(decisions, labels, second)))
    found = task.judge.measured(applied("reject-option", task).decisions(task, task.validation), labels, second)
    assert smooth_objective(*found) == pytest.approx(max(values))


def test_logits_of_domains_add_up_to_one_layer(task, monkeypatch):
    seen = {}

    def keep(classifier, samples, options, *, seed, loss):
        value = loss(classifier, *next(samples.batches(32, torch.Generator().manual_seed(0))))
        seen.update(last=copy.deepcopy(classifier.last), value=value)
        return classifier.eval()

    monkeypatch.setattr(baselines, "tune", keep)
    repaired = applied("domain-independent", task)
    features = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    both = seen["last"](features)
    assert torch.allclose(repaired.classifier.last(features), both[:, :2] + both[:, 2:], atol=1e-6)
    assert seen["value"].isfinite()


def test_classes_of_domains_are_decided_by_their_share_of_training(task):
    accuracy, bias = judged(applied("domain-discriminative", task, replace(OPTIONS, training_epochs=20)), task)
    accuracy_before, bias_before = judged(applied("unchanged", task), task)
    assert accuracy > accuracy_before + 0.05 and abs(bias) < 0.1 < abs(bias_before)


def test_probabilities_of_classes_in_groups_are_taken_over_their_shares(task, monkeypatch):
    labels, second = task.training.answers

    def keep(classifier, samples, options, *, seed, loss):
        with torch.no_grad():
            classifier.last.weight.zero_()
            # Of group 0 and class 0, group 0 and class 1, group 1 and class 0, group 1 and class 1.
            classifier.last.bias.copy_(torch.tensor([0.4, 0.1, 0.1, 0.4]).log())
            inputs, of, groups = (value[:50] for value in (samples.inputs, samples.labels, samples.second))
            expected = -classifier(inputs).log_softmax(1)[torch.arange(50), 2 * groups.long() + of].mean()
        assert torch.isclose(loss(classifier, inputs, of, groups), expected)
        return classifier.eval()

    monkeypatch.setattr(baselines, "tune", keep)
    shares = [((labels == label) & (second == group)).mean() for group in (0, 1) for label in (0, 1)]
    ratios = np.array([0.4, 0.1, 0.1, 0.4]) / shares
    expected = int(ratios[1] + ratios[3] > ratios[0] + ratios[2])
    assert set(applied("domain-discriminative", task).decisions(task, task.test)) == {expected}


def test_a_mask_alone_answers_more_as_a_repaired_network(task):
    repaired, taught = applied("mimic", task), applied("adversarial", task)
    zero = total = 0
    for name, before in task.classifier.named_parameters():
        after = repaired.classifier.get_parameter(name)
        assert ((after == before) | (after == 0)).all()
        zero, total = zero + int((after == 0).sum()) * (before.ndim > 1), total + before.numel() * (before.ndim > 1)
    assert repaired.removed == pytest.approx(zero / total) and 0 < repaired.removed < 0.9

    def alike(classifier):
        goal = logits_of(taught.classifier, task.test)
        return np.mean(decided(logits_of(classifier, task.test)) == decided(goal))

    assert alike(repaired.classifier) > alike(task.classifier)


def test_chance_keeps_the_best_of_its_tries_and_layers_never_get_worse(task, monkeypatch):
    monkeypatch.setattr(baselines, "PERTURBATIONS", 7)
    monkeypatch.setattr(baselines, "CALLS", 4)
    value, values = Task.value, []

    def kept(*of):
        values.append(value(*of))
        return values[-1]

    monkeypatch.setattr(Task, "value", kept)
    found = value(task, applied("perturbation", task).classifier)
    assert len(values) == 7 and found == max(values) > min(values)
    assert value(task, applied("layerwise", task).classifier) >= value(task, task.classifier)


def test_layers_are_searched_whatever_the_order_of_their_numbers_in_memory(task, monkeypatch):
    monkeypatch.setattr(baselines, "CALLS", 4)
    with seeded(0):
        body = nn.Sequential(nn.Unflatten(1, (5, 1, 1)), nn.Conv2d(5, 8, 3, padding=1), nn.Flatten())
        other = replace(task, classifier=Classifier(body, nn.Linear(8, 2)).eval())
    of_rows = applied("layerwise", other).classifier.state_dict()
    other.classifier.to(memory_format=torch.channels_last)
    assert not other.classifier.body[1].weight.is_contiguous()
    of_channels = applied("layerwise", other).classifier.state_dict()
    assert all(torch.equal(of_rows[name], of_channels[name]) for name in of_rows)
    assert any(not torch.equal(of_rows[name], value) for name, value in other.classifier.state_dict().items())


def test_even_batches_have_each_class_of_each_group_as_often(task):
    for size in (8, 64):
        for _, labels, second in task.tuning.batches(size, torch.Generator().manual_seed(1), even=True):
            counts = torch.bincount(labels * 2 + second, minlength=4)
            assert counts.max() - counts.min() <= 1
    orders = [
        [batch[0] for batch in task.tuning.batches(16, torch.Generator().manual_seed(s), even=True)] for s in (1, 2)
    ]
    assert not torch.equal(orders[0][0], orders[1][0])
    with pytest.raises(ValueError, match="a batch of 4 samples says nothing of aod; take a larger --batch"):
        applied("adversarial", task, replace(OPTIONS, batch=4))


def test_a_table_is_trained_again_by_another_seed(task):
    one = applied("retraining", task).classifier
    with seeded(0):
        other = tune(task.fresh(), task.training, baselines.training_options(OPTIONS), seed=0)
    assert not torch.equal(one.last.weight, other.last.weight)


def test_strategies_and_measures_fit_the_number_of_classes():
    assert chosen_strategies([], 2)[0] == "unchanged" and len(chosen_strategies([], 2)) == 18
    assert not set(chosen_strategies([], 10)) & set(OF_TWO_CLASSES)
    assert set(chosen_strategies([], 0)) == {
        "unchanged", "fine-tuning", "perturbation", "layerwise", "adversarial", *set(STRUCTURAL) - {"mimic"}
    }  # fmt: skip
    assert chosen_strategies(["prune"], 10) == ["unchanged", "prune"]
    assert chosen_strategies(["prune"], 2) == ["unchanged", "threshold", "prune"]
    with pytest.raises(ValueError, match="unknown strategy 'mend'; choose from unchanged, threshold"):
        chosen_strategies(["mend"], 2)
    with pytest.raises(ValueError, match="reject-option is for two classes; leave it out"):
        chosen_strategies(["reject-option"], 10)
    with pytest.raises(ValueError, match="retraining is for labelled images; leave it out"):
        chosen_strategies(["retraining"], 0)
    assert judge_of(RepairOptions(), 2) == Judge("balanced_accuracy", "aod")
    assert judge_of(RepairOptions(), 10) == Judge("accuracy", "bias_amplification")
    assert judge_of(RepairOptions(), 0) == Judge("identification_rate", "log_rank_disparity")
    with pytest.raises(ValueError, match="eod is no measure of 10 classes; take --bias bias_amplification"):
        judge_of(RepairOptions(bias="eod"), 10)
    with pytest.raises(ValueError, match="accuracy is no measure of faces; take --performance identification_rate"):
        judge_of(RepairOptions(performance="accuracy"), 0)


def a_result(strategy, seed=0, bias=0.02, difference=-0.1, half=0.05):
    ends = {"absolute_bias_difference_low": difference - half, "absolute_bias_difference_high": difference + half}
    performance = {f"performance{end}": 0.9 for end in ("", "_low", "_high")}
    performance |= {f"performance_difference{end}": 0.01 for end in ("", "_low", "_high")}
    biases = {"bias": bias, "bias_low": 0.0, "bias_high": 0.1, "absolute_bias_difference": difference, "eod": 0.1}
    about = {"n": 1500, "people": 1500, "objective": 0.9, "removed": None, "seconds": 1.0, "configuration": "c"}
    return Result(strategy=strategy, seed=seed, **performance, **biases, **ends, **about)


def test_only_what_an_interval_shows_is_said():
    threshold = a_result("threshold", bias=-0.12, difference=0.0, half=0.0)

    def study(*results):
        return RepairStudy("of", OPTIONS, "accuracy", "aod", "threshold", (threshold, *results))

    told = "prune is shown to {} |aod| against threshold in {} seeds: mean {}, threshold 0.120; accuracy +0.010"
    assert study(a_result("prune")).sentences()[0] == told.format("lessen", "1 of 1", "0.020")
    some = study(a_result("prune"), a_result("prune", seed=1, bias=-0.1, half=0.2))
    assert some.sentences()[0] == told.format("lessen", "1 of 2", "0.060")
    nothing = "No strategy is shown to lessen |aod| against threshold"
    assert study(a_result("prune", half=0.2)).sentences()[0] == nothing
    assert study(a_result("prune", bias=0.3, difference=0.18)).sentences()[:2] == [
        nothing, told.format("raise", "1 of 1", "0.300")
    ]  # fmt: skip
    undefined = replace(
        a_result("prune", seed=1), bias=None, absolute_bias_difference_low=None, absolute_bias_difference_high=None
    )
    half_defined = study(a_result("prune"), undefined)
    assert "1 of 2" in half_defined.sentences()[0] and half_defined.table().rows[1][3] == pytest.approx(0.02)
    assert study().sentences()[-1].startswith("Of n = 1,500 test samples")


@pytest.fixture(scope="module")
def csv_file(tmp_path_factory):
    """A table of numbers in which the label says itself over again, packed."""
    samples = samples_of(0, 900, 0.9)
    labels, second = samples.answers
    path = tmp_path_factory.mktemp("tables") / "people.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "group", "good", "bad"])
        for x, label, group in zip(samples.inputs.numpy(), labels, second, strict=True):
            writer.writerow([*(f"{value:.4f}" for value in x[:4]), int(group), label, 1 - label])
    return path


SMALL = ("--epochs", 2, "--mask-epochs", 2, "--training-epochs", 2, "--resamples", 20)


def test_a_table_is_repaired_and_continued(csv_file, tmp_path, dualfair):
    words = ("repair", "--table", csv_file, "--label", "good", "--protected", "group", *SMALL, "--seeds", 2)
    some = ("--strategy", "prune", "--strategy", "equalised-odds")
    result = dualfair(*words, *some, "--out", tmp_path / "out")
    assert result.status == 0, result.err
    assert "Left out, as they say good over again: bad" in result.out and "Warning" not in result.err
    study = RepairStudy.read(tmp_path / "out/repair.json", "")
    assert [(each.strategy, each.seed) for each in study.results] == [
        (name, seed) for seed in (0, 1) for name in ("unchanged", "threshold", "equalised-odds", "prune")
    ]
    assert all(each.n == 180 and 0 <= each.performance <= 1 for each in study.results)
    threshold = study.results[1]
    assert threshold.absolute_bias_difference == 0 and threshold.performance_difference == 0
    assert study.results[2].eod is not None and study.reference == "threshold"
    # Two epochs move no mask below 0, which is said.
    assert result.out.count("its mask removed nothing: take more --mask-epochs or a higher --mask-lr") == 2
    again = dualfair(*words, *some, "--out", tmp_path / "out")
    assert again.status == 0 and "prune, seed 0" not in again.out
    assert RepairStudy.read(tmp_path / "out/repair.json", "") == study
    # One strategy more: what is there stays, and is told.
    more = dualfair(*words, "--strategy", "fine-tuning", "--out", tmp_path / "out")
    assert "fine-tuning, seed 1" in more.out and "prune, seed 1" not in more.out
    assert {each.strategy for each in RepairStudy.read(tmp_path / "out/repair.json", "").results} == {
        "unchanged", "threshold", "equalised-odds", "prune", "fine-tuning"
    }  # fmt: skip
    other = dualfair(*words, *some, "--bound", 0.2, "--out", tmp_path / "out")
    assert other.status == 2 and "is of another network, data or options; choose another directory" in other.err


@pytest.mark.parametrize("damage", [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 nothing", b"no gzip at all"])
def test_a_packed_table_that_is_damaged_is_refused_in_a_line(tmp_path, dualfair, damage):
    (tmp_path / "t.csv.gz").write_bytes(damage)
    words = ("--table", tmp_path / "t.csv.gz", "--label", "a", "--protected", "b", "--out", tmp_path / "out")
    result = dualfair("repair", *words)
    assert result.status == 2 and "is no CSV of numbers with a header" in result.err


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,0,1\n0,1,2\n1,1,3\n", encoding="utf-8-sig")
    assert Table(tmp_path / "t.csv", "a", "b").features.shape == (3, 2)


def test_a_table_leaves_the_label_out_of_its_features(csv_file):
    table = Table(csv_file, "good", "group")
    assert table.left_out == ("bad",) and table.features.shape == (900, 5)
    assert sum(isinstance(layer, nn.Linear) for layer in network(5).modules()) == 12


@pytest.mark.parametrize(
    ("text", "words", "line"),
    [
        ("a,b\n1,2\n", ("--label", "c", "--protected", "b"), "has no column 'c'; it has a, b"),
        (
            "a,b\n1,0\n0,2\n",
            ("--label", "a", "--protected", "b"),
            "column 'b' of {path} must hold 0 and 1, got 0.0, 2.0",
        ),
        ("a,b\n1,x\n", ("--label", "a", "--protected", "b"), "{path} is no CSV of numbers with a header"),
        ("", ("--label", "a", "--protected", "b"), "{path} is no CSV of numbers with a header"),
        ("a,b\n1,nan\n", ("--label", "a", "--protected", "b"), "must have 2 finite numbers in every row"),
        ("a,b\n1,0\n0,1\n", ("--label", "a", "--protected", "b"), "has no column but those that say a over again"),
        ("a,b,c\n1,0,3\n0,1,4\n0,0,1\n1,1,5\n", ("--label", "a", "--protected", "b"), "there are too few (of a run"),
        ("a,b\n1,0\n", ("--protected", "b"), "--label with --table"),
        ("a,b\n1,0\n", ("--label", "a", "--protected", "b", "--epochs", 0), "epochs must be 1 or more, got 0"),
        ("a,b\n1,0\n", ("--label", "a", "--protected", "b", "--lr", 0), "lr must be above 0, got 0"),
        ("a,b\n1,0\n", ("--label", "a", "--protected", "b", "--share", "gone"), "share must be one of kept, removed"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(tmp_path, dualfair, text, words, line):
    path = tmp_path / "table.csv"
    path.write_text(text)
    result = dualfair("repair", "--table", path, *words, "--out", tmp_path / "out")
    assert result.status == 2 and line.format(path=path) in result.err, result.err
    assert not list((tmp_path / "out").glob("*/seed-*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("repair")


@pytest.fixture
def trained(dualfair, place):
    """Digits in two tints that go with the class, and networks that were trained on them."""
    from sklearn.datasets import load_digits

    if (place / "run/retrain").is_dir():
        return place
    digits, rng = load_digits(), np.random.default_rng(0)
    chosen = digits.target < 4
    pixels, labels = digits.images[chosen] / 16, digits.target[chosen]
    warm = np.where(rng.random(len(labels)) < 0.85, labels < 2, labels >= 2)
    tint = np.where(warm[:, None], [1.0, 0.7, 0.4], [0.4, 0.7, 1.0])
    images = np.clip(255 * np.kron(pixels, np.ones((4, 4)))[..., None] * tint[:, None, None], 0, 255).astype(np.uint8)
    np.savez(place / "d.npz", images=images, labels=labels, groups=np.where(warm, "warm", "cold"))
    for words in (
        ("images", "import", "npz", place / "d.npz", "--out", place / "digits"),
        ("train", "--images", place / "digits", "--out", place / "run", "--size", 32, "--no-flip", "--epochs", 0.3),
        ("search", "--run", place / "run", "--population", 2, "--generations", 1, "--calibrate", 16),
        ("retrain", "--run", place / "run", "--genotype", "202:softmax", "--epochs", 4, "--seeds", 1),
        ("retrain", "--run", place / "run", "--backbone", "test_resnet", "--head", "cosface", "--seeds", 1),
    ):
        result = dualfair(*words)
        assert result.status == 0, result.err
    return place


NETWORK = "run/retrain/202-202-202-202_softmax/seed-0"


def test_a_network_of_labelled_images_is_repaired_and_opens_as_a_training(trained, dualfair):
    words = ("repair", trained / NETWORK, "--images", trained / "digits", "--protected", "group", *SMALL)
    some = ("--strategy", "prune", "--strategy", "fine-tuning", "--mask-lr", 4)
    result = dualfair(*words, *some, "--out", trained / "out")
    assert result.status == 0, result.err
    assert "removed nothing" not in result.out
    study = RepairStudy.read(trained / "out/repair.json", "")
    assert study.bias == "bias_amplification" and study.performance == "accuracy"
    (pruned,) = study.by_strategy["prune"]
    assert pruned.removed > 0 and pruned.eod is None and (pruned.bias_low, pruned.bias_high) == (None, None)
    network = open_standalone(trained / "out/prune/seed-0", torch.device("cpu"), print).network
    zeros = sum(int((weight == 0).sum()) for weight in network.parameters() if weight.ndim > 1)
    assert zeros == round(pruned.removed * sum(weight.numel() for weight in network.parameters() if weight.ndim > 1))
    report = dualfair("evaluate", "--network", trained / "out/prune/seed-0", "--faces", trained / "digits",
                      "--out", trained / "evaluated", "--resamples", 0)  # fmt: skip
    assert report.status == 0, report.err
    error = json.loads((trained / "evaluated/report.json").read_text())["classification"]["all"]["error"]["value"]
    assert 1 - error == pytest.approx(pruned.performance)
    exported = dualfair("export", trained / "out/fine-tuning/seed-0", "--to", trained / "exported", "--format", "state")
    assert exported.status == 0, exported.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--protected", "hat"), "unknown group column 'hat'"),
        (("--protected", "label"), "column 'label' must have two groups, it has 4"),
        (("--protected", "group", "--strategy", "threshold"), "threshold is for two classes; leave it out"),
        (("--protected", "group", "--bias", "spd"), "spd is no measure of 4 classes; take --bias bias_amplification"),
        (("--protected", "group", "--table", "t.csv"), "give either a TRAINING with --images, or --table"),
    ],
)
def test_what_cannot_be_repaired_is_refused_in_a_line(trained, tmp_path, dualfair, words, line):
    result = dualfair(
        "repair", trained / NETWORK, "--images", trained / "digits", *words, *SMALL, "--out", tmp_path / "out"
    )
    assert result.status == 2 and line in result.err, result.err


def test_other_networks_are_refused(trained, tmp_path, dualfair):
    words = ("--images", trained / "digits", "--protected", "group", *SMALL, "--out", tmp_path / "out")
    margin = dualfair("repair", trained / "run/retrain/timm.test_resnet_cosface/seed-0", *words)
    assert margin.status == 2 and "of labelled images repair takes the head softmax" in margin.err
    nothing = dualfair("repair", trained / "run", *words)
    assert nothing.status == 2 and "is no training of ours" in nothing.err
