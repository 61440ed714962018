"""What networks are searched for and judged by: one visible table, which is open to objectives of one's own.

An objective on images is a function of embedded faces, a cost one of a candidate network. `parse_objectives` reads a
list of them as it is typed: `error,tar(far=0.01),macs`. What is searched on is minimised, and shown as it is minimised:
the column of an objective of which more is better says so (`1 - tar(far=0.01)`), and no sign is turned later.

Shape legend: N images, D embedding, P probes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from dualfair.evaluation.cost import macs, parameters
from dualfair.evaluation.metrics.disparity import (
    DISPARITIES,
    Disparity,
    DisparityResult,
    error_share,
    measure,
)
from dualfair.evaluation.metrics.identification import COUNTS, Ranks, galleries, ranks
from dualfair.evaluation.metrics.identification import error as error_of
from dualfair.evaluation.metrics.verification import tar_of_all_pairs
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.skeleton import Skeleton

MINIMISE, MAXIMISE = DIRECTIONS = ("minimise", "maximise")
NUMBER = range(2, 5)
"""How many objectives a search can have: 2, 3 or 4."""

_SHAPE = re.compile(r"([^()]+?)\s*(?:\((.*)\))?", re.DOTALL)
_FORMS = (
    "an objective of your own is f(faces), of dualfair.evaluation.objectives.EmbeddedFaces, or a disparity f(values, "
    "groups); further arguments need defaults"
)


class EmbeddedFaces:
    """Embeddings (N, D) of faces with their identities and groups (N,); what is ranked once is kept.

    `seed` is that of the galleries that are drawn.
    """

    def __init__(self, embeddings: np.ndarray, identities: Sequence, groups: Sequence, seed: int = 0) -> None:
        self.embeddings, self.identities, self.groups = embeddings, np.asarray(identities), np.asarray(groups)
        self.seed = seed
        self._ranked: dict[tuple[str, int, str], tuple[tuple[Ranks, np.ndarray], ...]] = {}

    def ranks(self, count: str = "images") -> Ranks:
        """The ranks of all images against all (`metrics.identification.ranks`)."""
        return self.galleries(count=count)[0][0]

    def galleries(
        self, gallery: str = "all", galleries: int = 8, count: str = "images"
    ) -> tuple[tuple[Ranks, np.ndarray], ...]:
        """(ranks, numbers of its images) of every gallery: all against all, or so many of a stated number of people.

        Galleries are seeded and balanced by group. Raises ValueError where the faces have too few people.
        """
        key = (gallery, galleries if gallery != "all" else 0, count)
        if key not in self._ranked:
            images = [np.arange(len(self.identities))] if gallery == "all" else self._drawn(int(gallery), galleries)
            self._ranked[key] = tuple(
                (ranks(self.embeddings[rows], self.identities[rows], count), rows) for rows in images
            )
        return self._ranked[key]

    def take(self, rows: np.ndarray) -> EmbeddedFaces:
        """Some of the images, by their numbers: faces of their own, whose galleries hold nobody else."""
        return EmbeddedFaces(self.embeddings[rows], self.identities[rows], self.groups[rows], self.seed)

    def _drawn(self, size: int, repeats: int) -> list[np.ndarray]:
        return galleries(self.identities, self.groups, size, repeats, np.random.default_rng(self.seed))


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

    `compute` takes `EmbeddedFaces`, or a `Candidate` where it is not `on_images`, and gives a number in `unit`; NaN is
    undefined. What the grammar may set are its further arguments that have a default of a number or a text, and
    `arguments` are those that were set; `check` takes the same and raises ValueError where they are out of range. Of a
    maximised one `best` is the highest value there is: searched on, and shown, is best - value, or -value without one.

    `of_probes` is for what is made of the ranks alone: f(values, groups) of the probes (P,) (see
    `metrics.disparity`), from which people can be resampled. `compares_groups` marks a disparity.
    """

    name: str
    unit: str = ""
    compute: Callable[..., float]
    direction: str = MINIMISE
    on_images: bool = True
    best: float | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    check: Callable[..., None] | None = None
    of_probes: Callable[[np.ndarray, np.ndarray], float] | None = None
    compares_groups: bool = False

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {self.direction!r}")

    @property
    def column(self) -> str:
        """What the column of the minimised value is called."""
        if self.direction == MINIMISE:
            return self.name
        return f"-{self.name}" if self.best is None else f"{self.best:g} - {self.name}"

    def value(self, of: EmbeddedFaces | Candidate) -> float:
        """The value as it is minimised. Raises ValueError for a result that is no number."""
        value = self.compute(of, **self.arguments)
        if np.ndim(value) or not isinstance(value, (int, float, np.number, np.ndarray)):
            raise ValueError(f"objective {self.name} must return one number, got {value!r}")
        return float(value) if self.direction == MINIMISE else (self.best or 0.0) - float(value)

    @property
    def options(self) -> dict[str, object]:
        """What the grammar may set, with the defaults."""
        _, *parameters = inspect.signature(self.compute).parameters.values()
        return {each.name: each.default for each in parameters if isinstance(each.default, (str, int, float))}

    def with_arguments(self, texts: Mapping[str, str]) -> Objective:
        """The objective with arguments as they are typed. Raises ValueError for one that there is not, or is wrong."""
        options, shown = self.options, ", ".join(f"{name}={value}" for name, value in self.options.items())
        values: dict[str, object] = {}
        for name, text in texts.items():
            if name not in options:
                raise ValueError(f"objective {self.name} has no argument {name!r}; it has {shown or 'none'}")
            values[name] = _parsed(self.name, name, text, options[name])
        if self.check:
            try:
                self.check(**{**options, **values})
            except ValueError as error:
                raise ValueError(f"objective {self.name}: {error}") from None
        changed = {name: values[name] for name in options if name in values and values[name] != options[name]}
        written = ", ".join(f"{name}={value}" for name, value in changed.items())
        return replace(self, name=f"{self.name}({written})" if changed else self.name, arguments=changed)

    def disparity(self, faces: EmbeddedFaces) -> DisparityResult:
        """What a function of the probes comes to, with the values of the groups and why it is undefined where it is."""
        ranked = faces.galleries(**self.arguments)
        return measure(self.of_probes, [(gallery_ranks, faces.groups[rows]) for gallery_ranks, rows in ranked])


