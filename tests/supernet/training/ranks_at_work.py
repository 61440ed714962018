"""Run as four ranks: what two, three and four of them compute, beside one process. Writes JSON."""

import copy
import json
from functools import cache

import numpy as np
import torch
from torch import distributed
from torch.nn import functional

from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import Supernet
from dualfair.supernet.skeleton import DualPathSkeleton
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ALONE, ProcessGroup
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.synchronised_norm import SynchronisedNorms
from dualfair.supernet.training.trainer import NonFinite, Trainer

SKELETON = DualPathSkeleton(
    name="tiny",
    image_size=24,
    stem_kernel=3,
    stem_width=6,
    stem_pool=True,
    residual_widths=(8, 12),
    bottlenecks=(4, 8),
    increments=(2, 4),
    groups=2,
    blocks=(1, 1),
    embedding=10,
)


STEPS = 2


def faces():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (60, 24, 24, 3), dtype=np.uint8)
    identities = np.repeat([f"p{person}" for person in range(10)], 6)
    return FaceSet(pixels, np.arange(60), identities, np.repeat("ab", 30), 24)


def trained(processes, steps, team=None, **recipe):
    torch.manual_seed(0)
    space = dpn_space("dpn81", 2)
    network = Supernet(SKELETON, 10, space.heads)
    recipe = Recipe(**{"batch": 16, "epochs": 4, "lr": 0.02, **recipe})
    trainer = Trainer(network, faces(), recipe, seed=0, space=space, processes=processes, team=team)
    reports = list(trainer.run(until=steps))
    return trainer, reports


@cache
def alone(**recipe):
    """What one process comes to, and its reports."""
    trainer, reports = trained(ALONE, STEPS, **recipe)
    return trainer.network.state_dict(), reports


def farthest(first, second):
    """The largest difference of two state dicts, relative to the largest value of each entry."""
    return max(
        float((value.double() - second[name].double()).abs().max() / (value.double().abs().max() + 1e-6))
        for name, value in first.items()
    )


def training(processes, team=None, **recipe):
    """All sharing the images, or `team` sharing the images and the others taking other paths."""
    trainer, reports = trained(processes, STEPS, team, **recipe)
    sums = processes.collect(torch.stack([value.double().sum() for value in trainer.network.state_dict().values()]))
    if distributed.get_rank():
        # The first rank alone reports.
        return None
    weights, expected = alone(**recipe)
    return {
        "weights": farthest(weights, trainer.network.state_dict()),
        "losses": [abs(report.loss - single.loss) for report, single in zip(reports, expected, strict=True)],
        "norms": [abs(report.embedding_norms["cosface"] - single.embedding_norms["cosface"]) / 3
                  for report, single in zip(reports, expected, strict=True)],
        "updates": sorted(set(trainer.operation_updates.flatten().tolist())),
        "ranks alike": bool((sums == sums[0]).all()),
    }  # fmt: skip


def training_by_paths(processes):
    return training(processes, ProcessGroup())


def training_in_parts(processes):
    """And with blocks that are computed again: their norms are those of all ranks then, too."""
    return training(processes, accumulate=3, recompute=True)


def skipping(team):
    """One rank's share of the second batch turns to NaN: all ranks skip that step."""
    torch.manual_seed(0)
    space = dpn_space("dpn81", 2)
    trainer = Trainer(Supernet(SKELETON, 10), faces(), Recipe(batch=16, epochs=4, non_finite_limit=2), seed=0,
                      space=space, processes=team)  # fmt: skip
    next(trainer.run())
    whole = trainer._batch
    before = copy.deepcopy(trainer.network.state_dict())

    def spoilt():
        images, labels, share = whole()
        return (images * float("nan") if team.rank == 1 else images), labels, share

    trainer._batch = spoilt
    skipped = next(trainer.run()).skipped
    try:
        next(trainer.run())
        stopped = ""
    except NonFinite as error:
        stopped = str(error)
    return {"skipped": skipped, "moved": farthest(before, trainer.network.state_dict()), "stopped": stopped}


def normalising(team):
    """Synchronised batch normalisation of uneven parts against plain one of the whole, in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, 5, 4, dtype=torch.float64, generator=generator)
    target = torch.randn(7, 3, 5, 4, dtype=torch.float64, generator=generator)
    result = []
    for processes in (ALONE, team):
        rows = list(processes.share(range(7)))
        part = x[rows].clone().requires_grad_()
        weight = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
        bias = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
        mean, variance = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        if processes is ALONE:
            output = functional.batch_norm(part, mean, variance, weight, bias, True, 0.3, 1e-3)
        else:
            with SynchronisedNorms(processes):
                output = functional.batch_norm(part, mean, variance, weight, bias, True, 0.3, 1e-3)
        (output * target[rows]).sum().backward()
        whole = torch.zeros(2, 7, 3, 5, 4, dtype=torch.float64)
        whole[0, rows], whole[1, rows] = output.detach(), part.grad
        result.append([processes.add(whole), processes.add(weight.grad), processes.add(bias.grad), mean, variance])
    return max(float((mine - theirs).abs().max()) for mine, theirs in zip(*result, strict=True))


def talking(team):
    texts = [team.broadcast(text if team.leads else "") for text in ("", "101:cosface é")]
    try:
        team.agree("the rank", team.rank)
        message = ""
    except RuntimeError as error:
        message = str(error)
    return {"texts": texts, "said": message}


def other_paths(team):
    """The ranks' samplers differ: the step is refused."""
    trainer, _ = trained(team, 1)
    if team.rank:
        trainer.path_sampler.deal()
    try:
        next(trainer.run())
        return ""
    except RuntimeError as error:
        return str(error)


def work(rank, size, store, path):
    """What a rank of four does; the first writes the report."""
    everyone = ProcessGroup(rank, size, "cpu", None, store)
    halves = [distributed.new_group([first, first + 1]) for first in (0, 2)]
    three = distributed.new_group([0, 1, 2])
    pair = ProcessGroup(rank % 2, 2, "cpu", halves[rank // 2], store)
    teams = {"2": pair, "3": ProcessGroup(rank, 3, "cpu", three, store)}
    checks = (training, training_by_paths, training_in_parts, skipping, normalising, talking, other_paths)
    results = {
        name: {check.__name__: check(team) for check in checks} for name, team in teams.items() if rank < int(name)
    }
    results["4"] = {"training_by_paths": training(everyone, pair)}
    tickets = everyone.collect(torch.bincount(torch.tensor([0, *everyone.tickets("jobs", 7)]), minlength=7)).sum(0)
    results["tickets"] = tickets.tolist()
    if rank == 0:
        with open(path, "w") as file:
            json.dump(results, file)
