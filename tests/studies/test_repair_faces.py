"""Repair of networks that embed faces: who is tuned on, by what loss, who judges, and what is written."""

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dualfair.evaluation.decisions import Judge
from dualfair.evaluation.metrics.identification import ranks
from dualfair.evaluation.scoring.embedding import embed
from dualfair.runs.standalone import open_standalone
from dualfair.studies.repair import RepairOptions
from dualfair.studies.repair.faces import FaceTask, People, Prototypes
from dualfair.studies.repair.strategies import masks_of
from dualfair.studies.repair.study import RepairStudy
from dualfair.studies.repair.task import Classifier
from dualfair.studies.repair.tuning import AdversarialOptions, TuningOptions, tune_against_critic
from dualfair.supernet.genotype import MARGIN_HEADS
from dualfair.supernet.heads import make_head
from dualfair.supernet.images.augmentation import to_input
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.images.splits import divide_people, open_splits
from dualfair.supernet.images.store import open_store
from dualfair.supernet.network import build
from dualfair.supernet.production.timm_model import embedder_of


def people(images=(4, 3, 5, 2, 4, 6, 3), second=(0, 0, 0, 0, 1, 1, 1), size=24):
    """So many images of each person, who is of the second group or not."""
    labels = torch.arange(len(images)).repeat_interleave(torch.tensor(images))
    pixels = torch.randint(0, 256, (len(labels), size, size, 3), generator=torch.Generator().manual_seed(0))
    of = torch.tensor(second, dtype=torch.bool)[labels]
    return People(pixels.byte(), labels, of, np.array([f"p{label}" for label in labels.tolist()]), to_input)


def task_of(tiny, head, samples=None):
    torch.manual_seed(0)
    network = build(f"101:{head}", tiny, 5).eval()
    samples = samples or people()
    body = embedder_of(network)
    weight = torch.randn(int(samples.labels.max()) + 1, network.heads[head].neck.embedding)
    judge = Judge("identification_rate", "log_rank_disparity")
    classifier = Classifier(body, Prototypes(weight)).eval()
    return FaceTask(
        classifier, samples, samples, samples, judge, outside=("last.weight",), head=network.heads[head], scale=12.0
    )


def test_as_many_people_of_both_groups_are_tuned_on_with_all_their_images():
    balanced = people().balanced(0)
    counts = balanced.labels.bincount()
    assert balanced.labels.unique().tolist() == list(range(6))
    assert [len(balanced.labels[balanced.second == group].unique()) for group in (0, 1)] == [3, 3]
    names = [set(balanced.identities[balanced.labels.numpy() == label]) for label in range(6)]
    assert all(len(name) == 1 for name in names) and len(set.union(*names)) == 6
    whole = people().labels.bincount()
    assert counts.tolist() == [whole[int(min(name)[1:])] for name in names]
    assert {frozenset(people().balanced(seed).identities) for seed in range(9)} != {frozenset(balanced.identities)}


def test_even_batches_have_people_with_their_mates_and_both_groups_in_turn():
    samples, orders = people(), []
    for seed in (1, 2):
        order = samples.evenly(torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed)))
        orders.append(order.tolist())
        assert sorted(orders[-1]) == list(range(len(samples)))
        labels = samples.labels[order]
        begun = torch.cat([torch.ones(1, dtype=torch.bool), labels[1:] != labels[:-1]])
        assert int(begun.sum()) == 7
        assert samples.second[order][begun].tolist() in ([False, True] * 3 + [False], [True, False] * 3 + [False])
    assert orders[0] != orders[1]


@pytest.mark.parametrize("head", MARGIN_HEADS)
def test_the_loss_is_that_of_the_head_with_class_weights_of_the_people(tiny, head):
    task, images = task_of(tiny, head), people()
    inputs, labels = to_input(images.inputs), images.labels
    own = make_head(head, tiny, 7)
    own.neck.load_state_dict(task.head.neck.state_dict())
    own.weight = task.classifier.last.weight
    own.eval()
    network = build(f"101:{head}", tiny, 5).eval()
    network.trunk.load_state_dict(task.classifier.body.trunk.state_dict())
    classified = own(network.trunk(inputs, network.spec.blocks), labels)
    expected = nn.functional.cross_entropy(classified.logits(12.0), labels) + classified.penalty
    assert torch.allclose(task.batch_loss(task.classifier, inputs, labels, images.second), expected, atol=1e-5)


def test_decisions_are_the_ranks_that_networks_are_judged_by(tiny):
    task, samples = task_of(tiny, "cosface"), people()
    faces = FaceSet(samples.inputs.numpy(), np.arange(len(samples)), samples.identities, samples.identities, 24)
    expected = ranks(embed(task.classifier.body, faces), samples.identities)
    decisions = task.decisions(task.classifier, samples)
    assert decisions.tolist() == expected.values.tolist()
    assert task.value(task.classifier) == task.judge.value(decisions, *samples.answers)
    # Within a batch whoever is alone has no rank, and one person alone no one to be mistaken for.
    some = torch.tensor([0, 1, 4])
    embedding = task.classifier.body(to_input(samples.inputs[some])).detach()
    assert np.isnan(task.decide((embedding, None), samples.labels[some])).tolist() == [False, False, True]
    assert np.isnan(task.decide((embedding[:2], None), samples.labels[:2])).all()
    broken = copy.deepcopy(task.classifier)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    assert task.value(broken) == -1


