"""What networks are searched for and judged by: one visible table, which is open to objectives of one's own.

An objective on images is a function of embedded faces or of classified images, a cost one of a candidate network. What
is searched on is minimised, and shown as it is minimised: the column of an objective of which more is better says so
(`1 - tar(far=0.01)`), and no sign is turned later. `objective_grammar` reads lists of them.

Shape legend: N images, D embedding, P probes.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from dualfair.evaluation.answers import ClassifiedImages, EmbeddedFaces
from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.metrics.classification import balanced_error, rate_difference
from dualfair.evaluation.metrics.disparity import (
    DISPARITIES,
    WORST_GROUP,
    Disparity,
    DisparityResult,
    largest_ratio_gap,
    measure,
    std_acc,
    worst_group,
)
from dualfair.evaluation.metrics.identification import COUNTS, error
from dualfair.evaluation.metrics.verification import far_warning, pairs_of_images, tar_of_all_pairs
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton

REFERENCE = "reference"
"""The argument of a ratio that names the group which all others are divided by."""
WEIGHT = "weight"
"""The argument of the worst group's error that says how much of it counts, the rest being the mean over groups."""
MINIMISE, MAXIMISE = DIRECTIONS = ("minimise", "maximise")


def _not_timed(genotype: Genotype) -> float:
    raise ValueError(f"the latency of {genotype} is not known here: only stages of a run measure it")


@dataclass(frozen=True)
class Candidate:
    """A network by what costs are computed from; `latency` gives the milliseconds of one pass of a genotype."""

    genotype: Genotype
    skeleton: Skeleton
    latency: Callable[[Genotype], float] = _not_timed


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Something to search for. `name` is as it was asked for, arguments included.

    `compute` takes `EmbeddedFaces` or `ClassifiedImages`, or a `Candidate` where it is not `on_images`, and gives a
    number in `unit`; NaN is undefined. One that `takes` one kind of images is not to be had of the other. What the
    grammar may set are its further arguments that have a default of a number or a text, and `arguments` are those that
    were set; `check` takes the same and raises ValueError where they are out of range. `best` and `worst` are the ends
    of the range of values, None where it has none. Of a maximised one searched on, and shown, is best - value, or
    -value without a best. `caveat` takes the identities (N,) of faces and the arguments, and says in a sentence that
    these are too few for it, "" where they are not. `fits` takes images, whatever was answered of them, and the
    arguments, and raises ValueError where these are not for such images.

    `of_probes` is for what is made of the ranks alone: f(values, groups) of the probes (P,) (see
    `metrics.disparity`), from which people can be resampled. `compares_groups` marks a disparity.
    """

    name: str
    unit: str = ""
    compute: Callable[..., float]
    direction: str = MINIMISE
    on_images: bool = True
    best: float | None = None
    worst: float | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    check: Callable[..., None] | None = None
    caveat: Callable[..., str] | None = None
    fits: Callable[..., object] | None = None
    of_probes: Callable[[np.ndarray, np.ndarray], float] | None = None
    compares_groups: bool = False
    takes: type | tuple[type, ...] = (EmbeddedFaces, ClassifiedImages)

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {self.direction!r}")

    @property
    def column(self) -> str:
        """What the column of the minimised value is called."""
        if self.direction == MINIMISE:
            return self.name
        return f"-{self.name}" if self.best is None else f"{self.best:g} - {self.name}"

    def value(self, of: EmbeddedFaces | ClassifiedImages | Candidate) -> float:
        """The value as it is minimised. Raises ValueError for a result that is no number, and for images of another
        kind than it takes."""
        if self.on_images:
            self.refuse(of)
        value = self.compute(of, **self.arguments)
        if np.ndim(value) or not isinstance(value, (int, float, np.number, np.ndarray)):
            raise ValueError(f"objective {self.name} must return one number, got {value!r}")
        return float(value) if self.direction == MINIMISE else (self.best or 0.0) - float(value)

    def refuse(self, images: EmbeddedFaces | ClassifiedImages) -> None:
        """Raise ValueError for images of another kind than it takes, and for arguments that are not for them."""
        if not isinstance(images, self.takes):
            kind = "faces" if self.takes is EmbeddedFaces else "labelled images"
            raise ValueError(f"objective {self.name} is of {kind}; take another one for these images")
        if self.fits:
            try:
                self.fits(images, **self.arguments)
            except ValueError as error:
                raise ValueError(f"objective {self.name}: {error}") from None

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of the range of the value as it is minimised, infinite where there are none."""
        best, worst = self.best, self.worst
        if self.direction == MAXIMISE:
            worst = None if worst is None else (best or 0.0) - worst
            best = None if best is None else 0.0
        return -math.inf if best is None else best, math.inf if worst is None else worst

    @property
    def options(self) -> dict[str, object]:
        """What the grammar may set, with the defaults."""
        _, *parameters = inspect.signature(self.compute).parameters.values()
        return {each.name: each.default for each in parameters if isinstance(each.default, (str, int, float))}

    def with_arguments(self, values: Mapping[str, object]) -> Self:
        """The objective with arguments of its `options`. Its name has those that are not the default, and of one's own,
        whose defaults may change, all that were given. Raises ValueError for one that is out of range."""
        if self.check:
            try:
                self.check(**{**self.options, **values})
            except ValueError as error:
                raise ValueError(f"objective {self.name}: {error}") from None
        own = ":" in self.name
        told = {name: values[name] for name, default in self.options.items() if name in values}
        told = {name: value for name, value in told.items() if own or value != self.options[name]}
        written = ", ".join(f"{name}={value}" for name, value in told.items())
        return replace(self, name=f"{self.name}({written})" if told else self.name, arguments=told)

    @property
    def gallery(self) -> dict[str, object]:
        """Which of the arguments say what probes are ranked in."""
        return {name: value for name, value in self.arguments.items() if name not in (REFERENCE, WEIGHT)}

    @property
    def probe_function(self) -> Callable[[np.ndarray, np.ndarray], float]:
        """`of_probes`, to the reference group or by the weight where one was named."""
        if self.of_probes is WORST_GROUP and WEIGHT in self.arguments:
            return worst_group(self.arguments[WEIGHT])
        return _relative(self.of_probes, self.arguments.get(REFERENCE, ""))

    def disparity(self, faces: EmbeddedFaces | ClassifiedImages) -> DisparityResult:
        """What a function of the probes comes to, with the values of the groups and why it is undefined where it is."""
        return _measured(self.probe_function, faces, **self.gallery)


