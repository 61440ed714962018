"""What a disparity, an objective, a head's margin and a sampler have to be, whoever wrote them, and the checks of all
that is plugged in by its name.

Shape legend: P probes, B batch.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from dualfair.conformance.spaces import check_space
from dualfair.evaluation.answers import ClassifiedImages
from dualfair.evaluation.metrics.disparity import DISPARITIES, values_of
from dualfair.evaluation.objective_grammar import own_objective
from dualfair.evaluation.objectives import OBJECTIVES, EmbeddedFaces, Objective
from dualfair.runs.architectures import open_skeleton, open_space
from dualfair.runs.config import look_up
from dualfair.supernet.heads import MARGINS, check_margin
from dualfair.supernet.training import sampling
from dualfair.supernet.training.sampling import SAMPLERS, SamplerFactory


def check_disparity(disparity: Callable[[np.ndarray, np.ndarray], float]) -> list[str]:
    """Faults of a disparity `f(values, groups) -> float` of arrays (P,); `values` are ranks, or right and wrong where
    it says so.

    It must give a finite number of one probe a person or a thousand, of two groups or five, of any labels; the same for
    the same probes in another order or under other names of the groups; it must not change its arguments; and it must
    be smallest, or as small, where all groups fare alike.
    """
    rng = np.random.default_rng(0)
    for groups, probes in ((2, 40), (2, 1000), (5, 300)):
        labels = np.array([f"group {name}" for name in rng.permutation(groups)])[np.arange(probes) % groups]
        try:
            drawn = rng.integers(0, 2 if values_of(disparity) == "correct" else 50, probes).astype(float)
            # Faults are told in sentences; numpy's warnings would only stand before them.
            with warnings.catch_warnings(action="ignore"):
                faults = list(_faults_of_disparity(disparity, drawn, labels, rng))
        except Exception as error:
            faults = [f"it raises {type(error).__name__}: {error} for {probes} probes of {groups} groups"]
        if faults:
            return faults
    return []


def _faults_of_disparity(
    disparity: Callable, values: np.ndarray, groups: np.ndarray, rng: np.random.Generator
) -> Iterator[str]:
    names, about = np.unique(groups), f"for {len(values)} probes of {len(np.unique(groups))} groups"
    before = values.copy(), groups.copy()
    given = disparity(values, groups)
    if not (np.array_equal(values, before[0]) and np.array_equal(groups, before[1])):
        yield "it changes the arrays that it is given; work on copies"
        return
    if not isinstance(given, (int, float, np.number)) or not math.isfinite(given):
        yield f"it returns {given!r} {about}, which have names of their own; return a finite float whatever the names"
        return
    order = rng.permutation(len(values))
    alike = {
        "chance": (values, groups),
        "the order of the probes": (values[order], groups[order]),
        "the names of the groups": (values, np.char.add("z", groups)),
    }
    for cause, arguments in alike.items():
        again = disparity(*arguments)
        if not math.isclose(again, given, rel_tol=1e-9, abs_tol=1e-12):
            yield f"it depends on {cause}: {given:.6g} and {again:.6g} {about}"
    count = min(np.count_nonzero(groups == name) for name in names)
    fair = disparity(np.tile(np.sort(values)[:count], len(names)), np.repeat(names, count))
    worst = values.min() if values_of(disparity) == "correct" else values.max()
    unfair = disparity(np.where(groups == names[0], worst, values), groups)
    if not fair <= unfair:
        yield f"it is {fair + 0.0:.6g} where all groups fare alike, {unfair:.6g} where one fares worse; less is better"


def check_objective(objective: Objective | Callable) -> list[str]:
    """Faults of an objective f(faces) or f(classified images), of an `Objective`, or of a disparity, which
    `check_disparity` knows.

    For eighty images of twenty people, or of two classes, it must give one number that is not NaN, the same for the
    images in another order, and must not change its arguments. A cost has no images to be tried on.
    """
    try:
        objective = own_objective(getattr(objective, "__name__", "of your own"), objective)
    except Exception as error:
        return [f"it raises {type(error).__name__}: {error}"]
    if objective.of_probes and objective.compares_groups:
        return check_disparity(objective.of_probes)
    if not objective.on_images:
        return []
    faults = [
        _faults_of_objective(objective, images) for images in _trial_images() if isinstance(images, objective.takes)
    ]
    return min(faults, key=len)


def _trial_images() -> tuple[EmbeddedFaces, ClassifiedImages]:
    people, rng = np.repeat(np.arange(20), 4), np.random.default_rng(0)
    embeddings = rng.standard_normal((20, 64))[people] + rng.standard_normal((80, 64))
    identities, groups = people.astype(str), np.where(people % 2, "a", "b")
    labels = people // 2 % 2
    scores = np.eye(2)[labels] + rng.standard_normal((80, 2))
    return (
        EmbeddedFaces(embeddings, identities, groups),
        ClassifiedImages(scores, labels, ("no", "yes"), identities, groups),
    )


def _faults_of_objective(objective: Objective, images: EmbeddedFaces | ClassifiedImages) -> list[str]:
    kept, shuffled = images.take(np.arange(80)), images.take(np.random.default_rng(1).permutation(80))
    try:
        value, again = objective.value(images), objective.value(shuffled)
    except Exception as error:
        return [f"it raises {type(error).__name__}: {error}"]
    arrays = [name for name, array in vars(kept).items() if isinstance(array, np.ndarray)]
    if not all(np.array_equal(getattr(images, name), getattr(kept, name)) for name in arrays):
        return ["it changes the arrays that it is given; work on copies"]
    if math.isnan(value):
        return ["it is undefined (NaN) for 80 images of 20 people; give a number wherever there are pairs and groups"]
    if not math.isclose(value, again, rel_tol=1e-6, abs_tol=1e-9):
        return [f"it depends on the order of the images: {value:.6g} and {again:.6g}"]
    return []


def check_head(margin: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]) -> list[str]:
    """Faults of a margin function, which maps the cosines of the true identities (B,), the norms of the embeddings
    (B,), as for 512 dimensions where a neck normalises, and a strength in [0, 1] to (cosines with margin
    (B,), penalty).

    With strength 0 there must be no margin; with 1 it must not raise a cosine, nor turn the order of two. Gradients
    must be finite, at cosines of -1 and 1 too, and reach the embedding.
    """
    cosines, norms = torch.linspace(-1, 1, 41, requires_grad=True), torch.linspace(18, 26, 41, requires_grad=True)
    try:
        check_margin(margin)
    except ValueError as error:
        return [str(error)]
    free, held = (margin(cosines, torch.full((41,), 22.0), strength)[0] for strength in (0.0, 1.0))
    faults = list(_faults_of_margin(cosines, free, held))
    logits, penalty = margin(cosines, norms, 1.0)
    loss = logits.sum() + penalty
    if loss.requires_grad:
        loss.backward()
    if cosines.grad is None or not bool(cosines.grad.any()):
        faults.append("its gradient does not reach the cosines; do not detach them")
    elif not bool(cosines.grad.isfinite().all()):
        faults.append("its gradient is not finite at some cosine of [-1, 1]; clamp before acos or sqrt")
    if norms.grad is not None and not bool(norms.grad.isfinite().all()):
        faults.append("its gradient is not finite at some norm of [18, 26]")
    return faults


def _faults_of_margin(cosines: Tensor, free: Tensor, held: Tensor) -> Iterator[str]:
    """Faults of what becomes of ascending cosines without the margin (`free`) and with it (`held`)."""
    if not torch.allclose(free, cosines, atol=1e-4):
        far = int((free - cosines).abs().argmax())
        change = f"a cosine of {cosines[far].item():.3g} becomes {free[far].item():.3g}"
        yield f"with strength 0 {change}; multiply the margin by the strength"
    if bool((held > cosines + 1e-4).any()):
        yield "with strength 1 it raises some cosines; a margin makes the true identity harder"
    if bool((held.diff() < -1e-4).any()):
        at = int(held.diff().argmin())
        between = f"{cosines[at].item():.3g} and {cosines[at + 1].item():.3g}"
        yield f"a better cosine gets a worse logit between {between}; continue the margin so that it never falls"


def check_sampler(make: SamplerFactory) -> list[str]:
    """The fault of a sampler of training paths, tried out on choice blocks of equal and of unequal sizes: its paths
    have to be choices of these, follow a seed, and go on where `state_dict` was taken."""
    for sizes in ((4, 4), (9, 3, 2)):
        try:
            sampling.check_sampler(make, sizes)
        except ValueError as error:
            return [f"for choice blocks of sizes {sizes}: {error}"]
    return []


CHECKS = {
    "disparity": (DISPARITIES, check_disparity),
    "objective": (OBJECTIVES, check_objective),
    "head": (MARGINS, check_head),
    "sampler": (SAMPLERS, check_sampler),
}
"""Plug-ins that are one function or class: by kind, the table of the built-in ones and the check."""


def check_plugged_in(
    *,
    space: str = "",
    skeleton: str = "",
    blocks: str = "",
    size: int = 0,
    heads: str = "",
    sampler: str = "",
    disparities: Sequence[str] = (),
    objectives: Sequence[str] = (),
) -> dict[str, list[str]]:
    """The faults of whatever is named, by what it is; an empty list where it conforms.

    A space is checked with its skeleton ("" = the skeleton's own, nano), and only where all else is without fault.
    Raises ValueError where nothing is named, or a name leads nowhere.
    """
    if not (space or skeleton or heads or sampler or disparities or objectives):
        raise ValueError(
            "nothing to check: give --space, --skeleton, --heads, --sampler, --disparity or --objective, each as "
            "module:object"
        )
    named = {"disparity": disparities, "objective": objectives, "head": heads.split(","), "sampler": [sampler]}
    faults = {}
    for kind, names in named.items():
        table, check = CHECKS[kind]
        faults |= {f"{kind} {name}": check(look_up(name, table, kind)) for name in map(str.strip, names) if name}
    if any(faults.values()):
        return faults
    shape = open_skeleton(skeleton or "nano", blocks, size, heads)
    if space or skeleton:
        opened = open_space(space, shape, heads)
        networks = f"space {space or shape.space} ({opened.size:,} networks)"
        faults[f"{networks} on skeleton {shape.name}, {shape.image_size} px"] = check_space(opened, shape)
    return faults
