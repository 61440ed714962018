"""Workloads for tests."""

from dualfair.planning.counts import FaceCounts
from dualfair.planning.workload import Workload
from dualfair.runs.options import ProtocolOptions, RetrainOptions, SearchOptions
from dualfair.supernet.space import ChoiceBlock, SearchSpace
from dualfair.supernet.training.recipe import Recipe


def small_space():
    """Sixteen genotypes of three blocks: choices that reach over blocks, and two heads."""
    return SearchSpace(
        [
            ChoiceBlock("all first", ("pre3", "raw1"), ((0, 0), (1, 0), (2, 0)), (0, 4)),
            ChoiceBlock("rest", ("pre5", "post1"), ((0, 1), (0, 2), (1, 1), (1, 2)), (2, 7)),
            ChoiceBlock("end", ("raw3", "post3"), ((2, 1), (2, 2)), (3, 6)),
            ChoiceBlock("head", ("arcface", "cosface")),
        ],
        "small",
    )


def workload_of(space, skeleton, **changed):
    """A run on 96 training images of 12 people; options of the stages are given by their own names."""
    values = {
        "faces": FaceCounts(training=96, classes=12, validation=40, test=30),
        "train": Recipe(batch=8),
        "retrain": Recipe(batch=8),
    }
    for name, config in (("search", SearchOptions), ("protocol", ProtocolOptions), ("retraining", RetrainOptions)):
        fields = [field for field in config.__dataclass_fields__ if field in changed]
        values[name] = config(**{field: changed.pop(field) for field in fields})
    return Workload(space=space, skeleton=skeleton, **{**values, **changed})