def test_class_weights_are_tuned_but_not_masked(tiny):
    task = task_of(tiny, "arcface")
    options = RepairOptions(mask_epochs=2, epochs=2, batch=16, mask_lr=4)
    assert "last.weight" not in (masks := masks_of(task, options, 0)) and len(masks) > 5
    assert any(not mask.all() for mask in masks.values())
    tuned = tune_against_critic(task, TuningOptions(epochs=2, batch=16, lr=1e-2), AdversarialOptions(), seed=0)
    assert not torch.equal(tuned.last.weight, task.classifier.last.weight)
    with pytest.raises(ValueError, match="a batch of 2 samples says nothing of log_rank_disparity"):
        tune_against_critic(task, TuningOptions(epochs=1, batch=2, lr=1e-2), AdversarialOptions(), seed=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("repair")


@pytest.fixture
def trained(dualfair, place):
    """Generated faces, and a network that was trained on some of them."""
    if not (place / "run/retrain").is_dir():
        for words in (
            ("faces", "synth", "--identities", 60, "--images", 4, "--size", 32, "--out", place / "faces"),
            ("train", "--faces", place / "faces", "--out", place / "run", "--size", 32, "--epochs", 0.3),
            ("search", "--run", place / "run", "--population", 2, "--generations", 1, "--calibrate", 16),
            ("retrain", "--run", place / "run", "--genotype", "101:cosface", "--epochs", 2, "--seeds", 1),
        ):
            result = dualfair(*words)
            assert result.status == 0, result.err
    return SimpleNamespace(place=place, network=next((place / "run/retrain").glob("101*/seed-0")))


SMALL = ("--epochs", 2, "--mask-epochs", 2, "--mask-lr", 4, "--batch", 16, "--resamples", 20)


def test_a_network_of_faces_is_repaired_judged_on_others_and_opens_as_a_training(trained, dualfair):
    place, out = trained.place, trained.place / "out"
    words = ("repair", trained.network, "--images", place / "faces", "--protected", "group", *SMALL)
    result = dualfair(*words, "--strategy", "prune", "--strategy", "netaug", "--out", out)
    assert result.status == 0, result.err
    study = RepairStudy.read(out / "repair.json", "")
    assert (study.performance, study.bias) == ("identification_rate", "log_rank_disparity")
    unchanged, pruned = study.by_strategy["unchanged"][0], study.by_strategy["prune"][0]
    # Those who judge are the people whom a search of that run keeps to confirm its front.
    splits = open_splits(open_store(place / "faces"), group_column="group", fractions=(0.6, 0.2, 0.2), seed=0, size=32)
    _, confirmation = divide_people(splits["validation"], 0.5, 0)
    network = open_standalone(trained.network, torch.device("cpu"), print).network
    of = ranks(embed(network, confirmation), confirmation.identities)
    assert unchanged.n == len(confirmation) and unchanged.people == confirmation.identity_count
    assert unchanged.performance == pytest.approx(of.correct.mean())
    assert pruned.removed > 0 and pruned.eod is None and pruned.bias is not None
    again = open_standalone(out / "prune/seed-0", torch.device("cpu"), print)
    weights = [weight for weight in embedder_of(again.network).parameters() if weight.ndim > 1]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    assert zeros == round(pruned.removed * sum(weight.numel() for weight in weights))
    of = ranks(embed(again.network, confirmation), confirmation.identities)
    assert pruned.performance == pytest.approx(of.correct.mean())
    assert again.repaired_on == open_store(place / "faces").fingerprint
    for split, said in (("validation", True), ("test", False)):
        report = dualfair("evaluate", "--network", out / "netaug/seed-0", "--faces", place / "faces", "--split", split,
                          "--out", place / split, "--resamples", 0)  # fmt: skip
        assert report.status == 0, report.err
        assert ("was repaired by some of these people: its numbers are too good" in report.out) is said, report.out
    exported = dualfair("export", out / "prune/seed-0", "--to", place / "exported", "--format", "state")
    assert exported.status == 0, exported.err
    about = json.loads((place / "exported/dualfair.json").read_text())
    assert about["repaired_on"] == again.repaired_on and "bits" not in about
    assert open_standalone(place / "exported", torch.device("cpu"), print).repaired_on == again.repaired_on


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--protected", "hat"), "unknown group column 'hat'"),
        (("--protected", "group", "--strategy", "confusion"), "confusion is for labelled images; leave it out"),
        (("--protected", "group", "--bias", "aod"), "aod is no measure of faces; take --bias log_rank_disparity or"),
        (("--protected", "group", "--scale", 0), "scale must be above 0, got 0"),
    ],
)
def test_what_cannot_be_repaired_is_refused_in_a_line(trained, tmp_path, dualfair, words, line):
    result = dualfair(
        "repair", trained.network, "--images", trained.place / "faces", *words, *SMALL, "--out", tmp_path / "out"
    )
    assert result.status == 2 and line in result.err, result.err


def test_images_of_another_kind_are_refused(trained, tmp_path, dualfair):
    images = np.zeros((20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(20) % 2)
    assert dualfair("images", "import", "npz", tmp_path / "d.npz", "--out", tmp_path / "images").status == 0
    words = ("--images", tmp_path / "images", "--protected", "group", *SMALL, "--out", tmp_path / "out")
    result = dualfair("repair", trained.network, *words)
    assert result.status == 2 and "one is of faces, the other of labelled images" in result.err


def test_other_faces_are_refused(trained, tmp_path, dualfair):
    other = ("faces", "synth", "--identities", 12, "--images", 3, "--size", 32, "--seed", 5, "--out", tmp_path / "o")
    assert dualfair(*other).status == 0
    words = ("--images", tmp_path / "o", "--protected", "group", *SMALL, "--out", tmp_path / "out")
    result = dualfair("repair", trained.network, *words)
    assert result.status == 2 and "was not trained on" in result.err and "name the images" in result.err
