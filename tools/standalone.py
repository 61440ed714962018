"""A trained standalone network on disk: its checkpoints, and beside them `network.json`, which says what it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from supernet.checkpoint import checkpoints, load_checkpoint
from supernet.dpn import StandaloneNetwork, build
from supernet.skeleton import Skeleton, skeleton_of
from tools.run_directory import write_json

DESCRIPTION = "network.json"


@dataclass(frozen=True)
class Standalone:
    """A trained network in evaluation mode, with its training seed and what is known of its training faces."""

    network: StandaloneNetwork
    seed: int
    identities: int
    trained_on: dict

    @property
    def name(self) -> str:
        """Its genotype."""
        return str(self.network.genotype)


def write_description(
    folder: Path, genotype: str, skeleton: Skeleton, identities: int, seed: int, trained_on: dict
) -> None:
    """Write what a network is, so that its folder can be opened wherever it lies."""
    write_json(
        folder / DESCRIPTION,
        {
            "genotype": genotype,
            "skeleton": skeleton.name,
            "blocks": skeleton.blocks,
            "size": skeleton.image_size,
            "identities": identities,
            "seed": seed,
            "trained_on": trained_on,
        },
    )


def open_standalone(path: Path, device: torch.device) -> Standalone:
    """The network of a checkpoint, or the newest one of a training's folder.

    Raises ValueError when there is none, when it is not finished, or when it does not fit its description.
    """
    folder = path if path.is_dir() else path.parent
    file = folder / DESCRIPTION
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no trained network ({DESCRIPTION} is not there); name a folder that 'dualfair retrain' "
            "made, such as RUN/retrain/GENOTYPE/seed-0"
        )
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        skeleton = skeleton_of(about["skeleton"]).resized(about["size"], tuple(about["blocks"]))
        network = build(about["genotype"], skeleton, about["identities"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is damaged ({error}); train the network again") from error
    found = checkpoints(folder)
    if path.is_dir() and not found:
        raise ValueError(f"{folder} has no checkpoint; run the same 'dualfair retrain' command again")
    chosen = found[-1] if path.is_dir() else path
    state = load_checkpoint(chosen)
    try:
        if state["step"] < state["steps"]:
            raise ValueError(
                f"training of {folder} is at step {state['step']} of {state['steps']}; run the same 'dualfair retrain' "
                "command again to finish it"
            )
        network.load_state_dict(state["network"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"checkpoint {chosen} does not fit the network in {file}: {reason}") from error
    network = network.to(device, memory_format=torch.channels_last).eval()
    return Standalone(network, about["seed"], about["identities"], about["trained_on"])
