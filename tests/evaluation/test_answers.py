"""Labelled images are judged by the same objectives as faces, of the ranks of the true class."""

import dataclasses

import numpy as np
import pytest
import torch

from dualfair.evaluation.answers import ClassifiedImages, answered
from dualfair.evaluation.objective_grammar import parse_objectives
from dualfair.evaluation.objectives import OBJECTIVES, EmbeddedFaces
from dualfair.evaluation.protocol import EvaluationProtocol, evaluate_faces
from dualfair.evaluation.scoring.scorer import InheritedScorer, population_answers
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.images.labelled_set import LabelledSet
from dualfair.supernet.network import Supernet

CLASSES = ("cat", "dog", "eel")
IMAGES = 90


@pytest.fixture
def images(tiny):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, tiny.image_size, tiny.image_size, 3), dtype=np.uint8)
    classes = np.array(CLASSES)[np.arange(IMAGES) % 3]
    groups = np.where(np.arange(IMAGES) // 3 % 2, "a", "b")
    numbers = np.arange(IMAGES)
    return LabelledSet(pixels, numbers, numbers.astype(str), groups, tiny.image_size, classes, CLASSES)


@pytest.fixture
def supernet(tiny):
    torch.manual_seed(0)
    return Supernet(tiny, len(CLASSES), ("softmax", "cosface")).eval()


def by_hand(supernet, path, images):
    pixels = images.read(np.arange(len(images))).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        return supernet.heads[path.head].class_scores(supernet(pixels, path)).numpy()


@pytest.mark.parametrize("head", ["softmax", "cosface"])
def test_networks_answer_with_class_scores_and_without_mirror_images(supernet, images, head):
    path = Genotype.parse(f"101:{head}").repeat(len(supernet.trunk.blocks))
    scores = population_answers(supernet, [path], images, None, batch=32)[path]
    assert scores.shape == (IMAGES, len(CLASSES))
    np.testing.assert_allclose(scores, by_hand(supernet, path, images), atol=1e-5)


def test_the_scorer_gives_error_and_disparities_of_the_classes(supernet, images):
    protocol = EvaluationProtocol(objectives=parse_objectives("error,eod,balanced_error,macs"))
    scorer = InheritedScorer(supernet, images, None, protocol, resamples=20)
    path = Genotype.parse("101:softmax").repeat(len(supernet.trunk.blocks))
    row = dict(zip(scorer.columns, scorer([path])[0], strict=True))
    predicted = by_hand(supernet, path, images).argmax(1)
    wrong = predicted != images.labels
    assert row["error"] == pytest.approx(wrong.mean())
    assert row["balanced_error"] == pytest.approx(np.mean([wrong[images.labels == k].mean() for k in range(3)]))
    assert row["error of a"] == pytest.approx(wrong[images.groups == "a"].mean())
    assert row["accuracy_disparity"] == pytest.approx(abs(row["error of a"] - row["error of b"]))
    rates = [
        [np.mean(predicted[(images.groups == group) & (images.labels == k)] == k) for k in range(3)] for group in "ab"
    ]
    assert row["eod"] == pytest.approx(np.abs(np.subtract(*rates)).max())
    assert row["error low"] <= row["error"] <= row["error high"]
    assert row["eod low"] <= row["eod"] <= row["eod high"]


def classified(groups=None):
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    scores = 1.5 * np.eye(3)[labels] + rng.standard_normal((60, 3))
    groups = np.where(np.arange(60) // 3 % 2, "a", "b") if groups is None else groups
    return ClassifiedImages(scores, labels, CLASSES, np.arange(60).astype(str), groups)


def test_disparities_are_of_the_ranks_of_the_true_class():
    images = classified()
    ranks = (images.scores >= images.scores[np.arange(60), images.labels][:, None]).sum(1) - 1
    in_a = images.groups == "a"
    difference = abs(ranks[in_a].mean() - ranks[~in_a].mean())
    assert difference > 0 and OBJECTIVES["rank_disparity"].value(images) == pytest.approx(difference)
    of_errors = abs((ranks[in_a] > 0).mean() - (ranks[~in_a] > 0).mean())
    assert OBJECTIVES["accuracy_disparity"].value(images) == pytest.approx(of_errors)


def test_objectives_of_another_kind_of_images_are_refused_by_name():
    with pytest.raises(ValueError, match=r"objective tar is of faces"):
        OBJECTIVES["tar"].value(classified())
    faces = answered_faces()
    with pytest.raises(ValueError, match=r"objective eod is of labelled images"):
        OBJECTIVES["eod"].value(faces)


def answered_faces():
    return EmbeddedFaces(np.eye(4), ["x", "x", "y", "y"], ["a", "a", "b", "b"])


@pytest.mark.parametrize("kind", ["faces", "images"])
def test_what_another_network_answers_of_the_same_images_is_judged_as_if_it_were_the_first(kind):
    rng = np.random.default_rng(0)
    people, groups, answers = np.repeat(np.arange(20), 6), np.arange(120) // 6 % 2, rng.standard_normal((2, 120, 8))

    def answered_by(number):
        if kind == "faces":
            return EmbeddedFaces(answers[number], people, groups)
        names = [f"class {label}" for label in range(8)]
        return ClassifiedImages(answers[number], people % 8, names, people, groups)

    first = answered_by(0)
    verdict, other = evaluate_faces(first, EvaluationProtocol()), first.answering(answers[1])
    assert evaluate_faces(other, EvaluationProtocol()) == evaluate_faces(answered_by(1), EvaluationProtocol())
    assert evaluate_faces(first, EvaluationProtocol()) == verdict
    assert other.people is first.people


def test_one_class_can_be_named_as_positive():
    (_, of_dogs) = parse_objectives("error,eod(positive=dog)")
    (_, of_all) = parse_objectives("error,eod")
    assert of_dogs.column == "eod(positive=dog)"
    assert of_dogs.value(classified()) <= of_all.value(classified())
    (_, unknown) = parse_objectives("error,eod(positive=yak)")
    with pytest.raises(ValueError, match=r"no class 'yak'; the classes are cat, dog, eel"):
        unknown.value(classified())


def test_a_gallery_of_classified_images_is_refused():
    (_, objective) = parse_objectives("error,rank_disparity(gallery=2)")
    with pytest.raises(ValueError, match="a gallery of 2 is of faces"):
        objective.value(classified())


def test_the_verdict_has_every_group_and_both_halves(images, supernet):
    path = Genotype.parse("101:softmax").repeat(len(supernet.trunk.blocks))
    scores = population_answers(supernet, [path], images, None)[path]
    verdict = evaluate_faces(answered(images, scores), EvaluationProtocol())
    assert [group.probes for group in verdict.groups] == [45, 45] and verdict.excluded == 0
    assert len(verdict.halves) == 2 and all(0 <= half["error"] <= 1 for half in verdict.halves)


@pytest.mark.parametrize(
    ("objectives", "line"),
    [
        ("error,tar(far=0.01)", "objective tar(far=0.01) is of faces; take another one for these images"),
        ("error,eod(positive=yak)", "objective eod(positive=yak): there is no class 'yak'; the classes are cat, dog"),
        ("error,rank_disparity(gallery=9)", "objective rank_disparity(gallery=9): a gallery of 9 is of faces"),
    ],
)
def test_what_is_not_to_be_had_of_labelled_images_is_refused_before_anything_is_scored(images, objectives, line):
    with pytest.raises(ValueError) as refused:
        EvaluationProtocol(objectives=parse_objectives(objectives)).check(images)
    assert str(refused.value).startswith(line)
    EvaluationProtocol(objectives=parse_objectives("error,eod(positive=dog),macs")).check(images)


def test_objectives_that_compare_groups_need_two_of_them(images):
    one_group = dataclasses.replace(images, groups=np.full(IMAGES, "all"))
    line = (
        "objective rank_disparity compares groups, and these 90 images have one group only; import them with a column"
    )
    with pytest.raises(ValueError, match=line):
        EvaluationProtocol().check(one_group)
    EvaluationProtocol(objectives=parse_objectives("error,macs")).check(one_group)
    EvaluationProtocol().check(images)


def test_labels_are_not_to_be_had_of_faces(faces):
    with pytest.raises(ValueError, match="objective eod is of labelled images; take another one for these images"):
        EvaluationProtocol(objectives=parse_objectives("error,eod")).check(faces)
    EvaluationProtocol(objectives=parse_objectives("error,rank_disparity(gallery=4),tar")).check(faces)
