"""What a run is going to do, as numbers: steps, paths, evaluations, trainings. Needs no faces.

Numbers of the stages are theirs: they are imported, never typed again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from dualfair.evolution.baselines import LIMIT
from dualfair.runs.architectures import open_sampler
from dualfair.runs.options import BATCH, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.protocol import ProtocolOptions
from dualfair.runs.records.training import MEASURES
from dualfair.stages.confirm import CALIBRATION, RANDOM
from dualfair.stages.search import GENOTYPES_A_CALL, SAMPLE
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import PathSampler


@dataclass(frozen=True, kw_only=True)
class FaceCounts:
    """How many faces there are: training images and the people on them, images of validation and of test.

    `validation` are those that a search may see, of which it scores on `searched` (None = all). `confirmation` are
    those of the validation people that it does not see; 0 = nobody is kept.
    """

    training: int
    identities: int
    validation: int
    test: int
    searched: int | None = None
    confirmation: int = 0

    def __post_init__(self) -> None:
        flags = {"training": "images", "identities": "identities", "validation": "validation-images", "test": "split"}
        for name, flag in {**flags, "searched": "people"}.items():
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"faces need 1 or more of {name}, got {number}; see --{flag}")
        if self.identities > self.training:
            raise ValueError(
                f"{self.identities:,} people need at least as many training images; there are {self.training:,}"
            )


@dataclass(frozen=True, kw_only=True)
class Workload:
    """All stages of a run.

    `train` and `retrain` are the recipes of the supernet and of a standalone network; `calibrate` images measure the
    BN statistics of a path, `batch` images are scored at once. At least `confirm_candidates` networks of the search are
    scored again on the faces kept for that. `count`, `gallery` (None = all) and `galleries` are the
    judging's. `objectives` are those of the search. `ranks_per_job` devices train one standalone network together.
    """

    space: SearchSpace
    skeleton: Skeleton
    faces: FaceCounts
    train: Recipe
    retrain: Recipe
    sampler: str = TrainOptions.sampler
    population: int = SearchOptions.population
    generations: int = SearchOptions.generations
    confirm_candidates: int = SearchOptions.confirm_candidates
    exhaustive: bool = False
    objectives: int = len(MEASURES)
    calibrate: int = ProtocolOptions.calibrate
    batch: int = BATCH
    count: str = ProtocolOptions.count
    gallery: int | None = None
    galleries: int = ProtocolOptions.galleries
    seeds: int = RetrainOptions.seeds
    controls: int = RetrainOptions.controls
    random: int = RetrainOptions.random
    ranks_per_job: int = RetrainOptions.ranks_per_job

    def __post_init__(self) -> None:
        for name, least in {
            "population": 2,
            "generations": 1,
            "confirm_candidates": 0,
            "calibrate": 0,
            "batch": 1,
            "seeds": 1,
            "controls": 0,
            "random": 0,
            "ranks_per_job": 1,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.calibrate == 1:
            raise ValueError("calibrate must be 0, or 2 or more images: one image has no variance")
        if self.random > self.space.size:
            raise ValueError(
                f"random must be at most {self.space.size:,}, all networks of space {self.space.name}; "
                f"got {self.random:,}"
            )
        # Either refuses a batch above all images.
        _ = self.supernet_steps, self.standalone_steps
        if self.exhaustive and self.space.size > LIMIT:
            raise ValueError(
                f"space {self.space.name} holds {self.space.size:,} genotypes, more than the {LIMIT:,} of "
                "an exhaustive search; leave out --exhaustive, or choose a -shared space"
            )

    @cached_property
    def path_sampler(self) -> PathSampler:
        """The sampler of the supernet's paths. Raises ValueError for an unknown one, or one that does not work."""
        return open_sampler(self.sampler, self.space.sizes)(self.space.sizes, 0)

    @property
    def paths(self) -> int:
        """Forward and backward passes of one step of the supernet."""
        return self.path_sampler.paths_per_step

    @property
    def supernet_steps(self) -> int:
        """Steps of the supernet's training. Raises ValueError for a batch above all images."""
        return self._steps(self.train, self.path_sampler.updates_per_batch)

    @property
    def standalone_steps(self) -> int:
        """Steps of a standalone training. Raises ValueError for a batch above all images."""
        return self._steps(self.retrain, 1)

    def _steps(self, recipe: Recipe, updates: int) -> int:
        """As `supernet.training.trainer.Trainer` takes them."""
        return max(
            1, round(recipe.epochs * BatchSampler(self.faces.training, recipe.batch, 0).batches_per_epoch * updates)
        )

    @property
    def calls(self) -> tuple[int, ...]:
        """How many fresh genotypes every score call of the search gets: a generation's, until the space is used up."""
        if self.exhaustive:
            size, total = GENOTYPES_A_CALL, self.space.size
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
    def searched(self) -> int:
        """Images that the search scores a network on."""
        return self.faces.validation if self.faces.searched is None else self.faces.searched

    @property
    def confirmations(self) -> int:
        """Networks of the search that are scored again on people it has not seen: candidates and random subnets.

        Whole non-dominated layers can bring in some more candidates; random subnets among them are scored once.
        """
        if not (self.confirm_candidates and self.faces.confirmation):
            return 0
        random = min(RANDOM, SAMPLE if self.exhaustive else self.population, self.space.size)
        return min(self.confirm_candidates + random, self.evaluations)

    @property
    def confirming(self) -> Workload:
        """The same run with the images that confirming takes for searching and for BN statistics."""
        faces = replace(self.faces, validation=self.faces.confirmation, searched=None, confirmation=0)
        calibrate = min(CALIBRATION * self.calibrate, faces.training)
        return replace(self, faces=faces, calibrate=calibrate)

    @property
    def networks(self) -> int:
        """Networks retrained at most: the front's knee and extremes, the controls, and random ones, all different."""
        chosen = min(self.controls + 1 + self.objectives, self.evaluations)
        return min(chosen + self.random, self.space.size)

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
