"""Latency of standalone networks on one device, measured once a run and kept: a measured time never repeats itself."""

import math
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dualfair.supernet.files import read_json, write_json
from dualfair.supernet.genotype import Genotype
from dualfair.supernet.network import build
from dualfair.supernet.skeleton import Skeleton

WARM_UP = 3
"""Passes before those that are timed."""
REPEATS = 15
"""Passes that are timed; their median counts, so that a few disturbed ones do no harm."""


class Latencies:
    """Milliseconds that one pass of a genotype's standalone network takes; call it with the genotype.

    Evaluation mode, float32, `batch` images of the skeleton's size, weights as drawn: none of that depends on what
    was trained. Every time is written to `file` as soon as it is known, by the device, its threads and the batch, and
    read from there afterwards; so a search that goes on sees the very times of the first one.
    """

    def __init__(
        self,
        file: Path,
        skeleton: Skeleton,
        device: torch.device,
        batch: int,
        measure: Callable[[Genotype], float] | None = None,
    ) -> None:
        """Raises ValueError when `file` holds anything but times."""
        self.file, self.skeleton, self.device, self.batch = file, skeleton, device, batch
        self.key = f"{device_in_words(device)}, batch {batch}, {skeleton.image_size} px"
        self._measure = measure or self._time
        self._known = latencies_in(file)

    def __call__(self, genotype: Genotype) -> float:
        times = self._known.setdefault(self.key, {})
        name = str(genotype)
        if name not in times:
            times[name] = self._measure(genotype)
            write_json(self.file, self._known)
        return times[name]

    def _time(self, genotype: Genotype) -> float:
        side = self.skeleton.image_size
        # Weights of any kind do, but drawing them must not move the generator that others draw from.
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            network = build(genotype, self.skeleton).to(self.device, memory_format=torch.channels_last).eval()
            images = torch.zeros(self.batch, 3, side, side, device=self.device)
            images = images.contiguous(memory_format=torch.channels_last)
            return median_milliseconds(lambda: network(images), self._wait)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def median_milliseconds(work: Callable[[], object], wait: Callable[[], None]) -> float:
    """Median time of REPEATS calls of `work` in milliseconds, after WARM_UP others; `wait` returns when it is done."""
    times = []
    for _ in range(WARM_UP + REPEATS):
        wait()
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return float(np.median(times[WARM_UP:])) * 1000


def device_in_words(device: torch.device) -> str:
    """A device as latencies are kept by it: the name of a GPU; the processor and the number of threads of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()} cpu, {torch.get_num_threads()} threads"


def processor(listing: Path = Path("/proc/cpuinfo")) -> str:
    """The model of the processor where the system lists it, else its kind, which other machines share."""
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def latencies_in(file: Path) -> dict[str, dict[str, float]]:
    """The milliseconds of networks by device and genotype that a file holds; none where there is no file.

    Raises ValueError for a damaged one.
    """
    if not file.is_file():
        return {}
    try:
        latencies = read_json(file)
        times = [(Genotype.parse(name), value) for of in latencies.values() for name, value in of.items()]
        if not all(type(value) in (int, float) and 0 < value < math.inf for _, value in times):
            raise ValueError("a time is not a number above 0")
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}); delete it to have latencies measured again") from None
    return latencies
