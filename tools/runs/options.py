"""What the stages of a run are asked for, besides the recipe, and how networks are judged: the same in the search, for
standalone networks and in the ranking study. Needs no torch."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Self

from dualfair.evaluation.options import PRECISIONS
from dualfair.runs.config import code_of, look_up, option
from dualfair.supernet.images import CLASSIFICATION, DROP_UNKNOWN, IDENTIFICATION, PEOPLE

if TYPE_CHECKING:
    from dualfair.evaluation.protocol import EvaluationProtocol

HEADS_OF_TASK = {IDENTIFICATION: "", CLASSIFICATION: "softmax"}
"""Heads to choose from unless they are named; "" are the space's."""
BATCH = 128
"""Images that a search scores at once, unless told otherwise."""
CHECKPOINT_MINUTES = 5.0
"""Between two checkpoints, unless told otherwise."""
FEW_TO_TRAIN_ON = 300
"""Below so many training people, networks from scratch did worse than those that started from a larger set."""
RESAMPLES = 2000
"""Bootstrap resamples of a correlation, unless told otherwise."""
SCORER_VERSION = 4
"""Raised whenever the scorer's numbers change, so that older scores are not mixed with newer ones."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What is trained, and on which faces."""

    space: str = option(
        "",
        "dpn81, dpn729, either with -shared, layers, or module:object of your own SearchSpace.  "
        "[default: dpn81, or layers where every block of the skeleton is one layer]",
    )
    skeleton: str = option(
        "nano",
        "nano (48 px), small (112 px, DPN-68 widths), paper (112 px), nas-bench-macro (32 px), fairnas (224 px), a "
        "depth and width such as mix-d21-w56 (32 px) or ir-d8-w64 (112 px), or module:object of your own Skeleton.",
    )
    heads: str = option(
        "",
        "Heads to choose from, joined by ','; module:object for your own.  [default: the space's; softmax for labels]",
    )
    blocks: str = option("", "Blocks of every stage, e.g. 3-4-20-3.  [default: the skeleton's, 1-1-1-1 for nano]")
    size: int = option(0, "Side of the network's input in pixels.  [default: the skeleton's]")
    neck: str = option(
        "",
        "Between the features and a margin head: pooling and bn, a linear layer and BN; none; linear1000, a linear "
        "layer to 1,000 numbers, and none behind backbones of timm's; or flatten, BN, a linear layer and BN.  "
        "[default: the skeleton's, bn]",
        omitted=True,
    )
    crop_from: int = option(
        0,
        "Side to which images are resized, of which the network sees --size pixels: a random part while it trains, the "
        "centre otherwise.  [default: the skeleton's, none]",
        omitted=True,
    )
    group_column: str = option("group", "Manifest column that says which group a person belongs to.")
    split: str = option("0.6,0.2,0.2", "Shares of the identities for training, validation and test.")
    confirm: float = option(0.5, "Share of the validation people kept from the search to confirm its front; 0 = none.")
    sampler: str = option(
        "strict",
        "strict: every operation once a step (FairNAS); sequential: likewise, with an update after every path; "
        "uniform: one random path (SPOS); module:object for your own.",
    )
    split_seed: int = option(0, "Seed of the splits of the people: trainings of several seeds share them.")
    seed: int = option(0, "Seed of initial weights, paths and order of the faces.")
    drop_unknown: bool = option(False, DROP_UNKNOWN, omitted=True)
    folds: int = option(
        0,
        "Supernets that rotate the validation people: each of the people who are not of test is scored on by one of "
        "them, and the search by all; 0 = one supernet.",
        omitted=True,
    )
    fold: int = field(default=0, metadata={"omitted": True})
    """Which of the folds a supernet is of: no option of its own."""

    def on(self, task: str) -> Self:
        """The options for images of a task: labelled images are classified by a softmax unless heads are named."""
        return replace(self, heads=self.heads or HEADS_OF_TASK[task])


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How long NSGA-II searches."""

    population: int = option(32, "Genotypes a generation.")
    generations: int = option(10, "Generations, the random first one included.")
    siblings: int = option(
        1, "Children with a common beginning: 2 saves a third of the work at a slightly worse front."
    )
    seed: int = option(0, "Seed of the search.")
    confirm_candidates: int = option(
        16, "Least networks of the first layers that are scored again on people kept from the search; 0 = none."
    )


@dataclass(frozen=True, kw_only=True)
class ConstraintOptions:
    """The most that a network may cost; 0 sets no limit. Those beyond one are never scored."""

    max_params: int = option(0, "Most learnt parameters of a network; 0 = any number.")
    max_macs: int = option(0, "Most multiply-accumulates for an image; 0 = any number.")
    max_latency: float = option(0.0, "Longest pass on this device, in milliseconds; 0 = any. Measured, then kept.")
    latency_batch: int = option(1, "Images in the pass that --max-latency times.")

    def __post_init__(self) -> None:
        for name in ("max_params", "max_macs", "max_latency"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 (no limit) or more, got {getattr(self, name)}")
        if self.latency_batch < 1:
            raise ValueError(f"latency_batch must be 1 or more images, got {self.latency_batch}")


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """Which networks are trained, and how often."""

    seeds: int = option(2, "Independent trainings of every network, seeds 0, 1, ...")
    controls: int = option(
        6, "Networks evenly spaced in inherited error (the first objective on images), beside the front's."
    )
    random: int = option(0, "Networks drawn uniformly from the space, whatever was searched: the honest sample.")
    ranks_per_job: int = option(1, "With torchrun: ranks that train one network together; has to divide their number.")

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.controls < 0 or self.random < 0:
            raise ValueError(
                f"seeds must be 1 or more, controls and random 0 or more, got {self.seeds}, {self.controls} and "
                f"{self.random}"
            )


@dataclass(frozen=True, kw_only=True)
class ProtocolOptions:
    """What a network is judged by, and how."""

    calibrate: int = option(512, "Training images on which BN statistics of a path are measured; 0 = inherited ones.")
    people: int = option(0, "Validation people that a subnet is scored on, alike of every group; 0 = all.")
    objectives: str = option(
        "error,rank_disparity",
        "Two to four to minimise, joined by ',': error, rank_disparity(gallery=200), tar(far=0.01), worst_group_error, "
        "params, macs, latency, any other disparity, or module:function of your own.",
    )
    precision: str = option(
        "tf32",
        "On CUDA, networks are scored in float32, tf32 (convolutions) or bf16; on a CPU always in float32.",
        omitted=True,
    )
    images_at_once: int = field(default=BATCH, metadata={"omitted": True})
    """Images that are scored at once: not an option of its own, but what `--batch` of a search or a rule came to."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.images_at_once < 1:
            raise ValueError(f"batch must be 1 or more images at once, got {self.images_at_once}")

    def protocol(self) -> "EvaluationProtocol":
        """The evaluation protocol of these options; what they name of the user's own is imported.

        Raises ValueError in one line for objectives that cannot be searched on.
        """
        from dualfair.evaluation.objective_grammar import parse_objectives
        from dualfair.evaluation.protocol import EvaluationProtocol

        return EvaluationProtocol(objectives=parse_objectives(self.objectives, look_up))

    @property
    def code(self) -> dict[str, str]:
        """The code of the objectives that are the user's own, as of `code_of`. Raises as `protocol` does."""
        return code_of(each.name for each in self.protocol().objectives)

    def normalised(self) -> Self:
        """The options with their objectives written in the one way that is recorded. Raises as `protocol` does."""
        return replace(self, objectives=",".join(each.name for each in self.protocol().objectives))


