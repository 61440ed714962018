"""Run as two ranks: one of them cannot score some genotypes. Writes what both of them saw as JSON."""

import json

import numpy as np
import torch

from dualfair.evaluation.protocol import EvaluationProtocol
from dualfair.evaluation.scoring.embedding import network_input
from dualfair.evaluation.scoring.scorer import InheritedScorer
from dualfair.evaluation.scoring.sharing import divide
from dualfair.supernet.images.face_set import FaceSet
from dualfair.supernet.network import Supernet
from dualfair.supernet.skeleton import DualPathSkeleton
from dualfair.supernet.space import dpn_space
from dualfair.supernet.training.process_group import ProcessGroup

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


def scorer_of(processes):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 24, 24, 3), dtype=np.uint8)
    faces = FaceSet(pixels, np.arange(40), np.repeat([f"p{n}" for n in range(10)], 4), np.repeat(["a", "b"], 20), 24)
    torch.manual_seed(0)
    supernet = Supernet(SKELETON, 10).eval()
    sample = network_input(faces, np.arange(16), "cpu")
    return InheritedScorer(supernet, faces, sample, EvaluationProtocol(), processes=processes)


def poison(scorer, genotypes):
    """Scoring any of these genotypes raises, on whichever rank they fall to."""
    plain = scorer._part

    def part(asked):
        for genotype in plain(asked):
            if genotype in genotypes:
                raise FloatingPointError(f"no numbers\nfor {genotype} " + "é" * 300)
        return plain(asked)

    scorer._part = part


def ask(scorer, genotypes):
    try:
        return scorer(genotypes).tolist()
    except RuntimeError as error:
        return [type(error).__name__, str(error)]


def work(rank, size, store, path):
    """What a rank of two does; the leader writes the report."""
    processes = ProcessGroup(rank, size, "cpu", None, store)
    genotypes = dpn_space("dpn81", 2).sample_distinct(6, np.random.default_rng(1))
    parts = divide(genotypes, size)
    result = {}
    for who, poisoned in {
        "the leader": parts[0][:1],
        "the other": parts[1][-1:],
        "both": [*parts[0], *parts[1]],
    }.items():
        scorer = scorer_of(processes)
        poison(scorer, poisoned)
        if processes.leads:
            result[who] = {
                "poisoned": [genotypes.index(genotype) for genotype in poisoned],
                "together": ask(scorer, genotypes),
                "again": ask(scorer, genotypes),
                "alone": [ask(scorer, [genotype]) for genotype in genotypes],
            }
            scorer.dismiss()
        else:
            scorer.serve()
    if processes.leads:
        result["expected"] = scorer_of(ProcessGroup())(genotypes).tolist()
    message = ""
    scorer = scorer_of(processes)
    poison(scorer, parts[1])
    try:
        scorer._score(genotypes)
    except RuntimeError as error:
        message = str(error)
    processes.agree("what failed", message)
    if processes.leads:
        with open(path, "w") as file:
            json.dump(result, file)