def _relative(function: Callable, reference: object) -> Callable:
    return function.relative_to(reference) if reference else function


def _measured(
    function: Callable[[np.ndarray, np.ndarray], float], faces: EmbeddedFaces | ClassifiedImages, **gallery: object
) -> DisparityResult:
    ranked = faces.galleries(**gallery)
    return measure(function, [(gallery_ranks, faces.groups[rows]) for gallery_ranks, rows in ranked])


def disparity_objective(name: str, function: Callable[[np.ndarray, np.ndarray], float]) -> Objective:
    """The objective that a disparity f(values, groups) is, at any gallery; a ratio also to one group."""

    def compute(faces: EmbeddedFaces, *, gallery: str = "all", galleries: int = 8, count: str = "images") -> float:
        return _measured(function, faces, gallery=gallery, galleries=galleries, count=count).value

    def to_group(
        faces: EmbeddedFaces, *, gallery: str = "all", galleries: int = 8, count: str = "images", reference: str = ""
    ) -> float:
        compared = _relative(function, reference)
        return _measured(compared, faces, gallery=gallery, galleries=galleries, count=count).value

    ratio = isinstance(function, Disparity) and function.reducer is largest_ratio_gap
    unit = "ranks" if name in ("rank_disparity", "capped_rank_disparity") else "between groups"
    return Objective(
        name=name,
        unit=unit,
        compute=to_group if ratio else compute,
        check=_check_galleries,
        fits=_refuse_arguments,
        of_probes=function,
        compares_groups=True,
    )


def _check_galleries(gallery: str, galleries: int, count: str, reference: str = "") -> None:
    if gallery != "all" and not gallery.isdecimal():
        raise ValueError(f"gallery must be 'all' or a number of identities, got {gallery!r}")
    if galleries < 1:
        raise ValueError(f"galleries must be 1 or more, got {galleries}")
    if count not in COUNTS:
        raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {count!r}")


def _refuse_arguments(
    images: EmbeddedFaces | ClassifiedImages, *, gallery: str = "all", reference: str = "", **_: object
) -> None:
    if isinstance(images, ClassifiedImages):
        images.refuse_gallery(gallery)
    if reference and reference not in (groups := np.unique(images.groups).tolist()):
        raise ValueError(f"there is no group {reference!r}; the groups are {', '.join(groups)}")


