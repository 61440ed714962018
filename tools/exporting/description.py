"""What `dualfair.json` says of an exported network: everything, as data."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

from dualfair.exporting.source import Source, SplitScores
from dualfair.runs.records.training import MEASURES, SPLITS
from dualfair.supernet.production.exported import BACKBONE, FORMAT, OWN, VERSION, kind_and_skeleton
from dualfair.supernet.production.timm_model import INPUT

_LIBRARIES = ("dualfair", "torch", "timm", "safetensors")
MEASURED = "of this very network, as `dualfair evaluate` takes them"
RECORDED = (
    "recorded when it was trained, with BN statistics measured anew on training images: those of the exported weights "
    "are a little different"
)
ALIGNED = {
    True: "turned and scaled by five landmarks onto the usual 112 px template (supernet/images/importers/alignment.py)",
    False: "the largest central square of each image; landmarks played no part in the import",
    None: "not known",
}
"""How the training faces were cut out, by what faces.json says of them."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What only the user can say: licences of the weights and of the faces behind them, and the name of these faces."""

    licence: str = "not stated"
    data_licence: str = "not stated"
    dataset: str = ""


def describe(source: Source, exported_as: str, terms: Terms, folded: Mapping[str, Sequence[str]]) -> dict:
    """Everything about an export but its files: the value of `dualfair.json`, and what the card is made of."""
    network = source.network
    kind, skeleton = kind_and_skeleton(network)
    neck = network.heads[network.spec.head].neck.linear
    faces = source.faces
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": str(network.spec),
        "training": source.training.label,
        "kind": kind,
        "exported_as": exported_as,
        "skeleton": skeleton,
        "head": network.spec.head,
        "own_heads": [head.source for head in network.skeleton.own_heads if head.name == network.spec.head],
        "neck": {"pool": "mean over the feature map", "linear": [neck.in_features, neck.out_features], "norm": "BN"},
        "folded": {name: list(norms) for name, norms in folded.items()},
        "input": {
            "name": "images",
            "shape": ["batch", 3, network.skeleton.image_size, network.skeleton.image_size],
            "channels": "RGB",
            "pixels": "0 to 255",
            "normalisation": "v / 127.5 - 1",
            **{name: INPUT[name] for name in ("mean", "std", "interpolation", "crop_pct", "crop_mode")},
            "alignment": {"aligned": faces.aligned, "means": ALIGNED[faces.aligned]},
        },
        "output": {
            "name": "embeddings",
            "shape": ["batch", neck.out_features],
            "metric": "cosine of unit embeddings",
            "measured_as": "sum of the embeddings of an image and of its mirror image, then scaled to length 1",
        },
        "trained": {
            "seed": source.training.seed,
            "chosen": source.why,
            "identities": source.identities,
            "recipe": asdict(source.recipe) if source.recipe else {},
            "faces": terms.dataset or faces.name or "not stated",
            "faces_made_by": faces.made_by or "not known",
            **source.trained_on.to_json(),
        },
        "metrics": metrics(source),
        "licence": terms.licence,
        "data_licence": terms.data_licence,
        "timm": None if kind == OWN else ("dualfair_backbone" if kind == BACKBONE else "dualfair_dpn"),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }


def metrics(source: Source) -> dict:
    """The scores on validation and test people, every group with its people and images; None where there are none.

    They are of the exported network itself where the faces are at hand, else those that its training recorded.
    "seeds" has the recorded test values of all trainings of the network.
    """
    recorded = {result.training.seed: result for result in source.results}
    scores = source.measured
    if not scores and (result := recorded.get(source.training.seed)):
        scores = {split: SplitScores(result.on(split)) for split in SPLITS}
    how = RECORDED if scores else "not measured"
    return {
        "how": MEASURED if source.measured else how,
        "judging": {**asdict(source.protocol), "disparity": source.protocol.protocol().disparity_name}
        if source.protocol
        else {},
        **{split: _numbers(scores[split]) if scores else None for split in SPLITS},
        "seeds": [
            {"seed": seed, **{name: getattr(result.test, name) for name in MEASURES}}
            for seed, result in sorted(recorded.items())
        ],
    }


def _numbers(measured: SplitScores) -> dict:
    scores, people = measured.scores, measured.people or {}
    groups = [
        {
            "group": group.group,
            "people": people.get(group.group),
            "images": group.probes,
            "error": group.error,
            "mean_rank": group.mean_rank,
        }
        for group in scores.groups
    ]
    return {
        "people": sum(people.values()) if people else None,
        "images": scores.probes,
        **{name: getattr(scores, name) for name in MEASURES},
        "intervals": measured.intervals,
        "measures": scores.measures,
        "groups": groups,
    }
