"""A trained network as a folder that other programs can use: what is in it, and how it replaces an earlier one."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import safetensors.torch
import torch

from dualfair.exporting.card import card
from dualfair.exporting.source import Source
from dualfair.presentation.format import plain
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import TEMPORARY, write_bytes
from dualfair.supernet.heads import FlattenNeck, NormalisingNeck, Pool
from dualfair.supernet.production import onnx_model
from dualfair.supernet.production.exported import (
    ABOUT,
    CLASS_WEIGHTS,
    FORMAT,
    OWN,
    VERSION,
    WEIGHTS,
    kind_and_skeleton,
    model_of,
    read_about,
    timm_config,
    timm_name,
    weights_of,
)
from dualfair.supernet.production.folding import Folding, fold
from dualfair.supernet.production.onnx_model import Agreement
from dualfair.supernet.production.timm_model import FaceEmbedder, input_of

CARD, CONFIG = "README.md", "config.json"
"""The model card and timm's configuration."""
FILES = (ABOUT, WEIGHTS, CLASS_WEIGHTS, CONFIG, onnx_model.FILE, CARD)
LARGE = 10_000
"""Bytes from which on a file's size is told."""
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


@dataclass(frozen=True)
class Exported:
    """What was written: `training` names the network, `why` says how it was chosen, `files` have sizes in bytes.

    `folded` of `norms` batch normalisations are folded into the layers in front of them; both are 0 where that was not
    asked for. `agreement` is that of the ONNX model with torch.
    """

    folder: Path
    format: str
    training: TrainingSpec
    why: str
    files: Mapping[str, int]
    folded: int = 0
    norms: int = 0
    agreement: Agreement | None = None


def export(
    source: Source,
    to: Path,
    exported_as: str,
    terms: Terms,
    *,
    fold_bn: bool = False,
    class_weights: bool = True,
    say: Say = silent,
) -> Exported:
    """Write a trained network to a folder in one of FORMATS.

    Raises ValueError where the format cannot hold the network, or the ONNX model does not agree with torch; then
    nothing is written.
    """
    network, training = source.trained.network, source.trained.training
    scored = bool(source.trained.classes)
    if scored and not class_weights:
        raise ValueError(
            f"{training.network} tells labelled images apart by its class weights; --no-class-weights is for faces, "
            "leave it out"
        )
    if exported_as == "timm" and kind_and_skeleton(network)[0] == OWN:
        raise ValueError(
            f"{training.network} has a skeleton, operations or a head of your own, which timm's config.json cannot "
            "hold; take --format onnx or --format state"
        )
    bits = source.trained.bits
    if bits and exported_as == "timm":
        raise ValueError(
            f"{training.network} is quantised to {bits} bits, which timm's config.json cannot hold; take --format onnx "
            "or --format state"
        )
    if bits and exported_as == "onnx" and source.integers is None:
        raise ValueError(
            f"{training.network} is quantised to {bits} bits and has no {onnx_model.FILE} of integers that is made of "
            "its weights; 'dualfair quantise' makes one of 8 bits with --onnx, or take --format state"
        )
    # The model shares the network's layers: folding the one folds the other.
    model = model_of(network, scored)
    folding = fold(model) if fold_bn else Folding((), ())
    about = describe(source, model, exported_as, terms, asdict(folding))
    weights, classes = weights_of(network, scored)
    about["class_weights"] = class_weights and bool(classes)
    files = {WEIGHTS: safetensors.torch.save(weights)}
    if about["class_weights"]:
        files[CLASS_WEIGHTS] = safetensors.torch.save(classes)
    folded, norms = len(folding.folded), len(folding.folded) + len(folding.kept)
    agreement = None
    if exported_as == "onnx":
        size, model = network.skeleton.image_size, model.to(memory_format=torch.contiguous_format)
        data = source.integers if bits else onnx_model.to_onnx(model, size, about["output"]["name"])
        least = onnx_model.LEAST_OF_INTEGERS if bits else onnx_model.LEAST_COSINE
        agreement = onnx_model.compare(model, data, size, least)
        files[onnx_model.FILE] = data
        compared = asdict(agreement)
        about["onnx"] = {"opset": onnx_model.OPSET, "dynamic_batch": True, "compared_with_torch": compared}
    if exported_as != "state" and about["timm"]:
        files[CONFIG] = _as_json(timm_config(about, model))
    files[CARD] = card(about).encode()
    _write_folder(to, about, files)
    if fold_bn:
        say(f"Folded {folded} of {norms} batch normalisations")
    if agreement:
        cosine, images = agreement.smallest_cosine, agreement.images
        with_what = f"its simulation of {bits} bits" if bits else "torch"
        say(f"onnxruntime agrees with {with_what}: smallest cosine {cosine:.8f} over {images} images")
    sizes = {name: len(data) for name, data in files.items()}
    large = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items() if size >= LARGE)
    say(f"Everything is in {to} ({large}); {CARD} says what it is and what it is not")
    return Exported(to, exported_as, training, source.why, sizes, folded, norms, agreement)


