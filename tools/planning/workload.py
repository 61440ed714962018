"""What a run is going to do, as numbers: steps, paths, evaluations, trainings. Needs neither torch nor faces."""

from __future__ import annotations

from dataclasses import dataclass

from supernet.recipe import Recipe
from supernet.shuffler import Shuffler
from supernet.skeleton import Skeleton
from supernet.space import SearchSpace
from supernet.strict_fairness import DEALERS, paths_per_step

EXHAUSTIVE_BATCH = 64
"""Genotypes of one score call of `evolution.exhaustive`."""
EXHAUSTIVE_LIMIT = 10_000
"""The largest space that `evolution.exhaustive` enumerates."""


@dataclass(frozen=True, kw_only=True)
class FaceCounts:
    """How many faces there are: training images and the people on them, images of validation and of test."""

    training: int
    identities: int
    validation: int
    test: int

    def __post_init__(self) -> None:
        flags = {"training": "images", "identities": "identities", "validation": "validation-images", "test": "split"}
        for name, flag in flags.items():
            if getattr(self, name) < 1:
                raise ValueError(f"faces need 1 or more of {name}, got {getattr(self, name)}; see --{flag}")
        if self.identities > self.training:
            raise ValueError(
                f"{self.identities:,} people need at least as many training images; there are {self.training:,}"
            )


@dataclass(frozen=True, kw_only=True)
class Workload:
    """All stages of a run.

    `train` and `retrain` are the recipes of the supernet and of a standalone network; `calibrate` images measure the
    BN statistics of a path, `batch` images are scored at once. `count`, `gallery` (None = all) and `galleries` are the
    judging's. `objectives` are those of the search. `ranks_per_job` devices train one standalone network together.
    """

    space: SearchSpace
    skeleton: Skeleton
    faces: FaceCounts
    train: Recipe
    retrain: Recipe
    sampler: str = "strict"
    population: int = 32
    generations: int = 10
    exhaustive: bool = False
    objectives: int = 2
    calibrate: int = 512
    batch: int = 128
    count: str = "images"
    gallery: int | None = None
    galleries: int = 8
    seeds: int = 2
    controls: int = 6
    ranks_per_job: int = 1

    def __post_init__(self) -> None:
        if self.sampler not in DEALERS:
            raise ValueError(f"unknown sampler {self.sampler!r}; choose from {', '.join(DEALERS)}")
        for name, least in {
            "population": 2,
            "generations": 1,
            "calibrate": 0,
            "batch": 1,
            "seeds": 1,
            "controls": 0,
            "ranks_per_job": 1,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.calibrate == 1:
            raise ValueError("calibrate must be 0, or 2 or more images: one image has no variance")
        for recipe in (self.train, self.retrain):
            self.steps(recipe)
        if self.exhaustive and self.space.size > EXHAUSTIVE_LIMIT:
            raise ValueError(
                f"space {self.space.name} holds {self.space.size:,} genotypes, more than the {EXHAUSTIVE_LIMIT:,} of "
                "an exhaustive search; leave out --exhaustive, or choose a -shared space"
            )

    @property
    def paths(self) -> int:
        """Forward and backward passes of one step of the supernet."""
        return paths_per_step(self.sampler, self.space.sizes)

    def steps(self, recipe: Recipe) -> int:
        """Steps of a training, as `supernet.training.Trainer` takes them. ValueError for a batch above all images."""
        return max(1, round(recipe.epochs * Shuffler(self.faces.training, recipe.batch, 0).batches_per_epoch))

    @property
    def calls(self) -> tuple[int, ...]:
        """How many fresh genotypes every score call of the search gets: a generation's, until the space is used up."""
        if self.exhaustive:
            size, total = EXHAUSTIVE_BATCH, self.space.size
        else:
            size = min(self.population, self.space.size)
            total = min(size * self.generations, self.space.size)
        whole, rest = divmod(total, size)
        return (size,) * whole + ((rest,) if rest else ())

    @property
    def evaluations(self) -> int:
        """Distinct genotypes that the search scores."""
        return sum(self.calls)

    @property
    def networks(self) -> int:
        """Networks retrained at most: the front's knee and extremes, all different, and the controls."""
        return min(self.controls + 1 + self.objectives, self.evaluations)

    @property
    def trainings(self) -> int:
        """Standalone trainings: every network with every seed."""
        return self.networks * self.seeds

    @property
    def gallery_images(self) -> int | None:
        """About how many images a gallery of a stated number of people holds; None where all are compared with all."""
        if self.gallery is None:
            return None
        per_person = self.faces.training / self.faces.identities
        return min(self.faces.validation, max(2, round(self.gallery * per_person)))
