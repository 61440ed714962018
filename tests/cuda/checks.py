"""The checks by their names, in the order of their weight: what comes last is lost first where time is short."""

from functools import partial

from tests.cuda.equality import TRAINED, checkpoints, gradients, pointwise, training
from tests.cuda.running import Check
from tests.cuda.scoring import generation, ranks, scored
from tests.cuda.stages import four_stages, free_again
from tests.cuda.steps import network_steps, strict_steps


def checks_on(device: str) -> dict[str, Check]:
    """What is checked on a device; on a CPU what it can do in some seconds."""
    gpu = device != "cpu"
    strict = {"nano": 16, "small": 128, "paper": 256} if gpu else {"nano": 2}
    alone = {"nano": 16, "paper": 64} if gpu else {"nano": 2}
    return {
        **{f"gradients {name}": partial(gradients, name) for name in (("nano", "small") if gpu else ("nano",))},
        **{f"training {name}": partial(training, name) for name in TRAINED},
        "checkpoints": checkpoints,
        "grouped 1x1": pointwise,
        **{f"step {name} x {batch}": partial(strict_steps, name, batch) for name, batch in strict.items()},
        **{f"step {name} 101 x {batch}": partial(network_steps, name, batch) for name, batch in alone.items()},
        "ranks": ranks,
        "stages": four_stages,
        "memory": free_again,
        "scoring": scored,
        "generation": generation,
    }
