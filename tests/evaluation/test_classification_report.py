"""Classified images as a report: every number is the one that is counted by hand."""

import numpy as np
import pytest

from dualfair.evaluation.answers import ClassifiedImages
from dualfair.evaluation.classification_report import ClassifiedSubject, classification_report
from dualfair.evaluation.metrics.disparity import DISPARITIES
from dualfair.evaluation.options import EvaluateOptions
from dualfair.supernet.images.choice import Choice

OPTIONS = EvaluateOptions(resamples=50)


def images_of(classes, n=240, groups=("a", "b")):
    rng = np.random.default_rng(classes)
    labels = rng.integers(classes, size=n)
    of_group = np.array(groups)[np.arange(n) % len(groups)]
    scores = np.where(of_group == "a", 3.0, 1.0)[:, None] * np.eye(classes)[labels] + rng.standard_normal((n, classes))
    names = [f"c{number}" for number in range(classes)]
    return ClassifiedImages(scores, labels, names, np.arange(n).astype(str), of_group)


def measured(images, options=OPTIONS):
    groups = images.groups if len(set(images.groups)) > 1 else None
    chosen = Choice(np.arange(len(images.labels)), images.identities, groups, "group", "all images")
    return ClassifiedSubject("net", 0, images, chosen, "images").measure(DISPARITIES, options)[0]


@pytest.mark.parametrize("classes", [3, 8])
def test_errors_and_accuracies_are_those_that_are_counted_by_hand(classes):
    images = images_of(classes)
    report = classification_report(images, OPTIONS, by_group=True)
    order = np.argsort(-images.scores, axis=1)
    wrong = order[:, 0] != images.labels
    for name, members in (("all", images.groups != ""), ("a", images.groups == "a"), ("b", images.groups == "b")):
        rates = report.rows[name]
        assert rates.error.value == pytest.approx(wrong[members].mean()) and rates.error.n == members.sum()
        recalls = [np.mean(~wrong[members & (images.labels == number)]) for number in range(classes)]
        assert rates.balanced_accuracy.value == pytest.approx(np.mean(recalls))
        assert rates.error.interval.low <= rates.error.value <= rates.error.interval.high
        if classes > 5:
            outside = [label not in five for label, five in zip(images.labels, order[:, :5], strict=True)]
            assert rates.top5_error.value == pytest.approx(np.mean(np.array(outside)[members]))
        else:
            assert rates.top5_error is None
    for number, name in enumerate(images.class_names):
        accuracy, members = report.accuracy_by_class[name], images.labels == number
        assert accuracy.n == members.sum() and accuracy.value == pytest.approx(np.mean(~wrong[members]))


def test_disparities_are_of_correctness_and_of_the_rates_of_classes():
    images = images_of(3)
    rows = {row.name: row for row in measured(images).disparities}
    wrong, predicted = images.predicted != images.labels, images.predicted
    in_a = images.groups == "a"
    assert rows["accuracy_disparity"].value == pytest.approx(wrong[~in_a].mean() - wrong[in_a].mean())
    hits = [
        [np.mean(predicted[members & (images.labels == number)] == number) for number in range(3)]
        for members in (in_a, ~in_a)
    ]
    assert rows["eod"].value == pytest.approx(np.abs(np.subtract(*hits)).max())
    assert rows["eod"].interval.low <= rows["eod"].value <= rows["eod"].interval.high
    assert rows["eod"].variant == "largest over 3 classes" and rows["accuracy_disparity"].variant == "right or wrong"
    assert not [name for name in rows if "rank" in name]


def test_a_group_too_small_is_not_compared_and_one_group_alone_has_no_disparities():
    images = images_of(3)
    images.groups[:3] = "f"
    report = measured(images)
    assert "not compared, fewer than 5 images (--least-people): f" in report.notes
    assert set(report.classification.groups) == {"a", "b", "f"}
    assert set(next(row for row in report.disparities if row.name == "accuracy_disparity").groups) == {"a", "b"}
    assert next(row for row in report.disparities if row.name == "eod").value is not None
    alone = measured(images_of(3, groups=("a",)))
    assert alone.disparities is None and alone.classification.groups == {} and "no disparities" in alone.notes[0]