def disparity_objective(name: str, function: Callable[[np.ndarray, np.ndarray], float]) -> Objective:
    """The objective that a disparity f(values, groups) is, at any gallery."""

    def compute(faces: EmbeddedFaces, *, gallery: str = "all", galleries: int = 8, count: str = "images") -> float:
        ranked = faces.galleries(gallery, galleries, count)
        return measure(function, [(gallery_ranks, faces.groups[rows]) for gallery_ranks, rows in ranked]).value

    unit = "ranks" if name in ("rank_disparity", "capped_rank_disparity") else "between groups"
    return Objective(
        name=name, unit=unit, compute=compute, check=_check_galleries, of_probes=function, compares_groups=True
    )


def _check_galleries(gallery: str, galleries: int, count: str) -> None:
    if gallery != "all" and not gallery.isdecimal():
        raise ValueError(f"gallery must be 'all' or a number of identities, got {gallery!r}")
    if galleries < 1:
        raise ValueError(f"galleries must be 1 or more, got {galleries}")
    if count not in COUNTS:
        raise ValueError(f"count must be one of {', '.join(COUNTS)}, got {count!r}")


def _error(faces: EmbeddedFaces) -> float:
    return error_of(faces.ranks())


def _share_of_errors(values: np.ndarray, groups: np.ndarray) -> float:
    return float(np.mean(values > 0))


WORST_GROUP = Disparity("worst_group_error", "correct", error_share, np.max)


def _worst_group_error(faces: EmbeddedFaces) -> float:
    return measure(WORST_GROUP, [(faces.ranks(), faces.groups)]).value


def _tar(faces: EmbeddedFaces, *, far: float = 0.001) -> float:
    return tar_of_all_pairs(faces.embeddings, faces.identities, far)


def _check_far(far: float) -> None:
    if not 0 < far < 1:
        raise ValueError(f"far must be above 0 and below 1, the share of impostor pairs to accept at most, got {far}")


def _params(candidate: Candidate) -> float:
    return parameters(candidate.genotype, candidate.skeleton)


def _macs(candidate: Candidate) -> float:
    return macs(candidate.genotype, candidate.skeleton)


def _latency(candidate: Candidate) -> float:
    return candidate.latency(candidate.genotype)


OBJECTIVES: dict[str, Objective] = {
    row.name: row
    for row in (
        Objective(name="error", unit="share of probes", compute=_error, of_probes=_share_of_errors),
        *(disparity_objective(name, function) for name, function in DISPARITIES.items()),
        Objective(name="worst_group_error", unit="share of probes", compute=_worst_group_error, of_probes=WORST_GROUP),
        Objective(
            name="tar",
            unit="share of genuine pairs",
            compute=_tar,
            check=_check_far,
            direction=MAXIMISE,
            best=1.0,
        ),
        Objective(name="params", unit="learnt parameters", compute=_params, on_images=False),
        Objective(name="macs", unit="multiply-accumulates an image", compute=_macs, on_images=False),
        Objective(name="latency", unit="milliseconds", compute=_latency, on_images=False),
    )
}
"""The built-in objectives: error, every disparity, the worst group's error, TAR at a FAR, and costs."""

