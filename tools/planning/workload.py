"""What a run is going to do, as numbers: steps, paths, evaluations, trainings.

Numbers of the stages are theirs: they are imported, never typed again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path

from dualfair.evaluation.cost import embedding_length
from dualfair.evolution.baselines import LIMIT
from dualfair.planning.counts import COUNTS, FaceCounts, ImageCounts, LabelledCounts
from dualfair.planning.options import PlanOptions
from dualfair.runs.architectures import open_sampler, open_space, skeleton_of
from dualfair.runs.config import build_configs, numbers
from dualfair.runs.options import BATCH, ProtocolOptions, RetrainOptions, SearchOptions, TrainOptions
from dualfair.runs.records.training import SPLITS
from dualfair.runs.trained_run import open_setting
from dualfair.stages.confirm import RANDOM
from dualfair.stages.inherited import CALIBRATION
from dualfair.stages.search import SAMPLE
from dualfair.supernet.images.splits import some_people
from dualfair.supernet.images.store import open_store
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace
from dualfair.supernet.training.batches import BatchSampler
from dualfair.supernet.training.recipe import Recipe
from dualfair.supernet.training.sampling import PathSampler


@dataclass(frozen=True, kw_only=True)
class Workload:
    """All stages of a run, as their own options ask for them.

    `train` and `retrain` are the recipes of the supernet and of a standalone network, `retraining` says which networks
    are retrained. The search scores `batch` images at once, by each of the `supernets`, which rotate the validation
    people where there are several. Raises ValueError for what a stage would refuse.
    """

    space: SearchSpace
    skeleton: Skeleton
    faces: ImageCounts
    train: Recipe
    retrain: Recipe
    sampler: str = TrainOptions.sampler
    search: SearchOptions = field(default_factory=SearchOptions)
    exhaustive: bool = False
    protocol: ProtocolOptions = field(default_factory=ProtocolOptions)
    batch: int = BATCH
    retraining: RetrainOptions = field(default_factory=RetrainOptions)
    supernets: int = 1

    def __post_init__(self) -> None:
        for options, name, least in (
            (self.search, "population", 2),
            (self.search, "generations", 1),
            (self.search, "confirm_candidates", 0),
            (self.protocol, "calibrate", 0),
            (self, "batch", 1),
            (self.retraining, "seeds", 1),
            (self.retraining, "controls", 0),
            (self.retraining, "random", 0),
            (self.retraining, "ranks_per_job", 1),
        ):
            if (value := getattr(options, name)) < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        if self.protocol.calibrate == 1:
            raise ValueError("calibrate must be 0, or 2 or more images: one image has no variance")
        size, random = self.space.size, self.retraining.random
        if random > size:
            raise ValueError(
                f"random must be at most {size:,}, all networks of space {self.space.name}; got {random:,}"
            )
        # Either refuses a batch above all images.
        _ = self.supernet_steps, self.standalone_steps
        if self.exhaustive and size > LIMIT:
            raise ValueError(
                f"space {self.space.name} holds {size:,} genotypes, more than the {LIMIT:,} of an exhaustive search; "
                "leave out --exhaustive, or choose a -shared space"
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
        batches = BatchSampler(self.faces.training, recipe.batch, 0).batches_per_epoch
        return max(1, round(recipe.epochs * batches * updates))

    @property
    def generations(self) -> tuple[int, ...]:
        """Fresh genotypes of every generation until the space is used up; of an exhaustive search the whole space."""
        size = self.space.size if self.exhaustive else min(self.search.population, self.space.size)
        total = size if self.exhaustive else min(size * self.search.generations, self.space.size)
        whole, rest = divmod(total, size)
        return (size,) * whole + ((rest,) if rest else ())

    @property
    def evaluations(self) -> int:
        """Distinct genotypes that the search scores."""
        return sum(self.generations)

    @property
    def embedding_lengths(self) -> tuple[int, ...]:
        """How long the embedding of every head is."""
        return tuple(embedding_length(head, self.skeleton) for head in self.space.heads or ("",))

    @property
    def answer_length(self) -> int:
        """How many numbers a network is judged by, an image, at most."""
        return self.faces.answer_length(max(self.embedding_lengths))

    @property
    def searched(self) -> int:
        """Images that the search scores a network on."""
        return self.faces.searched or self.faces.validation

    @property
    def evaluated(self) -> tuple[int, ...]:
        """Images that a standalone network is judged on, split by split."""
        return tuple(getattr(self.faces, split) for split in SPLITS)

    @property
    def confirmations(self) -> int:
        """Networks of the search that are scored again on people it has not seen: candidates and random subnets.

        Whole non-dominated layers can bring in some more candidates; random subnets among them are scored once.
        """
        if not (self.search.confirm_candidates and self.faces.confirmation):
            return 0
        random = min(RANDOM, SAMPLE if self.exhaustive else self.search.population, self.space.size)
        return min(self.search.confirm_candidates + random, self.evaluations)

    def confirmation_calibrate(self, calibrate: int) -> int:
        """Images on which BN statistics are measured to confirm, where a search measures them on `calibrate`."""
        return min(CALIBRATION * calibrate, self.faces.training)

    @property
    def networks(self) -> int:
        """Networks retrained at most: the front's knee and extremes, the controls, and random ones, all different."""
        chosen = min(self.retraining.controls + 1 + len(self.protocol.protocol().objectives), self.evaluations)
        return min(chosen + self.retraining.random, self.space.size)

    @property
    def trainings(self) -> int:
        """Standalone trainings: every network with every seed."""
        return self.networks * self.retraining.seeds


