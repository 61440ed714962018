"""Does a run fit into the device's memory, and if not, what would?"""

from __future__ import annotations

from collections.abc import Callable

import torch

from dualfair.planning.memory import MemoryPlan, StageMemory, device_memory
from dualfair.planning.workload import Workload
from dualfair.supernet.memory import available_ram


def largest_that_fits(fits: Callable[[int], bool], least: int, most: int) -> int | None:
    """The largest number from `least` to `most` that fits; None when not even `least` does. What fits, fits smaller."""
    if not fits(least):
        return None
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least


def checked_memory(workload: Workload, device: torch.device) -> dict[str, StageMemory]:
    """What training, searching and retraining need on `device`.

    Raises ValueError in one line for the first stage that does not fit: what it needs, what there is, and the largest
    batch, calibration sample or population that would fit.
    """
    plan = MemoryPlan(workload, half=device.type == "cuda")
    room = Room(device_memory(device), available_ram(), device.type)
    needs = {
        "train": plan.train(workload.train.batch),
        "search": plan.search(workload.calibrate, workload.batch),
        "retrain": plan.retrain(workload.retrain.batch),
    }
    for stage, need in needs.items():
        if not room.holds(need):
            raise ValueError(f"{refusal(stage, need, room)}; {remedy(stage, plan, room)}")
    return needs


class Room:
    """What there is: bytes on the device and of RAM. On a CPU the two are the same."""

    def __init__(self, device: int, ram: int, kind: str) -> None:
        self.device, self.ram, self.kind = device, ram, kind

    def holds(self, need: StageMemory) -> bool:
        """Whether a stage fits; results lie in RAM, which on a CPU is also where the network is."""
        if self.kind == "cpu":
            return need.device + need.results <= self.device
        return need.device <= self.device and need.results <= self.ram


def refusal(stage: str, need: StageMemory, room: Room) -> str:
    """What a stage needs and what there is, in words."""
    if room.kind == "cpu":
        return f"{stage} needs {gigabytes(need.device + need.results)} of RAM, {gigabytes(room.device)} are available"
    if need.device > room.device:
        return f"{stage} needs {gigabytes(need.device)} on the device, which has {gigabytes(room.device)}"
    return f"{stage} needs {gigabytes(need.results)} of RAM for embeddings, {gigabytes(room.ram)} are available"


def remedy(stage: str, plan: MemoryPlan, room: Room) -> str:
    """The largest number of images at once that fits, by the option that says how many; or that none does."""
    workload = plan.workload
    calibrate, batch = workload.calibrate, workload.batch
    tried = {
        "train": [("--batch", lambda plan, n: plan.train(n), 2, workload.train.batch)],
        "search": [
            ("--calibrate", lambda plan, n: plan.search(n, batch), 2, calibrate),
            ("--search-batch", lambda plan, n: plan.search(calibrate, n), 1, batch),
        ],
        "retrain": [("--retrain-batch", lambda plan, n: plan.retrain(n), 2, workload.retrain.batch)],
    }[stage]
    for flag, need, least, most in tried:
        narrow = plan.dearest(lambda plan, need=need, most=most: need(plan, most))
        best = largest_that_fits(lambda n, narrow=narrow, need=need: room.holds(need(narrow, n)), least, most)
        if best is not None:
            return f"the largest {flag} that could fit is {best}"
    smaller = "a smaller --population or " if stage == "search" else ""
    return f"no {' or '.join(flag for flag, *_ in tried)} fits: use {smaller}a smaller --skeleton, --blocks or --size"


def gigabytes(size: int) -> str:
    """Bytes as GB or MB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
