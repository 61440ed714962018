"""What follows for the costs of a run from what its images are."""

import numpy as np
import pytest

from dualfair.planning.counts import FaceCounts, LabelledCounts

NUMBERS = {"training": 90, "classes": 9, "validation": 30, "test": 30}


def test_faces_are_mirrored_and_ranked_all_against_all_and_labelled_images_are_not():
    faces, labelled = FaceCounts(**NUMBERS), LabelledCounts(**NUMBERS)
    assert (faces.passes, labelled.passes) == (2, 1)
    assert (faces.comparisons(40), labelled.comparisons(40)) == (1600, 360)
    assert (faces.answer_length(64), labelled.answer_length(64)) == (64, 9)


def test_images_without_content_are_as_many_a_person_as_in_training_and_of_all_classes():
    faces, labelled = FaceCounts(**NUMBERS).random(40, 8), LabelledCounts(**NUMBERS).random(40, 8)
    assert np.unique(faces.identities, return_counts=True)[1].tolist() == [10] * 4
    assert FaceCounts(**NUMBERS).random(3, 8).identity_count == 1
    assert (labelled.class_count, labelled.identity_count, labelled.labels.max()) == (9, 40, 8)
    for images in (faces, labelled):
        assert images.group_names == ("a", "b") and images.read(np.arange(40)).shape == (40, 8, 8, 3)


@pytest.mark.parametrize(
    ("counts", "changed", "message"),
    [
        (FaceCounts, {"classes": 0}, "a set needs 1 or more people, got 0; see --identity-count"),
        (LabelledCounts, {"classes": 0}, "a set needs 1 or more classes, got 0; see --class-count"),
        (LabelledCounts, {"test": 0}, "a set needs 1 or more test images, got 0; see --split"),
        (LabelledCounts, {"classes": 91}, "91 classes need at least as many training images; there are 90"),
    ],
)
def test_too_few_are_refused(counts, changed, message):
    with pytest.raises(ValueError, match=message):
        counts(**{**NUMBERS, **changed})
