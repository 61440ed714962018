"""What training leaves behind: configurations, plans, results, and what a standalone network is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dualfair.evaluation.protocol import PUBLISHED, ObjectiveNames, Scores
from dualfair.runs.config import numbers
from dualfair.runs.options import ProtocolOptions, TrainOptions
from dualfair.runs.records.codec import FLAT, Record, keyed
from dualfair.runs.training_spec import TrainingSpec
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.images.labels import known_labels
from dualfair.supernet.images.manifest import Manifest, fold_of, split_identities
from dualfair.supernet.images.store import IDENTIFICATION
from dualfair.supernet.skeleton import NECKS
from dualfair.supernet.training.recipe import Recipe

SPLITS = ("validation", "test")
"""Whose people a trained network is evaluated on."""
MEASURES = ("error", "disparity")
SAMPLES = ("front", "even", "random", "named", "shelf")
"""Why a network is trained: it is on the front, evenly spaced in the first objective on images by inherited weights,
drawn at random, named by hand, or a backbone that is compared with."""
NAMED, BASELINE = frozenset({"named"}), frozenset({"shelf"})
"""The samples of what a user names: networks of the space, and backbones."""


@dataclass(frozen=True)
class TrainedOn(Record):
    """Which people networks were trained on: the images, and how their splits were made."""

    faces_fingerprint: str
    group_column: str
    split: str
    split_seed: int
    drop_unknown: bool = keyed("drop_unknown", omitted=True, default=False)
    folds: int = keyed("folds", omitted=True, default=0)
    fold: int = keyed("fold", omitted=True, default=0)

    def splits(self, manifest: Manifest) -> dict[str, np.ndarray]:
        """Row numbers of every split of the faces, as they were dealt for training."""
        labels = known_labels(manifest, self.group_column, drop_unknown=self.drop_unknown)
        fractions = numbers(self.split, ",", float, "split")
        return split_identities(manifest, labels.group_of, fractions, self.split_seed, fold_of(self.fold, self.folds))


@dataclass(frozen=True, kw_only=True)
class Origin(Record):
    """A network that trainings start from or learn from: the way from the run directory to its place, a digest of its
    weights, and whom they were trained on, newest first."""

    place: str
    weights: str
    trained_on: tuple[TrainedOn, ...]


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Record):
    """What a supernet is trained by. `faces` is the way from the run directory to the images, `task` what these are
    for, and `units` what they are counted in; `code` is that of own heads and samplers. `weights_from` is None where
    it is trained from scratch, and `teacher` where it has none."""

    faces: str
    options: TrainOptions = field(metadata=FLAT)
    recipe: Recipe = field(metadata=FLAT)
    choices_digest: str
    faces_fingerprint: str
    task: str = keyed("task", omitted=True, default=IDENTIFICATION)
    units: str = keyed("units", omitted=True, default=PEOPLE)
    code: Mapping[str, str] | None = keyed("code", omitted=True, default=None)
    weights_from: Origin | None = field(metadata={"omitted": True}, default=None)
    teacher: Origin | None = field(metadata={"omitted": True}, default=None)

    @property
    def trained_on(self) -> TrainedOn:
        """The people that all networks of the run are trained on."""
        options = self.options
        return TrainedOn(
            self.faces_fingerprint,
            options.group_column,
            options.split,
            options.split_seed,
            options.drop_unknown,
            options.folds,
            options.fold,
        )

    @property
    def seen(self) -> tuple[TrainedOn, ...]:
        """All people that the supernet's weights were ever trained on, newest first."""
        before = [origin.trained_on for origin in (self.weights_from, self.teacher) if origin]
        return (self.trained_on, *(people for of in before for people in of))


@dataclass(frozen=True, kw_only=True)
class RetrainConfig(Record):
    """What standalone networks of a stage are trained and evaluated by; `weights` identify the run's supernet.

    `seeds_from` is added to the seeds that are drawn from; `code` is that of own objectives. Searched networks start
    from `weights_from`, None: from scratch, and all learn from the `teacher`, if there is one.
    """

    recipe: Recipe = field(metadata=FLAT)
    protocol: ProtocolOptions = field(metadata=FLAT)
    names: ObjectiveNames = field(metadata=FLAT, default=PUBLISHED)
    weights: str
    seeds_from: int = keyed("seeds from", omitted=True, default=0)
    code: Mapping[str, str] | None = keyed("code", omitted=True, default=None)
    weights_from: Origin | None = field(metadata={"omitted": True}, default=None)
    teacher: Origin | None = field(metadata={"omitted": True}, default=None)