def measurement(
    protocol_options: ProtocolOptions,
    weights: str,
    faces: str,
    people: str,
    resamples: int = 0,
    timed_on: str = "",
) -> str:
    """What a score was measured with, as text: equal text, comparable scores.

    `weights` and `faces` are digests; `people` says which of the faces (`people_in_words`). Scores with `resamples`
    have intervals; `timed_on` says on which device latencies were taken, where these are among them. Objectives of
    one's own add the digests of their modules' source.
    """
    code, settings = protocol_options.code, asdict(protocol_options)
    if protocol_options.images_at_once == BATCH:
        del settings["images_at_once"]
    return json.dumps(
        {
            **settings,
            "weights": weights,
            "faces": faces,
            "scored on": people,
            "scorer": SCORER_VERSION,
            **({"resamples": resamples} if resamples else {}),
            **({"timed on": timed_on} if timed_on else {}),
            **({"code": code} if code else {}),
        }
    )


def measured_alike(text: str, known: Mapping[str, object]) -> bool:
    """Whether a `measurement` says the same as `known` of all that both name. Raises ValueError for another text."""
    settings = json.loads(text)
    if not isinstance(settings, dict):
        raise ValueError(f"a measurement is names and values, got {text[:40]!r}")
    settings.setdefault("images_at_once", BATCH)
    return all(known[name] == settings[name] for name in known.keys() & settings.keys())


def people_in_words(identities: Iterable[str], units: str = PEOPLE) -> str:
    """How many people, or other `units`, and a digest of who they are: equal text for the same, in any order."""
    names = sorted(set(map(str, identities)))
    return f"{len(names)} {units} {hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]}"
