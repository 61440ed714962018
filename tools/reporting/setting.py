"""What a run is about: groups, people, space and skeleton; and what of it can still be opened."""

from dataclasses import dataclass, field

from dualfair.presentation.table import Column, table
from dualfair.runs.options import TrainOptions
from dualfair.runs.records.training import TrainConfig
from dualfair.runs.run_files import RunFiles, reason
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

PURPOSES = {
    "train": "the supernet and the networks trained from scratch learn from them",
    "validation": "the search scores on them, and the network to take is chosen on them too",
    "confirmation": "the search's front is measured again on them",
    "test": "what is reported of networks trained from scratch",
}
"""What the people of every split are for."""
MACHINE = ("device", "dualfair", "python", "torch")
"""What is told of the machine that trained."""


@dataclass(frozen=True)
class Setting:
    """The configuration of training, skeleton and space (None where they cannot be opened), and counts of faces.

    `people` is by split and group, `images` by split; both are empty where the faces are not at hand.
    """

    config: TrainConfig | None = None
    skeleton: Skeleton | None = None
    space: SearchSpace | None = None
    people: dict[str, dict[str, int]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)

    @property
    def options(self) -> TrainOptions | None:
        """The options of training."""
        return self.config.options if self.config else None


def open_setting(files: RunFiles) -> Setting:
    """The setting of a run; what cannot be opened is told among the run's problems."""
    from dualfair.runs.architectures import open_skeleton, open_space

    config = files.record(TrainConfig, files.layout.train.config)
    if config is None:
        return Setting()
    options, skeleton, space, people, images = config.options, None, None, {}, {}
    try:
        skeleton = open_skeleton(options.skeleton, options.blocks, options.size, options.heads)
        space = open_space(options.space, skeleton, options.heads)
    except (ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        files.add_problem(f"the search space of train/config.json cannot be opened ({reason(error)})")
    try:
        people, images = _counts(files, config)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        files.add_problem(f"the faces cannot be counted ({reason(error)}); numbers of people are left out")
    return Setting(config, skeleton, space, people, images)


def describe(files: RunFiles, setting: Setting) -> dict:
    """The section on the question: groups, space, versions, and a table of the people and images of every split."""
    options, typed = setting.options, files.last_command(files.layout.train)
    groups = sorted({group for counts in setting.people.values() for group in counts})
    rows = [
        [
            split,
            sum(counts.values()),
            setting.images[split],
            *(counts.get(group, 0) for group in groups),
            PURPOSES[split],
        ]
        for split, counts in setting.people.items()
    ]
    whole = ("people", "images", *(f"people of {group}" for group in groups))
    columns = [Column("split", "text"), *(Column(name, "whole") for name in whole), Column("use", "text")]
    faces = setting.config.faces.rstrip("/").split("/")[-1] if setting.config else ""
    column = options.group_column if options else None
    caption = f"People and images of the faces '{faces}', groups by its column '{column}'; no person is in two splits"
    return {
        "faces": faces,
        "group_column": column,
        "groups": groups,
        "space": options.space if options else None,
        "networks": setting.space.size if setting.space else None,
        "skeleton": options.skeleton if options else None,
        "image_size": setting.skeleton.image_size if setting.skeleton else None,
        "machine": {name: getattr(typed, name) for name in MACHINE if typed and getattr(typed, name)},
        "people": table(columns, rows, caption),
    }


def _counts(files: RunFiles, config: TrainConfig) -> tuple[dict, dict]:
    """People by split and group, and images by split, of the very faces that the run was trained on."""
    import numpy as np

    from dualfair.runs.trained_run import faces_of, open_setting

    opened = open_setting(config.options, faces_of(files.path, config))
    if opened.faces_fingerprint != config.faces_fingerprint:
        raise ValueError("the faces are not those that the supernet was trained on")
    people, images = {}, {}
    for split in PURPOSES:
        if (faces := opened.splits.get(split)) is None:
            continue
        first = np.unique(faces.identities, return_index=True)[1]
        names, counts = np.unique(faces.groups[first], return_counts=True)
        people[split] = dict(zip(names.tolist(), counts.tolist(), strict=True))
        images[split] = len(faces)
    return people, images