def planned_workload(
    faces: Path | None,
    given: Mapping[str, object],
    preset: str | None,
    options: PlanOptions,
    *,
    exhaustive: bool = False,
) -> Workload:
    """The workload that the stages' own options (`given`) and preset tables ask for.

    `faces` is the folder of the images, None for a set that `options` count. An `exhaustive` search scores the whole
    space. Raises ValueError where options do not fit.
    """
    train, recipe = build_configs(given, preset, TrainOptions, Recipe, stage="train")
    search, protocol = build_configs(given, preset, SearchOptions, ProtocolOptions, stage="search")
    for_retraining = {field.name: given.get(field.name) for field in fields(RetrainOptions)}
    for_retraining |= {"epochs": options.retrain_epochs or None, "batch": options.retrain_batch or None}
    retraining, standalone_recipe = build_configs(
        for_retraining, preset, RetrainOptions, Recipe, stage="retrain", defaults=asdict(recipe)
    )
    protocol.protocol()
    if (faces is None) == (options.image_count == 0):
        raise ValueError(
            "give either --faces FOLDER, or of a set not imported yet --image-count N with --identity-count K, or with "
            "--class-count K for labelled images"
        )
    if options.identity_count and options.class_count:
        raise ValueError("give either --identity-count, or --class-count of labelled images")
    if faces is None:
        counted = LabelledCounts if options.class_count else FaceCounts
        train = train.on(counted.kind.task)
        skeleton = skeleton_of(train)
        counts = _not_imported(counted, train, options, protocol.people)
        space = open_space(train.space, skeleton, train.heads)
    else:
        store = open_store(faces)
        setting = open_setting(train.on(store.task), store)
        space, skeleton, splits = setting.space, setting.skeleton, setting.splits
        counts = COUNTS[store.task](
            training=len(splits["train"]),
            classes=splits["train"].class_count,
            validation=len(splits["validation"]),
            test=len(splits["test"]),
            searched=len(some_people(splits["validation"], protocol.people, train.split_seed))
            if protocol.people
            else 0,
            confirmation=len(splits.get("confirmation", ())),
        )
    return Workload(
        space=space,
        skeleton=skeleton,
        faces=counts,
        train=recipe,
        retrain=standalone_recipe,
        sampler=train.sampler,
        search=search,
        exhaustive=exhaustive,
        protocol=protocol,
        batch=options.search_batch or BATCH,
        retraining=retraining,
        supernets=max(1, train.folds),
    )


def _not_imported(counted: type[ImageCounts], train: TrainOptions, options: PlanOptions, people: int) -> ImageCounts:
    """Images that are only counted, as training divides them; a search scores on so many `people` (0 = all).

    Raises ValueError where shares are out of range, and where there are not so many people.
    """
    shares = numbers(train.split, ",", float, "split")
    if len(shares) != 3 or not min(shares) > 0:
        raise ValueError(f"split must be three shares above 0, got {train.split!r}")
    if not 0 <= train.confirm < 1:
        raise ValueError(
            f"confirm must be a share of the validation people, 0 or more and below 1, got {train.confirm}"
        )
    validation, test = (
        options.validation_images or max(1, round(options.image_count * share / shares[0])) for share in shares[1:]
    )
    confirmation = round(train.confirm * validation)
    # Labelled images have no people, and are divided one by one.
    images_each = options.image_count / (options.identity_count or options.image_count)
    there = max(1, round((validation - confirmation) / images_each))
    counts = counted(
        training=options.image_count,
        classes=options.class_count or options.identity_count,
        validation=validation - confirmation,
        test=test,
        searched=min(validation - confirmation, max(1, round(people * images_each))) if people else 0,
        confirmation=confirmation,
    )
    if not 0 <= people <= there:
        raise ValueError(
            f"people must be 0 (all) to {there:,}, the people of {counts.validation:,} images; got {people}"
        )
    return counts
