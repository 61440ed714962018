"""What a run is about: groups, people, space and skeleton; and what of it can still be opened."""

from __future__ import annotations

from dataclasses import dataclass

from dualfair.reporting.run_files import RunFiles, reason
from dualfair.reporting.table import column, table
from dualfair.supernet.skeleton import Skeleton
from dualfair.supernet.space import SearchSpace

SPLITS = ("train", "validation", "confirmation", "test")
PURPOSES = {
    "train": "the supernet and the networks trained from scratch learn from them",
    "validation": "the search scores on them, and the network to take is chosen on them too",
    "confirmation": "the search's front is measured again on them",
    "test": "what is reported of networks trained from scratch",
}


@dataclass(frozen=True)
class Setting:
    """The configuration of training, skeleton and space (None where they cannot be opened), and counts of faces.

    `people` is by split and group, `images` by split; both are empty where the faces are not at hand.
    """

    config: dict
    skeleton: Skeleton | None
    space: SearchSpace | None
    people: dict[str, dict[str, int]]
    images: dict[str, int]

    def count(self, split: str) -> int | None:
        """The people of a split; None where that is not known."""
        return sum(self.people[split].values()) if split in self.people else None


def open_setting(run: RunFiles) -> Setting:
    """The setting of a run; what cannot be opened is told among the run's problems."""
    config = run.json("train/config.json") or {}
    skeleton = space = None
    people: dict[str, dict[str, int]] = {}
    images: dict[str, int] = {}
    try:
        skeleton = _skeleton(config)
        from dualfair.runs.architectures import open_space

        space = open_space(config["space"], skeleton, config["heads"])
    except (ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        run.tell(f"the search space of train/config.json cannot be opened ({reason(error)})")
    try:
        people, images = _counts(run, config)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        run.tell(f"the faces cannot be counted ({reason(error)}); numbers of people are left out")
    return Setting(config, skeleton, space, people, images)


def describe(run: RunFiles, setting: Setting) -> dict:
    """The section on the question: groups, space, versions, and a table of the people and images of every split."""
    config, machine = setting.config, run.last_command("train")
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
    columns = [column("split", "text"), column("people", "whole"), column("images", "whole")]
    columns += [column(f"people of {group}", "whole") for group in groups]
    return {
        "faces": str(config.get("faces", "")).rstrip("/").split("/")[-1],
        "group_column": config.get("group_column"),
        "groups": groups,
        "space": config.get("space"),
        "networks": setting.space.size if setting.space else None,
        "skeleton": config.get("skeleton"),
        "image_size": setting.skeleton.image_size if setting.skeleton else None,
        "machine": {name: machine.get(name) for name in ("device", "dualfair", "python", "torch") if machine.get(name)},
        "people": table([*columns, column("use", "text")], rows),
    }


def _skeleton(config: dict) -> Skeleton:
    from dualfair.runs.architectures import open_skeleton

    return open_skeleton(config["skeleton"], config["blocks"], config["size"], config["heads"])


def _counts(run: RunFiles, config: dict) -> tuple[dict, dict]:
    """People by split and group, and images by split, of the very faces that the run was trained on."""
    import numpy as np

    from dualfair.runs.trained_run import faces_of, open_setting

    opened = open_setting(config, faces_of(run.path, config))
    if opened.faces_fingerprint != config["faces_fingerprint"]:
        raise ValueError("the faces are not those that the supernet was trained on")
    people, images = {}, {}
    for split in SPLITS:
        if (faces := opened.splits.get(split)) is None:
            continue
        first = np.unique(faces.identities, return_index=True)[1]
        names, counts = np.unique(faces.groups[first], return_counts=True)
        people[split] = dict(zip(names.tolist(), counts.tolist(), strict=True))
        images[split] = len(faces)
    return people, images
