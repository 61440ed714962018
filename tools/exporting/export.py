"""A trained network as a folder that other programs can use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dualfair.exporting import folder, onnx_file
from dualfair.exporting.card import card
from dualfair.exporting.description import Terms, describe, skeleton_of, timm_config
from dualfair.exporting.onnx_file import Agreement
from dualfair.exporting.source import Source
from dualfair.runs.training_spec import TrainingSpec
from dualfair.runs.watching import Say, silent
from dualfair.supernet.production.exported import CLASS_WEIGHTS, OWN, WEIGHTS, weights_of

FORMATS = ("timm", "onnx", "state")
LARGE = 10_000
"""Bytes from which on a file's size is told."""


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
    import safetensors.torch

    from dualfair.supernet.production.folding import Folding, fold
    from dualfair.supernet.production.timm_model import embedder_of

    network = source.network
    if exported_as == "timm" and skeleton_of(network)[0] == OWN:
        raise ValueError(
            f"{source.training.network} has a skeleton, operations or a head of your own, which timm's config.json "
            "cannot hold; take --format onnx or --format state"
        )
    # The model shares the network's layers: folding the one folds the other.
    model = embedder_of(network)
    folding = fold(model) if fold_bn else Folding((), ())
    about = describe(source, exported_as, terms, asdict(folding))
    weights, classes = weights_of(network)
    files = {WEIGHTS: safetensors.torch.save(weights)}
    if class_weights:
        files[CLASS_WEIGHTS] = safetensors.torch.save(classes)
    folded, norms = len(folding.folded), len(folding.folded) + len(folding.kept)
    agreement = None
    if exported_as == "onnx":
        files[folder.ONNX], agreement = _onnx(model, network.skeleton.image_size)
        compared = asdict(agreement)
        about["onnx"] = {"opset": onnx_file.OPSET, "dynamic_batch": True, "compared_with_torch": compared}
    if exported_as != "state" and about["timm"]:
        files[folder.CONFIG] = folder.as_json(timm_config(about))
    about["class_weights"] = class_weights
    files[folder.CARD] = card(about).encode()
    folder.write_folder(to, about, files)
    if fold_bn:
        say(f"Folded {folded} of {norms} batch normalisations")
    if agreement:
        cosine, images = agreement.smallest_cosine, agreement.images
        say(f"onnxruntime agrees with torch: smallest cosine {cosine:.8f} over {images} images")
    sizes = {name: len(data) for name, data in files.items()}
    large = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items() if size >= LARGE)
    say(f"Everything is in {to} ({large}); {folder.CARD} says what it is and what it is not")
    return Exported(to, exported_as, source.training, source.why, sizes, folded, norms, agreement)


def _onnx(model, size: int) -> tuple[bytes, Agreement]:
    """The ONNX model of a network for images of a size, and how it agrees with torch."""
    import torch

    model = model.to(memory_format=torch.contiguous_format)
    data = onnx_file.to_onnx(model, size)
    return data, onnx_file.compare(model, data, size)
