"""What a run is about: groups, people, space and skeleton; and what of it can still be opened."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dualfair.presentation.format import capital, singular
from dualfair.presentation.table import Column, Table, table
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.run_files import RunFiles, reason
from dualfair.supernet.images import PEOPLE
from dualfair.supernet.images.store import CLASSIFICATION, IDENTIFICATION
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

PURPOSES = {
    "train": "the supernet and the networks trained by themselves learn from them",
    "validation": "the search scores on them, and the network to take is chosen on them too",
    "confirmation": "the search's front is measured again on them",
    "test": "what is reported of networks trained by themselves",
}
"""What the people of every split are for."""
UNOPENED = (ValueError, KeyError, TypeError, AttributeError, ImportError, OSError)


@dataclass(frozen=True)
class Words:
    """Of a page on one kind of images: what a good network does, meanings of measures, and two limits."""

    does: str
    meanings: Mapping[str, str]
    grows: str
    purpose: str


WORDS = {
    IDENTIFICATION: Words(
        "recognises people well",
        {
            "error": "Error is the share of pictures whose nearest other picture shows somebody else.",
            "rank_disparity": "Rank disparity says how differently groups of people are recognised: the difference of "
            "their mean ranks, a rank being how many pictures of others lie nearer than the person's own (0 = found at "
            "once).",
        },
        "Error and rank measures grow with the number of people in a gallery; compare them at equal numbers only.",
        "face recognition",
    ),
    CLASSIFICATION: Words(
        "classifies images well",
        {
            "error": "Error is the share of images that are classified wrong.",
            "rank_disparity": "Rank disparity says how differently groups are classified: the difference of their mean "
            "ranks, a rank being how many classes are held for more likely than the true one (0 = right).",
            "eod": "EOD is the largest difference between groups in the share of a class that is recognised as it.",
        },
        "Error and rank measures grow with the number of classes; compare them at equal numbers only.",
        "it",
    ),
}


@dataclass(frozen=True)
class Setting:
    """The configuration of training, skeleton and space (None where they cannot be opened), and counts of faces.

    `people` is by split and group, `images` by split; both are empty where the faces are not at hand.
    """

    config: TrainConfig | None = None
    skeleton: Skeleton | None = None
    space: SearchSpace | None = None
    people: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)

    @property
    def units(self) -> str:
        """What the images are counted in."""
        return self.config.units if self.config else PEOPLE

    @property
    def words(self) -> Words:
        """How a page speaks of what networks do."""
        return WORDS[self.config.task if self.config else IDENTIFICATION]

    @property
    def question(self) -> dict[str, object]:
        """What is asked of which faces, as JSON has it; None stands for what is not known."""
        options = self.config.options if self.config else None
        return {
            "faces": self.config.faces.rstrip("/").split("/")[-1] if self.config else "",
            "group_column": options and options.group_column,
            "groups": sorted({group for counts in self.people.values() for group in counts}),
            "space": options and options.space,
            "networks": self.space and self.space.size,
            "skeleton": options and options.skeleton,
            "image_size": self.skeleton and self.skeleton.image_size,
        }


def open_setting(files: RunFiles) -> Setting:
    """The setting of a run; what cannot be opened is told among the run's problems."""
    from dualfair.runs.architectures import open_space, skeleton_of

    config = files.record(TrainConfig, files.layout.train.config)
    if config is None:
        return Setting()
    options, skeleton, space, people, images = config.options, None, None, {}, {}
    try:
        skeleton = skeleton_of(options)
        space = open_space(options.space, skeleton, options.heads)
    except UNOPENED as error:
        files.add_problem(f"the search space of train/config.json cannot be opened ({reason(error)})")
    try:
        people, images = _counts(files, config)
    except UNOPENED as error:
        files.add_problem(f"the faces cannot be counted ({reason(error)}); numbers of {config.units} are left out")
    return Setting(config, skeleton, space, people, images)


def people_table(setting: Setting) -> Table:
    """The people and images of every split, by group, and what they are for."""
    asked = setting.question
    units, apart = setting.units, setting.units != "images"
    whole = (units, *(["images"] if apart else []), *(f"{units} of {group}" for group in asked["groups"]))
    columns = [Column("split", "text"), *(Column(name, "whole") for name in whole), Column("use", "text")]
    rows = [
        [
            split,
            sum(n.values()),
            *([setting.images[split]] if apart else []),
            *(n.get(group, 0) for group in asked["groups"]),
            PURPOSES[split],
        ]
        for split, n in setting.people.items()
    ]
    these = "faces" if units == PEOPLE else units
    of_faces = f"the {these} '{asked['faces']}', groups by its column '{asked['group_column']}'"
    counted = f"{capital(units)} and images" if apart else capital(units)
    return table(columns, rows, f"{counted} of {of_faces}; no {singular(units)} is in two splits")


def _counts(files: RunFiles, config: TrainConfig) -> tuple[dict, dict]:
    """People by split and group, and images by split, of the very faces that the run was trained on."""
    import numpy as np

    from dualfair.runs.trained_run import recorded_setting

    splits, people, images = recorded_setting(files.path, config).splits, {}, {}
    for split in PURPOSES:
        if (faces := splits.get(split)) is not None:
            first = np.unique(faces.identities, return_index=True)[1]
            names, counts = np.unique(faces.groups[first], return_counts=True)
            people[split], images[split] = dict(zip(names.tolist(), counts.tolist(), strict=True)), len(faces)
    return people, images
