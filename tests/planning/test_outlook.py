"""What is said of a set before anything is spent on it."""

import re
from pathlib import Path

import pytest

import dualfair.guides
from dualfair.evaluation.searchability import ENOUGH
from dualfair.planning.outlook import MEASURED, outlook, outlook_of
from dualfair.runs.options import FEW_TO_TRAIN_ON
from dualfair.supernet.images.inspection import Count

FEW = "people are few to train on from scratch. Start from a supernet of more people"


@pytest.mark.parametrize(
    ("scored", "people", "told"),
    [
        (1, 20, "few networks will be told apart; 160 people were enough"),
        (25, 20, "few networks will be told apart"),
        (30, 40, "few networks will be told apart"),
        (120, 160, "networks can be told apart in error"),
        (10**6, 900, "networks can be told apart in error"),
    ],
)
def test_the_measured_set_next_in_size_tells_what_to_expect(scored, people, told):
    (line,) = outlook(FEW_TO_TRAIN_ON, scored)
    error = next(measured.error for measured in MEASURED if measured.people == people)
    assert f"a search scores on {scored:,} people. {people} generated people told random networks apart" in line
    assert f"reliability {error:.2f} in error" in line and told in line


def test_few_people_to_train_on_are_told_how_to_begin():
    lines = outlook(FEW_TO_TRAIN_ON - 1, 500)
    assert f"{FEW_TO_TRAIN_ON - 1} {FEW}" in lines[1] and "--weights-from RUN" in lines[1] and "--teacher" in lines[1]


def test_half_of_the_validation_people_of_a_folder_are_scored_on():
    counts = [
        Count("train", "a", 40, 80, 40),
        Count("train", "b", 30, 60, 30),
        Count("validation", "a", 41, 80, 40),
        Count("validation", "b", 40, 80, 40),
    ]
    lines = outlook_of(counts)
    assert "a search scores on 40 people" in lines[0] and f"70 {FEW}" in lines[1]
    assert outlook_of(counts[:2]) == [] == outlook_of([])


def test_the_guide_has_the_measured_sets():
    guide = (Path(dualfair.guides.__file__).parent / "few-people.md").read_text()
    rows = re.findall(r"\| (\d+) \| (\d\.\d\d) \[.*?\] \| (\d\.\d\d) \[", guide)
    assert [(float(n), float(error), float(disparity)) for n, error, disparity in rows] == [
        (of.people, of.error, of.rank_disparity) for of in MEASURED
    ]
    assert min(of.people for of in MEASURED if of.error >= ENOUGH) == 160