@dataclass(frozen=True)
class PlannedTraining(Record):
    """A training that was asked for, and why: one or more of SAMPLES."""

    training: TrainingSpec = field(metadata=FLAT)
    samples: frozenset[str] = NAMED

    def __post_init__(self) -> None:
        if not self.samples or not self.samples <= {*SAMPLES}:
            raise ValueError(f"expected samples out of {', '.join(SAMPLES)}, got {sorted(self.samples)}")


@dataclass(frozen=True)
class TrainingPlan(Record):
    """The trainings that were ever asked for, in order."""

    jobs: tuple[PlannedTraining, ...] = ()

    def samples(self) -> dict[str, frozenset[str]]:
        """Why each training was asked for, with any seed: samples by label, in order."""
        samples: dict[str, frozenset[str]] = {}
        for job in self.jobs:
            label = job.training.label
            samples[label] = samples.get(label, frozenset()) | job.samples
        return samples


@dataclass(frozen=True)
class TrainingResult(Record):
    """What a standalone training came to: its network's size, and its scores on validation and on test people.

    `further` measures (`protocol.FURTHER`) are by split and name; nothing is chosen by them.
    """

    training: TrainingSpec = field(metadata=FLAT)
    params: int | None
    macs: int | None
    seconds: float
    validation: Scores
    test: Scores
    further: Mapping[str, Mapping[str, float]] | None = keyed("further measures", omitted=True, default=None)

    def on(self, split: str) -> Scores:
        """The scores on the people of a split, one of SPLITS."""
        return {"validation": self.validation, "test": self.test}[split]


@dataclass(frozen=True)
class Failure(Record):
    """Why a training has no result and never will."""

    reason: str = keyed("failed")

    @classmethod
    def of(cls, reason: object) -> "Failure":
        """The failure of a reason, on one line."""
        return cls(" ".join(str(reason).split()))


@dataclass(frozen=True, kw_only=True)
class TeacherResult(Record):
    """The scores of a teacher, which trainings learn from, on validation and on test people."""

    teacher: Origin
    validation: Scores
    test: Scores


@dataclass(frozen=True)
class NetworkDescription(Record):
    """What a standalone network is, so that its folder can be opened wherever it lies.

    `training` has the seed that was drawn from. `identities` are those that its head tells apart, by the names
    `classes` where it is judged by their scores; `code` is that of an own head. `before` are the people that the
    weights which it started from, and its teacher, were trained on. `neck` and `crop_from` are the skeleton's.
    `bits` are those of fake-quantised weights and activations, None where they are as they were trained, and
    `tuned_on` is the fingerprint of the images that these were tuned on, without labels. `repaired_on` is that of the
    images by whose validation split the network was repaired, "" where it was not.
    """

    training: TrainingSpec = field(metadata=FLAT)
    skeleton: str
    blocks: tuple[int, ...]
    size: int
    heads: str
    identities: int
    trained_on: TrainedOn
    classes: tuple[str, ...] = keyed("classes", omitted=True, default=())
    code: Mapping[str, str] | None = keyed("code", omitted=True, default=None)
    before: tuple[TrainedOn, ...] = keyed("trained_on_before", omitted=True, default=())
    neck: str = field(default=NECKS[0], metadata={"omitted": True})
    crop_from: int = field(default=0, metadata={"omitted": True})
    bits: int | None = field(default=None, metadata={"omitted": True})
    tuned_on: str = field(default="", metadata={"omitted": True})
    repaired_on: str = field(default="", metadata={"omitted": True})


@dataclass(frozen=True)
class Checkpoint(Record):
    """A trained supernet: its file, the updates made of those planned, and how often each operation and head was
    updated; `seconds` of training led to it."""

    path: str
    step: int
    steps: int
    seconds: float
    skipped: int
    fewest_updates: int
    most_updates: int
    head_updates: dict[str, int]
