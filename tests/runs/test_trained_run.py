"""Which people a stage sees."""

import numpy as np

from dualfair.runs.trained_run import keep_people
from dualfair.supernet.images.face_set import FaceSet


def faces_of(people=(("a", 8), ("b", 16)), images=3):
    names = [f"{group}{number}" for group, n in people for number in range(n)]
    identities = np.repeat(names, images)
    groups = np.array([name[0] for name in identities])
    return FaceSet(np.zeros((len(identities), 4, 4, 3), np.uint8), np.arange(len(identities)), identities, groups, 4)


def people_of(faces):
    return set(faces.identities.tolist())


def test_people_kept_to_confirm_a_front_leave_the_validation_split():
    splits = {"validation": faces_of()}
    assert keep_people(splits, 0.5, seed=0) == ""
    assert not people_of(splits["validation"]) & people_of(splits["confirmation"])
    assert people_of(splits["validation"]) | people_of(splits["confirmation"]) == people_of(faces_of())


def test_too_few_people_are_left_to_the_search_and_it_is_said():
    splits = {"validation": faces_of((("a", 3), ("b", 9)))}
    assert (
        keep_people(splits, 0.5, seed=0) == "too few people to confirm: group 'a' has 3 validation people; 4 are needed"
    )
    assert [*splits] == ["validation"] and len(people_of(splits["validation"])) == 12