LookUp = Callable[[str, Mapping[str, object], str], object]
"""A name, a table, what its rows are: the row, or what `module:object` names; ValueError where there is neither."""


def _built_in(name: str, table: Mapping[str, object], kind: str) -> object:
    if name not in table:
        raise ValueError(f"unknown {kind} {name!r}; choose from {', '.join(table)}")
    return table[name]


def parse_objectives(text: str, look_up: LookUp = _built_in) -> tuple[Objective, ...]:
    """The objectives that a text lists, two to four, such as `error,rank_disparity(gallery=200),macs`.

    `look_up` finds what a name means (`runs.config.look_up` also those of the user's own); without it there are those
    of OBJECTIVES. Raises ValueError, in one line, for anything that cannot be searched on.

    >>> [objective.column for objective in parse_objectives("error, tar(far=1e-2),params")]
    ['error', '1 - tar(far=0.01)', 'params']
    """
    parts = _split(text)
    if len(parts) not in NUMBER:
        raise ValueError(f"objectives must be {NUMBER[0]} to {NUMBER[-1]}, joined by ',', got {len(parts)}: {text!r}")
    objectives = tuple(_objective(part, look_up) for part in parts)
    names = [objective.name for objective in objectives]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"objectives {text!r}: {twice} is named twice")
    if not any(objective.on_images for objective in objectives):
        raise ValueError(
            f"objectives {text!r}: none is measured on images, so nothing would be learnt from the supernet; add one "
            f"of {', '.join(name for name, row in OBJECTIVES.items() if row.on_images)}"
        )
    return objectives


def _split(text: str) -> list[str]:
    """The parts between commas that are in no brackets. Raises ValueError for brackets that do not close."""
    depth, parts = 0, [""]
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
        if depth not in (0, 1):
            break
    if depth:
        raise ValueError(f"objectives {text!r}: brackets do not match; write name(argument=value)")
    return [part.strip() for part in parts]


def _objective(text: str, look_up: LookUp) -> Objective:
    """One objective as it is typed."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError(f"objective {text!r}: expected a name, or name(argument=value)")
    name, written = shape.groups()
    row = look_up(name, OBJECTIVES, "objective")
    objective = row if name in OBJECTIVES else own_objective(name, row)
    arguments: dict[str, str] = {}
    for part in _split(written) if written and written.strip() else []:
        key, equals, value = (each.strip() for each in part.partition("="))
        if not (key and equals and value):
            raise ValueError(f"objective {text!r}: expected argument=value, got {part!r}")
        if key in arguments:
            raise ValueError(f"objective {text!r}: argument {key} is given twice")
        arguments[key] = value
    return objective.with_arguments(arguments)


def own_objective(name: str, row: object) -> Objective:
    """The objective that a value of the user's own is: an `Objective`, f(faces), or a disparity f(values, groups).

    Raises ValueError for anything else.
    """
    if isinstance(row, Objective):
        return replace(row, name=name)
    try:
        if not callable(row):
            raise TypeError(f"it is a {type(row).__name__}")
        parameters = inspect.signature(row).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(f"objective {name!r}: {error}; {_FORMS}") from None
    needed = [
        each
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    positional = [each for each in needed if each.kind is not each.KEYWORD_ONLY]
    # Whoever names the first of two parameters `faces` has forgotten a default.
    of_faces = len(positional) == 2 and positional[0].name == "faces"
    if len(needed) != len(positional) or len(positional) not in (1, 2) or of_faces:
        raise ValueError(f"objective {name!r} takes {', '.join(each.name for each in needed) or 'nothing'}; {_FORMS}")
    return disparity_objective(name, row) if len(positional) == 2 else Objective(name=name, compute=row)


def _parsed(objective: str, name: str, text: str, default: object) -> object:
    """An argument of the type of its default. Raises ValueError for another."""
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"objective {objective}: {name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if isinstance(default, str):
        return text
    kind = type(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not np.isfinite(value):
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"objective {objective}: {name} must be {what} such as {default}, got {text!r}")
    return value


@cache
def default_objectives() -> tuple[Objective, ...]:
    """The published ones: error and rank disparity."""
    return parse_objectives("error,rank_disparity")


def columns_of(objectives: Iterable[Objective]) -> tuple[str, ...]:
    """What the columns of objectives are called."""
    return tuple(objective.column for objective in objectives)
