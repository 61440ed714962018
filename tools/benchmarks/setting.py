"""What is measured and where: the setting that all benchmarks share, the machine, and pixels to measure on."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.training.recipe import Recipe

IDENTITIES = 64
"""People in the random training faces."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all benchmarks of a run share; plain values, so that a fresh process can be told.

    `size` is the side of the images in pixels (0 = the skeleton's own) and `batch` the images at once. `repeats`
    counts the pairs of timings, `population` the genotypes scored, and `embeddings` the sizes of the sets whose ranks
    are taken. With `memory`, peaks are measured too.
    """

    device: str = "cpu"
    skeleton: str = "nano"
    size: int = 0
    batch: int = 32
    repeats: int = 5
    seed: int = 0
    population: int = 64
    embeddings: tuple[int, ...] = (5000, 20000)
    memory: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "embeddings", tuple(self.embeddings))
        object.__setattr__(self, "size", self.size or skeleton_of(self.skeleton).image_size)
        for name, least in (("batch", 2), ("repeats", 1), ("population", 3), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not self.embeddings or min(self.embeddings) < 10:
            raise ValueError(f"embeddings must be sizes of 10 or more, got {self.embeddings}")
        _ = self.shape

    @property
    def shape(self) -> Skeleton:
        """The skeleton at the image size."""
        return skeleton_of(self.skeleton).resized(self.size)

    @property
    def recipe(self) -> Recipe:
        """How networks train while they are timed: the defaults, and so long that the schedule never ends."""
        return Recipe(batch=self.batch, epochs=1e6)

    @property
    def bfloat16(self) -> bool:
        """Whether training steps run under bfloat16 autocast, as `Recipe.amp` says."""
        return self.recipe.amp and torch.device(self.device).type == "cuda"

    def synchronise(self) -> None:
        """Wait until the device has done what it was told."""
        if torch.device(self.device).type == "cuda":
            torch.cuda.synchronize(self.device)


def sizes_in(text: str) -> tuple[int, ...]:
    """Sizes of sets of embeddings as users type them: "5000,20000". Raises ValueError for anything else."""
    sizes = tuple(int(part) for part in text.split(",") if part.strip().isdecimal())
    if not sizes or len(sizes) < len(text.split(",")):
        raise ValueError(f"embeddings must be numbers joined by ',', such as 5000,20000, got {text!r}")
    return sizes


def training_faces(setting: Setting) -> RandomFaces:
    """What training is timed on: random pixels, four batches or more, of `IDENTITIES` people."""
    per_person = max(4, -(-4 * setting.batch // IDENTITIES))
    return RandomFaces(IDENTITIES * per_person, IDENTITIES, setting.size, setting.seed)


def scored_faces(setting: Setting, images: int, another: int = 0) -> RandomFaces:
    """Random pixels to embed, about four images a person; `another` sample has other pixels."""
    return RandomFaces(images, max(1, images // 4), setting.size, setting.seed + another)


def environment(setting: Setting) -> dict[str, object]:
    """The machine and the libraries, for the head of the report."""
    device = torch.device(setting.device)
    cuda = device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "training dtype": "bfloat16 autocast" if setting.bfloat16 else "float32",
        "scoring dtype": "float32",
        "TF32": cuda and torch.backends.cudnn.allow_tf32,
        "load average": os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
