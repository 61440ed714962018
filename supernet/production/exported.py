"""An exported network on disk: which files there are, and how it is opened again. JSON and safetensors, no pickle.

`dualfair.json` says what the network is and the SHA-256 of the files with weights; it is all that `open_export` needs
beside `model.safetensors`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from dualfair.supernet.families.backbone import Backbone
from dualfair.supernet.families.backbone_network import build_backbone
from dualfair.supernet.files import read_json
from dualfair.supernet.genotype import HEAD_NAMES
from dualfair.supernet.network import Network, build
from dualfair.supernet.production.folding import fold
from dualfair.supernet.production.quantisation import quantised
from dualfair.supernet.production.skeleton_data import LATER, family_of, later_data, numbers_of, skeleton_from
from dualfair.supernet.production.timm_model import (
    INPUT,
    FaceEmbedder,
    backbone_skeleton,
    classifier_of,
    embedder_of,
)
from dualfair.supernet.skeleton import OwnHead, Skeleton

ABOUT, WEIGHTS, CLASS_WEIGHTS = "dualfair.json", "model.safetensors", "class_weights.safetensors"
FORMAT, VERSION = "dualfair export", 1
SEARCHED, BACKBONE, OWN = "searched", "backbone", "own skeleton"
"""Kinds of networks: on a skeleton that is data, a backbone of timm's, on a skeleton that only code can say."""
TIMM_OF_FAMILY = {
    "dual_path": "dualfair_dpn",
    "inverted_residual": "dualfair_inverted_residual",
    "mix": "dualfair_mix",
    "residual": "dualfair_residual",
}
"""What searched networks of a family of `skeleton_data.FAMILIES` are called in timm."""

_PARTS = {
    "kind": str,
    "network": str,
    "skeleton": dict,
    "own_heads": list,
    "folded": dict,
    "files": dict,
    "classes": list,
}
_FAULTS = (AttributeError, KeyError, TypeError, ValueError, RuntimeError, MemoryError, OverflowError)


@dataclass(frozen=True)
class Export:
    """An opened export: the network in evaluation mode, and what `dualfair.json` says of it."""

    network: Network
    about: dict


def open_export(folder: Path | str, identities: int = 0, skeleton: Skeleton | None = None) -> Network:
    """The network of a folder that `dualfair export` made, in evaluation mode on the CPU.

    With `identities` its head has fresh class weights (K, D), drawn from torch's global generator, to fine-tune on so
    many other people or classes; 0 is for embedding only, and, where the folder names classes, for their scores,
    `network.heads[network.spec.head].class_scores(network(images))`. `skeleton` is for networks on a skeleton of your
    own, which a file cannot hold. Raises ValueError with one line for a folder that is no export, is damaged or is of a
    later version.
    """
    return read_export(folder, identities, skeleton).network


def read_export(folder: Path | str, identities: int = 0, skeleton: Skeleton | None = None) -> Export:
    """As `open_export`, with what the folder says of the network."""
    folder = Path(folder)
    about = read_about(folder)
    weights = _verified(folder, about, WEIGHTS)
    # An embedding does not depend on the margin, which only training needs.
    if skeleton is None and (about["kind"] == OWN or (about["own_heads"] and identities)):
        sources = [about["skeleton"].get("opened_by"), *about["own_heads"]]
        names = ", ".join(str(text)[:80] for text in sources if text) or "not named"
        raise ValueError(
            f"{folder} has a skeleton, operations or a head of its author's own ({names}), which a file cannot hold; "
            "import it and call open_export(folder, skeleton=...)"
        )
    try:
        network = _build(about, identities or len(about["classes"]), skeleton)
        network = quantised(network, about["bits"]) if about.get("bits") else network
        if about["folded"]["folded"]:
            fold(network.eval())
        if about["classes"] and identities:
            weights = {name: value for name, value in weights.items() if not name.startswith("classifier.")}
        model_of(network, bool(about["classes"]) and not identities).load_state_dict(weights)
    except _FAULTS as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder / ABOUT} and {WEIGHTS} do not fit together ({reason}); export again") from error
    return Export(network.eval(), about)


def read_about(folder: Path) -> dict:
    """What `dualfair.json` of a folder says. Raises ValueError when there is none, or it is not of this version."""
    path = folder / ABOUT
    if not path.is_file():
        raise ValueError(f"{folder} is no exported network ({ABOUT} is not there); make one with 'dualfair export'")
    try:
        about = read_json(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); export the network again") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by 'dualfair export'")
    about = {"classes": [], **about}
    if about.get("version") != VERSION:
        raise ValueError(f"{path} is of version {str(about.get('version'))[:20]}; this dualfair reads {VERSION}")
    wrong = next((name for name, kind in _PARTS.items() if not isinstance(about.get(name), kind)), None)
    if wrong is not None:
        raise ValueError(f"{path} is damaged ({wrong} is missing or of another kind); export the network again")
    return about


