"""The frame of all benchmarks: the setting they share, a contest's numbers as text and JSON, and the run."""

from __future__ import annotations

import importlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from dualfair.benchmarks import BENCHMARKS
from dualfair.benchmarks.timing import Comparison, Peak, Spread
from dualfair.presentation.format import counted, with_interval
from dualfair.presentation.table import aligned
from dualfair.runs.watching import Say, silent
from dualfair.supernet.files import write_json
from dualfair.supernet.images.noise import RandomFaces
from dualfair.supernet.skeleton import Skeleton, skeleton_of
from dualfair.supernet.space import SearchSpace, dpn_space
from dualfair.supernet.training.recipe import Recipe

SPACE = "dpn81"
IDENTITIES = 64
"""People in the random training faces."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all benchmarks of a run share; plain values, so that a fresh process can be told.

    `batch` counts images at once, `repeats` pairs of timings. `size` is the side of the images in pixels (0 = the
    skeleton's own), `population` the genotypes scored, and `embeddings` the sizes of the sets whose ranks are taken.
    """

    device: str = "cpu"
    skeleton: str = "nano"
    batch: int = 32
    repeats: int = 5
    size: int = 0
    population: int = 64
    embeddings: tuple[int, ...] = (5000, 20000)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch", 2), ("repeats", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        object.__setattr__(self, "size", self.size or skeleton_of(self.skeleton).image_size)

    @property
    def shape(self) -> Skeleton:
        """The skeleton at the image size."""
        return skeleton_of(self.skeleton).resized(self.size)

    @property
    def space(self) -> SearchSpace:
        """The space whose networks are trained and scored."""
        return dpn_space(SPACE, sum(self.shape.blocks))

    @property
    def recipe(self) -> Recipe:
        """How networks train while they are timed: the defaults, and so long that the schedule never ends."""
        return Recipe(batch=self.batch, epochs=1e6)

    @property
    def bfloat16(self) -> bool:
        """Whether training steps run under bfloat16 autocast, as `Recipe.amp` says."""
        return self.recipe.amp and torch.device(self.device).type == "cuda"

    @property
    def training_faces(self) -> RandomFaces:
        """What training is timed on: random pixels, four batches or more, of `IDENTITIES` people."""
        per_person = max(4, -(-4 * self.batch // IDENTITIES))
        return RandomFaces(IDENTITIES * per_person, IDENTITIES, self.size, self.seed)

    def scored_faces(self, images: int, another: int = 0) -> RandomFaces:
        """Random pixels to embed, about four images a person; `another` sample has other pixels."""
        return RandomFaces(images, max(1, images // 4), self.size, self.seed + another)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Two ways of doing a thing, side by side.

    A call of either does `work` units of what `unit` names. `peaks` are those of the plain way and of ours. `facts`
    are further numbers, and `notes` sentences that say what they mean.
    """

    title: str
    plain: str
    ours: str
    work: float
    unit: str
    comparison: Comparison
    peaks: tuple[Peak, Peak] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """A small table, the ratio, and the notes."""
        rows = [["", "seconds, median [quartiles]", f"{self.unit}/s", *(["peak memory"] if self.peaks else [])]]
        spreads = (self.comparison.plain, self.comparison.ours)
        for place, (name, spread) in enumerate(zip((self.plain, self.ours), spreads, strict=True)):
            memory = [f"{self.peaks[place].bytes / 2**20:,.0f} MiB"] if self.peaks else []
            rows.append([name, in_brackets(spread), rounded(self.work / spread.median), *memory])
        ratio = self.comparison.ratio
        below = [*aligned(rows), f"ratio {in_brackets(ratio)} over {counted(ratio.n, 'pair')}", *self.notes]
        return [self.title, *(f"  {line}" for line in below)]

    def to_dict(self) -> dict[str, object]:
        """Every number, as JSON takes it."""
        plain, ours = self.comparison.plain, self.comparison.ours
        return {
            "title": self.title,
            "plain": self.plain,
            "ours": self.ours,
            "work": self.work,
            "unit": self.unit,
            "seconds": {
                "plain": {**asdict(plain), "all": self.comparison.plain_seconds},
                "ours": {**asdict(ours), "all": self.comparison.our_seconds},
            },
            "ratio": asdict(self.comparison.ratio),
            "units per second": {"plain": self.work / plain.median, "ours": self.work / ours.median},
            "peak bytes": {"plain": self.peaks[0].bytes, "ours": self.peaks[1].bytes} if self.peaks else None,
            **self.facts,
            "notes": self.notes,
        }


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """What was not measured, and why."""

    title: str
    reason: str

    def lines(self) -> list[str]:
        return [self.title, f"  skipped: {self.reason}"]

    def to_dict(self) -> dict[str, object]:
        return {"title": self.title, "skipped": self.reason}


def in_brackets(spread: Spread) -> str:
    """A median with its quartiles: 1.37 [1.35, 1.40]; a single value stands alone."""
    quartiles = (spread.low, spread.high) if spread.n > 1 else (None, None)
    return with_interval(spread.median, *quartiles, rounded)


def rounded(value: float) -> str:
    """Three significant digits, thousands separated; whole numbers from 1000 upwards."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def chosen_benchmarks(only: Sequence[str]) -> list[str]:
    """The benchmarks to run, in their order; all of them where none is named. Raises ValueError for an unknown name."""
    unknown = [name for name in only if name not in BENCHMARKS]
    if unknown:
        raise ValueError(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    return [name for name in BENCHMARKS if name in only or not only]


def run_benchmarks(
    setting: Setting, names: Sequence[str], json_file: Path | None = None, say: Say = silent
) -> dict[str, object]:
    """Run benchmarks by their names; say each result, and write all so far to a file, as it is known.

    Returns all numbers: the environment, the setting, the seconds, and by benchmark its results. Raises ValueError
    where there is no folder for the file, before anything is measured.
    """
    if json_file and not json_file.absolute().parent.is_dir():
        raise ValueError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first")
    start = time.monotonic()
    machine = environment(setting)
    say("; ".join(f"{name} {value}" for name, value in machine.items()))
    say(
        f"skeleton {setting.skeleton}, {setting.size} px, batch {setting.batch}; ratio = plain seconds / our seconds, "
        "pair by pair; peak memory on top of the imported libraries"
    )
    results_by_name: dict[str, list] = {}
    report = {"environment": machine, "setting": asdict(setting), "seconds": 0.0, "benchmarks": results_by_name}
    for name in names:
        module = importlib.import_module(f"dualfair.benchmarks.{BENCHMARKS[name][0]}")
        results = getattr(module, name)(setting)
        results_by_name[name] = [result.to_dict() for result in results]
        for result in results:
            say("\n" + "\n".join(result.lines()))
        report["seconds"] = time.monotonic() - start
        if json_file:
            write_json(json_file, report)
    say(f"\nMeasured in {report['seconds']:.0f} s.")
    return report


def environment(setting: Setting) -> dict[str, object]:
    """The machine and the libraries, for the head of the report."""
    device = torch.device(setting.device)
    cuda = device.type == "cuda"
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "cpu": named[0] if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "training dtype": "bfloat16 autocast" if setting.bfloat16 else "float32",
        "scoring dtype": "float32",
        "TF32": cuda and torch.backends.cudnn.allow_tf32,
        "load average": os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan"),
    }