def _neck(neck: torch.nn.Module) -> dict[str, object]:
    """What stands behind the features, in words and numbers."""
    if isinstance(neck, FlattenNeck):
        return {"norm in front": "BN", "linear": [neck.linear.in_features, neck.embedding], "norm": "BN"}
    described = {"pool": "mean over the feature map"}
    if isinstance(neck, Pool):
        return described
    norm = {"norm": "BN"} if isinstance(neck, NormalisingNeck) else {}
    return {**described, "linear": [neck.features, neck.embedding], **norm}


def describe(
    source: Source, model: FaceEmbedder, exported_as: str, terms: Terms, folded: Mapping[str, Sequence[str]]
) -> dict:
    """Everything about an export of `model` but its files, as data: the value of `dualfair.json`, and what the card is
    made of."""
    trained, faces = source.trained, source.faces
    network, skeleton = trained.network, trained.network.skeleton
    (kind, skeleton_data), seen = kind_and_skeleton(network), input_of(skeleton)
    aligned = faces["aligned"] if isinstance(faces.get("aligned"), bool) else None
    libraries = ("dualfair", "torch", "timm", "safetensors")
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": str(network.spec),
        "training": trained.training.label,
        "kind": kind,
        "exported_as": exported_as,
        "skeleton": skeleton_data,
        "head": network.spec.head,
        "own_heads": [head.source for head in skeleton.own_heads if head.name == network.spec.head],
        **({"classes": list(trained.classes)} if trained.classes else {}),
        **({"bits": trained.bits, "tuned_on": trained.tuned_on} if trained.bits else {}),
        **({"repaired_on": trained.repaired_on} if trained.repaired_on else {}),
        "neck": _neck(model.neck),
        "folded": {name: list(norms) for name, norms in folded.items()},
        "input": {
            "name": "images",
            "shape": ["batch", 3, skeleton.image_size, skeleton.image_size],
            "channels": "RGB",
            "pixels": "0 to 255",
            "normalisation": "v / 127.5 - 1",
            **{name: seen[name] for name in ("mean", "std", "interpolation", "crop_pct", "crop_mode")},
            "alignment": {"aligned": aligned, "means": ALIGNED[aligned]},
        },
        "output": _output(model),
        "trained": {
            "seed": trained.training.seed,
            "chosen": source.why,
            "identities": trained.identities,
            "recipe": asdict(source.recipe) if source.recipe else {},
            "faces": terms.dataset or faces.get("name") or "not stated",
            "faces_made_by": str(faces.get("made by") or "not known"),
            **trained.trained_on.to_json(),
            **({"trained_on_before": [people.to_json() for people in trained.before]} if trained.before else {}),
        },
        "metrics": source.metrics,
        "licence": terms.licence,
        "data_licence": terms.data_licence,
        # Its config.json cannot hold quantisers.
        "timm": None if trained.bits else timm_name(network),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in libraries}},
    }


def _output(model: FaceEmbedder) -> dict:
    """What a model answers with: class scores where it has a classifier, else embeddings."""
    if model.num_classes:
        return {
            "name": onnx_model.SCORES,
            "shape": ["batch", model.num_classes],
            "scores": "cosines of the embedding with the class weights" if model.cosine else "logits",
            "measured_as": "the class with the highest score, of the image without its mirror image",
        }
    return {
        "name": onnx_model.EMBEDDINGS,
        "shape": ["batch", model.head_hidden_size],
        "metric": "cosine of unit embeddings",
        "measured_as": "sum of the embeddings of an image and of its mirror image, then scaled to length 1",
    }


def check_target(folder: Path) -> None:
    """Raise ValueError where an export may not go: a file, or a folder that holds something else."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; --to takes a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        read_about(folder)
    except ValueError as error:
        raise ValueError(f"{folder} is not empty and holds no export ({error}); name another folder") from None


def _write_folder(folder: Path, about: Mapping, files: Mapping[str, bytes]) -> None:
    """Write an export: `about` with the SHA-256 of every file with weights, then the files, each whole or not there.

    Files of an earlier export that this one has not are deleted, others are left alone. After a kill the folder is
    still known as an export, and its hashes tell what is not of it.
    """
    weights = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name not in (CARD, CONFIG)}
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / ABOUT, _as_json({**about, "files": weights}))
    for name in FILES:
        (folder / (name + TEMPORARY)).unlink(missing_ok=True)
        if name in files:
            write_bytes(folder / name, files[name])
        elif name != ABOUT:
            (folder / name).unlink(missing_ok=True)


def _as_json(value: Mapping) -> bytes:
    """Strict JSON that people can read; numbers that it lacks become text or null, as in a report."""
    return (json.dumps(plain(value), indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()