def model_of(network: Network, scored: bool) -> FaceEmbedder:
    """What is exported of a standalone network: its embedding part, or all of it where its classes are `scored`."""
    return classifier_of(network) if scored else embedder_of(network)


def weights_of(network: Network, scored: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the two files hold of a standalone network: what `model_of` takes, and else the class weights."""
    parameters = network.heads[network.spec.head].named_parameters(recurse=False)
    return _plain(model_of(network, scored).state_dict()), {} if scored else _plain(dict(parameters))


def timm_name(network: Network) -> str | None:
    """What a network is called in timm; None on a skeleton that only code can say."""
    kind, _ = kind_and_skeleton(network)
    return {BACKBONE: "dualfair_backbone", SEARCHED: TIMM_OF_FAMILY.get(family_of(network.skeleton))}.get(kind)


def kind_and_skeleton(network: Network) -> tuple[str, dict]:
    """The kind of a network, and its skeleton as data as far as it is data."""
    skeleton = network.skeleton
    if isinstance(network.spec, Backbone):
        return BACKBONE, {"image_size": skeleton.image_size, "embedding": skeleton.embedding, **later_data(skeleton)}
    numbers = numbers_of(skeleton)
    if numbers is not None and network.spec.head in HEAD_NAMES:
        return SEARCHED, numbers
    return OWN, {
        "opened_by": skeleton.name if ":" in skeleton.name else None,
        "image_size": skeleton.image_size,
        "blocks": list(skeleton.blocks),
        "embedding": skeleton.embedding,
        **later_data(skeleton),
    }


def timm_config(about: Mapping, model: FaceEmbedder) -> dict:
    """timm's `config.json` of an export that can be one."""
    size = about["skeleton"]["image_size"]
    if about["kind"] == SEARCHED:
        arguments = {"genotype": about["network"], "skeleton": about["skeleton"]}
    else:
        name = about["network"].removeprefix("timm.").partition(":")[0]
        # What timm makes has no margin, so a head of one's own need not be known to it.
        head = {} if about["own_heads"] else {"head": about["head"]}
        embedding = {name: about["skeleton"][name] for name in ("embedding", "neck") if name in about["skeleton"]}
        arguments = {"backbone": name, **head, **embedding}
    if model.cosine:
        arguments["cosine"] = True
    return {
        "architecture": about["timm"],
        "num_classes": model.num_classes,
        **({"label_names": about["classes"]} if model.num_classes else {}),
        "num_features": model.num_features,
        "global_pool": "avg",
        "model_args": {**arguments, "img_size": size, "folded": bool(about["folded"]["folded"])},
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": False,
            "num_classes": model.num_classes,
            "classifier": "classifier",
            "license": about["licence"],
            **{name: about["input"][name] for name in INPUT},
        },
    }


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _verified(folder: Path, about: dict, name: str) -> dict[str, Tensor]:
    """The tensors of a file whose SHA-256 is the one that was written down."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); export the network again") from None
    if hashlib.sha256(data).hexdigest() != about["files"].get(name):
        raise ValueError(f"{path} is not the file that {ABOUT} describes (its SHA-256 differs); export again")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, *_FAULTS) as error:
        raise ValueError(f"{path} is damaged ({' '.join(str(error).split())[:120]}); export again") from None


def _build(about: dict, identities: int, skeleton: Skeleton | None) -> Network:
    kind, shape = about["kind"], about["skeleton"]
    later = {name: shape.get(name, usual) for name, usual in LATER.items()}
    if kind == BACKBONE:
        backbone = Backbone.parse(about["network"])
        unknown = tuple(OwnHead(backbone.head, _no_margin, str(source)) for source in about["own_heads"])
        own_heads = skeleton.own_heads if skeleton else unknown
        shape = backbone_skeleton(shape["image_size"], shape["embedding"])
        shape = replace(shape, own_heads=own_heads, **later)
        return build_backbone(backbone, shape, identities)
    if kind == SEARCHED:
        return build(about["network"], skeleton_from(shape), identities)
    if kind != OWN:
        raise ValueError(f"unknown kind {str(kind)[:40]!r}")
    skeleton = replace(skeleton.resized(shape["image_size"], shape["blocks"]), **later)
    return build(about["network"], skeleton, identities)


def _no_margin(*_: object) -> NoReturn:
    raise ValueError("the margin of this head is its author's own, which a file cannot hold")
