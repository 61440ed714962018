"""DualFair: searches face recognition networks that are accurate and treat groups of people alike.

This is the Python door: the stages as functions with the command line's options as keyword arguments, whose results are
records (`door` says more), and names to build on. Everything is loaded when it is asked for.

    import dualfair

    dualfair.train("faces", "run", epochs=20)
    front = dualfair.search("run", population=16)

Rooms: `commands` is the command line, `stages` the four of a run and what they share; `studies` ask one question each.
`runs` knows what a run directory holds, `presentation` how numbers are shown. `reporting`, `exporting`, `planning`,
`benchmarks`, `conformance` and `doctor` serve one command each, `guides` are for readers. `supernet` has all that has
weights, `evaluation` judges it, `evolution` searches.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dualfair.door import correlate, evaluate, export, generate_faces, open_run, retrain, search, train
    from dualfair.evaluation.cost import macs, parameters
    from dualfair.evaluation.metrics.disparity import DISPARITIES
    from dualfair.evaluation.metrics.identification import ranks
    from dualfair.evaluation.objectives import OBJECTIVES, Candidate, EmbeddedFaces, Objective
    from dualfair.evolution.nsga2 import evolve
    from dualfair.supernet.genotype import Genotype
    from dualfair.supernet.network import Supernet, build
    from dualfair.supernet.space import SPACES, ChoiceBlock, SearchSpace
    from dualfair.supernet.training.recipe import Recipe
    from dualfair.supernet.training.sampling import StrictFairSampler
    from dualfair.supernet.training.trainer import Trainer

_HOMES = {
    "door": ("generate_faces", "train", "search", "retrain", "correlate", "evaluate", "export", "open_run"),
    "evaluation.cost": ("macs", "parameters"),
    "evaluation.metrics.disparity": ("DISPARITIES",),
    "evaluation.metrics.identification": ("ranks",),
    "evaluation.objectives": ("OBJECTIVES", "Candidate", "EmbeddedFaces", "Objective"),
    "evolution.nsga2": ("evolve",),
    "supernet.genotype": ("Genotype",),
    "supernet.network": ("Supernet", "build"),
    "supernet.space": ("SPACES", "ChoiceBlock", "SearchSpace"),
    "supernet.training.recipe": ("Recipe",),
    "supernet.training.sampling": ("StrictFairSampler",),
    "supernet.training.trainer": ("Trainer",),
}
"""Where the names at the door live."""
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["correlate", "evaluate", "export", "generate_faces", "open_run", "retrain", "search", "train"]
__all__ += ["DISPARITIES", "OBJECTIVES", "SPACES", "Candidate", "ChoiceBlock", "EmbeddedFaces", "Genotype", "Objective"]
__all__ += ["Recipe", "SearchSpace", "StrictFairSampler", "Supernet", "Trainer", "build", "evolve", "macs"]
__all__ += ["parameters", "ranks"]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'dualfair' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dualfair.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
