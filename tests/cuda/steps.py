"""Steps of a training: how long, at what share of a matrix product, and in how much memory, beside the forecasts."""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from dualfair.benchmarks.contest import Setting
from dualfair.benchmarks.contests import IDENTITIES, chosen_engine, parts, plain_steps
from dualfair.evaluation.cost import expected_macs, macs
from dualfair.planning.memory import covering_paths, training_memory
from dualfair.runs.devices import seeded
from dualfair.supernet.images.noise import random_faces
from dualfair.supernet.network import Supernet, build
from dualfair.supernet.skeleton import skeleton_of
from dualfair.supernet.training.recipe import GRAPH, PATHS, Recipe
from dualfair.supernet.training.step_engine import joint_memory
from dualfair.supernet.training.trainer import Trainer
from tests.cuda.devices import forget, seconds_of
from tests.cuda.running import Row, at_least

REPEATS, WARM_UP = {"cuda": 10, "cpu": 2}, {"cuda": 3, "cpu": 1}
FLOPS = 6
"""Floating-point operations of a training step for every multiply-accumulate of a forward pass."""
PRODUCT = 8192
"""Side of the matrices of the product that steps are measured against; a CPU multiplies smaller ones."""
RATIOS = {"nano": 8, "small": 2}
"""How many times the plain loop's speed a graph has to have."""
SHARES = {"paper": 0.36}
"""Which share of the matrix product's rate the engine that is chosen has to have."""
PLAIN = "plain loop"


def repeats(device: str) -> tuple[int, int]:
    """How many steps are timed, and how many go before; on a CPU no time is demanded."""
    kind = torch.device(device).type
    return REPEATS[kind], WARM_UP[kind]


def strict_steps(skeleton: str, batch: int, device: str) -> Iterator[Row]:
    """A strict step by the plain loop in our layout, path by path, and as one graph; all on the same random faces."""
    setting = Setting(device=device, skeleton=skeleton, batch=batch)
    space, paths = setting.space, max(setting.space.sizes)
    flops = FLOPS * paths * batch * (expected_macs(space, setting.shape) + IDENTITIES * setting.shape.embedding)
    engine, product = chosen_engine(setting).name, product_rate(device)
    yield Row("chosen engine", engine)
    yield Row("bfloat16 matrix product", product / 1e12, "TFLOP/s")
    # They take seconds, and on a GPU most of a small training's memory is what libraries take.
    forecasts = {} if skeleton == "nano" and device != "cpu" else _forecasts(setting)
    # One for all, as a large one takes long to make; what it holds does not matter to how long steps take.
    supernet, faces, recipe, _ = parts(setting)

    def steps(engine: str) -> Iterator[object]:
        return Trainer(supernet, faces, recipe, seed=0, space=space, device=device, step=engine).run()

    ways: dict[str, Callable[[], Iterator[object]]] = {
        PLAIN: lambda: plain_steps(supernet, faces, recipe, space, device, torch.channels_last),
        PATHS: partial(steps, PATHS),
        GRAPH: partial(steps, GRAPH),
    }
    seconds = {}
    for name, make in ways.items():
        supernet.zero_grad()
        forget(device)
        try:
            seconds[name] = seconds_of(partial(next, make()), device, *repeats(device))
        except torch.OutOfMemoryError as error:
            yield Row(f"{name}: out of memory ({str(error).splitlines()[0][:80]})", None, passed=name != engine)
            continue
        share = flops / seconds[name] / product
        demanded = SHARES.get(skeleton) if name == engine else None
        yield Row(f"{name}, a step", 1000 * seconds[name], "ms")
        what = f"{name}, rate of the matrix product"
        yield at_least(what, share, demanded) if demanded else Row(what, share)
        yield from _memory(name, device, forecasts.get(name, {}))
    if {PLAIN, PATHS} <= seconds.keys():
        yield Row("paths against the plain loop", seconds[PLAIN] / seconds[PATHS], "times")
    if {PLAIN, GRAPH} <= seconds.keys():
        what, ratio = "graph against the plain loop", seconds[PLAIN] / seconds[GRAPH]
        demanded = RATIOS.get(skeleton) if device != "cpu" else None
        yield at_least(what, ratio, demanded, "times") if demanded else Row(what, ratio, "times")


def network_steps(skeleton: str, batch: int, device: str) -> Iterator[Row]:
    """A step of one network, 101 with CosFace, path by path and as a graph."""
    shape, recipe = skeleton_of(skeleton), Recipe(batch=batch, epochs=1e6)
    product, seconds = product_rate(device), {}
    for engine in (PATHS, GRAPH):
        forget(device)
        with seeded(0):
            network = build("101:cosface", shape, IDENTITIES)
        faces = random_faces(max(4 * batch, IDENTITIES), IDENTITIES, shape.image_size)
        trainer = Trainer(network, faces, recipe, seed=0, device=device, step=engine)
        seconds[engine] = seconds_of(partial(next, trainer.run()), device, *repeats(device))
        flops = FLOPS * batch * (macs(network.spec, shape) + IDENTITIES * shape.embedding)
        yield Row(f"{engine}, a step", 1000 * seconds[engine], "ms")
        yield Row(f"{engine}, rate of the matrix product", flops / seconds[engine] / product)
        yield from _memory(engine, device, {})
        del network, trainer
    yield Row("graph against paths", seconds[PATHS] / seconds[GRAPH], "times")


def product_rate(device: str) -> float:
    """FLOP/s of a large matrix product of random numbers in bfloat16."""
    side = 256 if device == "cpu" else PRODUCT
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: left @ right, device, *repeats(device))


def _forecasts(setting: Setting) -> dict[str, dict[str, int]]:
    """Bytes that a training is forecast to take, by engine and by who forecasts it."""
    space, paths = setting.space, max(setting.space.sizes)

    def planned(together: bool) -> int:
        recipe, of_space = Recipe(), covering_paths(space)
        memory = training_memory(_opened(setting), of_space, recipe, setting.device != "cpu", lambda images: together)
        return memory(setting.batch).device

    with torch.device("meta"):
        joint = joint_memory(setting.shape, _opened(setting)(), paths * setting.batch)
    return {PATHS: {"plan": planned(False)}, GRAPH: {"plan": planned(True), "the rule for auto": joint}}


def _opened(setting: Setting) -> Callable[[], Supernet]:
    return lambda: Supernet(setting.shape, IDENTITIES, setting.space.heads)


def _memory(name: str, device: str, forecasts: dict[str, int]) -> Iterator[Row]:
    """What torch had allocated at most, and every forecast in parts of it; nothing is counted on a CPU."""
    if device == "cpu":
        yield from (Row(f"{name}, memory by {source}", forecast / 1e9, "GB") for source, forecast in forecasts.items())
        return
    peak = torch.cuda.max_memory_allocated(device)
    yield Row(f"{name}, memory at the peak", peak / 1e9, "GB")
    yield Row(f"{name}, memory that torch reserved", torch.cuda.max_memory_reserved(device) / 1e9, "GB")
    for source, forecast in forecasts.items():
        yield Row(f"{name}, forecast of {source}", forecast / peak, "of the peak")
