import pytest

from dualfair.planning.counts import FaceCounts
from dualfair.supernet.space import ChoiceBlock, SearchSpace
from dualfair.supernet.training.recipe import Recipe
from tests.support.workloads import workload_of


@pytest.fixture
def planned(tiny):
    places = [(block, position) for block in range(3) for position in range(3)]
    choices = [
        ChoiceBlock(f"{block}.{position}", ("pre3", "raw5"), ((block, position),), (0, 5)) for block, position in places
    ]
    return workload_of(
        SearchSpace([*choices, ChoiceBlock("head", ("arcface", "cosface"))]),
        tiny,
        faces=FaceCounts(training=100, classes=12, validation=1000, test=500),
        train=Recipe(epochs=10, batch=10),
        retrain=Recipe(epochs=3, batch=10),
        population=6,
        generations=2,
        controls=1,
        seeds=2,
    )