def _check_far(far: float) -> None:
    if not 0 < far < 1:
        raise ValueError(f"far must be above 0 and below 1, the share of impostor pairs to accept at most, got {far}")


def _check_weight(weight: float) -> None:
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be 0 (the mean over groups) to 1 (the worst group), got {weight}")


def _tar(faces: EmbeddedFaces, *, far: float = 0.001) -> float:
    return tar_of_all_pairs(faces.embeddings, faces.identities, far)


def _few_impostors(identities: np.ndarray, *, far: float = 0.001) -> str:
    return far_warning(far, pairs_of_images(identities)[1])


def _rate_objective(name: str) -> Objective:
    """SPD, EOD or AOD of classified images, of the class `positive` or the largest over all classes."""

    def compute(images: ClassifiedImages, *, positive: str = "") -> float:
        return rate_difference(name, images.predicted, images.labels, images.groups, images.classes_of(positive))

    return Objective(
        name=name,
        unit="between groups",
        compute=compute,
        best=0.0,
        worst=1.0,
        fits=lambda images, *, positive="": images.classes_of(positive),
        compares_groups=True,
        takes=ClassifiedImages,
    )


def _of_ranked(faces: EmbeddedFaces) -> tuple[np.ndarray, np.ndarray]:
    """Groups and identities (P,) of the probes that have a rank."""
    probes = faces.ranks().probes
    return faces.groups[probes], faces.identities[probes]


TOP = 5
"""`top5_error` lets the true one be among so many."""

OBJECTIVES: dict[str, Objective] = {
    row.name: row
    for row in (
        Objective(
            name="error",
            unit="share of probes",
            compute=lambda faces: error(faces.ranks()),
            of_probes=lambda values, groups: float(np.mean(values > 0)),
            best=0.0,
            worst=1.0,
        ),
        Objective(
            name="top5_error",
            unit="share of probes",
            compute=lambda faces: float(np.mean(faces.ranks().values >= TOP)),
            of_probes=lambda values, groups: float(np.mean(values >= TOP)),
            best=0.0,
            worst=1.0,
        ),
        Objective(
            name="balanced_error",
            unit="mean share over classes",
            compute=lambda images: balanced_error(images.ranks(), images.labels),
            best=0.0,
            worst=1.0,
            takes=ClassifiedImages,
        ),
        *map(_rate_objective, ("spd", "eod", "aod")),
        *(disparity_objective(name, function) for name, function in DISPARITIES.items()),
        Objective(
            name="std_acc",
            unit="between groups",
            best=0.0,
            compute=lambda faces: std_acc(faces.ranks().correct, *_of_ranked(faces), names=faces.groups.tolist()).value,
            compares_groups=True,
            takes=EmbeddedFaces,
        ),
        Objective(
            name="worst_group_error",
            unit="share of probes",
            compute=lambda faces, *, weight=1.0: _measured(worst_group(weight), faces).value,
            check=_check_weight,
            of_probes=WORST_GROUP,
            best=0.0,
            worst=1.0,
        ),
        Objective(
            name="tar",
            unit="share of genuine pairs",
            compute=_tar,
            check=_check_far,
            caveat=_few_impostors,
            direction=MAXIMISE,
            best=1.0,
            worst=0.0,
            takes=EmbeddedFaces,
        ),
        Objective(
            name="params",
            unit="learnt parameters",
            compute=lambda candidate: parameters(candidate.genotype, candidate.skeleton),
            on_images=False,
        ),
        Objective(
            name="macs",
            unit="multiply-accumulates an image",
            compute=lambda candidate: macs(candidate.genotype, candidate.skeleton),
            on_images=False,
        ),
        Objective(
            name="latency",
            unit="milliseconds",
            compute=lambda candidate: candidate.latency(candidate.genotype),
            on_images=False,
        ),
    )
}
"""The built-in objectives: errors, every disparity, the worst group's error, TAR at a FAR, and costs."""


def columns_of(objectives: Iterable[Objective]) -> tuple[str, ...]:
    """What the columns of objectives are called."""
    return tuple(objective.column for objective in objectives)


def caveats(objectives: Iterable[Objective], identities: np.ndarray) -> list[str]:
    """A sentence for every objective that faces of these identities (N,) are too few for."""
    asked = [each for each in objectives if each.caveat]
    texts = [(each.name, each.caveat(identities, **each.arguments)) for each in asked]
    return [f"{name}: {text}" for name, text in texts if text]
